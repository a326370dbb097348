"""``nextoffer demo``, as small as it goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextoffer.run import engine as engine_module
from nextoffer.run.backtest import CHAMPION
from tests.cli.conftest import Command
from tests.run.worlds import QuickRanker


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engine_module.RANKERS, CHAMPION, QuickRanker)  # type: ignore[arg-type]


def test_a_newcomer_sees_offers_figures_the_test_and_the_gate(nextoffer: Command, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    ran = nextoffer("demo", "--out", out, "--customers", 60)
    assert ran.code == 0
    said = " ".join(ran.out.split())
    for words in (
        "offers to",
        "Not offered: ",
        "ndcg@5",
        "A simulated A/B test",
        "Acceptance gate",
        "NDCG@5",
        "Written",
    ):
        assert words in said
    for path in out.iterdir():
        assert path.name in said


def test_json(nextoffer: Command, tmp_path: Path) -> None:
    ran = nextoffer("demo", "--out", tmp_path / "demo", "--customers", 60, "--seed", 3, "--json")
    told = json.loads(ran.out)
    assert ran.code == 0
    assert set(told) == {"gate", "ab_test", "report", "decisions", "seconds"}
    assert told["decisions"] > 0
    assert {row["model"] for row in told["report"]} >= {CHAMPION, "oracle"}
