"""How often each interval holds the truth, in simulations whose truth is known.

Usage: ``python benchmarks/interval_coverage.py [--repetitions 1000] [--only WORD] [--json FILE]``

Every file of ``benchmarks/interval_coverage/`` has ROWS: name, nominal share, how it is to be read, and a function of
seed and repetitions that returns the share of tests in which the interval held the truth. It is read as ``covers``:
within 2 points of the nominal share; ``at least``: no more than 2 points below it, as intervals are that hold at every
look, or in every kind of log; ``band``: it only shows how far chance reaches, and says so where it is told;
``contrast``: what happens without. Ends with 1 where a row is not what it is read as.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from math import sqrt
from pathlib import Path
from types import ModuleType

Row = tuple[str, float, str, Callable[[int, int], float]]
PARTS = Path(__file__).with_suffix("")
POINTS = 0.02


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    results = []
    print(f"{'interval':<60} {'nominal':>8} {'held':>8} {'±':>7}  read as", flush=True)
    for name, nominal, reading, play in rows():
        if arguments.only not in name:
            continue
        started = time.perf_counter()
        held = play(arguments.seed, arguments.repetitions)
        error = 1.96 * sqrt(nominal * (1 - nominal) / arguments.repetitions)
        seconds = time.perf_counter() - started
        so = holds(held, nominal, reading)
        told = f"{reading}{'' if so else ': NO'} ({seconds:.0f} s)"
        print(f"{name:<60} {nominal:>8.3f} {held:>8.4f} {error:>7.4f}  {told}", flush=True)
        results.append({"interval": name, "nominal": nominal, "held": held, "read_as": reading, "so": so})
    if arguments.json:
        figures = {"repetitions": arguments.repetitions, "seed": arguments.seed, "rows": results}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")

    wrong = [row["interval"] for row in results if not row["so"]]
    print(f"{len(results)} rows, {len(wrong)} not what they are read as" + "".join(f"\n  {name}" for name in wrong))
    sys.exit(bool(wrong))


def holds(held: float, nominal: float, reading: str) -> bool:
    """Return whether a share is what it is read as."""
    low, high = allowed(nominal, reading)
    return low - 1e-9 <= held <= high + 1e-9


def allowed(nominal: float, reading: str) -> tuple[float, float]:
    """Return the least and the greatest share that are so read."""
    low, high = nominal - POINTS, min(nominal + POINTS, 1.0)
    return {"covers": (low, high), "at least": (low, 1.0), "band": (0.0, 1.0), "contrast": (0.0, low)}[reading]


def rows() -> list[Row]:
    """Return the rows of all parts, in the order of their files."""
    return [row for path in sorted(PARTS.glob("*.py")) for row in part(path.stem).ROWS]


def part(name: str) -> ModuleType:
    """Return one file of ``benchmarks/interval_coverage/``."""
    spec = importlib.util.spec_from_file_location(f"coverage_of_{name}", PARTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
