"""Figures add up, compare customer by customer, and cost the same in any batch."""

import numpy as np
import pytest

from nextoffer import intervals as leaves
from nextoffer.evaluate import figures
from nextoffer.evaluate.figures import Units, difference, intervals, lift, mean, share_of_way

CUSTOMERS = 400


@pytest.fixture
def units():
    return Units.of(np.arange(CUSTOMERS), CUSTOMERS, seed=7)


def values(seed, shift=0.0):
    return np.random.default_rng(seed).normal(1.0 + shift, 0.5, CUSTOMERS)


def test_sums_are_kept_by_unit():
    units = Units.of(np.array([0, 0, 1]), 2, seed=7)
    assert units.pair_sums(np.array([1.0, 2.0, 4.0])).tolist() == [[3.0], [4.0]]
    table = units.pair_table(np.array([0, 2, 2]), np.array([1.0, 2.0, 4.0]), width=3)
    assert table.tolist() == [[1.0, 0.0, 2.0], [0.0, 0.0, 4.0]]


def test_combinations_are_what_they_say(units):
    a, b, c = (mean(np.full(CUSTOMERS, level), units) for level in (3.0, 2.0, 6.0))
    assert difference(a, b).estimate == pytest.approx(1.0)
    assert lift(a, b).estimate == pytest.approx(0.5)
    assert share_of_way(a, b, c).estimate == pytest.approx(0.25)
    assert np.isnan(share_of_way(a, b, b).estimate)


def test_comparisons_are_paired(units):
    """Model and baseline share their customers' luck, which the interval of the difference must not hold."""
    luck, edge = values(1), np.random.default_rng(2).normal(0.05, 0.01, CUSTOMERS)
    gap = intervals([difference(mean(luck + edge, units), mean(luck, units))], seed=7)[0]
    assert gap.low > 0.04
    assert gap.high < 0.06


def test_a_paired_difference_covers_at_its_stated_rate():
    covered = 0
    for world in range(200):
        units = Units.of(np.arange(150), 150, seed=world)
        rng = np.random.default_rng(world)
        luck = rng.normal(size=150)
        model, baseline = mean(luck + rng.exponential(0.3, 150), units), mean(luck, units)
        found = intervals([difference(model, baseline)], seed=world, resamples=300)[0]
        covered += found.low <= 0.3 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_batches_change_nothing(units, monkeypatch):
    many = [mean(values(seed), units) for seed in range(5)]
    together = intervals(many, seed=7)
    monkeypatch.setattr(figures, "_MAX_COLUMNS", 1)
    assert [i.low for i in intervals(many, seed=7)] == pytest.approx([i.low for i in together])


def test_heaps_stand_in_for_very_many_customers(monkeypatch):
    monkeypatch.setattr(leaves, "MAX_UNITS", 100)
    units = Units.of(np.arange(CUSTOMERS), CUSTOMERS, seed=7)
    figure = mean(values(3), units)
    assert figure.sums.shape == (100, 2)
    assert figure.estimate == pytest.approx(values(3).mean())
    assert figure.n == CUSTOMERS
    found = intervals([figure], seed=7)[0]
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * 0.5 / np.sqrt(CUSTOMERS), rel=0.25)


def test_no_figures_no_intervals():
    assert intervals([], seed=7) == ()
