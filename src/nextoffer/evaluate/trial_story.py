"""Tells what trials around a backtest found: sections of a report, out of their tidy tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isnan
from typing import Any

import pyarrow as pa

from nextoffer.evaluate.course import Course, Trace
from nextoffer.evaluate.forest import Forest, Lift
from nextoffer.evaluate.page import DataTable, Drawing, Section
from nextoffer.evaluate.wording import Form, bounds, decimal, percent
from nextoffer.intervals import Interval

_UNKNOWN = float("nan")
_LEVEL = 0.05
_CURVES = ("ndcg@5", "auc")
_MOST_LINES = 5


def trial_sections(tables: Mapping[str, pa.Table], champion: str, *, by: pa.Table | None = None) -> tuple[Section, ...]:
    """Return the sections of the tables that are there; `by` is the Report, for tables of its groups."""
    tellers: Mapping[str, Callable[[pa.Table], Section | None]] = {
        "significance": lambda t: significance_section(t, champion),
        "origins": lambda t: origins_section(t, champion),
        "ablations": lambda t: ablations_section(t, champion),
        "learning_curve": learning_curve_section,
        "calibration_by_product": product_section,
    }
    told = [tell(tables[name]) for name, tell in tellers.items() if name in tables]
    told.append(None if by is None else segment_section(by, champion))
    return tuple(section for section in told if section is not None)


def signed(value: float) -> str:
    """Return a difference to four places with its sign.

    >>> signed(0.01234), signed(-0.5)
    ('+0.0123', '−0.5000')
    """
    return "–" if isnan(value) else f"{value:+.4f}".replace("-", "−")


def significance_section(table: pa.Table, champion: str) -> Section:
    """Return the champion beside each other model, with what is left of chance."""
    rows = [
        (
            row["metric"],
            row["against"],
            _cell(row, signed),
            f"{row['p']:.3f}",
            f"{row['p_holm']:.3f}",
            "yes" if row["p_holm"] < _LEVEL else "no",
        )
        for row in table.to_pylist()
    ]
    columns = ("Metric", "Against", "Difference", "p", "p (Holm)", "Certain")
    return Section(
        f"Is {champion} better, or lucky?",
        f"{champion} minus each other model on the same customers, with 95 % intervals. Above 0 is better, but for log "
        "loss, where below 0 is. p is the chance of a difference as large if there were none.\n\nWhoever compares with "
        "many models finds a difference by luck sooner or later. Holm's p allows for that: it is corrected for all "
        "models that a metric compares, and only below 0.05 is a difference called certain. Metrics are not corrected "
        "for each other: choose the one that counts beforehand.",
        (DataTable(columns, rows, frozenset(columns[2:5])),),
        "below",
    )


def origins_section(table: pa.Table, champion: str) -> Section:
    """Return curves over the days from which models were judged."""
    rows = table.to_pylist()
    days = tuple(dict.fromkeys(r["split"] for r in rows if r["split"] != "pooled"))
    charts: list[Drawing] = []
    for metric in _CURVES:
        found = {(r["model"], r["split"]): _interval(r) for r in rows if r["metric"] == metric}
        models = list(dict.fromkeys(model for model, _ in found))
        models.sort(key=lambda m: (m != champion, -found[m, "pooled"].estimate if (m, "pooled") in found else 0.0))
        traces = tuple(
            Trace(m, tuple(found.get((m, d), _nothing()) for d in days), "champion" if m == champion else "other")
            for m in models[:_MOST_LINES]
        )
        charts.append(Course(f"{metric}, learned before each day", days, traces))
    pooled = [r for r in rows if r["split"] == "pooled" and r["metric"] in (*_CURVES, "log_loss")]
    cells = [(r["metric"], r["model"], _cell(r, decimal)) for r in pooled]
    charts.append(DataTable(("Metric", "Model", "All days together"), cells, frozenset({"All days together"})))
    return Section(
        "Does it hold from day to day?",
        "Each time everything is fitted anew on what was known before the day, and judged until the next. One good day "
        f"proves little; a line that stays on top does. The {_MOST_LINES} best models are drawn.\n\nIn the table a "
        "customer met on several days counts as one in the intervals.",
        tuple(charts),
        "below",
    )


def ablations_section(table: pa.Table, champion: str) -> Section:
    """Return what each part of the model is worth, as forests."""
    charts = []
    rows = table.to_pylist()
    for metric in _CURVES:
        lifts = tuple(Lift(r["model"], _interval(r), "other") for r in rows if r["metric"] == metric)
        if lifts:
            charts.append(Forest(f"{metric} minus that of {champion}", lifts, signed))
    return Section(
        "What is each part worth?",
        f"{champion} fitted again on the same period with something left out, or another learner in its place, on the "
        "same customers. Left of 0: the part that is missing helped. An interval across 0: no difference was seen "
        "here, which does not prove that there is none. Exactly 0: the model had given the part no weight.",
        tuple(charts),
        "below",
    )


def learning_curve_section(table: pa.Table) -> Section:
    """Return how figures grow with the customers learned from."""
    rows = table.to_pylist()
    charts = []
    for metric in _CURVES:
        mine = sorted((r for r in rows if r["metric"] == metric), key=lambda r: r["share"])
        places = tuple(f"{r['share']:.0%}: {r['customers']:,}" for r in mine)
        trace = Trace("learned", tuple(_interval(r) for r in mine), "champion")
        charts.append(Course(f"{metric} by customers learned from", places, (trace,)))
    return Section(
        "Would more customers help?",
        "Fitted on a part of the customers as if the bank had no others, and judged on the same ones each time. A "
        "curve that still rises at its right end says that more offers would make the model better; a flat one that "
        "other information would.",
        tuple(charts),
        "below",
    )


def product_section(table: pa.Table) -> Section:
    """Return stated and real acceptance of each product."""
    cells = [
        (r["product_id"], percent(r["stated"]), percent(r["accepted"]), _cell(r, percent), f"{r['n']:,}")
        for r in table.to_pylist()
    ]
    columns = ("Product", "Stated", "Accepted", "Stated minus accepted", "Customers")
    return Section(
        "Are probabilities right for each product?",
        "The mean probability stated of the offers of each product, beside the share that was accepted. Where the "
        "interval of their difference spans 0, chance explains it; of twenty products one may lie outside by luck.",
        (DataTable(columns, cells, frozenset(columns[1:])),),
        "below",
    )


def segment_section(report: pa.Table, champion: str) -> Section | None:
    """Return the champion's figures in each group of the Report; None where it has none."""
    rows = [r for r in report.to_pylist() if r["group"] != "all" and r["model"] == champion]
    if not rows:
        return None
    metrics = ("ndcg@5", "hit_rate@5", "auc", "calibration_error")
    cells = []
    for group in dict.fromkeys(r["group"] for r in rows):
        found = {r["metric"]: r for r in rows if r["group"] == group}
        known = [_cell(found[m], decimal) if m in found else "–" for m in metrics]
        cells.append((group.replace("=", " "), *known, f"{found['ndcg@5']['n']:,}" if "ndcg@5" in found else "–"))
    columns = ("Group", *metrics, "Customers")
    return Section(
        "Groups in figures",
        f"{champion} in each group of customers by itself.",
        (DataTable(columns, cells, frozenset(columns[1:])),),
        "below",
    )


def _interval(row: Mapping[str, Any]) -> Interval:
    low, high = (_UNKNOWN if row[name] is None else float(row[name]) for name in ("low", "high"))
    return Interval(float(row["estimate"]), low, high, int(row["n"]))


def _nothing() -> Interval:
    return Interval(_UNKNOWN, _UNKNOWN, _UNKNOWN, 0)


def _cell(row: Mapping[str, Any], form: Form) -> str:
    value = _interval(row)
    return f"{form(value.estimate)}\n{bounds(value, form)}"
