"""The benchmarks of two real campaigns: a fair peer, columns chosen on earlier calls, and no row lost on the way."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from tests.scripts import loaded


@pytest.fixture(scope="module")
def telephone() -> ModuleType:
    return loaded("bank_marketing")


@pytest.fixture
def journey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script on a toy shop: three households, two campaigns, four purchases."""
    module = loaded("complete_journey")
    con = duckdb.connect()
    tables = {
        "campaigns": "(values (7, 1), (7, 2), (8, 1)) t(campaign_id, household_id)",
        "campaign_descriptions": """(values (7, 'Type A', timestamp '2017-03-01', timestamp '2017-04-01'),
            (8, 'Type B', timestamp '2017-05-01', timestamp '2017-06-01'))
            t(campaign_id, campaign_type, start_date, end_date)""",
        "coupon_redemptions": """(values (1, 10, 7, timestamp '2017-03-20'), (1, 11, 7, timestamp '2017-03-09'))
            t(household_id, coupon_upc, campaign_id, redemption_date)""",
        "demographics": """(values (1, '65+', 'Under 15K', 'Owner'), (2, '35-44', '50-74K', 'Renter'))
            t(household_id, age, income, home_ownership)""",
        "products": "(values (100, 'GROCERY'), (101, 'FUEL')) t(product_id, department)",
        "transactions": """(values (1, 100, 2.5, timestamp '2017-01-02 10:00'),
            (1, 100, 1.0, timestamp '2017-01-02 18:00'),
            (3, 999, 4.0, timestamp '2017-01-03'), (2, 101, 0.0, timestamp '2017-01-04'))
            t(household_id, product_id, sales_value, transaction_timestamp)""",
    }
    for name, rows in tables.items():
        con.sql(f"select * from {rows}").write_parquet(str(tmp_path / f"{name}.parquet"))
    monkeypatch.setattr(module, "DATA", tmp_path)
    return module


def rows(bank: Any, query: str) -> list[tuple[Any, ...]]:
    return list(bank.connect().sql(query).fetchall())


def calls(telephone: ModuleType, days: list[date], jobs: list[str]) -> Any:
    columns = {"customer_id": np.arange(len(days)), "job": pa.array(jobs, pa.large_string())}
    columns["age"] = pa.array(np.arange(len(days)) % 40, pa.int64())
    label = np.array([job == "student" for job in jobs], dtype=float)
    return telephone.Calls(pa.table(columns), tuple(days), label)


def test_the_peer_takes_texts_for_categories_and_an_unknown_one_for_unknown(telephone: ModuleType) -> None:
    days = [date(2009, 1, 1 + i // 40) for i in range(1000)]
    jobs = list(np.random.default_rng(2).choice(["clerk", "student", "nurse", "cook"], 1000))
    learn = calls(telephone, days, jobs)
    judge = calls(telephone, [date(2009, 3, 1)] * 3, ["clerk", "student", "astronaut"])
    chance, told = telephone.raw_lightgbm(learn, judge, ("age",))
    assert chance[0] < 0.05
    assert chance[1] > 0.95
    assert np.isfinite(chance[2])
    assert told["rounds"] <= telephone.MOST_ROUNDS


def test_columns_are_chosen_by_the_last_fifth_of_what_is_learned(
    telephone: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [date(2009, 1, 1 + i // 40) for i in range(1000)]
    learn = calls(telephone, days, list(np.random.default_rng(3).choice(["clerk", "student"], 1000)))
    monkeypatch.setattr(telephone, "VARIANTS", {"all": (), "without job": ("job",)})
    best, losses = telephone.chosen(learn, "lightgbm raw")
    assert best == "all"
    assert losses["all"] < 0.1
    assert losses["without job"] > 0.6


def test_a_purchase_of_an_unknown_article_counts_and_one_that_cost_nothing_does_not(
    journey: ModuleType, tmp_path: Path
) -> None:
    bank = journey.write_bank(folder(tmp_path))
    assert rows(bank, "select customer_id, date, amount, mcc from transactions order by 1") == [
        (1, date(2017, 1, 2), 3.5, "grocery"),
        (3, date(2017, 1, 3), 4.0, "other"),
    ]


def test_a_redemption_without_a_contact_stops_the_benchmark(journey: ModuleType, tmp_path: Path) -> None:
    more = "select * from coupon_redemptions union all select 2, 12, 8, timestamp '2017-05-20'"
    con = duckdb.connect()
    con.sql(f"create table coupon_redemptions as from '{tmp_path}/coupon_redemptions.parquet'")
    con.sql(more).write_parquet(str(tmp_path / "coupon_redemptions.parquet"))
    with pytest.raises(SystemExit, match="not everything reaches the bank: redemptions: 1 of 2"):
        journey.write_bank(folder(tmp_path))


def folder(path: Path) -> Path:
    out = path / "bank"
    out.mkdir()
    return out
