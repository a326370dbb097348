"""How often `nextoffer monitor` cries wolf, and how often it sees what has happened.

Banks are drawn twice from the same population, on the day of a fit and later, with 120 numbers, 20 categories and 10
flags, all judged. Told is the share of plays in which any light is amber or red; then, with one of the 150 features
altered, the share in which that feature's light is, and the share in which it is called moved at all.

    python benchmarks/monitoring.py --plays 400
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.evaluate.alarm import Check, Limits, Share
from nextoffer.evaluate.monitoring import Moved, acceptance_check, calibration_check, drift_checks, missing_checks
from nextoffer.evaluate.reference import Reference
from nextoffer.tables.flow import FeatureColumn, FeatureTable, Kind

Generator = np.random.Generator
Columns = dict[str, npt.NDArray[np.float64]]
SIZES = (200, 1_000, 5_000)
NUMBERS, CATEGORIES, FLAGS = 120, 20, 10
WORDS = np.array(["a", "b", "c", "d", "e", "f", "new"])
SHARES = np.array([0.35, 0.25, 0.2, 0.1, 0.07, 0.03])
ALTERED = "n0"
LIGHTS = ("amber", "red")


def drawn(customers: int, rng: Generator) -> Columns:
    """Return numbers (half of them skewed, a tenth not known), words as places in `WORDS`, and flags."""
    out: Columns = {}
    for i in range(NUMBERS):
        values = rng.normal(size=customers)
        out[f"n{i}"] = np.exp(values) if i % 2 else values
        if i % 10 == 3:
            out[f"n{i}"][rng.random(customers) < 0.1] = np.nan
    for i in range(CATEGORIES):
        out[f"c{i}"] = rng.choice(len(SHARES), customers, p=SHARES).astype(np.float64)
    for i in range(FLAGS):
        out[f"f{i}"] = (rng.random(customers) < 0.05 + 0.04 * i).astype(np.float64)
    return out


def table(columns: Columns) -> FeatureTable:
    """Return them as features."""
    kinds: Mapping[str, tuple[Kind, pa.DataType]] = {
        "n": ("number", pa.float64()),
        "c": ("category", pa.string()),
        "f": ("flag", pa.bool_()),
    }
    meant, data = [], {}
    for name, values in columns.items():
        kind, of = kinds[name[0]]
        meant.append(FeatureColumn(name, name, "profile", "relationship", kind))
        plain = WORDS[values.astype(int)] if kind == "category" else values
        data[name] = pa.array(plain.astype(bool) if kind == "flag" else plain, of, from_pandas=True)
    size = len(next(iter(columns.values())))
    return FeatureTable(pa.table({"customer_id": np.arange(size), **data}), tuple(meant), date(2025, 1, 1))


def no_change(_columns: Columns, _: Generator) -> None:
    """Alter nothing."""


def shift(by: float) -> Callable[[Columns, Generator], None]:
    """Return what shifts a normal number by so many standard deviations."""

    def alter(columns: Columns, _: Generator) -> None:
        columns[ALTERED] = columns[ALTERED] + by

    return alter


def doubled(columns: Columns, _: Generator) -> None:
    """Double an amount."""
    columns["n1"] = columns["n1"] * 2


def renamed(columns: Columns, _: Generator) -> None:
    """Call one word otherwise: 20 of 100 customers."""
    columns["c0"] = np.where(columns["c0"] == 2, 6.0, columns["c0"])


def lost(columns: Columns, rng: Generator) -> None:
    """Lose a number for 30 of 100 customers."""
    columns[ALTERED] = np.where(rng.random(len(columns[ALTERED])) < 0.3, np.nan, columns[ALTERED])


PLANTS: Mapping[str, tuple[str, Callable[[Columns, Generator], None]]] = {
    "mean + 0.3 sd": (ALTERED, shift(0.3)),
    "mean + 0.5 sd": (ALTERED, shift(0.5)),
    "amounts doubled": ("n1", doubled),
    "a word renamed (20 %)": ("c0", renamed),
    "30 % not known": (ALTERED, lost),
}


def play(customers: int, alter: Callable[[Columns, Generator], None], rng: Generator) -> list[Check]:
    """Return the checks of a bank that was drawn twice, the second time altered."""
    reference = Reference.measure(table(drawn(customers, rng)), np.empty((customers, 0)), [])
    later = drawn(customers, rng)
    alter(later, rng)
    now = table(later)
    moved = [Moved.of(shape, shape.of_table(now)) for shape in reference.features]
    return [*drift_checks(moved, Limits()), *missing_checks(moved, Limits())]


def false_alarms(customers: int, plays: int, *, seed: int) -> tuple[float, float]:
    """Return in which shares of plays without change a light is not green, and a feature is called moved."""
    rng = np.random.default_rng(seed)
    found = [play(customers, no_change, rng) for _ in range(plays)]
    lights = np.mean([any(c.status() in LIGHTS for c in checks) for checks in found])
    return float(lights), float(np.mean([any(c.chance < 0.05 for c in checks) for checks in found]))


def seen(plant: str, customers: int, plays: int, *, seed: int) -> tuple[float, float]:
    """Return the shares of plays with something planted in which its light is not green, and in which it is moved."""
    rng = np.random.default_rng(seed)
    name, alter = PLANTS[plant]
    mine = [[c for c in play(customers, alter, rng) if c.subject == name] for _ in range(plays)]
    lights = np.mean([any(c.status() in LIGHTS for c in checks) for checks in mine])
    return float(lights), float(np.mean([any(c.chance < 0.05 for c in checks) for checks in mine]))


def answers(offers: int, factor: float, rng: Generator) -> tuple[Share, float]:
    """Return the share accepted of offers, two a customer, each accepted `factor` times as often as stated; and stated.

    Probabilities are around 4 %, and alike for a customer's two offers.
    """
    customers = offers // 2
    stated = np.clip(rng.beta(2, 48, customers), 0.001, 0.9)
    x = rng.binomial(2, np.minimum(stated * factor, 1.0)).astype(np.float64)
    m = np.full(customers, 2.0)
    return Share.of([x.sum(), m.sum(), (x * x).sum(), (x * m).sum(), (m * m).sum(), customers]), float(stated.mean())


def calibration_lights(offers: int, factor: float, plays: int, *, seed: int) -> tuple[float, float]:
    """Return how often the lights of calibration and of acceptance are not green."""
    rng = np.random.default_rng(seed)
    counted = np.zeros(2)
    for _ in range(plays):
        share, stated = answers(offers, factor, rng)
        before, _ = answers(2 * offers, 1.0, rng)
        checks = (
            calibration_check(share, stated, Limits(), subject="all", label="all"),
            acceptance_check(share, before, Limits(), "since"),
        )
        counted += [c.status() in LIGHTS for c in checks]
    return float(counted[0] / plays), float(counted[1] / plays)


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plays", type=int, default=400)
    plays = parser.parse_args().plays
    print(f"| {plays} plays | " + " | ".join(f"{size:,} customers" for size in SIZES) + " |")
    print("|---|" + "--:|" * len(SIZES))
    shown = [false_alarms(size, plays, seed=1) for size in SIZES]
    print("| nothing changed | " + " | ".join(f"{100 * a:.1f} % ({100 * b:.1f} %)" for a, b in shown) + " |")
    for plant in PLANTS:
        shown = [seen(plant, size, max(plays // 4, 1), seed=2) for size in SIZES]
        print(f"| {plant} | " + " | ".join(f"{100 * a:.0f} % ({100 * b:.0f} %)" for a, b in shown) + " |")
    print()
    print("| offers, 4 % accepted | calibration and acceptance lit, 500 | 2,000 | 10,000 |")
    print("|---|--:|--:|--:|")
    for factor in (1.0, 1.5, 0.5, 0.25):
        shown = [calibration_lights(offers, factor, 5 * plays, seed=3) for offers in (500, 2_000, 10_000)]
        print(f"| × {factor:g} | " + " | ".join(f"{100 * a:.1f} %, {100 * b:.1f} %" for a, b in shown) + " |")


if __name__ == "__main__":
    main()
