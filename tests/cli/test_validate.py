"""``nextoffer validate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextoffer.run import engine as engine_module
from nextoffer.run.backtest import CHAMPION
from tests.cli.conftest import Command
from tests.run.worlds import AS_OF, QuickRanker, small_world


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_world(tmp_path_factory.getbasetemp())


def test_it_writes_the_pack_and_prints_the_findings(
    small: Path, nextoffer: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engine_module.RANKERS, CHAMPION, QuickRanker)  # type: ignore[arg-type]
    out = tmp_path / "pack"
    ran = nextoffer("validate", small, "--quick", "--no-challenger", "--as-of", AS_OF, "--by", "segment", "--out", out)
    assert ran.code == 0
    assert "2 fits" in ran.err
    told = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    assert told["findings"]
    for finding in told["findings"]:
        assert f"{finding['severity']}: {finding['area']}: {finding['text']}" in ran.out
    assert told["recipe"]["Command"].startswith("nextoffer validate ")
    assert {"validation.html", "validation.md", "card.md", "checks.csv", "policy.toml"} <= {
        p.name for p in out.iterdir()
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--by", "segmnt"), "error: cannot look at groups by 'segmnt' (did you mean 'segment'?)"),
        (("--model", "nowhere"), "error: nowhere is not a saved model"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    small: Path, nextoffer: Command, tmp_path: Path, options: tuple[str, str], message: str
) -> None:
    ran = nextoffer("validate", small, "--quick", "--no-challenger", "--out", tmp_path / "pack", *options)
    assert (ran.code in (2, 3), message in " ".join(ran.err.split())) == (True, True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_else_is_told_before_anything_is_measured(
    small: Path, nextoffer: Command, tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    ran = nextoffer("validate", small, "--out", tmp_path)
    assert ran.failed(2, "is not empty and no validation pack")
