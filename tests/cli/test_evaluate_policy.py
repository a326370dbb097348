"""``nextoffer evaluate-policy``."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from tests.cli.conftest import Command
from tests.run.test_off_policy import decisions


def test_a_log_in_words_and_as_json(nextoffer: Command, tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(decisions(), path)
    ran = nextoffer("evaluate-policy", path)
    assert ran.code == 0
    for words in ("earns more than the logged one", "doubly robust", "3,000 decisions of 3,000 customers"):
        assert words in ran.out
    told = json.loads(nextoffer("evaluate-policy", path, "--json").out)
    ran = nextoffer("evaluate-policy", path, "--out", tmp_path / "judged")
    assert "report.html" in ran.out
    assert (tmp_path / "judged" / "report.html").exists()
    assert nextoffer("evaluate-policy", path, "--out", path).failed(2, "log.parquet")
    assert told["overlap"]["warnings"] == []
    assert {row["model"] for row in told["estimates"]} >= {"ips", "snips", "dm", "dr", "switch_dr", "gain"}


def test_what_is_wrong_is_told(world: Path, model: Path, nextoffer: Command, tmp_path: Path) -> None:
    assert nextoffer("evaluate-policy", world).failed(2, "say --model FOLDER")
    ran = nextoffer("evaluate-policy", world, "--model", model)
    assert ran.failed(2, "pscore")
    assert nextoffer("evaluate-policy", tmp_path / "none.csv").failed(2, "none.csv")
