"""Lights, limits and comparisons against numbers worked out by hand and against simulation."""

from __future__ import annotations

from math import inf, isnan, nan
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.proportion import proportions_ztest

from nextoffer.errors import NextOfferError
from nextoffer.evaluate.alarm import MEANINGS, Check, Limits, Line, Share, beyond, compared, corrected, worst
from nextoffer.evaluate.then_now import difference, two_rates
from nextoffer.intervals import Interval, rate

LINE = Line(amber=0.1, red=0.25)


def check(low: float, chance: float = 0.001, line: Line | None = LINE) -> Check:
    return Check("drift", "a", "A", Interval(low + 0.05, low, low + 0.1, 100), "", line, size=low, chance=chance)


@pytest.mark.parametrize(
    ("found", "light"),
    [
        (check(0.09), "green"),
        (check(0.1), "amber"),
        (check(0.25), "red"),
        (check(0.3, chance=0.06), "green"),
        (check(nan), "unknown"),
        (check(inf, chance=nan), "red"),
        (check(0.9, line=None), "told"),
    ],
)
def test_a_light_needs_a_figure_surely_beyond_and_no_chance(found: Check, light: str) -> None:
    assert found.status() == light
    assert found.row()["status"] == light


def test_what_is_told_or_not_known_never_changes_the_verdict() -> None:
    assert worst([check(0.0), check(nan), check(0.9, line=None)]) == "green"
    assert worst([check(0.0), check(0.2), check(nan)]) == "amber"
    assert worst([check(nan), check(0.9, line=None)]) == "unknown"
    assert worst([]) == "unknown"


def test_many_figures_need_stronger_evidence() -> None:
    alone = check(0.3, chance=0.04)
    assert alone.status() == "red"
    assert {c.status() for c in corrected([alone, check(0.3, chance=0.6)])} == {"green"}


def test_how_far_a_change_surely_goes() -> None:
    assert beyond(Interval(0.3, 0.2, 0.4, 9)) == 0.2
    assert beyond(Interval(-0.3, -0.4, -0.2, 9)) == 0.2
    assert beyond(Interval(0.3, -0.1, 0.6, 9)) == 0.0
    assert isnan(beyond(Interval(nan, nan, nan, 0)))


def test_two_rates_are_compared_as_statsmodels_does() -> None:
    _, p = proportions_ztest([30, 55], [400, 500])
    assert two_rates(30, 400, 55, 500) == pytest.approx(p)
    assert isnan(two_rates(0, 0, 3, 10))


def test_a_difference_holds_the_truth() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(1000):
        found = difference(rate(rng.binomial(120, 0.15), 120), rate(rng.binomial(300, 0.05), 300))
        held += found.low <= 0.10 <= found.high
    assert 0.93 < held / 1000 < 0.97


def test_a_ratio_of_offers_several_to_a_customer_holds_the_truth() -> None:
    rng = np.random.default_rng(5)

    def played(customers: int, scale: float) -> Share:
        m = rng.integers(1, 5, customers).astype(np.float64)
        x = rng.binomial(m.astype(int), scale * rng.beta(1, 9, customers)).astype(np.float64)
        return Share.of([x.sum(), m.sum(), (x * x).sum(), (x * m).sum(), (m * m).sum(), customers])

    plays = [compared(played(600, 0.7), played(1500, 1.0)) for _ in range(600)]
    assert 0.925 < np.mean([i.low <= -0.3 <= i.high for i, _ in plays]) < 0.975
    same = [compared(played(600, 1.0), played(1500, 1.0))[1] for _ in range(600)]
    assert 0.03 < np.mean([chance < 0.05 for chance in same]) < 0.075


def test_where_nobody_accepted_the_ratio_still_has_an_interval() -> None:
    found, chance = compared(Share.of([0, 400, 0, 0, 800, 200]), Share(0.05, 0.0, 400))
    assert found.high < -0.5
    assert chance < 0.01
    nothing, unknown = compared(Share.of([0.0] * 6), Share(0.05, 0.0, 400))
    assert isnan(nothing.estimate)
    assert isnan(unknown)


def test_limits_written_are_limits_read(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(Limits().to_toml(), encoding="utf-8")
    assert Limits.read(path) == Limits() == Limits.read(None)
    for name, words in MEANINGS.items():
        assert f"# {words}\n{name} = " in Limits().to_toml()
    assert set(MEANINGS) == set(Limits.model_fields)


def test_everything_wrong_with_limits_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(
        "dirft = { amber = 1, red = 2 }\ndrift = { amber = 0.3, red = 0.2 }\nage_days = 3\n", encoding="utf-8"
    )
    with pytest.raises(NextOfferError, match="did you mean 'drift'") as error:
        Limits.read(path)
    assert len(error.value.problems) == 3
    assert "red (0.2) must not be below amber (0.3)" in str(error.value)
    with pytest.raises(NextOfferError, match="there is no such file"):
        Limits.read(tmp_path / "none.toml")
