"""The chance to be the largest, against what can be computed otherwise: by hand, by drawing, and on a fine grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, ndtr

from nextoffer.policy import chances
from nextoffer.policy.chances import Uncertain


def of(log_odds: object, sd: object, slope: object = 1.0, base: object = 0.0) -> Uncertain:
    mean = np.atleast_2d(np.array(log_odds, dtype=np.float64))
    sd, slope, base = (np.broadcast_to(np.asarray(v, dtype=np.float64), mean.shape) for v in (sd, slope, base))
    return Uncertain(slope * expit(mean) + base, mean, sd, base, slope)


def some(seed: int, n: int, products: int) -> Uncertain:
    """Return scores of any kind: values of either sign, costs, and very different uncertainties."""
    rng = np.random.default_rng(seed)
    shape = (n, products)
    slope = rng.gamma(1.0, 200.0, shape) * rng.choice([1.0, 1.0, 1.0, -0.1], shape)
    return of(rng.normal(-2, 1.2, shape), rng.gamma(1.0, 0.5, shape) + 0.01, slope, rng.normal(0, 5, shape))


def test_two_normals_are_compared_as_normals_are():
    found = of([0.5, -0.2], [0.4, 0.7]).largest(np.ones((1, 2), dtype=bool))
    assert found[0, 0] == pytest.approx(ndtr(0.7 / np.hypot(0.4, 0.7)), abs=1e-4)


def test_equals_have_equal_chances():
    found = of([[0.3] * 7], 0.5).largest(np.array([[1, 1, 0, 1, 1, 1, 1]], dtype=bool))
    np.testing.assert_allclose(found, [[1 / 6, 1 / 6, 0, 1 / 6, 1 / 6, 1 / 6, 1 / 6]], atol=1e-12)


def test_what_can_hardly_happen_is_never_said_to_be_impossible():
    found = of([[5.0, -9.0]], 0.1).largest(np.ones((1, 2), dtype=bool))
    assert 0 < found[0, 1] < 1e-8


def test_without_spread_the_best_is_sure_and_of_equals_the_first():
    scores = of([[1.0, 2.0, 2.0], [0.0, -1.0, 0.0]], 0.0)
    np.testing.assert_array_equal(scores.largest(np.ones((2, 3), dtype=bool)), [[0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(scores.largest(np.array([[1, 0, 1], [0, 0, 0]], dtype=bool)), [[0, 0, 1], [0, 0, 0]])


def test_a_sure_score_wins_where_the_others_stay_below_it():
    found = of([[0.3, 0.0, -0.5]], [[0.0, 0.5, 1.0]]).largest(np.ones((1, 3), dtype=bool))
    assert found[0, 0] == pytest.approx(ndtr(0.6) * ndtr(0.8), abs=1e-4)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("products", [2, 5, 24])
def test_chances_are_how_often_it_happens(products: int):
    scores = some(products, 12, products)
    rng = np.random.default_rng(1)
    among = rng.random((12, products)) < 0.8
    among[:, 0] = True
    draws = 40_000
    won = np.zeros((12, products))
    for _ in range(draws // 1000):
        theta = scores.log_odds + scores.sd * rng.normal(size=(1000, 12, products))
        best = np.argmax(np.where(among, scores.slope * expit(theta) + scores.base, -np.inf), axis=2)
        for row in range(12):
            won[row] += np.bincount(best[:, row], minlength=products)
    found = scores.largest(among)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)
    assert (found[~among] == 0).all()
    error = np.abs(won / draws - found) / np.sqrt(np.maximum(found * (1 - found), 1e-4) / draws)
    assert error.max() < 4.5


@pytest.mark.parametrize("products", [2, 5, 24])
def test_the_grid_is_fine_enough(products: int, monkeypatch: pytest.MonkeyPatch):
    scores, among = some(7, 200, products), np.ones((200, products), dtype=bool)
    found = scores.largest(among)
    monkeypatch.setattr(chances, "_POINTS", 20_000)
    monkeypatch.setattr(chances, "_QUANTILES", np.linspace(-7, 7, 4_000))
    monkeypatch.setattr(chances, "_BLOCK", 4)
    fine = replace(scores).largest(among)
    assert np.abs(found - fine).max() < 6e-4
    assert np.abs(found - fine).mean() < 3e-5


def test_a_customers_chances_do_not_hang_on_the_others():
    scores, among = some(3, 150, 6), np.random.default_rng(2).random((150, 6)) < 0.7
    whole = scores.largest(among)
    for row in (0, 63, 64, 149):
        part = slice(row, row + 1)
        np.testing.assert_array_equal(scores.rows(part).largest(among[part])[0], whole[row])
