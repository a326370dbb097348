"""Carries an affinity's factor from the second-order start to the logistic optimum.

The sufficient statistics see each product's likelihood at its mean rate. Where one kind of customer accepts far
oftener than that (students and education loans), a single such step overshoots. It is shortened to where the
likelihood is best, and then a few penalised Newton steps on the offers themselves follow, product side and customer
side in turn. Each is one pass over the offers and keeps sums no larger than attributes × attributes and
attributes × products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nextoffer.models.evidence import precisions
from nextoffer.models.ranker import log_likelihood, sigmoid
from nextoffer.tables.flow import Floats, Indices

_ROUNDS = 4
_BASE_PRECISION = 1e-2
_LONGEST_STEP = 1.0
_CLOSE = 1e-2
_SHARES = (1.0, 0.7, 0.4, 0.2, 0.1)


@dataclass(frozen=True)
class Offers:
    """A chunk of m offers: attributes (m, A), products, labels and weights (m,)."""

    attributes: Floats
    cols: Indices
    labels: Floats
    weights: Floats


Pass = Callable[[], Iterable[Offers]]
"""Gives all offers once, chunk by chunk, each time it is called."""


@dataclass(frozen=True)
class Factor:
    """One factor beside what is already explained.

    Attributes
    ----------
    w, v
        (A,) weights of the attributes, and (P,) of the products; v has mean square 1.
    base
        (P,) log-odds of the average customer.
    earlier
        (A, P) weights of the factors before it.
    alpha, tau
        Prior precision of each entry of w, and of all of v.
    """

    w: Floats
    v: Floats
    base: Floats
    earlier: Floats
    alpha: Floats
    tau: float


@dataclass(frozen=True)
class Linearised:
    """The likelihood of m offers to second order around a model.

    Attributes
    ----------
    score
        (A, P) its slope along each attribute's weight for each product, the base free to follow.
    information
        (P,) its curvature along each product's base.
    mean
        (A, P) each product's average attributes, by curvature.
    covariance
        (A, A) of the attributes within products, by curvature.
    base
        (P,) log-odds of the average customer.
    """

    score: Floats
    information: Floats
    mean: Floats
    covariance: Floats
    base: Floats


def linearised(factor: Factor, offers: Pass) -> Linearised:
    """Return the likelihood around a factor and the earlier ones, in one pass."""
    count, size = len(factor.w), len(factor.v)
    score, along, cross = np.zeros((count, size)), np.zeros((count, size)), np.zeros((count, count))
    gap, information = np.zeros(size), np.zeros(size)
    for chunk in offers():
        _, residual, curvature = _state(factor, chunk)
        gap += np.bincount(chunk.cols, residual, size)
        information += np.bincount(chunk.cols, curvature, size)
        single = chunk.attributes.astype(np.float32)  # as in the customers' step
        cross += (single * curvature.astype(np.float32)[:, None]).T @ single
        score += single.T @ _spread_out(residual, chunk.cols, size)
        along += single.T @ _spread_out(curvature, chunk.cols, size)
    mean = along / np.maximum(information, 1e-9)
    covariance = (cross - along @ mean.T) / max(float(information.sum()), 1e-9)
    return Linearised(score - mean * gap, information, mean, covariance, factor.base)


def refined(start: Factor, groups: Indices, offers: Pass) -> Factor:
    """Return the factor after at most four rounds of Newton steps."""
    factor = _shortened(start, offers)
    for _ in range(_ROUNDS):
        if not np.any(factor.w):
            break
        before = factor
        factor = _customer_step(_product_step(factor, offers), groups, offers)
        moved = np.abs(np.outer(factor.w, factor.v) - np.outer(before.w, before.v)).max()
        if moved < _CLOSE * np.abs(factor.w).max():
            break
    return _product_step(factor, offers)


def _shortened(factor: Factor, offers: Pass) -> Factor:
    """The factor times the share that the likelihood likes best, product bases kept at the average offer."""
    size = len(factor.v)
    totals, seen = np.zeros(size), np.zeros(size)
    for chunk in offers():
        totals += np.bincount(chunk.cols, chunk.weights * (chunk.attributes @ factor.w), size)
        seen += np.bincount(chunk.cols, chunk.weights, size)
    shift = factor.v * totals / np.maximum(seen, 1e-9)
    tried = [replace(factor, w=factor.w * c, base=factor.base + (1.0 - c) * shift) for c in _SHARES]
    return tried[int(np.argmax([_likelihood(f, offers) for f in tried]))]


def _likelihood(factor: Factor, offers: Pass) -> float:
    return sum(log_likelihood(_log_odds(factor, c)[1], c.labels, c.weights) for c in offers())


def _product_step(factor: Factor, offers: Pass) -> Factor:
    """One Newton step for each product's base and weight, given the customers' side."""
    size = len(factor.v)
    totals = np.zeros((5, size))
    for chunk in offers():
        s, residual, curvature = _state(factor, chunk)
        parts = (residual, residual * s, curvature, curvature * s, curvature * s * s)
        totals += [np.bincount(chunk.cols, part, size) for part in parts]
    g0, g1, h00, h01, h11 = totals
    g0 -= _BASE_PRECISION * (factor.base - factor.base.mean())
    g1 -= factor.tau * factor.v
    h00, h11 = h00 + _BASE_PRECISION, h11 + factor.tau
    determinant = h00 * h11 - h01**2
    base = factor.base + _bounded((h11 * g0 - h01 * g1) / determinant)
    v = factor.v + _bounded((h00 * g1 - h01 * g0) / determinant)
    tau = float(np.clip(size / (v**2 + h00 / determinant).sum(), 1e-2, 1e4))
    scale = float(np.sqrt((v**2).mean()))
    if scale < 1e-9:
        return replace(factor, w=np.zeros_like(factor.w), base=base)
    return replace(factor, w=factor.w * scale, v=v / scale, base=base, tau=tau)


def _customer_step(factor: Factor, groups: Indices, offers: Pass) -> Factor:
    """One Newton step for the attributes' weights, the bases free to follow."""
    count, size = len(factor.w), len(factor.v)
    score = np.zeros(count)
    hessian = np.zeros((count, count))
    along, weight = np.zeros((count, size)), np.zeros(size)
    for chunk in offers():
        _, residual, curvature = _state(factor, chunk)
        v = factor.v[chunk.cols]
        score += chunk.attributes.T @ (residual * v)
        single = chunk.attributes.astype(np.float32)  # the curvature only steers the step, half the precision will do
        hessian += (single * (curvature * v * v).astype(np.float32)[:, None]).T @ single
        weight += np.bincount(chunk.cols, curvature, size)
        along += single.T @ _spread_out(curvature * v, chunk.cols, size)
    hessian -= (along / np.maximum(weight, 1e-9)) @ along.T
    covariance = np.linalg.inv(hessian + np.diag(factor.alpha))
    w = factor.w + _bounded(covariance @ (score - factor.alpha * factor.w))
    determined = np.clip(1.0 - factor.alpha * np.diag(covariance), 0.0, 1.0)
    return replace(factor, w=w, alpha=precisions(w, determined, groups))


def _spread_out(values: Floats, cols: Indices, size: int) -> npt.NDArray[np.float32]:
    """Values (m,) in the columns of their products, float32 (m, P)."""
    out = np.zeros((len(cols), size), dtype=np.float32)
    out[np.arange(len(cols)), cols] = values
    return out


def _state(factor: Factor, chunk: Offers) -> tuple[Floats, Floats, Floats]:
    """Each offer's customer score, weighted residual and curvature."""
    s, log_odds = _log_odds(factor, chunk)
    p = sigmoid(log_odds)
    return s, chunk.weights * (chunk.labels - p), chunk.weights * p * (1.0 - p)


def _log_odds(factor: Factor, chunk: Offers) -> tuple[Floats, Floats]:
    """Each offer's customer score and log-odds."""
    s = chunk.attributes @ factor.w
    log_odds = factor.base[chunk.cols] + s * factor.v[chunk.cols]
    if np.any(factor.earlier):
        log_odds = log_odds + np.einsum("ma,am->m", chunk.attributes, factor.earlier[:, chunk.cols])
    return s, log_odds


def _bounded(step: Floats) -> Floats:
    """The step, shortened so that no entry moves by more than one."""
    longest = float(np.abs(step).max(initial=0.0))
    return step if longest <= _LONGEST_STEP else step * (_LONGEST_STEP / longest)
