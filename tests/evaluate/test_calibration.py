"""Calibration measures on forecasters whose quality is known."""

import numpy as np
import pytest

from nextoffer.evaluate.calibration import (
    brier,
    brier_figure,
    calibration_error,
    calibration_error_figure,
    log_loss,
    log_loss_figure,
    reliability,
)
from nextoffer.evaluate.figures import Units, intervals

CUSTOMERS, OFFERS = 500, 10


def forecasts(seed, bias=0.0):
    """Probabilities, and labels drawn from them; `bias` is added to what is stated."""
    rng = np.random.default_rng(seed)
    chance = rng.uniform(0.05, 0.5, CUSTOMERS * OFFERS)
    return chance + bias, (rng.random(len(chance)) < chance).astype(float)


def units(seed=7):
    return Units.of(np.repeat(np.arange(CUSTOMERS), OFFERS), CUSTOMERS, seed=seed)


def test_log_loss_of_a_coin_is_one_bit():
    assert log_loss([0.5, 0.5], [0, 1]) == pytest.approx(np.log(2))


def test_a_certain_mistake_costs_much_but_not_infinitely():
    assert 30 < log_loss([0.0], [1]) < 40


def test_brier_of_the_base_rate_is_its_variance():
    assert brier(np.full(10, 0.3), [1] * 3 + [0] * 7) == pytest.approx(0.21)


def test_a_biased_forecaster_is_off_by_the_bias():
    stated, label = forecasts(1, bias=0.2)
    assert calibration_error(stated, label) == pytest.approx(0.2, abs=0.02)


def test_the_error_of_a_perfect_forecaster_is_noise_and_its_interval_says_so():
    """The percentiles of resamples would lie above the estimate, farther from the truth, 0."""
    found = intervals([calibration_error_figure(*forecasts(2), units())], seed=7)[0]
    assert 0 < found.estimate < 0.03
    assert found.low <= found.estimate
    assert found.low <= 0.005


def test_the_error_of_a_biased_forecaster_is_held_and_is_no_noise():
    found = intervals([calibration_error_figure(*forecasts(1, bias=0.05), units())], seed=7)[0]
    assert 0.02 < found.low < 0.05 < found.high < 0.08
    assert intervals([calibration_error_figure([0.2], [1.0], Units.of(np.array([0]), 1, seed=7))], seed=7)[0].n == 1


@pytest.mark.parametrize(
    ("metric", "figure"),
    [(log_loss, log_loss_figure), (brier, brier_figure), (calibration_error, calibration_error_figure)],
)
def test_figures_are_the_metrics(metric, figure):
    stated, label = forecasts(3)
    assert figure(stated, label, units()).estimate == pytest.approx(metric(stated, label), abs=1e-12)


def test_the_curve_of_a_perfect_forecaster_holds_the_diagonal():
    bins = reliability(*forecasts(4), units())
    assert len(bins) == 10
    assert sum(b.observed.n for b in bins) == CUSTOMERS * OFFERS
    assert [b.stated for b in bins] == sorted(b.stated for b in bins)
    assert sum(b.observed.low <= b.stated <= b.observed.high for b in bins) >= 8


def test_equal_probabilities_share_one_bin():
    label = forecasts(5)[1]
    (only,) = reliability(np.full(len(label), 0.25), label, units())
    assert only.stated == pytest.approx(0.25)
    assert only.observed.estimate == pytest.approx(label.mean())
