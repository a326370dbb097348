"""The smallest change of levers that brings groups' ratio above a line: a search over plain arrays.

A lever weighs a product, or a product type, for every customer alike; the groups tell the search what its levers do,
and no lever asks for them. Each customer's open products are ranked anew for each candidate: so ratios and worth are
those that deciding would give, for the customers searched on.

The search goes over a grid of log-weights, `STEPS_PER_DOUBLING` to a doubling, coordinate by coordinate: first every
lever alone; where none reaches the line, the one whose step raises the ratio most is kept and the others are tried
beside it; then each lever is moved to where least is given up and the line still reached; at the end a factor common to
all and levers that do next to nothing are taken out. It is not certain to
find the smallest change there is; what it finds holds, and is priced. Nobody is levelled down: what leaves the lowest
group a lower rate than it has is no remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nextoffer.evaluate.funnel import FIRST, OFFERED
from nextoffer.tables.flow import Floats, Indices

BOUNDS = (0.25, 4.0)
"""The least and the greatest weight that a lever may get."""
STEPS_PER_DOUBLING = 8
_REACH = 2 * STEPS_PER_DOUBLING  # log2 of the greatest weight, in steps
_MOST_ROUNDS = 10
_TO_SPEAK_OF = 1e-3  # share of the worth that one lever less may give up more

Weights = tuple[int, ...]


@dataclass(frozen=True)
class Ranked:
    """n customers × P products before they are put in order.

    Attributes
    ----------
    score
        float64 (n, P): what is sorted; −inf where the pair is not open.
    worth
        float64 (n, P): what an offer is expected to earn.
    room
        int (n,): at most so many offers.
    groups
        int (n,): places of groups.
    """

    score: Floats
    worth: Floats
    room: Indices
    groups: Indices

    @classmethod
    def joined(cls, parts: Sequence[Ranked]) -> Ranked:
        """Return the customers of all parts."""
        return cls(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("score", "worth", "room", "groups")))


@dataclass(frozen=True)
class Goal:
    """What is to be reached.

    Attributes
    ----------
    wanted
        bool (P,): the products whose offers are compared.
    step
        `FIRST`: first offers; `OFFERED`: all.
    sizes
        float64 (K,): customers of each group among those searched on, also those with no open product.
    judged
        Places of the groups that must reach the line.
    reference
        Place of the group they are compared with; None: the highest of the judged, whichever that comes to be.
    line
        The least ratio.
    """

    wanted: npt.NDArray[np.bool_]
    step: str
    sizes: Floats
    judged: tuple[int, ...]
    reference: int | None
    line: float


@dataclass(frozen=True)
class Outlook:
    """What weights lead to: the lowest ratio among the groups, the lowest rate, and the worth of the offers."""

    weights: Weights
    ratio: float
    lowest: float
    worth: float

    def factors(self) -> list[float]:
        """Return the weights as factors."""
        return [2.0 ** (step / STEPS_PER_DOUBLING) for step in self.weights]


@dataclass
class Search:
    """Looks for levers over a sample of customers.

    Parameters
    ----------
    sample
        The customers.
    goal
        What is to be reached.
    levers
        bool (L, P): the products of each lever.
    """

    sample: Ranked
    goal: Goal
    levers: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Begin with nothing known."""
        self._known: dict[Weights, Outlook] = {}

    @property
    def start(self) -> Outlook:
        """What is, without a lever."""
        return self.outlook((0,) * len(self.levers))

    def found(self) -> Outlook | None:
        """Return the cheapest levers found that reach the line; None where none do."""
        start = self.start
        if start.ratio >= self.goal.line:
            return start
        reached = self._reached(start)
        return None if reached is None else self._fewest(self._drawn_back(reached))

    def best(self) -> Outlook:
        """Return the highest ratio seen that levels nobody down."""
        fair = (each for each in self._known.values() if each.lowest >= self.start.lowest)
        return max(fair, key=lambda each: (each.ratio, each.worth))

    def _reached(self, start: Outlook) -> Outlook | None:
        at = start
        for _ in range(_MOST_ROUNDS):
            near = self._near(at)
            enough = [each for each in near if each.ratio >= self.goal.line]
            if enough:
                return max(enough, key=lambda each: (each.worth, -_moved(each)))
            better = max(near, key=lambda each: (each.ratio, each.worth), default=at)
            if better.ratio <= at.ratio:
                return None
            at = better
        return None

    def _drawn_back(self, at: Outlook) -> Outlook:
        """Return the best of what lies along each lever and still reaches the line, until nothing is better."""
        for _ in range(_MOST_ROUNDS):
            near = self._near(at)
            better = max((each for each in near if each.ratio >= self.goal.line), key=_merit, default=at)
            if _merit(better) <= _merit(at):
                return at
            at = better
        return at

    def _fewest(self, at: Outlook) -> Outlook:
        """Return the same order with fewest levers: a factor on every product alike changes nothing."""
        base = self._partition() or frozenset()
        found = [self._without_idle(at, at.worth)]
        for by in {at.weights[i] for i in base}:
            weights = tuple(step - by if i in base else step for i, step in enumerate(at.weights))
            if max(map(abs, weights)) <= _REACH and self._as_good(self.outlook(weights), at.worth):
                found.append(self._without_idle(self.outlook(weights), at.worth))
        return min(found, key=lambda each: (sum(step != 0 for step in each.weights), _moved(each)))

    def _without_idle(self, at: Outlook, worth: float) -> Outlook:
        """Return the same without the levers that do nothing to speak of."""
        for i in sorted(range(len(at.weights)), key=lambda i: abs(at.weights[i])):
            less = self.outlook((*at.weights[:i], 0, *at.weights[i + 1 :]))
            if self._as_good(less, worth):
                at = less
        return at

    def _as_good(self, each: Outlook, worth: float) -> bool:
        fair = each.ratio >= self.goal.line and each.lowest >= self.start.lowest
        return fair and each.worth >= worth - _TO_SPEAK_OF * abs(worth)

    def _partition(self) -> frozenset[int] | None:
        """Return levers that together weigh every product once; None where the first ones do not."""
        covered, base = np.zeros(self.levers.shape[1], dtype=np.bool_), set()
        for i, products in enumerate(self.levers):
            if not (covered & products).any():
                covered |= products
                base.add(i)
        return frozenset(base) if covered.all() else None

    def _near(self, at: Outlook) -> list[Outlook]:
        """Return what changes of one lever lead to that level nobody down."""
        tried = (self.outlook(each) for i in range(len(self.levers)) for each in _along(at.weights, i))
        return [each for each in tried if each.lowest >= self.start.lowest]

    def outlook(self, weights: Weights) -> Outlook:
        """Return what weights, in steps of the grid, lead to."""
        if weights not in self._known:
            self._known[weights] = self._tried(weights)
        return self._known[weights]

    def _tried(self, weights: Weights) -> Outlook:
        factor = np.prod(np.where(self.levers, 2.0 ** (np.array(weights) / STEPS_PER_DOUBLING)[:, None], 1.0), axis=0)
        sample, goal = self.sample, self.goal
        score = sample.score * factor
        rows = np.arange(len(score))
        if goal.step == FIRST:
            top = score.argmax(axis=1)
            made = (score[rows, top] > -np.inf) & (sample.room > 0)
            chosen = made & goal.wanted[top]
            worth = float(sample.worth[rows, top][made].sum())
        else:
            order = np.argsort(-score, axis=1, kind="stable")[:, : int(sample.room.max(initial=0))]
            there = np.take_along_axis(score, order, axis=1) > -np.inf
            there &= np.arange(order.shape[1]) < sample.room[:, None]
            chosen = np.asarray((there & goal.wanted[order]).any(axis=1))
            worth = float((np.take_along_axis(sample.worth, order, axis=1) * there).sum())
        rates = np.bincount(sample.groups[chosen], minlength=len(goal.sizes)) / np.maximum(goal.sizes, 1.0)
        judged = rates[list(goal.judged)]
        return Outlook(weights, _ratio(rates, goal), float(judged.min()), worth)


def _ratio(rates: Floats, goal: Goal) -> float:
    judged = rates[list(goal.judged)]
    highest = float(judged.max()) if goal.reference is None else float(rates[goal.reference])
    return float(judged.min()) / highest if highest > 0 else 0.0


def _along(weights: Weights, lever: int) -> Iterator[Weights]:
    """Yield every weight of one lever on the grid, the others as they are."""
    for step in range(-_REACH, _REACH + 1):
        if step != weights[lever]:
            yield (*weights[:lever], step, *weights[lever + 1 :])


def _moved(each: Outlook) -> int:
    return sum(abs(step) for step in each.weights)


def _merit(each: Outlook) -> tuple[float, int]:
    return each.worth, -_moved(each)


__all__ = ["BOUNDS", "FIRST", "OFFERED", "Goal", "Outlook", "Ranked", "Search"]
