"""Plans, assigns and reads an A/B test from files, and puts a reading on a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from math import isfinite
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from nextoffer.errors import ExperimentError
from nextoffer.evaluate.forest import Forest, Lift, Narrowing
from nextoffer.evaluate.page import DataTable, Drawing, ReportPage, Section
from nextoffer.evaluate.wording import Form, change, count, decimal, percent
from nextoffer.experiment.assigning import Assigned, assign
from nextoffer.experiment.bank import gather_bank
from nextoffer.experiment.file import Experiment, Metric, overlapping
from nextoffer.experiment.gather import check_assignment, gather_table
from nextoffer.experiment.reading import Reading, read
from nextoffer.intervals import Interval
from nextoffer.tables.bank import Bank
from nextoffer.tables.sql import quoted


def assign_customers(
    where: Path, experiment: Experiment, *, on: date, before: Path | None = None, beside: Sequence[Experiment] = ()
) -> Assigned:
    """Return the arms of a bank's customers, or of those of a file.

    Parameters
    ----------
    where
        A bank (folder or bank.toml), or a ``.parquet`` or ``.csv`` with customer_id and the columns that are asked for.
    before
        An earlier assignment that is kept.
    beside
        Experiments that run at the same time; two of one layer may not overlap.

    Raises
    ------
    ExperimentError
        As `nextoffer.experiment.assigning.assign`; or experiments of one layer overlap.
    """
    if clash := overlapping([experiment, *beside]):
        raise ExperimentError(clash)
    asked = tuple(dict.fromkeys((*experiment.eligible, *experiment.assignment.strata)))
    customers = _customers(where, asked)
    earlier = None
    if before is not None:
        given = table_of(before)
        earlier = check_assignment(given, experiment, str(before))
    return assign(customers, experiment, on=on, before=earlier)


def read_test(
    where: Path, experiment: Experiment, *, assignment: Path | None = None, until: date | None = None
) -> Reading:
    """Return what a test says that ran in a bank, or whose results stand in a file.

    Parameters
    ----------
    where
        A bank, which needs an assignment; or a ``.parquet`` or ``.csv`` with a row per customer.
    until
        The last day to look at.

    Raises
    ------
    ExperimentError
        As `nextoffer.experiment.gather` and `nextoffer.experiment.bank`.
    """
    given = None if assignment is None else table_of(assignment)
    known = None if given is None else check_assignment(given, experiment, str(assignment))
    if _is_file(where):
        return read(gather_table(table_of(where), experiment, assignment=known, until=until), experiment)
    if known is None:
        raise ExperimentError(
            "a bank does not say who is in which arm; give the file that assign wrote as --assignment"
        )
    return read(gather_bank(Bank.read(where), experiment, known, until=until), experiment)


def table_of(path: Path) -> pa.Table:
    """Return a ``.parquet`` or ``.csv`` file.

    Raises
    ------
    ExperimentError
        There is no such file, it has another ending, or cannot be read.
    """
    readers = {".parquet": pyarrow.parquet.read_table, ".csv": pyarrow.csv.read_csv}
    if path.suffix not in readers:
        raise ExperimentError(f"{path} ends in '{path.suffix}'; tables are read from {' or '.join(readers)}")
    if not path.exists():
        raise ExperimentError(f"{path} does not exist")
    try:
        return readers[path.suffix](path)
    except (OSError, pa.ArrowException) as error:
        raise ExperimentError(f"{path} cannot be read: {error}") from error


def _is_file(where: Path) -> bool:
    return where.suffix in (".parquet", ".csv") and not where.is_dir()


def _customers(where: Path, columns: Sequence[str]) -> pa.Table:
    if _is_file(where):
        return table_of(where)
    bank = Bank.read(where)
    there = bank.columns("customers")
    known = [name for name in columns if name in there]
    wanted = ", ".join(quoted(name) for name in dict.fromkeys(("customer_id", *known)))
    table = pa.Table.from_batches(list(bank.query(f"SELECT {wanted} FROM customers")))
    if len(known) < len(columns):  # so that the complaint can name all that there are
        table = table.join(bank.table("customers"), keys="customer_id", right_suffix=" again")
    return _whole(table)


def _whole(table: pa.Table) -> pa.Table:
    """Return the table with whole numbers as such: a tier is ``2``, not ``2.0``."""
    for i, field in enumerate(table.schema):
        column = table.column(i)
        if pa.types.is_floating(field.type) and field.name != "customer_id":
            whole = pc.all(pc.equal(pc.round(column), column), skip_nulls=True).as_py()
            if whole is not False:
                table = table.set_column(i, field.name, column.cast(pa.int64(), safe=False))
    return table


def told(reading: Reading) -> dict[str, object]:
    """Return a reading as plain values, for JSON; what is not known is null."""
    check, verdict = reading.check, reading.verdict
    return {
        "experiment": reading.experiment.name,
        "until": reading.until.isoformat(),
        "share_of_plan": reading.share,
        "verdict": {
            "code": verdict.code,
            "headline": verdict.headline,
            "findings": [vars(finding) for finding in verdict.findings],
        },
        "sample_ratio": {
            "broken": check.broken,
            "p_value": _known(check.p_value),
            "customers": dict(zip(check.arms, check.found, strict=True)),
            "expected": dict(zip(check.arms, check.expected, strict=True)),
        },
        "arms": _rows(reading.arms),
        "lifts": _rows(reading.lifts),
        "days": _rows(reading.days),
        "variance_left_by_covariates": reading.sharper,
        "notes": list(reading.notes),
    }


def _rows(table: pa.Table) -> list[dict[str, object]]:
    return [{k: v.isoformat() if isinstance(v, date) else _known(v) for k, v in r.items()} for r in table.to_pylist()]


def _known(value: object) -> object:
    return None if isinstance(value, float) and not isfinite(value) else value


def reading_page(reading: Reading) -> ReportPage:
    """Return a reading as a page."""
    experiment, verdict = reading.experiment, reading.verdict
    facts = (
        ("Control", experiment.arms[0]),
        ("Other arms", ", ".join(experiment.arms[1:])),
        ("From", experiment.starts.isoformat()),
        ("Until", reading.until.isoformat()),
        ("Of what was planned", percent(reading.share)),
        ("Customers", count(sum(reading.check.found))),
    )
    shown = () if verdict.code in ("broken", "nothing") else tuple(_sections(reading))
    more = dict.fromkeys(f.sentence for f in verdict.findings if f.sentence not in verdict.headline)
    sections = (*shown, _ratio_section(reading))
    told = tuple(_printed(sentence) for sentence in (*more, *reading.notes))
    headline = _printed(verdict.headline)
    return ReportPage(experiment.name, facts, headline, told, sections, mast="NextOffer experiment")


def _printed(sentence: str) -> str:
    """The sentence with its numbers as the rest of the page writes them."""
    return re.sub(r"(?<=\d)%", "\N{NARROW NO-BREAK SPACE}%", re.sub(r"(?<=[ (])-(?=\d)", "−", sentence))


def _sections(reading: Reading) -> list[Section]:
    experiment = reading.experiment
    sections = [_metric_section(reading, metric) for metric in experiment.metric]
    days = tuple(_days(reading, metric) for metric in experiment.primary)
    if len(set(reading.days["day"].to_pylist())) > 1:
        sections.append(
            Section(
                "From day to day",
                "Difference to the control, with the interval that holds on all days at once: however often one looks, "
                f"it misses the truth with a probability of {percent(1 - experiment.level)} at most. A test may end on "
                "the day on which the interval leaves the line of no difference.",
                tuple(chart for charts in days for chart in charts),
            )
        )
    return sections


def _metric_section(reading: Reading, metric: Metric) -> Section:
    rows = [r for r in reading.lifts.to_pylist() if r["metric"] == metric.name]
    no_ratio = all(not isfinite(r["low"]) for r in rows if r["scale"] == "relative")
    scale = "absolute" if metric.absolute or no_ratio else "relative"
    form = change if scale == "relative" else _form(metric)
    lifts = tuple(_lift(row, reading.experiment) for row in rows if row["scale"] == scale)
    limit = None if metric.role != "guardrail" or metric.lift is None else -metric.lift * metric.sign
    title = f"{metric.name}: {'lift over' if scale == 'relative' else 'difference to'} {reading.experiment.arms[0]}"
    body: tuple[Drawing, ...] = (Forest(title, lifts, form, limit), _arm_table(reading, metric))
    return Section(metric.name, _explained(reading, metric, rows), body)


def _explained(reading: Reading, metric: Metric, rows: Sequence[dict[str, float]]) -> str:
    better = "More is better." if metric.sign > 0 else "Less is better."
    role = {
        "primary": "Decides the test.",
        "secondary": "Shown for interest: it decides nothing, and of many such figures some look striking by chance.",
        "guardrail": f"Must not be hurt: the dashed line is the harm that is tolerated. {better}",
    }[metric.role]
    level = rows[0]["level"] if rows else reading.experiment.level
    parts = [f"{role} {better if metric.role != 'guardrail' else ''}".strip()]
    parts.append(
        f"Intervals hold the truth with probability {percent(level)}: “any day” whenever one looks, “once” only if "
        "the day of reading was chosen beforehand."
    )
    left = reading.sharper[metric.name]
    if metric.covariates:
        gain = f", as {1 / left:.2g} times the customers would" if left < 0.95 else ": it hardly helps"
        parts.append(f"Adjusting for {', '.join(metric.covariates)} leaves {percent(left)} of the variance{gain}.")
    return "\n\n".join(parts)


def _lift(row: dict[str, object], experiment: Experiment) -> Lift:
    when = "any day" if row["method"] == "sequential" else "once"
    name = f"{row['arm']}, {when}{', adjusted' if row['adjusted'] else ''}"
    kind = "champion" if row["method"] == experiment.interval else "other"
    return Lift(name, _of(row), kind)


def _arm_table(reading: Reading, metric: Metric) -> DataTable:
    form = percent if metric.kind == "conversion" else _amount
    rows = [
        (r["arm"], f"{form(r['estimate'])}\n{form(r['low'])} to {form(r['high'])}", count(r["n"]))
        for r in reading.arms.to_pylist()
        if r["metric"] == metric.name
    ]
    kind = "Rate" if metric.kind == "conversion" else "Mean"
    return DataTable(("Arm", kind, "Customers"), rows, frozenset({kind, "Customers"}))


def _days(reading: Reading, metric: Metric) -> list[Drawing]:
    rows = [r for r in reading.days.to_pylist() if r["metric"] == metric.name]
    charts: list[Drawing] = []
    for arm in reading.experiment.arms[1:]:
        mine = [r for r in rows if r["arm"] == arm]
        title = f"{metric.name}: {arm} minus {reading.experiment.arms[0]}"
        days, values = tuple(r["day"] for r in mine), tuple(_of(r) for r in mine)
        charts.append(Narrowing(title, days, values, _form(metric)))
    return charts


def _ratio_section(reading: Reading) -> Section:
    check = reading.check
    rows = [
        (arm, count(found), count(expected))
        for arm, found, expected in zip(check.arms, check.found, check.expected, strict=True)
    ]
    table = DataTable(("Arm", "Customers", "Expected"), rows, frozenset({"Customers", "Expected"}))
    words = (
        "Arms must hold the customers that their shares promise. Where they do not (p below 0.001), something took "
        f"customers out of one arm, and no figure of the test can be trusted.\n\n{check.verdict}"
    )
    return Section("Customers per arm", words, (table,))


def _of(row: dict[str, object]) -> Interval:
    estimate, low, high, n = (row[name] for name in ("estimate", "low", "high", "n"))
    assert isinstance(estimate, float)
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert isinstance(n, int)
    return Interval(estimate, low, high, n)


def _form(metric: Metric) -> Form:
    return _points if metric.kind == "conversion" else _signed_amount


def _points(value: float) -> str:
    return change(value).replace("%", "pt")


def _amount(value: float) -> str:
    return f"{value:,.4g}".replace("-", "−") if isfinite(value) else decimal(value)


def _signed_amount(value: float) -> str:
    return f"{value:+,.3g}".replace("-", "−") if isfinite(value) else decimal(value)
