"""The search for levers, on customers few enough to be tried out wholly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nextoffer.evaluate.funnel import FIRST, OFFERED
from nextoffer.evaluate.remedy import BOUNDS, Goal, Ranked, Search

GOLD = np.array([True, False, False])


def planted(gap: float, *, count: int = 400, closed: float = 0.0) -> Ranked:
    """Return customers of two groups; the second scores Gold lower by a factor, and some may not have it at all."""
    draw = np.random.default_rng(4)
    groups = np.arange(count) % 2
    score = draw.uniform(0.1, 1.0, (count, 3))
    score[groups == 1, 0] *= gap
    score[(groups == 1) & (draw.random(count) < closed), 0] = -np.inf
    return Ranked(score, np.where(score > -np.inf, score, 0.0), np.full(count, 2), groups)


def search(sample: Ranked, *, step: str = FIRST, line: float = 0.8, reference: int | None = None) -> Search:
    return Search(sample, Goal(GOLD, step, np.array([200.0, 200.0]), (0, 1), reference, line), np.eye(3, dtype=bool))


def rate(sample: Ranked, group: int, factor: list[float], step: str) -> float:
    """Return a group's share with Gold, counted customer by customer."""
    hits = 0
    for row in np.flatnonzero(sample.groups == group):
        order = sorted(range(3), key=lambda j: -sample.score[row, j] * factor[j])
        hits += 0 in [j for j in order if sample.score[row, j] > -np.inf][: 1 if step == FIRST else 2]
    return hits / 200


@pytest.mark.parametrize("step", [FIRST, OFFERED])
def test_what_is_found_reaches_the_line(step: str) -> None:
    sample = planted(0.7)
    one = search(sample, step=step)
    assert one.start.ratio < 0.8
    found = one.found()
    assert found is not None
    factors = found.factors()
    rates = [rate(sample, group, factors, step) for group in (0, 1)]
    assert found.ratio == pytest.approx(min(rates) / max(rates))
    assert found.ratio >= 0.8
    assert found.worth < one.start.worth
    assert all(BOUNDS[0] <= factor <= BOUNDS[1] for factor in factors)


def test_it_gives_up_no_more_than_the_best_of_a_coarse_grid() -> None:
    one = search(planted(0.7))
    found = one.found()
    grid = itertools.product(range(-16, 17, 4), repeat=3)
    enough = [each for weights in grid if (each := one.outlook(weights)).ratio >= 0.8]
    assert found is not None
    assert found.worth >= max(each.worth for each in enough) - 0.02 * one.start.worth


def test_without_a_gap_nothing_moves() -> None:
    found = search(planted(1.0), line=0.5).found()
    assert found is not None
    assert found.weights == (0, 0, 0)


def test_what_the_rules_close_no_lever_opens() -> None:
    one = search(planted(1.0, closed=0.6), reference=0)
    assert one.found() is None
    assert one.best().ratio < 0.8


def test_nobody_is_levelled_down() -> None:
    one = search(planted(0.7))
    found = one.found()
    assert found is not None
    assert found.lowest >= one.start.lowest > 0


def test_nobody_is_no_equality() -> None:
    sample = planted(0.0)
    sample.score[:, 0] = -np.inf
    assert search(sample).start.ratio == 0.0


def test_a_factor_common_to_all_products_is_no_lever() -> None:
    found = search(planted(0.7)).found()
    assert found is not None
    assert 0 in found.weights
    one = search(planted(0.7))
    moved = one.outlook(tuple(step + 2 for step in found.weights))
    assert (moved.ratio, moved.worth) == pytest.approx((found.ratio, found.worth))
