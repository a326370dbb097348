"""How well a score tells acceptances from refusals over all pairs: AUC and lift by decile.

Pairs are flat arrays of score and label (1 = accepted). Ties count half (AUC) or are shared out evenly (deciles): the
average over all orders of the tied pairs. The `*_figure` functions give the same numbers as sums over customers, ready
for intervals and comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite, nan, sqrt

import numpy as np
import numpy.typing as npt

from nextoffer.evaluate.figures import Figure, Units
from nextoffer.intervals import Interval, rate_by_customer

Floats = npt.NDArray[np.float64]


def auc(score: npt.ArrayLike, label: npt.ArrayLike, *, weight: npt.ArrayLike | None = None) -> float:
    """Return the chance that an accepted pair scores above a refused one; a tie counts half. NaN if all labels agree.

    Parameters
    ----------
    score, label
        Shape (N,).
    weight
        Shape (N,), how often each pair counts; by default once.

    >>> auc([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1])
    0.875
    """
    positive, negative = _class_weights(label, weight)
    above, _ = _placements(np.asarray(score, dtype=np.float64), positive, negative)
    with np.errstate(invalid="ignore"):
        return float(np.divide(np.dot(positive, above), positive.sum()))


def auc_figure(score: npt.ArrayLike, label: npt.ArrayLike, units: Units) -> Figure:
    """Return the AUC as sums over customers.

    The AUC is no ratio of such sums, but to first order it is: ``mean placement of the positives among all negatives +
    mean placement of the negatives among all positives - AUC`` (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44; by
    cluster Obuchowski 1997, Biometrics 53). Only the interval uses the approximation; the estimate is exact.
    """
    positive, negative = _class_weights(label, None)
    above, below = _placements(np.asarray(score, dtype=np.float64), positive, negative)
    sums = units.pair_sums(positive * above, positive, negative * below, negative)
    with np.errstate(invalid="ignore"):
        whole = np.divide(np.dot(positive, above), positive.sum())

    def statistic(totals: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(totals[:, 0] / totals[:, 1] + totals[:, 2] / totals[:, 3] - whole)

    return Figure(sums, statistic, units.customers)


def _class_weights(label: npt.ArrayLike, weight: npt.ArrayLike | None) -> tuple[Floats, Floats]:
    positive = np.asarray(label, dtype=np.float64)
    weights = np.ones_like(positive) if weight is None else np.asarray(weight, dtype=np.float64)
    return positive * weights, (1 - positive) * weights


def _placements(score: Floats, positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """For each pair: the share of negatives that score below it, and of positives above it; ties count half."""
    _, run = np.unique(score, return_inverse=True)
    positives, negatives = np.bincount(run, weights=positive), np.bincount(run, weights=negative)
    with np.errstate(invalid="ignore"):
        below = (np.cumsum(negatives) - negatives / 2) / negatives.sum()
        above = 1 - (np.cumsum(positives) - positives / 2) / positives.sum()
    return below[run], above[run]


def lift_by_decile(score: npt.ArrayLike, label: npt.ArrayLike, *, parts: int = 10) -> Floats:
    """Return the acceptance rate of each tenth of the pairs, best scores first, over the overall rate: shape (parts,).

    >>> lift_by_decile([4, 3, 2, 1], [1, 1, 0, 0], parts=2).tolist()
    [2.0, 0.0]
    """
    labels = np.asarray(label, dtype=np.float64)
    members = _memberships(np.asarray(score, dtype=np.float64), parts)
    with np.errstate(invalid="ignore"):
        rates = np.array([np.divide(np.dot(m, labels), m.sum()) for m in members])
        return np.asarray(rates / labels.mean(), dtype=np.float64)


def lift_intervals(
    score: npt.ArrayLike, label: npt.ArrayLike, units: Units, *, parts: int = 10, level: float = 0.95
) -> tuple[Interval, ...]:
    """Return the lift of each part of the pairs, best scores first (`lift_by_decile`), with its interval by customer.

    Few of the worst part accept, often none, so resamples say little. With r the part's rate over that of all others
    and w its share of the pairs the lift is ``r / (w r + 1 - w)``, and the interval of r comes from those of both rates
    (`rate_by_customer`; ratio of two by Donner & Zou 2012, Statistical Methods in Medical Research 21, 3.2).
    """
    labels = np.asarray(label, dtype=np.float64)
    out = []
    for lift, members in zip(
        lift_by_decile(score, labels, parts=parts),
        _memberships(np.asarray(score, dtype=np.float64), parts),
        strict=True,
    ):
        inside, outside = (
            rate_by_customer(*units.pair_sums(m * labels, m).T, level=level) for m in (members, 1 - members)
        )
        share = float(members.mean())
        low, high = (_lift_of(r, share) for r in _ratio_bounds(inside, outside))
        found = float(lift)
        low, high = (min(low, found), max(high, found)) if isfinite(found) else (nan, nan)
        out.append(Interval(found, low, high, units.customers))
    return tuple(out)


def _ratio_bounds(one: Interval, other: Interval) -> tuple[float, float]:
    a, b = one.estimate, other.estimate

    def parts(x: float, y: float) -> tuple[float, float, float]:
        above, below = x * (2 * a - x), y * (2 * b - y)
        return above, below, a * b + sqrt(max((a * b) ** 2 - above * below, 0.0))

    above, _, root = parts(one.low, other.high)
    low = above / root if root > 0 else 0.0
    _, below, root = parts(one.high, other.low)
    return low, root / below if below > 0 else inf


def _lift_of(ratio: float, share: float) -> float:
    return 1 / share if ratio == inf else ratio / (share * ratio + 1 - share)


def _memberships(score: Floats, parts: int) -> Iterator[Floats]:
    """Share of each pair that falls in each part of the list, best part first; equal scores share alike."""
    _, run, size = np.unique(-score, return_inverse=True, return_counts=True)
    stop = np.cumsum(size)
    start, width = stop - size, len(score) / parts
    for part in range(parts):
        overlap = np.minimum(stop, (part + 1) * width) - np.maximum(start, part * width)
        yield np.asarray((np.clip(overlap, 0, None) / size)[run], dtype=np.float64)
