"""Verdicts follow from whole intervals, findings from verdicts, and every chapter has its checks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from nextoffer.evaluate import validation_checks as checks_of
from nextoffer.evaluate.backtest import Backtest
from nextoffer.evaluate.card import TermFacts
from nextoffer.evaluate.curves import Shape
from nextoffer.evaluate.findings import Finding
from nextoffer.evaluate.markdown import drawn
from nextoffer.evaluate.paired import BY_PRODUCT, DIFFERENCES
from nextoffer.evaluate.sensitivity import FAMILY, FEATURE, FIRST, NOISE, REFIT, REORDERED, SENSITIVITY
from nextoffer.evaluate.validation import CHECKS, Check, CheckTable, Examiner, exact, findings_of
from nextoffer.evaluate.validation_checks import Answers, Exactness, Judged, Limits
from nextoffer.evaluate.validation_page import headline
from nextoffer.intervals import Interval
from nextoffer.tables.flow import REPORT
from tests.evaluate.test_card import CLEAN

TEST = Examiner("Here")


def about(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 100)


@pytest.mark.parametrize(
    ("low", "high", "verdict", "severity"),
    [(0.6, 0.7, "met", None), (0.3, 0.4, "missed", "high"), (0.4, 0.6, "undecided", "medium")],
)
def test_at_least(low: float, high: float, verdict: str, severity: str | None) -> None:
    check = TEST.at_least("AUC", about(low, high), 0.5, severity="high")
    found = check.finding
    assert (check.verdict, found.severity if found else None) == (verdict, severity)


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.1, 0.2, "met"), (0.3, 0.4, "missed"), (0.15, 0.25, "undecided")]
)
def test_at_most(low: float, high: float, verdict: str) -> None:
    assert TEST.at_most("share", about(low, high), 0.2, severity="low").verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.9, 1.1, "met"), (1.3, 1.4, "missed"), (0.5, 0.7, "missed"), (0.7, 1.1, "undecided"), (0.5, 2.0, "undecided")],
)
def test_within(low: float, high: float, verdict: str) -> None:
    assert TEST.within("ratio", about(low, high), (0.8, 1.25), severity="medium").verdict == verdict


def test_what_cannot_be_known_is_undecided_and_what_is_not_tested_a_low_finding() -> None:
    unknown = Interval(0.5, float("nan"), float("nan"), 1)
    assert TEST.at_least("AUC", unknown, 0.5, severity="high").verdict == "undecided"
    check = TEST.untested("Fairness", "No column.")
    assert check.finding == Finding("low", "Here", "Fairness: not tested. No column.", "not tested: low")
    assert check.row()["estimate"] is None


def test_not_surely_below_forgives_what_is_undecided() -> None:
    assert TEST.not_surely_below("gap", about(-1, 1), 0.0, severity="medium").verdict == "met"
    assert TEST.not_surely_below("gap", about(-2, -1), 0.0, severity="medium").verdict == "missed"


def test_none_names_those_there_are() -> None:
    check = TEST.none("Bad ones", ["a", "b"], 5, severity="high")
    assert (check.verdict, check.note, check.found) == ("missed", "a; b.", exact(2, 5))
    assert TEST.none("Bad ones", [], 5, severity="high").finding is None


def test_checks_are_rows_and_tables() -> None:
    checks = (TEST.at_least("AUC", about(0.6, 0.7), 0.5, severity="high"), TEST.untested("B", "c"))
    assert pa.Table.from_pylist([c.row() for c in checks], schema=CHECKS).num_rows == 2
    assert "| AUC | 0.650 (0.600 to 0.700; n = 100) | at least 0.500 | met |" in drawn(CheckTable(checks))
    assert '<span class="verdict not-tested">not tested</span>' in CheckTable(checks).draw()


def verdicts(checks: Any) -> dict[str, str]:
    return {check.tested: check.verdict for check in checks}


def report(**metrics: tuple[float, float]) -> Backtest:
    rows = [
        {"metric": name, "model": "glassbox", "split": "s", "group": "all", **vars(about(*bounds))}
        for name, bounds in metrics.items()
    ]
    return Backtest(pa.Table.from_pylist(rows, schema=REPORT), {}, {"glassbox": (about(1.5, 2.5),)})


def gaps(**against: tuple[str, float, float]) -> pa.Table:
    rows = [
        {"metric": metric, "model": "glassbox", "against": name, "split": "s", "p": 0.5, "p_holm": 0.5}
        | vars(about(low, high))
        for name, (metric, low, high) in against.items()
    ]
    return pa.Table.from_pylist(rows, schema=DIFFERENCES)


def products(*off: float) -> pa.Table:
    rows = [
        {"model": "glassbox", "product_id": str(i), "stated": 0.1, "accepted": 0.1, "estimate": gap}
        | {"low": gap - 0.01, "high": gap + 0.01, "n": 100}
        for i, gap in enumerate(off)
    ]
    return pa.Table.from_pylist(rows, schema=BY_PRODUCT)


def test_a_good_backtest_meets_its_limits_and_a_bad_one_misses_them() -> None:
    table = gaps(popularity=("ndcg@5", 0.01, 0.02), lightgbm=("ndcg@5", -0.01, 0.01))
    good = Judged(report(auc=(0.6, 0.7), calibration_error=(0.0, 0.01)), table, products(0.0, 0.0), about(0.9, 1.1))
    assert set(verdicts(checks_of.outcomes(good, "glassbox")).values()) == {"met"}
    table = gaps(popularity=("ndcg@5", -0.02, -0.01), lightgbm=("ndcg@5", -0.02, -0.01))
    bad = Judged(report(auc=(0.4, 0.45), calibration_error=(0.2, 0.3)), table, products(0.05, -0.05), about(2, 3))
    found = verdicts(checks_of.outcomes(bad, "glassbox"))
    assert [tested for tested, verdict in found.items() if verdict != "missed"] == [
        "Acceptances in the best tenth, over the mean"
    ]


def test_one_product_in_many_may_be_off_by_chance() -> None:
    def off(*found: float) -> Check:
        judged = Judged(report(auc=(0.6, 0.7)), gaps(), products(*found), about(0.9, 1.1))
        return list(checks_of.outcomes(judged, "glassbox"))[-1]

    assert off(0.05, *[0.0] * 19).verdict == "met"
    assert off(*[0.05] * 4, *[0.0] * 16).verdict == "missed"


def changes(kind: str, change: str, share: tuple[float, float], metric: str = REORDERED) -> pa.Table:
    row = {"kind": kind, "feature": "income", "label": "Income", "change": change, "metric": metric}
    return pa.Table.from_pylist([row | vars(about(*share))], schema=SENSITIVITY)


def test_the_worst_change_of_each_kind_is_judged() -> None:
    table = pa.concat_tables(
        [
            changes(FEATURE, "+ 10 %", (0.0, 0.1)),
            changes(FEATURE, "− 10 %", (0.3, 0.4)),
            changes(FEATURE, "not known", (0.1, 0.2)),
            changes(NOISE, "noise of 5 %", (0.1, 0.3)),
        ]
    )
    found = list(checks_of.sensitivity(table))
    assert [c.verdict for c in found] == ["missed", "undecided", "met", "not tested"]
    assert "− 10 %" in found[0].note
    assert changes(FAMILY, "not known", (0.1, 0.2)).num_rows == 1


def test_stability_looks_at_refits_days_and_the_curve() -> None:
    refits = changes(REFIT, "as of 2025-10-01", (0.3, 0.4), FIRST)
    days = [
        {"metric": "auc", "model": "glassbox", "split": split, "group": "all", **vars(about(*bounds))}
        for split, bounds in {"d1": (0.6, 0.7), "d2": (0.4, 0.45), "pooled": (0.5, 0.6)}.items()
    ]
    curve = pa.Table.from_pylist(
        [
            {"metric": "auc", "model": "50% of customers", "against": "glassbox", "split": "s", "p": 0.0, "p_holm": 0.0}
            | vars(about(-0.2, -0.1))
        ],
        schema=DIFFERENCES,
    )
    origins = pa.Table.from_pylist(days, schema=REPORT)
    found = list(checks_of.stability(refits, origins, curve, "glassbox"))
    assert [c.verdict for c in found] == ["missed", "missed", "missed", "met", "missed"]
    assert found[-1].found == about(0.1, 0.2)
    assert [c.verdict for c in checks_of.stability(refits, None, None, "glassbox")][1:] == ["not tested"] * 2


def test_shapes_are_held_against_their_signs_and_turns() -> None:
    def told(contributions: list[float], sign: int) -> list[str]:
        shape = Shape("Income", contributions, edges=list(range(len(contributions) + 1)))
        card = replace(CLEAN, terms=(TermFacts("income", "Income", "profile", 0.5, "1", shape),))
        return [c.verdict for c in checks_of.sound(card, None, {"income": sign})][:2]

    assert told([0.0, 0.5, 1.0], 1) == ["met", "met"]
    assert told([1.0, 0.5, 0.0], 1) == ["met", "missed"]
    assert told([0.0, 1.0, 0.0, 1.0, 0.0], 0) == ["missed", "met"]
    assert told([0.001, 0.0], 1) == ["met", "met"]  # too little to matter


def test_a_part_without_which_the_model_is_better_is_found() -> None:
    rows = [
        {"metric": "auc", "model": name, "against": "glassbox", "split": "s", "p": 0.001, "p_holm": p}
        | vars(about(low, low + 0.1))
        for name, low, p in (("no history", 0.1, 0.001), ("no transactions", 0.1, 0.2), ("no affinity", -0.3, 0.001))
    ]
    (*_, check) = checks_of.sound(CLEAN, pa.Table.from_pylist(rows, schema=DIFFERENCES), {})
    assert (check.verdict, check.note) == ("missed", "no history.")


def test_data_are_held_against_their_limits() -> None:
    table = pa.table({"table": ["customers", "risk"], "rows": [100, 100], "set_aside": [0, 2]})
    found = list(checks_of.data(table, Answers(1000, 100, 200, 20), ["risk.pd: odd"]))
    assert [c.verdict for c in found] == ["missed", "missed", "missed", "undecided"]
    clean = pa.table({"table": ["customers"], "rows": [100], "set_aside": [0]})
    found = list(checks_of.data(clean, Answers(10_000, 1000, 10_000, 1000), []))
    assert {c.verdict for c in found} == {"met"}


RIGHT = Exactness(1000, 1e-6, 50, 0.0, 0, 100, 100, (), 2)


def test_scores_and_reasons_are_held_against_their_limits() -> None:
    assert {c.verdict for c in checks_of.explained(RIGHT)} == {"met"}
    wrong = Exactness(1000, 0.1, 50, 1e-3, 2, 100, 50, ("gender",), 2)
    found = findings_of(checks_of.explained(wrong))
    assert [f.severity for f in found] == ["high", "high", "high", "high", "low"]
    nobody = checks_of.explained(replace(RIGHT, offers=0, told=0))
    assert [c.verdict for c in nobody][-1] == "not tested"


def test_limits_can_be_a_banks_own() -> None:
    strict = Limits(told=1.0)
    found = list(checks_of.explained(replace(RIGHT, told=99), strict))
    assert found[-1].verdict == "missed"


def test_the_headline_follows_the_gravest_finding() -> None:
    def told(*severities: Any) -> str:
        return headline(tuple(Finding(s, "a", "b", "c") for s in severities))

    assert told("high", "low") == "Not to be used as it stands: 1 high and 1 low findings."
    assert told("medium") == "To be used under watch only: 1 medium finding."
    assert told("low") == "Nothing found stands in the way of use: 1 low finding."
