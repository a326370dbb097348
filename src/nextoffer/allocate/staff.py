"""Who makes each offer and on which day: pooled RMs are given whole offers, slots fill day by day."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nextoffer.allocate.offers import Mask, Offers
from nextoffer.allocate.problem import Limit, Problem

Names = npt.NDArray[np.object_]


def packed(offers: Offers, problem: Problem, taken: Mask, locked: Mask) -> tuple[Names, Mask]:
    """Return who makes each option of a pooled limit, and which of the options taken nobody has room for.

    The longest offers go first, each to the customer's own RM if there is room, else to whom it leaves least idle
    (best fit decreasing).

    Returns
    -------
    Text or None (n,), bool (n,).
    """
    names: Names = np.full(len(problem), None, dtype=object)
    homeless = np.zeros(len(problem), dtype=np.bool_)
    own = _own(offers)
    for j, limit in enumerate(problem.limits):
        if limit.advisers:
            row = problem.transposed[[j]]
            at, units = row.indices, row.data
            mine = taken[at]
            order = np.lexsort((problem.tie[at[mine]], -units[mine], ~locked[at[mine]]))
            who = _fitted(units[mine][order], own[problem.offer[at[mine][order]]], limit)
            names[at[mine][order]] = who
            homeless[at[mine][order]] = [name is None for name in who]
    return names, homeless


def _own(offers: Offers) -> Names:
    if "rm_id" not in offers.table.column_names:
        return np.full(len(offers), None, dtype=object)
    codes, names = offers.codes("rm_id")
    return np.array([*names, None], dtype=object)[codes]


def _fitted(units: npt.NDArray[np.float64], own: Names, limit: Limit) -> Names:
    room = np.array([time for _, _, time in limit.advisers])
    place = {name: k for k, (name, _, _) in enumerate(limit.advisers)}
    out: Names = np.full(len(units), None, dtype=object)
    for i, amount in enumerate(units):
        k = place.get(own[i], -1)
        if k < 0 or room[k] < amount:
            k = int(np.where(room >= amount, room, np.inf).argmin())
        if room[k] >= amount:
            room[k] -= amount
            out[i] = limit.advisers[k][0]
    return out


def days(offers: Offers, made: Mask, mine: Mask, per_day: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Return the day, counted from 1, of each offer that is `made` and takes a slot, 0 of the others; best first."""
    at = np.flatnonzero(made & mine)
    order = at[np.lexsort((offers.tie[at], -offers.value[at]))]
    out = np.zeros(len(offers), dtype=np.int32)
    out[order] = np.repeat(np.arange(1, len(per_day) + 1), per_day)[: len(order)]
    return out
