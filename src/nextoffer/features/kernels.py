"""Adding rows into one column per aggregate, as machine code.

`out` holds the columns one after the other. A row changes the cell at ``start[code] + place``: the column that its
category's aggregate has, at the place of its customer. Categories that nobody asks about start at one column more, at
the end. Sums of flags and of money are sums of whole numbers, so they do not depend on the order of additions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nextoffer.compiled import kernel

NOT_KNOWN = np.iinfo(np.int32).min
"""Stands for null among whole numbers; among others NaN does."""

Values = npt.NDArray[Any]
Places = npt.NDArray[np.uint32]
Days = npt.NDArray[np.int32]
Codes = npt.NDArray[np.uint16]
Starts = npt.NDArray[np.uint64]
Columns = npt.NDArray[np.float64]

_READ = "Array({}, 1, 'C', readonly=True)"
_PLACE, _DAYS, _CODE, _START = (_READ.format(t) for t in ("uint32", "int32", "uint16", "uint64"))
_FLAGS, _WHOLES, _REALS = (_READ.format(t) for t in ("uint8", "int32", "float64"))
_OUT = "float64[::1]"
_EXTREME = f"void({_PLACE}, {{}}, {_CODE}, {_START}, {_OUT})"


@kernel(*(f"void({_PLACE}, {value}, {_OUT})" for value in (_FLAGS, _REALS)))
def total(place: Places, value: Values, out: Columns) -> None:
    """Add `value` of all rows; rows of one customer, which mostly follow each other, in a register."""
    if len(place) == 0:
        return
    last = place[0]
    so_far = out[last]
    for i in range(len(place)):
        if place[i] != last:
            out[last] = so_far
            last = place[i]
            so_far = out[last]
        so_far += value[i]
    out[last] = so_far


@kernel(*(f"void({_PLACE}, {value}, {_CODE}, {_START}, {_OUT})" for value in (_FLAGS, _REALS)))
def tally(place: Places, value: Values, code: Codes, start: Starts, out: Columns) -> None:
    """Add `value` of each row to the column of its category."""
    for i in range(len(place)):
        out[start[code[i]] + place[i]] += value[i]


@kernel(f"void({_DAYS}, {_DAYS}, uint16[::1])")
def ages(days: Days, limits: Days, out: Codes) -> None:
    """Write how many of the rising `limits` each row is older than."""
    for i in range(len(days)):
        older = np.uint16(0)
        for k in range(len(limits)):
            older += np.uint16(days[i] > limits[k])
        out[i] = older


@kernel(_EXTREME.format(_WHOLES), _EXTREME.format(_REALS))
def lowest(place: Places, value: Values, code: Codes, start: Starts, out: Columns) -> None:
    """Keep the least `value` that is known of each category."""
    for i in range(len(place)):
        if value[i] != NOT_KNOWN:
            cell = start[code[i]] + place[i]
            out[cell] = min(out[cell], value[i])


@kernel(_EXTREME.format(_WHOLES), _EXTREME.format(_REALS))
def highest(place: Places, value: Values, code: Codes, start: Starts, out: Columns) -> None:
    """Keep the greatest `value` that is known of each category."""
    for i in range(len(place)):
        if value[i] != NOT_KNOWN:
            cell = start[code[i]] + place[i]
            out[cell] = max(out[cell], value[i])
