"""A reward model of logged decisions: what each action would have earned, cross-fitted by customer."""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from nextoffer.keyed import Ids, uniform
from nextoffer.models.uplift_base import BASES, Line
from nextoffer.tables.flow import Floats, Indices

_FEWEST = 25.0
"""An action's own mean counts as much as that of all once it was chosen so often."""


def cross_fitted_rewards(  # noqa: PLR0913  a log, and how to learn from it
    x: Floats, chosen: Indices, rewards: Floats, customers: Ids, *, actions: int, base: str = "trees", folds: int = 4
) -> Floats:
    """Return the expected reward of every action, float64 (m, actions), learned from the other folds of customers.

    Parameters
    ----------
    x
        float64 (m, F): what was known at the decision; F may be 0, then only the actions tell.
    chosen, rewards, customers
        (m,): action from 0 on; its reward; whose decision it was.

    The base sees the columns and each action's mean reward, drawn towards the mean of all where it was seldom chosen.
    """
    fold = (uniform(7, "reward fold", customers) * folds).astype(np.intp)
    binary = bool(np.isin(rewards, (0.0, 1.0)).all())
    out = np.empty((len(rewards), actions))
    for f in range(folds):
        inside, others = fold == f, fold != f
        if not inside.any():
            continue
        means = _means(chosen[others], rewards[others], actions)
        if not x.shape[1]:
            out[inside] = means
            continue
        learned = np.column_stack([x[others], means[chosen[others]]])
        model = BASES[base](binary).fit(learned, rewards[others], np.ones(int(others.sum())))
        for action in range(actions):
            out[inside, action] = model.predict(np.column_stack([x[inside], np.full(int(inside.sum()), means[action])]))
    return out


def recalibrated(propensity: Floats, chosen: Indices, rewards: Floats, customers: Ids, *, folds: int = 4) -> Floats:
    """Return propensities (m, A) moved and stretched on the log-odds scale to fit a log, cross-fitted by customer."""
    fold = (uniform(7, "reward fold", customers) * folds).astype(np.intp)
    odds = logit(np.clip(propensity, 1e-6, 1 - 1e-6))
    out = np.array(propensity, dtype=np.float64)
    for f in range(folds):
        inside, others = fold == f, np.flatnonzero(fold != f)
        if not inside.any() or not 0 < rewards[others].sum() < len(others):
            continue
        line = Line(binary=True).fit(odds[others, chosen[others]][:, None], rewards[others], np.ones(len(others)))
        out[inside] = line.predict(odds[inside].reshape(-1, 1)).reshape(-1, odds.shape[1])
    return out


def _means(chosen: Indices, rewards: Floats, actions: int) -> Floats:
    total = float(rewards.mean()) if len(rewards) else 0.0
    count = np.bincount(chosen, minlength=actions)
    return np.asarray((np.bincount(chosen, rewards, actions) + _FEWEST * total) / (count + _FEWEST))
