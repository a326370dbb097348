"""``nextoffer evaluate``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.csv
import pytest

from nextoffer.models.baselines import BASELINES
from nextoffer.run import engine as engine_module
from nextoffer.run.backtest import CHALLENGER, CHAMPION
from tests.cli.conftest import Command
from tests.run.worlds import AS_OF, QuickRanker, small_world


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engine_module.RANKERS, CHAMPION, QuickRanker)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_world(tmp_path_factory.getbasetemp())


def test_the_table_and_the_report(small: Path, nextoffer: Command, tmp_path: Path) -> None:
    out = tmp_path / "report"
    ran = nextoffer("evaluate", small, "--as-of", AS_OF, "--no-challenger", "--out", out, "--by", "segment")
    assert ran.code == 0
    said = " ".join(ran.out.split())
    assert f"Trained before {AS_OF}, judged on what came after" in said
    for word in (CHAMPION, *BASELINES, "ndcg@5", "map@5", "auc", "share of achievable"):
        assert word in said
    tables = {"significance.parquet", "calibration_by_product.parquet"}
    assert {path.name for path in out.iterdir()} == {"report.html", "metrics.csv", "figures.json"} | tables
    page = (out / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"https?://", re.sub(r'xmlns(?::\w+)?="[^"]*"', "", page))
    groups = set(pyarrow.csv.read_csv(out / "metrics.csv").column("group").to_pylist())
    assert len(groups) > 2


def test_json_is_the_report(small: Path, nextoffer: Command) -> None:
    ran = nextoffer("evaluate", small, "--json")
    rows = json.loads(ran.out)
    assert ran.code == 0
    assert {row["model"] for row in rows} >= {CHAMPION, CHALLENGER, *BASELINES}
    assert set(rows[0]) == {"metric", "model", "split", "group", "estimate", "low", "high", "n"}


def test_trials_are_announced_told_and_put_into_the_json(small: Path, nextoffer: Command) -> None:
    trials = ("--no-challenger", "--also", "ease", "--origins", "2025-10-11,2025-10-18", "--learning-curve")
    ran = nextoffer("evaluate", small, *trials)
    assert (ran.code, "9 fits" in ran.err) == (0, True)
    for title in ("Judged from several days", "Learned from a part of the customers"):
        assert title in ran.out
    ran = nextoffer("evaluate", small, "--no-challenger", "--origins", "1", "--json")
    assert {"report", "origins", "significance", "notes"} <= set(json.loads(ran.out))


def test_origins_are_a_number_or_days(small: Path, nextoffer: Command) -> None:
    ran = nextoffer("evaluate", small, "--origins", "monthly")
    assert ran.code == 2
    assert "'monthly' is neither a number of days nor dates" in " ".join(ran.err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--also", "eas"), "error: no model 'eas' (did you mean 'ease'?)"),
        (("--by", "segmnt"), "error: cannot judge by 'segmnt' (did you mean 'segment'?)"),
        (("--as-of", "2027-01-01"), "error: nothing to judge by: no acceptance on or after 2027-01-01"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    small: Path, nextoffer: Command, tmp_path: Path, options: tuple[str, str], message: str
) -> None:
    ran = nextoffer("evaluate", small, "--no-challenger", "--out", tmp_path / "report", *options)
    assert ran.failed(2, message)
    assert list(tmp_path.iterdir()) == []
