"""The benchmarks on real campaigns: days in order, no row set aside unsaid, a clear stop where there are no data."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.scripts import loaded


@pytest.fixture(scope="module")
def calls() -> ModuleType:
    return loaded("bank_marketing")


@pytest.fixture(scope="module")
def journey() -> ModuleType:
    return loaded("complete_journey")


def test_days_of_calls_rise_within_a_month_and_over_the_turn_of_the_year(calls: ModuleType) -> None:
    months = [10, 10, 11, 11, 11, 2, 2]  # November, December, March
    days = calls._days(months)
    assert days == sorted(days)
    assert [(d.year, d.month) for d in days] == [(2008, 11)] * 2 + [(2008, 12)] * 3 + [(2009, 3)] * 2
    assert days[:2] == [date(2008, 11, 1), date(2008, 11, 16)]


def test_calls_are_parted_at_the_beginning_of_a_day(calls: ModuleType) -> None:
    days = tuple(date(2008, 5, 1 + i // 4) for i in range(20))
    some = calls.Calls(pa.table({"customer_id": np.arange(20)}), days, np.arange(20) % 2.0)
    cut = some.cut(0.25)
    assert cut == 12
    assert days[cut - 1] < days[cut]
    later = some.take(cut, 20)
    assert later.customers.column("customer_id").to_pylist() == list(range(12, 20))
    assert len(later.days) == len(later.label) == 8


def test_calls_that_do_not_reach_the_bank_stop_the_benchmark(calls: ModuleType, tmp_path: Path) -> None:
    nameless = pa.table({"customer_id": [1, 2, None], "age": [30, 40, 40]})
    some = calls.Calls(nameless, (date(2008, 5, 1),) * 3, np.array([1.0, 0.0, 0.0]))
    with pytest.raises(SystemExit, match="1 of 3 calls do not reach the bank"):
        calls.write_bank(some, tmp_path / "bank", ())


@pytest.mark.parametrize("name", ["bank_marketing", "complete_journey"])
def test_a_benchmark_without_data_says_so(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = request.getfixturevalue("calls" if name == "bank_marketing" else "journey")
    monkeypatch.setattr(module, "DATA", tmp_path / "nowhere")
    monkeypatch.setattr(sys, "argv", [name])
    with pytest.raises(SystemExit, match=r"the data are not there: .*nowhere"):
        module.main()


def toy_journey(folder: Path) -> None:
    """Two households, two campaigns; the second household redeems twice in the first campaign."""
    tables = {
        "campaigns": {"campaign_id": ["1", "1", "2"], "household_id": ["7", "8", "8"]},
        "campaign_descriptions": {
            "campaign_id": ["1", "2"],
            "campaign_type": ["Type A", "Type B"],
            "start_date": [date(2017, 3, 1), date(2017, 5, 1)],
            "end_date": [date(2017, 4, 1), date(2017, 6, 1)],
        },
        "coupon_redemptions": {
            "household_id": ["8", "8"],
            "coupon_upc": ["a", "b"],
            "campaign_id": ["1", "1"],
            "redemption_date": [date(2017, 3, 20), date(2017, 3, 9)],
        },
        "demographics": {"household_id": ["7"], "age": ["45-54"], "income": ["50-74K"]},
        "products": {"product_id": ["x", "y"], "department": ["GROCERY", "FUEL"]},
        "transactions": {
            "household_id": ["7", "7", "9"],
            "product_id": ["x", "y", "x"],
            "sales_value": [2.5, 0.0, 1.0],
            "transaction_timestamp": [date(2017, 2, 1), date(2017, 2, 1), date(2017, 2, 2)],
        },
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def test_a_contact_is_accepted_on_the_day_of_its_first_redemption(
    journey: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "bank").mkdir()
    toy_journey(tmp_path / "data")
    monkeypatch.setattr(journey, "DATA", tmp_path / "data")
    bank = journey.write_bank(tmp_path / "bank")
    rows = bank.connect().sql("select * from responses order by offered_on, customer_id").fetchall()
    assert [tuple(map(str, row)) for row in rows] == [
        ("7", "1", "2017-03-01", "0.0", "None"),
        ("8", "1", "2017-03-01", "1.0", "2017-03-09"),
        ("8", "2", "2017-05-01", "0.0", "None"),
    ]
    people = bank.table("customers").to_pylist()
    assert {str(p["customer_id"]): (p["age"], p["income"]) for p in people} == {
        "7": (45.0, 50_000.0),
        "8": (None, None),
        "9": (None, None),
    }
    assert bank.table("transactions").num_rows == 2  # nothing was paid in the third


def test_every_call_is_read_without_what_is_known_only_after_it(calls: ModuleType) -> None:
    if not calls.DATA.exists():
        pytest.skip("the Bank Marketing data are not there")
    read = calls.read()
    assert len(read.label) == len(read.days) == read.customers.num_rows == 41_188
    assert read.label.sum() == 4_640
    assert "duration" not in read.customers.column_names
    assert list(read.days) == sorted(read.days)


def test_every_contact_reaches_the_bank(journey: ModuleType, tmp_path: Path) -> None:
    if not journey.DATA.exists():
        pytest.skip("the Complete Journey data are not there")
    bank = journey.write_bank(tmp_path)
    assert bank.connect().sql("select count(*), sum(label) from responses").fetchall() == [(6_589, 792)]
