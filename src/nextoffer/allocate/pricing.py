"""Finds the price of each limit: the λ ≥ 0 that makes the Lagrangian bound least.

The bound is convex, but has a kink wherever a customer changes mind. It is therefore blurred: each customer's answer
maximises ``gain·x − blur/2 |x|²`` (Nesterov 2005), which makes it smooth with a sparse curvature that only the
customers in doubt add to. Projected Newton steps (Bertsekas 1982) find its minimum, first on a keyed sample of
customers and with much blur, then with less, then over all customers. Every answer is judged by the exact bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from nextoffer.allocate.curvature import bent
from nextoffer.allocate.offers import Mask
from nextoffer.allocate.problem import Problem
from nextoffer.allocate.responding import best, blurred, bound, gains
from nextoffer.tables.flow import Floats

_SAMPLES = (40_000, 200_000)  # customers; the first finds the region, the second the prices that few share
_COARSE: tuple[float, ...] = (1.0, 0.3)  # blurs, in usual values: for the first sample
_MIDDLE = (0.3, 0.1, 0.03)  # for the second
_FINE = (0.1, 0.01, 0.001)  # for all
_STEPS = 20  # Newton steps at one blur; a handful is usual
_REACH = 4.0  # how many blurs a price may move an offer by in one step
_FARTHEST = 4 * _REACH  # the same, where prices move together
_ENOUGH = 1e-5  # what a step is to gain, as a share of the bound


@dataclass(frozen=True)
class Priced:
    """Prices with what they prove.

    Attributes
    ----------
    prices
        float64 (M,), ≥ 0, in value per problem unit.
    bound
        No plan is worth more.
    gain, best
        (n,): each option's value beyond prices, and the customers' best answer.
    """

    prices: Floats
    bound: float
    gain: Floats
    best: Mask


def judged(problem: Problem, prices: Floats) -> Priced:
    """Return what `prices` prove."""
    gain = gains(problem, prices)
    answer = best(problem, gain)
    return Priced(prices, bound(problem, prices, gain, answer), gain, answer)


def priced(problem: Problem, draw: Floats) -> Priced:
    """Return the best prices found.

    Parameters
    ----------
    problem
        M limits.
    draw
        float64 (customers,) in [0, 1), keyed: who is in the samples on which the region is found first.
    """
    unit = _unit(problem)
    prices = np.zeros(len(problem.capacity))
    samples = [s for s in _SAMPLES if s < problem.customers / 2]
    blurs = _COARSE
    for size, after in zip(samples, (_MIDDLE, ()), strict=False):
        part = problem.part(draw < size / problem.customers)
        for blur in blurs:
            prices = _least(part, prices, blur * unit)
        blurs = after
    blurs = {0: (*_COARSE, *_MIDDLE, *_FINE), 1: (*_MIDDLE, *_FINE)}.get(len(samples), _FINE)
    for blur in blurs[:-1]:
        prices = _least(problem, prices, blur * unit)
    found = judged(problem, prices)
    return min(found, judged(problem, _least(problem, prices, blurs[-1] * unit)), key=lambda p: p.bound)


def rounded(problem: Problem, found: Priced, locked: Mask) -> Mask:
    """Return bool (n,): the customers' best answer, with the options `locked`, spread over limits of equal price.

    RMs with different skills often cost the same, and then every offer of a kind would go to the same ones. So where
    the blurred answer is in doubt between the options of an offer, a keyed draw in its proportions decides.
    """
    gain = found.gain
    if problem.alternatives:
        blur = _FINE[-1] * _unit(problem)
        x = blurred(problem, found.prices, blur).x
        before = np.cumsum(x) - x
        first = problem.within[:-1][problem.by_offer[1]]
        share = np.add.reduceat(x, problem.within[:-1])[problem.by_offer[1]]
        draw = problem.tie * share  # options of an offer have the same tie
        chosen = (before - before[first] <= draw) & (draw < before - before[first] + x)
        gain = np.where((x > 0) & ~chosen, gain - 2 * blur, gain)
    return best(problem, np.where(locked, np.inf, gain))


def _unit(problem: Problem) -> float:
    """Return the size of a usual value: the mean of the values above 0."""
    above = problem.value[problem.value > 0]
    return float(above.mean()) if above.size else 1.0


@dataclass(frozen=True)
class _Point:
    """The blurred bound at some prices, its slope (M,) and what each option's x is."""

    prices: Floats
    value: float
    slope: Floats
    x: Floats


def _at(problem: Problem, prices: Floats, blur: float) -> _Point:
    answer = blurred(problem, prices, blur)
    value = float(prices @ problem.capacity) + answer.worth
    return _Point(prices, value, problem.capacity - answer.used, answer.x)


def _least(problem: Problem, prices: Floats, blur: float) -> Floats:
    """Return the prices that make the blurred bound least, from `prices` on."""
    here = _at(problem, prices, blur)
    for _ in range(_STEPS):
        there = _step(problem, here, blur)
        if there is None:
            break
        gained, here = here.value - there.value, there
        if gained < _ENOUGH * abs(here.value):
            break
    return here.prices


def _step(problem: Problem, here: _Point, blur: float) -> _Point | None:
    """Return a better point along the projected Newton direction, or None where there is none."""
    free = (here.prices > 0) | (here.slope < 0)
    if not here.slope[free].any():
        return None
    direction = np.zeros(len(free))
    direction[free] = _newton(problem, here, free, blur)
    size = 1.0
    while size > 1e-6:
        prices = np.maximum(here.prices - size * direction, 0.0)
        there = _at(problem, prices, blur)
        if there.value <= here.value - 1e-4 * float(here.slope @ (here.prices - prices)):
            return there
        size *= 0.5 if size > 0.1 else 0.1
    return None


def _newton(problem: Problem, here: _Point, free: Mask, blur: float) -> Floats:
    """Return curvature⁻¹ slope over the free limits."""
    whole = bent(problem, here.x)
    curvature = whole if free.all() else whole[free][:, free]
    return _damped(curvature, here.slope[free], problem.usual[free]) * blur


def _damped(bending: sparse.csr_array, slope: Floats, amount: Floats) -> Floats:
    """Return (bending + damping)⁻¹ slope, in blurs.

    The curvature holds while few more customers come into doubt, so no price may move its offers by much more than the
    blur. Damping, not cutting, keeps the direction one of descent (Levenberg 1944), and serves where none is in doubt.
    """
    own = bending.diagonal()
    least = np.maximum(np.abs(slope) * amount / _REACH - own, 1e-9 * amount**2)
    for more in (0.0, 1e-4, 1e-2, 1.0, 100.0):
        curvature = bending + sparse.diags_array(least + more * (own + least))
        scale = 1 / np.sqrt(curvature.diagonal())
        scaled = sparse.diags_array(scale) @ curvature @ sparse.diags_array(scale)
        solved = scale * cg(scaled, scale * slope, rtol=1e-6, maxiter=200)[0]
        if np.abs(solved * amount).max() <= _FARTHEST:
            break
    return np.asarray(solved, dtype=np.float64)
