"""The propensity without an offer, from the offers that a bank held back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.keyed import uniform
from nextoffer.models.ranker import sigmoid
from nextoffer.policy.file import Arbitration, Policy
from nextoffer.run.engine import Engine
from nextoffer.run.labels import labelled
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, DAY, RATES, QuickRanker, altered, equal, more, stored, with_column


def held_back(world: Path, share: float) -> pa.Table:
    """Return the offers of a world, a keyed share of them held back; what is accepted is taken up anyway."""
    responses = stored(world, "responses")
    control = uniform(7, "arm of this test", np.arange(responses.num_rows)) < share
    return with_column(responses, "arm", np.where(control, "control", "treatment"))


@pytest.fixture(scope="module")
def bank(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return altered(world, tmp_path_factory.mktemp("natural") / "b", {"responses": held_back(world, 0.3)})


@pytest.fixture(scope="module")
def engine(bank: Bank) -> Engine:
    return Engine.fit(bank, as_of=AS_OF, ranker=QuickRanker())


def test_offers_held_back_come_with_the_customers_of_their_day(bank: Bank, engine: Engine) -> None:
    found = labelled(bank, engine.spec, AS_OF, seed=7)
    other = found.held_back
    assert other is not None
    arms = bank.connect().sql(
        f"select arm, count(*), sum(label) from responses where offered_on < '{AS_OF}' group by 1"
    )
    counts = {arm: (rows, yes) for arm, rows, yes in arms.fetchall()}
    assert (len(other), other.labels.sum()) == counts["control"]
    assert (len(found.training), found.training.labels.sum()) == counts["treatment"]
    assert [s.as_of for s in other.snapshots] == [s.as_of for s in found.training.snapshots[:-1]]
    seen = {
        (other.snapshots[s].customer_ids[int(r)].as_py(), int(other.products.ids[c]), other.snapshots[s].as_of)
        for s, r, c in zip(other.snapshot, other.rows, other.cols, strict=True)
    }
    rows = bank.connect().sql(
        f"select customer_id, product_id, offered_on from responses where arm = 'control' and offered_on < '{AS_OF}'"
    )
    assert seen == set(rows.fetchall())


def test_offers_held_back_change_nothing_of_the_ranker(world: Path, bank: Bank, engine: Engine, tmp_path: Path) -> None:
    responses = held_back(world, 0.3)
    only_made = responses.filter(pa.compute.field("arm") == "treatment")
    without = Engine.fit(altered(world, tmp_path / "b", {"responses": only_made}), as_of=AS_OF, ranker=QuickRanker())
    assert without.natural is None
    assert without.details["natural"] == {"not_learned": "no offers were held back (responses with arm = 'control')"}
    assert engine.natural is not None
    one, other = (e.ranker.card_.arrays() for e in (engine, without))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert engine.model_id != without.model_id


def test_offers_that_change_nothing_are_found_to(engine: Engine, bank: Bank) -> None:
    told = engine.details["natural"]
    assert told["average_uplift"]["low"] < 0 < told["average_uplift"]["high"]
    assert told["parts"] == ["shift"]
    assert abs(told["shift"]) < 0.4


def test_the_batch_holds_propensities_without_an_offer(engine: Engine, bank: Bank) -> None:
    desk = engine.desk(bank.table("products"))
    batch = desk.batch(engine.known(bank, [3, 1, 2]))
    assert batch.natural is not None
    assert batch.natural.dtype == np.float32
    assert batch.natural == pytest.approx(sigmoid(batch.scores.log_odds + engine.natural.shift), abs=1e-6)


def test_decisions_tell_what_the_offer_adds(engine: Engine, bank: Bank) -> None:
    decisions = engine.recommend(bank).decisions
    propensity, uplift = (decisions.column(name).to_numpy() for name in ("propensity", "uplift"))
    log_odds = np.log(propensity / (1.0 - propensity))
    assert len(uplift) > 500
    assert uplift == pytest.approx(propensity - sigmoid(log_odds + engine.natural.shift), abs=1e-5)


def test_a_policy_that_asks_for_more_than_the_model_knows_is_told(engine: Engine, retail_engine: Engine) -> None:
    asks = Policy(arbitration=Arbitration(objective="incremental_value"))
    assert engine.with_policy(asks).notes == ()
    assert retail_engine.natural is None
    assert retail_engine.notes == ()
    (note,) = retail_engine.with_policy(asks).notes
    assert "does not know the propensity without an offer (of " in note
    assert "value is used instead" in note


def test_saved_and_loaded_it_is_there(engine: Engine, bank: Bank, tmp_path: Path) -> None:
    engine.save(tmp_path / "m")
    loaded = Engine.load(tmp_path / "m")
    assert loaded.model_id == engine.model_id
    assert loaded.natural is not None
    assert loaded.natural.summary() == engine.natural.summary()
    assert equal(loaded.recommend(bank), engine.recommend(bank))
    assert json.loads((tmp_path / "m" / "natural.json").read_text())["shift"] == engine.natural.shift


def test_what_it_looks_at_is_among_the_features_of_a_decision(engine: Engine) -> None:
    assert engine.natural.reads <= {c.name for c in engine.needs.columns}


def test_too_few_taken_up_is_said(world: Path, tmp_path: Path) -> None:
    responses = held_back(world, 0.01)
    engine = Engine.fit(altered(world, tmp_path / "b", {"responses": responses}), as_of=AS_OF, ranker=RATES)
    assert engine.natural is None
    assert "were taken up all the same; 20 are needed" in engine.details["natural"]["not_learned"]


def test_nothing_after_the_day_is_looked_at(world: Path, bank: Bank, engine: Engine, tmp_path: Path) -> None:
    later = {"customer_id": 1, "product_id": 1, "label": 1, "arm": "control", "offered_on": AS_OF + DAY}
    responses = more(held_back(world, 0.3), [{**later, "product_id": p} for p in (1, 2, 3)])
    again = Engine.fit(altered(world, tmp_path / "b", {"responses": responses}), as_of=AS_OF, ranker=QuickRanker())
    assert again.details["natural"] == engine.details["natural"]
    assert again.model_id == engine.model_id
