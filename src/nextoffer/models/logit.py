"""The conditional logit (McFadden 1974): which product a customer takes up, given that the products compete.

For choice set r with products j on offer (with weight A[r, j]) and acceptances T[r, j] the log-likelihood is::

    Σ_r Σ_j T[r, j] (s[r, j] − log Σ_k A[r, k] exp s[r, k])          s = X W + b

so whatever raises all of a customer's products alike cancels: only what changes the order is learned. W is drawn to 0
by a ridge. The penalised negative log-likelihood is convex; L-BFGS (Liu & Nocedal 1989) finds its minimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nextoffer.models.coding import Codes
from nextoffer.models.indicators import Indicators
from nextoffer.tables.flow import Floats, Indices

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_INTERCEPT_RIDGE = 0.01
_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Choices:
    """u choice sets, equal ones laid together.

    Attributes
    ----------
    codes
        (u, F) bins of the customer.
    offered, accepted
        (u, P) how often each product was on offer, and how often it was taken up.
    count
        (u,) how many sets each row stands for.
    """

    codes: Codes
    offered: Floats
    accepted: Floats
    count: Floats

    @classmethod
    def of(cls, codes: Codes, offered: Floats, accepted: Floats) -> Choices:
        """Return the sets with those of equal bins, offered the same products, laid together."""
        share = offered / np.maximum(offered.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        alike = np.hstack([codes.astype(np.float32), share.astype(np.float32)])
        whole = np.ascontiguousarray(alike).view(np.dtype((np.void, alike.itemsize * alike.shape[1]))).ravel()
        _, first, place = np.unique(whole, return_index=True, return_inverse=True)
        from scipy.sparse import csr_matrix

        sums = csr_matrix((np.ones(len(place)), (place.ravel(), np.arange(len(place)))), (len(first), len(place)))
        count = np.bincount(place.ravel(), minlength=len(first)).astype(np.float64)
        return cls(codes[first], sums @ offered, sums @ accepted, count)

    def take(self, rows: Indices) -> Choices:
        """Return some of the rows."""
        return Choices(self.codes[rows], self.offered[rows], self.accepted[rows], self.count[rows])

    def informative(self) -> Choices:
        """Return the rows with an acceptance: the others say nothing of the order."""
        return self.take(np.flatnonzero(self.accepted.sum(axis=1) > 0))


@dataclass(frozen=True)
class Logit:
    """Fitted coefficients: steps (K, P) of the indicators, and an intercept (P,)."""

    steps: Floats
    intercept: Floats
    iterations: int = 0

    @classmethod
    def mean(cls, fits: Sequence[Logit]) -> Logit:
        """Return the mean of several fits of the same indicators, which varies less than any of them."""
        steps, intercepts = zip(*((f.steps, f.intercept) for f in fits), strict=True)
        return cls(np.mean(steps, axis=0), np.mean(intercepts, axis=0), sum(f.iterations for f in fits))

    def log_odds(self, indicators: Indicators, codes: Codes) -> Floats:
        """Return s, (n, P)."""
        return np.asarray(indicators.matrix(codes) @ indicators.summed(self.steps) + self.intercept)


@dataclass(frozen=True)
class Likelihood:
    """The penalised negative log-likelihood of some choice sets.

    Attributes
    ----------
    indicators, matrix
        Cells, and who lies in which, sparse (u, K).
    choices
        The sets.
    """

    indicators: Indicators
    matrix: csr_matrix
    choices: Choices

    @classmethod
    def of(cls, indicators: Indicators, choices: Choices) -> Likelihood:
        """Return the likelihood of the sets with an acceptance."""
        kept = choices.informative()
        return cls(indicators, indicators.matrix(kept.codes), kept)

    def loss(self, fitted: Logit) -> float:
        """Return the negative log-likelihood, without penalty."""
        return self.loss_and_slope(self.matrix @ self.indicators.summed(fitted.steps) + fitted.intercept)[0]

    def usable(self, least: int) -> npt.NDArray[np.bool_]:
        """Return for each step whether it holds for at least `least` sets."""
        held = self.indicators.spread((self.matrix.T @ self.choices.count)[:, None])[:, 0]
        return np.asarray(held >= least)

    def fit(self, ridge: Floats, *, start: Logit | None = None, iterations: int = 200) -> Logit:
        """Return the coefficients that minimise ``loss + Σ ridge steps²``.

        `ridge` is (K, 1), or (K, P) with one for each coefficient; where it is infinite the coefficient stays 0.
        """
        from scipy.optimize import minimize

        scale = 1.0 / np.sqrt(ridge)
        base = _base_rates(self.choices)
        shape = (len(self.indicators), len(base))
        cut = shape[0] * shape[1]
        transposed = self.matrix.T.tocsr()

        def objective(x: Floats) -> tuple[float, Floats]:
            z, shift = x[:cut].reshape(shape), x[cut:]
            loss, slope = self.loss_and_slope(self.matrix @ self.indicators.summed(z * scale) + base + shift)
            steps = self.indicators.spread(transposed @ slope) * scale + 2.0 * z
            penalty = float((z * z).sum() + _INTERCEPT_RIDGE * (shift * shift).sum())
            return loss + penalty, np.r_[steps.ravel(), slope.sum(axis=0) + 2.0 * _INTERCEPT_RIDGE * shift]

        first = np.zeros(cut + len(base))
        if start is not None:
            inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
            first = np.r_[(start.steps * inverse).ravel(), start.intercept - base]
        options = {"maxiter": iterations, "maxcor": 10, "ftol": _TOLERANCE}
        found = minimize(objective, first, jac=True, method="L-BFGS-B", options=options)
        return Logit(found.x[:cut].reshape(shape) * scale, found.x[cut:] + base, int(found.nit))

    def loss_and_slope(self, scores: Floats) -> tuple[float, Floats]:
        """Return the loss and its slope by the scores, (u, P)."""
        offered, accepted = self.choices.offered, self.choices.accepted
        top = np.where(offered > 0, scores, -np.inf).max(axis=1, keepdims=True)
        weighed = offered * np.exp(np.where(offered > 0, scores - top, 0.0))
        whole = weighed.sum(axis=1, keepdims=True)
        taken = accepted.sum(axis=1, keepdims=True)
        loss = float((taken * (np.log(whole) + top)).sum() - (accepted * scores).sum())
        return loss, weighed * (taken / whole) - accepted


def heavy_tailed(ridge: Floats, steps: Floats) -> Floats:
    """Return the ridge (K, P) that turns `ridge` (K, 1) into a Cauchy prior of the same scale, as seen from `steps`.

    Its penalty ``ridge' w²`` touches ``log(1 + 2 ridge w²)`` at ``w = steps`` and lies above it elsewhere, so fitting
    and taking the ridge anew in turns descends (Hunter & Li 2005): a few large effects are left alone, the many small
    ones are drawn to 0 harder.

    >>> heavy_tailed(np.array([[4.0]]), np.array([[0.0, 1.0]])).round(2).tolist()
    [[8.0, 0.89]]
    """
    return np.asarray(2.0 * ridge / (1.0 + 2.0 * ridge * steps**2))


def _base_rates(choices: Choices) -> Floats:
    """Return the log of each product's acceptance rate; one never offered has the mean rate."""
    accepted, offered = choices.accepted.sum(axis=0), choices.offered.sum(axis=0)
    mean = (accepted.sum() + 1.0) / (offered.sum() + 2.0)
    return np.asarray(np.log((accepted + mean) / (offered + 1.0)))
