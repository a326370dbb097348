"""Each bad input gets its message: what `nextoffer check` prints is kept in ``tests/golden/check``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner, Result

from nextoffer.cli.check import check
from tests.tables.banks import CUSTOMERS, FURTHER, HOLDINGS, MERCHANTS, RESPONSES, TRANSACTIONS, write_bank

Files = Mapping[str, str | bytes | pa.Table | None]

FATAL: dict[str, Files] = {
    "missing_table": {"holdings.csv": None, "holding.csv": HOLDINGS},
    "missing_column": {"customers.csv": CUSTOMERS.replace("customer_id", "custmer_id")},
    "everything_at_once": {
        "customers.csv": CUSTOMERS.replace("customer_id", "cust_id"),
        "products.csv": None,
        "transactions.csv": TRANSACTIONS.replace("amount", "ammount").replace("date", "day"),
        "responses.csv": RESPONSES + "1,10,2025-09-01,7\n",
    },
    "empty_customers": {"customers.csv": "customer_id,age\n"},
    "empty_file": {"customers.csv": ""},
    "not_parquet": {"customers.csv": None, "customers.parquet": b"PAR1 no more"},
    "two_sources": {"customers.parquet": pa.table({"customer_id": [1]})},
    "wrong_types_parquet": {
        "transactions.csv": None,
        "transactions.parquet": pa.table({"customer_id": [1], "date": [20250901], "amount": [date(2025, 9, 1)]}),
    },
    "wrong_type_everywhere": {"transactions.csv": TRANSACTIONS.replace("2025-", "x")},
    "wrong_encoding": {"customers.csv": CUSTOMERS.replace("Mass", "Müße").encode("latin-1")},
    "bank_toml_key": {
        "bank.toml": "currency = 'EUR'\nexcludes = ['age']\n[tables.customers]\nunit = {income = 1000}\n"
    },
    "bank_toml_table": {"bank.toml": "[tables.transaction]\npath = 'tx.csv'\n"},
    "bank_toml_names": {
        "bank.toml": "exclude = ['segmnt']\nsensitive = ['gendre']\n[tables.customers]\ncolumns = {age = 'AGE_YEARS'}\n"
    },
}

REJECTS: dict[str, Files] = {
    "good": FURTHER,
    "wrong_types": {
        "customers.csv": "customer_id,age,income\n1,old,5\n2,40,a lot\n3,,NA\n",
        "transactions.csv": TRANSACTIONS + '1,yesterday,5,7,food,web\n1,2025-09-09,"1,234",7,food,web\n',
    },
    "null_key": {"customers.csv": CUSTOMERS + ",20,1,Mass\n"},
    "duplicate_key": {
        "customers.csv": CUSTOMERS + "1,99,1,Mass\n1,98,1,Mass\n",
        "merchants.csv": "merchant_id\n7\n7\n8\n",
    },
    "unknown_ids": {
        "holdings.csv": HOLDINGS + "9,10,2025-01-01,\n1,99,2025-01-01,\n8,98,2025-01-01,\n",
        "transactions.csv": TRANSACTIONS + "7,2025-09-01,5,6,food,web\n",
        "merchants.csv": MERCHANTS,
    },
    "negative_income": {"customers.csv": CUSTOMERS.replace("7.5", "-7.5")},
    "after_as_of": {"transactions.csv": TRANSACTIONS + "1,2025-10-12,5,7,groceries,web\n1,2099-01-01,5,7,travel,web\n"},
    "empty_tables": {
        "holdings.csv": "customer_id,product_id\n",
        "responses.csv": "customer_id,product_id,offered_on,label\n",
    },
    "bad_label": {"responses.csv": RESPONSES + "1,10,2025-09-01,2\n1,10,2025-09-01,\n1,10,2025-09-01,yes\n"},
    "unknown_purpose": {
        "consents.csv": "customer_id,purpose,granted,recorded_on\n1,marketing,yes,2025-01-01\n2,cookies,no,2025-01-01\n"
    },
    "implausible_risk": {"risk.csv": "customer_id,pd\n1,0.5\n2,1.5\n1,0.7\n"},
    "several_rules": {"holdings.csv": HOLDINGS + "9,99,soon,2025-01-01\n,10,2025-02-01,2025-01-01\n"},
    "closed_before_opened": {"holdings.csv": HOLDINGS + "1,11,2025-02-01,2025-01-01\n"},
    "implausible_age": {"customers.csv": CUSTOMERS.replace("40", "140")},
    "unknown_mcc": {"merchants.csv": "merchant_id,mcc\n7,groceries\n8,zebras\n9,54111\n"},
    "unknown_names": {"truth.csv": "a\n1\n", "transactions.csv": TRANSACTIONS.replace("channel", "chanel")},
    "broken_lines": {"transactions.csv": TRANSACTIONS + "1,2025-09-03\n1,2025-09-04,5,7,food,web,extra\n"},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run ``nextoffer check bank ...`` in a folder where ``bank`` is the toy bank with some files changed."""
    app = typer.Typer()
    app.command()(check)
    monkeypatch.chdir(tmp_path)

    def run_check(files: Files, *arguments: str) -> Result:
        write_bank(tmp_path / "bank", files)
        return CliRunner().invoke(app, ["bank", *arguments], env={"COLUMNS": "160", "NO_COLOR": "1"})

    return run_check


@pytest.mark.parametrize("case", FATAL)
def test_what_cannot_be_lived_with_stops_and_touches_nothing(
    case: str, run: Callable[..., Result], golden: Callable[[str, str], None], tmp_path: Path
) -> None:
    result = run(FATAL[case], "--rejects", "rejects")
    golden(f"check/{case}.txt", _plain(result))
    assert result.exit_code == 2
    assert [p.name for p in tmp_path.iterdir()] == ["bank"]


@pytest.mark.parametrize("case", REJECTS)
def test_what_can_be_set_aside_is_told(
    case: str, run: Callable[..., Result], golden: Callable[[str, str], None], tmp_path: Path
) -> None:
    result = run(REJECTS[case], "--as-of", "2025-10-11", "--rejects", "rejects")
    files = sorted((tmp_path / "rejects").glob("*")) if (tmp_path / "rejects").exists() else []
    written = [f"\n{f.relative_to(tmp_path).as_posix()}\n{f.read_text(encoding='utf-8')}" for f in files]
    golden(f"check/{case}.txt", _plain(result) + "".join(written))
    assert result.exit_code == 0


def test_no_such_bank(run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = run({})
    assert result.exit_code == 2
    assert "does not exist; a bank is a folder of tables or a bank.toml" in " ".join(result.output.split())


def test_json_says_the_same(run: Callable[..., Result]) -> None:
    result = run(REJECTS["negative_income"], "--json", "--rejects", "rejects")
    said = json.loads(result.stdout)
    assert said["usable"] is True
    assert said["set_aside"] == said["rejects_written"] == {"customers": 1, "holdings": 1}
    assert [p["rule"] for p in said["problems"]] == ["negative", "unknown_customer"]


def _plain(result: Result) -> str:
    """The output without the spaces that fill a table's lines."""
    return "".join(f"{line.rstrip()}\n" for line in result.output.splitlines())
