"""``nextoffer export``."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nextoffer.deliver.folder import sum_of
from nextoffer.deliver.formats import FORMATS
from tests.cli.conftest import Command

DAY = "2025-10-13"


def test_every_format_from_a_real_bank(offers: Path, retail: Path, nextoffer: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    formats = [part for name in FORMATS for part in ("--format", name)]
    ran = nextoffer("export", offers, "--bank", retail, *formats, "--out", out, "--on", DAY)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert ran.code == 0, ran.err
    assert f"Consents: as they stood on {DAY}" in ran.out
    assert manifest["made_from"] == {
        "file": "offers.parquet", "sha256": sum_of(offers), "offers": pq.read_table(offers).num_rows,
    }  # fmt: skip
    written = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} - {"manifest.json"}
    assert {file["file"]: file["sha256"] for file in manifest["files"]} == {
        name: sum_of(out / name) for name in written
    }
    assert {"leads.csv", "leads.html", "dialer.csv", "banner.json", "interaction_history.parquet"} < written
    assert {"salesforce/tasks.csv", "hubspot/contacts.csv", "hubspot/deals.csv"} < written
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_plan_can_be_exported_and_the_assigned_rm_gets_the_lead(
    offers: Path, retail: Path, nextoffer: Command, tmp_path: Path
) -> None:
    (tmp_path / "limits.toml").write_text(
        'rm = {channel = "mobile", minutes = 30, anyone = true, person = [{rm_id = "deputy", hours = 3}]}',
        encoding="utf-8",
    )
    plan = tmp_path / "plan.csv"
    nextoffer("allocate", offers, "--limits", tmp_path / "limits.toml", "--bank", retail, "--out", plan)
    ran = nextoffer(
        "export", plan, "--bank", retail, "--format", "leads", "--out", tmp_path / "out", "--on", DAY, "--json"
    )
    told = json.loads(ran.out)
    with (tmp_path / "out" / "leads" / "deputy.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert ran.code == 0, ran.err
    assert len(rows) == 6
    assert {row["channel"] for row in rows} == {"mobile"}
    assert told["formats"]["leads"]["offers"] == told["made_from"]["offers"] - told["scrubbed"]["offers"]


def test_own_scripts_and_another_policy(offers: Path, retail: Path, nextoffer: Command, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('[script.default]\nlines = ["Ahoy {product_name}"]\n', encoding="utf-8")
    (tmp_path / "p.toml").write_text("[arbitration]\ntop_n = 1\n", encoding="utf-8")
    options = ("--templates", tmp_path / "t.toml", "--policy", tmp_path / "p.toml", "--on", DAY)
    ran = nextoffer("export", offers, "--bank", retail, "--format", "leads", "--out", tmp_path / "out", *options)
    assert ran.code == 0
    assert "note: the offers were decided under policy" in ran.err
    assert "Ahoy " in (tmp_path / "out" / "leads.html").read_text(encoding="utf-8")


def test_nothing_is_replaced_without_being_asked(
    offers: Path, retail: Path, nextoffer: Command, tmp_path: Path
) -> None:
    command = ("export", offers, "--bank", retail, "--format", "banner", "--out", tmp_path / "out", "--on", DAY)
    assert nextoffer(*command).code == 0
    assert nextoffer(*command).failed(2, "holds an earlier export; name another folder, or pass --force to replace it")
    assert nextoffer(*command, "--force").code == 0


WRONG = {
    "templates": (("--templates", "absent.toml"), "absent.toml: there is no such file"),
    "column": (("--phone-column", "incme"), "customers have no column 'incme' (did you mean 'income'?)"),
    "policy": (("--policy", "absent.toml"), "absent.toml: there is no such file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_and_nothing_is_written(
    offers: Path, retail: Path, nextoffer: Command, tmp_path: Path, case: str
) -> None:
    options, message = WRONG[case]
    ran = nextoffer("export", offers, "--bank", retail, "--format", "leads", "--out", tmp_path / "out", *options)
    assert ran.failed(2, message)
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_there_is_not(offers: Path, retail: Path, nextoffer: Command, tmp_path: Path) -> None:
    ran = nextoffer("export", offers, "--bank", retail, "--format", "fax", "--out", tmp_path / "out")
    assert ran.code == 2
    assert "'leads', 'dialer', 'banner', 'salesforce', 'hubspot', 'pdstools'" in " ".join(
        ran.err.replace("│", " ").split()
    )
