"""Randomness that depends on what is decided, never on the order in which it is drawn.

``uniform(seed, purpose, customers, products)`` mixes its four inputs into one number per pair, so sampling, ties and
A/B arms are the same for any row order, chunk size or cluster. The mixer is the SplitMix64 finaliser
(Steele, Lea & Flood 2014); text ids are hashed with 64-bit FNV-1a first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_FEW = 4  # texts: for these, whole numbers are faster than arrays

Ids: TypeAlias = npt.NDArray[np.generic] | Sequence[int] | Sequence[str] | pa.Array | pa.ChunkedArray


def uniform(seed: int, purpose: str, customers: Ids, products: Ids | None = None) -> npt.NDArray[np.float64]:
    """Return one uniform number in [0, 1) per customer, or per customer and product.

    Parameters
    ----------
    seed, purpose
        Different purposes give independent numbers for the same ids.
    customers
        n ids, whole numbers or text.
    products
        P ids, or nothing.

    Returns
    -------
    float64 of shape (n,), or (n, P) when `products` is given.

    >>> a = uniform(7, "tie", [1, 2, 3], ["x", "y"])
    >>> b = uniform(7, "tie", [3, 1], ["y"])
    >>> bool(a[0, 1] == b[1, 0]) and bool(a[2, 1] == b[0, 0])
    True
    """
    with np.errstate(over="ignore"):
        keys = _mix(hash64(customers) ^ _salt(seed, purpose))
        if products is not None:
            keys = _mix(keys[:, None] + hash64(products)[None, :] * _GOLDEN)
    return np.asarray((keys >> np.uint64(11)).astype(np.float64) * 2.0**-53)


@lru_cache(maxsize=256)
def _salt(seed: int, purpose: str) -> np.uint64:
    with np.errstate(over="ignore"):
        return np.uint64(_mix(_text_hash(pa.array([purpose]))[0] ^ _mix(np.uint64(seed % 2**64))))


def normal(seed: int, purpose: str, customers: Ids, products: Ids | None = None) -> npt.NDArray[np.float64]:
    """Return one standard normal number per customer, or per customer and product (shapes as `uniform`)."""
    from scipy.special import ndtri

    half_step = 2.0**-54  # keeps the quantile finite at 0
    return np.asarray(ndtri(uniform(seed, purpose, customers, products) + half_step))


def hash64(ids: Ids) -> npt.NDArray[np.uint64]:
    """Return a 64-bit key for each id; whole numbers keep their value, text is hashed.

    Keys may be given wherever ids are: the key of a key is itself.
    """
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    if isinstance(ids, pa.Array):
        if pa.types.is_string(ids.type) and not ids.null_count:
            return _text_hash(ids)
        ids = ids.to_numpy(zero_copy_only=False)
    values = np.asarray(ids)
    if values.dtype.kind in "iub":
        return values.astype(np.int64).view(np.uint64)
    return _text_hash(pa.array([str(v) for v in values], type=pa.string()))


def _text_hash(texts: pa.StringArray) -> npt.NDArray[np.uint64]:
    """64-bit FNV-1a of each text, one byte position of all texts at a time; there are no nulls."""
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    letters = np.frombuffer(data or b"", dtype=np.uint8)
    if len(texts) <= _FEW:
        return np.array([_fnv(letters[a:b].tolist()) for a, b in pairwise(starts.tolist())], dtype=np.uint64)
    lengths = np.diff(starts)
    out = np.full(len(texts), _FNV_OFFSET, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for position in range(int(lengths.max(initial=0))):
            longer = np.flatnonzero(lengths > position)
            out[longer] = (out[longer] ^ letters[starts[longer] + position]) * _FNV_PRIME
    return out


def _fnv(letters: list[int]) -> int:
    key = int(_FNV_OFFSET)
    for letter in letters:
        key = (key ^ letter) * int(_FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return key


def _mix(x: npt.NDArray[np.uint64] | np.uint64) -> npt.NDArray[np.uint64]:
    z = np.asarray(x, dtype=np.uint64) + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
