"""No limit is ever exceeded, no plan is above the bound, HiGHS finds no more, and the order of rows changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer import compiled
from nextoffer.allocate import exact, offers
from nextoffer.allocate.allocate import LIMITS, Allocation, allocate
from nextoffer.allocate.limits import Adviser, Advisers, Amount, Limits, Resource, Slots, Volume
from nextoffer.errors import AllocationError
from nextoffer.tables.flow import refusals_schema
from tests.allocate.toys import Whole, bank, broken, limit_sets, table, tables


@contextmanager
def kernels() -> Iterator[None]:
    """Use machine code within, as after `compiled.warm_up`, and numpy again afterwards."""
    assert compiled.warm_up()
    try:
        yield
    finally:
        compiled.cool_down()


def scarce(customers: int, *, anyone: bool = False, per_customer: int = 1) -> Limits:
    """Return limits that bind for `bank`: time of RMs, calls, money, a least and a most."""
    hours = customers / 60
    return Limits(
        per_customer=per_customer,
        resource=[
            Resource(name="budget", capacity=customers * 0.7, use="cost"),
            Resource(name="mails", capacity=customers // 3, where={"channel": "mail"}),
        ],
        slots=[Slots(per_day=(customers // 25,) * 5)],
        rm=Advisers(
            minutes=45,
            amounts=[Amount(where={"product_id": "home"}, amount=60)],
            anyone=anyone,
            person=[
                Adviser(rm_id="r0", hours=hours),
                Adviser(rm_id="r1", hours=hours * 2, skills=("credit",)),
                Adviser(rm_id="r2", hours=hours / 2, skills=("daily", "wealth")),
            ],
        ),
        volume=[
            Volume(column="product_id", value="card", max=customers // 6),
            Volume(column="segment", value="affluent", min=customers // 6),
        ],
    )


def made(plan: Allocation) -> list[tuple[object, ...]]:
    """Return the plan's offers, sorted."""
    names = [n for n in ("assigned_rm", "slot_day") if n in plan.offers.column_names]
    columns = ["customer_id", "product_id", *names]
    return sorted((tuple(row.values()) for row in plan.offers.select(columns).to_pylist()), key=str)


@given(tables(), limit_sets())
def test_no_limit_is_exceeded_and_no_plan_is_above_the_bound(offers: pa.Table, limits: Limits) -> None:
    plan = allocate(offers, limits)
    assert broken(plan, limits) == []
    best = Whole(offers, limits).best()
    assert best is not None
    assert plan.value <= best + 1e-6
    assert best <= plan.bound + 1e-6
    assert plan.value == pytest.approx(sum(plan.offers["expected_value"].to_pylist()), abs=1e-9)
    assert all(v > 0 for v in plan.offers["expected_value"].to_pylist())


@given(tables(), limit_sets(minimums=True))
@settings(max_examples=200)
def test_minimums_are_met_or_an_error_says_why(offers: pa.Table, limits: Limits) -> None:
    best = Whole(offers, limits).best()
    if best is None:
        with pytest.raises(AllocationError, match="asks for"):
            allocate(offers, limits)
        return
    try:
        plan = allocate(offers, limits)
    except AllocationError:
        assert limits.rm is not None
        assert limits.rm.anyone  # offers are given to single RMs whole and last; only so can a plan be missed
        return
    assert broken(plan, limits) == []
    assert plan.value <= best + 1e-6
    assert best <= plan.bound + 1e-6


@given(tables(), limit_sets(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(offers: pa.Table, limits: Limits, random: object) -> None:
    order = list(range(offers.num_rows))
    random.shuffle(order)  # type: ignore[attr-defined]
    one, other = allocate(offers, limits), allocate(offers.take(pa.array(order, pa.int64())), limits)
    assert made(one) == made(other)
    assert one.bound == other.bound
    assert one.limits.equals(other.limits)
    assert sorted(map(str, one.refusals.to_pylist())) == sorted(map(str, other.refusals.to_pylist()))


@given(tables(), limit_sets())
def test_every_offer_is_made_or_refused_once(offers: pa.Table, limits: Limits) -> None:
    plan = allocate(offers, limits)
    pairs = [*_pairs(plan.offers), *_pairs(plan.refusals)]
    assert sorted(pairs) == sorted(_pairs(offers))
    assert plan.refusals.schema == refusals_schema(pa.int64(), pa.string())
    assert set(plan.refusals["stage"].to_pylist()) <= {"capacity"}
    known = {"per_customer", "value", "rm.skill", "rm.nobody", "rm.hours", *plan.limits["limit"].to_pylist()}
    assert all(rule in known or rule.startswith("rm (") for rule in plan.refusals["rule"].to_pylist())
    full = {c for c, n in Counter(plan.offers["customer_id"].to_pylist()).items() if n == limits.per_customer}
    told = plan.refusals.to_pylist()
    assert {row["customer_id"] for row in told if row["rule"] == "per_customer"} <= full


def _pairs(rows: pa.Table) -> list[tuple[object, object]]:
    return list(zip(rows["customer_id"].to_pylist(), rows["product_id"].to_pylist(), strict=True))


@given(tables(), limit_sets(), st.sampled_from([0.5, 1.0, 3.0]))
def test_more_capacity_never_lowers_the_bound(offers: pa.Table, limits: Limits, more: float) -> None:
    wider = limits.model_copy(
        update={
            "resource": tuple(r.model_copy(update={"capacity": r.capacity + more}) for r in limits.resource),
            "slots": tuple(s.model_copy(update={"per_day": (*s.per_day, 1)}) for s in limits.slots),
        }
    )
    assert allocate(offers, wider).bound >= allocate(offers, limits).bound - 1e-6


@given(tables(), limit_sets())
def test_prices_are_not_negative_and_nothing_where_all_offers_together_leave_room(
    offers: pa.Table, limits: Limits
) -> None:
    plan = allocate(offers, limits)
    rows = [r for r in offers.to_pylist() if r["expected_value"] > 0]
    assert all(row["price"] >= 0 and row["used"] <= row["capacity"] + 1e-9 for row in plan.limits.to_pylist())
    for row in plan.limits.to_pylist():
        if row["limit"] == "budget" and sum(r["cost"] for r in rows) < row["capacity"]:
            assert row["price"] == 0
        if row["limit"] == "mails" and sum(r["channel"] == "mail" for r in rows) < row["capacity"]:
            assert row["price"] == 0


@given(tables(), limit_sets(minimums=True))
@settings(max_examples=50)
def test_kernels_change_nothing(offers: pa.Table, limits: Limits) -> None:
    compiled.cool_down()
    try:
        plain = allocate(offers, limits)
    except AllocationError:
        return
    with kernels():
        fast = allocate(offers, limits)
    assert plain.offers.equals(fast.offers)
    assert plain.refusals.equals(fast.refusals)
    assert plain.limits.equals(fast.limits)
    assert plain.bound == fast.bound


@pytest.mark.parametrize(("anyone", "per_customer"), [(False, 1), (False, 2), (True, 1), (True, 2)])
def test_a_bank_gets_nearly_all_there_is(anyone: bool, per_customer: int) -> None:
    offers, limits = bank(1500, seed=4), scarce(1500, anyone=anyone, per_customer=per_customer)
    compiled.cool_down()
    plan = allocate(offers, limits)
    assert offers.num_rows > exact.SMALL  # so that the prices are our own
    assert broken(plan, limits) == []
    relaxed = Whole(offers, limits).relaxed()
    assert plan.bound <= relaxed * 1.0005
    assert plan.share >= 0.985
    with kernels():
        fast = allocate(offers, limits)
    assert plan.offers.equals(fast.offers)
    assert plan.limits.equals(fast.limits)
    shuffled = allocate(offers.take(pa.array(np.random.default_rng(3).permutation(len(offers)))), limits)
    assert made(shuffled) == made(plan)
    assert shuffled.bound == plan.bound


def test_a_limit_with_room_costs_nothing_in_a_bank() -> None:
    offers = bank(1500, seed=5)
    limits = Limits(
        resource=[
            Resource(name="money", capacity=900.0, use="cost"),
            Resource(name="mails", capacity=1400, where={"channel": "mail"}),
        ]
    )
    told = {row["limit"]: row for row in allocate(offers, limits).limits.to_pylist()}
    assert told["mails"]["used"] < 1400
    assert told["mails"]["price"] == 0
    assert told["money"]["price"] > 0


def test_a_price_is_what_one_more_unit_is_worth() -> None:
    offers = bank(1500, seed=6)

    def with_calls(count: int) -> Allocation:
        return allocate(offers, Limits(slots=[Slots(per_day=(count,))]))

    price = with_calls(200).limits["price"].to_pylist()[0]
    assert with_calls(210).value - with_calls(200).value == pytest.approx(10 * price, rel=0.1)


def test_ties_everywhere_are_shared_by_key_and_not_by_row() -> None:
    rows = [
        {"customer_id": c, "product_id": p, "expected_value": 1.0, "channel": "mail"} for c in range(50) for p in "abc"
    ]
    offers = pa.Table.from_pylist(rows)
    limits = Limits(resource=[Resource(name="mails", capacity=20)])
    plan = allocate(offers, limits)
    assert (plan.value, plan.bound) == (20.0, 20.0)
    assert made(plan) != made(allocate(offers, limits, seed=8))
    assert made(plan) == made(allocate(offers.take(pa.array(list(range(149, -1, -1)))), limits))


def test_no_offers_make_an_empty_plan() -> None:
    plan = allocate(table([]), scarce(0).model_copy(update={"volume": ()}))
    assert (plan.offers.num_rows, plan.refusals.num_rows, plan.value, plan.bound) == (0, 0, 0.0, 0.0)
    assert plan.limits.schema == LIMITS
    assert plan.share == 1.0


def test_no_capacity_makes_an_empty_plan_and_names_the_limit() -> None:
    offers = bank(4, seed=1)
    plan = allocate(offers, Limits(resource=[Resource(name="mails", capacity=0)]))
    assert plan.offers.num_rows == 0
    assert set(plan.refusals["rule"].to_pylist()) == {"mails"}
    assert plan.bound == 0.0


def test_an_offer_of_negative_value_is_made_only_for_a_minimum() -> None:
    offers = pa.table({"customer_id": [1, 2], "product_id": ["a", "b"], "expected_value": [-1.0, 3.0]})
    assert allocate(offers, Limits()).offers["product_id"].to_pylist() == ["b"]
    assert allocate(offers, Limits()).refusals["rule"].to_pylist() == ["value"]
    wanted = Limits(volume=[Volume(column="product_id", value="a", min=1)])
    plan = allocate(offers, wanted)
    assert (plan.offers.num_rows, plan.value) == (2, 2.0)
    assert plan.limits["price"].to_pylist() == [1.0]


def test_a_customer_with_several_allowed_gets_the_best() -> None:
    offers = pa.table({"customer_id": [1, 1, 1], "product_id": ["a", "b", "c"], "expected_value": [1.0, 3.0, 2.0]})
    plan = allocate(offers, Limits(per_customer=2))
    assert plan.offers["product_id"].to_pylist() == ["b", "c"]
    assert plan.refusals["rule"].to_pylist() == ["per_customer"]


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.int32(), pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_ids_of_any_type_come_back_as_they_came(kind: pa.DataType) -> None:
    ids = pa.array([1, 2, 3]).cast(pa.string() if not pa.types.is_integer(kind) else kind)
    ids = ids.dictionary_encode() if pa.types.is_dictionary(kind) else ids.cast(kind)
    offers = pa.table({"customer_id": ids, "product_id": ids, "expected_value": [1.0, 3.0, 2.0]})
    plan = allocate(offers, Limits(resource=[Resource(name="mails", capacity=2)]))
    assert plan.offers["customer_id"].type == kind
    assert plan.refusals["product_id"].type == kind
    assert [str(v) for v in plan.offers["customer_id"].to_pylist()] == ["2", "3"]


def test_an_offer_goes_to_the_own_rm_or_to_anyone_who_can() -> None:
    rows = {"customer_id": [1, 2, 3], "product_id": ["x"] * 3, "product_type": ["credit"] * 3, "channel": ["rm"] * 3}
    offers = pa.table(rows | {"expected_value": [3.0, 2.0, 1.0], "rm_id": ["a", "a", None]})
    people = [Adviser(rm_id="a", hours=1), Adviser(rm_id="b", hours=1), Adviser(rm_id="c", hours=9, skills=("fund",))]
    own = allocate(offers, Limits(rm=Advisers(minutes=60, person=people)))
    assert own.offers["assigned_rm"].to_pylist() == ["a"]
    assert own.refusals["rule"].to_pylist() == ["rm a", "rm.nobody"]
    pooled = allocate(offers, Limits(rm=Advisers(minutes=60, person=people, anyone=True)))
    assert sorted(pooled.offers["assigned_rm"].to_pylist()) == ["a", "b"]
    assert pooled.offers["customer_id"].to_pylist() == [1, 2]
    told = {row["limit"]: (row["capacity"], row["used"], row["price"]) for row in pooled.limits.to_pylist()}
    assert told == {"rm a": (1.0, 1.0, 1.0), "rm b": (1.0, 1.0, 1.0), "rm c": (9.0, 0.0, 0.0)}


def test_slots_fill_day_by_day_the_best_first() -> None:
    offers = pa.table(
        {"customer_id": [1, 2, 3], "product_id": ["x"] * 3, "channel": ["call"] * 3, "expected_value": [1.0, 3.0, 2.0]}
    )
    plan = allocate(offers, Limits(slots=[Slots(per_day=(1, 0, 5))]))
    assert plan.offers["slot_day"].to_pylist() == [3, 1, 3]


def test_time_too_short_for_a_whole_meeting_is_no_capacity() -> None:
    offers = pa.table({"customer_id": [1, 2], "product_id": ["x"] * 2, "expected_value": [3.0, 2.0]})
    offers = offers.append_column("channel", pa.array(["rm"] * 2)).append_column("rm_id", pa.array([7, 7]))
    plan = allocate(offers, Limits(rm=Advisers(minutes=45, hours=1.4)))
    assert (plan.value, plan.bound) == (3.0, 3.0)
    assert plan.offers["assigned_rm"].to_pylist() == ["7"]


def test_columns_encoded_side_by_side_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    given_offers, limits = bank(300, seed=4), scarce(300)
    plain = allocate(given_offers, limits)
    monkeypatch.setattr(offers, "_WORTH_A_THREAD", 0)
    beside = allocate(given_offers, limits)
    assert beside.offers.equals(plain.offers)
    assert beside.refusals.equals(plain.refusals)


def test_only_columns_without_fractions_are_encoded_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "_WORTH_A_THREAD", 0)
    read = offers.Offers.read(bank(300, seed=4), "expected_value", 7)
    read.encode(["channel", "rm_id", "cost", "nowhere"])
    assert set(read._found) == {"channel", "rm_id"}
