"""Intervals that hold at every look: peeking is safe.

The sum of n customers' contributions, each of variance s² about the truth, behaves like Brownian motion in its variance
``V = n s²``. Mixing the likelihood ratio over normal effects gives a martingale that exceeds ``1 / alpha`` with
probability alpha at most, ever (Robbins 1970, Annals of Mathematical Statistics 41; Howard, Ramdas, McAuliffe & Sekhon
2021, Annals of Statistics 49). With the variance estimated, the interval holds asymptotically (Waudby-Smith, Arbour,
Sinha, Kennedy & Ramdas 2024, Annals of Statistics 52): at each moment it is

    estimate ± reach · standard error,   reach² = (1 + 1/x) log((1 + x) / alpha²)

where ``x = V / (variance of the mixture)`` grows with the share of the planned customers that is in. It is tightest
where x is `tightest(alpha)`, which is put at the planned end. Nothing else depends on the plan: the interval holds
before and after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, isfinite, log, log1p, nan, sqrt

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from nextoffer.experiment.sums import Floats

LEAST_CUSTOMERS = 50
"""In each arm, before an interval is given at all: what it rests on holds for sums of many."""


def tightest(alpha: float) -> float:
    """Return x at which the reach is least: ``-2 log(alpha) + log(1 - 2 log(alpha))``.

    >>> round(tightest(0.05), 3)
    7.936
    """
    return -2 * log(alpha) + log1p(-2 * log(alpha))


def reach(share: float, alpha: float, *, sides: int = 2) -> float:
    """Return how many standard errors the interval reaches to either side (one-sided: to the one).

    Parameters
    ----------
    share
        Of the planned customers (or customer-days) that are in; above 1 after the planned end.
    alpha
        Probability of ever missing the truth.
    sides
        1: the mixture is over positive effects only, whose martingale is
        ``2 Phi(s / sqrt(1 + 1/x)) exp(s² / 2(1 + 1/x)) / sqrt(1 + x)`` for s standard errors (Howard et al. 2021).

    >>> round(reach(1.0, 0.05), 3), round(reach(0.1, 0.05), 3), round(reach(1.0, 0.05, sides=1), 3)
    (3.035, 3.855, 2.768)
    """
    if not share > 0:
        return inf
    x = share * tightest(alpha)
    if sides == 2:
        return sqrt((1 + 1 / x) * (log1p(x) - 2 * log(alpha)))
    s = sqrt((1 + 1 / x) * max(log1p(x) - 2 * log(2 * alpha), 0.0))
    for _ in range(20):
        certain = float(log_ndtr(s / sqrt(1 + 1 / x)))
        s = sqrt((1 + 1 / x) * max(log1p(x) - 2 * (log(2 * alpha) + certain), 0.0))
    return s


def p_value(z: float, share: float, alpha: float, *, sides: int = 2) -> float:
    """Return the anytime-valid p-value of z standard errors: it is alpha or less just where the interval leaves out 0.

    One over the mixture's likelihood ratio, 1 at most (Johari, Koomen, Pekelis & Walsh 2022, Operations Research 70).
    `alpha` only says for which level the mixture was tuned.

    >>> round(p_value(reach(0.4, 0.05), 0.4, 0.05), 6), p_value(0.0, 0.4, 0.05)
    (0.05, 1.0)
    """
    if not (isfinite(z) and share > 0):
        return nan
    x = share * tightest(alpha)
    evidence = z * z / (2 * (1 + 1 / x)) - log1p(x) / 2
    if sides == 1:
        evidence += log(2) + float(log_ndtr(z / sqrt(1 + 1 / x)))
    return exp(-evidence) if evidence > 0 else 1.0


@dataclass(frozen=True)
class Course:
    """What looking at a test again and again leads to.

    Attributes
    ----------
    power
        Probability that it is decided by the last look.
    mean_share
        Mean share of the customers that are in when it ends, decided or not.
    """

    power: float
    mean_share: float


@lru_cache(maxsize=512)
def course(drift: float, alpha: float, *, looks: int = 28, sides: int = 2) -> Course:
    """Return what comes of `looks` evenly spaced looks with the anytime-valid interval tuned to the last.

    The density of the score on the way is carried from look to look by numerical integration (Armitage, McPherson &
    Rowe 1969, Journal of the Royal Statistical Society A 132).

    Parameters
    ----------
    drift
        Expected number of standard errors at the last look. 0: no effect.

    >>> round(course(0.0, 0.05).power, 3) < 0.05 < course(3.6, 0.05).power
    True
    """
    step = 1 / looks
    ends = np.array([reach(k * step, alpha, sides=sides) * sqrt(k * step) for k in range(1, looks + 1)])
    nodes, weights = np.polynomial.legendre.leggauss(201)
    crossed, going, mean = 0.0, 1.0, 0.0
    at, density = np.zeros(1), np.ones(1)
    for k, high in enumerate(ends, start=1):
        low = -high if sides == 2 else min(drift * k * step, 0.0) - 8 * sqrt(k * step)
        mean += going * step
        moved = at + drift * step
        out = ndtr(-(high - moved) / sqrt(step)) + (ndtr((low - moved) / sqrt(step)) if sides == 2 else 0.0)
        now = float((density * out).sum())
        crossed, going = crossed + now, going - now
        grid = (high - low) / 2 * nodes + (high + low) / 2
        kernel = np.exp(-((grid[:, None] - moved[None, :]) ** 2) / (2 * step)) / sqrt(2 * np.pi * step)
        density = (high - low) / 2 * weights * (kernel @ density)
        at = grid
    return Course(crossed, mean)


@lru_cache(maxsize=512)
def cost(alpha: float, power: float, *, looks: int = 28, sides: int = 2) -> tuple[float, float]:
    """Return what peeking costs in samples of the fixed test: the most needed, and the mean if the lift is true.

    >>> most, usual = cost(0.05, 0.8)
    >>> round(most, 2), round(usual, 2)
    (1.72, 1.11)
    """
    from scipy.optimize import brentq

    fixed = float(ndtri(1 - alpha / sides) + ndtri(power))
    drift = float(brentq(lambda d: course(d, alpha, looks=looks, sides=sides).power - power, fixed * 0.8, fixed * 2.5))
    most = (drift / fixed) ** 2
    return most, most * course(drift, alpha, looks=looks, sides=sides).mean_share


def reaches(shares: Floats, alpha: float, *, sides: int = 2) -> Floats:
    """Return the reach for each share, shape as `shares`."""
    return np.array([reach(float(share), alpha, sides=sides) for share in shares])
