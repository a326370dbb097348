"""How often intervals of uplift hold the truth: curves, tenths, whom to contact, and cross-fitted orders.

Orders stand as given, from an earlier time; cross-fitted ones are learned anew in every trial, and their truth is the
mean of what orders learned so are worth. Customers answer with 0 or 1 or with skewed amounts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from nextoffer.evaluate.uplift import (
    Contacts,
    auuc,
    auuc_difference,
    average_effect,
    best_share,
    contacted_above,
    deciles,
    qini,
    ranked_within,
)
from nextoffer.evaluate.uplift_trial import observed_effect
from nextoffer.intervals import Interval
from nextoffer.models.uplift import Trial, cross_fitted, folds_of

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator

COST, WORTH, MANY = 0.03, 1.0, 200_000
FIGURES = (
    "average effect",
    "AUUC",
    "AUUC, difference of two orders",
    "effect in the best tenth",
    "effect in the worst tenth",
    "value of contacting the worthwhile",
    "value of contacting everybody",
)
BEST_SHARE = "best share to contact"
_AMOUNT = 0.8


@dataclass(frozen=True)
class Kind:
    """Trials of one kind: rows, the chance of contact, the effect's mean and slope in log-odds, amounts, rows each."""

    customers: int = 600
    chance: float = 0.5
    effect: tuple[float, float] = (0.4, 0.5)
    amounts: bool = False
    each: int = 1

    def played(self, draw: Generator, customers: int) -> tuple[Floats, Contacts, Floats]:
        """Return what is known (n, 3), a trial, and the true effect on each customer (n,)."""
        who = np.arange(customers) // self.each
        x = draw.normal(size=(customers, 3))[who]
        mean, slope = self.effect
        without = expit(-2.2 + 0.7 * x[:, 0])
        lifted = expit(-2.2 + 0.7 * x[:, 0] + mean + slope * x[:, 1]) if slope or mean else without
        treated = draw.random(customers) < self.chance
        outcomes = (draw.random(customers) < np.where(treated, lifted, without)).astype(np.float64)
        worth = 1.0
        if self.amounts:
            outcomes *= draw.lognormal(0.0, _AMOUNT, customers)
            worth = float(np.exp(_AMOUNT**2 / 2))
        known = np.full(customers, self.chance) if self.chance != 0.5 else None
        several = who if self.each > 1 else None
        return x, Contacts(outcomes, treated, known, several), (lifted - without) * worth


KINDS = {
    "half contacted": Kind(),
    "one in five contacted, chance known": Kind(1000, 0.2),
    "skewed amounts": Kind(1000, amounts=True),
    "no effect": Kind(500, effect=(0.0, 0.0)),
    "three offers each": Kind(900, each=3),
}


def _orders(x: Floats) -> tuple[Floats, Floats]:
    """Two earlier models' uplift, which know part of it."""
    return 0.03 + 0.05 * (x[:, 1] + 0.7 * x[:, 2]), 0.03 + 0.05 * (x[:, 0] - x[:, 1])


def _found(contacts: Contacts, x: Floats) -> dict[str, Interval]:
    one, other = _orders(x)
    tenths = deciles(contacts, one)
    above = contacted_above(contacts, one, worth=WORTH, cost=COST)
    areas = auuc(contacts, one), auuc_difference(contacts, one, other)
    found = (average_effect(contacts), *areas, tenths[0], tenths[-1], above.value, above.everybody)
    return dict(zip(FIGURES, found, strict=True))


@lru_cache
def truths(kind: str) -> dict[str, float]:
    """Return every figure from the true effects on very many customers."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    draw = np.random.default_rng(3)
    for _ in range(2):
        x, _, effect = KINDS[kind].played(draw, MANY)
        one, other = _orders(x)
        places = [0.5 - np.argsort(np.argsort(-order)) / len(x) for order in (one, other)]
        net, cuts = effect * WORTH - COST, np.quantile(one, (0.1, 0.9))
        values = (
            effect.mean(),
            (effect * places[0]).mean(),
            (effect * (places[0] - places[1])).mean(),
            effect[one >= cuts[1]].mean(),
            effect[one <= cuts[0]].mean(),
            np.where(one * WORTH > COST, net, 0.0).mean(),
            net.mean(),
            _best(net, one),
        )
        for name, value in zip((*FIGURES, BEST_SHARE), values, strict=True):
            found[name].append(float(value))
    return {name: float(np.mean(each)) for name, each in found.items()}


def _best(net: Floats, order: Floats) -> float:
    gain = np.cumsum(net[np.argsort(-order)])
    return (int(gain.argmax()) + 1) / len(net) if gain.max() > 0 else 0.0


@lru_cache
def held(seed: int, repetitions: int, kind: str) -> dict[str, float]:
    """Return by figure the share of trials in which its interval held the truth."""
    draw, hits = np.random.default_rng([seed, *kind.encode()]), defaultdict[str, list[bool]](list)
    for _ in range(repetitions):
        x, contacts, _ = KINDS[kind].played(draw, KINDS[kind].customers)
        for name, i in _found(contacts, x).items():
            hits[name].append(i.low <= truths(kind)[name] <= i.high)
    return {name: float(np.mean(each)) for name, each in hits.items()}


def _of(seed: int, repetitions: int, *, kind: str, name: str) -> float:
    return held(seed, repetitions, kind)[name]


def observed(seed: int, repetitions: int) -> float:
    """Share that took up of offers made less that of the fifth held back, three offers each to 300 customers."""
    draw, kind, hits = np.random.default_rng([seed, 6]), Kind(900, 0.8, each=3), []
    for _ in range(repetitions):
        _, contacts, _ = kind.played(draw, kind.customers)
        found = observed_effect(contacts)
        hits.append(found.low <= truths("half contacted")["average effect"] <= found.high)
    return float(np.mean(hits))


def _one(seed: int, repetitions: int, *, figure: Callable[[Contacts, Floats], Interval], name: str) -> float:
    draw, hits, truth = np.random.default_rng([seed, 4]), [], truths("half contacted")[name]
    for _ in range(repetitions):
        x, contacts, _ = KINDS["half contacted"].played(draw, 600)
        found = figure(contacts, _orders(x)[0])
        hits.append(found.low <= truth <= found.high)
    return float(np.mean(hits))


CROSSED = {
    "no effect": Kind(900, effect=(0.0, 0.0)),
    "the same effect on all": Kind(900, effect=(0.5, 0.0)),
    "effects that differ": Kind(900, effect=(0.4, 1.0)),
}


@lru_cache
def crossed(seed: int, repetitions: int, kind: str) -> dict[str, float]:
    """Return the same of orders that are cross-fitted in four folds."""
    draw, customers = np.random.default_rng([seed, *kind.encode(), 5]), np.arange(CROSSED[kind].customers)
    found: defaultdict[str, list[Interval]] = defaultdict(list)
    worth: defaultdict[str, list[float]] = defaultdict(list)
    for k in range(repetitions):
        x, contacts, effect = CROSSED[kind].played(draw, len(customers))
        trial = Trial(x, contacts.treated.astype(np.intp), contacts.outcomes)
        order = cross_fitted(trial, customers, learner="t", base="line", seed=k)[:, 0]
        folds = folds_of(customers, seed=k)
        within = ranked_within(order, folds)
        found["AUUC"].append(auuc(contacts, order, folds=folds))
        found["AUUC as of other customers"].append(_narrower(found["AUUC"][-1]))
        found["effect in the best tenth"].append(deciles(contacts, order, folds=folds)[0])
        found["value of contacting the worthwhile"].append(
            contacted_above(contacts, order, cost=COST, folds=folds).value
        )
        worth["value of contacting the worthwhile"].append(float(np.where(order > COST, effect - COST, 0.0).mean()))
        worth["AUUC"].append(float((effect * (within - 0.5)).mean()))
        worth["effect in the best tenth"].append(float(effect[within >= 0.9].mean()))
    worth["AUUC as of other customers"] = worth["AUUC"]
    return {
        name: float(np.mean([i.low <= np.mean(worth[name]) <= i.high for i in each])) for name, each in found.items()
    }


def _narrower(found: Interval) -> Interval:
    """Return the interval that the same order would have if the folds were not told."""
    low, high = (found.estimate + (bound - found.estimate) / 2**0.5 for bound in (found.low, found.high))
    return Interval(found.estimate, low, high, found.n)


def _crossed(seed: int, repetitions: int, *, kind: str, name: str) -> float:
    return crossed(seed, repetitions, kind)[name]


def _rows() -> Iterator[tuple[str, float, str, Callable[[int, int], float]]]:
    for kind in KINDS:
        for name in FIGURES:
            few = kind == "one in five contacted, chance known"  # twenty contacted in a tenth, and two or three answers
            reading = ("band" if few else "at least") if "tenth" in name else "covers"
            yield f"uplift, {name}, {kind}", 0.95, reading, partial(_of, kind=kind, name=name)
    yield "uplift, effect of offers held back, observed", 0.95, "covers", observed
    yield "uplift, Qini", 0.95, "covers", partial(_one, figure=qini, name="AUUC")
    share = partial(best_share, worth=WORTH, cost=COST)
    yield f"uplift, {BEST_SHARE}", 0.95, "band", partial(_one, figure=share, name=BEST_SHARE)
    for kind in CROSSED:
        for name in ("AUUC", "effect in the best tenth", "value of contacting the worthwhile"):
            yield f"uplift, cross-fitted {name}, {kind}", 0.95, "at least", partial(_crossed, kind=kind, name=name)
    play = partial(_crossed, kind="no effect", name="AUUC as of other customers")
    yield "uplift, cross-fitted AUUC, folds not told", 0.95, "contrast", play


ROWS = tuple(_rows())
"""Name, nominal share, how it is to be read, and the function of seed and repetitions."""
