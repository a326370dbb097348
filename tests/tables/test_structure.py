"""What Bank.read says of files and columns that are not as the contract wants them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from nextoffer.errors import BankError
from nextoffer.tables.bank import Bank
from tests.tables.banks import CUSTOMERS, write_bank

CLIENTS = pa.table(
    {"customer_id": [1, 2], "tags": [["a"], ["b"]], "born": pa.array([0, 1], pa.date32()), "incom": [1, 2]}
)
FATAL: Mapping[str, tuple[Mapping[str, str | bytes | pa.Table | None], str]] = {
    "mixed parts": (
        {"customers.csv": None, "customers/a.csv": CUSTOMERS, "customers/b.parquet": CLIENTS},
        "customers: customers mixes Parquet and CSV parts; keep one kind",
    ),
    "empty folder": (
        {"customers.csv": None, "customers/readme.txt": "x"},
        r"customers: the folder customers/ holds no \.parquet or \.csv file",
    ),
    "unknown format": (
        {"bank.toml": "[tables.risk]\npath = 'risk.xlsx'\n", "risk.xlsx": "x"},
        r"risk: risk\.xlsx is neither Parquet nor CSV; endings are \.parquet, \.csv, \.csv\.gz",
    ),
    "no such path": (
        {"bank.toml": "[tables.risk]\npath = 'risk/*.csv'\n"},
        r"risk: bank\.toml says it lies in 'risk/\*\.csv', where nothing is",
    ),
    "no such database": (
        {"bank.toml": "database = 'core.sqlite'\n", "core.sqlite": "SQLite format 3"},
        r"database 'core\.sqlite' is no DuckDB file that can be read; other databases are not supported yet",
    ),
    "query that does not run": (
        {"bank.toml": "[tables.risk]\nquery = 'SELEC 1'\n"},
        "risk: query cannot be read: Parser Error",
    ),
    "unit of text": (
        {"bank.toml": "[tables.customers]\nunits = {zip = 2}\n", "customers.csv": "customer_id,zip\n1,01234\n"},
        r"customers\.zip: bank\.toml gives it a unit, but it is no number here",
    ),
    "unit of nothing": (
        {"bank.toml": "[tables.customers]\nunits = {incme = 2}\n"},
        r"customers\.incme: bank\.toml gives it a unit, but it is no number here \(did you mean 'income'\?\)",
    ),
    "list where an id is needed": (
        {"customers.csv": None, "customers.parquet": pa.table({"customer_id": [[1], [2]]})},
        r"customers\.customer_id: is BIGINT\[\], but an id \(whole number or text\) is needed",
    ),
    "nothing usable": (
        {"customers.csv": "customer_id,income\n1,-5\n2,-6\n"},
        "customers: has no usable row among its 2; at least one row is needed",
    ),
}


@pytest.mark.parametrize("case", FATAL)
def test_what_is_fatal(tmp_path: Path, case: str) -> None:
    files, message = FATAL[case]
    with pytest.raises(BankError, match=message):
        Bank.read(write_bank(tmp_path, files))


def test_what_is_only_noted(tmp_path: Path) -> None:
    files = {
        "customers.csv": None,
        "customers.parquet": CLIENTS,
        "transaction.csv": "a\n",
        "risk.csv": "customer_id,pdd\n",
    }
    bank = Bank.read(write_bank(tmp_path, files))
    assert bank.notes == (
        "transaction.csv: not a table of the contract, ignored (did you mean 'transactions'?)",
        "customers.tags: is VARCHAR[], of no use here; ignored",
        "customers.incom: kept as a further column (did you mean 'income'?)",
        "risk.pdd: not in the contract, ignored (did you mean 'pd'?)",
    )
    assert bank.columns("customers") == {"customer_id": "id", "born": "date", "incom": "number"}
    assert bank.feature_columns("customers") == ["incom"]


def test_a_file_that_bank_toml_names_is_no_stranger(tmp_path: Path) -> None:
    files = {"customers.csv": None, "people.csv": CUSTOMERS, "bank.toml": "[tables.customers]\npath = 'people.csv'\n"}
    assert Bank.read(write_bank(tmp_path, files)).notes == ()
