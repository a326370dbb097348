"""Why an offer is left out: the limit that had no room for it, or whose price it does not pay."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nextoffer import compiled
from nextoffer.allocate import kernels
from nextoffer.allocate.offers import Mask
from nextoffer.allocate.problem import Problem
from nextoffer.allocate.responding import both
from nextoffer.allocate.stating import Stated
from nextoffer.tables.flow import Floats


def rules_of(said: Stated, prices: Floats, taken: Mask, made: Mask) -> npt.NDArray[np.int64]:
    """Return (offers,): the place in `said.rules` of what keeps each offer out; −1 for those made.

    An offer whose customer has as many as allowed, none worth less, is out by ``per_customer``; else by the limit that
    is too full for it, of several the one whose share of its use costs most.
    """
    problem = said.problem
    out = said.barred.copy()
    out[(out < 0) & ~made] = len(said.rules) - 1
    full = _fullest(problem, prices, taken)
    beaten = _beaten(problem, taken)
    at = np.flatnonzero(~taken & ~beaten & (full >= 0) & ~made[problem.offer])
    out[problem.offer[at[::-1]]] = full[at[::-1]]
    _with_room(problem, said, taken, out)
    return out


def _with_room(problem: Problem, said: Stated, taken: Mask, out: npt.NDArray[np.int64]) -> None:
    """Correct the rules of offers whose customer may have more and for which no limit is full.

    They are worth nothing, and a minimum that might have asked for them is met; or no RM of a pool has enough time in
    one piece.
    """
    count = np.bincount(problem.owner[taken], minlength=problem.customers)
    at = np.flatnonzero((out[problem.offer] == len(said.rules) - 1) & (count < problem.most)[problem.owner])
    out[problem.offer[at[problem.value[at] <= 0]]] = len(said.rules) - 2
    at = at[problem.value[at] > 0]
    pooled = np.array([bool(limit.advisers) for limit in problem.limits], dtype=np.bool_)
    use = problem.use[at]
    entry = np.flatnonzero(pooled[use.indices])
    row = np.repeat(np.arange(len(at)), np.diff(use.indptr))[entry]
    out[problem.offer[at[row[::-1]]]] = use.indices[entry[::-1]]


def _beaten(problem: Problem, taken: Mask) -> Mask:
    """Return bool (n,): the customer has as many offers as allowed and this is worth no more than any of them."""
    if not len(problem):
        return taken
    count = np.add.reduceat(taken, problem.start[:-1], dtype=np.int64)
    least = np.minimum.reduceat(np.where(taken, problem.value, np.inf), problem.start[:-1])
    return ((count >= problem.most)[problem.owner]) & (problem.value <= least[problem.owner])


def _fullest(problem: Problem, prices: Floats, taken: Mask) -> npt.NDArray[np.int64]:
    """Return (n,): the limit without room for an option whose use costs most, −1 where there is room in all."""
    left = problem.capacity - problem.used(taken)
    out = np.full(len(problem), -1, dtype=np.int64)
    if compiled.ready():
        middle = len(problem) // 2
        at = (*problem.entries, left, prices)
        both(
            len(problem),
            lambda: kernels.fullest(*at, 0, middle, out),
            lambda: kernels.fullest(*at, middle, len(out), out),
        )
        return out
    use = problem.use
    entry = np.flatnonzero((use.data > 0) & (use.data > left[use.indices]))
    row = np.repeat(np.arange(len(problem)), np.diff(use.indptr))[entry]
    cost = use.data[entry] * prices[use.indices[entry]]
    highest = np.full(len(problem), -np.inf)
    np.maximum.at(highest, row, cost)
    top = cost == highest[row]
    out[row[top][::-1]] = use.indices[entry][top][::-1]
    return out
