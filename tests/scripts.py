"""Benchmarks as modules, so that their parts can be tested."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[1] / "benchmarks"


def loaded(name: str) -> ModuleType:
    """Return a script of the folder, such as ``rules`` or ``interval_coverage/experiment``, run but for its `main`."""
    known_as = f"benchmark_{name.replace('/', '_')}"
    spec = importlib.util.spec_from_file_location(known_as, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[known_as] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
