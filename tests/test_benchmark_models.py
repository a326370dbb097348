"""The benchmarks of the models on toy banks: they run, and measure what they say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nextoffer import compiled
from tests.scripts import loaded


@pytest.fixture(autouse=True)
def cool_again() -> Iterator[None]:
    yield
    compiled.cool_down()


@pytest.mark.slow
def test_scoring_prints_a_line_for_each_contender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scoring = loaded("scoring")
    monkeypatch.setattr(scoring, "LEARN", 1500)
    monkeypatch.setattr(scoring, "TREES", 5)
    monkeypatch.setattr(sys, "argv", ["scoring.py", "--customers", "200", "--json", str(tmp_path / "found.json")])
    scoring.main()
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["scorecard"]["score"]["rows"] == found["LightGBM"]["score"]["rows"] == 200 * 24
    assert {"scorecard", "LightGBM", "compiled forest"} < set(found)
    assert "pairs with exact reasons" in capsys.readouterr().out


def test_collaborative_hides_one_holding_and_finds_it_oftener_than_popularity(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    collaborative = loaded("collaborative")
    held, hidden = collaborative.holdings(3000, 24)
    assert not held[np.flatnonzero(hidden >= 0), hidden[hidden >= 0]].any()
    assert held[hidden >= 0].any(axis=1).all()
    judged = collaborative.judged(3000, 24)
    assert judged["nextoffer"]["recall"] > judged["popularity"]["recall"] > 5 / 24
    assert "seconds" in judged["implicit"] or "implicit" in judged["implicit"]["skipped"]
    monkeypatch.setattr(sys, "argv", ["collaborative.py", "--customers", "500", "--products", "24"])
    collaborative.main()
    assert "500 customers × 24 products" in capsys.readouterr().out


def test_recall_counts_only_customers_with_something_hidden() -> None:
    collaborative = loaded("collaborative")
    ranked = np.array([[0, 1], [2, 3], [4, 5]])
    assert collaborative.recall(ranked, np.array([1, 0, -1])) == 0.5
