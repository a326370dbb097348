"""Each customer's best answer to prices: exact, and blurred so that it changes gradually with the prices.

As machine code where kernels are ready; else with numpy, customers with equally many options together. The outcome is
the same to the last bit, as both add up in the order of the options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from nextoffer import compiled
from nextoffer.allocate import kernels
from nextoffer.allocate.offers import Mask
from nextoffer.allocate.problem import Problem
from nextoffer.tables.flow import Floats, Indices

T = TypeVar("T")

_WORTH_A_THREAD = 200_000  # options
_BLOCK = 4_096  # customers


def gains(problem: Problem, prices: Floats) -> Floats:
    """Return float64 (n,): what each option is worth beyond the price of what it uses."""
    if not compiled.ready():
        return np.asarray(problem.value - problem.use @ prices)
    out = np.empty(len(problem))
    middle = int(problem.start[problem.customers // 2])
    at = (problem.value, *problem.entries, prices)
    both(len(problem), lambda: kernels.gains(*at, 0, middle, out), lambda: kernels.gains(*at, middle, len(out), out))
    return out


def best(problem: Problem, gain: Floats) -> Mask:
    """Return bool (n,): each customer's greatest gains above 0, at most `most`, the first among equals."""
    out = np.zeros(len(gain), dtype=np.bool_)
    if compiled.ready():
        half = problem.customers // 2
        at = (problem.offer, problem.most, out)
        both(
            len(gain),
            lambda: kernels.choose(gain, problem.start[: half + 1], *at),
            lambda: kernels.choose(gain, problem.start[half:], *at),
        )
    else:
        for block in _blocks(problem.start):
            out[block] = _best(gain[block], problem.offer[block], problem.most)
    return out


def bound(problem: Problem, prices: Floats, gain: Floats, taken: Mask) -> float:
    """Return the Lagrangian bound at `prices`, given the `best` answer to them: no plan is worth more.

    L(λ) = λ·b + Σ_customers max Σ (v − λ·a) x, for any λ ≥ 0 (Geoffrion 1974; Fisher 1981).
    """
    return float(prices @ problem.capacity + gain[taken].sum())


@dataclass(frozen=True)
class Blurred:
    """The customers' answer x (n,), from 0 to 1; what it is worth less what the blur costs; and what it uses (M,)."""

    x: Floats
    worth: float
    used: Floats


def blurred(problem: Problem, prices: Floats, blur: float) -> Blurred:
    """Return the x that maximises gain·x − blur/2 |x|² for each customer; 0 ≤ x ≤ 1, Σx ≤ most.

    The customers are two halves, worked on side by side where kernels are ready, and added up in the same order always.
    """
    if problem.alternatives and problem.most > 1:
        return _of_offers(problem, prices, blur)
    half = problem.customers // 2
    x = np.empty(len(problem))
    a, b = both(
        len(problem),
        lambda: _answered(problem, prices, blur, range(half), x),
        lambda: _answered(problem, prices, blur, range(half, problem.customers), x),
    )
    used = a[1] + b[1]
    return Blurred(x, a[0] + b[0] - float(prices @ used), used)


def both(options: int, one: Callable[[], T], other: Callable[[], T]) -> tuple[T, T]:
    """Return both outcomes; the work is done side by side where it is worth a thread."""
    if not compiled.ready() or options < _WORTH_A_THREAD:
        return one(), other()
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(other)
        return one(), beside.result()


def _answered(problem: Problem, prices: Floats, blur: float, customers: range, x: Floats) -> tuple[float, Floats]:
    """Write the answers of a range of customers to `x` (n,); return their worth before prices, and what they use."""
    used, worth = np.zeros(len(problem.capacity)), 0.0
    if not compiled.ready():
        at = slice(problem.start[customers.start], problem.start[customers.stop])
        start, value, use = (
            problem.start[customers.start : customers.stop + 1] - at.start,
            problem.value[at],
            problem.use[at],
        )
        x[at] = _answer(value - use @ prices, start, problem.most, blur)
        each = value * x[at] - 0.5 * blur * x[at] * x[at]
        return float(each.cumsum()[-1]) if len(each) else 0.0, np.asarray(use.T @ x[at])
    for c in customers[::_BLOCK]:  # what a block reads and writes stays in the processor's cache
        start = problem.start[c : min(c + _BLOCK, customers.stop) + 1]
        first, last = int(start[0]), int(start[-1])
        kernels.gains(problem.value, *problem.entries, prices, first, last, x)
        kernels.respond(x, start, problem.most, blur, x)
        worth = kernels.add_up(problem.value, x, *problem.entries, blur, first, last, worth, used)
    return worth, used


def _of_offers(problem: Problem, prices: Floats, blur: float) -> Blurred:
    """Return the answer where a customer may have several offers, and an offer one of several options.

    The same is done twice: options make up what an offer gains, and offers compete with that gain.
    """
    gain = gains(problem, prices)
    within, (start, place) = problem.within, problem.by_offer
    inner = _answer(gain, within, 1, blur)
    offered = np.add.reduceat(gain * inner - 0.5 * blur * inner * inner, within[:-1])
    outer = _answer(offered, start, problem.most, blur)
    x = outer[place] * inner
    return Blurred(x, float(offered @ outer - 0.5 * blur * (outer @ outer)), problem.use.T @ x)


def _answer(gain: Floats, start: Indices, most: int, blur: float) -> Floats:
    out = np.zeros(len(gain))
    if compiled.ready():
        kernels.respond(gain, start, most, blur, out)
    else:
        for at in _blocks(start):
            out[at] = _respond(gain[at], most, blur)
    return out


def _blocks(start: Indices) -> Iterator[Indices]:
    """Yield (customers, width) places of options, for each number of options that customers have."""
    width = np.diff(start)
    for w in np.unique(width).tolist():
        yield start[:-1][width == w][:, None] + np.arange(w)


def _best(gain: Floats, offer: Indices, most: int) -> Mask:
    out = np.zeros(gain.shape, dtype=np.bool_)
    left = np.where(gain > 0, gain, -np.inf)
    row = np.arange(len(gain))
    for _ in range(min(most, gain.shape[1])):
        first = left.argmax(axis=1)
        found = left[row, first] > -np.inf
        out[row[found], first[found]] = True
        left[(offer == offer[row, first][:, None]) & found[:, None]] = -np.inf
    return out


def _respond(gain: Floats, most: int, blur: float) -> Floats:
    full = _total(np.clip(gain / blur, 0.0, 1.0)) > most
    level = np.zeros(len(gain))
    level[full] = (_level_of_one if most == 1 else _level)(gain[full], most, blur)
    out: Floats = np.clip((gain - level[:, None]) / blur, 0.0, 1.0)
    return out


def _level_of_one(gain: Floats, most: int, blur: float) -> Floats:  # noqa: ARG001
    level = np.zeros(len(gain))
    before = None
    while True:
        above = gain > level[:, None]
        count = above.sum(axis=1)
        if before is not None and (count == before).all():
            return level
        found = np.maximum((_total(np.where(above, gain, 0.0)) - blur) / np.maximum(count, 1), 0.0)
        level = np.where(count > 0, found, level)
        before = count


def _level(gain: Floats, most: int, blur: float) -> Floats:
    low, level = np.zeros(len(gain)), gain.max(axis=1, initial=0.0)
    for _ in range(kernels.HALVINGS):
        middle = 0.5 * (low + level)
        over = _total(np.clip((gain - middle[:, None]) / blur, 0.0, 1.0)) > most
        low, level = np.where(over, middle, low), np.where(over, level, middle)
    return np.asarray(level, dtype=np.float64)


def _total(x: Floats) -> Floats:
    """Return each row's sum, added up from left to right as a loop would."""
    out = np.zeros(len(x))
    for column in x.T:
        out += column
    return out
