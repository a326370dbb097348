"""Uses up remainders: where half an hour is left and offers take 45 or 60 minutes, one of 45 gives way to one of 60."""

from __future__ import annotations

import numpy as np

from nextoffer.allocate.offers import Mask
from nextoffer.allocate.problem import Problem
from nextoffer.allocate.responding import gains
from nextoffer.tables.flow import Floats, Indices

_SIZES = 12  # a limit with more different amounts than this has hardly a remainder
_TIMES = 20  # exchanges in one limit


def exchanged(problem: Problem, prices: Floats, locked: Mask, taken: Mask) -> Mask:
    """Return `taken` with options exchanged for larger ones that fit into what a limit has left, if that gains.

    An exchange gains if the new option, at no price for the limit itself, is worth more than the old one and what its
    customer gives up for it. Other limits may be exceeded by it; they are paid at their prices.
    """
    taken = taken.copy()
    left = problem.capacity - problem.used(taken)
    gain = gains(problem, prices)
    for j in np.flatnonzero((prices > 0) & (left > 0) & ~problem.minimum):
        row = problem.transposed[[j]]
        sizes = np.unique(row.data)
        if 1 < len(sizes) <= _SIZES and np.diff(sizes).min() <= left[j]:
            worth = gain[row.indices] + prices[j] * row.data
            _use_up(problem, _Limit(row.indices, row.data, worth, float(left[j])), gain, locked, taken)
    return taken


class _Limit:
    """The options (k,) that use a limit, how much of it, what they are worth if it costs nothing; what it has left."""

    def __init__(self, at: Indices, amount: Floats, worth: Floats, left: float) -> None:
        self.at, self.amount, self.worth, self.left = at, amount, worth, left
        self.of_size = [(size, np.flatnonzero(amount == size)) for size in np.unique(amount).tolist()]

    def has(self, options: Indices) -> Mask:
        """Return which of the options use the limit; `at` is in order."""
        place = np.minimum(np.searchsorted(self.at, options), len(self.at) - 1)
        return np.asarray(self.at[place] == options)


def _use_up(problem: Problem, limit: _Limit, gain: Floats, locked: Mask, taken: Mask) -> None:
    owner = problem.owner[limit.at]
    adds = _added(problem, limit, gain, locked, taken, np.arange(len(limit.at)))
    for _ in range(_TIMES):
        pair = _best_pair(limit, owner, adds, np.where(taken[limit.at] & ~locked[limit.at], -limit.worth, -np.inf))
        if pair is None:
            return
        new, old = pair
        beaten = _beaten(problem, gain, taken, limit.at[[new]])[0]
        if beaten >= 0:
            taken[beaten] = False
        taken[limit.at[new]] = True
        taken[limit.at[old]] = False
        limit.left -= limit.amount[new] - limit.amount[old]
        changed = np.flatnonzero((owner == owner[new]) | (owner == owner[old]))
        adds[changed] = _added(problem, limit, gain, locked, taken, changed)


def _added(problem: Problem, limit: _Limit, gain: Floats, locked: Mask, taken: Mask, places: Indices) -> Floats:
    """Return what the options at some places would add beyond what they displace; −∞ where they cannot.

    Who has an offer of this very limit, or one that a minimum needs, is left alone.
    """
    at = limit.at[places]
    beaten = _beaten(problem, gain, taken, at)
    has = beaten >= 0
    able = ~taken[at] & ~(has & (locked[beaten] | limit.has(beaten)))
    return np.where(able, limit.worth[places] - np.where(has, gain[beaten], 0.0), -np.inf)


def _best_pair(limit: _Limit, owner: Indices, adds: Floats, frees: Floats) -> tuple[int, int] | None:
    """Return the places of a new and an old option whose exchange gains most, None where none does.

    `adds` and `frees` (k,) say what taking an option adds and what giving it up does, −∞ where that cannot be.
    """
    news = [(size, int(at[adds[at].argmax()])) for size, at in limit.of_size]
    olds = [(size, int(at[frees[at].argmax()])) for size, at in limit.of_size]
    best, found = 0.0, None
    for large, new in news:
        for small, old in olds:
            gained = adds[new] + frees[old]
            if small < large <= small + limit.left and gained > best and owner[new] != owner[old]:
                best, found = gained, (new, old)
    return found


def _beaten(problem: Problem, gain: Floats, taken: Mask, at: Indices) -> Indices:
    """Return what each option would displace: its customer's least offer where there are `most`, else −1."""
    out = np.full(len(at), -1, dtype=np.int64)
    count = np.zeros(len(at), dtype=np.int64)
    start, end = problem.start[problem.owner[at]], problem.start[problem.owner[at] + 1]
    for step in range(int((end - start).max(initial=0))):
        place = np.minimum(start + step, end - 1)
        has = taken[place] & (start + step < end)
        count += has
        less = has & ((out < 0) | (gain[place] < gain[out]))
        out = np.where(less, place, out)
    return np.where(count >= problem.most, out, -1)
