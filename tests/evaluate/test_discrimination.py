"""AUC and lift against counting every pair of pairs, and the first-order interval against the honest bootstrap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextoffer.evaluate.discrimination import auc, auc_figure, lift_by_decile, lift_intervals
from nextoffer.evaluate.figures import Units, intervals
from nextoffer.intervals import resample

scored = st.lists(
    st.tuples(st.sampled_from([0.1, 0.3, 0.3001, 0.9]), st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=12
)


def counted_auc(rows):
    """Every accepted pair against every refused one."""
    won = total = 0.0
    for score, label, weight in rows:
        for other, other_label, other_weight in rows:
            if label == 1 and other_label == 0:
                total += weight * other_weight
                won += weight * other_weight * ((score > other) + 0.5 * (score == other))
    return won / total if total else float("nan")


@given(scored)
def test_weighted_auc_is_what_counting_gives(rows):
    score, label, weight = zip(*rows, strict=True)
    assert auc(score, label, weight=weight) == pytest.approx(counted_auc(rows), nan_ok=True)


def world(customers=300, offers=8, seed=1):
    rng = np.random.default_rng(seed)
    customer = np.repeat(np.arange(customers), offers)
    taste = rng.normal(size=customers)[customer]
    score = np.round(taste + rng.normal(size=customers * offers), 1)
    label = (rng.random(customers * offers) < 1 / (1 + np.exp(2 - taste - 0.5 * score))).astype(float)
    return customer, score, label, Units.of(customer, customers, seed=7)


def test_the_figure_is_the_auc():
    _, score, label, units = world()
    assert auc_figure(score, label, units).estimate == pytest.approx(auc(score, label), abs=1e-12)


def test_the_first_order_bootstrap_spreads_like_the_honest_one():
    customer, score, label, units = world()
    figure = auc_figure(score, label, units)
    quick = figure.statistic(resample(figure.sums, seed=7, resamples=400))
    draws = resample(np.eye(units.customers), seed=7, resamples=400)
    honest = np.array([auc(score, label, weight=times[customer]) for times in draws])
    assert quick.std() == pytest.approx(honest.std(), rel=0.03)
    assert np.corrcoef(quick, honest)[0, 1] > 0.99


def test_labels_of_one_kind_have_no_auc():
    units = Units.of(np.array([0, 1]), 2, seed=1)
    assert np.isnan(auc([0.1, 0.2], [1, 1]))
    assert np.isnan(intervals([auc_figure([0.1, 0.2], [1, 1], units)], seed=1)[0].estimate)


def test_lift_averages_over_the_decile_weighted_one():
    _, score, label, _ = world()
    assert lift_by_decile(score, label).mean() == pytest.approx(1.0)


def test_ties_across_a_decile_are_shared_out():
    """Two pairs tied over the border of two halves: each half gets half of both."""
    assert lift_by_decile([3, 2, 2, 1], [1, 1, 0, 0], parts=2).tolist() == [1.5, 0.5]


def test_a_score_that_says_nothing_lifts_nothing():
    assert lift_by_decile(np.zeros(50), np.arange(50) % 2).tolist() == pytest.approx([1.0] * 10)


def test_intervals_are_about_the_lifts():
    _, score, label, units = world()
    found = lift_intervals(score, label, units)
    assert [i.estimate for i in found] == pytest.approx(lift_by_decile(score, label).tolist())
    assert all(i.low < i.estimate < i.high and i.n == units.customers for i in found)
    assert found[0].low > 1 > found[-1].high


def test_a_part_in_which_nobody_accepts_may_still_have_some_who_would():
    units = Units.of(np.arange(100), 100, seed=7)
    best, worst = lift_intervals(np.arange(100)[::-1], np.arange(100) < 30, units, parts=2)
    assert (worst.estimate, worst.low) == (0.0, 0.0)
    assert 0.02 < worst.high < 0.3
    assert (best.estimate, best.high) == (2.0, 2.0)
    assert best.low == pytest.approx(2 - worst.high, abs=1e-6)


def test_without_any_acceptance_lifts_are_not_known():
    units = Units.of(np.arange(10), 10, seed=7)
    assert all(np.isnan([i.estimate, i.low, i.high]).all() for i in lift_intervals(np.arange(10), np.zeros(10), units))
