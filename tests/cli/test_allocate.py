"""``nextoffer allocate``."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Command

LIMITS = """
per_customer = 1
[[resource]]
name = "budget"
capacity = 60
use = "cost"
[[slots]]
per_day = [3, 2]
where = { channel = "phone" }
[rm]
channel = "branch"
minutes = 45
hours = 1
[[volume]]
column = "segment"
value = "HNI"
max = 4
"""


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("limits") / "limits.toml"
    path.write_text(LIMITS, encoding="utf-8")
    return path


def test_a_plan_is_written_and_told(
    offers: Path, retail: Path, limits: Path, nextoffer: Command, tmp_path: Path
) -> None:
    out = tmp_path / "plan.parquet"
    ran = nextoffer("allocate", offers, "--limits", limits, "--bank", retail, "--out", out)
    plan, refusals = pq.read_table(out), pq.read_table(tmp_path / "plan.refusals.parquet")
    assert ran.code == 0, ran.err
    assert plan.num_rows + refusals.num_rows == pq.read_table(offers).num_rows
    assert f"{plan.num_rows:,} offers, worth" in ran.out
    assert "one more unit of budget is worth" in ran.out
    assert "EUR" in ran.out
    assert "  budget: no room" in ran.out
    assert "rm.nobody: the customer has no RM" in ran.out
    assert set(plan.column("slot_day").drop_null().to_pylist()) <= {1, 2}


def test_json(offers: Path, retail: Path, limits: Path, nextoffer: Command, tmp_path: Path) -> None:
    out = tmp_path / "plan.csv"
    ran = nextoffer(
        "allocate", offers, "--limits", limits, "--bank", retail, "--out", out, "--value", "propensity", "--json"
    )
    told = json.loads(ran.out)
    assert ran.code == 0
    assert told["offers"] > 0
    assert told["refusals"] == sum(told["left_out"].values())
    assert told["value"] <= told["bound"]
    assert told["unit"] == "propensity"
    assert {row["limit"]: row["capacity"] for row in told["limits"]}["budget"] == 60
    assert all(row["used"] <= row["capacity"] for row in told["limits"])
    assert all(row["in_words"] for row in told["limits"])


WRONG = {
    "limits": (("--limits", "absent.toml"), "absent.toml: there is no such file"),
    "value": (("--value", "propensty"), "the offers have no column 'propensty' (did you mean 'propensity'?)"),
    "ending": (("--out", "plan.xlsx"), "ends in '.xlsx', but tables are written as .parquet or .csv"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_and_nothing_is_written(
    offers: Path, retail: Path, limits: Path, nextoffer: Command, tmp_path: Path, case: str
) -> None:
    options, message = WRONG[case]
    given = {"--limits": limits, "--bank": retail, "--out": tmp_path / "plan.csv", options[0]: options[1]}
    ran = nextoffer("allocate", offers, *(part for option in given.items() for part in option))
    assert ran.failed(2, message)
    assert list(tmp_path.iterdir()) == []
