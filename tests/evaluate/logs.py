"""Logs of a policy that chooses partly by chance, where every action's true chance of acceptance is known."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nextoffer.evaluate.off_policy import Log, Modelled

Floats = npt.NDArray[np.float64]
SHARPNESS = (0.0, 0.6, 4.0)
"""How sharply the new policy prefers what is likely: evenly, somewhat, nearly always the best."""
ACTIONS, COLUMNS = 6, 4
_TASTE = np.random.default_rng(0).normal(size=(COLUMNS, ACTIONS))
_OLD = np.random.default_rng(1).normal(size=(COLUMNS, ACTIONS)) * 0.5


def _softmax(x: Floats) -> Floats:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _accepted(x: Floats, off: float = 0.0, flat: float = 0.6) -> Floats:
    return np.asarray(1 / (1 + np.exp(2.0 - off - flat * (x @ _TASTE))))


def _new(x: Floats, sharpness: float) -> Floats:
    return _softmax(sharpness * (x @ _TASTE))


def logged(seed: int, *, sharpness: float, decisions: int = 1000) -> tuple[Log, Modelled]:
    """Return a log with one decision per customer, and a reward model that is somewhat wrong."""
    draw = np.random.default_rng([seed, 99])
    x = draw.normal(size=(decisions, COLUMNS))
    old, new, rows = _softmax(x @ _OLD), _new(x, sharpness), np.arange(decisions)
    chosen = np.minimum((old.cumsum(axis=1) < draw.random((decisions, 1))).sum(axis=1), ACTIONS - 1)
    rewards = (draw.random(decisions) < _accepted(x)[rows, chosen]).astype(np.float64)
    model = Modelled.of(_accepted(x, off=0.3, flat=0.4), chosen, new)
    return Log(rewards, old[rows, chosen], new[rows, chosen], rows), model


@lru_cache
def true_value(sharpness: float) -> float:
    """Return the new policy's mean reward."""
    x = np.random.default_rng(2).normal(size=(200_000, COLUMNS))
    return float((_new(x, sharpness) * _accepted(x)).sum(axis=1).mean())
