"""The level of the latest offers: found where acceptance moves with time, and only there."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.level import Level, recent_level
from nextoffer.models.ranker import log_likelihood, sigmoid
from nextoffer.tables.flow import FeatureTable, Floats, Indices
from tests.models.worlds import AS_OF, age_and_taste, customers, offers

DAYS = 8
PAIRS = 1_500


def played(moved: Floats, *, seed: int, pairs: int = PAIRS) -> tuple[Floats, Floats, Indices]:
    """Stated log-odds, labels and days; on each day the true log-odds are moved by so much."""
    draw = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(moved)), pairs)
    true = draw.normal(-3.0, 0.7, len(group)) + moved[group]
    return true - moved[group], (draw.random(len(group)) < sigmoid(true)).astype(float), group


def found(moved: Floats, *, seed: int, weight: float = 1.0) -> Level:
    stated, labels, group = played(moved, seed=seed)
    weights = np.full(len(labels), weight)
    return recent_level(stated, labels, weights, group=group, days=[14 * k for k in range(len(moved))])


def test_a_falling_rate_is_followed_to_its_latest_level() -> None:
    moved = np.linspace(0.5, -0.5, DAYS)
    shifts = np.array([found(moved, seed=s).shift for s in range(20)])
    assert np.mean(shifts != 0) >= 0.9
    assert shifts.mean() == pytest.approx(-0.45, abs=0.1)


def test_a_steady_rate_is_left_as_it_is() -> None:
    levels = [found(np.zeros(DAYS), seed=s) for s in range(40)]
    assert sum(level.shift != 0 for level in levels) <= 1
    assert levels[0].summary()["shift"] == 0.0


def test_what_is_measured_with_noise_is_shrunk() -> None:
    moved = np.r_[0.4, 0.4, 0.4, 0.4, 0.0, -0.4, -0.4, -0.8]
    level = found(moved, seed=3)
    assert -0.8 < level.shift < -0.35


def test_few_days_say_nothing() -> None:
    assert found(np.array([0.8, 0.0, -0.8]), seed=1) == Level()


def test_a_day_with_a_single_answer_keeps_the_level_finite() -> None:
    labels = np.r_[np.ones(50), np.zeros(150)]
    level = recent_level(
        np.zeros(200), labels, np.ones(200), group=np.repeat(np.arange(4), 50), days=[0.0, 7.0, 14.0, 21.0]
    )
    assert np.isfinite(level.shift)
    assert level.shift < 0


def fitted_on(moves: Floats) -> tuple[GlassboxRanker, float, float]:
    """Fit on six days on which the world's log-odds were moved; return also the next day's loss, and the unshifted."""
    days = [AS_OF - timedelta(days=14 * k) for k in range(6, -1, -1)]
    moved = dict(zip(days, moves, strict=True))
    made = [customers(700, seed=k, as_of=day, first=10_000 * k) for k, day in enumerate(days)]

    def law(features: FeatureTable) -> Floats:
        return age_and_taste(features) - 1.0 + moved[features.as_of]

    past, later = offers(*made[:-1], law=law, seed=11), offers(made[-1], law=law, seed=12)
    ranker = GlassboxRanker(boosting=None).fit(past)
    scores = ranker.score(made[-1], past.products)
    rows = np.arange(len(made[-1])).repeat(6)
    cols = np.tile(np.arange(6), len(made[-1]))
    parts = scores.contributions(rows, cols).sum(axis=1) + scores.intercept[cols]
    np.testing.assert_allclose(parts, scores.log_odds[rows, cols], atol=1e-5)  # reasons stay exact
    told = scores.log_odds[later.rows, later.cols].astype(float)
    shift = ranker.summary()["level"]["shift"]
    loss = [-log_likelihood(told - off, later.labels, later.weights) / len(later) for off in (0.0, shift)]
    return ranker, loss[0], loss[1]


def test_the_glass_box_states_the_level_of_the_latest_offers() -> None:
    ranker, loss, unshifted = fitted_on(np.linspace(0.8, -0.8, 7))
    assert ranker.summary()["level"]["shift"] < -0.3
    assert loss < unshifted - 0.005


def test_the_glass_box_is_untouched_where_acceptance_is_steady() -> None:
    ranker, loss, unshifted = fitted_on(np.zeros(7))
    assert ranker.summary()["level"]["shift"] == 0.0
    assert loss == unshifted
