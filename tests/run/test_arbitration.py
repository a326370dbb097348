"""Arbitration end to end: the same decisions in files, after saving and loading, on workers, and in explanations."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextoffer.policy.arms import Arm
from nextoffer.policy.exploration import Exploration
from nextoffer.policy.file import Contact, Policy
from nextoffer.policy.objective import Arbitration, Context, Lever
from nextoffer.policy.value import Value
from nextoffer.run.batch import Files, eligible_scores, recommend_to_files
from nextoffer.run.engine import Engine
from nextoffer.run.explain import explained
from nextoffer.tables.bank import Bank
from tests.run.worlds import of_customer

EVERYTHING = Policy(
    contact=Contact(cap=99),
    arbitration=Arbitration(
        context=(Context(when="channel_pref = 'mobile' and pair.coholding > 0.2", weight=1.5),),
        lever=(Lever(product_type=("FD", "CC"), weight=1.2),),
    ),
    value=Value(contact_cost={"mobile": 0.5}),
    exploration=Exploration(method="thompson", slots=2),
    arm=(Arm(name="random", share=0.1), Arm(name="popularity", share=0.1)),
)


@pytest.fixture(scope="module")
def weighing(engine: Engine) -> Engine:
    return engine.with_policy(EVERYTHING)


@pytest.fixture(scope="module")
def weighed(weighing: Engine, bank: Bank) -> pa.Table:
    return weighing.recommend(bank).decisions


def test_files_hold_what_the_engine_decides(weighing: Engine, bank: Bank, weighed: pa.Table, tmp_path: Path) -> None:
    files = Files(tmp_path / "offers.parquet", tmp_path / "refusals.parquet")
    recommend_to_files(weighing, bank, files, chunk=77)
    assert pq.read_table(files.decisions).equals(weighed)


def test_a_loaded_engine_decides_the_same(weighing: Engine, bank: Bank, weighed: pa.Table, tmp_path: Path) -> None:
    again = Engine.load(weighing.save(tmp_path / "model"))
    assert again.policy == EVERYTHING
    assert again.recommend(bank).decisions.equals(weighed)


def test_a_book_that_has_been_used_travels(weighing: Engine, bank: Bank, weighed: pa.Table) -> None:
    desk = weighing.desk(bank.table("products"))
    assert pickle.loads(pickle.dumps(desk.decider.book)) == desk.decider.book
    assert weighed.num_rows


def test_chance_and_arms_are_on_the_decisions(weighed: pa.Table) -> None:
    rows = weighed.to_pylist()
    assert {row["arm"] for row in rows} == {"champion", "random", "popularity"}
    for row in rows:
        explored = row["arm"] == "champion" and row["rank"] <= 2
        assert row["arm"] == "random" or explored or row["pscore"] == 1
        assert 0 < row["pscore"] <= 1 + 1e-12
    assert any(row["pscore"] < 1 for row in rows if row["arm"] == "champion")
    assert {row["lever"] for row in rows} == {1.0, 1.2}
    assert {row["context_weight"] for row in rows} == {1.0, 1.5}


def test_an_explanation_shows_the_decisions_numbers(weighing: Engine, bank: Bank, weighed: pa.Table) -> None:
    champion = next(row["customer_id"] for row in weighed.to_pylist() if row["arm"] == "champion")
    found = {e.product_id: e for e in explained(weighing, bank, champion)}
    for row in of_customer(weighed, champion).to_pylist():
        explanation = found[row["product_id"]]
        assert explanation.rank == row["rank"]
        names = ("propensity", "uplift", "value", "expected_value", "context_weight", "lever", "score", "arm")
        assert {name: getattr(explanation, name) for name in names} == {name: row[name] for name in names}


def test_a_score_that_is_not_known_is_null(engine: Engine, bank: Bank) -> None:
    priceless = engine.with_policy(Policy(arbitration=Arbitration(objective="value")))
    assert "margin" not in bank.table("products").column_names
    desk = priceless.desk(bank.table("products"))
    table = eligible_scores(desk.decider, desk.batch(next(priceless.stream(bank))))
    assert table.num_rows
    assert table.column("score").null_count == table.num_rows
    assert table.column("propensity").null_count == 0


def test_a_bank_with_margins_and_risks_is_decided_by_value(retail_engine: Engine, retail_bank: Bank) -> None:
    policy = Policy(arbitration=Arbitration(objective="value"), value=Value(pd=0.03))
    rows = retail_engine.with_policy(policy).recommend(retail_bank).decisions.to_pylist()
    assert rows
    assert all(row["score"] == row["expected_value"] >= 0 for row in rows)
    assert all(a["score"] >= b["score"] for a, b in pairwise(rows) if a["customer_id"] == b["customer_id"])
    products = {p["product_id"]: p for p in retail_bank.table("products").to_pylist()}
    losing = [row for row in rows if (products[row["product_id"]]["lgd"] or 0) > 0]
    assert losing
    assert all(row["value"] < products[row["product_id"]]["margin"] for row in losing)
