"""From the second-order start to the logistic optimum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nextoffer.models.affinity import AffinityFit, affinity_sums
from nextoffer.models.ranker import log_likelihood, sigmoid
from nextoffer.models.refine import Offers, linearised, refined
from nextoffer.tables.flow import Floats

GROUPS = np.zeros(3, dtype=np.intp)


def students(count: int = 8000) -> tuple[Offers, Floats]:
    """Return offers of three products, the first of which students (one in twenty) take up very much oftener."""
    draw = np.random.default_rng(2)
    student = draw.random(count) < 0.05
    x = np.column_stack([(student - 0.05) / np.sqrt(0.05 * 0.95), draw.normal(size=(count, 2))])
    cols = draw.integers(0, 3, count)
    truth = np.where(cols == 0, np.where(student, 0.5, -4.5), -3.0)
    labels = (draw.random(count) < sigmoid(truth)).astype(float)
    return Offers(x, cols, labels, np.ones(count)), truth


def grown(offers: Offers) -> AffinityFit:
    sums = affinity_sums(offers.attributes, offers.cols, offers.labels, offers.weights, products=3)
    return AffinityFit.start(sums, GROUPS).grown(lambda: [offers])


def log_odds(fit: AffinityFit, offers: Offers) -> Floats:
    return fit.affinity().log_odds(offers.attributes)[np.arange(len(offers.cols)), offers.cols]


def test_where_one_kind_of_customer_says_yes_far_oftener_the_first_step_overshoots_and_is_mended() -> None:
    offers, truth = students()
    start = grown(offers)
    mended = start.refined(lambda: [offers])
    before, after, best = (
        log_likelihood(s, offers.labels, offers.weights)
        for s in (log_odds(start, offers), log_odds(mended, offers), truth)
    )
    assert before < best - 50
    assert after == pytest.approx(best, abs=15)
    eager = (offers.cols == 0) & (truth > 0)
    assert sigmoid(log_odds(mended, offers)[eager]).mean() == pytest.approx(sigmoid(0.5), abs=0.1)
    assert mended.rank == 1
    assert np.linalg.matrix_rank(mended.weights, tol=1e-9) == 1


def test_chunks_and_weights_say_the_same_as_rows() -> None:
    offers, _ = students(2000)
    fit = grown(offers)
    cut = [Offers(*(a[part] for a in vars(offers).values())) for part in (slice(0, 700), slice(700, 2000))]
    whole = fit.refined(lambda: [offers])
    assert fit.refined(lambda: cut).weights == pytest.approx(whole.weights, abs=1e-6)
    twice = fit.refined(lambda: [offers, offers])
    double = fit.refined(lambda: [replace(offers, weights=2 * offers.weights)])
    assert double.weights == pytest.approx(twice.weights, abs=1e-6)
    assert double.weights != pytest.approx(whole.weights, abs=1e-6)


def test_a_factor_of_nothing_stays_nothing() -> None:
    offers, _ = students(500)
    factor = grown(offers).latest
    assert factor is not None
    nothing = refined(replace(factor, w=np.zeros(3)), GROUPS, lambda: [offers])
    assert not nothing.w.any()
    assert np.isfinite(nothing.base).all()


def test_earlier_factors_are_left_as_they_are() -> None:
    offers, _ = students(2000)
    first = grown(offers).refined(lambda: [offers])
    second = first.grown(lambda: [offers]).refined(lambda: [offers])
    assert second.latest is not None
    assert np.array_equal(second.latest.earlier, first.weights)
    assert second.rank == 2
    assert second.factors[0] is first.latest
    assert sum(np.outer(f.w, f.v) for f in second.factors) == pytest.approx(second.weights)


def test_no_factor_is_nothing_to_refine() -> None:
    offers, _ = students(500)
    start = replace(grown(offers), factors=())
    assert start.refined(lambda: [offers]) is start


def two_tastes(count: int, *, seed: int) -> tuple[Offers, Floats]:
    """Return offers of three products: students take the first very much oftener, another taste parts the others."""
    draw = np.random.default_rng(seed)
    student = draw.random(count) < 0.05
    x = np.column_stack([(student - 0.05) / np.sqrt(0.05 * 0.95), draw.normal(size=(count, 2))])
    cols = draw.integers(0, 3, count)
    truth = np.where(cols == 0, np.where(student, 0.5, -4.5), -2.5 + 1.2 * x[:, 1] * np.where(cols == 1, 1.0, -1.0))
    labels = (draw.random(count) < sigmoid(truth)).astype(float)
    return Offers(x, cols, labels, np.ones(count)), truth


def test_a_second_taste_is_found_beside_a_steep_first() -> None:
    offers, _ = two_tastes(8000, seed=2)
    later, truth = two_tastes(20_000, seed=3)
    first = grown(offers).refined(lambda: [offers])
    second = first.grown(lambda: [offers])
    best = log_likelihood(truth, later.labels, later.weights)
    one, start, two = (
        log_likelihood(log_odds(fit, later), later.labels, later.weights)
        for fit in (first, second, second.refined(lambda: [offers]))
    )
    assert start > one + 50  # around the rates alone it would be 1,100 below
    assert two > one + 300
    assert two > best - 150


def test_the_likelihood_around_a_fit_is_its_own_slope() -> None:
    offers, _ = two_tastes(3000, seed=4)
    fit = grown(offers).refined(lambda: [offers])
    assert fit.latest is not None
    found = linearised(fit.latest, lambda: [offers])
    step, (a, j) = 1e-4, (1, 2)

    def likelihood(move: float) -> float:
        assert fit.base is not None
        weights, base = fit.weights.copy(), fit.base.copy()
        weights[a, j] += move
        base[j] -= move * found.mean[a, j]
        told = base[offers.cols] + np.einsum("ma,am->m", offers.attributes, weights[:, offers.cols])
        return log_likelihood(told, offers.labels, offers.weights)

    slope = (likelihood(step) - likelihood(-step)) / (2 * step)
    assert found.score[a, j] == pytest.approx(slope, rel=1e-3, abs=1e-2)
