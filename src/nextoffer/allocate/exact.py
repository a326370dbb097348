"""Small problems by HiGHS (Huangfu & Hall 2018): exact prices, and whether minimums can be met at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from nextoffer.allocate.offers import Mask
from nextoffer.allocate.problem import Problem
from nextoffer.tables.flow import Floats

SMALL = 2_000
"""Problems of up to so many options get exact prices."""

MODEST = 20_000
"""For problems of up to so many options it is proved whether minimums can be met."""

_NODES = 1_000


def rows(problem: Problem) -> tuple[sparse.csr_array, Floats]:
    """Return the matrix and right-hand side of every inequality: the M limits first, then customers, then offers."""
    every = np.arange(len(problem))
    one = np.ones(len(problem))
    customers = sparse.csr_array((one, (problem.owner, every)), shape=(problem.customers, len(problem)))
    parts, most = [problem.use, customers], np.full(problem.customers, float(problem.most))
    right = [problem.capacity, most]
    if problem.alternatives and problem.most > 1:
        which = np.cumsum(np.diff(problem.offer, prepend=problem.offer[:1]) > 0)
        parts[0] = sparse.csr_array(parts[0])
        parts.append(sparse.csr_array((one, (which, every)), shape=(int(which[-1]) + 1, len(problem))))
        right.append(np.ones(int(which[-1]) + 1))
    matrix = sparse.vstack([problem.use.T, *parts[1:]], format="csr")
    return matrix, np.concatenate(right)


def prices(problem: Problem) -> Floats:
    """Return float64 (M,): the least prices of the linear relaxation; the problem has a plan."""
    from scipy.optimize import linprog

    matrix, right = rows(problem)
    found = linprog(-problem.value, A_ub=matrix, b_ub=right, bounds=(0, 1), method="highs-ds")
    marginals = np.asarray(found.ineqlin.marginals, dtype=np.float64)
    return np.maximum(-marginals[: len(problem.capacity)], 0.0)


@dataclass(frozen=True)
class Least:
    """The plan that misses minimums by least: what it takes (n,), by how many offers each minimum is missed (M,)."""

    taken: Mask
    short: Floats


def least_short(problem: Problem) -> Least:
    """Return the plan within every capacity that misses the minimums by as few offers as possible."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    matrix, right = rows(problem)
    minimums = np.flatnonzero(problem.minimum)
    slack = sparse.csr_array(
        (-np.ones(len(minimums)), (minimums, np.arange(len(minimums)))), shape=(matrix.shape[0], len(minimums))
    )
    n = len(problem)
    cost = np.concatenate([np.zeros(n), np.ones(len(minimums))])
    high = np.concatenate([np.ones(n), np.full(len(minimums), np.inf)])
    found = milp(
        cost,
        integrality=np.concatenate([np.ones(n), np.zeros(len(minimums))]),
        bounds=Bounds(0, high),
        constraints=LinearConstraint(sparse.hstack([matrix, slack], format="csr"), -np.inf, right),
        options={"node_limit": _NODES},
    )
    taken = found.x[:n] > 0.5
    return Least(taken, np.maximum(problem.used(taken) - problem.capacity, 0.0) * problem.minimum)
