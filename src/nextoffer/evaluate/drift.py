"""How far two distributions over the same bins are apart, and whether chance alone explains it.

Without drift both divergences of two samples are a multiple of a chi-square variable, with drift of a noncentral one.
That gives the noise and the interval in closed form, from counts alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, nan

import numpy as np
import numpy.typing as npt
from scipy.special import chdtr, chdtrc, chdtri, chndtrinc, xlogy

from nextoffer.intervals import Interval

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Divergence:
    """What two samples over the same bins say of each other.

    Attributes
    ----------
    psi, js
        Population stability index, and Jensen–Shannon divergence in bits, each with its interval; `n` counts the second
        sample. NaN where either sample is empty.
    noise
        The index that chance alone exceeds in 5 of 100 comparisons of samples of these sizes.
    chance
        The probability that samples of one and the same distribution differ at least as much.
    """

    psi: Interval
    js: Interval
    noise: float
    chance: float


def psi(then: npt.ArrayLike, now: npt.ArrayLike) -> float:
    """Return the population stability index of two lists of shares: ``sum (now - then) ln(now / then)``.

    Siddiqi (2006), Credit Risk Scorecards, 10: below 0.1 no change, up to 0.25 some, above it a shift. It is the sum of
    both Kullback–Leibler divergences (Jeffreys 1946), in nats; infinite where a bin is empty on one side only.

    >>> round(psi([0.5, 0.5], [0.6, 0.4]), 4), psi([0.5, 0.5], [1.0, 0.0])
    (0.0405, inf)
    """
    p, q = np.asarray(then, dtype=np.float64), np.asarray(now, dtype=np.float64)
    there = (p > 0) | (q > 0)
    p, q = p[there], q[there]
    return inf if (p == 0).any() or (q == 0).any() else float(((q - p) * np.log(q / p)).sum())


def jensen_shannon(then: npt.ArrayLike, now: npt.ArrayLike) -> float:
    """Return the Jensen–Shannon divergence of two lists of shares in bits: 0 where they are equal, 1 where disjoint.

    Lin (1991), IEEE Transactions on Information Theory 37(1): the mean Kullback–Leibler divergence of both to their
    mean. Unlike the index above it is finite whatever bins are empty.

    >>> jensen_shannon([0.5, 0.5], [0.5, 0.5]), jensen_shannon([1, 0], [0, 1])
    (0.0, 1.0)
    """
    p, q = np.asarray(then, dtype=np.float64), np.asarray(now, dtype=np.float64)
    middle = np.where(p + q > 0, (p + q) / 2, 1.0)
    return float((xlogy(p, p / middle) + xlogy(q, q / middle)).sum() / 2 / log(2))


def divergence(then: npt.ArrayLike, now: npt.ArrayLike, *, level: float = 0.95) -> Divergence:
    """Return how far two samples are apart that were counted into the same bins, each shape (B,).

    With ``N = n0 n1 / (n0 + n1)`` customers and k bins not empty in both, ``N psi`` and ``8 N js`` (js in nats) of
    samples of one distribution follow chi-square with k - 1 degrees of freedom (Yurdakul & Naranjo 2020, Journal of
    Risk Model Validation 14(4)); of two distributions, to second order, noncentral chi-square with noncentrality N
    times the true divergence, which is inverted for the interval. `chance` is that of Pearson's statistic, which keeps
    its level best with few customers. Where a bin is empty on one side, the index gives half a customer to every bin.

    Customers who are in both samples make the true noise smaller, so neither alarms sooner than it says.

    >>> d = divergence([100, 100], [120, 80])
    >>> round(d.psi.estimate, 4), round(d.psi.low, 4), round(d.psi.high, 4), round(d.noise, 4), round(d.chance, 4)
    (0.0405, 0.0, 0.1579, 0.0384, 0.0444)
    """
    a, b = np.asarray(then, dtype=np.float64), np.asarray(now, dtype=np.float64)
    there = a + b > 0
    a, b = a[there], b[there]
    n0, n1 = float(a.sum()), float(b.sum())
    if not n0 or not n1:
        unknown = Interval(nan, nan, nan, int(n1))
        return Divergence(unknown, unknown, nan, nan)
    harmonic, freedom = n0 * n1 / (n0 + n1), float(len(a) - 1)
    half = 0.5 if (a == 0).any() or (b == 0).any() else 0.0
    index = psi((a + half) / (a + half).sum(), (b + half) / (b + half).sum())
    bits = jensen_shannon(a / n0, b / n1)
    if not freedom:
        same = Interval(0.0, 0.0, 0.0, int(n1))
        return Divergence(same, same, 0.0, 1.0)
    pearson = harmonic * float(((a / n0 - b / n1) ** 2 / ((a + b) / (n0 + n1))).sum())
    return Divergence(
        _bounded(index, harmonic, freedom, int(n1), level),
        _bounded(bits, 8 * harmonic * log(2), freedom, int(n1), level),
        float(chdtri(freedom, 0.05)) / harmonic,
        float(chdtrc(freedom, pearson)),
    )


def _bounded(found: float, per_unit: float, freedom: float, n: int, level: float) -> Interval:
    """The interval of a divergence that, times `per_unit`, is noncentral chi-square about its truth times it."""
    statistic, tail = found * per_unit, (1 - level) / 2
    low, high = (_noncentrality(statistic, freedom, p) / per_unit for p in (1 - tail, tail))
    return Interval(found, min(low, found), max(high, found), n)


def _noncentrality(statistic: float, freedom: float, probability: float) -> float:
    """The noncentrality with which a value of at most `statistic` has this probability; 0 where none is that large."""
    if chdtr(freedom, statistic) <= probability:
        return 0.0
    return float(chndtrinc(statistic, freedom, probability))
