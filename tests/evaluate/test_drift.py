"""Divergences against numbers worked out by hand and scipy's, their noise and their intervals against simulation."""

from __future__ import annotations

from math import inf, isnan, log

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from nextoffer.evaluate.drift import divergence, jensen_shannon, psi


def test_the_index_worked_out_by_hand() -> None:
    by_hand = (0.3 - 0.2) * log(0.3 / 0.2) + (0.3 - 0.3) * 0 + (0.4 - 0.5) * log(0.4 / 0.5)
    assert psi([0.2, 0.3, 0.5], [0.3, 0.3, 0.4]) == pytest.approx(by_hand)
    assert psi([0.2, 0.8], [0.8, 0.2]) == pytest.approx(psi([0.8, 0.2], [0.2, 0.8])) == pytest.approx(1.2 * log(4))
    assert psi([0.5, 0.5, 0.0], [0.5, 0.5, 0.0]) == 0.0
    assert psi([1.0, 0.0], [0.5, 0.5]) == inf


def test_both_divergences_are_those_of_scipy() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        p, q = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(7))
        assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2)
        assert psi(p, q) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p))


def test_chance_is_that_of_pearsons_test() -> None:
    then, now = np.array([40, 60, 100]), np.array([60, 55, 85])
    by_scipy = stats.chi2_contingency(np.stack([then, now]), correction=False)
    assert divergence(then, now).chance == pytest.approx(by_scipy.pvalue)


def test_samples_without_drift_are_called_different_as_often_as_said() -> None:
    rng = np.random.default_rng(5)
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    plays = [divergence(rng.multinomial(200, shares), rng.multinomial(150, shares)) for _ in range(2000)]
    assert 0.035 < np.mean([d.chance < 0.05 for d in plays]) < 0.065
    assert 0.035 < np.mean([d.psi.estimate > d.noise for d in plays]) < 0.075


@pytest.mark.parametrize("tilt", [0.0, 0.3, 0.8])
def test_intervals_hold_the_truth(tilt: float) -> None:
    rng = np.random.default_rng(11)
    p = np.full(8, 1 / 8)
    q = p * np.exp(tilt * np.linspace(-1, 1, 8))
    q /= q.sum()
    plays = [divergence(rng.multinomial(1000, p), rng.multinomial(600, q)) for _ in range(600)]
    held = [d.psi.low <= psi(p, q) + 1e-12 and psi(p, q) <= d.psi.high for d in plays]
    held_js = [d.js.low <= jensen_shannon(p, q) + 1e-12 and jensen_shannon(p, q) <= d.js.high for d in plays]
    assert min(np.mean(held), np.mean(held_js)) > 0.92


def test_an_empty_bin_has_half_a_customer_in_the_index() -> None:
    found = divergence([50, 50], [100, 0])
    assert found.psi.estimate == pytest.approx(psi([50.5 / 101, 50.5 / 101], [100.5 / 101, 0.5 / 101]))
    assert found.chance < 1e-9


def test_nobody_and_one_bin() -> None:
    nobody = divergence([10, 20], [0, 0])
    assert isnan(nobody.psi.estimate)
    assert isnan(nobody.chance)
    one = divergence([10, 0], [40, 0])
    assert (one.psi.estimate, one.psi.high, one.chance) == (0.0, 0.0, 1.0)


def test_the_larger_the_bank_the_narrower() -> None:
    widths = [(d := divergence([50 * k, 50 * k], [60 * k, 40 * k])).psi.high - d.psi.low for k in (1, 10, 100)]
    assert widths[0] > widths[1] > widths[2]
