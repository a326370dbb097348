"""Keyed draws of the shapes the worlds need: whole numbers, categories, positions within groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.keyed import Ids, uniform

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]


def whole(seed: int, purpose: str, ids: Ids, *, low: int, high: int) -> Whole:
    """Return one whole number in low..high, both included, per id.

    >>> draws = whole(7, "die", range(600), low=1, high=6)
    >>> int(draws.min()), int(draws.max())
    (1, 6)
    """
    return low + (uniform(seed, purpose, ids) * (high - low + 1)).astype(np.int64)


def category(seed: int, purpose: str, ids: Ids, shares: Sequence[float] | Floats) -> Whole:
    """Return one index into `shares` per id, drawn with those probabilities.

    `shares` has shape (k,), the same for all, or (n, k), one row per id; rows need not sum to one.

    >>> draws = category(7, "coin", range(10_000), [0.9, 0.1])
    >>> bool(0.08 < draws.mean() < 0.12)
    True
    """
    cumulative = np.cumsum(np.asarray(shares, dtype=np.float64), axis=-1)
    u = uniform(seed, purpose, ids) * cumulative[..., -1]
    if cumulative.ndim == 1:
        return np.searchsorted(cumulative[:-1], u, side="right").astype(np.int64)
    return np.asarray((u[:, None] >= cumulative[:, :-1]).sum(axis=1), dtype=np.int64)


def named(indices: Whole, names: Sequence[str]) -> pa.Array:
    """Return the name of each index, as text.

    >>> named(np.array([1, 0, 1]), ("no", "yes")).to_pylist()
    ['yes', 'no', 'yes']
    """
    return pa.array(names, type=pa.string()).take(pa.array(indices))


def within(groups: Whole) -> Whole:
    """Return the position 0, 1, 2 … of each row inside its group, for counts of rows per group.

    >>> within(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    total = int(groups.sum())
    starts = np.cumsum(groups) - groups
    return np.arange(total, dtype=np.int64) - np.repeat(starts, groups)


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)), exact for large |x| too."""
    from scipy.special import expit

    return np.asarray(expit(x), dtype=np.float64)
