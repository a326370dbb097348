"""The sections of an evaluation report: charts of what was found, with words that say how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import pyarrow as pa

from nextoffer.evaluate.backtest import Backtest
from nextoffer.evaluate.charts import AbTest, Bar, Bars, Mark, Offers
from nextoffer.evaluate.curves import Deciles, Reliability, Shape, Shapes
from nextoffer.evaluate.gate import Criterion, Gate
from nextoffer.evaluate.judge import NOISELESS, ORACLE, SHARE, TOP_RESPONSE
from nextoffer.evaluate.page import DataTable, GateTable, Section
from nextoffer.evaluate.pairs import EVERYONE
from nextoffer.evaluate.wording import UNKNOWN, Form, bounds, change, count, decimal, percent
from nextoffer.intervals import Interval, rate


@dataclass(frozen=True)
class Cast:
    """Who plays which part in a report.

    Attributes
    ----------
    champion
        The model the report is about.
    baseline
        The model it must beat.
    k
        Length of the lists that were judged.
    """

    champion: str
    baseline: str
    k: int = 5


def evaluation_sections(found: Backtest, cast: Cast, *, gate: Gate | None = None) -> tuple[Section, ...]:
    """Return the sections that a backtest has something to show in: ranking, groups, calibration, deciles."""
    sections = [
        ranking_section(found.report, cast, gate=gate),
        groups_section(found.report, cast),
        reliability_section(found, cast),
        deciles_section(found, cast),
    ]
    return tuple(section for section in sections if section is not None)


def summary(report: pa.Table, cast: Cast, criteria: Sequence[Criterion] = ()) -> tuple[str, ...]:
    """Return what a reader in a hurry must know: what the champion changes, and what of the gate nobody could meet."""
    response, hits = _figures(report, TOP_RESPONSE), _figures(report, f"hit_rate@{cast.k}")
    champion, baseline = cast.champion, cast.baseline
    told = []
    if champion in response and baseline in response:
        told.append(
            f"Of first offers made by {champion} {percent(response[champion].estimate)} are accepted, of those made by "
            f"{baseline} {percent(response[baseline].estimate)}."
        )
    if champion in hits and baseline in hits:
        told.append(
            f"{percent(hits[champion].estimate)} of customers accepted something that {champion} lists among their "
            f"first {cast.k} offers; with {baseline} it is {percent(hits[baseline].estimate)}."
        )
    told += [
        f"No model can bring {criterion.name} to {criterion.form(criterion.needed)} with these customers: the best "
        f"possible is {criterion.form(criterion.ceiling)}."
        for criterion in criteria
        if criterion.ceiling is not None and not criterion.reachable
    ]
    return tuple(told)


def gate_section(criteria: Sequence[Criterion]) -> Section:
    """Return the acceptance gate beside what anyone could have reached."""
    return Section(
        "Acceptance gate",
        "What was promised, what was measured, and the best any model could do with what can be known about these "
        "customers. The share of the achievable is how far the model has come from the baseline to that best.",
        (GateTable(tuple(criteria)),),
        layout="below",
    )


def ranking_section(report: pa.Table, cast: Cast, *, gate: Gate | None = None) -> Section | None:
    """Return how well each model orders the offers, and how well its first offers are received where that is known."""
    ndcg = f"ndcg@{cast.k}"
    charts = [
        _bars(report, ndcg, cast, title=f"Order of offers (NDCG@{cast.k})", gate=gate.ndcg if gate else None),
        _bars(report, TOP_RESPONSE, cast, title="Acceptance of the first offer (true probability)", form=percent),
    ]
    drawn = tuple(chart for chart in charts if chart is not None)
    if not drawn:
        return None
    return Section(
        "Are the right offers on top?",
        f"NDCG@{cast.k} is 1 when all that a customer went on to accept leads their list, and 0 when none of it is "
        f"among the first {cast.k}. Customers who accepted nothing count 0, so even a perfect list stays below 1.\n\n"
        "The thin line on each bar is the 95 % interval: where the figure could lie with other "
        "customers of the same kind. A dashed line marks the best any model could do, where that is known.",
        drawn,
    )


def _bars(
    report: pa.Table, metric: str, cast: Cast, *, title: str, form: Form = decimal, gate: float | None = None
) -> Bars | None:
    found = _figures(report, metric)
    if not found:
        return None
    marks = [Mark(f"gate {form(gate)}", gate)] if gate is not None else []
    if NOISELESS in found:
        best = found[NOISELESS].estimate
        marks.append(Mark(f"best possible {form(best)}", best))
    models = [name for name in found if name not in (NOISELESS, ORACLE)]
    models.sort(key=lambda name: -found[name].estimate)
    bars = (Bar(name, found[name], "champion" if name == cast.champion else "other") for name in models)
    return Bars(title, tuple(bars), tuple(marks), form)


def _figures(report: pa.Table, metric: str, *, group: str = EVERYONE) -> dict[str, Interval]:
    """Every model's value of a metric, in the report's order."""
    return {
        row["model"]: Interval(row["estimate"], row["low"], row["high"], row["n"])
        for row in report.to_pylist()
        if row["metric"] == metric and row["group"] == group and not isnan(row["estimate"])
    }


def groups_section(report: pa.Table, cast: Cast) -> Section | None:
    """Return the champion's ranking for each group that was judged on its own; None if none was."""
    ndcg = f"ndcg@{cast.k}"
    groups = [group for group in dict.fromkeys(report["group"].to_pylist()) if group != EVERYONE]
    found = {group: _figures(report, ndcg, group=group).get(cast.champion) for group in groups}
    bars = tuple(Bar(group.replace("=", " "), value, "part") for group, value in found.items() if value is not None)
    if not bars:
        return None
    everyone = _figures(report, ndcg)[cast.champion].estimate
    return Section(
        "Is it as good for everyone?",
        "The same figure for each group of customers by itself. Small groups have wide intervals; two groups differ "
        "only where their intervals lie apart.",
        (Bars(f"NDCG@{cast.k} of {cast.champion}", bars, (Mark(f"everyone {decimal(everyone)}", everyone),)),),
    )


def reliability_section(found: Backtest, cast: Cast) -> Section | None:
    """Return whether the champion's probabilities can be believed; None if it states none."""
    if cast.champion not in found.reliability:
        return None
    error = _figures(found.report, "calibration_error").get(cast.champion)
    on_average = (
        "" if error is None else f"On average it is off by {percent(error.estimate)} ({bounds(error, percent)}).\n\n"
    )
    return Section(
        "Can its probabilities be believed?",
        f"{on_average}Offers are sorted by the probability the model stated and cut into ten equal parts. On the "
        "dashed line it kept its word; above it customers accepted more often than stated, below it less often.",
        (Reliability(found.reliability[cast.champion]),),
    )


def deciles_section(found: Backtest, cast: Cast) -> Section | None:
    """Return where the acceptances are when all pairs are sorted by the champion's score."""
    if cast.champion not in found.deciles:
        return None
    return Section(
        "Whom to contact when there is room for few?",
        "All customer–product pairs, highest score first, in tenths. ×2 in the first column would mean that the best "
        "tenth accepts twice as often as offers do on the whole.",
        (Deciles(found.deciles[cast.champion]),),
    )


def shapes_section(shapes: Sequence[Shape]) -> Section:
    """Return how the strongest terms of the scorecard move the odds."""
    return Section(
        "What moves the score",
        "The strongest terms of the scorecard, all on one scale. Above the line a value speaks for an offer, below it "
        "against: ×1.5 multiplies the odds of acceptance by one and a half. A score is the product of such factors and "
        "of nothing else, which is why its reasons are exact.",
        (Shapes(tuple(shapes)),),
        layout="below",
    )


def offers_section(offers: Offers) -> Section:
    """Return what became of every product."""
    total = sum(product.offered for product in offers.products)
    return Section(
        "What is offered, and what is not",
        f"{count(total)} offers in all. Each bar holds every customer once: those who get the offer, then the others "
        "by the stage that stopped it.",
        (offers,),
    )


@dataclass(frozen=True)
class AbArm:
    """One arm of an A/B test: whose first offers it got, its customers, and how many of them accepted."""

    name: str
    customers: int
    accepted: int


def ab_section(test: AbTest, treatment: AbArm, control: AbArm, *, needed_per_arm: int | None) -> Section:
    """Return a simulated A/B test.

    Parameters
    ----------
    needed_per_arm
        Customers per arm that see the true lift with 80 % power; None where there is no lift to see.
    """
    per_arm = min(treatment.customers, control.customers)
    size = f"The test had {count(per_arm)} customers per arm."
    if needed_per_arm is not None:
        verdict = "which it had" if per_arm >= needed_per_arm else "so this one was too small to rely on"
        size += f" To see the true lift four times out of five takes {count(needed_per_arm)}, {verdict}."
    rates = (Bar(treatment.name, _arm_rate(treatment), "champion"), Bar(control.name, _arm_rate(control)))
    return Section(
        "What an A/B test would say",
        f"First offers of {treatment.name} against those of {control.name}, played once on the simulated customers. "
        f"The dot is the lift this one test reports, with its interval; the dashed line is the true lift.\n\n{size}",
        (Bars("Acceptance of the first offer in this test", rates, form=percent), test),
    )


def _arm_rate(arm: AbArm) -> Interval:
    return rate(arm.accepted, arm.customers)


def figures_section(report: pa.Table, cast: Cast) -> Section:
    """Return every figure of the models as tables, intervals beneath."""
    rows = [row for row in report.to_pylist() if row["group"] == EVERYONE]
    metrics = [m for m in dict.fromkeys(row["metric"] for row in rows) if not any(part in m for part in _DERIVED)]
    half = -(-len(metrics) // 2)
    tables = (_figure_table(rows, part, cast) for part in (metrics[:half], metrics[half:]) if part)
    return Section(
        "All figures",
        "95 % intervals beneath each figure, from resampling customers. Ranking metrics average "
        "over ties, so they do not depend on how equal scores happen to be sorted.",
        tuple(tables),
        layout="below",
    )


_DERIVED = (" minus ", SHARE, "order of ties")
_FORMS: dict[str, Form] = {"coverage": percent, TOP_RESPONSE: percent, "lift over": change}
_NAMES = {
    "ndcg": "NDCG",
    "map": "MAP",
    "mrr": "MRR",
    "auc": "AUC",
    "brier": "Brier",
    TOP_RESPONSE: "first offer accepted",
}


def _figure_table(rows: Sequence[dict[str, Any]], metrics: Sequence[str], cast: Cast) -> DataTable:
    cells = {(row["model"], row["metric"]): _cell(row) for row in rows}
    models = dict.fromkeys(row["model"] for row in rows if row["metric"] in metrics)
    lines = [[model, *(cells.get((model, metric), UNKNOWN) for metric in metrics)] for model in models]
    names = tuple(_name(metric) for metric in metrics)
    return DataTable(("Model", *names), lines, numeric=frozenset(names), strong=cast.champion)


def _name(metric: str) -> str:
    stem, at, k = metric.partition("@")
    return f"{_NAMES.get(stem, stem.replace('_', ' '))}{at}{k}"


def _cell(row: dict[str, Any]) -> str:
    form = next((form for start, form in _FORMS.items() if row["metric"].startswith(start)), decimal)
    return f"{form(row['estimate'])}\n{bounds(Interval(row['estimate'], row['low'], row['high'], row['n']), form)}"
