"""The protocol every ranker obeys."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from nextoffer.models.products import Products
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable, Floats, Scores


class Ranker(Protocol):
    """Learns from a `Training` and scores customers × products.

    Constructors only remember; `fit` learns and returns a fitted ranker; `score` writes nothing.
    """

    @property
    def name(self) -> str:
        """What the ranker is called in reports and artefacts."""
        ...

    @property
    def reads(self) -> frozenset[str]:
        """The customers' columns that the fitted ranker scores by; of a table restricted to them it says the same.

        Raises `ModelError` before `fit`.
        """
        ...

    def reads_of_pair(self, name: str) -> frozenset[str]:
        """Return the customers' columns that `Scores.pair_values` computes the pair feature `name` from."""
        ...

    def fit(self, training: Training) -> Self:
        """Learn. Raises `ModelError` where there is nothing to learn from."""
        ...

    def score(self, features: FeatureTable, products: Products) -> Scores:
        """Return calibrated log-odds (n, P) with their exact parts. A product never seen borrows from its type."""
        ...

    def save(self, folder: Path) -> None:
        """Write plain arrays and JSON into an existing folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return what `save` wrote."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return what was chosen and learned, in plain values."""
        ...


def sigmoid(log_odds: npt.NDArray[Any]) -> Floats:
    """Return probabilities, float64, without overflow.

    >>> sigmoid(np.array([0.0, 800.0])).tolist()
    [0.5, 1.0]
    """
    x = np.clip(np.asarray(log_odds, dtype=np.float64), -700.0, 700.0)
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def log_likelihood(log_odds: Floats, labels: Floats, weights: Floats) -> float:
    """Return the weighted Bernoulli log-likelihood of `labels` (m,)."""
    return float((weights * (labels * log_odds - np.logaddexp(0.0, log_odds))).sum())
