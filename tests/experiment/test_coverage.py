"""Intervals hold the truth as often as they say; `benchmarks/interval_coverage.py` plays the same tests more often."""

from __future__ import annotations

import importlib.util
import sys
from math import sqrt
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "interval_coverage" / "experiment.py"


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_of_experiment", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


PLAYED = _loaded()


@pytest.mark.parametrize("name", PLAYED.AT_ONE_MOMENT)
def test_at_one_moment_intervals_hold_the_truth_as_often_as_they_say(name: str) -> None:
    repetitions = 400
    held = PLAYED.AT_ONE_MOMENT[name](11, repetitions)
    assert held == pytest.approx(0.95, abs=3.3 * sqrt(0.95 * 0.05 / repetitions))


@pytest.mark.parametrize("name", PLAYED.EVERY_DAY)
def test_looked_at_every_day_they_ever_miss_it_no_more_often(name: str) -> None:
    assert PLAYED.EVERY_DAY[name](11, 150) >= 0.95


def test_peeking_with_fixed_intervals_misses_it_often() -> None:
    assert PLAYED.naive_peeking(11, 150) < 0.9


def test_the_factor_of_covariates_is_the_one_stated() -> None:
    stated, seen = PLAYED.cuped_factor(11, 500)
    assert seen == pytest.approx(stated, rel=0.2)
    assert stated < 0.5


def test_the_alarm_on_customers_per_arm_is_seldom_false() -> None:
    assert PLAYED.sample_ratio(11, 2_000) == pytest.approx(0.999, abs=0.001)
