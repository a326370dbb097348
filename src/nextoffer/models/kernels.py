"""Loops over customers and pairs as machine code; each has a numpy twin beside its caller, equal to the last bit.

Bins are uint8, tables float32, and what is added up is added in the order of the features. Callers ask
`nextoffer.compiled.ready` first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nextoffer.compiled import kernel

Bins = npt.NDArray[np.uint8]
Bits = npt.NDArray[np.uint8]
Table = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

DEEPEST = 255
"""A feature with more bins than this has its codes in uint16 and takes the numpy path."""

# Inputs may lie in Arrow's memory, which is not to be written to; a plain array fits there too.
_FLOATS = "Array(float64, 1, 'C', True)"
_BITS = "Array(uint8, 1, 'C', True)"
_CODES = "Array(uint8, 2, 'A', True)"
_TABLE = "Array(float32, 2, 'C', True)"
_PLACES = "Array(int64, 1, 'C', True)"
_CROSSES = f"{_PLACES}, {_PLACES}, {_PLACES}, {_PLACES}, {_BITS}, {_TABLE}"


def padded(cuts: tuple[float, ...]) -> Floats:
    """Return cuts filled up with NaN, which no value reaches, to 7, 15, 31, …: a full tree to search."""
    size = 8
    while size <= len(cuts):
        size *= 2
    out = np.full(size - 1, np.nan)
    out[: len(cuts)] = cuts
    return out


@kernel(f"void({_FLOATS}, {_BITS}, int64, {_FLOATS}, uint8[:])")
def bin_numbers(values: Floats, valid: Bits, first: int, cuts: Floats, out: Any) -> None:
    """Write the bin of each value to `out`; 0 for NaN and where bit ``first + i`` of `valid` is not set.

    `cuts` as of `padded`; an empty `valid` means that all are. Each step down the tree adds instead of branching: a
    processor cannot guess which way a value goes.
    """
    size = cuts.size
    for i in range(values.size):
        if valid.size:
            at = first + i
            if not (valid[at >> 3] >> (at & 7)) & 1:
                out[i] = 0
                continue
        value = values[i]
        place = 0
        if size > 63:
            half = (size + 1) // 2
            while half > 32:
                place += half * (cuts[place + half - 1] <= value)
                half //= 2
        if size > 31:
            place += 32 * (cuts[place + 31] <= value)
        if size > 15:
            place += 16 * (cuts[place + 15] <= value)
        if size > 7:
            place += 8 * (cuts[place + 7] <= value)
        place += 4 * (cuts[place + 3] <= value)
        place += 2 * (cuts[place + 1] <= value)
        place += 1 * (cuts[place] <= value)
        out[i] = (place + 1) * (value == value)  # noqa: PLR0124  false for NaN alone


@kernel(f"void(Array(float64, 2, 'C', True), {_PLACES}, {_FLOATS}, uint8[:, ::1])")
def bin_rows(values: Floats, starts: Counts, cuts: Floats, out: Any) -> None:
    """Write the bin of each value (F, n) to `out`; 0 for NaN. Line f is cut at ``cuts[starts[f] : starts[f + 1]]``."""
    for f in range(values.shape[0]):
        for i in range(values.shape[1]):
            value = values[f, i]
            low, high = starts[f], starts[f + 1]
            while low < high:
                middle = (low + high) // 2
                if cuts[middle] <= value:
                    low = middle + 1
                else:
                    high = middle
            out[f, i] = (low - starts[f] + 1) * (value == value)  # noqa: PLR0124  false for NaN alone


@kernel(f"void({_BITS}, {_BITS}, int64, uint8, uint8, uint8[:])")
def bin_flags(bits: Bits, valid: Bits, first: int, no: int, yes: int, out: Any) -> None:
    """Write `yes` or `no` for each bit from `first` on, 0 where it is not valid."""
    for i in range(out.size):
        at = first + i
        flag = (bits[at >> 3] >> (at & 7)) & 1
        known = (valid[at >> 3] >> (at & 7)) & 1 if valid.size else 1
        out[i] = (yes * flag + no * (1 - flag)) * known


@kernel(f"int64({_CODES}, int64[::1], int64[::1])")
def tell_apart(flags: Any, firsts: Any, which: Any) -> int:
    """Number the different rows of 0/1 `flags` (n, at most 63) as they come up; return how many there are.

    `which` (n,) gets the number of each row, `firsts` the row where each number came up first.
    """
    count, width = flags.shape
    size = 16
    while size < 2 * count:
        size *= 2
    keys = np.full(size, -1, dtype=np.int64)
    numbers = np.zeros(size, dtype=np.int64)
    found = 0
    for i in range(count):
        key = np.int64(0)
        for k in range(width):
            key |= np.int64(flags[i, k]) << k
        slot = ((key ^ (key >> 29)) * 0x9E3779B97F4A7C1 >> 20) & (size - 1)
        while keys[slot] not in {-1, key}:
            slot = (slot + 1) & (size - 1)
        if keys[slot] == -1:
            keys[slot] = key
            numbers[slot] = found
            firsts[found] = i
            found += 1
        which[i] = numbers[slot]
    return found


@kernel(
    f"void({_CODES}, Array(float64, 2, 'C', True), float64[:, ::1])",
    "void(Array(float64, 2, 'A', True), Array(float64, 2, 'C', True), float64[:, ::1])",
)
def sum_up(amounts: Any, weights: Any, out: Any) -> None:
    """Write ``amounts @ weights`` to `out`, added in the order of the inner axis."""
    count, inner = amounts.shape
    products = weights.shape[1]
    for i in range(count):
        for j in range(products):
            out[i, j] = 0.0
        for k in range(inner):
            amount = amounts[i, k]
            if amount != 0:  # 0 times a weight would add 0
                for j in range(products):
                    out[i, j] += amount * weights[k, j]


@kernel(f"void({_CODES}, {_PLACES}, {_TABLE}, float32[:, ::1])")
def add_tables(codes: Any, starts: Counts, tables: Table, out: Any) -> None:
    """Add to each customer's row of `out` (n, P) the row ``starts[f] + codes[f, i]`` of `tables`, f in order.

    A few customers at a time: their sums and the eight tables at hand stay next to the processor.
    """
    features, count = codes.shape
    products = out.shape[1]
    for first in range(0, count, 32):
        stop = min(count, first + 32)
        f = 0
        while f + 8 <= features:
            for i in range(first, stop):
                a = starts[f] + codes[f, i]
                b = starts[f + 1] + codes[f + 1, i]
                c = starts[f + 2] + codes[f + 2, i]
                d = starts[f + 3] + codes[f + 3, i]
                e = starts[f + 4] + codes[f + 4, i]
                g = starts[f + 5] + codes[f + 5, i]
                h = starts[f + 6] + codes[f + 6, i]
                k = starts[f + 7] + codes[f + 7, i]
                for j in range(products):
                    half = (((out[i, j] + tables[a, j]) + tables[b, j]) + tables[c, j]) + tables[d, j]
                    out[i, j] = (((half + tables[e, j]) + tables[g, j]) + tables[h, j]) + tables[k, j]
            f += 8
        while f < features:
            for i in range(first, stop):
                a = starts[f] + codes[f, i]
                for j in range(products):
                    out[i, j] += tables[a, j]
            f += 1


@kernel(f"void({_CODES}, {_TABLE}, float32[:, ::1])")
def add_pairs(codes: Any, table: Table, out: Any) -> None:
    """Add to each pair of `out` (n, P) its entry of a pair feature's table; `codes` (n, P)."""
    count, products = out.shape
    for i in range(count):
        for j in range(products):
            out[i, j] += table[codes[i, j], j]


@kernel(f"void({_CODES}, {_CROSSES}, float32[:, ::1])")
def add_crosses(  # noqa: PLR0913, PLR0917  as `Crossed` holds them
    codes: Any,
    first: Counts,
    second: Counts,
    starts: Counts,
    widths: Counts,
    filled: Bits,
    tables: Table,
    out: Any,
) -> None:
    """Add to each customer's row of `out` the cell in which its two bins meet, where it is not 0 for all products."""
    count, products = out.shape
    for low in range(0, count, 64):
        high = min(count, low + 64)
        for c in range(first.size):
            a, b, start, width = first[c], second[c], starts[c], widths[c]
            for i in range(low, high):
                cell = start + codes[a, i] * width + codes[b, i]
                if filled[cell]:
                    for j in range(products):
                        out[i, j] += tables[cell, j]


@kernel(f"void({_CODES}, {_PLACES}, {_TABLE}, {_PLACES}, {_PLACES}, float32[:, ::1])")
def table_parts(codes: Any, starts: Counts, tables: Table, rows: Counts, cols: Counts, out: Any) -> None:
    """Write to `out` (F, m) each feature's table entry for the m pairs, some hundred pairs at a time."""
    flat = tables.ravel()
    products = tables.shape[1]
    row = np.empty(512, dtype=np.int32)
    col = np.empty(512, dtype=np.int32)
    for low in range(0, rows.size, 512):
        count = min(rows.size - low, 512)
        for k in range(count):
            row[k] = rows[low + k]
            col[k] = cols[low + k]
        for f in range(codes.shape[0]):
            start = starts[f] * products
            code = codes[f]
            for k in range(count):
                out[f, low + k] = flat[start + code[np.uint32(row[k])] * products + col[k]]


@kernel(f"void({_CODES}, {_TABLE}, {_PLACES}, {_PLACES}, float32[::1])")
def pair_parts(codes: Any, table: Table, rows: Counts, cols: Counts, out: Any) -> None:
    """Write to `out` (m,) a pair feature's table entry for the m pairs; `codes` (n, P)."""
    for k in range(rows.size):
        out[k] = table[codes[rows[k], cols[k]], cols[k]]


@kernel(f"void({_CODES}, {_CROSSES}, {_PLACES}, {_PLACES}, float32[:, ::1])")
def cross_parts(  # noqa: PLR0913, PLR0917  as `Crossed` holds them
    codes: Any,
    first: Counts,
    second: Counts,
    starts: Counts,
    widths: Counts,
    filled: Bits,
    tables: Table,
    rows: Counts,
    cols: Counts,
    out: Any,
) -> None:
    """Add half of each cell met to either feature's line of `out` (F, m)."""
    for c in range(first.size):
        a, b, start, width = first[c], second[c], starts[c], widths[c]
        for k in range(rows.size):
            cell = start + codes[a, rows[k]] * width + codes[b, rows[k]]
            if filled[cell]:
                half = tables[cell, cols[k]] * np.float32(0.5)
                out[a, k] += half
                out[b, k] += half
