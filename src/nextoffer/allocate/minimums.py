"""Offers that meet the minimums: set aside first, so that nothing that follows can miss one."""

from __future__ import annotations

import numpy as np

from nextoffer.allocate import exact
from nextoffer.allocate.greedy import reserved
from nextoffer.allocate.offers import Mask
from nextoffer.allocate.problem import Problem
from nextoffer.errors import AllocationError
from nextoffer.tables.flow import Floats, Indices

_TRIED = 8
"""For each offer that minimums ask for, so many options are looked at: those whose customers lose least."""


def some_plan(problem: Problem) -> Mask:
    """Return bool (n,): options that meet every minimum within every capacity.

    Raises
    ------
    AllocationError
        There is no such plan, or in a problem of more than `exact.MODEST` options none was found; says which minimums
        are missed by how much, and which limits are full then.
    """
    if not problem.minimum.any():
        return np.zeros(len(problem), dtype=np.bool_)
    positive = np.where(problem.minimum, 1.0, np.maximum(problem.capacity, 1e-300))
    burden = np.asarray(np.abs(problem.use) @ (~problem.minimum / positive))
    for gain in (-burden, problem.value):
        taken = reserved(problem, _by_regret(problem, gain))
        if not _missed(problem, taken).any():
            return taken
    if len(problem) > exact.MODEST:
        raise AllocationError(_messages(problem, taken, _missed(problem, taken), proved=False))
    least = exact.least_short(problem)
    if least.short.any():
        raise AllocationError(_messages(problem, least.taken, least.short, proved=True))
    return reserved(problem, np.flatnonzero(least.taken))


def set_aside(problem: Problem, gain: Floats, otherwise: Mask) -> Mask:
    """Return bool (n,): the options that meet every minimum at the least loss of `gain`; `otherwise` if that fails."""
    if not problem.minimum.any():
        return otherwise
    taken = reserved(problem, _by_regret(problem, gain))
    return otherwise if _missed(problem, taken).any() else taken


def _by_regret(problem: Problem, gain: Floats) -> Indices:
    """Return the options that count towards a minimum, those first that cost their customer least."""
    if not len(gain):
        return np.zeros(0, dtype=np.intp)
    at = np.flatnonzero(problem.use @ problem.minimum.astype(np.float64) < 0)
    best = np.maximum(np.maximum.reduceat(gain, problem.start[:-1]), 0.0)
    regret = gain[at] - best[problem.owner[at]]
    enough = _TRIED * int(-problem.capacity[problem.minimum].sum()) + 1_000
    if len(at) > enough:
        kept = regret >= np.partition(regret, len(at) - enough)[len(at) - enough]
        at, regret = at[kept], regret[kept]
    return at[np.lexsort((problem.tie[at], -gain[at], -regret))]


def _missed(problem: Problem, taken: Mask) -> Floats:
    return np.maximum(problem.used(taken) - problem.capacity, 0.0) * problem.minimum


def _messages(problem: Problem, taken: Mask, short: Floats, *, proved: bool) -> list[str]:
    """Return one line for each minimum missed: what it asks for, what there is, and what stands in the way."""
    left = problem.capacity - problem.used(taken)
    out = []
    for j in np.flatnonzero(short):
        limit = problem.limits[j]
        able = problem.transposed[[j]].indices
        customers = len(np.unique(problem.owner[able]))
        kept = able[~taken[able]]
        touched = problem.use[kept]
        rows = np.repeat(np.arange(len(kept)), np.diff(touched.indptr))
        blocked = (touched.data > 0) & (touched.data > left[touched.indices])
        full = sorted({problem.limits[k].name for k in touched.indices[blocked]})
        if len(set(rows[blocked])) < len(kept):
            full.append(f"per_customer = {problem.most}")
        reach = f"{short[j]:,.0f} more than {'can be made' if proved else 'the plan found'}"
        hold = f"; in the way: {', '.join(full)}" if kept.size else ""
        out.append(f"'{limit.name}' asks for {limit.capacity:,.0f} offers, {reach}; "
                   f"{customers:,} customers have one that could be made{hold}")  # fmt: skip
    return out
