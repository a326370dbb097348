"""Whether one group of customers fares worse than another: ratios with intervals, held against the four-fifths line."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, isnan, log, nan, sqrt
from statistics import NormalDist

from nextoffer.intervals import Interval, lift_of_rates

FOUR_FIFTHS = 0.8
"""The line of the Uniform Guidelines (EEOC 1978, 29 CFR 1607.4 D): a rate of less than four fifths of the highest."""

LEAST = 30
"""Customers below which a group is named and not judged."""

BELOW, UNDECIDED, ABOVE = "below the line", "not decidable", "above the line"
TOO_FEW, REFERENCE, NOBODY = "too few to judge", "reference", "nobody reached"


@dataclass(frozen=True)
class Mean:
    """The mean of one amount per customer, as sums over `n` customers; `counted` where each amount is 0 or 1."""

    total: float
    squares: float
    n: int
    counted: bool = True

    @classmethod
    def of_rate(cls, successes: float, n: int) -> Mean:
        """Return the mean of `n` numbers of which so many are 1 and the others 0."""
        return cls(successes, successes, n)

    @property
    def estimate(self) -> float:
        """The mean itself; NaN of nobody."""
        return self.total / self.n if self.n else nan


def ratio(group: Mean, reference: Mean, *, level: float = 0.95) -> Interval:
    """Return mean ÷ reference's mean with the interval of the log of the ratio; both NaN where either has nobody.

    Katz, Baptista, Azen & Pike (1978), Biometrics 34: ``var log ratio = 1/x1 - 1/n1 + 1/x0 - 1/n0`` for rates. For
    other amounts the delta method's ``s1² / (n1 m1²) + s0² / (n0 m0²)``, which for amounts of 0 and 1 is the same.
    Where one rate is 0 each group gets half a success and half a failure (Walter 1975, Biometrika 62) for the bounds;
    the estimate stays 0.

    >>> i = ratio(Mean.of_rate(60, 200), Mean.of_rate(100, 200))
    >>> round(i.estimate, 3), round(i.low, 3), round(i.high, 3), i.n
    (0.6, 0.466, 0.773, 400)
    """
    n = group.n + reference.n
    if not group.n or not reference.n or (group.total <= 0 and reference.total <= 0):
        return Interval(nan, nan, nan, n)
    estimate = group.estimate / reference.estimate if reference.total > 0 else nan
    if group.counted and reference.counted:
        lift = lift_of_rates(group.total, group.n, reference.total, reference.n, level=level)
        low, high = lift.low + 1, lift.high + 1
        return Interval(estimate, min(low, estimate), high if isnan(estimate) else max(high, estimate), n)
    if min(group.total, reference.total) <= 0:
        return Interval(estimate, nan, nan, n)
    half = NormalDist().inv_cdf((1 + level) / 2) * sqrt(_relative(group) + _relative(reference))
    return Interval(estimate, exp(log(estimate) - half), exp(log(estimate) + half), n)


def _relative(mean: Mean) -> float:
    """The squared relative standard error of a mean."""
    m = mean.estimate
    return max(mean.squares / mean.n - m * m, 0.0) / (mean.n * m * m)


def verdict(found: Interval, *, customers: int, line: float = FOUR_FIFTHS) -> str:
    """Return in words where a ratio stands to the line.

    Parameters
    ----------
    customers
        Of the smaller of the two groups.

    >>> verdict(Interval(0.6, 0.47, 0.77, 400), customers=200), verdict(Interval(0.9, 0.7, 1.1, 60), customers=30)
    ('below the line', 'not decidable')
    """
    if customers < LEAST:
        return TOO_FEW
    if isnan(found.estimate) and isnan(found.low):
        return NOBODY
    if isnan(found.low):
        return UNDECIDED
    if found.high < line:
        return BELOW
    return ABOVE if found.low >= line else UNDECIDED


@dataclass(frozen=True)
class Stated:
    """What was stated of a group's offers and what happened, as sums over customers.

    Attributes
    ----------
    customers, offers
        Customers with an answered offer, and these offers.
    accepted, expected
        Sums of labels and of stated probabilities.
    accepted2, expected2, cross
        Sums over customers of the squares of their sums, and of their product.
    """

    customers: int
    offers: int
    accepted: float
    expected: float
    accepted2: float
    expected2: float
    cross: float


def accepted_over_expected(stated: Stated, *, level: float = 0.95) -> Interval:
    """Return acceptances ÷ what was expected, with an interval by customer; 1 is perfect calibration in the large.

    The ratio of two sums over customers, linearised: ``var log R = m/(m-1) sum (y - R x)² / Y²`` (Cochran 1977,
    Sampling Techniques, 3rd ed., 6.4). Bounds are NaN with fewer than 2 customers or without any acceptance.
    """
    n, y, x = stated.customers, stated.accepted, stated.expected
    if not n or x <= 0:
        return Interval(nan, nan, nan, n)
    found = y / x
    if n < 2 or y <= 0:
        return Interval(found, nan, nan, n)
    spread = max(stated.accepted2 - 2 * found * stated.cross + found * found * stated.expected2, 0.0)
    half = NormalDist().inv_cdf((1 + level) / 2) * sqrt(n / (n - 1) * spread) / y
    return Interval(found, found * exp(-half), found * exp(half), n)
