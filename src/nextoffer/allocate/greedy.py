"""Mends an answer to prices so that every limit holds: drops what is over, then fills what is left.

Each loop is a kernel; where kernels are not ready the same function runs as plain Python on lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nextoffer import compiled
from nextoffer.allocate import kernels
from nextoffer.allocate.exchange import exchanged
from nextoffer.allocate.offers import Mask
from nextoffer.allocate.problem import Problem
from nextoffer.allocate.responding import both, gains
from nextoffer.tables.flow import Floats, Indices

_ROUNDS = 4
_ENOUGH = 1e-5  # of its value a round is to add, else it is the last
_LOOKED_AT = 100_000  # options to try at a time; what is left to fill in is a few of each limit
_ROOM = 0.5  # of a usual offer's use: less is not worth looking at as idle


def mended(problem: Problem, prices: Floats, first: Mask, locked: Mask) -> Mask:
    """Return bool (n,): a plan within every limit.

    The customers' best answer at the prices goes over some limits and leaves others idle by a few offers each. What is
    over is dropped. A limit left idle gives its capacity for nothing; so offers are filled in at prices where it costs
    nothing, as if those that have no room had, and what is then over is dropped again. The best of a few such rounds.

    Parameters
    ----------
    prices
        float64 (M,), ≥ 0.
    first
        (n,): the customers' answer to begin with.
    locked
        (n,): options in the plan whatever else; together they are within every limit and meet the minimums.
    """
    found = taken = filled(problem, prices, _dropped(problem, prices, locked, first))
    for _ in range(_ROUNDS):
        idle = _idle(problem, prices, taken)
        open_prices = np.where(idle, 0.0, prices)
        gain = gains(problem, open_prices)
        capacity = np.where((open_prices > 0) & ~problem.minimum, np.inf, problem.capacity)
        only = problem.use @ idle.astype(np.float64) > 0
        taken = _filled(problem, _Try(gain, gain, capacity, only), taken)
        taken = exchanged(problem, prices, locked, taken)
        taken = _dropped(problem, prices, locked, taken)
        better = filled(problem, prices, taken)
        before, after = problem.value[found].sum(), problem.value[better].sum()
        if after > before:
            found = taken = better
        if after <= before + _ENOUGH * abs(before):
            break
    return found


def filled(problem: Problem, prices: Floats, taken: Mask, capacity: Floats | None = None) -> Mask:
    """Return the plan `taken` and more: what fits, first what gains most beyond the prices of limits that are full.

    `capacity` (M,) takes the place of the problem's.
    """
    gain = gains(problem, np.where(_idle(problem, prices, taken), 0.0, prices))
    return _filled(problem, _Try(gain, problem.value, problem.capacity if capacity is None else capacity), taken)


def _idle(problem: Problem, prices: Floats, taken: Mask) -> Mask:
    """Return bool (M,): limits with a price and yet with room for a usual offer."""
    return (prices > 0) & ~problem.minimum & (problem.capacity - problem.used(taken) >= _ROOM * problem.usual)


@dataclass(frozen=True)
class _Try:
    """How to fill: greatest gain (n,) first, if worth (n,) is more than what it displaces, within capacity (M,).

    Where `only` (n,) is given, no other options are looked at.
    """

    gain: Floats
    worth: Floats
    capacity: Floats
    only: Mask | None = None


def _filled(problem: Problem, how: _Try, taken: Mask) -> Mask:
    taken = taken.copy()
    used = problem.used(taken)
    at = (problem.owner, problem.start, problem.offer, problem.most)
    for _ in range(_ROUNDS):
        order = ranked(problem, how.gain, _fitting(problem, how, used, taken))
        fixed = (order, how.worth, *at, *problem.entries, how.capacity)
        if not len(order) or not _run(kernels.fill, fixed, (used, taken)):
            break
    return taken


def by_value(problem: Problem, taken: Mask) -> Mask:
    """Return the plan `taken` and what fits beside it, the most valuable offer first: what prices are compared with."""
    taken, used = taken.copy(), problem.used(taken)
    order = np.lexsort((problem.tie, -problem.value))
    at = (problem.owner, problem.start, problem.offer, problem.most)
    _run(kernels.fill, (order, problem.value, *at, *problem.entries, problem.capacity), (used, taken))
    return taken


def ranked(problem: Problem, gain: Floats, at: Indices) -> Indices:
    """Return the options `at`, greatest gain first; of very many, only those that gain most."""
    if len(at) > _LOOKED_AT:
        worst = np.partition(gain[at], len(at) - _LOOKED_AT)[len(at) - _LOOKED_AT]
        at = at[gain[at] >= worst]
    return at[np.lexsort((problem.tie[at], -gain[at]))]


def reserved(problem: Problem, order: Indices) -> Mask:
    """Return bool (n,): options taken in `order` while they count towards a minimum not met and fit everywhere."""
    taken = np.zeros(len(problem), dtype=np.bool_)
    used = np.zeros(len(problem.capacity))
    at = (problem.owner, problem.start, problem.offer, problem.most)
    _run(kernels.reserve, (order, *at, *problem.entries, problem.capacity), (used, taken))
    return taken


def _dropped(problem: Problem, prices: Floats, locked: Mask, taken: Mask) -> Mask:
    """Return `taken` without what is least worth, beyond the price of what is exceeded, per unit of that.

    What else an offer uses counts for nothing here: it may well stay idle once the offer is dropped.
    """
    used = problem.used(taken)
    over = (used > problem.capacity) & ~problem.minimum
    taken = taken.copy()
    if over.any():
        weight = np.divide(over, problem.capacity, out=np.zeros(len(over)), where=over & (problem.capacity > 0))
        at = np.flatnonzero(taken & ~locked)
        use = problem.use[at]
        burden = use @ weight
        at, use, burden = at[burden > 0], use[burden > 0], burden[burden > 0]
        gain = problem.value[at] - use @ np.where(over, prices, 0.0)
        order = at[np.lexsort((problem.tie[at], gain / burden))]
        _run(kernels.drop, (order, *problem.entries, problem.capacity), (used, taken))
    return taken


def _fitting(problem: Problem, how: _Try, used: Floats, taken: Mask) -> Indices:
    """Return the options worth trying: not taken, worth more than what they would displace, with room everywhere."""
    out = np.zeros(len(problem), dtype=np.bool_)
    left = how.capacity - used
    if compiled.ready():
        half = problem.customers // 2
        at = (problem.most, *problem.entries, left, taken, out)
        both(
            len(problem),
            lambda: kernels.fitting(how.worth, problem.start[: half + 1], *at),
            lambda: kernels.fitting(how.worth, problem.start[half:], *at),
        )
    elif len(problem):
        count = np.add.reduceat(taken, problem.start[:-1], dtype=np.int64)
        least = np.minimum.reduceat(np.where(taken, how.worth, np.inf), problem.start[:-1])
        beats = np.where(count < problem.most, 0.0, least)[problem.owner]
        full = (problem.use.data > 0) & (problem.use.data > left[problem.use.indices])
        out[:] = ~taken & (how.worth > beats)
        out[np.repeat(np.arange(len(problem)), np.diff(problem.use.indptr))[full]] = False
    return np.flatnonzero(out if how.only is None else out & how.only)


def _run(kernel: Any, fixed: tuple[Any, ...], changed: tuple[Floats, Mask]) -> Any:
    """Return what a kernel returns, having changed the arrays `changed` in place."""
    if compiled.ready():
        return kernel(*fixed, *changed)
    lists = [a.tolist() if isinstance(a, np.ndarray) else a for a in fixed]
    used, taken = changed[0].tolist(), changed[1].tolist()
    out = kernel.function(*lists, used, taken)
    changed[0][:], changed[1][:] = used, taken
    return out
