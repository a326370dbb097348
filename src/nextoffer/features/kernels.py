"""Adding rows into one column per aggregate, as machine code.

Every kernel takes one batch of rows and does one thing: each row changes one cell of `out`, at the slot that the row's
category has and the place that its customer has. Slots that nobody asks about are one slot more, at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nextoffer.compiled import kernel

NOT_KNOWN = np.iinfo(np.int32).min
"""Stands for null among whole numbers; among others NaN does."""

Values = npt.NDArray[Any]
Wholes = npt.NDArray[np.int32]
Codes = npt.NDArray[np.uint16]
Columns = npt.NDArray[np.float64]

_READ = "Array({}, 1, 'C', readonly=True)"
_ROWS = f"{_READ.format('int32')}, {{}}, {_READ.format('int32')}, int64, {_READ.format('uint16')}"
_TAKES = f"void({_ROWS}, int32[::1], float64[:, ::1])"
_OF_FLAGS, _OF_WHOLES, _OF_REALS = (_TAKES.format(_READ.format(t)) for t in ("uint8", "int32", "float64"))


@kernel(_OF_FLAGS, _OF_REALS)
def add(place: Wholes, value: Values, days: Wholes, limit: int, code: Codes, slots: Wholes, out: Columns) -> None:
    """Add `value` of the rows that are at most `limit` days old."""
    for i in range(len(place)):
        out[slots[code[i]], place[i]] += value[i] if days[i] <= limit else 0.0


@kernel(_OF_WHOLES, _OF_REALS)
def lowest(place: Wholes, value: Values, days: Wholes, limit: int, code: Codes, slots: Wholes, out: Columns) -> None:
    """Keep the least `value` that is known, of the rows that are at most `limit` days old."""
    for i in range(len(place)):
        if days[i] <= limit and value[i] != NOT_KNOWN:
            slot = slots[code[i]]
            if value[i] < out[slot, place[i]]:
                out[slot, place[i]] = value[i]


@kernel(_OF_WHOLES, _OF_REALS)
def highest(place: Wholes, value: Values, days: Wholes, limit: int, code: Codes, slots: Wholes, out: Columns) -> None:
    """Keep the greatest `value` that is known, of the rows that are at most `limit` days old."""
    for i in range(len(place)):
        if days[i] <= limit and value[i] != NOT_KNOWN:
            slot = slots[code[i]]
            if value[i] > out[slot, place[i]]:
                out[slot, place[i]] = value[i]
