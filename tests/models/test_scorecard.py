"""The scorecard says what the trained parts say, however they were put together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from nextoffer.models.assembly import assemble
from nextoffer.models.boosting import BoostSettings, Term, matrix, read_terms, train
from nextoffer.models.design import PRODUCT, Design
from nextoffer.models.offset import Offset, choose_offset
from nextoffer.models.scorecard import Scorecard, ScorecardScores, with_average
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable, Floats
from tests.models import worlds


@dataclass(frozen=True)
class Trained:
    """An affinity and a machine with three kinds of interactions, trained on one snapshot."""

    training: Training
    design: Design
    offset: Offset
    machine: Any
    terms: list[Term]

    @property
    def affinity(self) -> Floats:
        """(m,) the affinity's part of each pair, by what was learned from all pairs."""
        x = self.design.attributes.values(self.design.codes[:, : self.design.customers])
        return np.asarray(np.einsum("ma,am->m", x, self.offset.affinity.weights[:, self.training.cols]))

    def scored(self, card: Scorecard) -> ScorecardScores:
        return card.score(self.training.snapshots[0], self.training.pair_features[0])

    def of_pairs(self, card: Scorecard) -> Floats:
        return np.asarray(self.scored(card).log_odds[self.training.rows, self.training.cols])


@pytest.fixture(scope="module")
def trained() -> Trained:
    training = worlds.offers(worlds.customers(900), law=worlds.curved_and_crossed, weights=True)
    design, folds = Design.of(training), training.folds(4, 7)
    offset = choose_offset(design, training, folds, max_rank=2)
    column = {c.name: i for i, c in enumerate(design.columns)}
    machine = train(
        design.codes,
        design.columns,
        (training.labels, training.weights, offset.base + offset.linear),
        folds=folds,
        interactions=[
            (design.product, column["age"]),
            (design.product, column["offers"]),
            (column["age"], column["txn_count"]),
            (column["segment"], column["coholding"]),
        ],
        settings=BoostSettings(max_rounds=60),
    )
    return Trained(training, design, offset, machine, read_terms(machine, design.columns))


@pytest.fixture(scope="module")
def card(trained: Trained) -> Scorecard:
    """Return everything at full weight."""
    return assembled(trained, np.r_[np.ones(1 + len(trained.terms)), trained.machine.intercept_])


def assembled(trained: Trained, multipliers: Floats) -> Scorecard:
    return assemble(trained.design, trained.offset, trained.terms, multipliers)


def test_at_full_weight_the_card_is_the_affinity_and_the_machine(trained: Trained, card: Scorecard) -> None:
    expected = trained.offset.affinity.base[trained.training.cols] + trained.affinity
    expected = expected + trained.machine.decision_function(matrix(trained.design.codes))
    assert trained.of_pairs(card) == pytest.approx(expected, abs=1e-5)
    assert np.std(expected) > 0.5


def test_each_term_counts_by_its_multiplier(trained: Trained) -> None:
    multipliers = np.random.default_rng(1).uniform(0, 1, len(trained.terms) + 2)
    multipliers[3] = 0.0
    parts = trained.machine.eval_terms(matrix(trained.design.codes))
    expected = trained.offset.affinity.base[trained.training.cols] + multipliers[0] * trained.affinity
    expected = expected + parts @ multipliers[1:-1] + multipliers[-1]
    assert trained.of_pairs(assembled(trained, multipliers)) == pytest.approx(expected, abs=1e-5)


def test_what_has_no_effect_is_left_out(trained: Trained) -> None:
    nothing = assembled(trained, np.zeros(len(trained.terms) + 2))
    assert nothing.features == ()
    assert nothing.crosses == ()
    scores = trained.scored(nothing)
    assert scores.log_odds == pytest.approx(np.tile(trained.offset.affinity.base, (900, 1)), abs=1e-6)


def test_only_interactions_of_two_features_need_a_table_of_their_own(trained: Trained, card: Scorecard) -> None:
    assert {frozenset((c.a, c.b)) for c in card.crosses} == {
        frozenset(("age", "txn_count")),
        frozenset(("segment", "pair.coholding")),
    }
    assert PRODUCT not in card.features
    assert len(card.features) == len(set(card.features))


def test_parts_add_up_with_interactions_shared_half_and_half(trained: Trained, card: Scorecard) -> None:
    scores = trained.scored(card)
    parts = scores.contributions(trained.training.rows, trained.training.cols)
    total = scores.intercept[trained.training.cols] + parts.sum(axis=1)
    assert total == pytest.approx(trained.of_pairs(card), abs=1e-5)
    (cross,) = [c for c in card.crosses if "txn_count" in (c.a, c.b)]
    alone = Scorecard(
        card.codings, tuple(t * 0 for t in card.tables), (), (), (cross,), card.intercept * 0, card.average
    )
    halves = ScorecardScores(alone, scores.codes, (), {}).contributions(trained.training.rows, trained.training.cols)
    a, b = (card.features.index(n) for n in ("age", "txn_count"))
    assert np.array_equal(halves[:, a], halves[:, b])
    assert np.abs(np.delete(halves, [a, b], axis=1)).max() == 0
    assert np.ptp(halves[:, a]) > 0


def test_the_average_is_that_of_the_customers_given(trained: Trained, card: Scorecard) -> None:
    features, pairs = trained.training.snapshots[0], trained.training.pair_features[0]
    averaged = with_average(card, features, pairs)
    rows = np.arange(900)
    for j in range(6):
        expected = trained.scored(card).contributions(rows, np.full(900, j)).mean(axis=0, dtype=float)
        assert averaged.average[j] == pytest.approx(expected, abs=1e-6)
    few = with_average(card, features, pairs, chunk=10)
    assert few.average == pytest.approx(with_average(card, features.take(np.arange(10)), pairs).average)
    assert not np.allclose(few.average, averaged.average)


def test_a_card_survives_being_written(trained: Trained, card: Scorecard) -> None:
    restored = Scorecard.restore(json.loads(json.dumps(card.to_json())), card.arrays())
    assert restored.features == card.features
    assert np.array_equal(trained.of_pairs(restored), trained.of_pairs(card))


def test_all_that_is_looked_up_is_float32(card: Scorecard) -> None:
    assert {a.dtype for a in card.arrays().values()} == {np.dtype(np.float32)}


def test_a_value_never_seen_is_scored_as_not_known(trained: Trained, card: Scorecard) -> None:
    features = trained.training.snapshots[0].take(np.arange(5))
    place = features.data.column_names.index("segment")
    odd, null = (
        trained.training.pair_features[0],
        [features.data.set_column(place, "segment", [[value] * 5]) for value in ("Martian", None)],
    )
    scores = [card.score(FeatureTable(data, features.columns, features.as_of), odd) for data in null]
    segment = card.features.index("segment")
    rows, cols = np.arange(5), np.zeros(5, dtype=np.intp)
    parts = [s.contributions(rows, cols)[:, segment] for s in scores]
    assert (scores[0].codes[segment] == 0).all()
    assert np.array_equal(parts[0], parts[1])
