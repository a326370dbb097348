"""The choice ranker: an additive conditional logit over the products that compete for one customer.

Where a customer may take up any of the products not held, what matters is which one. Each customer at a snapshot is one
choice set: the pairs that the training lists for it. The log-odds of a product add up a term per feature and a term per
pair of features (`indicators`), learned jointly for all products (`logit`) and compiled into a `Scorecard`. Few of the
many pairs matter, so the prior is heavy-tailed.

It ranks first: a likelihood of choices does not see what raises all of a customer's products alike, so the propensities
are right on average (their mean over the training pairs is the observed rate), not customer by customer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Self

import numpy as np
import numpy.typing as npt

from nextoffer.models.coding import Codes, Coding, code_table, learn_codings
from nextoffer.models.compiled import CompiledRanker
from nextoffer.models.design import customer_features
from nextoffer.models.indicators import Block, Indicators, common, crossed, main_effects
from nextoffer.models.logit import Choices, Likelihood, Logit, heavy_tailed
from nextoffer.models.ranker import sigmoid
from nextoffer.models.scorecard import Cross, Scorecard, with_average
from nextoffer.models.spread import Spread
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable, Floats, Indices

Flags = npt.NDArray[np.bool_]

CROSSES = (("held", "held"), ("tenure_days", "held"), ("holdings_count", "held"))
_CROSS_RIDGE = 4.0
"""A term of two features is drawn to 0 so many times as strongly as one of a single feature."""
_REFINEMENTS = 3
_JACKKNIFED = 10_000
"""The jackknife is averaged over about so many choice sets."""


@dataclass(frozen=True)
class ChoiceRanker(CompiledRanker):
    """A conditional logit with exact reasons.

    Parameters
    ----------
    crosses
        Which features meet: pairs of feature names, or of measures kept once per product (``held``), which stand for
        all their columns. Names that a bank does not have are passed over.
    ridges
        Strengths of the ridge to choose from on a held-out fold of customers.
    bins
        A number has at most this many.
    least
        An indicator needs at least this many customers.
    iterations
        L-BFGS stops here at the latest (at half of it when the prior is refined).
    folds, seed
        Customers are dealt into this many folds, by this key. The tables are the mean over as many fits, each without
        one fold; the first of them chooses the ridge.
    """

    crosses: tuple[tuple[str, str], ...] = CROSSES
    ridges: tuple[float, ...] = (16.0, 8.0, 4.0)
    bins: int = 24
    least: int = 10
    iterations: int = 120
    folds: int = 5
    seed: int = 7
    name: str = "choice"

    def fit(self, training: Training) -> Self:
        """Return a fitted ranker. Raises `ModelError` where labels are all alike or there are none."""
        training.require_both_answers()
        codings, codes = _coded(training, self.bins)
        sets = ChoiceSets.of(training, codes)
        whole = sets.choices(np.ones(len(sets), dtype=bool))
        candidates = main_effects(codings) + crossed(codings, self._meeting(codings, training.snapshots[-1]))
        indicators = common(candidates, whole.codes, whole.count, least=self.least)
        folds = training.folds(self.folds, self.seed)
        tried, first = self._tried(indicators, sets, folds == 0)
        ridge = min(tried, key=lambda r: tried[r])
        others = (Likelihood.of(indicators, sets.without(folds == fold)) for fold in range(1, self.folds))
        fits = [first, *(self._fitted(learn, ridge, None) for learn in others)]
        fitted = Logit.mean(fits)
        fitted = replace(fitted, intercept=fitted.intercept + _shift(fitted, indicators, whole))
        pairs = training.pair_features[-1]
        card = with_average(compiled(fitted, indicators, codings), training.snapshots[-1], pairs)
        spread = Spread.of_products(_jackknife(fits, indicators, whole))
        summary = {
            "pairs": len(training),
            "accepted": float(training.labels.sum()),
            "choice_sets": len(sets),
            "distinct_choice_sets": len(whole.count),
            "indicators": len(indicators),
            "ridge": ridge,
            "held_out_loss_by_ridge": {str(r): round(v, 3) for r, v in tried.items()},
            "iterations": fitted.iterations,
        }
        return replace(self, card_=replace(card, spread=spread, unseen=training.unseen), pairs_=pairs, summary_=summary)

    def _meeting(self, codings: Sequence[Coding], features: FeatureTable) -> list[tuple[int, int]]:
        """Return the pairs of columns that `crosses` names, each once."""
        measure = {c.name: c.measure for c in features.columns}

        def named(name: str) -> list[int]:
            return [i for i, c in enumerate(codings) if name in (c.name, measure[c.name])]

        found: dict[tuple[int, int], None] = {}
        for a, b in self.crosses:
            meeting = combinations(named(a), 2) if a == b else product(named(a), named(b))
            found |= {(min(i, j), max(i, j)): None for i, j in meeting if i != j}
        return list(found)

    def _tried(self, indicators: Indicators, sets: ChoiceSets, held_out: Flags) -> tuple[dict[float, float], Logit]:
        """Return the held-out loss of each ridge from strong to weak, up to the first that does worse, and the best."""
        learn, judge = (Likelihood.of(indicators, sets.without(pairs)) for pairs in (held_out, ~held_out))
        strongest, *weaker = sorted(self.ridges, reverse=True)
        best = self._fitted(learn, strongest, None)
        tried = {strongest: judge.loss(best)}
        for ridge in weaker:
            fitted = self._fitted(learn, ridge, best)
            tried[ridge] = judge.loss(fitted)
            if tried[ridge] > min(tried.values()):
                break
            best = fitted
        return tried, best

    def _fitted(self, likelihood: Likelihood, ridge: float, start: Logit | None) -> Logit:
        """Return the fit under a ridge, refined under the heavier-tailed prior of the same scale."""
        indicators = likelihood.indicators
        crosses = [np.full(b.size, len(b.axes) - 1.0) for b in indicators.blocks]
        strength = ridge * _CROSS_RIDGE ** np.concatenate([np.zeros(0), *crosses])[:, None]
        usable = likelihood.usable(self.least)[:, None]
        fitted = likelihood.fit(np.where(usable, strength, np.inf), start=start, iterations=self.iterations)
        for _ in range(_REFINEMENTS):
            penalty = np.where(usable, heavy_tailed(strength, fitted.steps), np.inf)
            fitted = likelihood.fit(penalty, start=fitted, iterations=self.iterations // 2)
        return fitted


@dataclass(frozen=True)
class ChoiceSets:
    """One row per customer and snapshot that the training lists.

    Attributes
    ----------
    codes
        (n, F) bins.
    offered, accepted
        (n, P) total weight of the pairs, and of the accepted ones.
    set_of_pair
        (m,) the row of each training pair.
    """

    codes: Codes
    offered: Floats
    accepted: Floats
    set_of_pair: Indices

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, training: Training, codes: Codes) -> ChoiceSets:
        """Return the choice sets of a training; `codes` are those of all snapshots, one after the other."""
        rows, place = np.unique(training.stacked_rows, return_inverse=True)
        products = len(training.products)
        cell = place * products + training.cols
        size = len(rows) * products

        def total(weights: Floats) -> Floats:
            return np.asarray(np.bincount(cell, weights, size), dtype=np.float64).reshape(len(rows), products)

        return cls(codes[rows], total(training.weights), total(training.weights * training.labels), place)

    def choices(self, keep: Flags) -> Choices:
        """Return the sets where `keep`, equal ones laid together."""
        return Choices.of(self.codes[keep], self.offered[keep], self.accepted[keep])

    def without(self, pairs: Flags) -> Choices:
        """Return the sets that hold none of the given pairs; a set's pairs are of one customer, so of one fold."""
        keep = np.ones(len(self), dtype=bool)
        keep[self.set_of_pair[pairs]] = False
        return self.choices(keep)


def _coded(training: Training, bins: int) -> tuple[tuple[Coding, ...], Codes]:
    """Return the codings of the customer features that vary, and the codes of all snapshots one after the other."""
    names = customer_features(training.snapshots[-1])
    codings = learn_codings(training.snapshots, names, max_bins=bins)
    codes = np.concatenate([code_table(codings, s) for s in training.snapshots])
    varies = [i for i in range(len(codings)) if codes[:, i].min() != codes[:, i].max()]
    return tuple(codings[i] for i in varies), np.ascontiguousarray(codes[:, varies])


def _shift(fitted: Logit, indicators: Indicators, choices: Choices) -> float:
    """Return what to add so that the mean propensity of the pairs is their observed rate."""
    from scipy.optimize import brentq

    log_odds = fitted.log_odds(indicators, choices.codes)
    accepted = choices.accepted.sum()
    return float(brentq(lambda d: float((choices.offered * sigmoid(log_odds + d)).sum() - accepted), -100.0, 100.0))


def _jackknife(fits: Sequence[Logit], indicators: Indicators, choices: Choices) -> Floats:
    """Return (P,): the delete-a-group jackknife's variance of each product's log-odds, mean over the choice sets."""
    some = choices.take(np.arange(0, len(choices.codes), max(1, len(choices.codes) // _JACKKNIFED)))
    spread = np.stack([f.log_odds(indicators, some.codes) for f in fits]).var(axis=0)
    return np.asarray((len(fits) - 1.0) * np.average(spread, axis=0, weights=some.count))


def compiled(fitted: Logit, indicators: Indicators, codings: Sequence[Coding]) -> Scorecard:
    """Return the scorecard of the coefficients; features without any effect are left out."""
    products = len(fitted.intercept)
    tables = {i: np.zeros((c.bins, products)) for i, c in enumerate(codings)}
    crosses: list[Cross] = []
    used: set[int] = set()
    for block, part in indicators.parts(indicators.summed(fitted.steps)):
        if not part.any():
            continue
        used |= {axis.feature for axis in block.axes}
        if len(block.axes) == 1:
            tables[block.axes[0].feature][_bins(block)] = part
        else:
            a, b = (codings[axis.feature] for axis in block.axes)
            table = np.zeros((a.bins, b.bins, products), dtype=np.float32)
            table[_bins(block)] = part.reshape(*block.shape, products)
            crosses.append(Cross(a.name, b.name, table))
    kept = sorted(used)
    return Scorecard(
        tuple(codings[i] for i in kept),
        tuple(tables[i].astype(np.float32) for i in kept),
        (),
        (),
        tuple(crosses),
        fitted.intercept.astype(np.float32),
        np.zeros((products, len(kept)), dtype=np.float32),
    )


def _bins(block: Block) -> tuple[slice, ...]:
    return tuple(slice(axis.first, axis.first + axis.count) for axis in block.axes)
