from __future__ import annotations

import numpy as np
import pytest

from nextoffer.errors import ModelError
from nextoffer.models.challenger import AFFINITY, LightGBMRanker
from nextoffer.models.design import PRODUCT
from nextoffer.models.ranker import sigmoid
from nextoffer.models.training import Training
from tests.models import worlds

NEW = worlds.customers(300, seed=50, first=9000)


@pytest.fixture(scope="module")
def training() -> Training:
    return worlds.offers(worlds.customers(700), law=worlds.curved_and_crossed)


@pytest.fixture(scope="module")
def ranker(training: Training) -> LightGBMRanker:
    return LightGBMRanker(rounds=60, learning_rate=0.15, min_leaf=20, threads=1).fit(training)


def test_trees_find_a_curve_that_differs_by_product(ranker: LightGBMRanker, training: Training) -> None:
    found = ranker.score(NEW, training.products).log_odds
    assert np.corrcoef(found.ravel(), worlds.curved_and_crossed(NEW).ravel())[0, 1] > 0.7


def test_propensities_are_right_on_average(ranker: LightGBMRanker, training: Training) -> None:
    scores = ranker.score(training.snapshots[0], training.products).log_odds
    assert sigmoid(scores[training.rows, training.cols]).mean() == pytest.approx(training.labels.mean(), abs=0.02)


def test_trees_are_told_the_product_and_the_affinity(ranker: LightGBMRanker, training: Training) -> None:
    scores = ranker.score(NEW, training.products)
    assert scores.features[-2:] == (PRODUCT, AFFINITY)
    assert {"age", "pair.coholding"} < set(scores.features)
    assert "pd" not in scores.features


def test_the_average_is_the_mean_of_the_parts() -> None:
    few = worlds.offers(worlds.customers(250), law=worlds.curved_and_crossed)
    scores = LightGBMRanker(rounds=5, min_leaf=20, threads=1).fit(few).score(few.snapshots[-1], few.products)
    rows = np.arange(250)
    for j in (0, 5):
        own = scores.contributions(rows, np.full(250, j)).mean(axis=0)
        assert scores.average[j] == pytest.approx(own, abs=1e-5)
        assert np.abs(own).max() > 1e-3


def test_rounds_are_chosen_on_held_out_customers(training: Training) -> None:
    patient = LightGBMRanker(rounds=300, learning_rate=0.3, min_leaf=5, threads=1).fit(training)
    assert 1 <= patient.summary()["rounds"] < 300


def test_trees_score_the_products_they_were_fitted_on(ranker: LightGBMRanker) -> None:
    fewer = worlds.shelf(worlds.IDS[:3], worlds.TYPES[:3])
    with pytest.raises(ModelError, match="scores the products it was fitted on"):
        ranker.score(NEW, fewer)


def test_a_bank_that_knows_nothing_of_its_customers_gets_acceptance_rates() -> None:
    features = worlds.numbers(age=np.full(300, 40.0))
    training = worlds.offers(features, law=lambda f: np.tile([-2.0, 0, 0, 0, 0, 2.0], (len(f), 1)))
    found = LightGBMRanker(rounds=60, learning_rate=0.2, threads=1).fit(training).score(features, training.products)
    assert np.ptp(found.log_odds, axis=0).max() == 0
    assert found.log_odds[0, 0] < found.log_odds[0, 2] < found.log_odds[0, 5]
