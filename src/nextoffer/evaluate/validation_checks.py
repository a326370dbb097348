"""The limits of a validation, and the checks that its tables are put to; each function is one section's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb, isnan
from typing import Any

import pyarrow as pa

from nextoffer.evaluate.backtest import Backtest, find
from nextoffer.evaluate.card import Card
from nextoffer.evaluate.disparity import BELOW
from nextoffer.evaluate.fairness import EXPOSURE, SELECTION, Fairness
from nextoffer.evaluate.findings import Severity
from nextoffer.evaluate.sensitivity import FAMILY, FEATURE, FIRST, NOISE, REORDERED, course
from nextoffer.evaluate.validation import Check, Examiner, Verdict, exact
from nextoffer.evaluate.wording import count, percent
from nextoffer.intervals import Interval, lift_of_rates

SOUND, DATA, OUTCOMES = "Conceptual soundness", "Data quality and relevance", "Outcomes analysis"
SENSITIVE, STABLE, FAIR, EXPLAINED = "Sensitivity analysis", "Stability", "Fairness", "Explanations and implementation"
POPULARITY, HEURISTIC = "popularity", "heuristic"
MATERIAL = 0.05
"""Log-odds that a shape must swing by, a twentieth of the odds, to be looked at."""
_SURE = 0.05


@dataclass(frozen=True)
class Limits:
    """What a model must keep. The defaults are this package's; a bank's own stand in its validation standard.

    Attributes
    ----------
    set_aside
        Share of rows that the tables' rules may set aside.
    acceptances
        Acceptances to judge by.
    ratio
        Between which a ratio that should be 1 may lie.
    calibration
        Calibration error as a share of the acceptance rate.
    turns
        How often a shape may turn.
    jumps
        Share of first offers that a small change (10 % of one input, 5 % noise, other folds) may change.
    leans
        Share of first offers that one unknown input or family may change.
    exactness
        Log-odds that a sum of contributions may differ from the score.
    told
        Share of offers that have a reason.
    """

    set_aside: float = 0.01
    acceptances: int = 50
    ratio: tuple[float, float] = (0.8, 1.25)
    calibration: float = 0.25
    turns: int = 2
    jumps: float = 0.2
    leans: float = 0.5
    exactness: float = 1e-4
    told: float = 0.95


LIMITS = Limits()


def sound(card: Card, ablations: pa.Table | None, signs: Mapping[str, int], limits: Limits = LIMITS) -> Iterator[Check]:
    """Yield the checks of conceptual soundness: plausible shapes, and no part that harms."""
    test = Examiner(SOUND)
    drawn = [t for t in card.terms if t.shape is not None and len(t.shape.edges)]
    shapes = [(t, course(t.shape.contributions)) for t in drawn if t.shape is not None]
    if shapes:
        winding = [f"{t.label}: {c.words}" for t, c in shapes if c.turns > limits.turns and c.swing >= MATERIAL]
        tested = f"Shapes of numbers that turn more than {limits.turns} times"
        yield test.none(tested, winding, len(shapes), severity="low")
        wrong = [
            t.label
            for t, c in shapes
            if (sign := signs.get(t.name, 0)) and c.swing >= MATERIAL and c.words != ("rises" if sign > 0 else "falls")
        ]
        signed = sum(bool(signs.get(t.name, 0)) for t, _ in shapes)
        yield test.none("Shapes that go against the sign expected of their feature", wrong, signed, severity="medium")
    if ablations is None:
        yield test.untested("What each part of the model is worth", "Left out by --quick.")
        return
    rows = ablations.to_pylist()
    better = {
        r["model"] for r in rows if r["metric"] in ("ndcg@5", "auc") and r["estimate"] > 0 and r["p_holm"] < _SURE
    }
    names = sorted({r["model"] for r in rows})
    yield test.none(
        "Parts without which the model is surely better (Holm)", sorted(better), len(names), severity="medium"
    )


@dataclass(frozen=True)
class Answers:
    """Offers and acceptances that were learned from, and judged by."""

    learned: float
    learned_accepted: float
    judged: float
    judged_accepted: float


def data(set_aside: pa.Table, answers: Answers, warnings: Sequence[str], limits: Limits = LIMITS) -> Iterator[Check]:
    """Yield the checks of the data: rows that could not be used, enough to judge by, like what was learned from."""
    test = Examiner(DATA)
    for row in set_aside.to_pylist():
        if row["set_aside"]:
            share = exact(row["set_aside"] / row["rows"], row["rows"])
            tested = f"Rows of {row['table']} that are set aside"
            yield test.at_most(tested, share, limits.set_aside, severity="medium", form=percent)
    if not any(row["set_aside"] for row in set_aside.to_pylist()):
        rows = sum(row["rows"] for row in set_aside.to_pylist())
        yield test.none("Rows that are set aside", [], rows, severity="medium")
    yield test.none("Warnings of nextoffer check", list(warnings), len(warnings), severity="low")
    accepted = exact(answers.judged_accepted, int(answers.judged))
    yield test.at_least("Acceptances judged by", accepted, limits.acceptances, severity="high", form=count)
    if min(answers.learned, answers.judged) > 0:
        lift = lift_of_rates(
            answers.judged_accepted, int(answers.judged), answers.learned_accepted, int(answers.learned)
        )
        ratio = Interval(1 + lift.estimate, 1 + lift.low, 1 + lift.high, lift.n)
        tested = "Acceptance rate judged by, over that learned from"
        yield test.within(tested, ratio, limits.ratio, severity="low")


@dataclass(frozen=True)
class Judged:
    """A backtest, its differences to other models, its calibration by product, and stated over accepted."""

    found: Backtest
    significance: pa.Table
    by_product: pa.Table
    ratio: Interval


def outcomes(judged: Judged, champion: str, limits: Limits = LIMITS) -> Iterator[Check]:
    """Yield the checks of the backtest."""
    test, found, by_product = Examiner(OUTCOMES), judged.found, judged.by_product
    area = _value(found.report, "auc", champion)
    yield test.at_least("AUC of offers made", area, 0.5, severity="high")
    gaps = {(r["metric"], r["against"]): _interval(r) for r in judged.significance.to_pylist()}
    wanted: tuple[tuple[str, Severity], ...] = ((POPULARITY, "high"), (HEURISTIC, "medium"))
    for against, severity in wanted:
        if (gap := gaps.get(("ndcg@5", against))) is not None:
            tested = f"NDCG@5 of all eligible pairs, minus that of {against}"
            yield test.at_least(tested, gap, 0.0, severity=severity, form=_fine)
    if (gap := gaps.get(("log_loss", POPULARITY))) is not None:
        yield test.at_most("Log loss of offers made, minus that of popularity", gap, 0.0, severity="medium", form=_fine)
    others = [m for m in ("lightgbm", "glassbox") if m != champion and ("ndcg@5", m) in gaps]
    for other in others:
        tested = f"NDCG@5 minus that of the challenger, {other}"
        yield test.not_surely_below(tested, gaps["ndcg@5", other], 0.0, severity="medium", form=_fine)
        if ("auc", other) in gaps:
            tested = f"AUC minus that of the challenger, {other}"
            yield test.not_surely_below(tested, gaps["auc", other], 0.0, severity="medium")
    if champion in found.deciles:
        top = found.deciles[champion][0]
        yield test.at_least("Acceptances in the best tenth, over the mean", top, 1.0, severity="medium")
    yield test.within("Acceptances stated, over those that came", judged.ratio, limits.ratio, severity="medium")
    rate = sum(r["accepted"] * r["n"] for r in by_product.to_pylist()) / max(
        sum(r["n"] for r in by_product.to_pylist()), 1
    )
    try:
        error = find(found.report, "calibration_error", champion)
    except KeyError:
        yield test.untested("Calibration error", f"{champion} states no probabilities.")
    else:
        most = limits.calibration * rate
        tested = f"Calibration error of offers made (limit: {limits.calibration:g} × the acceptance rate)"
        yield test.at_most(tested, error, most, severity="medium", form=_fine)
    yield _off(by_product)


def _off(by_product: pa.Table) -> Check:
    """Whether more products are surely off than chance would bring."""
    rows = [r for r in by_product.to_pylist() if not isnan(r["low"])]
    off = [r["product_id"] for r in rows if r["low"] > 0 or r["high"] < 0]
    chance = sum(comb(len(rows), k) * _SURE**k * (1 - _SURE) ** (len(rows) - k) for k in range(len(off), len(rows) + 1))
    verdict: Verdict = "missed" if chance < _SURE else "met"
    note = f"Off: {', '.join(off)}." if off else ""
    limit = f"no more than chance brings at 5 % each (p = {chance:.2f})"
    tested = "Products whose stated propensities are surely off"
    return Check(OUTCOMES, tested, exact(len(off), len(rows)), limit, verdict, "medium", count, note)


def sensitivity(table: pa.Table, limits: Limits = LIMITS) -> Iterator[Check]:
    """Yield the checks of changed inputs: the worst of each kind."""
    test = Examiner(SENSITIVE)
    rows = [r for r in table.to_pylist() if r["metric"] == REORDERED]
    kinds: tuple[tuple[str, str, tuple[str, ...], float, Severity], ...] = (
        (
            "First offers that the scores change when a number moves by 10 %",
            FEATURE,
            ("+ 10 %", "− 10 %"),
            limits.jumps,
            "medium",
        ),
        ("First offers that the scores change under noise of 5 %", NOISE, ("noise of 5 %",), limits.jumps, "medium"),
        (
            "First offers that the scores change when one input is not known",
            FEATURE,
            ("not known",),
            limits.leans,
            "low",
        ),
        ("First offers that the scores change when a family is not known", FAMILY, ("not known",), limits.leans, "low"),
    )
    for tested, kind, changes, limit, severity in kinds:
        mine = [r for r in rows if r["kind"] == kind and r["change"] in changes]
        if mine:
            worst = max(mine, key=lambda r: float(r["estimate"]))
            note = f"The largest: {worst['label']}, {worst['change']}."
            yield test.at_most(tested, _interval(worst), limit, severity=severity, form=percent, note=note)
        else:
            yield test.untested(tested, "There is no such input with weight.")


def stability(
    refits: pa.Table, origins: pa.Table | None, curve: pa.Table | None, champion: str, limits: Limits = LIMITS
) -> Iterator[Check]:
    """Yield the checks over days, folds and numbers of customers."""
    test = Examiner(STABLE)
    for row in refits.to_pylist():
        if row["metric"] == FIRST:
            tested = f"First offers that differ from those of {row['label']}"
            yield test.at_most(tested, _interval(row), limits.jumps, severity="medium", form=percent)
    if origins is None:
        yield test.untested("The figures of several days", "Left out by --quick.")
    else:
        rows = [r for r in origins.to_pylist() if r["model"] == champion and r["metric"] == "auc"]
        days = {r["split"]: _interval(r) for r in rows if r["split"] != "pooled"}
        weak = [day for day, value in days.items() if value.high < 0.5]
        yield test.none("Days on which the AUC is surely below 0.5", weak, len(days), severity="high")
        if len(days) > 1:
            best, worst = max(days, key=lambda d: days[d].low), min(days, key=lambda d: days[d].high)
            apart = [f"{best} and {worst}"] if days[best].low > days[worst].high else []
            yield test.none("Days whose AUC intervals lie apart", apart, len(days), severity="medium")
        if pooled := next((r for r in rows if r["split"] == "pooled"), None):
            yield test.at_least("AUC over all days", _interval(pooled), 0.5, severity="high")
    if curve is None:
        yield test.untested("Whether more customers would help", "Left out by --quick.")
    elif half := [r for r in curve.to_pylist() if r["model"].startswith("50%") and r["metric"] == "auc"]:
        gain = Interval(-half[0]["estimate"], -half[0]["high"], -half[0]["low"], half[0]["n"])
        tested = "AUC gained by the second half of the customers"
        verdict: Verdict = "missed" if gain.low > 0 else "met"
        note = "Still rising: more customers or days would make the model better." if verdict == "missed" else ""
        yield Check(STABLE, tested, gain, "not surely above 0", verdict, "low", _fine, note)


def fairness(found: Fairness | None, why: str = "") -> Iterator[Check]:
    """Yield the checks of groups against the four-fifths line, and of their calibration."""
    test = Examiner(FAIR)
    if found is None:
        yield Check(FAIR, "Whether groups of customers get on equally", None, "–", "not tested", "low", note=why)
        return
    for groups in found.columns:
        for measure, words in ((SELECTION, "get a first offer"), (EXPOSURE, "are shown offers")):
            below = [
                f"{groups.names[g]} {value.estimate:.2f}"
                for g in groups.judged
                for value, verdict in [groups.compared(0, g, measure)]
                if verdict == BELOW
            ]
            tested = f"{groups.by}: groups that {words} surely less than the line allows"
            yield test.none(tested, below, len(groups.judged), severity="high")
        products = [s for s in groups.shown if s]
        apart = [
            f"{groups.names[g]}, {groups.scopes.names[s]} {value.estimate:.2f}"
            for s in products
            for g in groups.judged
            for value, verdict in [groups.compared(s, g, SELECTION)]
            if verdict == BELOW
        ]
        tested = f"{groups.by}: products first offered to a group surely less often than the line allows"
        yield test.none(tested, apart, len(products) * len(groups.judged), severity="medium")
    off = [
        f"{r['by']} {r['group']}: {r['verdict']}"
        for r in found.tables["calibration"].to_pylist()
        if r["measure"] == "accepted / expected" and r["verdict"].startswith("accepts")
    ]
    there = sum(r["measure"] == "accepted / expected" for r in found.tables["calibration"].to_pylist())
    if there:
        yield test.none("Groups that surely accept more or less than stated", off, there, severity="medium")
    else:
        yield test.untested("Calibration by group", "There are no answers to offers from the day decided for on.")


@dataclass(frozen=True)
class Exactness:
    """What was found of reasons and of the path that decides, on n customers.

    Attributes
    ----------
    error
        Largest |log-odds − (intercept + sum of contributions)| over `pairs`.
    alone
        Largest difference of log-odds between a batch and one by one, over `singles` customers.
    repeated
        Offers that differ when decided twice.
    offers, told
        Offers made, and those with a reason.
    leaks
        Sensitive or excluded columns that features, rules or reasons name.
    closed
        How many such columns there are.
    """

    pairs: int
    error: float
    singles: int
    alone: float
    repeated: int
    offers: int
    told: int
    leaks: tuple[str, ...]
    closed: int


def explained(found: Exactness, limits: Limits = LIMITS) -> Iterator[Check]:
    """Yield the checks of reasons and of the path that decides."""
    test = Examiner(EXPLAINED)
    tested = "Largest distance of a score from the sum of its parts (log-odds)"
    yield test.at_most(tested, exact(found.error, found.pairs), limits.exactness, severity="high", form=_tiny)
    tested = "Largest distance of a score in a batch from the same alone"
    yield test.at_most(tested, exact(found.alone, found.singles), 0.0, severity="high", form=_tiny)
    tested = "Offers that differ when decided twice"
    yield test.at_most(tested, exact(found.repeated, found.offers), 0, severity="high", form=count)
    tested = "Sensitive or excluded columns that features, rules or reasons name"
    yield test.none(tested, found.leaks, found.closed, severity="high")
    if found.offers:
        share = exact(found.told / found.offers, found.offers)
        yield test.at_least("Offers with at least one reason", share, limits.told, severity="low", form=percent)
    else:
        yield test.untested("Offers with at least one reason", "Nobody is offered anything.")


def _value(report: pa.Table, metric: str, model: str) -> Interval:
    try:
        return find(report, metric, model)
    except KeyError:
        return Interval(float("nan"), float("nan"), float("nan"), 0)


def _interval(row: Mapping[str, Any]) -> Interval:
    low, high = (float("nan") if row[name] is None else float(row[name]) for name in ("low", "high"))
    return Interval(float(row["estimate"]), low, high, int(row["n"]))


def _fine(value: float) -> str:
    return "–" if isnan(value) else f"{value:.4f}".replace("-", "−")


def _tiny(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}".replace("-", "−")
