from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.errors import ModelError
from nextoffer.models.baselines import BASELINES, Baseline
from nextoffer.models.ranker import sigmoid
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable
from tests.models import worlds

CUSTOMERS = worlds.customers(30, seed=9, first=5000)


@pytest.fixture(scope="module")
def training() -> Training:
    return worlds.offers(worlds.customers(200), law=worlds.age_and_taste, weights=True)


def scored(name: str, training: Training, features: FeatureTable = CUSTOMERS) -> np.ndarray:
    return Baseline(name).fit(training).score(features, training.products).log_odds


def smoothed(training: Training) -> np.ndarray:
    """Return each product's acceptance rate, drawn to that of all by twenty offers' worth."""
    overall = (training.weights * training.labels).sum() / training.weights.sum()
    rates = []
    for j in range(6):
        w, y = training.weights[training.cols == j], training.labels[training.cols == j]
        rates.append((w @ y + 20 * overall) / (w.sum() + 20))
    return np.array(rates)


def test_popularity_is_the_smoothed_acceptance_rate(training: Training) -> None:
    propensity = sigmoid(scored("popularity", training))
    assert propensity == pytest.approx(np.tile(smoothed(training), (30, 1)), abs=1e-6)


def test_popularity_is_calibrated_over_the_offers(training: Training) -> None:
    rates, weights = smoothed(training)[training.cols], training.weights
    assert weights @ rates / weights.sum() == pytest.approx(weights @ training.labels / weights.sum(), abs=0.01)


def test_only_the_offers_learned_from_count(training: Training) -> None:
    keep = np.arange(len(training)) < 300
    assert sigmoid(scored("popularity", training.take(keep))[0]) == pytest.approx(
        smoothed(training.take(keep)), abs=1e-6
    )


def test_an_offer_twice_is_an_offer_of_weight_two(training: Training) -> None:
    once = training.take(np.arange(len(training)) < 300)
    rows = np.repeat(np.arange(300), 2)
    twice = replace(
        once,
        **{k: getattr(once, k)[rows] for k in ("snapshot", "rows", "cols", "labels", "weights", "customers")},
    )
    assert np.allclose(
        scored("popularity", twice), scored("popularity", replace(once, weights=2 * once.weights)), atol=1e-9
    )


def test_the_heuristic_by_hand(training: Training) -> None:
    columns = [worlds.number("income"), worlds.category("top_mcc_1")]
    arrays = [pa.array([35.0, 1000.0, None]), pa.array(["travel", "utilities", None])]
    found = scored("heuristic", training, worlds.feature_table(columns, arrays))
    floors = [None, 30.0, 40.0, None, 60.0, 70.0]
    liked = {"travel": {"CC"}, "utilities": {"PL", "FD"}, None: set()}
    for i, (income, favourite) in enumerate([(35.0, "travel"), (1000.0, "utilities"), (None, None)]):
        for j, (floor, kind) in enumerate(zip(floors, worlds.TYPES, strict=True)):
            suffices = floor is None or (income is not None and income >= floor)
            expected = 0.4 * smoothed(training)[j] + 0.2 * suffices + 0.4 * (kind in liked[favourite])
            assert found[i, j] == pytest.approx(expected, abs=1e-6), (i, j)


def test_the_heuristic_of_a_bank_that_knows_nothing_more_is_popularity(training: Training) -> None:
    found = scored("heuristic", training, worlds.numbers(age=np.array([30.0])))
    assert found[0] == pytest.approx(0.4 * smoothed(training), abs=1e-6)


def test_factorisation_is_interest_in_spend_and_without_spend_coholding(training: Training) -> None:
    pairs = training.pair_features[-1]
    assert scored("mf", training) == pytest.approx(pairs.collaborative.spend_interest(CUSTOMERS), abs=1e-4)
    held = np.random.default_rng(1).random((100, 6)) < 0.4
    holders = worlds.offers(worlds.holders(held), law=worlds.nothing_matters)
    expected = holders.pair_features[-1].collaborative.coholding_affinity(held.astype(float))
    assert scored("mf", holders, worlds.holders(held)) == pytest.approx(expected, abs=1e-6)


def test_chance_is_keyed_by_customer_and_product(training: Training) -> None:
    found, other = scored("random", training), Baseline("random", seed=8).fit(training)
    order = np.random.default_rng(1).permutation(30)
    assert np.array_equal(scored("random", training, CUSTOMERS.take(order)), found[order])
    assert not np.array_equal(other.score(CUSTOMERS, training.products).log_odds, found)
    assert len(np.unique(found)) == found.size
    assert 0.4 < found.mean() < 0.6


def test_every_baseline_is_known_by_name() -> None:
    assert BASELINES == ("popularity", "heuristic", "mf", "random")
    with pytest.raises(
        ModelError, match=r"no baseline 'popular' \(did you mean 'popularity'\?\); there are popularity,"
    ):
        Baseline("popular")


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_scores_the_products_it_was_fitted_on(training: Training, name: str) -> None:
    fitted, fewer = Baseline(name).fit(training), worlds.shelf(worlds.IDS[:3], worlds.TYPES[:3])
    with pytest.raises(ModelError, match="scores the products it was fitted on"):
        fitted.score(CUSTOMERS, fewer)


def test_the_rates_are_told(training: Training) -> None:
    rates = cast("dict[str, float]", Baseline("popularity").fit(training).summary()["rates"])
    assert list(rates) == list(worlds.IDS)
    assert list(rates.values()) == pytest.approx(smoothed(training))
