"""Intervals cover at their stated rate, and agree with published figures and with the slow way of computing them."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from nextoffer import intervals
from nextoffer.intervals import (
    bootstrap,
    bootstrap_mean,
    bootstrap_means,
    heaps,
    lift_of_rates,
    mean_of_sums,
    rate,
    rate_by_customer,
    resample,
    sample_size_for_lift,
)

WORLDS = 400
# of 400 intervals 380 are expected, give or take 4.4; percentile intervals of 200 skewed values lose a percent or so
COVERAGE = (0.915, 0.98)


def test_the_bootstrap_covers_the_true_mean_at_its_stated_rate():
    draws = np.random.default_rng(1).exponential(size=(200, WORLDS))
    found = bootstrap_means(draws, seed=3, resamples=400)
    covered = np.mean([i.low <= 1.0 <= i.high for i in found])
    assert COVERAGE[0] <= covered <= COVERAGE[1]


def test_customers_are_resampled_whole():
    """Ten equal offers per customer tell no more than one: the interval must not narrow."""
    accepted = np.random.default_rng(2).integers(0, 2, 300).astype(float)
    sums = np.stack([accepted * 10, np.full(300, 10.0)], axis=1)
    per_offer = bootstrap(sums, lambda t: t[:, 0] / t[:, 1], seed=5)
    assert per_offer == bootstrap_mean(accepted, seed=5)


def test_wilson_covers_at_its_stated_rate():
    hits = np.random.default_rng(4).binomial(60, 0.08, size=2000)
    covered = np.mean([(i := rate(int(h), 60)).low <= 0.08 <= i.high for h in hits])
    assert 0.93 <= covered <= 0.98


def test_lift_covers_at_its_stated_rate():
    rng = np.random.default_rng(5)
    treated, control = rng.binomial(2000, 0.12, size=2000), rng.binomial(2000, 0.10, size=2000)
    found = [lift_of_rates(int(t), 2000, int(c), 2000) for t, c in zip(treated, control, strict=True)]
    assert 0.935 <= np.mean([i.low <= 0.2 <= i.high for i in found]) <= 0.965


def test_heaps_keep_the_standard_error():
    values = np.random.default_rng(6).exponential(size=(20_000, 1))
    by_heap = resample(values, seed=1, resamples=2000).std()
    assert by_heap == pytest.approx(math.sqrt(20_000) * values.std(), rel=0.05)


def test_heaps_are_of_equal_size():
    sizes = np.bincount(heaps(10_000, seed=1))
    assert len(sizes) == intervals.MAX_UNITS
    assert set(sizes) == {2, 3}


def test_few_customers_keep_their_own_heap():
    assert heaps(5, seed=1).tolist() == [0, 1, 2, 3, 4]


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(7).normal(size=500)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_columns_are_resampled_together():
    """A column and its copy plus one differ by exactly one in every sample."""
    values = np.random.default_rng(8).normal(size=100)
    a, b = bootstrap_means(np.stack([values, values + 1], axis=1), seed=1)
    assert (b.low - a.low, b.high - a.high) == pytest.approx((1.0, 1.0))


def test_customers_who_do_not_count_are_left_out():
    with_gaps = bootstrap_mean([1.0, np.nan, 3.0, np.nan], seed=1)
    assert (with_gaps.estimate, with_gaps.n) == (2.0, 2)


@pytest.mark.parametrize("values", [[], [3.0], [np.nan]])
def test_too_few_customers_give_no_bounds(values):
    found = bootstrap_mean(values, seed=1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.n == np.isfinite(values).sum()


@given(st.integers(0, 200), st.integers(1, 200))
def test_wilson_holds_its_estimate_and_stays_a_rate(successes, n):
    found = rate(min(successes, n), n)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert found.high > found.low


def test_a_rate_of_nothing_is_unknown():
    found = rate(0, 0)
    assert math.isnan(found.estimate)
    assert found.n == 0


def test_lift_stays_finite_without_successes():
    found = lift_of_rates(0, 100, 0, 100)
    assert found.estimate == 0.0
    assert -1 < found.low < 0 < found.high < math.inf


def test_lift_needs_two_arms():
    with pytest.raises(ValueError, match="treatment has 0, control 10"):
        lift_of_rates(0, 0, 1, 10)


def test_sample_size_reaches_its_power():
    """Played out: with the advised size, 80 % of two-sided tests at 5 % see the lift."""
    n = sample_size_for_lift(0.1, 0.3)
    rng = np.random.default_rng(9)
    treated, control = rng.binomial(n, 0.13, size=4000), rng.binomial(n, 0.10, size=4000)
    pooled = (treated + control) / (2 * n)
    z = (treated - control) / n / np.sqrt(2 * pooled * (1 - pooled) / n)
    assert np.mean(np.abs(z) > 1.959964) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(("base", "lift", "per_arm"), [(0.60, 1 / 6, 356), (0.10, 0.10, 14_751)])
def test_sample_size_is_the_textbooks(base, lift, per_arm):
    assert sample_size_for_lift(base, lift) == per_arm


@pytest.mark.parametrize(("base", "lift"), [(0.0, 0.1), (0.6, 0.7), (1.0, -0.1), (0.2, -1.0)])
def test_sample_size_refuses_impossible_rates(base, lift):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        sample_size_for_lift(base, lift)


def test_no_sample_sees_no_lift():
    with pytest.raises(ValueError, match="lift of 0"):
        sample_size_for_lift(0.1, 0.0)


def test_a_mean_out_of_sums_is_students() -> None:
    values = np.random.default_rng(4).normal(3.0, 2.0, 40)
    found = mean_of_sums(values.sum(), values @ values, len(values))
    known = scipy.stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (found.estimate, found.low, found.high) == pytest.approx((values.mean(), known.low, known.high))
    assert found.n == 40


def test_a_mean_of_all_there_are_is_certain_and_one_of_none_is_not_known() -> None:
    part = mean_of_sums(10.0, 30.0, 10, population=20)
    endless = mean_of_sums(10.0, 30.0, 10)
    assert part.high - part.low == pytest.approx((endless.high - endless.low) * 0.5**0.5)
    assert math.isnan(mean_of_sums(0.0, 0.0, 0).estimate)
    assert math.isnan(mean_of_sums(5.0, 25.0, 1).low)


@pytest.mark.parametrize("chance", [0.02, 0.2])
def test_a_rate_by_customer_allows_for_offers_being_alike(chance: float) -> None:
    """Customers differ in how readily they accept, and get 1 to 8 offers; Wilson over offers holds it less."""
    rng = np.random.default_rng(31)
    held = {"by customer": 0, "by offer": 0}
    for _ in range(1000):
        offers = rng.integers(1, 9, size=300)
        hits = rng.binomial(offers, rng.beta(chance * 4, (1 - chance) * 4, size=300))
        for name, found in (
            ("by customer", rate_by_customer(hits, offers)),
            ("by offer", rate(hits.sum(), offers.sum())),
        ):
            held[name] += found.low <= chance <= found.high
    assert 0.93 <= held["by customer"] / 1000 <= 0.98
    assert held["by offer"] < held["by customer"] - 50
