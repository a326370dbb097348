from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nextoffer.models.evidence import posterior, precisions, shrink_to_mean, stack
from nextoffer.models.ranker import sigmoid
from nextoffer.tables.flow import Floats

estimates = hnp.arrays(float, st.integers(3, 12), elements=st.floats(-5, 5).map(lambda x: round(x, 3)))


def answers(log_odds: Floats, seed: int = 3) -> Floats:
    return (np.random.default_rng(seed).random(len(log_odds)) < sigmoid(log_odds)).astype(float)


def noise(rows: int, parts: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(size=(rows, parts))


def test_the_posterior_is_ridge_regression() -> None:
    draw = np.random.default_rng(1)
    x, y, precision = draw.normal(size=(50, 4)), draw.normal(size=50), np.array([0.1, 1.0, 10.0, 1e6])
    mean, variance = posterior(x.T @ x, x.T @ y, precision)
    stacked = np.vstack([x, np.diag(np.sqrt(precision))])
    assert mean == pytest.approx(np.linalg.lstsq(stacked, np.r_[y, np.zeros(4)], rcond=None)[0], abs=1e-9)
    assert variance == pytest.approx(np.diag(np.linalg.inv(stacked.T @ stacked)), abs=1e-12)


def test_noise_is_held_tighter_than_signal_and_a_group_of_noise_tighter_still() -> None:
    coefficients = np.array([1.0, 0.01, 0.01, 0.01, 0.01])
    determined = np.array([0.9, 0.1, 0.1, 0.1, 0.1])
    found = precisions(coefficients, determined, np.array([0, 0, 1, 1, 1]))
    strong, weak_beside_strong, weak_among_weak = found[0], found[1], found[2]
    assert strong < weak_beside_strong < weak_among_weak
    assert found[2:] == pytest.approx(found[2])


@given(estimates, st.floats(0.01, 100))
def test_shrinking_keeps_order_and_goes_towards_the_middle(values: Floats, variance: float) -> None:
    shrunk, _ = shrink_to_mean(values, np.full(len(values), variance))
    order = np.argsort(values)
    assert (np.diff(shrunk[order]) >= -1e-9).all()
    assert shrunk.mean() == pytest.approx(values.mean(), abs=1e-9)
    assert (np.abs(shrunk - values.mean()) <= np.abs(values - values.mean()) + 1e-9).all()


def test_what_is_measured_exactly_is_not_shrunk_and_what_is_all_noise_becomes_the_mean() -> None:
    values = np.array([-2.0, 0.0, 1.0, 3.0])
    assert shrink_to_mean(values, np.full(4, 1e-9))[0] == pytest.approx(values, abs=1e-6)
    assert shrink_to_mean(values, np.full(4, 1e6))[0] == pytest.approx(np.full(4, 0.5))
    few, between = shrink_to_mean(values[:2], np.full(2, 1e6))
    assert few.tolist() == [-2.0, 0.0]
    assert between == np.inf


def test_the_spread_of_what_is_estimated_is_found_beneath_the_noise() -> None:
    draw = np.random.default_rng(4)
    noise = draw.uniform(0.2, 1.0, 4000)
    values = draw.normal(0.0, 0.5, 4000) + draw.normal(0.0, 1.0, 4000) * np.sqrt(noise)
    assert shrink_to_mean(values, noise)[1] == pytest.approx(0.25, rel=0.25)


def test_the_uncertain_are_shrunk_most() -> None:
    shrunk, _ = shrink_to_mean(np.array([-2.0, -2.0, 0.0, 2.0, 2.0]), np.array([0.1, 4.0, 0.1, 4.0, 0.1]))
    assert abs(shrunk[1]) < abs(shrunk[0])
    assert abs(shrunk[3]) < abs(shrunk[4])


def test_noise_seldom_gets_a_multiplier() -> None:
    entered = 0
    for world in range(20):
        labels = answers(np.full(2000, -1.0), seed=world)
        fit = stack(noise(2000, 21, seed=100 + world), labels, np.full(2000, -1.0), np.ones(2000))
        entered += np.count_nonzero(fit[1:-1])
    assert entered <= 10  # of 400; a 5 % test would let in about 20


@pytest.mark.parametrize(("times", "multiplier"), [(1.0, 1.0), (3.0, 1 / 3), (1 / 3, 1.0), (-1.0, 0.0)])
def test_a_part_is_shrunk_to_what_it_deserves_and_never_blown_up(times: float, multiplier: float) -> None:
    parts = noise(20_000, 3)
    labels = answers(parts[:, 1])
    fit = stack(parts * [0, times, 1], labels, np.zeros(20_000), np.ones(20_000))
    assert fit[1] == pytest.approx(multiplier, abs=0.05)
    assert fit[1] <= 1
    assert fit[[0, 2]].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("times", "multiplier"), [(0.5, 2.0), (2.0, 0.5), (-1.0, 0.0)])
def test_the_first_part_always_enters_and_may_grow(times: float, multiplier: float) -> None:
    parts = noise(20_000, 2)
    fit = stack(parts * [times, 1], answers(parts[:, 0]), np.zeros(20_000), np.ones(20_000))
    assert fit[0] == pytest.approx(multiplier, abs=0.1)


def test_many_weak_parts_are_judged_as_one() -> None:
    parts = noise(4000, 41) * 0.06
    labels = answers(parts[:, 1:].sum(axis=1) * 1.5)
    fit = stack(parts, labels, np.zeros(4000), np.ones(4000))
    assert np.count_nonzero(fit[1:-1]) == 40
    assert fit[1:-1].max() <= 1


def test_multipliers_calibrate_what_always_enters() -> None:
    parts, weights = noise(3000, 1), np.random.default_rng(2).uniform(1, 3, 3000)
    labels = answers(parts[:, 0] - 2)
    fit = stack(parts, labels, np.zeros(3000), weights)
    error = weights * (labels - sigmoid(parts @ fit[:-1] + fit[-1]))
    assert error.sum() == pytest.approx(0, abs=1e-6)
    assert error @ parts[:, 0] == pytest.approx(0, abs=1e-6)


@settings(max_examples=30)
@given(st.floats(-3, 3), st.floats(-2, 2))
def test_a_constant_in_offset_or_part_is_taken_up_by_the_constant(offset: float, shift: float) -> None:
    parts = noise(500, 3)
    labels, ones = answers(parts[:, 1] - 1), np.ones(500)
    plain = stack(parts, labels, np.zeros(500), ones)
    moved = stack(parts + np.array([0, shift, 0]), labels, np.full(500, offset), ones)
    assert plain[1] > 0.5
    assert moved[:-1] == pytest.approx(plain[:-1], abs=1e-6)
    assert moved[-1] == pytest.approx(plain[-1] - offset - shift * plain[1], abs=1e-5)


def test_what_is_cut_to_one_leaves_the_rest_calibrated() -> None:
    parts = noise(4000, 3) + np.array([0.0, 2.0, 0.0])
    labels = answers(parts[:, 0] + 2 * parts[:, 1] - 5)
    fit = stack(parts, labels, np.zeros(4000), np.ones(4000))
    error = labels - sigmoid(parts @ fit[:-1] + fit[-1])
    assert fit[1] == 1.0
    assert error.sum() == pytest.approx(0, abs=1e-6)
    assert error @ parts[:, 0] == pytest.approx(0, abs=1e-6)


def test_what_each_row_stands_for_does_not_make_noise_significant() -> None:
    parts, labels = noise(2000, 10), answers(np.zeros(2000))
    light = stack(parts, labels, np.zeros(2000), np.ones(2000))
    heavy = stack(parts, labels, np.zeros(2000), np.full(2000, 50.0))
    assert heavy == pytest.approx(light, abs=1e-6)


def test_a_part_that_parts_yes_from_no_gets_a_finite_multiplier() -> None:
    parts = np.linspace(-1, 1, 20)[:, None]
    fit = stack(parts, (parts[:, 0] > 0).astype(float), np.zeros(20), np.ones(20))
    assert fit[0] > 1
    assert np.isfinite(fit).all()
    assert np.isfinite(stack(parts * 1e3, (parts[:, 0] > 0).astype(float), np.zeros(20), np.ones(20))).all()
