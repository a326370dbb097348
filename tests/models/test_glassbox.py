"""The glass box as a whole: what it finds, what it leaves alone, and products it has not met."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from nextoffer.models import boosting, glassbox
from nextoffer.models.boosting import BoostSettings, matrix
from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.products import Products
from nextoffer.models.ranker import sigmoid
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable, Floats
from tests.models import worlds

QUICK = BoostSettings(max_rounds=200)
NEW = worlds.customers(400, seed=50, first=9000)


@dataclass(frozen=True)
class Fit:
    """A fitted ranker, what it learned from, and its trained machine with what was assembled from it."""

    ranker: GlassboxRanker
    training: Training
    machine: Any
    assembled: tuple[Any, ...]

    def propensity(self, features: FeatureTable) -> Floats:
        return sigmoid(self.ranker.score(features, self.training.products).log_odds)


def fit(training: Training, **options: Any) -> Fit:
    """Fit a ranker and keep the machine that it trained."""
    seen: dict[str, Any] = {"train": None}

    def keeping(name: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            seen[name] = function(*args, **kwargs)
            seen[f"{name} of"] = args
            return seen[name]

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "train", keeping("train", boosting.train))
        patch.setattr(glassbox, "assemble", keeping("assemble", glassbox.assemble))
        ranker = GlassboxRanker(**{"boosting": QUICK, **options}).fit(training)
    return Fit(ranker, training, seen["train"], seen["assemble of"])


@pytest.fixture(scope="module")
def curved() -> Fit:
    return fit(worlds.offers(worlds.customers(1200), law=worlds.curved_and_crossed))


@pytest.fixture(scope="module")
def plain() -> Fit:
    """A world of one number and nothing else: no pair features."""
    features = worlds.numbers(age=np.random.default_rng(3).uniform(20, 70, 800))
    return fit(worlds.offers(features, law=worlds.age_and_taste))


def test_the_fitted_card_is_the_trained_machine(curved: Fit) -> None:
    design, offset, _, multipliers = curved.assembled
    x = design.attributes.values(design.codes[:, : design.customers])
    cols = curved.training.cols
    expected = offset.affinity.base[cols] + multipliers[-1]
    expected = expected + multipliers[0] * (x @ offset.affinity.weights)[np.arange(len(cols)), cols]
    expected = expected + curved.machine.eval_terms(matrix(design.codes)) @ multipliers[1:-1]
    found = curved.ranker.score(curved.training.snapshots[0], curved.training.products).log_odds
    assert np.count_nonzero(multipliers[1:-1]) >= 2
    assert found[curved.training.rows, cols] == pytest.approx(expected, abs=1e-5)


def test_a_curve_that_differs_by_product_is_found(curved: Fit) -> None:
    kept = curved.ranker.summary()["terms_kept"]
    assert {"product.product_id × age", "txn_count"} <= set(kept)
    truth = worlds.curved_and_crossed(NEW)
    log_odds = curved.ranker.score(NEW, curved.training.products).log_odds
    linear = GlassboxRanker(boosting=None).fit(curved.training).score(NEW, curved.training.products).log_odds
    assert np.corrcoef(log_odds.ravel(), truth.ravel())[0, 1] > 0.75
    assert np.corrcoef(linear.ravel(), truth.ravel())[0, 1] < 0.5


def test_propensities_are_calibrated(curved: Fit) -> None:
    truth = sigmoid(worlds.curved_and_crossed(NEW))
    own = curved.propensity(curved.training.snapshots[0])[curved.training.rows, curved.training.cols]
    assert own.mean() == pytest.approx(curved.training.labels.mean(), abs=0.015)
    assert curved.propensity(NEW).mean() == pytest.approx(truth.mean(), abs=0.02)
    assert curved.propensity(NEW).mean(axis=0) == pytest.approx(truth.mean(axis=0), abs=0.06)


def test_in_a_linear_world_the_affinity_says_it_all() -> None:
    training = worlds.offers(worlds.customers(1200), law=worlds.age_and_taste)
    found = fit(training)
    summary = found.ranker.summary()
    log_odds = found.ranker.score(NEW, training.products).log_odds
    assert summary["affinity_rank"] == 1
    assert summary["affinity_multiplier"] == pytest.approx(1, abs=0.25)
    assert len(summary["terms_kept"]) <= 2
    assert np.corrcoef(log_odds.ravel(), worlds.age_and_taste(NEW).ravel())[0, 1] > 0.95


@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_matters_next_to_nothing_is_said(seed: int) -> None:
    training = worlds.offers(worlds.customers(800, seed=seed), law=worlds.nothing_matters, seed=20 + seed)
    found = fit(training)
    assert found.ranker.summary()["affinity_rank"] == 0
    assert found.ranker.summary()["terms_boosted"] > 20
    assert len(found.ranker.summary()["terms_kept"]) <= 2
    assert found.propensity(NEW).mean() == pytest.approx(0.2, abs=0.02)
    assert found.propensity(NEW).std() < 0.04


def test_the_average_is_over_the_customers_of_the_last_snapshot() -> None:
    earlier = worlds.customers(300, seed=4, as_of=worlds.BEFORE)
    training = worlds.offers(earlier, worlds.customers(300, seed=5), law=worlds.age_and_taste)
    scores = GlassboxRanker(boosting=None).fit(training).score(training.snapshots[-1], training.products)
    rows = np.arange(300)
    for j in range(6):
        own = scores.contributions(rows, np.full(300, j)).mean(axis=0)
        assert scores.average[j] == pytest.approx(own, abs=1e-5)


def test_what_a_pair_feature_was_is_told_with_the_score(curved: Fit) -> None:
    scores = curved.ranker.score(NEW, curved.training.products)
    rows, cols = np.array([0, 7]), np.array([5, 1])
    expected = curved.training.pair_features[-1].values(NEW)
    told = scores.pair_values(rows, cols)
    assert set(told) == set(expected)
    for name, values in told.items():
        assert np.array_equal(values, expected[name][rows, cols], equal_nan=True)


def shelf_of(products: Products, places: list[int]) -> Products:
    return Products(
        tuple(products.ids[p] for p in places),
        tuple(products.types[p] for p in places),
        products.min_income[places],
        tuple(products.segment_bias[p] for p in places),
    )


def test_products_in_another_order_keep_their_scores(curved: Fit) -> None:
    order = [3, 0, 5, 1, 4, 2]
    before = curved.ranker.score(NEW, curved.training.products)
    after = curved.ranker.score(NEW, shelf_of(curved.training.products, order))
    rows, cols = np.indices((400, 6)).reshape(2, -1)
    assert after.log_odds == pytest.approx(before.log_odds[:, order], abs=1e-5)
    assert after.average == pytest.approx(before.average[order], abs=1e-5)
    assert after.contributions(rows, cols) == pytest.approx(before.contributions(rows, np.array(order)[cols]), abs=1e-5)


def test_a_shelf_may_hold_fewer_products(plain: Fit) -> None:
    features = plain.training.snapshots[0]
    whole = plain.ranker.score(features, plain.training.products).log_odds
    some = plain.ranker.score(features, shelf_of(plain.training.products, [4, 1])).log_odds
    assert some == pytest.approx(whole[:, [4, 1]], abs=1e-6)


def test_a_new_product_borrows_from_its_type_and_a_new_type_from_all(plain: Fit) -> None:
    features = plain.training.snapshots[0]
    whole = plain.ranker.score(features, plain.training.products).log_odds
    shelf = worlds.shelf(("12", "99", "98"), ("CC", "PL", "insurance"))
    some = plain.ranker.score(features, shelf)
    assert some.log_odds[:, 0] == pytest.approx(whole[:, 1], abs=1e-5)
    known = plain.training.products.types
    share = plain.ranker.card_.lending.shares(known, np.array([-1, -1]), ("PL", "insurance"))
    assert share.sum(axis=0) == pytest.approx(1.0)
    assert share.min() > 0.05
    assert some.log_odds[:, 1:] == pytest.approx(whole @ share, abs=1e-5)
    rows = np.arange(len(features))
    parts = some.contributions(rows, np.ones(len(rows), dtype=np.intp))
    assert some.intercept[1] + parts.sum(axis=1) == pytest.approx(some.log_odds[:, 1], abs=1e-5)


def test_a_new_product_has_its_own_pair_features(curved: Fit) -> None:
    shelf = worlds.shelf(("11", "99"), ("CC", "CC"))
    values = curved.ranker.score(NEW, shelf).pair_values(np.arange(400), np.ones(400, dtype=np.intp))
    income = NEW.numbers("income")
    assert values["income_ratio"] == pytest.approx(income / 30.0, nan_ok=True)
    assert np.isnan(values["offers"]).all()


@pytest.mark.parametrize("settings", [QUICK, None], ids=["boosted", "not boosted"])
@pytest.mark.parametrize("column", [None, np.full(300, 40.0), np.full(300, np.nan)], ids=["no", "constant", "unknown"])
def test_a_bank_that_knows_nothing_of_its_customers_gets_acceptance_rates(
    settings: BoostSettings | None, column: Floats | None
) -> None:
    features = worlds.numbers(age=np.zeros(300) if column is None else column)
    if column is None:
        features = FeatureTable(features.data.select(["customer_id"]), (), features.as_of)
    rates = np.array([-2.0, 0, 0, 0, 0, 2.0])
    training = worlds.offers(features, law=lambda f: np.tile(rates, (len(f), 1)), each=6)
    log_odds = GlassboxRanker(boosting=settings).fit(training).score(features, training.products).log_odds
    assert np.ptp(log_odds, axis=0).max() == 0
    assert log_odds[0] == pytest.approx(rates, abs=0.5)


@pytest.mark.parametrize("count", [2, 5, 20])
def test_a_handful_of_offers_gives_finite_scores(count: int) -> None:
    fitted = 0
    for seed in range(4):
        training = worlds.offers(worlds.customers(count, seed=seed), law=worlds.age_and_taste, seed=seed)
        if 0 < training.labels.sum() < len(training):
            fitted += 1
            found = GlassboxRanker().fit(training).score(NEW, training.products).log_odds
            assert np.isfinite(found).all()
            assert np.abs(found).max() < 20
    assert fitted


def test_a_world_without_doubt_gives_finite_scores() -> None:
    training = worlds.offers(worlds.customers(200), law=lambda f: 1000.0 * worlds.seniority(f)[:, None] * worlds.TASTE)
    found = GlassboxRanker().fit(training).score(NEW, training.products).log_odds
    sure = np.abs(worlds.seniority(NEW)) > 0.5
    assert np.isfinite(found).all()
    assert ((found > 0) == (worlds.seniority(NEW)[:, None] * worlds.TASTE > 0))[sure].mean() > 0.9


def test_refusals_thinned_and_weighted_leave_propensities_where_they_were() -> None:
    training = worlds.offers(worlds.customers(1500), law=worlds.age_and_taste, each=5)
    keep = (training.labels > 0) | (np.random.default_rng(1).random(len(training)) < 0.25)
    thinned = replace(training.take(keep), weights=np.where(training.labels[keep] > 0, 1.0, 4.0))
    whole, part = (fit(t, boosting=None).propensity(NEW) for t in (training, thinned))
    assert part.mean() == pytest.approx(whole.mean(), abs=0.02)
    assert np.corrcoef(part.ravel(), whole.ravel())[0, 1] > 0.95
