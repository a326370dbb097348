"""Differences on the same customers: two-sided chances, Holm's correction, lists of several days."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from statsmodels.stats.multitest import multipletests

from nextoffer.evaluate.paired import Sheet, calibration_by_product, differences, figures_of, holm_adjusted
from nextoffer.evaluate.pairs import Contender

NOTHING, BETTER = "nothing", "better"


def day(seed: int, customers: int = 60) -> tuple[pa.Table, dict[str, Contender]]:
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(customers), 4)
    label = (rng.random(len(who)) < 0.4).astype(float)
    table = pa.table({"customer_id": who, "product_id": np.tile(list("abcd"), customers), "label": label})
    noise = rng.random(len(who))
    return table, {NOTHING: Contender(noise, True), BETTER: Contender(np.clip(noise * 0.6 + label * 0.4, 0, 1), True)}


def test_holm_is_that_of_statsmodels() -> None:
    chances = np.random.default_rng(4).random(12) ** 3
    assert holm_adjusted(chances.tolist()) == pytest.approx(multipletests(chances, method="holm")[1])
    assert holm_adjusted([]) == []


def test_a_better_model_is_found_and_the_same_one_is_not() -> None:
    part = day(1)
    found = figures_of(Sheet.of([part]), Sheet.of([part]))
    rows = differences(found, [(BETTER, NOTHING), (NOTHING, NOTHING)], "x", resamples=200).to_pylist()
    for row in rows:
        if row["model"] == BETTER:
            assert row["p_holm"] < 0.05
            assert (row["estimate"] < 0) == (row["metric"] == "log_loss")
        else:
            assert (row["estimate"], row["p"]) == (0.0, 1.0)


def test_the_same_day_twice_is_as_sure_as_once() -> None:
    """Customers are resampled with all their days: repeating what is known adds nothing."""
    part = day(2)
    once, twice = (
        differences(figures_of(Sheet.of(p), Sheet.of(p)), [(BETTER, NOTHING)], "") for p in ([part], [part] * 2)
    )
    for name in ("estimate", "low", "high", "p"):
        assert twice.column(name).to_pylist() == pytest.approx(once.column(name).to_pylist())


def test_models_missing_on_a_day_are_left_out() -> None:
    first, (table, answers) = day(1), day(2)
    assert set(Sheet.of([first, (table, {NOTHING: answers[NOTHING]})]).contenders) == {NOTHING}


def test_chances_hold_their_level() -> None:
    """Of two models that are equally bad, p < 0.1 comes up in about a tenth of the worlds."""
    seen = 0
    worlds = 200
    for seed in range(worlds):
        table, answers = day(seed, customers=40)
        other = Contender(np.random.default_rng(seed + 9_000).random(table.num_rows), True)
        sheet = Sheet.of([(table, {NOTHING: answers[NOTHING], "other": other})])
        rows = differences([sheet.stated()], [(NOTHING, "other")], "", resamples=200).to_pylist()
        seen += next(r["p"] for r in rows if r["metric"] == "auc") < 0.1
    assert 0.04 < seen / worlds < 0.17  # 0.1 within three standard errors and a little for 40 customers


def test_calibration_of_a_product_that_is_off() -> None:
    table, _ = day(3, customers=300)
    stated = np.where(table.column("product_id").to_numpy(zero_copy_only=False) == "a", 0.8, 0.4)
    rows = {r["product_id"]: r for r in calibration_by_product(table, "m", stated).to_pylist()}
    assert rows["a"]["low"] > 0.3
    assert rows["a"]["n"] == 300
    assert sum(rows[p]["low"] < 0 < rows[p]["high"] for p in "bcd") >= 2


def test_a_product_that_nobody_accepted_is_not_certain() -> None:
    """Of 75 customers none accepted: up to 5 of 100 may (Wilson), whatever resampling zeros would say."""
    made = pa.table({"customer_id": range(75), "product_id": ["a"] * 75, "label": [0] * 75})
    (row,) = calibration_by_product(made, "m", np.full(75, 0.014)).to_pylist()
    assert (row["stated"], row["accepted"]) == (pytest.approx(0.014), 0.0)
    assert row["low"] == pytest.approx(0.014 - 0.0487, abs=2e-4)
    assert row["high"] == pytest.approx(0.014)
