"""Every type of interval holds the truth as often as it says; the benchmark of this name plays the same more often."""

from __future__ import annotations

import pytest
import scipy.stats

from tests.scripts import loaded

REPETITIONS = {"backtest": 40, "counts": 150, "experiment": 40, "fairness": 300, "off_policy": 20, "uplift": 20}
SMALLER = {"backtest": {"MANY": 20_000}, "off_policy": {"MANY": 10_000}, "uplift": {"MANY": 50_000}}
"""What is smaller here: from how many customers or decisions the truths come."""


PLAYED = loaded("interval_coverage")


def test_every_part_is_played():
    assert set(REPETITIONS) == {path.stem for path in PLAYED.PARTS.glob("*.py")}


@pytest.mark.parametrize("name", REPETITIONS)
def test_intervals_hold_the_truth_as_they_are_read(name, monkeypatch):
    part, repetitions = PLAYED.part(name), REPETITIONS[name]
    for constant, value in SMALLER.get(name, {}).items():
        monkeypatch.setattr(part, constant, value)
    wrong = []
    for row, nominal, reading, play in part.ROWS:
        held = play(11, repetitions)
        if not plausible(round(held * repetitions), repetitions, PLAYED.allowed(nominal, reading)):
            wrong.append((row, reading, held))
    assert not wrong


def plausible(hits, repetitions, allowed):
    """Whether so few, or so many, hits come in more than one of 10,000 runs if the share is as allowed."""
    few = scipy.stats.binom.cdf(hits, repetitions, allowed[0])
    many = scipy.stats.binom.sf(hits - 1, repetitions, allowed[1])
    return min(few, many) > 1e-4


def test_a_row_that_is_off_is_seen():
    assert plausible(285, 300, (0.93, 0.97))
    assert not plausible(255, 300, (0.93, 0.97))
    assert not plausible(300, 300, (0.93, 0.96))
    assert not plausible(12, 20, (0.93, 1.0))


@pytest.mark.parametrize(
    ("held", "reading", "so"),
    [
        (0.97, "covers", True),
        (0.975, "covers", False),
        (0.925, "covers", False),
        (1.0, "at least", True),
        (0.925, "at least", False),
        (0.5, "band", True),
        (0.7, "contrast", True),
        (0.94, "contrast", False),
    ],
)
def test_how_rows_are_read(held, reading, so):
    assert PLAYED.holds(held, 0.95, reading) == so
