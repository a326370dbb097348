"""Base learners of uplift: from columns to an expected outcome, by trees or by a line.

Both take plain arrays, work for answers of 0/1 and for amounts, and are fitted anew for each fold and arm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from scipy.special import expit

from nextoffer.tables.flow import Floats


class Base(Protocol):
    """Learns an expected outcome."""

    def fit(self, x: Floats, y: Floats, weights: Floats) -> Self:
        """Return it fitted to columns (m, F), outcomes (m,) and weights (m,)."""
        ...

    def predict(self, x: Floats) -> Floats:
        """Return the expected outcome, float64 (m,)."""
        ...


@dataclass(frozen=True)
class Trees:
    """LightGBM (Ke et al. 2017), small and slow to learn; `binary` for answers of 0/1, else squared error."""

    binary: bool
    rounds: int = 100
    leaves: int = 8
    learning_rate: float = 0.05
    min_leaf: int = 100
    seed: int = 7
    model_: Any = None

    def fit(self, x: Floats, y: Floats, weights: Floats) -> Self:
        """Return it fitted; columns may hold NaN."""
        import lightgbm

        settings = {
            "objective": "binary" if self.binary else "regression",
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": min(self.min_leaf, max(len(y) // 20, 1)),
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "seed": self.seed,
            "verbose": -1,
        }
        model = lightgbm.train(settings, lightgbm.Dataset(x, y, weight=weights), self.rounds)
        return type(self)(self.binary, self.rounds, self.leaves, self.learning_rate, self.min_leaf, self.seed, model)

    def predict(self, x: Floats) -> Floats:
        """Return the expected outcome, float64 (m,)."""
        return np.asarray(self.model_.predict(x, num_threads=1), dtype=np.float64)


@dataclass(frozen=True)
class Line:
    """An additive model: logistic regression for answers of 0/1, else least squares; standardised columns, ridge 1.

    NaN counts as the column's mean.
    """

    binary: bool
    ridge: float = 1.0
    mean_: Floats | None = None
    scale_: Floats | None = None
    coefficients_: Floats | None = None

    def fit(self, x: Floats, y: Floats, weights: Floats) -> Self:
        """Return it fitted."""
        known = np.isfinite(x)
        mean = np.where(known, x, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        spread = np.sqrt(np.where(known, (x - mean) ** 2, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
        scale = np.where(spread > 0, spread, 1.0)
        design = _design(x, mean, scale)
        penalty = np.diag(np.r_[0.0, np.full(x.shape[1], self.ridge)])
        solve = _logistic if self.binary else _least_squares
        return type(self)(self.binary, self.ridge, mean, scale, solve(design, y, weights, penalty))

    def predict(self, x: Floats) -> Floats:
        """Return the expected outcome, float64 (m,)."""
        assert self.mean_ is not None
        assert self.scale_ is not None
        assert self.coefficients_ is not None
        eta = _design(x, self.mean_, self.scale_) @ self.coefficients_
        return np.asarray(expit(eta) if self.binary else eta)


def _design(x: Floats, mean: Floats, scale: Floats) -> Floats:
    return np.column_stack([np.ones(len(x)), np.where(np.isfinite(x), (x - mean) / scale, 0.0)])


def _least_squares(x: Floats, y: Floats, w: Floats, penalty: Floats) -> Floats:
    return np.asarray(np.linalg.lstsq((x * w[:, None]).T @ x + penalty, x.T @ (w * y), rcond=None)[0])


def _logistic(x: Floats, y: Floats, w: Floats, penalty: Floats) -> Floats:
    rate = np.clip(np.average(y, weights=w), 1e-6, 1 - 1e-6)
    out = np.zeros(x.shape[1])
    out[0] = np.log(rate / (1 - rate))
    for _ in range(30):
        p = expit(x @ out)
        curvature = (x * (w * np.maximum(p * (1 - p), 1e-9))[:, None]).T @ x + penalty
        step = np.linalg.lstsq(curvature, x.T @ (w * (y - p)) - penalty @ out, rcond=None)[0]
        out = out + step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-8:
            break
    return out


BASES: Mapping[str, Callable[[bool], Base]] = {
    "trees": Trees,
    "line": Line,
}
"""By name; each is told whether outcomes are 0/1."""
