"""``nextoffer experiment``."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Command

FILE = """
name = "phone first"
starts = 2025-08-20
ends = 2025-10-11
per_day = 500
[[arm]]
name = "as before"
share = 0.5
[[arm]]
name = "phone first"
share = 0.5
[assignment]
method = "blocked"
strata = ["segment"]
[holdout]
share = 0.1
[[metric]]
name = "accepted"
base = 0.04
lift = 0.2
[[metric]]
name = "spend"
kind = "value"
role = "guardrail"
lift = 0.05
base = 400
sd = 500
covariates = ["pre_spend", "income"]
"""


@pytest.fixture(scope="module")
def test_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiment") / "experiment.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def assigned(retail: Path, test_file: Path, nextoffer: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("assigned") / "assignment.parquet"
    ran = nextoffer("experiment", "assign", retail, "--experiment", test_file, "--out", out)
    assert ran.code == 0, ran.err
    assert "in no arm: holdout" in ran.out
    assert "The arms hold the customers they should" in ran.out
    return out


def test_plan_by_options(nextoffer: Command) -> None:
    ran = nextoffer("experiment", "plan", "--base-rate", 0.1, "--lift", 0.1, "--per-day", 1000)
    assert ran.code == 0, ran.err
    assert "control                14,751 customers" in ran.out
    assert "30 days" in ran.out
    sequential = nextoffer("experiment", "plan", "--base-rate", 0.1, "--lift", 0.1, "--sequential")
    assert "looking any day costs +72%" in sequential.out
    value = nextoffer(
        "experiment", "plan", "--mean", 50, "--sd", 100, "--lift", 2, "--absolute", "--correlation", 0.5, "--json",
        "--share", 0.5, "--share", 0.25, "--share", 0.25, "--one-sided",
    )  # fmt: skip
    told = json.loads(value.out)
    assert told["terms"]["comparisons"] == 2
    assert told["terms"]["sides"] == 1
    assert told["metrics"][0]["wished"] == 52
    assert len(told["per_arm"]) == 3


def test_plan_by_file(nextoffer: Command, test_file: Path) -> None:
    ran = nextoffer("experiment", "plan", "--experiment", test_file)
    assert ran.code == 0, ran.err
    assert "accepted: 0.04 to 0.048 needs" in ran.out
    assert "spend: 400 to 380 needs" in ran.out
    assert "there will be 26,500 customers: too few" in ran.out


def test_assignment_is_sticky(
    assigned: Path, retail: Path, test_file: Path, nextoffer: Command, tmp_path: Path
) -> None:
    again = tmp_path / "again.csv"
    options = ("--experiment", test_file, "--keep", assigned, "--json")
    ran = nextoffer("experiment", "assign", retail, *options, "--out", again)
    told = json.loads(ran.out)
    before = pq.read_table(assigned)
    assert told["kept"] == told["customers"] == before.num_rows
    assert pyarrow.csv.read_csv(again)["arm"].to_pylist() == before["arm"].to_pylist()


def test_a_bank_is_read(assigned: Path, retail: Path, test_file: Path, nextoffer: Command, tmp_path: Path) -> None:
    page = tmp_path / "reading.html"
    given = ("--experiment", test_file, "--assignment", assigned)
    ran = nextoffer("experiment", "read", retail, *given, "--out", page)
    assert ran.code == 0, ran.err
    assert "phone first against as before is not yet decidable" in " ".join(ran.out.split())
    html = page.read_text(encoding="utf-8")
    assert "NextOffer experiment" in html
    assert "From day to day" in html
    assert "http" not in html
    told = json.loads(nextoffer("experiment", "read", retail, *given, "--json", "--until", "2025-10-01").out)
    assert told["until"] == "2025-10-01"
    assert told["verdict"]["code"] == "open"
    assert told["sample_ratio"]["broken"] is False
    assert len(told["days"]) == 43


def test_a_table_is_read(test_file: Path, nextoffer: Command, tmp_path: Path) -> None:
    n = 2000
    results = pa.table(
        {
            "customer_id": range(n),
            "arm": ["as before", "phone first"] * (n // 2),
            "accepted": [int(i % 10 == 0 or (i % 2 == 1 and i % 5 == 0)) for i in range(n)],
            "spend": [100.0 + i % 7 for i in range(n)],
            "pre_spend": [100.0 + i % 11 for i in range(n)],
            "income": [2000.0 + i % 13 for i in range(n)],
        }
    )
    path = tmp_path / "results.csv"
    pyarrow.csv.write_csv(results, path)
    ran = nextoffer("experiment", "read", path, "--experiment", test_file, "--out", tmp_path / "r.html")
    assert ran.code == 0, ran.err
    assert "guardrail spend is not hurt" in ran.out
    assert (tmp_path / "r.html").exists()


WRONG = {
    "no assignment": (("read", "BANK", "--experiment", "FILE"), "give the file that assign wrote as --assignment"),
    "no experiment": (("read", "BANK", "--experiment", "absent.toml"), "absent.toml: there is no such file"),
    "table": (("read", "absent.csv", "--experiment", "FILE"), "absent.csv does not exist"),
    "plan": (("plan", "--base-rate", "0.9", "--lift", "0.5"), "lead to a rate of 1.35"),
    "half a plan": (("plan", "--base-rate", "0.1"), "to plan it, lift must be given"),
    "stratum": (("assign", "BANK", "--experiment", "STRATUM", "--out", "OUT"),
                "customers: no column 'segmnt' (did you mean 'segment'?)"),
    "overlap": (("assign", "BANK", "--experiment", "LAYER", "--beside", "OTHER", "--out", "OUT"),
                "'one' and 'two' both use 0 to 0.5 of layer 'cards'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told(case: str, retail: Path, test_file: Path, nextoffer: Command, tmp_path: Path) -> None:
    arguments, message = WRONG[case]
    layers = tmp_path / "layers"
    layers.mkdir()
    for name in ("one", "two"):
        text = FILE.replace("phone first", name, 1) + '[layer]\nname = "cards"\nto = 0.5\n'
        (layers / f"{name}.toml").write_text(text, encoding="utf-8")
    known = {"BANK": retail, "FILE": test_file, "LAYER": layers / "one.toml", "OTHER": layers / "two.toml"}
    known["STRATUM"] = tmp_path / "stratum.toml"
    known["STRATUM"].write_text(FILE.replace('"segment"', '"segmnt"'), encoding="utf-8")
    known["OUT"] = tmp_path / "a.parquet"
    ran = nextoffer("experiment", *(known.get(part, part) for part in arguments))
    assert ran.failed(2, message), ran.err
    assert not (tmp_path / "a.parquet").exists()
