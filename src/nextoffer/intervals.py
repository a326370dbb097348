"""Intervals: an estimate, where the truth may lie, and on how many customers that rests.

Figures over customers are bootstrapped **by customer**, because a customer's offers are not independent of each other.
Every figure is a function of sums over customers, so one resample costs one row of a matrix product. Beyond `MAX_UNITS`
customers they are first dealt at random into that many equal heaps, and the heaps are resampled: the cost no longer
grows with the bank, and the standard error keeps within 1-2 % of the one by customer.

Rates, their ratio and means out of sums have closed forms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, isclose, log, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Statistic = Callable[[Floats], Floats]

MAX_UNITS = 4096


@dataclass(frozen=True)
class Interval:
    """An estimate with the interval it comes in.

    Attributes
    ----------
    estimate, low, high
        In the estimate's own unit; `low` and `high` are NaN when `n` is too small to say (below 2).
    n
        What the estimate rests on: customers for a bootstrap, trials for a rate.
    """

    estimate: float
    low: float
    high: float
    n: int


def bootstrap_mean(values: npt.ArrayLike, *, seed: int, resamples: int = 1000, level: float = 0.95) -> Interval:
    """Return the mean of one value per customer, with its bootstrap interval.

    Parameters
    ----------
    values
        Shape (customers,). NaN marks a customer who does not count.
    seed
        The same seed draws the same customers, so figures of the same customers are compared pair by pair.
    resamples, level
        Number of bootstrap samples; share of them inside the interval.

    >>> i = bootstrap_mean([0.0, 1.0, 1.0, 0.0] * 50, seed=7)
    >>> i.estimate, i.n, 0.4 < i.low < 0.5 < i.high < 0.6
    (0.5, 200, True)
    """
    column = np.asarray(values, dtype=np.float64).reshape(-1, 1)
    return bootstrap_means(column, seed=seed, resamples=resamples, level=level)[0]


def bootstrap_means(
    values: npt.ArrayLike, *, seed: int, resamples: int = 1000, level: float = 0.95
) -> tuple[Interval, ...]:
    """Return the mean of each column of `values`, shape (customers, m), all from the same bootstrap samples."""
    table = np.asarray(values, dtype=np.float64)
    counts = np.isfinite(table)
    width = table.shape[1]
    sums = np.hstack([np.where(counts, table, 0.0), counts.astype(np.float64)])
    replicates = _share(resample(sums, seed=seed, resamples=resamples), width)
    estimates = _share(sums.sum(axis=0, keepdims=True), width)[0]
    return tuple(
        from_replicates(float(estimates[j]), replicates[:, j], int(counts[:, j].sum()), level=level)
        for j in range(width)
    )


def _share(totals: Floats, width: int) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(totals[:, :width] / totals[:, width:])


def bootstrap(
    sums: npt.ArrayLike, statistic: Statistic, *, seed: int, resamples: int = 1000, level: float = 0.95
) -> Interval:
    """Return a statistic of sums over customers, with its bootstrap interval.

    Parameters
    ----------
    sums
        Shape (customers, m): what each customer adds to the m sums that `statistic` needs.
    statistic
        Maps totals of shape (B, m) to values of shape (B,).

    >>> spent_and_visits = [[10.0, 2.0], [30.0, 3.0], [20.0, 5.0]] * 20
    >>> i = bootstrap(spent_and_visits, lambda t: t[:, 0] / t[:, 1], seed=7)
    >>> i.estimate, i.n, i.low < 6.0 < i.high
    (6.0, 60, True)
    """
    table = np.asarray(sums, dtype=np.float64)
    estimate = float(statistic(table.sum(axis=0, keepdims=True))[0])
    replicates = statistic(resample(table, seed=seed, resamples=resamples))
    return from_replicates(estimate, replicates, len(table), level=level)


def resample(sums: Floats, *, seed: int, resamples: int = 1000) -> Floats:
    """Return the totals of `sums`, shape (customers, m), in each bootstrap sample: shape (resamples, m)."""
    if len(sums) == 0:
        return np.full((resamples, sums.shape[1]), np.nan)
    units = sums
    if len(sums) > MAX_UNITS:
        heap = heaps(len(sums), seed=seed)
        units = np.stack([np.bincount(heap, weights=column, minlength=MAX_UNITS) for column in sums.T], axis=1)
    return np.asarray(_weights(len(units), resamples, seed) @ units)


def heaps(customers: int, *, seed: int) -> Indices:
    """Return the heap each customer is dealt to, shape (customers,): one each, or one of `MAX_UNITS` random heaps.

    Sums by heap may be resampled in place of sums by customer. The heaps' sizes differ by one at most.
    """
    if customers <= MAX_UNITS:
        return np.arange(customers)
    return np.random.default_rng([seed % 2**64, customers]).permutation(customers) % MAX_UNITS


@lru_cache(maxsize=2)
def _weights(units: int, resamples: int, seed: int) -> Floats:
    """How often each unit is drawn in each sample: shape (resamples, units), each row adding up to `units`."""
    drawn = np.random.default_rng([seed % 2**64, units, resamples]).integers(0, units, size=(resamples, units))
    flat = (drawn + np.arange(resamples)[:, None] * units).ravel()
    weights = np.bincount(flat, minlength=resamples * units).reshape(resamples, units).astype(np.float64)
    weights.flags.writeable = False  # the cache hands the same array to every caller
    return weights


def from_replicates(estimate: float, replicates: Floats, n: int, *, level: float = 0.95) -> Interval:
    """Return the interval that the percentiles of bootstrap replicates give to an estimate.

    Parameters
    ----------
    replicates
        Shape (B,); NaN (a sample in which the figure does not exist) is left out.
    n
        Customers behind the estimate.
    """
    known = replicates[np.isfinite(replicates)]
    if n < 2 or len(known) == 0:
        return Interval(estimate, float("nan"), float("nan"), n)
    # the linear quantiles of np.quantile, which takes twenty times as long for so short an array
    places = np.array([(1 - level) / 2, (1 + level) / 2]) * (len(known) - 1)
    low, high = (float(q) for q in np.interp(places, np.arange(len(known)), np.sort(known)))
    return Interval(estimate, low, high, n)


def rate(successes: float, n: float, *, level: float = 0.95) -> Interval:
    """Return a share of `n` independent trials with Wilson's score interval.

    Wilson (1927), JASA 22; recommended for small n by Brown, Cai & DasGupta (2001), Statistical Science 16.

    >>> i = rate(10, 100)
    >>> i.estimate, round(i.low, 4), round(i.high, 4), i.n
    (0.1, 0.0552, 0.1744, 100)
    """
    if n <= 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    z = NormalDist().inv_cdf((1 + level) / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # at 0 and n the bound is exact; rounding must not push it past the estimate
    return Interval(p, min(max(centre - half, 0.0), p), max(min(centre + half, 1.0), p), round(n))


def rate_by_customer(successes: npt.ArrayLike, trials: npt.ArrayLike, *, level: float = 0.95) -> Interval:
    """Return a share of trials that come several to a customer, each shape (customers,); `n` counts trials.

    Wilson's interval for as many independent trials as say as much (Dean & Pagano 2015, Journal of Survey Statistics
    and Methodology 3): n over the design effect, which is the variance between customers over p (1 - p) / n, at least
    1. Unlike a bootstrap it stays honest where nobody, or everybody, said yes. Heaps may stand for customers.

    >>> i = rate_by_customer([0, 0, 0, 0], [10, 10, 20, 10])
    >>> i.estimate, i.low, round(i.high, 3), i.n
    (0.0, 0.0, 0.071, 50)
    >>> together = rate_by_customer([5, 0, 0, 5], [5, 5, 5, 5])
    >>> rate(10, 20).low > together.low
    True
    """
    x, m = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    n, there = float(m.sum()), int((m > 0).sum())
    if not n:
        return rate(0, 0)
    p = float(x.sum()) / n
    alone = p * (1 - p) / n
    between = float(((x - p * m) ** 2).sum()) / n**2 * there / max(there - 1, 1)
    effect = max(between / alone, 1.0) if alone > 0 else 1.0
    found = rate(p * n / effect, n / effect, level=level)
    return Interval(p, min(found.low, p), max(found.high, p), round(n))


def mean_of_sums(
    total: float, squares: float, n: int, *, population: int | None = None, level: float = 0.95
) -> Interval:
    """Return the mean of one value per customer, with Student's interval, out of the sums over `n` customers.

    Parameters
    ----------
    total, squares
        Sum of the values, and of their squares.
    population
        Customers that the `n` were drawn from without replacement: the interval shrinks by sqrt(1 - n / population), to
        nothing where all of them were looked at (Cochran 1977, Sampling Techniques, 3rd ed., 2.5). None: endless.

    >>> i = mean_of_sums(10.0, 30.0, 10)
    >>> i.estimate, round(i.low, 4), round(i.high, 4), i.n
    (1.0, -0.0664, 2.0664, 10)
    >>> mean_of_sums(10.0, 30.0, 10, population=10).low
    1.0
    """
    if n < 1:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    mean = total / n
    if n < 2:
        return Interval(mean, float("nan"), float("nan"), n)
    from scipy.special import stdtrit

    variance = max(squares - n * mean * mean, 0.0) / (n - 1)
    left = 1.0 if population is None else max(1.0 - n / population, 0.0)
    half = float(stdtrit(n - 1, (1 + level) / 2)) * sqrt(variance / n * left)
    return Interval(mean, mean - half, mean + half, n)


def lift_of_rates(
    successes_treatment: float, n_treatment: int, successes_control: float, n_control: int, *, level: float = 0.95
) -> Interval:
    """Return treatment rate ÷ control rate − 1, with the interval of the log of the ratio.

    Katz, Baptista, Azen & Pike (1978), Biometrics 34: ``var log ratio = 1/x1 - 1/n1 + 1/x0 - 1/n0`` (delta method).
    Where an arm has no success both arms get half a success and half a failure (Walter 1975, Biometrika 62), so that
    lift and interval stay finite.

    Raises
    ------
    ValueError
        An arm is empty.

    >>> i = lift_of_rates(130, 1000, 100, 1000)
    >>> round(i.estimate, 4), round(i.low, 4), round(i.high, 4), i.n
    (0.3, 0.017, 0.6618, 2000)
    """
    if min(n_treatment, n_control) <= 0:
        raise ValueError(f"both arms need customers; treatment has {n_treatment}, control {n_control}")
    add = 0.5 if min(successes_treatment, successes_control) <= 0 else 0.0
    x1, n1 = successes_treatment + add, n_treatment + 2 * add
    x0, n0 = successes_control + add, n_control + 2 * add
    ratio = (x1 / n1) / (x0 / n0)
    half = NormalDist().inv_cdf((1 + level) / 2) * sqrt(1 / x1 - 1 / n1 + 1 / x0 - 1 / n0)
    low, high = exp(log(ratio) - half), exp(log(ratio) + half)
    return Interval(ratio - 1, low - 1, high - 1, n_treatment + n_control)


def sample_size_for_lift(base_rate: float, lift: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Return the customers *per arm* that a two-sided test needs to see a relative lift.

    Fleiss, Levin & Paik (2003), Statistical Methods for Rates and Proportions, 3rd ed., 4.2, no continuity correction:
    ``n = (z_alpha sqrt(2 p q) + z_power sqrt(p0 q0 + p1 q1))**2 / (p1 - p0)**2``, where ``p1 = p0 (1 + lift)``,
    ``p`` is the mean of both, ``q = 1 - p``, and z_alpha is the normal quantile of ``1 - alpha / 2``.

    Raises
    ------
    ValueError
        A rate is not strictly between 0 and 1, or the lift is 0.

    >>> sample_size_for_lift(0.10, 0.10)
    14751
    """
    lifted = base_rate * (1 + lift)
    if not (0 < base_rate < 1 and 0 < lifted < 1):
        raise ValueError(f"rates must be strictly between 0 and 1; found {base_rate:g} and, lifted, {lifted:g}")
    if isclose(lifted, base_rate):
        raise ValueError("no sample is large enough to see a lift of 0")
    mean = (base_rate + lifted) / 2
    z_alpha, z_power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    spread = z_alpha * sqrt(2 * mean * (1 - mean)) + z_power * sqrt(base_rate * (1 - base_rate) + lifted * (1 - lifted))
    return ceil((spread / (lifted - base_rate)) ** 2)
