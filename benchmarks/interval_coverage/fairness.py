"""How often the intervals of fairness hold the truth: ratios of rates and of exposure, and calibration by customer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nextoffer.evaluate.disparity import Mean, Stated, accepted_over_expected, ratio
from nextoffer.evaluate.funnel import discount
from nextoffer.run.remedy import _total

Generator = np.random.Generator


def _played(one: Callable[[Generator], bool], seed: int, repetitions: int) -> float:
    draw = np.random.default_rng(seed)
    return float(np.mean([one(draw) for _ in range(repetitions)]))


def _rates(draw: Generator, sizes: tuple[int, int], rates: tuple[float, float]) -> bool:
    group, reference = (Mean.of_rate(draw.binomial(n, p), n) for n, p in zip(sizes, rates, strict=True))
    found = ratio(group, reference)
    return found.low <= rates[0] / rates[1] <= found.high


def selection(seed: int, repetitions: int) -> float:
    return _played(lambda draw: _rates(draw, (400, 900), (0.16, 0.2)), seed, repetitions)


def small_groups(seed: int, repetitions: int) -> float:
    return _played(lambda draw: _rates(draw, (40, 60), (0.4, 0.5)), seed, repetitions)


def exposure(seed: int, repetitions: int) -> float:
    weights = np.array([*discount(np.arange(3)), 0.0])
    shares = np.array([[0.1, 0.15, 0.15, 0.6], [0.2, 0.15, 0.1, 0.55]])
    truth = float(shares[0] @ weights / (shares[1] @ weights))

    def one(draw: Generator) -> bool:
        sides = []
        for n, share in zip((300, 500), shares, strict=True):
            seen = weights[draw.choice(4, n, p=share)]
            sides.append(Mean(float(seen.sum()), float((seen * seen).sum()), n, counted=False))
        found = ratio(*sides)
        return found.low <= truth <= found.high

    return _played(one, seed, repetitions)


def calibration(seed: int, repetitions: int) -> float:
    def one(draw: Generator) -> bool:
        chance = np.minimum(draw.beta(2, 18, (400, 3)) * draw.uniform(0.5, 1.5, (400, 1)), 1.0)
        y, x = (draw.random((400, 3)) < chance).sum(axis=1), chance.sum(axis=1) / 1.3
        found = accepted_over_expected(Stated(400, 1200, y.sum(), x.sum(), (y * y).sum(), (x * x).sum(), (x * y).sum()))
        return found.low <= 1.3 <= found.high

    return _played(one, seed, repetitions)


def few_offers(seed: int, repetitions: int) -> float:
    """The same of 150 customers of whom one in twenty accepts."""

    def one(draw: Generator) -> bool:
        chance = np.minimum(draw.beta(2, 38, (150, 2)) * draw.uniform(0.5, 1.5, (150, 1)), 1.0)
        y, x = (draw.random((150, 2)) < chance).sum(axis=1), chance.sum(axis=1) / 0.8
        found = accepted_over_expected(Stated(150, 300, y.sum(), x.sum(), (y * y).sum(), (x * x).sum(), (x * y).sum()))
        return bool(found.low <= 0.8 <= found.high)

    return _played(one, seed, repetitions)


def price(seed: int, repetitions: int) -> float:
    """What a remedy costs all customers of a bank: most keep their offers, some change to one of another value."""

    def one(draw: Generator) -> bool:
        gap = np.where(draw.random(1500) < 0.08, draw.normal(-3.0, 8.0, 1500), 0.0)
        found = _total(np.array([gap.sum(), gap @ gap]), 1500)
        return bool(found.low <= 1500 * 0.08 * -3.0 <= found.high)

    return _played(one, seed, repetitions)


def opening(seed: int, repetitions: int) -> float:
    """Where a gap opens: the lowest of five steps' ratios, chosen because it is the lowest; all are 0.95 in truth."""

    def one(draw: Generator) -> bool:
        found = [ratio(*(Mean.of_rate(draw.binomial(n, p), n) for n, p in ((400, 0.57), (900, 0.6)))) for _ in range(5)]
        lowest = min(found, key=lambda each: each.estimate)
        return bool(lowest.low <= 0.95 <= lowest.high)

    return _played(one, seed, repetitions)


ROWS = [
    ("fairness, ratio of selection rates", 0.95, "covers", selection),
    ("fairness, ratio of rates, 40 and 60 customers", 0.95, "covers", small_groups),
    ("fairness, ratio of exposure", 0.95, "covers", exposure),
    ("fairness, accepted / expected by customer", 0.95, "covers", calibration),
    ("fairness, accepted / expected, few offers", 0.95, "covers", few_offers),
    ("fairness, price of a remedy", 0.95, "covers", price),
    ("fairness, step at which a gap opens", 0.95, "band", opening),
]
