"""The policy's loops that run as machine code once kernels are ready; each has a numpy twin with the same result.

Plain loops over arrays, in the part of Python that numba knows. They see numbers only: what a rule or a reason is,
their callers know.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nextoffer.compiled import kernel

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint32]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.floating[Any]]
Number = np.floating[Any]

NEAR, LOWEST, HIGHEST = np.float32(1e-12), np.float32(-700), np.float32(15)
"""Between the two bounds, log-odds in float32 that lie further apart than this have different propensities."""

# What is only read may lie in memory that is not to be written to; a plain array fits there too.
_RULES = "Array(int8, 2, 'C', True)"
_LIMITS = "Array(int8, 1, 'C', True)"
_TABLE = "Array(float32, 2, 'C', True)"
_PLACES = "Array(int64, 1, 'C', True)"
_BITS = "Array(uint32, 2, 'C', True)"
_BOUNDS = "Array(float64, 1, 'C', True)"
_VALUES = "Array(float64, 2, 'C', True)"
_TRUTH = "Array(boolean, 2, 'C', True)"

# A power of two times this number has its exponent in the five highest bits, as _PLACE spells out.
_DE_BRUIJN, _TOP, _ONE = np.uint32(0x077CB531), np.uint32(27), np.uint32(1)
_PLACE = np.argsort([((0x077CB531 << place) & 0xFFFFFFFF) >> 27 for place in range(32)])


@kernel(
    f"void({_TABLE}, {_RULES}, int16[:,::1], boolean[::1], float32, float32, float32)",
    f"void({_VALUES}, {_RULES}, int16[:,::1], boolean[::1], float64, float64, float64)",
)
def front(  # noqa: PLR0913, PLR0917  a kernel takes plain arrays, by position
    key: Keys, rule: Int8, order: Int16, close: Bool, near: Number, lowest: Number, highest: Number
) -> None:
    """Fill in the columns (n, k) of each row's k largest keys among those no rule stops, −1 beyond them.

    Parameters
    ----------
    key
        float32 or float64 (n, P).
    rule
        int8 (n, P): negative where no rule stops the pair.
    close
        bool (n,): set where two neighbours among the k are not further apart than `near`, or beyond `lowest` and
        `highest`, so that they may count as equal.
    """
    most = order.shape[1]
    best = np.empty(most, dtype=key.dtype)
    for i in range(key.shape[0]):
        count = 0
        for j in range(key.shape[1]):
            x = key[i, j]
            if rule[i, j] >= 0 or (count == most and not x > best[most - 1]):
                continue
            at = min(count, most - 1)
            count = at + 1
            while at > 0 and x > best[at - 1]:
                order[i, at] = order[i, at - 1]
                best[at] = best[at - 1]
                at -= 1
            order[i, at] = j
            best[at] = x
        for at in range(count, most):
            order[i, at] = -1
        close[i] = False
        for at in range(1, count):
            above, below = best[at - 1], best[at]
            close[i] |= not above - below > near or below > highest or above < lowest


@kernel(f"int64(int8[:,::1], int16[:,:], {_PLACES}, int8, {_LIMITS}, int64[::1], int64[::1])")
def settle(  # noqa: PLR0913, PLR0917  a kernel takes plain arrays, by position
    rule: Int8, top: Int16, room: Int64, beyond: np.int8, capped: Int8, rows: Int64, cols: Int64
) -> int:
    """Name the rule of every pair that the single-pair rules leave open, and list the offers; return how many.

    Parameters
    ----------
    rule
        int8 (n, P): −1 where open. Overwritten by `beyond` outside the top, by the customer's `capped` inside but
        without room.
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
                rule[i, j] = capped[i]
    return found


@kernel(
    f"void({_TABLE}, {_TABLE}, {_PLACES}, boolean, float32, float32, {_PLACES}, {_PLACES}, {_PLACES},"
    " float32[:,::1], float32[::1], uint32[:,::1], boolean[::1])"
)
def weigh(  # noqa: C901, PLR0913, PLR0917  a kernel takes plain arrays, by position
    contributions: Float32, average: Float32, cols: Int64, against: bool, share: np.float32, floor: np.float32,
    member_start: Int64, member: Int64, speaks: Int64,
    weights: Float32, least: Float32, carries: Bits, material: Bool,
) -> None:  # fmt: skip
    """Weigh contributions against the average, and note which reasons carry enough.

    Parameters
    ----------
    contributions, average, cols
        float32 (F, m), float32 (F, P), and the product of each pair.
    share, floor
        A reason must carry the share of all that is positive, and the floor.
    member_start, member
        Of each of S sources its features. The first F sources are the features themselves.
    speaks
        int64 (K,): the source that each reason speaks for.
    weights
        float32 (S, m): contributions less the average's, or the negative `against` an offer, added up for each source.
    least
        float32 (m,): what a reason must carry.
    carries
        uint32 (words, m), given as 0: bit r % 32 of word r // 32 is set where reason r carries enough.
    material
        bool (K,): set for each reason that carries enough in some pair.
    """
    features, pairs = contributions.shape
    least[:] = 0
    for f in range(features):
        given, usual, line = contributions[f], average[f], weights[f]
        for i in range(pairs):
            weight = given[i] - usual[cols[i]]
            line[i] = -weight if against else weight
            least[i] += max(line[i], np.float32(0))
    for i in range(pairs):
        least[i] = max(share * least[i], floor)
    for s in range(features, weights.shape[0]):
        line = weights[s]
        line[:] = weights[member[member_start[s]]]
        for at in range(member_start[s] + 1, member_start[s + 1]):
            line += weights[member[at]]
    for r in range(speaks.size):
        line, word, bit = weights[speaks[r]], carries[r >> 5], np.uint32(1 << (r & 31))
        for i in range(pairs):
            word[i] |= bit if line[i] >= least[i] else np.uint32(0)
    for first in range(0, speaks.size, 32):
        some = np.uint32(0)
        for i in range(pairs):
            some |= carries[first >> 5, i]
        for r in range(first, min(first + 32, speaks.size)):
            material[r] = some >> np.uint32(r - first) & _ONE


@kernel(
    f"void({_TABLE}, {_BITS}, {_PLACES}, {_PLACES}, {_PLACES}, {_PLACES}, {_PLACES}, {_VALUES}, {_VALUES}, {_VALUES},"
    f" {_PLACES}, {_PLACES}, {_BOUNDS}, {_BOUNDS}, {_PLACES}, {_TRUTH}, int16[:,::1])"
)
def choose(  # noqa: C901, PLR0913, PLR0917  one loop over pairs, in plain arrays by position
    weights: Float32, carries: Bits, speaks: Int64, member_start: Int64, member: Int64,
    rows: Int64, cols: Int64, customer: Float64, product: Float64, pair: Float64,
    bound_start: Int64, bound: Int64, low: Float64, high: Float64, unbound: Int64, truth: Bool, out: Int16,
) -> None:  # fmt: skip
    """Fill in each pair's strongest reasons that are material and true, each feature spoken for by the first.

    Parameters
    ----------
    weights, carries, speaks, member_start, member
        As `weigh` left them.
    rows, cols
        int64 (m,): where the pair's customer and product are in the tables of values.
    customer, product, pair
        float64 (C, u), (D, P) and (E, m): the columns that facts put bounds to, in this order.
    bound_start, bound, low, high
        For each reason the columns and their bounds.
    unbound, truth
        For each reason −1, or where in `truth`, bool (U, m), its fact is found instead.
    out
        int16 (m, k): filled with the reasons, strongest first; given as −1.
    """
    customers, products = customer.shape[0], customer.shape[0] + product.shape[0]
    claimed = np.full(weights.shape[0], -1, dtype=np.int64)
    strength = np.empty(out.shape[1], dtype=np.float32)
    for i in range(weights.shape[1]):
        found = 0
        for word in range(carries.shape[0]):
            left = carries[word, i]
            while left:
                r = 32 * word + _PLACE[np.uint32((left & (~left + _ONE)) * _DE_BRUIJN) >> _TOP]
                left &= left - _ONE
                s = speaks[r]
                good = unbound[r] < 0 or truth[unbound[r], i]
                for at in range(member_start[s], member_start[s + 1]):
                    good &= claimed[member[at]] != i
                for at in range(bound_start[r], bound_start[r + 1]):
                    c = bound[at]
                    if c < customers:
                        value = customer[c, rows[i]]
                    else:
                        value = product[c - customers, cols[i]] if c < products else pair[c - products, i]
                    good &= low[at] <= value <= high[at]
                if not good:
                    continue
                for at in range(member_start[s], member_start[s + 1]):
                    claimed[member[at]] = i
                weight = weights[s, i]
                if found == strength.size and not weight > strength[found - 1]:
                    continue
                place = min(found, strength.size - 1)
                found = place + 1
                while place > 0 and weight > strength[place - 1]:
                    strength[place] = strength[place - 1]
                    out[i, place] = out[i, place - 1]
                    place -= 1
                strength[place] = weight
                out[i, place] = r


@kernel(f"int64({_RULES}, {_LIMITS}, int32[::1], int32[::1], int8[::1], int8[::1])")
def refusals(rule: Int8, stage_of: Int8, rows: Int32, cols: Int32, rules: Int8, stages: Int8) -> int:
    """List every pair with a rule, row by row, with the rule and its stage; return how many."""
    found = 0
    for i in range(rule.shape[0]):
        for j in range(rule.shape[1]):
            if rule[i, j] >= 0:
                rows[found] = i
                cols[found] = j
                rules[found] = rule[i, j]
                stages[found] = stage_of[rule[i, j]]
                found += 1
    return found
