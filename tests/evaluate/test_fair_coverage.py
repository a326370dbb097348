"""Intervals of fairness hold the truth as often as they say; `benchmarks/interval_coverage.py` plays more."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from math import sqrt
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "interval_coverage" / "fairness.py"
REPETITIONS = 800


def plays() -> list[tuple[str, float, str, Callable[[int, int], float]]]:
    spec = importlib.util.spec_from_file_location("coverage_of_fairness", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.ROWS)


@pytest.mark.parametrize(("name", "nominal", "reading", "play"), [pytest.param(*row, id=row[0]) for row in plays()])
def test_it_holds_the_truth(name: str, nominal: float, reading: str, play: Callable[[int, int], float]) -> None:
    assert reading == "covers"
    assert play(11, REPETITIONS) == pytest.approx(nominal, abs=3 * sqrt(nominal * (1 - nominal) / REPETITIONS)), name
