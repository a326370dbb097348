"""What was not known when the day began changes no feature; which customers are asked for together changes no value."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.features import build, discover, stream
from tests.features.banks import CUSTOMERS, DAY, MERCHANTS, PRODUCTS, bank_of

PEOPLE = st.sampled_from([1, 2, 3])
PRODUCT = st.sampled_from(["A", "B", "C"])
AMOUNT = st.floats(-1e6, 1e6, allow_nan=False)
CODE = st.sampled_from([None, "5411", "dining", "fuel", "zoo"])
WORD = st.sampled_from([None, "web", "mobile"])
DIRECTION = st.sampled_from([None, "debit", "credit"])


def days(first: int, last: int) -> st.SearchStrategy[date]:
    """Dates from `first` to `last` days after the day features stand for."""
    return st.integers(first, last).map(lambda d: DAY + timedelta(days=d))


PAST, FUTURE = days(-400, -1), days(0, 100)


def transactions(day: st.SearchStrategy[date]) -> st.SearchStrategy[list[Any]]:
    merchant = st.sampled_from([None, 7, 8])
    return st.lists(st.tuples(PEOPLE, day, AMOUNT, merchant, CODE, WORD, DIRECTION), max_size=12)


def holdings(day: st.SearchStrategy[date], closed: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.tuples(PEOPLE, PRODUCT, day, closed).map(_in_order), max_size=6)


def _in_order(row: tuple[Any, ...]) -> tuple[Any, ...]:
    customer, product, opened, closed = row
    return (customer, product, opened, closed if closed is None or opened is None else max(opened, closed))


def responses(day: st.SearchStrategy[date], responded: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.tuples(PEOPLE, PRODUCT, day, st.sampled_from([0, 1]), responded), max_size=6)


def consents(day: st.SearchStrategy[date]) -> st.SearchStrategy[list[Any]]:
    purpose = st.sampled_from(["marketing", "profiling"])
    return st.lists(st.tuples(PEOPLE, purpose, WORD, st.booleans(), day), max_size=6)


@st.composite
def known(draw: st.DrawFn) -> dict[str, Any]:
    """The tables as they were when the day began."""
    return {
        "customers": CUSTOMERS,
        "products": PRODUCTS,
        "merchants": MERCHANTS,
        "transactions": draw(transactions(PAST)),
        "holdings": draw(holdings(st.none() | PAST, st.none() | PAST)),
        "responses": draw(responses(PAST, st.none() | PAST)),
        "consents": draw(consents(PAST)),
    }


@settings(max_examples=15)
@given(before=known(), data=st.data())
def test_what_happens_from_the_day_on_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, Any], data: st.DataObject
) -> None:
    after = dict(before)
    after["transactions"] = before["transactions"] + data.draw(transactions(FUTURE))
    after["responses"] = before["responses"] + data.draw(responses(FUTURE, st.none() | FUTURE))
    after["consents"] = before["consents"] + data.draw(consents(days(1, 100)))
    closed_later = [(*row[:3], row[3] or data.draw(st.none() | FUTURE)) for row in before["holdings"]]
    after["holdings"] = closed_later + data.draw(holdings(FUTURE, st.none() | FUTURE))
    now, then = (bank_of(tmp_path_factory.mktemp("bank"), tables) for tables in (before, after))
    spec = discover(now, DAY)
    assert discover(then, DAY) == spec
    assert build(spec, then, DAY).data.equals(build(spec, now, DAY).data)


@settings(max_examples=10)
@given(before=known(), late=days(0, 100))
def test_an_answer_still_to_come_counts_as_none(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, Any], late: date
) -> None:
    waiting = [(*row[:4], late) for row in before["responses"]]
    refused = [(*row[:3], 0, None) for row in before["responses"]]
    banks = [bank_of(tmp_path_factory.mktemp("bank"), {**before, "responses": rows}) for rows in (waiting, refused)]
    spec = discover(banks[0], DAY)
    assert build(spec, banks[0], DAY).data.equals(build(spec, banks[1], DAY).data)


@settings(max_examples=10)
@given(before=known(), data=st.data())
def test_any_partition_and_any_order_of_rows_give_the_same_values(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, Any], data: st.DataObject
) -> None:
    bank = bank_of(tmp_path_factory.mktemp("bank"), before)
    spec = discover(bank, DAY)
    whole = build(spec, bank, DAY).data
    shuffled = {name: data.draw(st.permutations(list(rows))) for name, rows in before.items()}
    shuffled["products"] = before["products"]
    other = bank_of(tmp_path_factory.mktemp("bank"), shuffled)
    assert build(spec, other, DAY).data.equals(whole)
    chunk = data.draw(st.integers(1, 4))
    assert pa.concat_tables(part.data for part in stream(spec, bank, DAY, chunk=chunk)).equals(whole)
    asked = data.draw(st.lists(PEOPLE, unique=True))
    assert build(spec, bank, DAY, customers=asked).data.equals(whole.take(pa.array([i - 1 for i in asked], pa.int64())))
