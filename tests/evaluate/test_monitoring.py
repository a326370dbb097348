"""What is called moved: false alarms and detection by simulation, and the words of each check."""

from __future__ import annotations

from math import inf, isnan, nan

import numpy as np
import pytest

from nextoffer.evaluate.alarm import Check, Limits, Share
from nextoffer.evaluate.monitor_page import About, monitor_page
from nextoffer.evaluate.monitoring import (
    KINDS,
    SPREADS,
    Moved,
    auc_check,
    customers_check,
    days_check,
    decision_checks,
    drift_checks,
    headline,
    kind_rows,
    missing_checks,
    propensity_checks,
    set_aside,
)
from nextoffer.evaluate.page import render
from nextoffer.evaluate.reach import Decisions
from nextoffer.evaluate.reference import of_numbers
from nextoffer.intervals import Interval
from tests.scripts import loaded

LIMITS = Limits()


PLAYED = loaded("monitoring")


def test_where_nothing_changed_lights_stay_green() -> None:
    lights, called_moved = PLAYED.false_alarms(500, 16, seed=4)
    assert lights <= 1 / 16  # of 150 features, all judged
    assert called_moved <= 4 / 16


@pytest.mark.parametrize("plant", [p for p in PLAYED.PLANTS if p != "mean + 0.3 sd"])
def test_what_was_planted_is_seen(plant: str) -> None:
    assert PLAYED.seen(plant, 1500, 3, seed=6)[0] == 1.0


def test_a_small_shift_is_called_moved_and_stays_below_the_limit() -> None:
    assert PLAYED.seen("mean + 0.3 sd", 1500, 3, seed=6) == (0.0, 1.0)


def test_answers_as_stated_light_nothing_and_others_do() -> None:
    assert max(PLAYED.calibration_lights(500, 1.0, 300, seed=7)) < 0.04
    assert min(PLAYED.calibration_lights(2000, 0.5, 60, seed=7)) > 0.6
    assert min(PLAYED.calibration_lights(2000, 0.0, 5, seed=7)) == 1.0


def moved(name: str, shift: float, n: int = 2000) -> Moved:
    rng = np.random.default_rng(len(name))
    shape = of_numbers(name, name.capitalize(), rng.normal(size=n))
    return Moved.of(shape, shape.of_numbers(rng.normal(size=n) + shift))


def test_a_feature_that_hardly_moves_scores_is_told_and_not_judged() -> None:
    columns = [moved("age", 0.0), moved("income", 1.0), moved("visits", 1.0)]
    weights = {"age": 0.7, "income": 0.296, "visits": 0.004}
    checks = drift_checks(columns, LIMITS, weights)
    assert [(c.subject, c.status()) for c in checks] == [("income", "red"), ("age", "green"), ("visits", "told")]
    assert [c.importance for c in checks] == [0.296, 0.7, 0.004]
    assert set_aside(checks, LIMITS) == "Far from the fit, but not judged because they hardly move scores: Visits."
    assert {c.status() for c in drift_checks(columns, LIMITS)} == {"red", "green"}  # judged where it is not known
    assert set_aside(drift_checks(columns, LIMITS), LIMITS) == ""


def test_the_bin_that_moved_most_is_named() -> None:
    (check,) = drift_checks([moved("income", 1.0)], LIMITS)
    assert "> 1." in check.text
    assert "10.0" in check.text
    (still,) = propensity_checks([moved("income", 0.0)], LIMITS)
    assert "then" not in still.text


def test_features_lost_are_seen_even_for_everybody() -> None:
    shape = of_numbers("income", "Income", np.arange(1000.0))
    gone = Moved.of(shape, shape.of_numbers(np.full(1000, nan)))
    (drift,) = drift_checks([gone], LIMITS)
    (missing,) = missing_checks([gone], LIMITS)
    assert (drift.status(), missing.status()) == ("unknown", "red")
    assert "cannot be compared" in drift.text
    assert missing.now.n == 1000


def test_spreads_add_up() -> None:
    column = moved("income", 0.5)
    rows = list(column.rows("feature"))
    assert set(rows[0]) == set(SPREADS.names)
    for side in ("then", "now"):
        assert sum(float(str(row[side])) for row in rows) == pytest.approx(1.0)
    assert len(rows) == len(column.shape.counts)


def decided(without: int, *, reached: dict[str, int], consenting: int | None = 800) -> Decisions:
    return Decisions(
        1000, without, reached, {"consent.marketing": without - 10, "eligibility.held": 10}, consenting, 50
    )


def test_who_gets_offers_and_who_does_not() -> None:
    then = decided(200, reached={"a": 500, "b": 40, "c": 0, "d": 3})
    now = decided(420, reached={"a": 300, "b": 0, "c": 0, "d": 0, "e": 7}, consenting=590)
    without, consent, coverage = decision_checks(now, then, LIMITS, {"b": "Car Loan"})
    assert (without.status(), without.then, without.now.estimate) == ("red", 0.2, 0.42)
    assert "of them because of consent.marketing" in without.text
    assert "Contact rules keep further 5.0" in without.text
    assert (consent.status(), consent.now.estimate) == ("red", 0.59)
    assert (coverage.now.estimate, coverage.now.n) == (0.5, 2)  # of a and b; d reached too few to count
    assert "At the fit Car Loan did reach customers" in coverage.text
    assert coverage.status() == "red"


def test_without_consents_nothing_is_said_of_them() -> None:
    same = decided(200, reached={"a": 500}, consenting=None)
    checks = list(decision_checks(same, same, LIMITS, {}))
    assert [c.check for c in checks] == ["without_offers", "coverage"]
    assert {c.status() for c in checks} == {"green"}


def test_decisions_add_up_and_are_kept() -> None:
    one, other = decided(200, reached={"a": 5}), decided(100, reached={"a": 1, "b": 2})
    both = one + other
    assert (both.customers, both.without, both.consenting, both.resting) == (2000, 300, 1600, 100)
    assert (both.reached, both.stopped) == ({"a": 6, "b": 2}, {"consent.marketing": 280, "eligibility.held": 20})
    assert Decisions.from_dict({**both.to_dict(), "policy_id": "x"}) == both
    assert (one + decided(1, reached={}, consenting=None)).consenting is None


def test_days_have_no_chance() -> None:
    assert days_check("silent_days", "", 6.0, LIMITS, "").status() == "green"
    assert days_check("silent_days", "", 7.0, LIMITS, "").status() == "amber"
    never = days_check("offers_silent_days", "", inf, LIMITS, "")
    assert (never.check, never.status(), isnan(never.now.estimate)) == ("offers_silent", "red", True)
    assert days_check("silent_days", "", nan, LIMITS, "").status() == "unknown"
    assert customers_check(1000, 790, LIMITS).status() == "amber"
    assert customers_check(700, 0, LIMITS).status() == "unknown"


def test_only_a_loss_of_order_is_a_fault() -> None:
    then = Interval(0.70, 0.68, 0.72, 4000)
    assert auc_check(Interval(0.55, 0.53, 0.57, 900), then, LIMITS).status() == "red"
    assert auc_check(Interval(0.55, 0.40, 0.70, 40), then, LIMITS).status() == "green"
    assert auc_check(Interval(0.90, 0.89, 0.91, 900), then, LIMITS).status() == "green"
    assert auc_check(Interval(0.55, 0.53, 0.57, 900), None, LIMITS).status() == "told"
    assert auc_check(Interval(nan, nan, nan, 0), then, LIMITS).status() == "unknown"


def test_the_page_shows_what_is_wrong_first() -> None:
    columns = [moved("age", 0.0), moved("income", 1.0)]
    checks: list[Check] = [*drift_checks(columns, LIMITS), *missing_checks(columns, LIMITS)]
    about = About("Toy <bank>", "2025-10-11", "2025-09-01", "m", "p", 2000, 2000, ("A note.",))
    page = render(monitor_page(checks, columns, (), (), about=about))
    assert headline(checks) == "RED: 1 figure is beyond the red limit: drift of features."
    assert [kind for kind, *_ in kind_rows(checks)] == ["drift", "missing"]
    for words in (headline(checks), "A note.", "Toy &lt;bank&gt;", 'class="light red"', "Income", KINDS["missing"]):
        assert words in page
    assert "http" not in page
    assert page.index("Income") < page.index("Age")
    assert headline(drift_checks(columns[:1], LIMITS)) == "GREEN: the one figure that was judged is within its limits."
    assert headline([]) == "NOT KNOWN: nothing could be judged."


def test_shares_of_nobody() -> None:
    assert Share.of([0.0] * 6).n == 0
