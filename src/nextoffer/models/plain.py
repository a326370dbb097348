"""Scores of models without parts: one feature stands for the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nextoffer.tables.flow import Floats, Indices


@dataclass(frozen=True)
class PlainScores:
    """Obeys `nextoffer.tables.flow.Scores` with a single feature, `name`, that carries all of the log-odds."""

    log_odds: npt.NDArray[np.float32]
    name: str
    values: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def features(self) -> tuple[str, ...]:
        """The one feature."""
        return (self.name,)

    @property
    def intercept(self) -> npt.NDArray[np.float32]:
        """Zero for every product."""
        return np.zeros(self.log_odds.shape[1], dtype=np.float32)

    @property
    def average(self) -> npt.NDArray[np.float32]:
        """float32 (P, 1): zero, as no customers are remembered."""
        return np.zeros((self.log_odds.shape[1], 1), dtype=np.float32)

    @property
    def uncertainty(self) -> None:
        """Not stated."""
        return None

    @property
    def unseen(self) -> None:
        """Not stated."""
        return None

    def contributions(self, rows: Indices, cols: Indices) -> npt.NDArray[np.float32]:
        """Return float32 (m, 1): the whole log-odds."""
        return self.log_odds[rows, cols][:, None]

    def pair_values(self, rows: Indices, cols: Indices) -> dict[str, Floats]:
        """Return the pair features that were kept."""
        return {name: np.asarray(v[rows, cols]) for name, v in self.values.items()}
