"""The reference's own world, against the same figures counted in Python."""

from __future__ import annotations

from calendar import monthrange
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nextoffer.features import build, discover
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import FeatureTable

SEED_WORLD = Path(__file__).parents[3] / "shared" / "data" / "seed_world"
DAY = date(2025, 10, 11)

pytestmark = pytest.mark.skipif(not SEED_WORLD.exists(), reason="../shared/data/seed_world is not there")


@pytest.fixture(scope="module")
def found() -> FeatureTable:
    bank = Bank.read(SEED_WORLD)
    return build(discover(bank, DAY), bank, DAY)


@pytest.fixture(scope="module")
def paid() -> dict[int, list[dict[str, Any]]]:
    rows: dict[int, list[dict[str, Any]]] = {}
    for row in pq.read_table(SEED_WORLD / "transactions.parquet").to_pylist():
        if row["date"] < DAY:
            rows.setdefault(row["customer_id"], []).append(row)
    return rows


def test_every_customer_has_a_row(found: FeatureTable) -> None:
    assert found.customer_ids.to_pylist() == list(range(1200))
    assert found.columns[0].name == "age"


def test_activity(found: FeatureTable, paid: dict[int, list[dict[str, Any]]]) -> None:
    for row in found.data.to_pylist():
        own = paid[row["customer_id"]]
        recent = [r["amount"] for r in own if (DAY - r["date"]).days <= 30]
        assert row["txn_recency_days"] == min((DAY - r["date"]).days for r in own)
        assert (row["txn_count"], row["txn_count_30d"]) == (len(own), len(recent))
        assert row["txn_amount"] == pytest.approx(sum(r["amount"] for r in own), rel=1e-6)
        assert row["txn_amount_30d"] == pytest.approx(sum(recent), rel=1e-6)


def test_salary_share(found: FeatureTable, paid: dict[int, list[dict[str, Any]]]) -> None:
    for row in found.data.to_pylist():
        own = paid[row["customer_id"]]
        near = sum(_days_from_salary(r["date"], int(row["salary_day"])) <= 3 for r in own)
        assert row["salary_share"] == pytest.approx(near / len(own))


def _days_from_salary(day: date, salary_day: int) -> int:
    length = monthrange(day.year, day.month)[1]
    gap = abs(day.day - min(salary_day, length))
    return min(gap, length - gap)


def test_shares_and_top_categories(found: FeatureTable, paid: dict[int, list[dict[str, Any]]]) -> None:
    for row in found.data.to_pylist():
        own = paid[row["customer_id"]]
        kinds, channels = Counter(r["mcc"] for r in own), Counter(r["channel"] for r in own)
        assert row["mcc_share_travel"] == pytest.approx(kinds["travel"] / len(own))
        assert row["channel_share_web"] == pytest.approx(channels["web"] / len(own))
        ranked = [kind for kind, _ in sorted(kinds.items(), key=lambda item: (-item[1], item[0]))]
        assert [row[f"top_mcc_{rank}"] for rank in (1, 2, 3)] == (ranked + [None] * 3)[:3]


def test_history(found: FeatureTable) -> None:
    offers: Counter[int] = Counter()
    accepts: Counter[int] = Counter()
    for row in pq.read_table(SEED_WORLD / "responses.parquet").to_pylist():
        if row["offered_on"] < DAY:
            offers[row["customer_id"]] += 1
            accepts[row["customer_id"]] += row["label"]
    assert found.numbers("offers_count").tolist() == [offers[i] for i in range(1200)]
    assert found.numbers("accepts_count").tolist() == [accepts[i] for i in range(1200)]
