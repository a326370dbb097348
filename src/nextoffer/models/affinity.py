"""Response affinity: which kinds of customers say yes to which products.

A low-rank supervised factorisation. With standardised customer attributes x (A of them), the log-odds that a customer
accepts product j are::

    base_j + Σ_r (x · w_r) v_rj

Everything is learned from one pass over the offers: per product the number of offers, the acceptances, the attributes'
sums over offers and over acceptances (A × P each), and the attributes' pooled covariance (A × A). The likelihood is
taken to second order around each product's own rate, so these sums are sufficient; w and v are found in turn, each with
evidence-chosen penalties (reduced-rank regression, Izenman 1975; automatic relevance determination, MacKay 1992). The
score splits exactly into the customer's attributes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from nextoffer.models.evidence import posterior, precisions, shrink_to_mean
from nextoffer.models.refine import Factor, Linearised, Pass, linearised, refined
from nextoffer.tables.flow import Floats, Indices

_SMOOTHING = 20.0
_ROUNDS = 60


@dataclass(frozen=True)
class AffinitySums:
    """Sufficient statistics of offers; two of them add.

    Attributes
    ----------
    offers, accepts
        (P,) weighted counts.
    seen, taken
        (A, P) sums of the attributes over offers, and over acceptances.
    cross
        (A, A) sum of outer products of the attributes over all offers.
    """

    offers: Floats
    accepts: Floats
    seen: Floats
    taken: Floats
    cross: Floats

    def __add__(self, other: AffinitySums) -> AffinitySums:
        return AffinitySums(
            self.offers + other.offers,
            self.accepts + other.accepts,
            self.seen + other.seen,
            self.taken + other.taken,
            self.cross + other.cross,
        )


def affinity_sums(attributes: Floats, cols: Indices, labels: Floats, weights: Floats, *, products: int) -> AffinitySums:
    """Return the sums over m offers: `attributes` (m, A); `cols` (product indices), `labels` and `weights` (m,)."""
    offers: Floats = np.bincount(cols, weights, products).astype(np.float64)
    accepts: Floats = np.bincount(cols, weights * labels, products).astype(np.float64)
    seen, taken = np.zeros((2, attributes.shape[1], products))
    for j in range(products):
        mine = cols == j
        x, w = attributes[mine], weights[mine]
        seen[:, j] = w @ x
        taken[:, j] = (w * labels[mine]) @ x
    return AffinitySums(offers, accepts, seen, taken, (attributes * weights[:, None]).T @ attributes)


@dataclass(frozen=True)
class Affinity:
    """A fitted response affinity.

    Attributes
    ----------
    weights
        (A, P) log-odds per standard deviation of each attribute, of rank `rank`.
    base
        (P,) log-odds of a customer with average attributes (all zero).
    rank
        Number of factors.
    factors
        The factors that the weights are the sum of.
    between
        Variance of the products' bases around their mean.
    """

    weights: Floats
    base: Floats
    rank: int
    factors: tuple[Factor, ...] = ()
    between: float = np.inf

    def log_odds(self, attributes: Floats) -> Floats:
        """Return (n, P) for `attributes` (n, A)."""
        return np.asarray(self.base + attributes @ self.weights)


@dataclass(frozen=True)
class AffinityFit:
    """A fit that grows a factor at a time: each further factor explains what the earlier ones left."""

    sums: AffinitySums
    groups: Indices
    weights: Floats
    rank: int = 0
    base: Floats | None = None
    factors: tuple[Factor, ...] = ()

    @property
    def latest(self) -> Factor | None:
        """The factor that was grown last."""
        return self.factors[-1] if self.factors else None

    @classmethod
    def start(cls, sums: AffinitySums, groups: Indices) -> AffinityFit:
        """Return the fit without factors; `groups` (A,) says which attributes share a prior."""
        return cls(sums, groups, np.zeros_like(sums.seen))

    def grown(self, offers: Pass) -> AffinityFit:
        """Return the fit with one factor more, by the second-order likelihood around what is explained already.

        Around nothing but the products' rates the sums are enough; around earlier factors it takes a pass over the
        offers, because their likelihood far from the rates is another (students and education loans).
        """
        if self.factors:
            start = linearised(self.factors[-1], offers)
        else:
            rate, information, mean, covariance = _moments(self.sums)
            score = self.sums.taken - mean * self.sums.accepts
            start = Linearised(score, information, mean, covariance, np.log(rate / (1.0 - rate)))
        w, v, alpha, tau = _factor(start.score, start.covariance, start.information, self.groups)
        base = start.base - (start.mean * np.outer(w, v)).sum(axis=0)
        factors = (*self.factors, Factor(w, v, base, self.weights, alpha, tau))
        return replace(self, weights=self.weights + np.outer(w, v), rank=self.rank + 1, factors=factors)

    def refined(self, offers: Pass) -> AffinityFit:
        """Return the fit with its latest factor and the bases at the logistic optimum."""
        if not self.factors:
            return self
        factor = refined(self.factors[-1], self.groups, offers)
        weights, factors = factor.earlier + np.outer(factor.w, factor.v), (*self.factors[:-1], factor)
        return replace(self, weights=weights, base=factor.base, factors=factors)

    def affinity(self) -> Affinity:
        """Return the model; product bases are drawn to their mean as far as noise explains their spread."""
        rate, information, mean, _ = _moments(self.sums)
        observed = np.log(rate / (1.0 - rate)) - (mean * self.weights).sum(axis=0) if self.base is None else self.base
        base, between = shrink_to_mean(observed, 1.0 / np.maximum(information, 1e-9))
        return Affinity(self.weights, base, self.rank, self.factors, between)


def held_out_sums(parts: list[AffinitySums]) -> list[AffinitySums]:
    """Return for each fold the sums of all the other folds."""
    whole = reduce(AffinitySums.__add__, parts)
    return [_without(whole, part) for part in parts]


def _moments(sums: AffinitySums) -> tuple[Floats, Floats, Floats, Floats]:
    """Smoothed rate (P,), information (P,), attribute means (A, P) and pooled within-product covariance (A, A)."""
    total = max(sums.offers.sum(), 1e-9)
    overall = (sums.accepts.sum() + 0.5) / (total + 1.0)
    rate = (sums.accepts + _SMOOTHING * overall) / (sums.offers + _SMOOTHING)
    mean = sums.seen / np.maximum(sums.offers, 1e-9)
    covariance = (sums.cross - (mean * sums.offers) @ mean.T) / total
    return rate, sums.offers * rate * (1.0 - rate), mean, covariance


def _without(whole: AffinitySums, part: AffinitySums) -> AffinitySums:
    return AffinitySums(
        whole.offers - part.offers,
        whole.accepts - part.accepts,
        whole.seen - part.seen,
        whole.taken - part.taken,
        whole.cross - part.cross,
    )


def _factor(
    score: Floats, covariance: Floats, information: Floats, groups: Indices
) -> tuple[Floats, Floats, Floats, float]:
    """One factor (A,), (P,): alternate ridge steps for the customer side and the product side."""
    products = score.shape[1]
    root = np.sqrt(np.maximum(information, 1e-9))
    v = np.linalg.svd(score / root, full_matrices=False)[2][0] / root
    v *= np.sqrt(products) / max(float(np.linalg.norm(v)), 1e-12)
    alpha, tau, size = np.ones(len(score)), 1.0, 1.0
    w = np.zeros(len(score))
    for _ in range(_ROUNDS):
        before = w
        w, variance = posterior((information * v**2).sum() * covariance, score @ v, alpha)
        alpha = precisions(w, np.clip(1.0 - alpha * variance, 0.0, 1.0), groups)
        precision = information * (w @ covariance @ w) + tau
        fresh = (score.T @ w) / precision
        tau = float(np.clip(products / (fresh**2 + 1.0 / precision).sum(), 1e-2, 1e4))
        size = float(np.sqrt((fresh**2).mean()))
        if size < 1e-9:
            return np.zeros_like(w), np.zeros_like(v), alpha, tau
        v = fresh / size
        if float(np.abs(w - before).max()) < 1e-4 * float(np.abs(w).max()):
            break
    return w * size, v, alpha, tau
