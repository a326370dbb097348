"""Sums over chunks are sums over all, and intervals of a sample cover at their stated rate."""

from __future__ import annotations

import numpy as np
import pytest

from nextoffer.evaluate.tally import Population, Tally
from nextoffer.intervals import rate

KEYS = [("new", "a", "customers"), ("new", "b", "offers"), ("difference", "b", "offers")]
EVERYBODY = Population(6, 6)


def amounts() -> np.ndarray:
    return np.array([[1, 2, -1], [0, 3, 0], [1, 0, 2], [0, 0, 0], [1, 1, 1], [0, 4, -3]])


def test_chunks_add_up_to_the_whole() -> None:
    whole, parts = Tally(), Tally()
    whole.spread("t", KEYS, amounts())
    for rows in np.split(amounts(), 3):
        part = Tally()
        part.spread("t", KEYS, rows)
        parts.merge(part)
    assert list(parts.figures("t")) == list(whole.figures("t"))
    assert whole.totals("t", ["policy", "group"], EVERYBODY).to_pylist()[1] == {
        "policy": "new", "group": "b", "measure": "offers", "estimate": 10.0, "low": None, "high": None, "n": 6,
    }  # fmt: skip


def test_counting_places_is_spreading_flags() -> None:
    counted, spread = Tally(), Tally()
    places, worth = np.array([0, 2, -1, 2, 1, 0]), np.arange(6.0)
    counted.count("t", KEYS, places, worth)
    dense = np.zeros((6, 3))
    dense[places >= 0, places[places >= 0]] = worth[places >= 0]
    spread.spread("t", KEYS, dense)
    assert list(counted.figures("t")) == list(spread.figures("t"))


def test_figures_that_nobody_adds_to_are_not_kept_by_counting() -> None:
    tally = Tally()
    tally.count("t", KEYS, np.array([1, 1, -1]))
    assert list(tally.figures("t")) == [(KEYS[1], 2.0, 2.0)]
    assert tally.totals("other", ["policy", "group"], EVERYBODY).num_rows == 0


def test_a_sample_stands_for_the_bank() -> None:
    tally = Tally()
    tally.spread("t", KEYS, amounts())
    found = tally.totals("t", ["policy", "group"], Population(6, 600)).to_pylist()
    assert [row["estimate"] for row in found] == [300.0, 1000.0, -100.0]
    assert all(row["low"] < row["estimate"] < row["high"] for row in found)
    wilson = rate(3 * 600 / 594, round(6 * 600 / 594))
    assert found[0]["high"] == pytest.approx(600 * wilson.high)


def test_the_intervals_of_a_sample_cover_the_bank_at_their_stated_rate() -> None:
    rng = np.random.default_rng(3)
    bank = rng.poisson(0.8, 2000)
    covered = {"customers": 0, "offers": 0}
    for _ in range(300):
        drawn = rng.choice(bank, 700, replace=False)
        tally = Tally()
        tally.spread("t", [("new", "x", "customers"), ("new", "x", "offers")], np.stack([drawn > 0, drawn], axis=1))
        for row in tally.totals("t", ["policy", "group"], Population(700, 2000)).to_pylist():
            truth = bank.sum() if row["measure"] == "offers" else (bank > 0).sum()
            covered[row["measure"]] += row["low"] <= truth <= row["high"]
    assert min(covered.values()) / 300 > 0.915
    assert max(covered.values()) / 300 < 0.985  # a sample of a third says more than one of an endless bank would


def test_means_are_told_for_so_many_customers() -> None:
    tally = Tally()
    tally.spread("t", KEYS, amounts())
    row = tally.means("t", ["policy", "group"], EVERYBODY, per=1000.0).to_pylist()[1]
    assert row["estimate"] == pytest.approx(10_000 / 6)
    assert row["low"] < row["estimate"] < row["high"]
