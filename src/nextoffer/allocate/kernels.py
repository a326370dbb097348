"""Loops over customers and offers as machine code; each has a numpy twin beside its caller, equal to the last bit."""

# ruff: noqa: C901, PLR0912, PLR0913, PLR0917 - a kernel is one loop, and takes every array by itself

from __future__ import annotations

from typing import Any

from nextoffer.compiled import kernel

_F, _P = "Array(float64, 1, 'C', True)", "Array(int64, 1, 'C', True)"
_S = "Array(int32, 1, 'C', True)"  # what scipy's sparse matrices count in
HALVINGS = 50
"""Steps to find a customer's level where several offers are allowed."""


@kernel(f"void({_F}, {_S}, {_S}, {_F}, {_F}, int64, int64, float64[::1])")
def gains(value: Any, indptr: Any, indices: Any, data: Any, prices: Any, first: int, last: int, out: Any) -> None:
    """Write to `out` (n,), from option `first` to `last`, the value beyond the price of what an option uses."""
    for i in range(first, last):
        total = 0.0
        for e in range(indptr[i], indptr[i + 1]):
            total += data[e] * prices[indices[e]]
        out[i] = value[i] - total


@kernel(f"float64({_F}, {_F}, {_S}, {_S}, {_F}, float64, int64, int64, float64, float64[::1])")
def add_up(
    value: Any,
    x: Any,
    indptr: Any,
    indices: Any,
    data: Any,
    blur: float,
    first: int,
    last: int,
    worth: float,
    used: Any,
) -> float:
    """Add what the options from `first` to `last` use, each `x` times, to `used` (M,); return `worth` and theirs."""
    for i in range(first, last):
        if x[i] > 0.0:
            worth += value[i] * x[i] - 0.5 * blur * x[i] * x[i]
            for e in range(indptr[i], indptr[i + 1]):
                used[indices[e]] += data[e] * x[i]
    return worth


@kernel(f"void(Array(boolean, 1, 'C', True), {_S}, {_S}, {_F}, float64[::1])")
def use_of(taken: Any, indptr: Any, indices: Any, data: Any, used: Any) -> None:
    """Add what the options `taken` use to `used` (M,)."""
    for i in range(taken.size):
        if taken[i]:
            for e in range(indptr[i], indptr[i + 1]):
                used[indices[e]] += data[e]


@kernel(f"void({_F}, {_P}, int64, float64, float64[::1])")
def respond(gain: Any, start: Any, most: int, blur: float, out: Any) -> None:
    """Write to `out` (n,) the x of each customer that maximises ``gain·x − blur/2 |x|²``; 0 ≤ x ≤ 1, Σx ≤ most.

    `out` may be `gain`.
    """
    for c in range(start.size - 1):
        a, b = start[c], start[c + 1]
        total = 0.0
        high = 0.0
        for i in range(a, b):
            if gain[i] > 0.0:
                total += min(gain[i] / blur, 1.0)
                high = max(high, gain[i])
        level = 0.0
        if total > most and most == 1:  # Michelot (1986): drop what falls below the level until nothing does
            before = -1
            count = 0
            while count != before:
                before = count
                count = 0
                total = 0.0
                for i in range(a, b):
                    if gain[i] > level:
                        count += 1
                        total += gain[i]
                if count:
                    level = max((total - blur) / count, 0.0)
        elif total > most:
            low = 0.0
            level = high
            for _ in range(HALVINGS):
                middle = 0.5 * (low + level)
                total = 0.0
                for i in range(a, b):
                    total += min(max((gain[i] - middle) / blur, 0.0), 1.0)
                if total > most:
                    low = middle
                else:
                    level = middle
        for i in range(a, b):
            out[i] = min((gain[i] - level) / blur, 1.0) if gain[i] > level else 0.0


@kernel(f"void({_F}, {_P}, int64, {_S}, {_S}, {_F}, float64[:, ::1])")
def bend(x: Any, start: Any, most: int, indptr: Any, indices: Any, data: Any, out: Any) -> None:
    """Add to `out` (M, M) the curvature of the customers' blurred answer `x` (n,), times the blur."""
    for c in range(start.size - 1):
        total = 0.0
        count = 0
        for i in range(start[c], start[c + 1]):
            total += x[i]
            if 0.0 < x[i] < 1.0:
                count += 1
        shared = 1.0 / count if count and total > most - 1e-9 else 0.0
        if count == 0 or shared == 1.0:
            continue
        for i in range(start[c], start[c + 1]):
            if 0.0 < x[i] < 1.0:
                for o in range(start[c], start[c + 1]):
                    if (o == i or shared > 0.0) and 0.0 < x[o] < 1.0:
                        weight = (1.0 if o == i else 0.0) - shared
                        for e in range(indptr[i], indptr[i + 1]):
                            for f in range(indptr[o], indptr[o + 1]):
                                out[indices[e], indices[f]] += data[e] * data[f] * weight


@kernel(f"void({_F}, {_P}, {_P}, int64, boolean[::1])")
def choose(gain: Any, start: Any, offer: Any, most: int, out: Any) -> None:
    """Set in `out` (n,) each customer's `most` greatest gains above 0, one option an offer, the first among equals."""
    for c in range(start.size - 1):
        for _ in range(most):
            best = -1
            for i in range(start[c], start[c + 1]):
                if gain[i] > 0.0 and not out[i] and (best < 0 or gain[i] > gain[best]):
                    free = True
                    for o in range(start[c], start[c + 1]):
                        if out[o] and offer[o] == offer[i]:
                            free = False
                    if free:
                        best = i
            if best < 0:
                break
            out[best] = True


@kernel(f"void({_P}, {_S}, {_S}, {_F}, {_F}, float64[::1], boolean[::1])")
def drop(order: Any, indptr: Any, indices: Any, data: Any, capacity: Any, used: Any, taken: Any) -> None:
    """Take options out of `taken`, in the given order, that use a limit still exceeded; keep `used` (M,) up to date."""
    for i in order:
        over = False
        for e in range(indptr[i], indptr[i + 1]):
            if data[e] > 0.0 and used[indices[e]] > capacity[indices[e]]:
                over = True
        if over:
            taken[i] = False
            for e in range(indptr[i], indptr[i + 1]):
                used[indices[e]] -= data[e]


@kernel(f"void({_P}, {_P}, {_P}, {_P}, int64, {_S}, {_S}, {_F}, {_F}, float64[::1], boolean[::1])")
def reserve(
    order: Any, owner: Any, start: Any, offer: Any, most: int,
    indptr: Any, indices: Any, data: Any, capacity: Any, used: Any, taken: Any,
) -> None:  # fmt: skip
    """Add options to `taken`, in the given order, that count towards a minimum not yet met and fit in every limit."""
    for i in order:
        useful = False
        fits = True
        for e in range(indptr[i], indptr[i + 1]):
            j = indices[e]
            if data[e] < 0.0:
                useful = useful or used[j] > capacity[j]
            elif used[j] + data[e] > capacity[j]:
                fits = False
        if not useful or not fits:
            continue
        count = 0
        for o in range(start[owner[i]], start[owner[i] + 1]):
            if taken[o]:
                count += 1
                if offer[o] == offer[i]:
                    count = most
        if count < most:
            taken[i] = True
            for e in range(indptr[i], indptr[i + 1]):
                used[indices[e]] += data[e]


@kernel(f"int64({_P}, {_F}, {_P}, {_P}, {_P}, int64, {_S}, {_S}, {_F}, {_F}, float64[::1], boolean[::1])")
def fill(
    order: Any, value: Any, owner: Any, start: Any, offer: Any, most: int,
    indptr: Any, indices: Any, data: Any, capacity: Any, used: Any, taken: Any,
) -> int:  # fmt: skip
    """Add options to `taken`, in the given order, that fit; where the customer has all, in place of the least valuable.

    No minimum that is met is given up. Return how many were added.
    """
    added = 0
    for i in order:
        count = 0
        least = -1
        for o in range(start[owner[i]], start[owner[i] + 1]):
            if taken[o]:
                count += 1
                if offer[o] == offer[i]:
                    count = most + 1
                if least < 0 or value[o] < value[least]:
                    least = o
        if count > most or (count == most and value[i] <= value[least]):
            continue
        if count == most:
            for e in range(indptr[least], indptr[least + 1]):
                used[indices[e]] -= data[e]
        for e in range(indptr[i], indptr[i + 1]):
            used[indices[e]] += data[e]
        fits = True
        for e in range(indptr[i], indptr[i + 1]):
            if data[e] > 0.0 and used[indices[e]] > capacity[indices[e]]:
                fits = False
        if count == most:
            for e in range(indptr[least], indptr[least + 1]):
                if data[e] < 0.0 and used[indices[e]] > capacity[indices[e]]:
                    fits = False
        if fits:
            added += 1
            taken[i] = True
            if count == most:
                taken[least] = False
        else:
            for e in range(indptr[i], indptr[i + 1]):
                used[indices[e]] -= data[e]
            if count == most:
                for e in range(indptr[least], indptr[least + 1]):
                    used[indices[e]] += data[e]
    return added


@kernel(f"void({_F}, {_P}, int64, {_S}, {_S}, {_F}, {_F}, Array(boolean, 1, 'C', True), boolean[::1])")
def fitting(
    worth: Any, start: Any, most: int, indptr: Any, indices: Any, data: Any, left: Any, taken: Any, out: Any
) -> None:
    """Set in `out` (n,) the options not taken that fit into `left` (M,) and are worth more than what they displace."""
    for c in range(start.size - 1):
        count = 0
        least = 0.0
        for i in range(start[c], start[c + 1]):
            if taken[i]:
                if count == 0 or worth[i] < least:
                    least = worth[i]
                count += 1
        if count < most:
            least = 0.0
        for i in range(start[c], start[c + 1]):
            fits = not taken[i] and worth[i] > least
            if fits:
                for e in range(indptr[i], indptr[i + 1]):
                    if data[e] > 0.0 and data[e] > left[indices[e]]:
                        fits = False
            out[i] = fits


@kernel(f"void({_S}, {_S}, {_F}, {_F}, {_F}, int64, int64, int64[::1])")
def fullest(indptr: Any, indices: Any, data: Any, left: Any, prices: Any, first: int, last: int, out: Any) -> None:
    """Write to `out` (n,), from `first` to `last`, the limit with too little left whose use costs most, or −1."""
    for i in range(first, last):
        most = 0.0
        out[i] = -1
        for e in range(indptr[i], indptr[i + 1]):
            j = indices[e]
            cost = data[e] * prices[j]
            if data[e] > 0.0 and data[e] > left[j] and (out[i] < 0 or cost > most):
                most = cost
                out[i] = j
