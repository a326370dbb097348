"""The default ranker: a response affinity and an Explainable Boosting Machine on top, compiled into a `Scorecard`.

1. *Response affinity* (`affinity`): a low-rank linear model of who says yes to what; its rank is chosen on held-out
   customers.
2. *Boosting* (`boosting`): main effects of customer, product and pair features and the strongest product interactions,
   on top of the cross-fitted affinity.
3. *Stacking* (`evidence.stack`): every part gets a multiplier ≥ 0 learned on rows it was not fitted to; noise gets 0.
   This also calibrates.
4. *Level* (`level`): where acceptance moves with time, the latest offers' level counts.
5. *Compiling*: everything becomes bin edges and float32 tables, and so does what the data leave open (`spreading`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from nextoffer.models.assembly import assemble
from nextoffer.models.boosting import BoostSettings, Term, boost, rank_interactions
from nextoffer.models.compiled import CompiledRanker, mixed_card
from nextoffer.models.design import Design
from nextoffer.models.evidence import stack
from nextoffer.models.lending import Lending
from nextoffer.models.level import recent_level
from nextoffer.models.offset import Offset
from nextoffer.models.pairs import coverage
from nextoffer.models.prepared import prepare
from nextoffer.models.scorecard import Scorecard, with_average
from nextoffer.models.spreading import learned_spread
from nextoffer.models.training import Training
from nextoffer.tables.flow import Floats, Indices


@dataclass(frozen=True)
class GlassboxRanker(CompiledRanker):
    """An additive model with exact reasons.

    Parameters
    ----------
    folds
        Customers are dealt into this many folds; each is held out once.
    max_rank
        The response affinity has at most this many factors.
    interactions
        At most this many product × feature interactions are boosted.
    boosting
        Settings of the Explainable Boosting Machine; None leaves it out.
    seed
        Keys the folds.
    """

    folds: int = 4
    max_rank: int = 3
    interactions: int = 10
    boosting: BoostSettings | None = field(default_factory=BoostSettings)
    seed: int = 7
    name: str = "glassbox"

    def fit(self, training: Training) -> Self:
        """Return a fitted ranker. Raises `ModelError` where labels are all alike or there are none."""
        training.require_both_answers()
        ready = prepare(training, folds=self.folds, seed=self.seed, max_rank=self.max_rank)
        design, folds, offset = ready.design, ready.folds, ready.offset
        terms = self._boosted(design, training, folds, offset)
        parts = np.column_stack([offset.linear, *(t.held_out(design.codes, folds) for t in terms)])
        multipliers = stack(parts, training.labels, offset.base, training.weights)
        pairs = training.pair_features[-1]
        card = with_average(assemble(design, offset, terms, multipliers), training.snapshots[-1], pairs)
        known = learned_spread(design, training, offset.affinity, terms=terms, multipliers=multipliers, card=card)
        summary = _summary(design, training, offset, terms, multipliers)
        held_out = offset.base + parts @ multipliers[:-1] + multipliers[-1]
        level = recent_level(held_out, training.labels, training.weights, group=training.snapshot, days=training.days)
        card = replace(card, intercept=card.intercept + np.float32(level.shift))
        card = _lent(replace(card, spread=known, unseen=training.unseen), training)
        summary["level"] = level.summary()
        return replace(self, card_=card, pairs_=pairs, summary_=summary, held_out_=held_out)

    def _boosted(self, design: Design, training: Training, folds: Indices, offset: Offset) -> list[Term]:
        if self.boosting is None:
            return []
        target = (training.labels, training.weights, offset.base + offset.linear)
        candidates = design.product_interactions()
        strength = rank_interactions(design.codes, candidates, target)
        noise = np.sqrt(2.0 * np.log(max(len(candidates), 2)))  # the universal threshold of `evidence.stack`
        best = [candidates[i] for i in np.argsort(-strength, kind="stable")[: self.interactions] if strength[i] > noise]
        return boost(design.codes, design.columns, target, folds=folds, interactions=best, settings=self.boosting)


def _lent(card: Scorecard, training: Training) -> Scorecard:
    """The card with its lending, where products without offers have borrowed."""
    types, every = training.products.types, np.arange(len(training.products))
    lending = Lending.of(training, card.levels)
    if training.unseen.any():
        card = mixed_card(card, lending.shares(types, every, types), types, every, types)
    return replace(card, lending=lending)


def _summary(
    design: Design, training: Training, offset: Offset, terms: list[Term], multipliers: Floats
) -> dict[str, Any]:
    names = [c.name for c in design.columns]
    weighed = [(" × ".join(names[a] for a in t.axes), float(s)) for t, s in zip(terms, multipliers[1:-1], strict=True)]
    kept = sorted(((n, round(s, 4)) for n, s in weighed if s > 0), key=lambda w: -w[1])
    return {
        "pairs": len(training),
        "accepted": float(training.labels.sum()),
        "affinity_rank": offset.affinity.rank,
        "affinity_multiplier": round(float(multipliers[0]), 4),
        "held_out_log_likelihood_by_rank": offset.held_out,
        "terms_boosted": len(terms),
        "terms_kept": dict(kept),
        "collaborative_coverage_training": coverage(training.pair_features[0], training.snapshots[0]),
        "collaborative_coverage_scoring": coverage(training.pair_features[-1], training.snapshots[-1]),
    }
