"""Tables one below the other, so that one loop looks them all up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Stacked:
    """F tables one below the other: feature f's begins at row ``starts[f]`` of `rows` (all bins, P)."""

    starts: npt.NDArray[np.int64]
    rows: Table

    @classmethod
    def of(cls, tables: Sequence[Table], products: int) -> Stacked:
        """Return tables (bins, P) stacked."""
        sizes = np.array([len(t) for t in tables], dtype=np.int64)
        rows = np.concatenate([np.zeros((0, products), dtype=np.float32), *tables], dtype=np.float32)
        return cls(np.cumsum(sizes) - sizes, np.ascontiguousarray(rows))
