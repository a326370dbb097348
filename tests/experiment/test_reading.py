"""A whole reading: lifts, guardrails, and the verdict in words."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.experiment.file import Experiment
from nextoffer.experiment.gather import gather_table
from nextoffer.experiment.reading import Reading, read
from tests.experiment.toys import experiment

START = date(2026, 3, 1)
GUARD = '[[metric]]\nname = "spend"\nkind = "value"\nrole = "guardrail"\nlift = 0.05\ncovariates = ["before"]\n'
ACCEPTED = '[[metric]]\nname = "accepted"\n'


def played(test: Experiment, rates: tuple[float, ...], *, n: int = 8000, harm: float = 0.0, days: int = 20) -> Reading:
    draw = np.random.default_rng(7)
    arm = np.searchsorted(np.cumsum(test.shares)[:-1], draw.random(n), side="right")
    before = draw.gamma(4.0, 25.0, n)
    table = pa.table(
        {
            "customer_id": np.arange(n),
            "arm": np.array(test.arms)[arm],
            "assigned_on": pa.array([START + timedelta(days=int(d)) for d in np.arange(n) * days // n]),
            "accepted": draw.random(n) < np.array(rates)[arm],
            "spend": (before + draw.normal(0, 10, n)) * (1 - harm * (arm > 0)),
            "before": before,
        }
    )
    return read(gather_table(table, test), test)


def test_better() -> None:
    found = played(experiment(metrics=ACCEPTED + GUARD), (0.10, 0.16))
    assert found.verdict.code == "better"
    assert found.verdict.headline.startswith("new is better than old: accepted +")
    lift = found.lift("accepted", "new")
    assert lift.low < 0.6 < lift.high
    assert lift.low > 0
    assert [f.code for f in found.verdict.findings] == ["better", "guard safe"]


def test_worse_and_lower_is_better() -> None:
    assert played(experiment(), (0.16, 0.10)).verdict.code == "worse"
    assert played(experiment(metrics=ACCEPTED + 'better = "lower"\n'), (0.16, 0.10)).verdict.code == "better"


def test_not_yet_decidable_says_when() -> None:
    found = played(experiment(top="customers = 40000\n"), (0.10, 0.112))
    assert found.verdict.code == "open"
    assert "new against old is not yet decidable: accepted +" in found.verdict.headline
    assert "at this rate decided in about" in found.verdict.headline


def test_a_lift_that_was_wished_for_can_be_ruled_out() -> None:
    found = played(experiment(metrics=ACCEPTED + "lift = 0.5\n"), (0.10, 0.10))
    assert found.verdict.code == "no_lift"
    assert "new does not bring the wished" in found.verdict.headline


def test_a_hurt_guardrail_stops_the_test_however_good_the_rest_is() -> None:
    found = played(experiment(metrics=ACCEPTED + GUARD), (0.10, 0.16), harm=0.1)
    assert found.verdict.code == "stop"
    assert found.verdict.headline.startswith("Stop new: guardrail spend is hurt: spend -")
    assert "tolerated is 5.0% for the worse" in found.verdict.headline


def test_a_guardrail_that_is_not_known_is_told_beside_the_lift() -> None:
    found = played(experiment(metrics=ACCEPTED + GUARD.replace("0.05", "0.001")), (0.10, 0.16))
    assert found.verdict.code == "better"
    assert "That it does no harm to spend is not shown yet." in found.verdict.headline


def test_a_broken_assignment_is_not_read() -> None:
    test, counts = experiment(), (4400, 3600)
    table = pa.table(
        {
            "customer_id": np.arange(8000),
            "arm": np.repeat(np.array(test.arms), counts),
            "accepted": np.arange(8000) % 10 == 0,
        }
    )
    found = read(gather_table(table, test), test)
    assert found.verdict.code == "broken"
    assert found.verdict.headline.startswith("The assignment is broken: do not read. The arms do not hold")


def test_a_fixed_test_is_read_at_its_end_only() -> None:
    early = played(experiment(top='interval = "fixed"\ncustomers = 10000\n'), (0.10, 0.16))
    assert early.verdict.code == "early"
    assert "80% of it is in" in early.verdict.headline
    ended = played(experiment(top='interval = "fixed"\n'), (0.10, 0.16))
    assert ended.verdict.code == "better"


def test_several_arms_are_held_to_one_level() -> None:
    arms = "".join(f'[[arm]]\nname = "{n}"\nshare = {s}\n' for n, s in (("old", 0.4), ("a", 0.3), ("b", 0.3)))
    test = experiment(arms=arms, top='interval = "fixed"\n')
    found = played(test, (0.10, 0.16, 0.10))
    assert found.verdict.code == "better"
    assert found.verdict.headline.startswith("a is better than old")
    levels = {row["level"] for row in found.lifts.to_pylist()}
    assert levels == {0.975}
    assert [f.code for f in found.verdict.findings] == ["better", "open"]


def test_covariates_make_it_sharper_by_what_is_said() -> None:
    found = played(experiment(metrics=ACCEPTED + GUARD), (0.10, 0.10))
    plain, adjusted = (
        r for r in found.lifts.to_pylist()
        if r["metric"] == "spend" and r["scale"] == "absolute" and r["method"] == "fixed"
    )  # fmt: skip
    ratio = (adjusted["high"] - adjusted["low"]) / (plain["high"] - plain["low"])
    assert ratio**2 == pytest.approx(found.sharper["spend"], rel=0.01)
    assert found.sharper["spend"] < 0.1


def test_every_day_is_told_and_the_last_is_the_reading() -> None:
    found = played(experiment(), (0.10, 0.16))
    days = found.days.to_pylist()
    assert len(days) == 20
    last = found.lift("accepted", "new", scale="absolute")
    assert (days[-1]["low"], days[-1]["high"]) == (last.low, last.high)
    assert days[0]["high"] - days[0]["low"] > 3 * (last.high - last.low)


def test_an_arm_without_customers_and_nobody_at_all() -> None:
    test = experiment()
    table = pa.table({"customer_id": [1, 2, 3], "arm": ["old", "old", "old"], "accepted": [0, 1, 0]})
    found = read(gather_table(table, test), test)
    assert found.verdict.code == "nothing"
    assert "too little is known of accepted (0 customers in the smaller arm)" in found.verdict.headline
    empty = read(gather_table(table.slice(0, 0), test), test)
    assert empty.verdict.headline == "There are no customers to read."


def test_nobody_converts() -> None:
    found = played(experiment(), (0.0, 0.0))
    assert found.verdict.code == "open"
    assert "points" in found.verdict.headline
