from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from nextoffer.models.boosting import BoostSettings, Term, boost, matrix, rank_interactions, read_terms, train
from nextoffer.models.coding import Codes, Coding
from nextoffer.models.ranker import sigmoid
from nextoffer.tables.flow import Floats, Indices

QUICK = BoostSettings(max_rounds=60)
CODINGS = (
    Coding("size", "number", cuts=tuple(np.arange(1.0, 12.0))),
    Coding("colour", "category", categories=("a", "b", "c", "never")),
    Coding("flag", "flag", cuts=(0.5,)),
)


@dataclass(frozen=True)
class Rows:
    """Codes of three columns, labels that follow a curve and a crossing, an offset and folds."""

    codes: Codes
    labels: Floats
    weights: Floats
    offset: Floats
    folds: Indices

    @property
    def target(self) -> tuple[Floats, Floats, Floats]:
        return self.labels, self.weights, self.offset


@pytest.fixture(scope="module")
def rows() -> Rows:
    draw = np.random.default_rng(3)
    count = 3000
    codes = np.column_stack([draw.integers(0, 13, count), draw.integers(0, 4, count), draw.integers(0, 3, count)])
    curve = np.where(codes[:, 0] > 6, 1.0, -1.0) * np.where(codes[:, 1] == 2, -1.5, 1.0) + (codes[:, 2] == 0)
    offset = draw.normal(size=count) * 0.5
    labels = (draw.random(count) < sigmoid(offset + curve)).astype(float)
    weights = draw.integers(1, 3, count).astype(float)
    return Rows(codes.astype(np.uint16), labels, weights, offset, draw.integers(0, 4, count))


def trained(rows: Rows, interactions: Sequence[tuple[int, int]] = ((1, 0),), settings: BoostSettings = QUICK) -> Any:
    return train(rows.codes, CODINGS, rows.target, folds=rows.folds, interactions=interactions, settings=settings)


@pytest.fixture(scope="module")
def machine(rows: Rows) -> Any:
    return trained(rows)


@pytest.fixture(scope="module")
def terms(machine: Any) -> list[Term]:
    return read_terms(machine, CODINGS)


def looked_up(term: Term, codes: Codes) -> Floats:
    return np.asarray(term.table[tuple(codes[:, a] for a in term.axes)])


def test_look_ups_are_the_machines_own_terms(machine: Any, terms: list[Term], rows: Rows) -> None:
    evaluated = machine.eval_terms(matrix(rows.codes))
    assert {frozenset(t.axes) for t in terms} == {frozenset(s) for s in [(0,), (1,), (2,), (0, 1)]}
    for i, term in enumerate(terms):
        assert looked_up(term, rows.codes) == pytest.approx(evaluated[:, i], abs=1e-12)
        assert np.ptp(term.table) > 0.05


def test_look_ups_add_up_to_the_machines_decision(machine: Any, terms: list[Term], rows: Rows) -> None:
    total = machine.intercept_ + sum(looked_up(t, rows.codes) for t in terms)
    assert machine.decision_function(matrix(rows.codes)) == pytest.approx(total, abs=1e-9)


def test_reading_leaves_the_machine_as_it_was(machine: Any, terms: list[Term], rows: Rows) -> None:
    before = machine.decision_function(matrix(rows.codes))
    again = read_terms(machine, CODINGS)
    assert np.array_equal(machine.decision_function(matrix(rows.codes)), before)
    assert all(np.array_equal(a.bagged, b.bagged) for a, b in zip(terms, again, strict=True))


def test_the_crossing_is_found(terms: list[Term]) -> None:
    """Colour b turns the sign of size: the table of both has it the other way round."""
    (cross,) = [t for t in terms if len(t.axes) == 2]
    table = np.moveaxis(cross.table, cross.axes.index(0), 0)
    assert table[10, 2] < 0 < table[10, 1]
    assert table[3, 1] < 0 < table[3, 2]


def test_what_no_row_shows_counts_nothing(terms: list[Term]) -> None:
    (colour,) = [t for t in terms if t.axes == (1,)]
    assert colour.table[4] == 0.0


def test_one_bag_for_each_fold_and_each_row_by_the_bag_that_did_not_learn_from_it(
    terms: list[Term], rows: Rows
) -> None:
    for term in terms:
        assert len(term.bagged) == 4
        held_out = term.held_out(rows.codes, rows.folds)
        for i in range(0, 3000, 500):
            cell = tuple(rows.codes[i, a] for a in term.axes)
            assert held_out[i] == term.bagged[rows.folds[i]][cell]


def test_without_early_stopping_a_bag_knows_nothing_of_its_fold(rows: Rows) -> None:
    settings = BoostSettings(max_rounds=20, early_stopping_rounds=0)
    flipped = np.where(rows.folds == 1, 1 - rows.labels, rows.labels)
    before = boost(rows.codes, CODINGS, rows.target, folds=rows.folds, interactions=[], settings=settings)
    target = (flipped, rows.weights, rows.offset)
    after = boost(rows.codes, CODINGS, target, folds=rows.folds, interactions=[], settings=settings)
    for a, b in zip(before, after, strict=True):
        assert np.array_equal(a.bagged[1], b.bagged[1])
        assert not np.allclose(a.bagged[0], b.bagged[0])


def test_the_planted_crossing_is_ranked_far_above_the_rest(rows: Rows) -> None:
    strength = rank_interactions(rows.codes, [(1, 0), (2, 0), (1, 2)], rows.target)
    assert strength[0] > 10 * np.abs(strength[1:]).max()


def test_an_additive_world_has_no_crossing() -> None:
    draw = np.random.default_rng(5)
    codes = draw.integers(0, 9, (4000, 2)).astype(np.uint16)
    labels = (draw.random(4000) < sigmoid(0.3 * (codes[:, 0] - 4.0) + 0.3 * (codes[:, 1] - 4.0))).astype(float)
    strength = rank_interactions(codes, [(0, 1)], (labels, np.ones(4000), np.zeros(4000)))
    assert abs(strength[0]) < 4


def test_many_bins_are_laid_together_before_they_are_crossed() -> None:
    draw = np.random.default_rng(6)
    codes = np.column_stack([draw.integers(1, 60, 5000), draw.integers(1, 3, 5000)]).astype(np.uint16)
    sign = np.where(codes[:, 0] > 30, 1.0, -1.0) * np.where(codes[:, 1] == 1, 1.0, -1.0)
    labels = (draw.random(5000) < sigmoid(sign)).astype(float)
    assert rank_interactions(codes, [(0, 1)], (labels, np.ones(5000), np.zeros(5000)))[0] > 20
