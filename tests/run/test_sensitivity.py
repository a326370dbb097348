"""Inputs are changed as stated, and what is not looked at changes nothing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.evaluate.sensitivity import FAMILY, FEATURE, FIRST, MOVED, NOISE, STOPPED
from nextoffer.run.engine import Engine
from nextoffer.run.exactness import exactness
from nextoffer.run.sensitivity import NOISES, UNKNOWN, Sampled, of_families, of_feature, of_noise, refitted, sensitivity
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, CUSTOMERS, RATES


@pytest.fixture(scope="module")
def sampled(engine: Engine, bank: Bank) -> Sampled:
    return Sampled.of(engine, bank, AS_OF)


def test_the_sample_is_decided_for_as_the_engine_does(sampled: Sampled, engine: Engine, bank: Bank) -> None:
    decisions = engine.recommend(bank).decisions
    assert sampled.before.offered.sum() == decisions.num_rows
    assert (sampled.before.first >= 0).sum() == decisions.column("rank").to_pylist().count(1)
    assert len(Sampled.of(engine, bank, AS_OF, most=60).known.features) < CUSTOMERS


def test_numbers_move_by_what_is_said_and_stay_in_the_range_seen(sampled: Sampled) -> None:
    table = sampled.known.features
    income = table.numbers("income")
    made = {change.change: (new, changed) for change, new, changed in of_feature(sampled, table.column("income"))}
    assert list(made) == ["+ 1 sd", "− 1 sd", "+ 10 %", "− 10 %", UNKNOWN]
    raised, changed = made["+ 10 %"]
    expected = np.minimum(income * 1.1, np.nanmax(income))
    assert raised.numbers("income") == pytest.approx(expected, nan_ok=True)
    assert changed.tolist() == (np.isfinite(income) & (expected != income)).tolist()
    assert np.isnan(made[UNKNOWN][0].numbers("income")).all()
    for new, _ in made.values():
        assert new.data.drop_columns(["income"]).equals(table.data.drop_columns(["income"]))


def test_categories_are_dealt_to_others_and_flags_turned(sampled: Sampled) -> None:
    table = sampled.known.features
    (dealt, _) = of_feature(sampled, table.column("segment"))
    old, new = table.texts("segment"), dealt[1].texts("segment")
    assert sorted(map(str, old)) == sorted(map(str, new))
    assert dealt[2].tolist() == [a != b for a, b in zip(old, new, strict=True)]
    flag = next(c for c in table.columns if c.kind == "flag")
    (turned, _) = of_feature(sampled, flag)
    assert (turned[1].numbers(flag.name) == 1 - table.numbers(flag.name)).all()


def test_a_family_is_not_known_and_numbers_are_noisy(sampled: Sampled) -> None:
    families = {change.feature: (table, changed) for change, table, changed in of_families(sampled)}
    assert "profile" in families
    for name, (table, _) in families.items():
        hidden = [c.name for c in table.columns if c.group == name and c.name in sampled.engine.ranker.reads]
        assert hidden
        assert all(table.array(column).null_count == len(table) for column in hidden)
    noisy = [table for _, table, _ in of_noise(sampled)]
    assert len(noisy) == len(NOISES)
    old, new = sampled.known.features.numbers("income"), noisy[0].numbers("income")
    assert np.nanstd(new / old) == pytest.approx(NOISES[0], rel=0.2)


def test_what_the_scores_and_rules_do_not_read_changes_nothing(bank: Bank) -> None:
    rates = Engine.fit(bank, as_of=AS_OF, ranker=RATES)
    rows = sensitivity(Sampled.of(rates, bank, AS_OF), ["age"]).to_pylist()  # which reasons ask for
    assert rows
    assert {r["estimate"] for r in rows if r["metric"] in (MOVED, FIRST)} == {0.0}


def test_a_rule_that_reads_the_input_is_told_beside(sampled: Sampled) -> None:
    rows = sensitivity(sampled, ["income"]).to_pylist()
    assert {row["kind"] for row in rows} == {FEATURE, FAMILY, NOISE}
    found = {(r["change"], r["metric"]): r for r in rows if r["kind"] == FEATURE}
    assert found[UNKNOWN, STOPPED]["estimate"] > found["+ 10 %", STOPPED]["estimate"] == 0.0
    assert found[UNKNOWN, FIRST]["estimate"] >= found[UNKNOWN, STOPPED]["estimate"]
    for row in rows:
        assert row["low"] <= row["estimate"] <= row["high"]


def test_the_same_model_makes_the_same_offers_and_another_one_others(sampled: Sampled, bank: Bank) -> None:
    same = {r["metric"]: r["estimate"] for r in refitted(sampled, sampled.engine, "itself").to_pylist()}
    assert (same[MOVED], same[FIRST]) == (0.0, 0.0)
    other = refitted(sampled, Engine.fit(bank, as_of=AS_OF, ranker=RATES), "rates")
    assert {r["metric"]: r["estimate"] for r in other.to_pylist()}[FIRST] > 0


def test_scores_are_the_sums_of_their_parts_alone_as_in_a_batch(sampled: Sampled) -> None:
    found = exactness(sampled)
    assert found.error < 1e-5
    assert (found.alone, found.repeated, found.leaks) == (0.0, 0, ())
    assert found.offers == sampled.before.offered.sum()
    assert 0 < found.told <= found.offers


def test_a_rule_on_a_closed_column_is_a_leak(sampled: Sampled, bank: Bank) -> None:
    from dataclasses import replace

    closed = replace(bank, config=bank.config.model_copy(update={"sensitive": ("income",)}))
    assert exactness(replace(sampled, bank=closed)).leaks == ("income",)


def test_the_sample_does_not_depend_on_the_order_of_rows(sampled: Sampled) -> None:
    ids = sampled.known.features.customer_ids
    assert ids.to_pylist() == sorted(ids.to_pylist())
    assert pa.types.is_integer(ids.type)
