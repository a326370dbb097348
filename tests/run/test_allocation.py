"""Scarce capacity shared over decisions: what is joined, what is left out, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.allocate.limits import Limits
from nextoffer.errors import AllocationError, NextOfferError
from nextoffer.policy.decide import Decided
from nextoffer.run.allocation import UNKNOWN, Plan, amount_of, plan_file, planned, worth
from nextoffer.run.decisions import customer_columns
from nextoffer.run.engine import Engine
from nextoffer.tables.bank import Bank
from nextoffer.tables.write import write_table
from tests.run.worlds import altered, stored, with_column


@pytest.fixture(scope="module")
def offers(retail_engine: Engine, retail_bank: Bank) -> pa.Table:
    return retail_engine.recommend(retail_bank).decisions


def limits(text: str) -> Limits:
    return Limits.parse(text)


def test_nothing_is_lost_and_ranks_begin_at_one(offers: pa.Table, retail_bank: Bank) -> None:
    plan = planned(offers, limits('per_customer = 2\nresource = [{name = "mails", capacity = 90}]'), retail_bank)
    assert plan.offers.num_rows + plan.refusals.num_rows == offers.num_rows
    assert plan.offers.column_names == [*offers.column_names, "assigned_rm", "slot_day"]
    assert set(plan.refusals.column("stage").to_pylist()) == {"capacity"}
    by_customer: dict[str, list[int]] = {}
    for row in plan.offers.to_pylist():
        by_customer.setdefault(row["customer_id"], []).append(row["rank"])
    assert all(ranks == list(range(1, len(ranks) + 1)) for ranks in by_customer.values())
    assert plan.left_out == dict(sorted(plan.left_out.items(), key=lambda entry: (-entry[1], entry[0])))


def test_columns_come_from_decisions_customers_and_products(offers: pa.Table, retail_bank: Bank) -> None:
    text = """
        per_customer = 3
        resource = [
            {name = "money", capacity = 40, use = "cost"}, {name = "same", capacity = 9e9, use = "product.cost"},
            {name = "young", capacity = 0, where = {segment = "Mass"}},
        ]
    """
    plan = planned(offers, limits(text), retail_bank)
    products = dict(
        zip(*retail_bank.table("products").select(["product_id", "cost"]).to_pydict().values(), strict=True)
    )
    spent = sum(products[p] for p in plan.offers.column("product_id").to_pylist())
    used = {row["limit"]: row["used"] for row in plan.found.limits.to_pylist()}
    assert used == pytest.approx({"money": spent, "same": spent, "young": 0})
    segment = dict(zip(*customer_columns(retail_bank, ["segment"]).to_pydict().values(), strict=True))
    assert "Mass" not in {segment[c] for c in plan.offers.column("customer_id").to_pylist()}
    assert 0 < spent <= 40


def test_the_customers_own_rm_makes_the_offer(offers: pa.Table, retail_bank: Bank) -> None:
    channel = pa.array(["rm"] * offers.num_rows)
    plan = planned(with_column(offers, "channel", channel), limits("rm = {minutes = 30, hours = 2}"), retail_bank)
    own = dict(zip(*customer_columns(retail_bank, ["rm_id"]).to_pydict().values(), strict=True))
    pairs = zip(
        plan.offers.column("customer_id").to_pylist(), plan.offers.column("assigned_rm").to_pylist(), strict=True
    )
    assert plan.offers.num_rows > 0
    assert all(own[customer] == rm for customer, rm in pairs)
    assert "rm_id" not in plan.offers.column_names
    assert "rm.nobody" in plan.left_out


def test_a_column_that_is_nowhere_and_one_that_is_sensitive_are_told(offers: pa.Table, retail_bank: Bank) -> None:
    text = 'volume = [{column = "segmnt", value = "HNI"}, {column = "gender", value = "f"}]\n[[resource]]\n' + (
        'name = "m"\ncapacity = 1\nuse = "product.csot"\n'
    )
    with pytest.raises(AllocationError, match="sensitive") as raised:
        planned(offers, limits(text), retail_bank)
    first, second, third = raised.value.problems
    assert first.startswith("resource 'm': use: no column 'product.csot' (did you mean 'product.cost'?); the decisions")
    assert second.startswith("volume: column: no column 'segmnt' (did you mean 'segment'?)")
    assert third == "volume: column: 'gender' is sensitive (bank.toml): it measures fairness, and decides nothing"


def test_offers_without_a_value_are_left_out_and_said(offers: pa.Table, retail_bank: Bank) -> None:
    values = offers.column("expected_value").to_pylist()
    table = with_column(offers, "expected_value", [None if i % 3 == 0 else v for i, v in enumerate(values)])
    plan = planned(table, limits("per_customer = 9"), retail_bank)
    assert plan.left_out[UNKNOWN] == len(values[::3])
    assert plan.refusals.schema == planned(offers, limits(""), retail_bank).refusals.schema
    assert plan.offers.num_rows + plan.refusals.num_rows == offers.num_rows
    unvalued = with_column(offers, "expected_value", pa.nulls(offers.num_rows, pa.float64()))
    with pytest.raises(AllocationError, match="no offer has a 'expected_value': it needs the products' margin"):
        planned(unvalued, limits(""), retail_bank)
    assert planned(unvalued, limits(""), retail_bank, value="propensity").found.value > 0


def test_a_value_column_that_is_nowhere_and_an_empty_file(offers: pa.Table, retail_bank: Bank) -> None:
    with pytest.raises(AllocationError, match=r"no column 'propensty' \(did you mean 'propensity'\?\)"):
        planned(offers, limits(""), retail_bank, value="propensty")
    plan = planned(offers.slice(0, 0), limits('resource = [{name = "m", capacity = 1}]'), retail_bank)
    assert (plan.offers.num_rows, plan.refusals.num_rows, plan.found.share) == (0, 0, 1.0)


def test_rows_in_any_order_give_the_same_plan(offers: pa.Table, retail_bank: Bank) -> None:
    shuffled = offers.take(pa.array(np.random.default_rng(1).permutation(offers.num_rows)))
    wanted = limits('per_customer = 2\nresource = [{name = "m", capacity = 70}]')
    plans = [planned(table, wanted, retail_bank) for table in (offers, shuffled)]
    keys = [("customer_id", "ascending"), ("rank", "ascending")]
    assert plans[0].offers.sort_by(keys).equals(plans[1].offers.sort_by(keys))


def test_ids_may_be_numbers_and_files_csv(bank: Bank, decided: Decided, tmp_path: Path) -> None:
    write_table(decided.decisions, tmp_path / "o.csv")
    (tmp_path / "l.toml").write_text('resource = [{name = "mails", capacity = 20}]', encoding="utf-8")
    said: list[str] = []
    plan = plan_file(
        tmp_path / "o.csv", tmp_path / "l.toml", bank, tmp_path / "p.csv", value="propensity", step=said.append
    )
    assert isinstance(plan, Plan)
    assert plan.offers.num_rows == 20
    assert len(said) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.toml", "o.csv", "p.csv", "p.refusals.csv"]
    with pytest.raises(NextOfferError, match="the plan would replace the decisions it is made from"):
        plan_file(tmp_path / "o.csv", tmp_path / "l.toml", bank, tmp_path / "o.csv")


def test_a_column_of_both_is_the_customers(world: Path, tmp_path: Path, decided: Decided) -> None:
    customers, products = stored(world, "customers"), stored(world, "products")
    bank = altered(
        world,
        tmp_path / "b",
        {
            "customers": with_column(customers, "room", pa.array([1.0] * customers.num_rows)),
            "products": with_column(products, "room", pa.array([0.0] * products.num_rows)),
        },
    )
    text = 'resource = [{name = "a", capacity = 3, use = "room"}, {name = "b", capacity = 3, use = "product.room"}]'
    plan = planned(decided.decisions, limits(text), bank, value="propensity")
    assert plan.found.limits.column("used").to_pylist() == [3.0, 0.0]


def test_prices_in_words() -> None:
    row = {"limit": "budget", "unit": "unit", "kind": "at most", "capacity": 10.0, "used": 10.0, "price": 0.0312}
    assert worth(row, "EUR") == "one more unit of budget is worth 0.0312 EUR"
    assert worth({**row, "limit": "rm RM7"}, "EUR") == "one more unit of RM7 is worth 0.0312 EUR"
    assert worth({**row, "limit": "x = y (max)", "unit": "offer", "price": 2.0}, "EUR") == (
        "one more offer allowed (x = y) is worth 2.00 EUR"
    )
    assert worth({**row, "price": 0.0}, "EUR") == "more of it would add nothing"
    assert worth({**row, "price": 0.0, "used": 9.0}, "EUR") == "more of it would add nothing: 1 unit is left"
    assert worth({**row, "kind": "at least", "price": 0.0}, "EUR") == "asking for it costs nothing"
    assert amount_of(0.0) == "0.00"
