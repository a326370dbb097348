from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.features import build, discover
from nextoffer.features.discover import MAX_CHANNELS
from nextoffer.tables.flow import FeatureColumn
from tests.features.banks import BANK, CUSTOMERS, DAY, PRODUCTS, SCHEMAS, bank_of, table

PEOPLE = ["age", "income", "segment", "salary_day", "joined_on", "web_user"]
FURTHER = ["channel", "mcc", "direction", "opened_on", "closed_on", "responded_on", "pd"]


def columns_of(folder: Path, tables: dict[str, Any], toml: str | None = None) -> dict[str, FeatureColumn]:
    return {c.name: c for c in discover(bank_of(folder, tables, toml), DAY).columns}


def test_every_feature_is_in_plain_words_and_has_its_own_name(tmp_path: Path) -> None:
    columns = discover(bank_of(tmp_path), DAY).columns
    assert len({c.name for c in columns}) == len(columns)
    assert len({c.label for c in columns}) == len(columns)
    assert all(c.label[0].isupper() and "_" not in c.label for c in columns)


def test_purposes_and_signs(tmp_path: Path) -> None:
    columns = columns_of(tmp_path, dict(BANK))
    purposes = {c.group: c.purpose for c in columns.values()}
    assert purposes == {
        "profile": "relationship",
        "holdings": "relationship",
        "activity": "profiling",
        "channel": "profiling",
        "salary": "profiling",
        "spend": "profiling",
        "history": "profiling",
        "risk": "rule",
    }
    assert {c.name: c.sign for c in columns.values() if c.sign} == {"accept_rate": 1}


def test_products_are_named_by_name_or_else_by_type_and_id(tmp_path: Path) -> None:
    columns = columns_of(tmp_path, dict(BANK))
    assert (columns["held_A"].label, columns["offers_B"].label) == (
        "Holds Blue card",
        "Times that loan (B) was offered",
    )
    assert (columns["held_A"].measure, columns["held_A"].product_id) == ("held", "A")


@settings(max_examples=12)
@given(people=st.sets(st.sampled_from(PEOPLE)), further=st.sets(st.sampled_from(FURTHER)), exclude=st.booleans())
def test_sensitive_and_excluded_columns_never_reach_a_feature(
    tmp_path_factory: pytest.TempPathFactory, people: set[str], further: set[str], exclude: bool
) -> None:
    names = sorted(people | further)
    toml = f"{'exclude' if exclude else 'sensitive'} = {names}"
    bank = bank_of(tmp_path_factory.mktemp("bank"), BANK, toml)
    spec = discover(bank, DAY)
    read = {name for columns in spec.readable.values() for name in columns}
    assert not read & set(names)
    found = {c.name for c in spec.columns}
    assert not found & set(names)
    assert ("salary_share" in found) == ("salary_day" not in people)
    changed = {name: scrambled(name, set(names)) for name in BANK}
    assert build(spec, bank_of(tmp_path_factory.mktemp("bank"), changed, toml), DAY).data.equals(
        build(spec, bank, DAY).data
    )


def scrambled(name: str, columns: set[str]) -> pa.Table:
    """A table with other values in the given columns."""
    content = table(name, BANK[name])
    for column in columns & set(content.column_names):
        empty = pa.nulls(len(content), SCHEMAS[name][column])
        content = content.set_column(content.column_names.index(column), column, empty)
    return content


def test_a_table_whose_key_values_are_sensitive_is_left_alone(tmp_path: Path) -> None:
    spec = discover(bank_of(tmp_path, BANK, 'sensitive = ["amount"]'), DAY)
    assert not [c for c in spec.columns if c.group in ("activity", "channel", "spend", "salary")]
    assert spec.notes == ("transactions.amount is sensitive, so nothing of transactions is a feature",)


def test_only_the_most_frequent_channels_and_only_known_ones(tmp_path: Path) -> None:
    paid = [(1, date(2025, 4, 1), 1.0, None, None, f"c{i:02d}", None) for i in range(20) for _ in range(i + 1)]
    paid += [(1, DAY, 1.0, None, "travel", "tomorrow", None)] * 99
    paid += [(1, date(2025, 4, 1), 1.0, None, "travel", "salary only", "credit")] * 99
    columns = columns_of(tmp_path, {**BANK, "transactions": paid})
    channels = [name for name in columns if name.startswith("channel_share_")]
    assert channels == [f"channel_share_c{i:02d}" for i in range(20 - MAX_CHANNELS, 20)]
    assert "mcc_share_travel" not in columns


def test_merchants_tell_the_category_where_transactions_do_not(tmp_path: Path) -> None:
    paid = table("transactions", [(1, date(2025, 4, 1), 1.0, 8, None, None, None)], ["mcc"])
    assert "mcc_share_travel" in columns_of(tmp_path, {**BANK, "transactions": paid})


def test_without_any_category_there_is_none(tmp_path: Path) -> None:
    paid = table("transactions", [(1, date(2025, 4, 1), 1.0, 8, None, None, None)], ["mcc", "merchant_id", "channel"])
    columns = columns_of(tmp_path, {**BANK, "transactions": paid})
    assert not [name for name in columns if "mcc" in name or "channel" in name]
    assert "txn_count" in columns


def test_text_that_says_who_somebody_is_is_no_feature(tmp_path: Path) -> None:
    people = [(i, 1.0, 1.0, f"name {i}", None, None, None, None) for i in range(1001)]
    spec = discover(bank_of(tmp_path, {**BANK, "customers": people}), DAY)
    assert "segment" not in {c.name for c in spec.columns}
    assert spec.notes == ("customers.segment has 1,001 different words, more than 1,000: no feature",)


def test_a_customer_column_never_takes_the_name_of_a_feature(tmp_path: Path) -> None:
    people = table("customers", CUSTOMERS).append_column("held_a", pa.array([1.5, 2.5, 3.5]))
    people = people.append_column("txn_count", pa.array([7.0, 8.0, 9.0]))
    products = [("a", "card", None), *PRODUCTS[1:]]
    bank = bank_of(tmp_path, {**BANK, "customers": people, "products": products, "holdings": []})
    found = build(discover(bank, DAY), bank, DAY)
    assert found.numbers("profile_held_a").tolist() == [1.5, 2.5, 3.5]
    assert found.numbers("profile_txn_count").tolist() == [7.0, 8.0, 9.0]
    assert found.numbers("txn_count").tolist() == [5.0, 1.0, 0.0]
