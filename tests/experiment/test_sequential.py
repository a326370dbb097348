"""Intervals that hold at every look: the reach, its cost, and that peeking is safe."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from scipy.special import ndtr

from nextoffer.experiment.sequential import cost, course, p_value, reach, tightest


def test_the_reach_is_the_published_one() -> None:
    # Waudby-Smith et al.: sd * sqrt(2 (t rho² + 1) / (t² rho²) * log(sqrt(t rho² + 1) / alpha)), here with sd = 1
    alpha, planned = 0.05, 10_000
    rho2 = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / planned
    for t in (100, 2_500, 10_000, 40_000):
        radius = sqrt(2 * (t * rho2 + 1) / (t * t * rho2) * log(sqrt(t * rho2 + 1) / alpha))
        assert reach(t / planned, alpha) / sqrt(t) == pytest.approx(radius, rel=1e-12)


def test_it_is_tightest_at_the_planned_end() -> None:
    widths = {share: reach(share, 0.05) / sqrt(share) for share in (0.5, 0.9, 1.0, 1.1, 2.0)}
    at_end = {x: reach(1.0, 0.05) for x in widths}
    assert reach(0.0, 0.05) == float("inf")
    assert sorted(widths.values(), reverse=True) == list(widths.values())
    # for a given end any other tuning is wider there
    for factor in (0.5, 0.8, 1.25, 2.0):
        x = tightest(0.05) * factor
        assert sqrt((1 + 1 / x) * (np.log1p(x) - 2 * log(0.05))) > at_end[1.0]


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0, 3.0])
def test_the_p_value_is_alpha_at_the_edge_of_the_interval(sides: int, share: float) -> None:
    edge = reach(share, 0.05, sides=sides)
    assert p_value(edge, share, 0.05, sides=sides) == pytest.approx(0.05, rel=1e-6)
    assert p_value(edge * 1.1, share, 0.05, sides=sides) < 0.05 < p_value(edge * 0.9, share, 0.05, sides=sides)
    assert p_value(-edge, share, 0.05, sides=1) == 1.0


@pytest.mark.parametrize("sides", [1, 2])
def test_the_course_is_that_of_played_tests(sides: int) -> None:
    looks, tests = 28, 40_000
    steps = np.random.default_rng(7).normal(0, sqrt(1 / looks), (tests, looks))
    ends = np.array([reach((k + 1) / looks, 0.05, sides=sides) * sqrt((k + 1) / looks) for k in range(looks)])
    for drift in (0.0, 2.0, 3.6):
        paths = (steps + drift / looks).cumsum(axis=1)
        over = (np.abs(paths) if sides == 2 else paths) >= ends
        crossed = over.any(axis=1)
        first = np.where(crossed, over.argmax(axis=1) + 1, looks) / looks
        found = course(drift, 0.05, looks=looks, sides=sides)
        assert found.power == pytest.approx(crossed.mean(), abs=4 * sqrt(0.25 / tests))
        assert found.mean_share == pytest.approx(first.mean(), abs=0.01)


def test_looks_without_end_never_exceed_the_level() -> None:
    for looks in (5, 28, 200):
        assert course(0.0, 0.05, looks=looks).power < 0.05
        assert course(0.0, 0.05, looks=looks, sides=1).power < 0.05


def test_one_look_is_a_test_with_the_reach_as_its_quantile() -> None:
    assert course(0.0, 0.05, looks=1).power == pytest.approx(2 * ndtr(-reach(1.0, 0.05)), rel=1e-6)
    assert course(0.0, 0.05, looks=1).mean_share == 1.0


def test_the_cost_reaches_the_power_and_falls_with_early_ends() -> None:
    most, usual = cost(0.05, 0.8)
    fixed = 1.959964 + 0.841621
    assert course(sqrt(most) * fixed, 0.05).power == pytest.approx(0.8, abs=1e-6)
    assert 1 < usual < most < ((reach(1.0, 0.05) + 0.841621) / fixed) ** 2
