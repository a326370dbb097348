"""Ratios against the four-fifths line: by hand, beside statsmodels, and how often the interval holds the truth."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from nextoffer.evaluate.disparity import (
    ABOVE,
    BELOW,
    NOBODY,
    TOO_FEW,
    UNDECIDED,
    Mean,
    Stated,
    accepted_over_expected,
    ratio,
    verdict,
)
from nextoffer.intervals import Interval


@pytest.mark.parametrize(("x1", "n1", "x0", "n0"), [(60, 200, 100, 200), (3, 50, 20, 400), (90, 100, 95, 100)])
def test_the_interval_is_that_of_katz(x1: int, n1: int, x0: int, n0: int) -> None:
    found = ratio(Mean.of_rate(x1, n1), Mean.of_rate(x0, n0))
    low, high = confint_proportions_2indep(x1, n1, x0, n0, method="log", compare="ratio")
    assert found.estimate == pytest.approx(x1 / n1 / (x0 / n0))
    # statsmodels adds half a success to each group
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.15)
    half = 1.959964 * (1 / x1 - 1 / n1 + 1 / x0 - 1 / n0) ** 0.5
    assert found.low == pytest.approx(found.estimate * np.exp(-half), rel=1e-6)
    assert found.high == pytest.approx(found.estimate * np.exp(half), rel=1e-6)


def test_amounts_of_0_and_1_have_the_same_interval_as_rates() -> None:
    counted = ratio(Mean.of_rate(30, 100), Mean.of_rate(60, 120))
    amounts = ratio(Mean(30, 30, 100, counted=False), Mean(60, 60, 120, counted=False))
    assert (amounts.estimate, amounts.low, amounts.high) == pytest.approx((counted.estimate, counted.low, counted.high))


def test_nobody_is_no_number() -> None:
    none = ratio(Mean.of_rate(0, 50), Mean.of_rate(10, 50))
    assert none.estimate == 0
    assert 0 <= none.low < none.high < 1
    assert isnan(ratio(Mean.of_rate(0, 50), Mean.of_rate(0, 50)).low)
    assert isnan(ratio(Mean.of_rate(0, 0), Mean.of_rate(5, 50)).estimate)
    assert isnan(ratio(Mean(0, 0, 9, counted=False), Mean(5, 5, 9, counted=False)).low)


@pytest.mark.parametrize(
    ("found", "customers", "words"),
    [
        (Interval(0.5, 0.4, 0.79, 99), 40, BELOW),
        (Interval(0.7, 0.6, 0.8, 99), 40, UNDECIDED),
        (Interval(0.9, 0.8, 1.1, 99), 40, ABOVE),
        (Interval(0.5, 0.4, 0.6, 99), 29, TOO_FEW),
        (Interval(nan, nan, nan, 99), 40, NOBODY),
        (Interval(0.0, nan, nan, 99), 40, UNDECIDED),
    ],
)
def test_verdicts(found: Interval, customers: int, words: str) -> None:
    assert verdict(found, customers=customers) == words


def test_calibration_of_nobody_is_no_number() -> None:
    assert isnan(accepted_over_expected(Stated(0, 0, 0, 0, 0, 0, 0)).estimate)
    assert isnan(accepted_over_expected(Stated(9, 9, 0, 2, 0, 1, 0)).low)
    found = accepted_over_expected(Stated(4, 8, 3.0, 2.0, 3.0, 1.0, 1.5))
    spread = 3.0 - 2 * 1.5 * 1.5 + 1.5 * 1.5 * 1.0
    assert (found.estimate, found.n) == (1.5, 4)
    assert found.high == pytest.approx(1.5 * np.exp(1.959964 * (4 / 3 * spread) ** 0.5 / 3))
