"""``nextoffer simulate-policy``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextoffer.run.engine import Engine
from tests.cli.conftest import Command
from tests.run.worlds import CUSTOMERS


@pytest.fixture
def stricter(tmp_path: Path) -> Path:
    path = tmp_path / "stricter.toml"
    path.write_text("[arbitration]\ntop_n = 1\n[eligibility]\nmin_income_factor = 1.2\n", encoding="utf-8")
    return path


def test_it_says_what_would_change_and_writes_a_report(
    world: Path, model: Path, nextoffer: Command, stricter: Path, tmp_path: Path
) -> None:
    out = tmp_path / "what_if"
    ran = nextoffer("simulate-policy", world, "--model", model, "--policy", stricter, "--out", out)
    assert ran.code == 0
    assert f"of {CUSTOMERS} customers" in ran.out
    for words in ("fewer than before", "Left after each stage", "Offers", "eligibility.min_income", "would serve"):
        assert words in ran.out
    assert {"report.html", "figures.json", "funnel.parquet"} <= {path.name for path in out.iterdir()}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "What the new policy would change" in page


def test_json_of_a_sample(world: Path, model: Path, nextoffer: Command, stricter: Path) -> None:
    arguments = ("--model", model, "--policy", stricter, "--against", stricter, "--customers", 100, "--by", "city_tier")
    ran = nextoffer("simulate-policy", world, *arguments, "--json")
    told = json.loads(ran.out)
    assert told["old"] == told["new"] != Engine.load(model).policy.policy_id
    assert told["looked_at"] < told["customers"] == CUSTOMERS
    assert {"funnel", "offers", "refusals", "loosening"} <= set(told["tables"])


def test_what_is_wrong_is_told(world: Path, model: Path, nextoffer: Command, stricter: Path, tmp_path: Path) -> None:
    command = ("simulate-policy", world, "--model", model)
    ran = nextoffer(*command, "--policy", stricter, "--by", "segmnt", "--out", tmp_path / "out")
    assert ran.failed(2, "no groups by 'segmnt' (did you mean 'segment'?)")
    assert nextoffer(*command, "--policy", tmp_path / "none.toml").failed(2, "none.toml")
    assert not (tmp_path / "out").exists()
