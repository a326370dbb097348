"""What a change comes to is counted over those whose values it changed."""

from __future__ import annotations

import numpy as np
import pytest

from nextoffer.evaluate.sensitivity import (
    FIRST,
    KEPT,
    MOVED,
    REORDERED,
    SENSITIVITY,
    STOPPED,
    Change,
    Outcome,
    course,
    figures,
    table_of,
)


def outcome(first: list[int], *, propensity: float = 0.1, stopped: tuple[tuple[int, int], ...] = ()) -> Outcome:
    """What four customers are offered: one of two products, or none (−1)."""
    offered = np.zeros((4, 2), dtype=bool)
    for row, product in enumerate(first):
        if product >= 0:
            offered[row, product] = True
    barred = np.zeros((4, 2), dtype=bool)
    for row, product in stopped:
        barred[row, product] = True
    return Outcome(np.full((4, 2), propensity), np.array(first), offered, barred)


BEFORE = outcome([0, 0, 1, -1])
EVERYBODY = np.ones(4, dtype=bool)


def test_nothing_changes_where_nothing_changed() -> None:
    found = figures(BEFORE, BEFORE, EVERYBODY)
    assert {name: value.estimate for name, value in found.items()} == {
        MOVED: 0.0,
        FIRST: 0.0,
        STOPPED: 0.0,
        REORDERED: 0.0,
        KEPT: 1.0,
    }
    assert (found[MOVED].n, found[FIRST].n) == (4, 3)  # the fourth is offered nothing before or after


def test_the_doings_of_rules_and_of_scores_are_told_apart() -> None:
    after = outcome([1, 1, 1, -1], propensity=0.3, stopped=((0, 0),))
    found = figures(BEFORE, after, EVERYBODY)
    assert found[MOVED].estimate == pytest.approx(0.2)
    assert (found[FIRST].estimate, found[FIRST].n) == (pytest.approx(2 / 3), 3)
    assert (found[STOPPED].estimate, found[STOPPED].n) == (pytest.approx(1 / 3), 3)
    assert (found[REORDERED].estimate, found[REORDERED].n) == (0.5, 2)
    assert found[KEPT].estimate == pytest.approx(1 / 3)
    assert found[FIRST].low < 2 / 3 < found[FIRST].high


def test_only_those_whose_value_changed_count() -> None:
    after = outcome([1, 0, 1, -1])
    found = figures(BEFORE, after, np.array([False, True, True, True]))
    assert (found[FIRST].estimate, found[FIRST].n) == (0.0, 2)


def test_who_is_offered_something_only_after_counts_as_changed() -> None:
    found = figures(BEFORE, outcome([0, 0, 1, 1]), EVERYBODY)
    assert (found[FIRST].estimate, found[FIRST].n) == (0.25, 4)


def test_a_table_leaves_out_figures_of_nobody() -> None:
    nobody = outcome([-1, -1, -1, -1])
    table = table_of([(Change("feature", "a", "A", "+ 1 sd"), figures(nobody, nobody, EVERYBODY))])
    assert table.schema == SENSITIVITY
    assert table.column("metric").to_pylist() == [MOVED]


@pytest.mark.parametrize(
    ("shape", "words", "turns"),
    [
        ([0.0, 0.2, 0.4], "rises", 0),
        ([0.4, 0.39, 0.0], "falls", 0),
        ([0.1, 0.1, 0.1], "flat", 0),
        ([0.0, 1.0, 0.5], "turns once", 1),
        ([0.0, 1.0, 0.5, 1.0], "turns twice", 2),
        ([0.0, 1.0, 0.0, 1.0, 0.0], "turns 3 times", 3),
        ([0.0, 0.5, 0.45, 1.0], "rises", 0),  # takes back a twentieth of the swing
        ([0.5], "flat", 0),
    ],
)
def test_the_course_of_a_shape(shape: list[float], words: str, turns: int) -> None:
    found = course(shape)
    assert (found.words, found.turns) == (words, turns)
    assert found.swing == pytest.approx(max(shape) - min(shape))
