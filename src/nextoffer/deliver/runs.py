"""Runs of equal values in a sorted column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def first_of_each(values: pa.ChunkedArray) -> pa.Array:
    """Return bool (n,): the values that differ from the one before.

    >>> first_of_each(pa.chunked_array([["a", "a"], ["b"]])).to_pylist()
    [True, False, True]
    """
    if not len(values):
        return pa.array([], pa.bool_())
    whole = pa.concat_arrays(values.chunks)
    changes = pc.not_equal(whole[1:], whole[:-1]).to_numpy(zero_copy_only=False)
    return pa.array(np.concatenate([[True], changes.astype(np.bool_)]))
