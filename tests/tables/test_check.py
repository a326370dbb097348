"""What check says equals what a reader who goes through the rows one by one would say."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.errors import BankError
from nextoffer.tables.bank import Bank
from nextoffer.tables.check import check
from nextoffer.tables.rejects import write_rejects
from tests.tables.banks import CUSTOMERS, HOLDINGS, TRANSACTIONS, write_bank

AS_OF = date(2025, 10, 11)
Row = dict[str, str]
Said = Counter[tuple[str, str, str]]

IDS = st.sampled_from(["", "1", "2", "3", "4", "5"])
DAYS = st.sampled_from(["", "2024-12-31", "2025-10-11", "2025-10-12", "soon"])
CUSTOMER_ROWS = st.fixed_dictionaries(
    {
        "customer_id": IDS,
        "age": st.sampled_from(["", "30", "-1", "121", "old"]),
        "income": st.sampled_from(["", "NA", "0", "5.5", "-1", "a lot"]),
    }
)
HOLDING_ROWS = st.fixed_dictionaries({"customer_id": IDS, "product_id": IDS, "opened_on": DAYS, "closed_on": DAYS})
RESPONSE_ROWS = st.fixed_dictionaries(
    {
        "customer_id": IDS,
        "product_id": IDS,
        "offered_on": DAYS,
        "label": st.sampled_from(["", "0", "1", "2", "1.0", "yes"]),
    }
)
USABLE = {"customer_id": "9", "age": "40", "income": "5"}
PRODUCTS = [{"product_id": i, "product_type": "CC"} for i in ("1", "2", "9")]


def customer_problems(row: Row, seen: set[str]) -> Iterator[tuple[str, str]]:
    if row["customer_id"] == "":
        yield "customer_id", "null_key"
    elif row["customer_id"] in seen:
        yield "customer_id", "duplicate_key"
    if row["age"] == "old":
        yield "age", "unreadable"
    elif row["age"] in ("-1", "121"):
        yield "age", "out_of_range"
    if row["income"] == "a lot":
        yield "income", "unreadable"
    elif row["income"] == "-1":
        yield "income", "negative"


def id_problems(row: Row, customers: set[str], products: set[str]) -> Iterator[tuple[str, str]]:
    for name, known in (("customer_id", customers), ("product_id", products)):
        if row[name] == "":
            yield name, "null_key"
        elif row[name] not in known:
            yield name, f"unknown_{name.removesuffix('_id')}"


def day_problems(row: Row, name: str, *, required: bool = False, past: bool = True) -> Iterator[tuple[str, str]]:
    if row[name] == "soon":
        yield name, "unreadable"
    elif row[name] == "" and required:
        yield name, "missing_value"
    elif row[name] > AS_OF.isoformat() and past:
        yield name, "after_as_of"


def holding_problems(row: Row, customers: set[str], products: set[str]) -> Iterator[tuple[str, str]]:
    yield from id_problems(row, customers, products)
    yield from day_problems(row, "opened_on")
    yield from day_problems(row, "closed_on", past=False)
    opened, closed = row["opened_on"], row["closed_on"]
    if "soon" not in (opened, closed) and opened and closed and closed < opened:
        yield "closed_on", "closed_before_opened"


def response_problems(row: Row, customers: set[str], products: set[str]) -> Iterator[tuple[str, str]]:
    yield from id_problems(row, customers, products)
    yield from day_problems(row, "offered_on", required=True)
    if row["label"] not in ("0", "1", "1.0"):
        yield "label", "bad_label"


def is_aside(problems: list[tuple[str, str]]) -> bool:
    return any(p[0] != "age" and p[1] != "after_as_of" for p in problems)


def brute_force(customers: list[Row], holdings: list[Row], responses: list[Row]) -> tuple[Said, dict[str, int]]:
    said: Said = Counter()
    aside: Counter[str] = Counter()
    seen: set[str] = set()
    known: set[str] = set()

    def note(table: str, problems: list[tuple[str, str]]) -> None:
        said.update((table, *p) for p in problems)
        aside[table] += is_aside(problems)

    for row in customers:
        problems = list(customer_problems(row, seen))
        seen.add(row["customer_id"])
        known |= set() if is_aside(problems) else {row["customer_id"]}
        note("customers", problems)
    products = {p["product_id"] for p in PRODUCTS}
    for row in holdings:
        note("holdings", list(holding_problems(row, known, products)))
    for row in responses:
        note("responses", list(response_problems(row, known, products)))
    return said, {table: n for table, n in aside.items() if n}


def as_csv(rows: list[Row]) -> str:
    names = list(rows[0])
    return "".join(",".join(values) + "\n" for values in (names, *([row[n] for n in names] for row in rows)))


@settings(max_examples=8)  # each with many rows: opening a bank is what takes time
@given(
    st.lists(CUSTOMER_ROWS, max_size=15),
    st.lists(HOLDING_ROWS, min_size=10, max_size=40),
    st.lists(RESPONSE_ROWS, min_size=10, max_size=40),
)
def test_counts_equal_those_of_a_reader_of_rows(
    tmp_path_factory: pytest.TempPathFactory, customers: list[Row], holdings: list[Row], responses: list[Row]
) -> None:
    customers = [*customers, USABLE]
    usable = {"customer_id": "9", "product_id": "9", "opened_on": "", "closed_on": ""}
    holdings = [*holdings, usable]
    responses = [*responses, {"customer_id": "9", "product_id": "9", "offered_on": "2025-01-01", "label": "1"}]
    tables = {"customers": customers, "products": PRODUCTS, "holdings": holdings, "responses": responses}
    folder = tmp_path_factory.mktemp("bank")
    result = check(write_bank(folder, {f"{t}.csv": as_csv(rows) for t, rows in tables.items()}), AS_OF)
    said, aside = brute_force(customers, holdings, responses)

    assert Counter({(p.table, str(p.column), p.rule): p.count for p in result.problems}) == said
    assert (result.usable, result.set_aside) == (True, aside)
    assert result.rows == {t: len(rows) for t, rows in tables.items()}
    bank = Bank.read(folder)
    assert {t: len(bank.table(t)) for t in tables} == {t: len(rows) - aside.get(t, 0) for t, rows in tables.items()}
    assert write_rejects(result, folder / "rejects") == aside
    for table in aside:
        with (folder / "rejects" / f"{table}.rejects.csv").open(encoding="utf-8") as file:
            rules = Counter(rule for row in csv.DictReader(file) for rule in row["rule"].split(" | "))
        assert rules == Counter(
            {
                f"{c}: {rule}": n
                for (t, c, rule), n in said.items()
                if t == table and c != "age" and rule != "after_as_of"
            }
        )


def test_parquet_values_are_checked_like_those_of_csv(tmp_path: Path) -> None:
    customers = pa.table(
        {"customer_id": [1, 2, 2, None], "income": ["5", "-2", "x", "1"], "age": [1.0, 200.0, 3.0, 4.0]}
    )
    holdings = pa.table({"customer_id": [1, 7], "product_id": [10, 10], "opened_on": ["2025-01-01", "then"]})
    files = {"customers.csv": None, "customers.parquet": customers, "holdings.csv": None, "holdings.parquet": holdings}
    result = check(write_bank(tmp_path, files))
    assert {(p.where, p.rule): p.examples for p in result.problems} == {
        ("customers.customer_id", "null_key"): ("customer_id=null",),
        ("customers.customer_id", "duplicate_key"): ("customer_id=2",),
        ("customers.income", "unreadable"): ("customer_id=2, income=x",),
        ("customers.income", "negative"): ("customer_id=2, income=-2",),
        ("customers.age", "out_of_range"): ("customer_id=2, age=200.0",),
        ("holdings.customer_id", "unknown_customer"): ("customer_id=7, product_id=10",),
        ("holdings.opened_on", "unreadable"): ("customer_id=7, product_id=10, opened_on=then",),
    }
    assert result.set_aside == {"customers": 3, "holdings": 1}


def test_a_bank_may_be_checked_that_is_open(tmp_path: Path) -> None:
    bank = Bank.read(write_bank(tmp_path, {"truth.csv": "a\n1\n", "holdings.csv": HOLDINGS + "9,10,,\n"}))
    assert [p.rule for p in check(bank).problems] == ["unknown_customer", "unknown_table"]


def test_a_day_is_compared_only_if_given(tmp_path: Path) -> None:
    write_bank(tmp_path, {"transactions.csv": TRANSACTIONS})
    assert check(tmp_path).problems == ()
    assert [p.count for p in check(tmp_path, date(2025, 9, 1)).problems] == [2]
    assert [p.count for p in check(tmp_path, date(2025, 10, 1)).problems] == []


def test_rejects_of_an_earlier_run_go(tmp_path: Path) -> None:
    write_bank(tmp_path, {"holdings.csv": HOLDINGS + "9,10,,\n1,2\n"})
    assert write_rejects(check(tmp_path), tmp_path) == {"holdings": 2}
    names = ["holdings.lines.rejects.csv", "holdings.rejects.csv"]
    assert sorted(p.name for p in tmp_path.glob("*.rejects.csv")) == names
    write_bank(tmp_path)
    assert write_rejects(check(tmp_path), tmp_path) == {}
    assert list(tmp_path.glob("*.rejects.csv")) == []
    assert check(tmp_path).problems == ()


def test_rejects_of_an_unusable_bank_are_not_written(tmp_path: Path) -> None:
    result = check(write_bank(tmp_path / "bank", {"customers.csv": CUSTOMERS.replace("customer_id", "id")}))
    with pytest.raises(BankError, match=r"customers\.customer_id: is required"):
        write_rejects(result, tmp_path / "rejects")
    assert not (tmp_path / "rejects").exists()


def test_lines_not_in_utf8_are_fatal_wherever_they_stand(tmp_path: Path) -> None:
    rows = "".join(f"{i},30,5,Mass\n" for i in range(4, 2000))
    customers = (CUSTOMERS + rows).encode() + "2000,30,5,Müße\n".encode("latin-1")
    result = check(write_bank(tmp_path, {"customers.csv": customers}))
    assert [(p.rule, p.severity, p.count) for p in result.problems] == [("wrong_encoding", "fatal", 1)]
