"""Figures: numbers over customers, kept as sums so that they can be resampled, compared and divided.

A `Figure` is a statistic of sums over customers (or heaps of customers). All figures of the same `Units` are resampled
with the same draws, so differences and ratios of figures compare customer by customer (a paired bootstrap).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nextoffer.intervals import Interval, from_replicates, heaps, resample

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Bounds = Callable[[Floats, Floats, float], tuple[float, float]]

_MAX_COLUMNS = 512


@dataclass(frozen=True)
class Units:
    """What is resampled: the customers behind N pairs, or heaps of them where there are very many.

    Attributes
    ----------
    customers
        Number of customers, C.
    count
        Number of units, U.
    of_customer, of_pair
        intp (C,) and (N,): unit of each customer and of each pair.
    """

    customers: int
    count: int
    of_customer: Indices
    of_pair: Indices

    @classmethod
    def of(cls, customer: Indices, customers: int, *, seed: int) -> Units:
        """Return the units of pairs whose customers are numbered 0..customers-1."""
        of_customer = heaps(customers, seed=seed)
        return cls(customers, int(of_customer.max(initial=-1)) + 1, of_customer, of_customer[customer])

    def pair_sums(self, *values: Floats) -> Floats:
        """Add up arrays of one value per pair, each of shape (N,): shape (U, len(values))."""
        return np.stack([np.bincount(self.of_pair, weights=v, minlength=self.count) for v in values], axis=1)

    def customer_sums(self, *values: Floats) -> Floats:
        """Add up arrays of one value per customer, each of shape (C,): shape (U, len(values))."""
        return np.stack([np.bincount(self.of_customer, weights=v, minlength=self.count) for v in values], axis=1)

    def pair_table(self, column: Indices, value: Floats, *, width: int) -> Floats:
        """Add up one value per pair, shape (N,), by unit and column: shape (U, width)."""
        flat = np.bincount(self.of_pair * width + column, weights=value, minlength=self.count * width)
        return np.asarray(flat.reshape(self.count, width), dtype=np.float64)


@dataclass(frozen=True)
class Figure:
    """A statistic of sums over customers.

    Attributes
    ----------
    sums
        Shape (U, m).
    statistic
        Maps totals of shape (B, m) to values of shape (B,).
    n
        Customers behind it.
    bounds
        What gives low and high from the totals (m,), those of resamples (B, m) and the level, where the percentiles of
        the statistic's resamples would not hold the truth: noise only raises an error, and only lowers a share of
        products reached.
    """

    sums: Floats
    statistic: Callable[[Floats], Floats]
    n: int
    bounds: Bounds | None = None

    @property
    def estimate(self) -> float:
        """The figure itself."""
        return float(self.statistic(self.sums.sum(axis=0, keepdims=True))[0])


def mean(values: Floats, units: Units) -> Figure:
    """Return the mean of one value per customer, shape (C,); NaN marks a customer who does not count."""
    counts = np.isfinite(values)
    sums = units.customer_sums(np.where(counts, values, 0.0), counts.astype(np.float64))
    return Figure(sums, ratio, int(counts.sum()))


def ratio(totals: Floats) -> Floats:
    """Return first column / second column, shape (B,); NaN where the second is 0."""
    return _divide(totals[:, 0], totals[:, 1])


def difference(figure: Figure, from_: Figure) -> Figure:
    """Return figure - from_."""
    return _combine(lambda a, b: a - b, figure, from_)


def lift(figure: Figure, over: Figure) -> Figure:
    """Return figure / over - 1."""
    return _combine(lambda a, b: _divide(a, b) - 1, figure, over)


def share_of_way(figure: Figure, start: Figure, end: Figure) -> Figure:
    """Return how far `figure` has come from `start` to `end`: 0 = no better than start, 1 = at the end."""
    return _combine(lambda a, b, c: _divide(a - b, c - b), figure, start, end)


def _combine(how: Callable[..., Floats], *parts: Figure) -> Figure:
    stops = np.cumsum([part.sums.shape[1] for part in parts])
    spans = [slice(stop - part.sums.shape[1], stop) for part, stop in zip(parts, stops, strict=True)]

    def statistic(totals: Floats) -> Floats:
        return how(*(part.statistic(totals[:, span]) for part, span in zip(parts, spans, strict=True)))

    return Figure(np.hstack([part.sums for part in parts]), statistic, min(part.n for part in parts))


def _divide(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole == 0, np.nan, part / whole)


def intervals(
    figures: Sequence[Figure], *, seed: int, resamples: int = 1000, level: float = 0.95
) -> tuple[Interval, ...]:
    """Return every figure with its bootstrap interval; all come from the same draws of customers.

    Figures must stem from the same `Units`.
    """
    out: list[Interval] = []
    for batch in _batches(figures):
        widths = [figure.sums.shape[1] for figure in batch]
        totals = resample(np.hstack([figure.sums for figure in batch]), seed=seed, resamples=resamples)
        parts = np.split(totals, np.cumsum(widths)[:-1], axis=1)
        out += [_interval(figure, part, level) for figure, part in zip(batch, parts, strict=True)]
    return tuple(out)


def _interval(figure: Figure, totals: Floats, level: float) -> Interval:
    if figure.bounds is None or figure.n < 2:
        return from_replicates(figure.estimate, figure.statistic(totals), figure.n, level=level)
    return Interval(figure.estimate, *figure.bounds(figure.sums.sum(axis=0), totals, level), figure.n)


def _batches(figures: Sequence[Figure]) -> Iterator[list[Figure]]:
    """Figures to resample in one matrix product: as many as keep it small."""
    batch: list[Figure] = []
    for figure in figures:
        if batch and sum(f.sums.shape[1] for f in batch) + figure.sums.shape[1] > _MAX_COLUMNS:
            yield batch
            batch = []
        batch.append(figure)
    if batch:
        yield batch
