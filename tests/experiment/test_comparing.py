"""Comparisons of arms beside statsmodels, scipy, tea-tasting and published figures."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import statsmodels.api as sm
import tea_tasting as tt
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from nextoffer.experiment.comparing import Terms, anytime, fixed, holm, rate_difference
from nextoffer.experiment.means import adjusted_means, can_adjust, plain_means, ratio_bounds
from nextoffer.experiment.sums import Sums, sums_of

TERMS = Terms(0.05)


@pytest.fixture(scope="module")
def spending() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(7)
    arms = (draw.random(3000) < 0.3).astype(int)
    before = draw.lognormal(0, 0.5, (3000, 2))
    values = 3 + before @ [1.0, 0.5] + arms * (0.2 + 0.3 * before[:, 0]) + draw.normal(0, 1, 3000) * (1 + arms)
    return values, before, arms


def test_newcombe_is_statsmodels() -> None:
    for x1, n1, x0, n0 in ((56, 70, 48, 80), (9, 10, 3, 10), (0, 10, 0, 20), (5, 56, 0, 29)):
        low, high = confint_proportions_2indep(x1, n1, x0, n0, method="newcomb", compare="diff")
        found = rate_difference(x1, n1, x0, n0)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_newcombe_published() -> None:
    # Newcombe 1998, table II, method 10
    found = rate_difference(56, 70, 48, 80)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


def test_rates_against_statsmodels() -> None:
    values = np.repeat([1.0, 0.0, 1.0, 0.0], [40, 960, 70, 1130])
    found = fixed(sums_of(values[:, None], np.repeat([0, 1], [1000, 1200]), 2), 1, TERMS, conversion=True)
    low, high = confint_proportions_2indep(70, 1200, 40, 1000, method="log", compare="ratio")
    assert (found.relative.low + 1, found.relative.high + 1) == pytest.approx((low, high), rel=1e-6)
    assert found.p_value == pytest.approx(proportions_ztest([70, 40], [1200, 1000])[1], rel=1e-9)
    one = fixed(sums_of(values[:, None], np.repeat([0, 1], [1000, 1200]), 2), 1, Terms(0.05, sides=1), conversion=True)
    assert one.p_value == pytest.approx(found.p_value / 2)
    assert one.absolute.low > found.absolute.low


def test_values_against_scipy(spending: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    values, _, arms = spending
    found = fixed(sums_of(values[:, None], arms, 2), 1, TERMS, conversion=False)
    theirs = stats.ttest_ind(values[arms == 1], values[arms == 0], equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-6)
    assert (found.absolute.low, found.absolute.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_adjusted_values_are_the_regression_with_interactions(
    spending: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    values, before, arms = spending
    centred = before - before.mean(axis=0)
    design = sm.add_constant(np.column_stack([arms, centred, centred * arms[:, None]]))
    theirs = sm.OLS(values, design).fit(cov_type="HC2")
    means = adjusted_means(sums_of(np.column_stack([values, before]), arms, 2))
    difference, error = means.difference(1)
    assert difference == pytest.approx(theirs.params[1], rel=1e-9)
    # the regression takes the covariates' mean for known; the slopes' difference times its variance is what it misses
    slopes = theirs.params[4:]
    missing = slopes @ np.cov(before.T, bias=True) @ slopes / len(values)
    assert error == pytest.approx(np.sqrt(theirs.bse[1] ** 2 + missing), rel=0.01)


def test_cuped_against_tea_tasting() -> None:
    draw = np.random.default_rng(11)
    arms = draw.integers(0, 2, 20_000)
    before = draw.gamma(2.0, 1.0, 20_000)
    values = before + draw.gamma(1.0, 1.0, 20_000) + 0.05 * arms
    table = pa.table({"variant": arms, "spend": values, "before": before})
    theirs = tt.Experiment(spend=tt.Mean("spend", "before")).analyze(table)["spend"]
    ours = fixed(sums_of(np.column_stack([values, before]), arms, 2), 1, TERMS, conversion=False, adjust=True)
    assert ours.absolute.estimate == pytest.approx(theirs.effect_size, rel=0.01)
    assert ours.absolute.high - ours.absolute.low == pytest.approx(
        theirs.effect_size_ci_upper - theirs.effect_size_ci_lower, rel=0.01
    )
    assert ours.relative.high == pytest.approx(theirs.rel_effect_size_ci_upper, rel=0.02)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=0.1)


def test_adjusting_shortens_by_the_variance_explained() -> None:
    draw = np.random.default_rng(3)
    arms, before = draw.integers(0, 2, 50_000), draw.normal(0, 1, 50_000)
    values = 0.8 * before + draw.normal(0, 0.6, 50_000)
    sums = sums_of(np.column_stack([values, before]), arms, 2)
    ratio = adjusted_means(sums).difference(1)[1] / plain_means(sums.metric()).difference(1)[1]
    assert ratio**2 == pytest.approx(1 - 0.8**2, rel=0.03)


def test_covariates_that_say_the_same_or_nothing() -> None:
    draw = np.random.default_rng(5)
    arms, before = draw.integers(0, 2, 500), draw.normal(100, 1, 500)
    values = before + draw.normal(0, 1, 500)
    once = adjusted_means(sums_of(np.column_stack([values, before]), arms, 2)).difference(1)
    twice = adjusted_means(sums_of(np.column_stack([values, before, 2 * before, np.ones(500)]), arms, 2)).difference(1)
    assert twice[0] == pytest.approx(once[0], rel=1e-8)
    assert not can_adjust(sums_of(np.column_stack([values, np.ones(500)]), arms, 2))
    assert not can_adjust(sums_of(np.column_stack([values[:30], before[:30]]), arms[:30], 2))


def test_fieller_holds_just_the_ratios_that_are_not_rejected(
    spending: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    values, _, arms = spending
    means = plain_means(sums_of(values[:, None], arms, 2))
    for bound in ratio_bounds(means, 1, 0, 1.96):
        ratio = 1 + bound
        error = np.sqrt(means.covariance[1, 1] + ratio**2 * means.covariance[0, 0])
        assert abs(means.estimates[1] - ratio * means.estimates[0]) / error == pytest.approx(1.96)


def test_a_control_whose_mean_may_be_nothing_has_no_ratio() -> None:
    draw = np.random.default_rng(1)
    sums = sums_of(draw.normal(0, 1, (400, 1)), np.repeat([0, 1], 200), 2)
    found = fixed(sums, 1, TERMS, conversion=False)
    assert np.isnan(found.relative.low)
    assert np.isfinite(found.absolute.low)


def test_holm_is_statsmodels() -> None:
    p = [0.01, 0.04, 0.03, 0.2]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1].tolist())
    assert np.isnan(holm([0.01, float("nan")])[1])


EDGES = {
    "nobody in an arm": ([], [1.0, 0.0] * 60, True),
    "nobody converts": ([0.0] * 100, [0.0] * 100, True),
    "everybody converts": ([1.0] * 100, [1.0] * 100, True),
    "a constant": ([5.0] * 100, [5.0] * 100, False),
    "two constants": ([5.0] * 100, [6.0] * 100, False),
    "one customer each": ([5.0], [6.0], False),
}


@pytest.mark.parametrize("case", EDGES)
def test_edges_are_answered_without_a_fault(case: str) -> None:
    control, treatment, conversion = EDGES[case]
    values = np.array([*control, *treatment])[:, None]
    sums = sums_of(values, np.repeat([0, 1], [len(control), len(treatment)]), 2)
    once = fixed(sums, 1, TERMS, conversion=conversion)
    always = anytime(sums, 1, TERMS, share=0.5, conversion=conversion)
    if case == "nobody in an arm":
        assert np.isnan(once.absolute.low)
        assert np.isnan(always.absolute.low)
    if case == "nobody converts":
        assert once.p_value == 1.0
        assert always.absolute.low < 0 < always.absolute.high
        assert np.isnan(always.relative.low)
    if case == "a constant":
        assert once.absolute.estimate == 0.0
        assert np.isnan(always.p_value)


def test_sums_add_up_over_days_and_parts() -> None:
    draw = np.random.default_rng(2)
    values, arms = draw.normal(1e6, 1.0, (1000, 2)), draw.integers(0, 2, 1000)
    whole = sums_of(values, arms, 2)
    shifted = Sums(whole.n, whole.totals, whole.products, whole.centre)
    assert shifted.scatter()[1] == pytest.approx(np.cov(values[arms == 1].T) * ((arms == 1).sum() - 1), rel=1e-9)
