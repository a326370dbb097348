"""The policy's loops that run as machine code once kernels are ready; each has a numpy twin with the same result.

Plain loops over arrays, in the part of Python that numba knows. They see numbers only: what a rule or a reason is,
their callers know.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nextoffer.compiled import kernel

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@kernel("void(float32[:,::1], int8[:,::1], int16[:,::1], float32[:,::1])")
def front(key: Float32, rule: Int8, order: Int16, best: Float32) -> None:
    """Fill in the columns (n, k) of each row's k largest keys among those no rule stops, and the keys.

    Beyond them `order` is −1 and `best` NaN.

    Parameters
    ----------
    key
        float32 (n, P).
    rule
        int8 (n, P): negative where no rule stops the pair.
    """
    most = order.shape[1]
    for i in range(key.shape[0]):
        count = 0
        for j in range(key.shape[1]):
            x = key[i, j]
            if rule[i, j] >= 0 or (count == most and not x > best[i, most - 1]):
                continue
            at = min(count, most - 1)
            count = at + 1
            while at > 0 and x > best[i, at - 1]:
                order[i, at] = order[i, at - 1]
                best[i, at] = best[i, at - 1]
                at -= 1
            order[i, at] = j
            best[i, at] = x
        for at in range(count, most):
            order[i, at] = -1
            best[i, at] = np.nan


@kernel("int64(int8[:,::1], int16[:,:], int64[::1], int8, int8, int64[::1], int64[::1])")
def settle(  # noqa: PLR0913, PLR0917  a kernel takes plain arrays, by position
    rule: Int8, top: Int16, room: Int64, beyond: np.int8, capped: np.int8, rows: Int64, cols: Int64
) -> int:
    """Name the rule of every pair that the single-pair rules leave open, and list the offers; return how many.

    Parameters
    ----------
    rule
        int8 (n, P): −1 where open. Overwritten by `beyond` outside the top, by `capped` inside but without room.
    top
        int16 (n, k): open columns, best first, −1 beyond them.
    room
        int64 (n,): offers that may still be made.
    rows, cols
        Room for n × k offers.
    """
    found = 0
    for i in range(rule.shape[0]):
        for j in range(rule.shape[1]):
            if rule[i, j] < 0:
                rule[i, j] = beyond
        for place in range(top.shape[1]):
            j = top[i, place]
            if j < 0:
                break
            if place < room[i]:
                rule[i, j] = -1
                rows[found] = i
                cols[found] = j
                found += 1
            else:
                rule[i, j] = capped
    return found
