"""What peeking costs without intervals made for it, and that covariates sharpen by the factor stated."""

from __future__ import annotations

import importlib.util
import sys
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


def test_peeking_with_fixed_intervals_misses_it_often() -> None:
    assert PLAYED.naive_peeking(11, 150) < 0.9


def test_the_factor_of_covariates_is_the_one_stated() -> None:
    stated, seen = PLAYED.cuped_factor(11, 500)
    assert seen == pytest.approx(stated, rel=0.2)
    assert stated < 0.5
