"""Scoring needs none of the libraries that training needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("interpret", "lightgbm", "numba", "pandas", "scipy", "sklearn")


@pytest.mark.parametrize("module", ["baselines", "challenger", "choice", "glassbox"])
def test_importing_a_ranker_imports_no_training_library(module: str) -> None:
    code = f"import sys, nextoffer.models.{module}; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert found.stdout.strip() == "[]"
