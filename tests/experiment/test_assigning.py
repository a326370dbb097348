"""Assignment: sticky, in the right shares, exclusive where it must be."""

from __future__ import annotations

from collections import Counter
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.errors import ExperimentError
from nextoffer.experiment.assigning import assign, fits
from nextoffer.experiment.file import Experiment
from nextoffer.experiment.srm import ratio_check
from tests.experiment.toys import experiment

DAY = date(2026, 3, 1)
THREE = "".join(f'[[arm]]\nname = "{n}"\nshare = {s}\n' for n, s in (("old", 0.5), ("new", 0.3), ("other", 0.2)))
BLOCKED = '[assignment]\nmethod = "blocked"\nstrata = ["segment"]\n'


def customers(n: int, *, start: int = 0) -> pa.Table:
    ids = np.arange(start, start + n)
    return pa.table(
        {"customer_id": ids, "segment": np.array(["a", "b", "c"])[(ids * 7 % 10 > 5).astype(int) + (ids % 9 == 0)]}
    )


def arms(test: Experiment, table: pa.Table) -> dict[int, str]:
    found = assign(table, test, on=DAY).table
    return dict(zip(found["customer_id"].to_pylist(), found["arm"].to_pylist(), strict=True))


def test_keyed_arms_do_not_depend_on_who_else_is_there_or_in_which_order() -> None:
    test, everyone = experiment(arms=THREE), customers(5000)
    whole = arms(test, everyone)
    some = everyone.take(pa.array(np.random.default_rng(7).permutation(5000)[:700]))
    assert arms(test, some).items() <= whole.items()
    assert assign(everyone, test, on=DAY).check.p_value > 0.001


def test_other_names_and_seeds_give_independent_arms() -> None:
    table = customers(20_000)
    first = arms(experiment(), table)
    for other in (experiment(top="seed = 8"), experiment().model_copy(update={"name": "loans"})):
        second = arms(other, table)
        both = Counter((first[c], second[c]) for c in first)
        assert ratio_check([str(k) for k in both], list(both.values()), [0.25] * 4).p_value > 0.001


def test_blocked_arms_have_their_shares_in_every_stratum() -> None:
    found = assign(
        customers(3007), experiment(arms=THREE, top="", metrics=BLOCKED + '[[metric]]\nname = "m"\n'), on=DAY
    )
    counts = Counter(zip(found.table["stratum"].to_pylist(), found.table["arm"].to_pylist(), strict=True))
    for stratum, size in Counter(found.table["stratum"].to_pylist()).items():
        for arm, share in (("old", 0.5), ("new", 0.3), ("other", 0.2)):
            assert abs(counts[(stratum, arm)] - share * size) <= 1


def test_in_a_stratum_of_one_every_arm_has_its_chance() -> None:
    table = pa.table({"customer_id": np.arange(2000), "segment": np.arange(2000).astype(str)})
    found = assign(table, experiment(arms=THREE, metrics=BLOCKED + '[[metric]]\nname = "m"\n'), on=DAY)
    assert found.check.p_value > 0.001


def test_who_has_an_arm_keeps_it_when_customers_come() -> None:
    test = experiment(metrics=BLOCKED + '[[metric]]\nname = "m"\n')
    before = assign(customers(500), test, on=DAY).table
    later = assign(customers(800), test, on=date(2026, 3, 9), before=before)
    gone = assign(customers(450), test, on=date(2026, 3, 9), before=before)
    assert gone.left_out == {"assigned earlier, but gone": 50}
    now = dict(zip(later.table["customer_id"].to_pylist(), later.table["arm"].to_pylist(), strict=True))
    assert dict(zip(before["customer_id"].to_pylist(), before["arm"].to_pylist(), strict=True)).items() <= now.items()
    assert later.kept == 500
    assert sum(later.check.found) == 300
    assert Counter(later.table["assigned_on"].to_pylist()) == {DAY: 500, date(2026, 3, 9): 300}


def test_experiments_of_one_layer_share_no_customer_and_the_holdout_is_in_none() -> None:
    held = "[holdout]\nshare = 0.1\n"
    layers = [f'[layer]\nname = "cards"\nfrom = {a}\nto = {b}\n' for a, b in ((0.0, 0.4), (0.4, 1.0))]
    table = customers(10_000)
    metric = '[[metric]]\nname = "m"\n'
    first, second = (assign(table, experiment(metrics=metric + held + layer), on=DAY) for layer in layers)
    one, two = (set(found.table["customer_id"].to_pylist()) for found in (first, second))
    assert not one & two
    assert first.left_out["holdout"] == second.left_out["holdout"] == 10_000 - len(one | two)
    assert abs(first.left_out["holdout"] - 1000) < 100
    assert abs(len(one) - 3600) < 160


def test_only_the_eligible_are_in() -> None:
    found = assign(customers(1000), experiment(top='eligible = { segment = ["a", "c"] }\n'), on=DAY)
    assert set(found.table["customer_id"].to_pylist()) == {
        row["customer_id"] for row in customers(1000).to_pylist() if row["segment"] != "b"
    }
    assert found.left_out["not eligible"] == 1000 - found.table.num_rows


def test_values_are_compared_as_they_are_written() -> None:
    table = pa.table({"tier": pa.array([1, 2, None]), "home": [True, False, None], "score": [0.5, 1.0, 2.0]})
    assert fits(table, {}).tolist() == [True, True, True]
    assert fits(table, {"home": False}).tolist() == [False, True, False]
    assert fits(table, {"score": 0.5}).tolist() == [True, False, False]


WRONG = {
    "no stratum": (
        customers(3).rename_columns(["customer_id", "segmnt"]),
        "no column 'segment' (did you mean 'segmnt'?)",
    ),
    "twice": (pa.concat_tables([customers(3), customers(2)]), "2 stand there more than once: 0, 1"),
    "null": (pa.table({"customer_id": pa.array([1, None]), "segment": ["a", "b"]}), "customer_id is null in 1 rows"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_customers(case: str) -> None:
    table, message = WRONG[case]
    test = experiment(metrics=BLOCKED + '[[metric]]\nname = "m"\n')
    with pytest.raises(ExperimentError, match="customers: ") as error:
        assign(table, test, on=DAY)
    assert message in str(error.value)


def test_nobody_is_left() -> None:
    found = assign(customers(10), experiment(top='eligible = { segment = "z" }\n'), on=DAY)
    assert found.table.num_rows == 0
    assert found.check.verdict == "There are no customers."


def test_a_mismatch_is_told_with_numbers() -> None:
    check = ratio_check(["old", "new"], [5300, 4700], [0.5, 0.5])
    assert check.broken
    assert "old 5,300 (5,000 expected)" in check.verdict
    from scipy.stats import chisquare

    assert check.p_value == pytest.approx(chisquare([5300, 4700]).pvalue, rel=1e-9)
