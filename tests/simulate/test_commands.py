from __future__ import annotations

import json
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from nextoffer.cli.simulate import app
from nextoffer.errors import BankError

run = CliRunner()


@pytest.mark.parametrize("command", [["--help"], ["reference", "--help"], ["retail", "--help"], ["ab", "--help"]])
def test_help_is_there(command: list[str]) -> None:
    result = run.invoke(app, command)
    assert result.exit_code == 0
    assert command == ["--help"] or "nextoffer simulate" in result.output


def test_reference_writes_a_world(tmp_path: Path) -> None:
    command = ["reference", "--out", str(tmp_path / "w"), "--customers", "40", "--products", "5", "--seed", "3"]
    result = run.invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert "customers.parquet, evaluation.parquet, holdings.parquet" in result.output
    assert pq.read_metadata(tmp_path / "w" / "truth.parquet").num_rows == 200


def test_retail_writes_a_bank_dirty_on_request(tmp_path: Path) -> None:
    command = ["retail", "--out", str(tmp_path / "w"), "--customers", "40", "--dirty"]
    assert run.invoke(app, command, catch_exceptions=False).exit_code == 0
    assert "transactions" in json.loads((tmp_path / "w" / "dirty.json").read_text())


def test_a_folder_is_replaced_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("x")
    command = ["reference", "--out", str(tmp_path), "--customers", "40"]
    assert isinstance(run.invoke(app, command).exception, BankError)
    assert run.invoke(app, [*command, "--force"], catch_exceptions=False).exit_code == 0
    assert not (tmp_path / "old.txt").exists()


def test_ab_reads_parquet_and_csv_and_prints_json(tmp_path: Path) -> None:
    run.invoke(app, ["reference", "--out", str(tmp_path / "w"), "--customers", "200"], catch_exceptions=False)
    truth = tmp_path / "w" / "truth.parquet"
    offers = pq.read_table(truth, columns=["customer_id", "product_id"], filters=[("product_id", "=", 3)])
    pq.write_table(offers, tmp_path / "a.parquet")
    pyarrow.csv.write_csv(offers, tmp_path / "b.csv")
    command = [
        "ab",
        "--truth",
        str(truth),
        "--control",
        str(tmp_path / "a.parquet"),
        "--treatment",
        str(tmp_path / "b.csv"),
    ]
    assert "equally good" in run.invoke(app, command, catch_exceptions=False).output
    told = json.loads(run.invoke(app, [*command, "--json"], catch_exceptions=False).output)
    assert told["true_lift"] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("name", "message"),
    [("offers.xlsx", "ends in '.xlsx'; needed is one of .parquet, .csv"), ("absent.csv", "cannot be read")],
)
def test_ab_says_what_it_cannot_read(tmp_path: Path, name: str, message: str) -> None:
    path = str(tmp_path / name)
    result = run.invoke(app, ["ab", "--truth", path, "--control", path, "--treatment", path])
    assert isinstance(result.exception, BankError)
    assert message in str(result.exception)


def test_ab_with_the_bank_tells_what_offers_really_earn(tmp_path: Path) -> None:
    bank = tmp_path / "bank"
    assert run.invoke(app, ["retail", "--out", str(bank), "--customers", "60"], catch_exceptions=False).exit_code == 0
    pairs = pq.read_table(bank / "truth.parquet").select(["customer_id", "product_id"])
    for name, product in (("saver", "P13"), ("card", "P04")):
        pyarrow.csv.write_csv(pairs.filter(pc.equal(pairs["product_id"], product)), tmp_path / f"{name}.csv")
    files = ["--control", str(tmp_path / "saver.csv"), "--treatment", str(tmp_path / "card.csv")]
    command = ["ab", "--truth", str(bank / "truth.parquet"), *files, "--bank", str(bank)]
    said = run.invoke(app, command, catch_exceptions=False).output
    assert "True profit of first offers: treatment earns " in said
    assert "EUR per 1,000 customers" in said
    told = json.loads(run.invoke(app, [*command, "--json"], catch_exceptions=False).output)["true_profit"]
    assert told["difference"]["top"]["n"] == 60
    assert told["difference"]["top"] == told["difference"]["all"]  # one offer each
