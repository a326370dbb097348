"""The arms' means with their covariance, plain or adjusted by what was known of the customers before (CUPED)."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan, sqrt

import numpy as np

from nextoffer.experiment.sums import Floats, Sums

LEAST_PER_COVARIATE = 20
"""Customers each arm needs for every covariate (and one more): with fewer, adjusting does more harm than good."""


@dataclass(frozen=True)
class Means:
    """Estimated mean of a metric in each of k arms.

    Attributes
    ----------
    estimates
        Shape (k,); NaN without customers.
    covariance
        Shape (k, k) of the estimates; arms share a part of it when they are adjusted.
    n
        Shape (k,): customers.
    spent
        Coefficients that were estimated in each arm: the degrees of freedom lost beside the mean's.
    """

    estimates: Floats
    covariance: Floats
    n: Floats
    spent: int = 0

    def difference(self, arm: int, control: int = 0) -> tuple[float, float]:
        """Return arm minus control and its standard error; NaN where it is not known."""
        variance = self.covariance[arm, arm] + self.covariance[control, control] - 2 * self.covariance[arm, control]
        return float(self.estimates[arm] - self.estimates[control]), sqrt(variance) if variance >= 0 else nan

    def freedom(self, arm: int, control: int = 0) -> float:
        """Return Welch's degrees of freedom of the difference (Welch 1947, Biometrika 34)."""
        variance = self.covariance[[arm, control], [arm, control]]
        each = np.maximum(self.n[[arm, control]] - 1 - self.spent, 1.0)
        below = float((variance**2 / each).sum())
        return float(variance.sum() ** 2 / below) if below > 0 else float(each.sum())


def plain_means(sums: Sums) -> Means:
    """Return the arms' means, each with its own variance: s² / n.

    >>> from nextoffer.experiment.sums import sums_of
    >>> m = plain_means(sums_of(np.array([[1.0], [3.0], [5.0], [9.0]]), np.array([0, 0, 1, 1]), 2))
    >>> m.estimates.tolist(), m.difference(1)
    ([2.0, 7.0], (5.0, 2.23606797749979))
    """
    n = sums.n
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(n > 1, sums.scatter()[:, 0, 0] / (n - 1) / n, nan)
    return Means(sums.means()[:, 0] + sums.centre[0], _diagonal(variance), n)


def rate_means(sums: Sums) -> Means:
    """Return the arms' rates; their variances count one success and one failure more.

    The variance stays above 0 where nobody or everybody converted (Agresti & Caffo 2000, The American Statistician 54);
    the rates are as they are.
    """
    x, n = sums.successes(), sums.n
    with np.errstate(invalid="ignore", divide="ignore"):
        p = (x + 1) / (n + 2)
        return Means(x / n, _diagonal(np.where(n > 0, p * (1 - p) / n, nan)), n)


def adjusted_means(sums: Sums) -> Means:
    """Return the arms' means at the covariates' common mean: ``mean_a - theta_a' (xmean_a - xmean)``.

    theta_a is arm a's own least squares coefficients, which is the regression with all interactions: in large samples
    never less precise than no adjustment, whatever the shares of the arms (Lin 2013, Annals of Applied Statistics 7);
    with one covariate, equal arms and equal slopes it is CUPED (Deng, Xu, Kohavi & Walker 2013, WSDM). The variance,
    ``diag(s_a² / n_a) + theta S theta' / N`` with residual variances s_a² per arm and the covariates' covariance S over
    all N customers, asks neither for equal variances nor for a linear truth.
    """
    n, d = sums.n, sums.width - 1
    scatter, averages = sums.scatter(), sums.means()
    theta = np.stack([_slopes(scatter[a]) for a in range(len(n))])
    explained = np.einsum("aj,aj->a", theta, scatter[:, 1:, 0])
    residual = np.maximum(scatter[:, 0, 0] - explained, 0.0) / (n - 1 - d)
    everyone = sums.totals[:, 1:].sum(axis=0) / n.sum()
    estimates = averages[:, 0] - np.einsum("aj,aj->a", theta, averages[:, 1:] - everyone) + sums.centre[0]
    spread = sums.products[:, 1:, 1:].sum(axis=0) / n.sum() - np.outer(everyone, everyone)
    return Means(estimates, _diagonal(residual / n) + theta @ spread @ theta.T / n.sum(), n, spent=d)


def can_adjust(sums: Sums) -> bool:
    """Whether there are covariates that differ, and enough customers in every arm to use them."""
    enough = sums.n.min(initial=np.inf) >= LEAST_PER_COVARIATE * sums.width
    return bool(sums.width > 1 and enough and np.trace(sums.products[:, 1:, 1:].sum(axis=0)) > 0)


def ratio_bounds(means: Means, arm: int, control: int, reach: float) -> tuple[float, float]:
    """Return the bounds of arm ÷ control - 1 by Fieller's theorem; NaN where the control's mean may be 0.

    All ratios r with ``|m1 - r m0| <= reach * sd(m1 - r m0)`` (Fieller 1954, Journal of the Royal Statistical Society B
    16). It inverts a test of each r, so with the reach of an anytime-valid interval it is anytime-valid too.

    >>> m = Means(np.array([2.0, 3.0]), np.diag([0.01, 0.01]), np.array([100.0, 100.0]))
    >>> [round(bound, 3) for bound in ratio_bounds(m, 1, 0, 1.96)]
    [0.336, 0.693]
    """
    m1, m0 = means.estimates[arm], means.estimates[control]
    v1, v0, v10 = means.covariance[arm, arm], means.covariance[control, control], means.covariance[arm, control]
    square = reach * reach
    a, b, c = m0 * m0 - square * v0, m1 * m0 - square * v10, m1 * m1 - square * v1
    inside = b * b - a * c
    if not (isfinite(inside) and a > 0 and inside >= 0):
        return nan, nan
    return float((b - sqrt(inside)) / a - 1), float((b + sqrt(inside)) / a - 1)


def _slopes(scatter: Floats) -> Floats:
    """Least squares coefficients; of covariates that say the same, those of least length."""
    size = np.sqrt(np.diag(scatter)[1:])
    scale = np.where(size > 0, size, 1.0)
    correlation = scatter[1:, 1:] / np.outer(scale, scale)
    return np.asarray(np.linalg.pinv(correlation, rcond=1e-10, hermitian=True) @ (scatter[1:, 0] / scale) / scale)


def _diagonal(variance: Floats) -> Floats:
    """A diagonal matrix whose other entries are 0 also beside NaN."""
    out = np.zeros((len(variance), len(variance)))
    np.fill_diagonal(out, variance)
    return out
