from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from nextoffer.models.affinity import AffinityFit, AffinitySums, affinity_sums, held_out_sums
from nextoffer.models.design import Design
from nextoffer.models.offset import Offset, choose_offset
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable, Floats
from tests.models import worlds


def law_of_rank_two(features: FeatureTable) -> Floats:
    income = np.nan_to_num((np.log(features.numbers("income")) - 3.5) / 0.5)
    crossing = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    return worlds.age_and_taste(features) + 1.2 * income[:, None] * crossing


def chosen(training: Training, max_rank: int = 3) -> tuple[Design, Offset]:
    design = Design.of(training)
    return design, choose_offset(design, training, training.folds(4, 7), max_rank=max_rank)


def some_sums(rows: slice = slice(None), repeat: int = 1, weight: float = 1.0) -> AffinitySums:
    draw = np.random.default_rng(4)
    x, cols, labels = draw.normal(size=(60, 3)), draw.integers(0, 4, 60), draw.integers(0, 2, 60).astype(float)
    x, cols, labels = (np.repeat(a[rows], repeat, axis=0) for a in (x, cols, labels))
    return affinity_sums(x, cols, labels, np.full(len(cols), weight), products=4)


def assert_same(a: AffinitySums, b: AffinitySums) -> None:
    for field in fields(AffinitySums):
        assert getattr(a, field.name) == pytest.approx(getattr(b, field.name), abs=1e-9), field.name


def test_sums_by_hand() -> None:
    x = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    sums = affinity_sums(x, np.array([0, 1, 1]), np.array([1.0, 0.0, 1.0]), np.array([1.0, 2.0, 3.0]), products=3)
    assert sums.offers.tolist() == [1, 5, 0]
    assert sums.accepts.tolist() == [1, 3, 0]
    assert sums.seen.tolist() == [[1, 21, 0], [2, 26, 0]]
    assert sums.taken.tolist() == [[1, 15, 0], [2, 18, 0]]
    assert sums.cross.tolist() == [[94, 116], [116, 144]]


def test_sums_of_parts_add_up_to_those_of_the_whole() -> None:
    assert_same(some_sums(slice(0, 25)) + some_sums(slice(25, 60)), some_sums())


def test_a_row_twice_is_a_row_of_weight_two() -> None:
    assert_same(some_sums(repeat=2), some_sums(weight=2.0))


def test_the_others_of_each_fold() -> None:
    parts = [some_sums(slice(0, 10)), some_sums(slice(10, 30)), some_sums(slice(30, 60))]
    others = held_out_sums(parts)
    assert_same(others[0], some_sums(slice(10, 60)))
    assert_same(others[2], some_sums(slice(0, 30)))


def test_in_a_linear_world_the_rank_is_one_and_every_sign_is_right() -> None:
    training = worlds.offers(worlds.customers(1500), law=worlds.age_and_taste)
    design, offset = chosen(training)
    age = next(i for i, c in enumerate(design.columns) if c.name == "age")
    place = sum(t.shape[1] for t in design.attributes.tables[:age])
    weights = offset.affinity.weights
    assert offset.affinity.rank == 1
    assert np.argmax(np.abs(weights).sum(axis=1)) == place
    assert weights[place] == pytest.approx(1.2 * worlds.TASTE, abs=0.3)
    others = np.delete(np.abs(weights), place, axis=0)
    assert others.max() < 0.15


def test_the_cross_fitted_part_follows_the_truth() -> None:
    features = worlds.customers(1500)
    training = worlds.offers(features, law=worlds.age_and_taste)
    _, offset = chosen(training)
    truth = worlds.age_and_taste(features)[training.rows, training.cols]
    assert np.corrcoef(offset.base + offset.linear, truth)[0, 1] > 0.95


def test_two_tastes_need_two_factors() -> None:
    _, offset = chosen(worlds.offers(worlds.customers(2000), law=law_of_rank_two))
    assert offset.affinity.rank == 2
    assert np.linalg.matrix_rank(offset.affinity.weights, tol=1e-9) == 2
    assert offset.held_out["2"] > offset.held_out["1"] + 2 > offset.held_out["0"] + 4


def test_no_more_factors_than_allowed() -> None:
    _, offset = chosen(worlds.offers(worlds.customers(2000), law=law_of_rank_two), max_rank=1)
    assert offset.affinity.rank == 1
    assert set(offset.held_out) == {"0", "1"}


def test_where_nothing_matters_a_factor_seldom_enters_and_says_little() -> None:
    ranks = []
    for seed in range(8):
        training = worlds.offers(worlds.customers(600, seed=seed), law=worlds.nothing_matters, seed=seed)
        _, offset = chosen(training)
        ranks.append(offset.affinity.rank)
        assert offset.linear.std() < 0.25
        assert offset.linear.any() == (ranks[-1] > 0)
        assert offset.affinity.base == pytest.approx(np.log(0.25), abs=0.4)
    assert np.count_nonzero(ranks) <= 2


def test_a_customer_is_scored_by_an_affinity_that_did_not_see_the_customer() -> None:
    training = worlds.offers(worlds.customers(600), law=worlds.age_and_taste)
    own = training.customers == training.customers[0]
    labels = np.where(own, 1 - training.labels, training.labels)
    _, before = chosen(training)
    _, after = chosen(worlds.answered(training, labels))
    assert after.linear[own] == pytest.approx(before.linear[own], abs=1e-9)
    assert after.base[own] == pytest.approx(before.base[own], abs=1e-9)
    assert after.affinity.base != pytest.approx(before.affinity.base, abs=1e-9)


def test_a_product_never_offered_gets_the_common_base_and_no_taste() -> None:
    training = worlds.offers(worlds.customers(800), law=worlds.age_and_taste)
    _, offset = chosen(training.take(training.cols != 3))
    base = offset.affinity.base
    assert not offset.affinity.weights[:, 3].any()
    others = base[[0, 1, 2, 4, 5]]
    assert others.min() - 1e-9 <= base[3] <= others.max() + 1e-9


def test_growing_stops_at_nothing_left_to_explain() -> None:
    sums = some_sums()
    silent = AffinitySums(sums.offers, sums.accepts, sums.seen * 0, sums.taken * 0, sums.cross)
    grown = AffinityFit.start(silent, np.zeros(3, dtype=np.intp)).grown(list)
    assert not grown.weights.any()
    assert np.isfinite(grown.affinity().base).all()


def test_log_odds_are_base_and_weighted_attributes() -> None:
    affinity = AffinityFit.start(some_sums(), np.zeros(3, dtype=np.intp)).grown(list).affinity()
    x = np.random.default_rng(1).normal(size=(5, 3))
    expected = [[affinity.base[j] + sum(x[i] * affinity.weights[:, j]) for j in range(4)] for i in range(5)]
    assert affinity.log_odds(x) == pytest.approx(np.array(expected))
