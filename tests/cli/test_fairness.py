"""``nextoffer fairness``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextoffer.run.engine import Engine
from nextoffer.tables.bank import Bank
from tests.cli.conftest import Command
from tests.run.worlds import AS_OF, RATES


@pytest.fixture(scope="module")
def retail_model(retail: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Engine.fit(Bank.read(retail), as_of=AS_OF, ranker=RATES).save(tmp_path_factory.mktemp("fair") / "model")


def test_it_says_how_groups_get_on_and_writes_a_report(
    retail: Path, retail_model: Path, nextoffer: Command, tmp_path: Path
) -> None:
    ran = nextoffer("fairness", retail, "--model", retail_model, "--out", tmp_path / "fair", "--by", "gender")
    assert ran.code == 0
    assert "below the line of 0.8" in ran.out
    for words in ("gender: customers with a product left after each stage", "female", "lowest ratio", "rank1"):
        assert words in ran.out
    assert {"report.html", "figures.json", "rates.parquet", "openings.parquet"} <= {
        path.name for path in (tmp_path / "fair").iterdir()
    }


def test_json(retail: Path, retail_model: Path, nextoffer: Command) -> None:
    ran = nextoffer("fairness", retail, "--model", retail_model, "--by", "age", "--reference", "largest", "--json")
    told = json.loads(ran.out)
    assert told["by"] == ["age"]
    assert set(told["tables"]) == {"rates", "ratios", "openings", "calibration"}


def test_without_a_disparity_there_is_no_other_policy(
    retail: Path, retail_model: Path, nextoffer: Command, tmp_path: Path
) -> None:
    out = tmp_path / "remedy"
    command = ("fairness", retail, "--model", retail_model, "--by", "gender", "--remedy")
    ran = nextoffer(*command, "--out", out)
    assert ran.code == 0
    assert "nothing is changed" in ran.out
    assert not (out / "policy.toml").exists()
    assert json.loads((out / "figures.json").read_text(encoding="utf-8"))["remedy"]["reached"] is False
    assert nextoffer(*command, "--product", "Gold").failed(2, "no product or product type 'Gold'")


def test_what_is_wrong_is_told(retail: Path, world: Path, retail_model: Path, nextoffer: Command) -> None:
    command = ("fairness", retail, "--model", retail_model)
    assert nextoffer(*command, "--by", "gendr").failed(2, "no groups by 'gendr' (did you mean 'gender'?)")
    assert nextoffer(*command, "--reference", "mael").failed(2, "no group 'mael'")
