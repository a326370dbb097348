"""What a reading needs of the customers: numbers of them, sums and sums of products, per arm and day.

Sums add up: over days, over parts of a bank, over machines. A group-by over millions of customers gives them, and no
customer's row is needed after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Sums over customers of a metric and its covariates.

    Attributes
    ----------
    n
        Shape (..., k): customers in each of k arms.
    totals
        Shape (..., k, d): sums of the metric (first) and of d - 1 covariates, less `centre` each.
    products
        Shape (..., k, d, d): sums of their products, less `centre` each.
    centre
        Shape (d,): what was taken off every value before it was multiplied, so that little is lost to rounding.
    """

    n: Floats
    totals: Floats
    products: Floats
    centre: Floats

    @property
    def width(self) -> int:
        """Metric and covariates."""
        return len(self.centre)

    def over_days(self) -> Sums:
        """Return what is known at the end of each day, where the first axis is what each day adds."""
        n, totals, products = (a.cumsum(axis=0) for a in (self.n, self.totals, self.products))
        return Sums(n, totals, products, self.centre)

    def at(self, day: int) -> Sums:
        """Return one entry of the first axis."""
        return Sums(self.n[day], self.totals[day], self.products[day], self.centre)

    def metric(self) -> Sums:
        """Return the sums of the metric alone."""
        return Sums(self.n, self.totals[..., :1], self.products[..., :1, :1], self.centre[:1])

    def successes(self) -> Floats:
        """Return how many customers converted, shape (..., k): the sum of the metric, which is 0 or 1."""
        return np.asarray(np.rint(self.totals[..., 0] + self.n * self.centre[0]))

    def means(self) -> Floats:
        """Return the mean of metric and covariates per arm, less `centre`, shape (..., k, d); NaN without customers."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.totals / self.n[..., None])

    def scatter(self) -> Floats:
        """Return the sums of products about the arms' own means, shape (..., k, d, d); zero without customers."""
        known = np.where(self.n > 0, self.n, 1.0)[..., None, None]
        outer = self.totals[..., :, None] * self.totals[..., None, :] / known
        found = self.products - outer
        # what rounding leaves of a constant is nothing
        scale = np.einsum("...jj->...j", self.products)
        small = np.sqrt(scale[..., :, None] * scale[..., None, :]) * 1e-13
        return np.where(np.abs(found) <= small, 0.0, found)


def sums_of(values: Floats, arms: npt.NDArray[np.intp], k: int) -> Sums:
    """Return the sums of n customers' `values`, shape (n, d), in `k` arms given as numbers, shape (n,).

    >>> s = sums_of(np.array([[1.0], [2.0], [6.0]]), np.array([0, 0, 1]), 2)
    >>> s.n.tolist(), s.successes().tolist(), s.scatter()[:, 0, 0].tolist()
    ([2.0, 1.0], [3.0, 6.0], [0.5, 0.0])
    """
    table = np.asarray(values, dtype=np.float64)
    d = table.shape[1]
    centre = table.mean(axis=0) if len(table) else np.zeros(d)
    part = table - centre
    n = np.bincount(arms, minlength=k).astype(np.float64)
    totals = np.zeros((k, d))
    products = np.zeros((k, d, d))
    for arm in range(k):
        inside = part[arms == arm]
        totals[arm], products[arm] = inside.sum(axis=0), inside.T @ inside
    return Sums(n, totals, products, centre)
