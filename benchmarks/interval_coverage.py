"""How often each interval holds the truth, in simulations whose truth is known.

Usage: ``python benchmarks/interval_coverage.py [--repetitions 2000] [--only WORD] [--json FILE]``

Every file of ``benchmarks/interval_coverage/`` has ROWS: name, nominal share, how it is to be read (``covers``: within
2 points of it; ``at least``: at every look of a test that is peeked at; ``contrast``: what happens without), and a
function of seed and repetitions that returns the share of tests in which the interval held the truth.
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

Row = tuple[str, float, str, Callable[[int, int], float]]
PARTS = Path(__file__).with_suffix("")


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    results = []
    print(f"{'interval':<44} {'nominal':>8} {'held':>8} {'±':>7}  read as", flush=True)
    for name, nominal, reading, play in rows():
        if arguments.only not in name:
            continue
        started = time.perf_counter()
        held = play(arguments.seed, arguments.repetitions)
        error = 1.96 * sqrt(nominal * (1 - nominal) / arguments.repetitions)
        seconds = time.perf_counter() - started
        print(f"{name:<44} {nominal:>8.3f} {held:>8.4f} {error:>7.4f}  {reading} ({seconds:.0f} s)", flush=True)
        results.append({"interval": name, "nominal": nominal, "held": held, "read_as": reading, "seconds": seconds})
    if arguments.json:
        told = {"repetitions": arguments.repetitions, "seed": arguments.seed, "rows": results}
        arguments.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def rows() -> list[Row]:
    """Return the rows of all parts, in the order of their files."""
    found: list[Row] = []
    for path in sorted(PARTS.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"coverage_of_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        found += module.ROWS
    return found


if __name__ == "__main__":
    main()
