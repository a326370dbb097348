from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.errors import FeatureError
from nextoffer.features import build, discover, stream
from nextoffer.tables.flow import FeatureTable
from tests.features.banks import BANK, CUSTOMERS, DAY, PRODUCTS, TRANSACTIONS, bank_of, table


def features_of(folder: Path, tables: Mapping[str, Any] = BANK, toml: str | None = None) -> FeatureTable:
    bank = bank_of(folder, tables, toml)
    return build(discover(bank, DAY), bank, DAY)


def row(found: FeatureTable, customer: int) -> dict[str, Any]:
    return next(r for r in found.data.to_pylist() if r["customer_id"] == customer)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> FeatureTable:
    return features_of(tmp_path_factory.mktemp("bank"))


def test_every_value_of_a_busy_customer_by_hand(golden: FeatureTable) -> None:
    assert row(golden, 1) == {
        "customer_id": 1,
        "age": 30.0,
        "income": 50.0,
        "segment": "Mass",
        "salary_day": 31.0,
        "days_since_joined_on": 1826.0,
        "web_user": True,
        "txn_recency_days": 1.0,
        "txn_count": 5.0,
        "txn_amount": 200.0,
        "txn_amount_mean": 40.0,
        "txn_count_30d": 3.0,
        "txn_count_90d": 4.0,
        "txn_count_180d": 4.0,
        "txn_amount_30d": 130.0,
        "txn_amount_90d": 170.0,
        "txn_amount_180d": 170.0,
        "txn_trend": pytest.approx(6 * 130 / 170, rel=1e-15),
        "txn_credit_amount_30d": 7000.0,
        "txn_credit_amount_180d": 7000.0,
        "channel_share_branch": 0.4,
        "channel_share_mobile": 0.4,
        "channel_share_web": 0.2,
        "salary_share": 0.6,
        "salary_amount": 3000.0,
        "mcc_share_groceries": 0.4,
        "mcc_share_dining": 0.4,
        "mcc_share_fuel": 0.2,
        "mcc_share_other": 0.0,
        "mcc_spend_groceries": 130.0,
        "mcc_spend_dining": 60.0,
        "mcc_spend_fuel": 10.0,
        "mcc_spend_other": 0.0,
        "top_mcc_1": "dining",
        "top_mcc_2": "groceries",
        "top_mcc_3": "fuel",
        "holdings_count": 2.0,
        "tenure_days": 1826.0,
        "days_since_opened": 30.0,
        "held_A": True,
        "held_B": False,
        "held_C": True,
        "times_opened_A": 1.0,
        "times_opened_B": 1.0,
        "times_opened_C": 1.0,
        "days_since_closed_A": None,
        "days_since_closed_B": 10.0,
        "days_since_closed_C": None,
        "offers_count": 3.0,
        "accepts_count": 1.0,
        "accept_rate": pytest.approx(1 / 3),
        "days_since_offer": 6.0,
        "days_since_accept": 10.0,
        "offers_A": 2.0,
        "offers_B": 1.0,
        "offers_C": 0.0,
        "accepts_A": 1.0,
        "accepts_B": 0.0,
        "accepts_C": 0.0,
        "days_since_offer_A": 6.0,
        "days_since_offer_B": 60.0,
        "days_since_offer_C": None,
        "pd": 0.02,
        "delinquent": False,
        "vulnerable": True,
    }


def test_a_customer_of_whom_little_is_known(golden: FeatureTable) -> None:
    found = row(golden, 2)
    unknown = ["income", "segment", "salary_day", "days_since_joined_on", "web_user", "salary_share", "top_mcc_1", "pd"]
    assert {name: found[name] for name in unknown} == dict.fromkeys(unknown)
    assert (found["txn_count"], found["txn_amount"], found["txn_trend"], found["mcc_share_other"]) == (
        1.0,
        7.0,
        6.0,
        1.0,
    )
    assert (found["held_A"], found["times_opened_A"], found["tenure_days"]) == (True, 0.0, None)
    assert (found["accepts_B"], found["days_since_accept"]) == (1.0, 1.0)


def test_a_customer_without_rows_has_zeros_and_nulls(golden: FeatureTable) -> None:
    found = row(golden, 3)
    zero = [
        "txn_count",
        "txn_amount",
        "txn_amount_30d",
        "mcc_spend_fuel",
        "holdings_count",
        "offers_A",
        "times_opened_A",
    ]
    assert {name: found[name] for name in zero} == dict.fromkeys(zero, 0.0)
    null = ["txn_recency_days", "txn_amount_mean", "txn_trend", "channel_share_web", "mcc_share_fuel", "salary_share"]
    null += ["salary_amount", "tenure_days", "accept_rate", "days_since_offer_A", "top_mcc_1", "delinquent"]
    assert {name: found[name] for name in null} == dict.fromkeys(null)
    assert found["held_A"] is False


@pytest.mark.parametrize(
    ("day", "salary_day", "near"),
    [
        (date(2025, 4, 30), 31.0, 1.0),
        (date(2025, 4, 27), 31.0, 1.0),
        (date(2025, 4, 26), 31.0, 0.0),
        (date(2025, 4, 3), 30.0, 1.0),
        (date(2025, 4, 4), 30.0, 0.0),
        (date(2025, 3, 3), 31.0, 1.0),
        (date(2025, 2, 28), 3.0, 1.0),
        (date(2025, 3, 29), 1.0, 1.0),
        (date(2025, 3, 28), 1.0, 0.0),
        (date(2024, 2, 29), 30.0, 1.0),
        (date(2024, 2, 25), 31.0, 0.0),
        (date(2025, 4, 15), 0.0, None),
        (date(2025, 4, 15), 32.0, None),
    ],
)
def test_salary_day_wraps_at_the_real_end_of_the_month(
    tmp_path: Path, day: date, salary_day: float, near: float | None
) -> None:
    customers = [(1, 30.0, 50.0, "Mass", salary_day, None, None, None)]
    tables = {"customers": customers, "products": PRODUCTS, "holdings": []}
    tables["transactions"] = [(1, day, 1.0, None, None, None, None)]
    assert row(features_of(tmp_path, tables), 1)["salary_share"] == near


def test_money_sums_are_exact(tmp_path: Path) -> None:
    paid = [(1, date(2025, 4, 1 + i % 28), 0.1, None, "fuel", "web", None) for i in range(1000)]
    found = row(features_of(tmp_path, {**BANK, "transactions": paid}), 1)
    assert (found["txn_amount"], found["mcc_spend_fuel"]) == (100.0, 100.0)


def test_credit_is_not_spending_however_it_is_spelled(tmp_path: Path) -> None:
    paid = [
        (1, date(2025, 4, 30), 10.0, None, "fuel", "web", word)
        for word in ("credit", "CREDIT", "Cr", "debit", "DR", None, "")
    ]
    found = row(features_of(tmp_path, {**BANK, "transactions": paid}), 1)
    assert (found["txn_count"], found["txn_amount"], found["txn_credit_amount_30d"]) == (4.0, 40.0, 30.0)


def test_without_direction_everything_is_spending_and_nothing_is_credit(tmp_path: Path) -> None:
    found = features_of(tmp_path, {**BANK, "transactions": table("transactions", TRANSACTIONS, ["direction"])})
    assert row(found, 1)["txn_amount"] == 7200.0
    assert not {"txn_credit_amount_30d", "salary_amount"} & set(found.data.column_names)


def test_absent_tables_have_no_columns(tmp_path: Path) -> None:
    found = features_of(tmp_path, {name: BANK[name] for name in ("customers", "products", "holdings")})
    assert {c.group for c in found.columns} == {"profile", "holdings"}


def test_empty_tables_have_columns_of_zeros_and_nulls(tmp_path: Path) -> None:
    empty: dict[str, Any] = {name: [] for name in ("transactions", "holdings", "responses", "risk", "merchants")}
    found = features_of(tmp_path, {**BANK, **empty})
    assert found.numbers("txn_count").tolist() == found.numbers("offers_A").tolist() == [0.0, 0.0, 0.0]
    assert found.numbers("held_A").tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(found.numbers("txn_recency_days")).all()
    assert np.isnan(found.numbers("pd")).all()
    assert not [c.name for c in found.columns if c.group == "channel" or c.name.startswith("mcc_")]


def test_holdings_without_dates_are_held(tmp_path: Path) -> None:
    holdings = table("holdings", [(1, "A", None, None)], ["opened_on", "closed_on"])
    found = features_of(tmp_path, {**BANK, "holdings": holdings})
    assert row(found, 1)["held_A"] is True
    assert not {"tenure_days", "times_opened_A", "days_since_closed_A"} & set(found.data.column_names)


def test_an_offer_held_back_for_a_control_arm_was_not_made(tmp_path: Path) -> None:
    made = table("responses", [(1, "A", date(2025, 4, 1), 1, None)] * 3)
    arms = pa.array(["Control", "treated", None])
    found = features_of(tmp_path, {**BANK, "responses": made.append_column("arm", arms)})
    assert (row(found, 1)["offers_count"], row(found, 1)["accepts_A"]) == (2.0, 2.0)


def test_profiling_needs_consent_where_consents_to_it_are_kept(tmp_path: Path) -> None:
    consents = [
        (1, "profiling", None, True, date(2025, 1, 1)),
        (1, "marketing", None, False, date(2025, 2, 1)),
        (2, "profiling", None, True, date(2025, 1, 1)),
        (2, "profiling", "web", False, DAY),
        (3, "profiling", None, True, date(2025, 5, 2)),
    ]
    found = features_of(tmp_path, {**BANK, "consents": consents})
    profiling = [c.name for c in found.columns if c.purpose == "profiling"]
    assert row(found, 1)["txn_count"] == 5.0
    for customer in (2, 3):
        assert {row(found, customer)[name] for name in profiling} == {None}
    assert row(found, 2)["held_A"] is True
    assert row(found, 2)["age"] == 61.0


def test_a_grant_and_a_refusal_on_one_day_refuse(tmp_path: Path) -> None:
    consents = [(1, "profiling", c, c == "web", date(2025, 1, 1)) for c in ("web", "phone")]
    found = features_of(tmp_path, {**BANK, "consents": consents})
    assert row(found, 1)["txn_count"] is None


def test_consents_that_never_mention_profiling_null_nothing(tmp_path: Path) -> None:
    found = features_of(tmp_path, {**BANK, "consents": [(1, "marketing", None, False, date(2025, 1, 1))]})
    assert row(found, 1)["txn_count"] == 5.0


def test_rows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    bank = bank_of(tmp_path)
    spec = discover(bank, DAY)
    whole = build(spec, bank, DAY)
    assert whole.customer_ids.to_pylist() == [1, 2, 3]
    for asked in ([3, 1], np.array([2, 2, 1]), pa.chunked_array([[3], [2]]), ["1", "3"], range(3, 0, -1)):
        found = build(spec, bank, DAY, customers=asked)  # type: ignore[arg-type]
        places = np.array([int(i) - 1 for i in (asked.to_pylist() if isinstance(asked, pa.ChunkedArray) else asked)])
        assert found.data.equals(whole.take(places).data)
    assert len(build(spec, bank, DAY, customers=[])) == 0


def test_unknown_customers_are_named(tmp_path: Path) -> None:
    bank = bank_of(tmp_path)
    spec = discover(bank, DAY)
    with pytest.raises(FeatureError, match=r"2 customers are not in the bank: 17, 99"):
        build(spec, bank, DAY, customers=[17, 1, 99, 17])
    with pytest.raises(FeatureError, match=r"30 customers .*: 100, .*, 109 and 20 more"):
        build(spec, bank, DAY, customers=list(range(100, 130)))
    with pytest.raises(FeatureError, match="customer_id of this bank is given in whole numbers"):
        build(spec, bank, DAY, customers=["x"])
    with pytest.raises(FeatureError, match="1 of 2 customer_ids are missing"):
        build(spec, bank, DAY, customers=pa.array([1, None]))


def test_ids_may_be_text_and_products_whole_numbers(tmp_path: Path) -> None:
    customers = pa.table({"customer_id": ["b", "a", "B"], "age": [1.0, 2.0, 3.0]})
    products = pa.table({"product_id": [10, 9], "product_type": ["x", "y"]})
    holdings = pa.table({"customer_id": ["b"], "product_id": [9]})
    found = features_of(tmp_path, {"customers": customers, "products": products, "holdings": holdings})
    assert found.customer_ids.to_pylist() == ["B", "a", "b"]
    assert found.per_product("held", ["9", "10"]).tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]


def test_names_that_differ_only_in_case_stay_apart(tmp_path: Path) -> None:
    paid = [(1, date(2025, 4, 1), 1.0, None, None, channel, None) for channel in ("Web", "web", "web", 'o"dd')]
    found = row(features_of(tmp_path, {**BANK, "transactions": paid}), 1)
    assert (found["channel_share_Web"], found["channel_share_web"], found['channel_share_o"dd']) == (0.25, 0.5, 0.25)


def test_a_later_state_of_the_bank_gives_the_same_columns(tmp_path: Path) -> None:
    spec = discover(bank_of(tmp_path / "before"), DAY)
    later = {**BANK, "transactions": [*TRANSACTIONS, (1, date(2025, 4, 1), 5.0, None, "travel", "kiosk", "debit")]}
    later["products"] = [*PRODUCTS, ("D", "fund", None)]
    later["customers"] = table("customers", CUSTOMERS).append_column("mood", pa.array(["a", "b", "c"]))
    found = build(spec, bank_of(tmp_path / "after", later), DAY)
    assert found.columns == spec.columns
    assert row(found, 1)["txn_count"] == 6.0


def test_everything_a_later_bank_lacks_is_told_at_once(tmp_path: Path) -> None:
    spec = discover(bank_of(tmp_path / "before"), DAY)
    later: dict[str, Any] = {name: rows for name, rows in BANK.items() if name != "risk"}
    later["transactions"] = table("transactions", TRANSACTIONS, ["channel"])
    customers = table("customers", CUSTOMERS, ["web_user", "income"])
    later["customers"] = customers.append_column("web_user", pa.array(["often", "never", "often"]))
    bank = bank_of(tmp_path / "after", later)
    with pytest.raises(FeatureError) as error:  # noqa: PT011
        build(spec, bank, DAY)
    assert error.value.problems == (
        "the features need customers.income, which this bank does not have",
        "the features need transactions.channel, which this bank does not have",
        "the features need the table 'risk', which this bank does not have",
        "customers.web_user holds a text, but the features need a flag",
    )


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_a_stream_is_the_whole_in_chunks(tmp_path: Path, chunk: int) -> None:
    bank = bank_of(tmp_path)
    spec = discover(bank, DAY)
    parts = list(stream(spec, bank, DAY, chunk=chunk))
    assert [len(p) for p in parts] == [len(CUSTOMERS[i : i + chunk]) for i in range(0, len(CUSTOMERS), chunk)]
    assert pa.concat_tables(p.data for p in parts).equals(build(spec, bank, DAY).data)


def test_a_stream_of_some_customers_rises_and_repeats_nobody(tmp_path: Path) -> None:
    bank = bank_of(tmp_path)
    spec = discover(bank, DAY)
    parts = list(stream(spec, bank, DAY, chunk=1, customers=[3, 1, 3]))
    assert [p.customer_ids.to_pylist() for p in parts] == [[1], [3]]
    with pytest.raises(FeatureError, match="at least one"):
        next(stream(spec, bank, DAY, chunk=0))


def test_two_streams_and_other_queries_do_not_disturb_each_other(tmp_path: Path) -> None:
    bank = bank_of(tmp_path)
    spec = discover(bank, DAY)
    left, right = stream(spec, bank, DAY, chunk=1, customers=[1, 2]), stream(spec, bank, DAY, chunk=1, customers=[2, 3])
    pairs = []
    for one, other in zip(left, right, strict=True):
        build(spec, bank, DAY, customers=[3])
        pairs.append((one.customer_ids.to_pylist(), other.customer_ids.to_pylist()))
    assert pairs == [([1], [2]), ([2], [3])]
