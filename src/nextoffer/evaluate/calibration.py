"""How far stated probabilities can be believed: log loss, Brier score, calibration error, reliability curve.

Pairs are flat arrays of probability and label (1 = accepted). Bins hold equally many pairs; equal probabilities share a
bin. The `*_figure` functions give the same numbers as sums over customers, ready for intervals and comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nextoffer.evaluate.figures import Figure, Units, ratio
from nextoffer.intervals import Interval, rate_by_customer

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_NEVER_CERTAIN = 1e-15  # a stated 0 or 1 that proves wrong would otherwise cost infinitely much


def log_loss(probability: npt.ArrayLike, label: npt.ArrayLike) -> float:
    """Return the mean of -log(probability given to what happened), in nats; lower is better.

    >>> round(log_loss([0.9, 0.1], [1, 0]), 4)
    0.1054
    """
    return float(_surprise(probability, label).mean())


def log_loss_figure(probability: npt.ArrayLike, label: npt.ArrayLike, units: Units) -> Figure:
    """Return the log loss as sums over customers."""
    return _pair_mean(_surprise(probability, label), units)


def brier(probability: npt.ArrayLike, label: npt.ArrayLike) -> float:
    """Return the mean squared distance of probability and label (Brier 1950); lower is better.

    >>> round(brier([0.9, 0.1], [1, 0]), 4)
    0.01
    """
    return float(_squares(probability, label).mean())


def brier_figure(probability: npt.ArrayLike, label: npt.ArrayLike, units: Units) -> Figure:
    """Return the Brier score as sums over customers."""
    return _pair_mean(_squares(probability, label), units)


def calibration_error(probability: npt.ArrayLike, label: npt.ArrayLike, *, bins: int = 10) -> float:
    """Return the expected calibration error: mean over pairs of |mean probability - acceptance rate| of their bin.

    Naeini, Cooper & Hauskrecht (2015), AAAI, with bins of equal size (Nixon et al. 2019, CVPR). Noise can only
    raise it: with few pairs per bin a perfect model too has more than 0, which its interval makes up for.

    >>> round(calibration_error([0.2, 0.2, 0.8, 0.8], [0, 0, 1, 1], bins=2), 4)
    0.2
    """
    chance, happened = _arrays(probability, label)
    gaps = np.bincount(_bin_of(chance, bins), weights=chance - happened)
    return float(np.abs(gaps).sum() / len(chance))


def calibration_error_figure(
    probability: npt.ArrayLike, label: npt.ArrayLike, units: Units, *, bins: int = 10
) -> Figure:
    """Return the expected calibration error as sums over customers.

    Its interval undoes what noise adds. ``low`` is the least multiple of the gaps found that with noise added shows as
    much as was found in 2.5 of 100 samples: 0 where noise alone does it. ``high`` lies as far above the estimate as
    resamples fall below their mean; since noise can only raise the mean, it holds the truth at least as often.
    """
    chance, happened = _arrays(probability, label)
    gaps = units.pair_table(_bin_of(chance, bins), chance - happened, width=bins)
    sums = np.hstack([gaps, units.pair_sums(np.ones_like(chance))])
    return Figure(sums, lambda t: np.abs(t[:, :-1]).sum(axis=1) / t[:, -1], units.customers, _error_bounds)


def _error_bounds(totals: Floats, resampled: Floats, level: float) -> tuple[float, float]:
    gaps, again = totals[:-1] / totals[-1], resampled[:, :-1] / resampled[:, -1:]
    found, tail = float(np.abs(gaps).sum()), (1 - level) / 2
    seen = np.abs(again).sum(axis=1)
    return (
        found * _least_multiple(gaps, again - gaps, found, 1 - tail),
        found + float(seen.mean() - np.quantile(seen, tail)),
    )


def _least_multiple(gaps: Floats, noise: Floats, found: float, share: float) -> float:
    """The least multiple t of `gaps` (b,), from 0 to 1, that with `noise` (B, b) shows less than `found` in a share."""

    def enough(t: float) -> bool:
        return bool(np.quantile(np.abs(t * gaps + noise).sum(axis=1), share) >= found)

    if enough(0.0):
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@dataclass(frozen=True)
class ReliabilityBin:
    """Pairs of like probability: what was stated, and what happened.

    Attributes
    ----------
    stated
        Mean probability of the bin's pairs.
    observed
        Share of them that were accepted, with its interval (by customer; n counts pairs).
    """

    stated: float
    observed: Interval


def reliability(
    probability: npt.ArrayLike, label: npt.ArrayLike, units: Units, *, bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """Return the reliability curve, lowest probabilities first; bins that ties leave empty are left out."""
    chance, happened = _arrays(probability, label)
    which = _bin_of(chance, bins)
    count, hits, stated = (
        units.pair_table(which, values, width=bins) for values in (np.ones_like(chance), happened, chance)
    )
    filled = np.flatnonzero(count.sum(axis=0) > 0)
    means = stated.sum(axis=0)[filled] / count.sum(axis=0)[filled]
    return tuple(
        ReliabilityBin(float(m), rate_by_customer(hits[:, b], count[:, b])) for m, b in zip(means, filled, strict=True)
    )


def _arrays(probability: npt.ArrayLike, label: npt.ArrayLike) -> tuple[Floats, Floats]:
    return np.asarray(probability, dtype=np.float64), np.asarray(label, dtype=np.float64)


def _surprise(probability: npt.ArrayLike, label: npt.ArrayLike) -> Floats:
    chance, happened = _arrays(probability, label)
    of_what_happened = np.where(happened > 0, chance, 1 - chance)
    return np.asarray(-np.log(np.maximum(of_what_happened, _NEVER_CERTAIN)))


def _squares(probability: npt.ArrayLike, label: npt.ArrayLike) -> Floats:
    chance, happened = _arrays(probability, label)
    return np.asarray((chance - happened) ** 2)


def _pair_mean(values: Floats, units: Units) -> Figure:
    return Figure(units.pair_sums(values, np.ones_like(values)), ratio, units.customers)


def _bin_of(chance: Floats, bins: int) -> Indices:
    """Bin of each pair, 0..bins-1: by quantiles, so that bins hold equally many; equal probabilities share one."""
    inner_edges = np.quantile(chance, np.arange(1, bins) / bins)
    return np.searchsorted(inner_edges, chance, side="left")
