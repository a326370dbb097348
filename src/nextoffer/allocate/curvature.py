"""How the blurred bound bends: only options in doubt, 0 < x < 1, add to its curvature.

It is ``(AᵀA − Σ_groups a aᵀ / s) / blur`` over them, where a sums the rows of a group that compete, and s is how many
they are. Up to `_DENSE` limits it is added up in one matrix, as machine code where kernels are ready, else with
numpy in the same order, so that the outcome is the same to the last bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from nextoffer import compiled
from nextoffer.allocate import kernels
from nextoffer.allocate.problem import Problem
from nextoffer.allocate.responding import both
from nextoffer.tables.flow import Floats, Indices

_DENSE = 2_000  # limits; more are kept sparse
_BLOCK = 16_384  # customers in doubt to add up at a time


def bent(problem: Problem, x: Floats) -> sparse.csr_array:
    """Return the curvature (M, M) of the blurred bound, times the blur, where the customers answer x (n,)."""
    if len(problem.capacity) > _DENSE or (problem.alternatives and problem.most > 1):
        return _sparse(problem, x)
    half = problem.customers // 2
    one, other = both(
        len(problem),
        lambda: _added(problem, x, range(half)),
        lambda: _added(problem, x, range(half, problem.customers)),
    )
    return sparse.csr_array(one + other)


def _added(problem: Problem, x: Floats, customers: range) -> Floats:
    """Return what a range of customers adds to the curvature, as a full matrix."""
    out = np.zeros((len(problem.capacity), len(problem.capacity)))
    start = problem.start[customers.start : customers.stop + 1]
    if compiled.ready():
        kernels.bend(x, start, problem.most, *problem.entries, out)
        return out
    if len(start) > 1:
        asked = np.arange(start[0], start[-1])
        doubt = asked[(x[asked] > 0) & (x[asked] < 1)]
        ends = np.append(np.flatnonzero(np.diff(problem.owner[doubt], prepend=-1)), len(doubt))
        for first in range(0, len(ends) - 1, _BLOCK):
            some = ends[first : first + _BLOCK + 1]
            _add(problem, x, doubt[some[0] : some[-1]], np.diff(some), out)
    return out


def _add(problem: Problem, x: Floats, doubt: Indices, count: Indices, out: Floats) -> None:
    """Add to `out` the options `doubt`, of customers with `count` of them each."""
    indptr, indices, data = problem.entries
    owner = problem.owner[doubt[np.cumsum(count) - count]]
    total = np.add.reduceat(x, problem.start[:-1])[owner]
    shared = np.where(total > problem.most - 1e-9, 1.0 / count, 0.0)
    one, other, customer = _pairs(count, count)
    one, other = doubt[one], doubt[other]
    weight = (one == other) - shared[customer]
    kept = weight != 0
    one, other, weight = one[kept], other[kept], weight[kept]
    sizes = np.diff(indptr).astype(np.int64)
    e, f, pair = _pairs(sizes[one], sizes[other])
    before_e, before_f = np.cumsum(sizes[one]) - sizes[one], np.cumsum(sizes[other]) - sizes[other]
    e, f = indptr[one][pair] + e - before_e[pair], indptr[other][pair] + f - before_f[pair]
    place = indices[e].astype(np.int64) * out.shape[1] + indices[f]
    np.add.at(out.reshape(-1), place, data[e] * data[f] * weight[pair])


def _pairs(rows: Indices, columns: Indices) -> tuple[Indices, Indices, Indices]:
    """Return all pairs in groups of ``rows × columns`` things: places of both, counted over all, and the group."""
    number = rows * columns
    group = np.repeat(np.arange(len(rows)), number)
    place = np.arange(len(group)) - (np.cumsum(number) - number)[group]
    before = (np.cumsum(rows) - rows)[group], (np.cumsum(columns) - columns)[group]
    return before[0] + place // columns[group], before[1] + place % columns[group], group


def _sparse(problem: Problem, x: Floats) -> sparse.csr_array:
    doubt = np.flatnonzero((x > 0) & (x < 1))
    rows = problem.use[doubt]
    held, groups = _held(problem, x, doubt)
    count = np.bincount(held[held >= 0], minlength=groups)
    weight = np.where(held >= 0, 1 / np.sqrt(np.maximum(count[held], 1)), 0.0)
    place = (np.maximum(held, 0), np.arange(len(doubt)))
    sums = sparse.csr_array((weight, place), shape=(groups, len(doubt))) @ rows
    return sparse.csr_array(rows.T @ rows - sums.T @ sums)


def _held(problem: Problem, x: Floats, doubt: Indices) -> tuple[Indices, int]:
    """Return (doubt,): what each option's x competes in, −1 for nothing; and how many groups there are to compete in.

    Groups are the customers held back by the number of offers allowed and, of the others, offers held back by 1.
    """
    owner = problem.owner[doubt]
    total = np.add.reduceat(x, problem.start[:-1])
    out: npt.NDArray[np.intp] = np.where(total[owner] > problem.most - 1e-9, owner, -1)
    groups = problem.customers
    if problem.alternatives and problem.most > 1:
        _, place = problem.by_offer
        whole = np.bincount(place, x)[place[doubt]] > 1 - 1e-9
        out = np.where((out < 0) & whole, problem.customers + place[doubt], out)
        groups += len(problem.within) - 1
    return out, groups
