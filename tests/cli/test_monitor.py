"""``nextoffer monitor``."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command
from tests.run.worlds import AS_OF


def test_lights_are_printed_and_a_report_is_written(
    world: Path, model: Path, nextoffer: Command, tmp_path: Path
) -> None:
    out = tmp_path / "monitoring"
    ran = nextoffer("monitor", world, "--model", model, "--as-of", AS_OF, "--out", out, "--fail-on", "amber")
    assert ran.code == 0
    assert ran.out.startswith("GREEN: ")
    for words in ("Drift of features", "Days since the last offer", "not known", "share of effect"):
        assert words in ran.out
    assert {"report.html", "figures.json", "monitoring.parquet", "monitoring.csv", "spreads.parquet"} == {
        path.name for path in out.iterdir()
    }


def test_a_light_ends_with_its_own_exit_code(world: Path, model: Path, nextoffer: Command, tmp_path: Path) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text("age_days = { amber = 3, red = 30 }\n", encoding="utf-8")
    command = ("monitor", world, "--model", model, "--as-of", "2025-10-16", "--limits", limits, "--json")
    ran = nextoffer(*command)
    assert ran.code == 0
    told = json.loads(ran.out)
    assert told["status"] == "amber"
    assert told["headline"].startswith("AMBER: ")
    assert "age of the model" in told["headline"]
    assert nextoffer(*command, "--fail-on", "amber").code == 5
    assert nextoffer(*command, "--fail-on", "red").code == 0


def test_without_a_day_it_is_today(world: Path, model: Path, nextoffer: Command) -> None:
    ran = nextoffer("monitor", world, "--model", model, "--fail-on", "red")
    assert ran.code == 5  # this bank has had no transaction for long
    assert "days since the last transaction" in ran.out.splitlines()[0]


def test_the_built_in_limits_can_be_written_and_read(
    world: Path, model: Path, nextoffer: Command, tmp_path: Path
) -> None:
    path = tmp_path / "limits.toml"
    assert nextoffer("monitor", "--write-limits", path).code == 0
    command = ("monitor", world, "--model", model, "--as-of", AS_OF)
    assert nextoffer(*command, "--limits", path, "--json").out == nextoffer(*command, "--json").out


def test_what_is_wrong_is_told(world: Path, model: Path, nextoffer: Command, tmp_path: Path) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text("drfit = { amber = 1, red = 2 }\nage_days = { amber = 3, red = 1 }\n", encoding="utf-8")
    command = ("monitor", world, "--model", model)
    wrong = nextoffer(*command, "--limits", limits)
    assert wrong.failed(2, "did you mean 'drift'")
    assert "red (1) must not be below amber (3)" in wrong.err
    assert nextoffer(*command, "--as-of", "2020-01-01").failed(2, "cannot be monitored on 2020-01-01")
