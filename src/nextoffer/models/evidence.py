"""Ridge regression whose penalties the data choose (type-II maximum likelihood, MacKay 1992).

Coefficients come in groups. Each has its own prior precision, drawn towards that of its group, so a group of noise
columns is shrunk away together while a strong column inside a weak group keeps its effect.
"""

from __future__ import annotations

import numpy as np

from nextoffer.models.ranker import sigmoid
from nextoffer.tables.flow import Floats, Indices

GROUP_STRENGTH = 5.0
"""How strongly a coefficient's precision is drawn to its group's (pseudo-observations; 0 = each alone, large = group
only)."""
_LOW, _HIGH = 1e-2, 1e7
_NEWTON_STEPS = 30
_LONGEST_STEP = 3.0


def precisions(coefficients: Floats, determined: Floats, groups: Indices) -> Floats:
    """Return the next prior precision of each coefficient.

    Parameters
    ----------
    coefficients
        (k,) posterior means.
    determined
        (k,) how far the data determine each, ``1 - precision * posterior variance``, in [0, 1].
    groups
        (k,) whole numbers from 0.
    """
    count = int(groups.max(initial=-1)) + 1
    group = (np.bincount(groups, determined, count) + 1e-3) / (np.bincount(groups, coefficients**2, count) + 1e-6)
    pull = 2.0 * GROUP_STRENGTH
    return np.asarray(np.clip((determined + pull) / (coefficients**2 + pull / group[groups]), _LOW, _HIGH))


def posterior(information: Floats, score: Floats, precision: Floats) -> tuple[Floats, Floats]:
    """Return posterior means (k,) and variances (k,) of ridge coefficients.

    `information` is XᵀWX (k, k), `score` XᵀWy (k,), `precision` the prior's (k,).
    """
    covariance = np.linalg.inv(information + np.diag(precision))
    return covariance @ score, np.diag(covariance)


def shrink_to_mean(estimates: Floats, variances: Floats) -> tuple[Floats, float]:
    """Return estimates drawn towards their common mean as far as their noise explains their spread, and that spread².

    The second is τ², the variance of what is estimated around its mean; infinite for fewer than three estimates, which
    are left as they are.

    Empirical Bayes for ``estimate ~ N(θ, variance)``, ``θ ~ N(mean, τ²)``, τ² by maximum likelihood over a grid.

    >>> drawn, between = shrink_to_mean(np.array([1.0, 1.1, 0.9]), np.array([1.0, 1.0, 1.0]))
    >>> drawn.round(2).tolist(), between
    ([1.0, 1.0, 1.0], 0.0)
    """
    if len(estimates) < 3:
        return estimates, np.inf
    spread = np.var(estimates) + 1e-12
    best, between, best_fit = np.zeros(0), 0.0, -np.inf
    for tau2 in spread * np.r_[0.0, np.geomspace(1e-3, 2.0, 40)]:
        weight = 1.0 / (variances + tau2)
        mean = (weight * estimates).sum() / weight.sum()
        fit = float(np.log(weight).sum() - np.log(weight.sum()) - (weight * (estimates - mean) ** 2).sum())
        if fit > best_fit:
            keep = tau2 / (variances + tau2)
            best, between, best_fit = mean + keep * (estimates - mean), float(tau2), fit
    return best, between


def stack(parts: Floats, labels: Floats, offset: Floats, weights: Floats, *, free: int = 1) -> Floats:
    """Return a multiplier ≥ 0 for each part of an additive log-odds, learned on rows the parts were not fitted to.

    Logistic regression of `labels` (m,) on `parts` (m, k) and a constant beside `offset` (m,). The first `free` parts
    always enter. Another enters if it explains held-out labels beyond what noise would: its score statistic exceeds
    sqrt(2 ln k), the universal threshold (Donoho & Johnstone 1994). The weaker ones are judged once more as one sum,
    against twice that, because boosting stopped where this sum did best on these very rows. Multipliers of entering
    parts are at most 1, so a part is shrunk and never blown up. This is calibration that keeps additivity. The last
    entry of the result is the constant.
    """
    count = parts.shape[1]
    out = np.zeros(count + 1)
    always = np.arange(free)
    fit = _logistic(parts[:, always], labels, offset, weights)
    threshold = np.sqrt(2.0 * np.log(max(count, 2)))
    z = _score_statistics(parts[:, free:], parts[:, always], (labels, offset + _linear(parts[:, always], fit), weights))
    strong = free + np.flatnonzero(z > threshold)
    weak = np.setdiff1d(np.arange(free, count), strong)
    design = np.column_stack([parts[:, always], parts[:, strong], parts[:, weak].sum(axis=1)])
    fit = _logistic(design[:, :-1], labels, offset, weights)
    rest = _score_statistics(design[:, -1:], design[:, :-1], (labels, offset + _linear(design[:, :-1], fit), weights))
    if len(weak) and rest[0] > 2.0 * threshold:
        fit = _logistic(design, labels, offset, weights)
        out[weak] = min(fit[-2], 1.0)
    out[strong] = np.minimum(fit[free : free + len(strong)], 1.0)
    # What was cut to 1 leaves something to the parts that always enter and to the constant.
    fit = _logistic(parts[:, always], labels, offset + parts @ out[:-1], weights)
    out[always], out[-1] = fit[:-1], fit[-1]
    return out


def _linear(parts: Floats, fit: Floats) -> Floats:
    return np.asarray(parts @ fit[:-1] + fit[-1])


def _logistic(parts: Floats, labels: Floats, offset: Floats, weights: Floats) -> Floats:
    """Return non-negative multipliers of the parts and a constant, by projected Newton steps."""
    beta = np.zeros(parts.shape[1] + 1)
    design = np.column_stack([parts, np.ones(len(parts))])
    constant = np.arange(len(beta)) == len(beta) - 1
    varies = np.r_[np.ptp(parts, axis=0) > 0, True]
    for _ in range(_NEWTON_STEPS):
        p = sigmoid(offset + design @ beta)
        score = design.T @ (weights * (labels - p))
        use = np.flatnonzero(varies & ((beta > 0) | (score > 0) | constant))
        x = design[:, use]
        information = (x * (weights * p * (1.0 - p))[:, None]).T @ x
        ridge = 1e-9 * max(np.trace(information) / len(use), 1.0)
        step = np.linalg.solve(information + ridge * np.eye(len(use)), score[use])
        step = np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)  # where a part parts yes from no, no step is long enough
        fresh = beta.copy()
        fresh[use] += step
        fresh[:-1] = np.maximum(fresh[:-1], 0.0)
        done = float(np.abs(fresh - beta).max()) < 1e-8
        beta = fresh
        if done:
            break
    return beta


def _score_statistics(candidates: Floats, fitted: Floats, target: tuple[Floats, Floats, Floats]) -> Floats:
    """Return the signed score statistic (Rao 1948) of each candidate (m, k) beside `fitted` (m, j) and a constant."""
    labels, log_odds, weights = target
    p = sigmoid(log_odds)
    spread = weights * p * (1.0 - p)
    known = np.column_stack([fitted, np.ones(len(fitted))])
    inner = (known * spread[:, None]).T @ known
    cross = (known * spread[:, None]).T @ candidates
    variance = (candidates**2 * spread[:, None]).sum(axis=0) - (
        cross * np.linalg.lstsq(inner, cross, rcond=None)[0]
    ).sum(axis=0)
    score = candidates.T @ (weights * (labels - p))
    # Weighted rows stand for several: the statistic counts what was seen, not what it stands for.
    scale = np.sqrt(weights.mean())
    return np.asarray(np.where(variance > 1e-9, score / np.sqrt(np.maximum(variance, 1e-9)), 0.0) / scale)
