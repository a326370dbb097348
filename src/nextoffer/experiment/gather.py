"""From customers' rows to sums per arm and day: one group-by in DuckDB for each metric, whatever the number of rows.

`Gathered` is all that a reading sees. A table has a row per customer who came in on a day; a bank has events
(`nextoffer.experiment.bank`). Either way each day adds its sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa

from nextoffer.errors import ExperimentError, did_you_mean
from nextoffer.experiment.file import Experiment, Metric
from nextoffer.experiment.sums import Floats, Sums
from nextoffer.tables.sql import quoted

UNPLANNED = (
    "No number of customers is planned (customers, or per_day), so those there are now count as all: intervals that "
    "hold whenever one looks need it to be given before the first look."
)
_SHOWN = 5


@dataclass(frozen=True)
class Gathered:
    """All that is read of the customers.

    Attributes
    ----------
    days
        The days of the test so far, in order; one where days are not known.
    sums
        For each metric what is known at the end of each day: first axis days, second arms.
    shares
        Shape (days,): share of the planned customers, or customer-days, that is in at the end of each day.
    counts
        Customers read of each arm.
    notes
        What was left out, and why, in sentences.
    dated
        Whether the days are those of the calendar.
    """

    days: tuple[date, ...]
    sums: Mapping[str, Sums]
    shares: Floats
    counts: tuple[int, ...]
    notes: tuple[str, ...]
    dated: bool = True


def check_assignment(assignment: pa.Table, experiment: Experiment, where: str) -> pa.Table:
    """Return customer_id as text, arm and assigned_on of an assignment, one row for each customer.

    Raises
    ------
    ExperimentError
        Columns are missing, it is another experiment's, names arms that there are not, or a customer stands there with
        several arms; all of it is told at once.
    """
    names = assignment.column_names
    missing = [name for name in ("customer_id", "arm") if name not in names]
    if missing:
        raise ExperimentError([_no_column(where, name, names) for name in missing])
    con = connected()
    con.register("given", assignment)
    other = "SELECT DISTINCT experiment FROM given" if "experiment" in names else "SELECT 1 WHERE false"
    problems = [
        f"{where}: it is the assignment of experiment '{name}', not of '{experiment.name}'"
        for (name,) in con.sql(other).fetchall()
        if name != experiment.name
    ]
    day = "min(CAST(assigned_on AS DATE))" if "assigned_on" in names else "CAST(NULL AS DATE)"
    con.execute(
        f"CREATE TABLE kept AS SELECT CAST(customer_id AS VARCHAR) AS customer_id, min(CAST(arm AS VARCHAR)) AS arm, "
        f"{day} AS assigned_on, count(DISTINCT arm) AS arms FROM given WHERE customer_id IS NOT NULL GROUP BY ALL"
    )
    problems += twice_in(con, where)
    problems += strange_arms(con, experiment, where)
    if problems:
        raise ExperimentError(problems)
    return con.sql("SELECT customer_id, arm, assigned_on FROM kept").to_arrow_table()


def twice_in(con: duckdb.DuckDBPyConnection, where: str) -> list[str]:
    """Return what is wrong where a customer of table ``kept`` has several arms."""
    found = con.sql("SELECT customer_id FROM kept WHERE arms > 1 ORDER BY customer_id").fetchall()
    if not found:
        return []
    return [f"{where}: {len(found):,} customers stand there with more than one arm: {_some([c for (c,) in found])}"]


def strange_arms(con: duckdb.DuckDBPyConnection, experiment: Experiment, where: str) -> list[str]:
    """Return what is wrong where table ``kept`` names arms that the experiment does not have."""
    found = con.sql("SELECT coalesce(arm, '(none)'), count(*) FROM kept GROUP BY ALL ORDER BY 1").fetchall()
    arms = experiment.arms
    return [
        f"{where}: {n:,} customers in arm '{arm}'{did_you_mean(str(arm), arms)}, which '{experiment.name}' does not "
        f"have; there are {', '.join(arms)}"
        for arm, n in found
        if arm not in arms
    ]


def connected() -> duckdb.DuckDBPyConnection:
    """Return a fresh DuckDB in memory that fetches nothing from anywhere."""
    con = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    return con


def gather_table(
    table: pa.Table, experiment: Experiment, *, assignment: pa.Table | None = None, until: date | None = None
) -> Gathered:
    """Return the sums of a table with a row per customer.

    Parameters
    ----------
    table
        customer_id, the metrics' columns and covariates, ``arm`` where there is no assignment, and a column of days
        (`Experiment.day`) where they are known.
    assignment
        As `check_assignment` returns it; customers who are not in it are left out.
    until
        Days after it are not looked at.

    Raises
    ------
    ExperimentError
        Columns are missing or no numbers, a customer stands there twice or with several arms, a conversion is neither 0
        nor 1; all of it is told at once.
    """
    con = connected()
    con.register("given", table)
    _check_columns(table, experiment, with_arm=assignment is None)
    if assignment is not None:
        con.register("assignment", assignment)
    _make_units(con, table, experiment, assignment)
    notes = _left_out(con, experiment, until)
    notes += [] if assignment is None else _without_row(con)
    known = con.sql("SELECT min(day), max(day), count(day), count(*) FROM units").fetchall()[0]
    first, last, dated, rows = known
    days = _calendar(experiment.starts, last) if dated and dated == rows else (experiment.starts,)
    if dated and dated < rows:
        notes.append(f"{rows - dated:,} customers have no {experiment.day}: days are not told apart.")
    if len(days) == 1 or first is None:
        con.execute("UPDATE units SET day = ?", [experiment.starts])
    sums, told = {}, []
    for metric in experiment.metric:
        found, said = _sums(con, metric, experiment, days)
        sums[metric.name] = found.over_days()
        told += said
    if experiment.planned is None and experiment.interval == "sequential":
        notes.append(UNPLANNED)
    planned = float(experiment.planned or (assignment.num_rows if assignment is not None else rows) or 1)
    everyone = _per_day(con, experiment, days)
    shares = everyone.sum(axis=1).cumsum() / planned
    counts = tuple(int(n) for n in everyone.sum(axis=0))
    return Gathered(days, sums, shares, counts, (*notes, *told), dated=len(days) > 1)


def group_sums(rows: pa.Table, experiment: Experiment, days: Sequence[date], centre: Floats) -> Sums:
    """Return what each day adds to each arm, out of a group-by.

    Parameters
    ----------
    rows
        arm, day, n, ``t0`` to ``t<d-1>`` (totals) and ``p<i>_<j>`` for i <= j (products).
    centre
        Shape (d,).
    """
    d, k = len(centre), len(experiment.arm)
    n, totals, products = np.zeros((len(days), k)), np.zeros((len(days), k, d)), np.zeros((len(days), k, d, d))
    if rows.num_rows:
        places = {day: i for i, day in enumerate(days)}
        day = np.array([places[x] for x in rows["day"].to_pylist()])
        arm = np.array([experiment.arms.index(a) for a in rows["arm"].to_pylist()])
        np.add.at(n, (day, arm), _numbers(rows, "n"))
        for i in range(d):
            np.add.at(totals[..., i], (day, arm), _numbers(rows, f"t{i}"))
            for j in range(i, d):
                found = _numbers(rows, f"p{i}_{j}")
                np.add.at(products[..., i, j], (day, arm), found)
                if j > i:
                    np.add.at(products[..., j, i], (day, arm), found)
    return Sums(n, totals, products, centre)


def _numbers(rows: pa.Table, name: str) -> Floats:
    return np.nan_to_num(np.asarray(rows[name].cast(pa.float64()).to_numpy(), dtype=np.float64))


def _calendar(first: date, last: date) -> tuple[date, ...]:
    return tuple(first + timedelta(days=i) for i in range(max((last - first).days, 0) + 1))


def _no_column(where: str, name: str, names: Sequence[str]) -> str:
    return f"{where}: no column '{name}'{did_you_mean(name, names)}; there are {', '.join(names)}"


def _some(values: Sequence[object]) -> str:
    more = f" and {len(values) - _SHOWN:,} more" if len(values) > _SHOWN else ""
    return ", ".join(str(value) for value in values[:_SHOWN]) + more


def columns_of(experiment: Experiment) -> list[str]:
    """Return the metrics' columns and their covariates, each once."""
    return list(dict.fromkeys(name for m in experiment.metric for name in (m.source, *m.covariates)))


def _check_columns(table: pa.Table, experiment: Experiment, *, with_arm: bool) -> None:
    names = table.column_names
    asked = ["customer_id", *(["arm"] if with_arm else []), *columns_of(experiment)]
    problems = [_no_column("the table", name, names) for name in asked if name not in names]
    if with_arm and "arm" not in names:
        problems.append("without a column arm an assignment is needed")
    for name in columns_of(experiment):
        if name in names and not _is_number(table.schema.field(name).type):
            problems.append(f"the table: column '{name}' is {table.schema.field(name).type}; it must hold numbers")
    if problems:
        raise ExperimentError(problems)


def _is_number(kind: pa.DataType) -> bool:
    checks = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    return any(check(kind) for check in checks)


def _make_units(
    con: duckdb.DuckDBPyConnection, table: pa.Table, experiment: Experiment, assignment: pa.Table | None
) -> None:
    """Make table ``units``: customer_id, arm (null: not in the assignment), day, and columns, null if not finite."""
    numbers = ", ".join(
        f"CASE WHEN isfinite(CAST(g.{quoted(c)} AS DOUBLE)) THEN CAST(g.{quoted(c)} AS DOUBLE) END AS {quoted(c)}"
        for c in columns_of(experiment)
    )
    arm, day, joined = "CAST(g.arm AS VARCHAR)", "CAST(NULL AS DATE)", ""
    if experiment.day in table.column_names:
        day = f"CAST(g.{quoted(experiment.day)} AS DATE)"
    if assignment is not None:
        arm, joined = "a.arm", "LEFT JOIN assignment a ON a.customer_id = CAST(g.customer_id AS VARCHAR)"
        day = day if experiment.day in table.column_names else "a.assigned_on"
    con.execute(
        f"CREATE TABLE units AS SELECT CAST(g.customer_id AS VARCHAR) AS customer_id, {arm} AS arm, {day} AS day, "
        f"{numbers} FROM given g {joined}"
    )
    con.execute(
        "CREATE TABLE kept AS SELECT customer_id, min(arm) AS arm, count(DISTINCT arm) AS arms, count(*) AS rows "
        f"FROM units{'' if assignment is None else ' WHERE arm IS NOT NULL'} GROUP BY customer_id"
    )
    problems = twice_in(con, "the table") + strange_arms(con, experiment, "the table")
    again = con.sql("SELECT customer_id FROM kept WHERE rows > 1 AND arms < 2 ORDER BY 1").fetchall()
    if again:
        problems.append(
            f"the table: {len(again):,} customers stand there more than once: {_some([c for (c,) in again])}"
        )
    for metric in (m for m in experiment.metric if m.kind == "conversion"):
        source = quoted(metric.source)
        strange = con.sql(f"SELECT DISTINCT {source} FROM units WHERE {source} NOT IN (0, 1) ORDER BY 1").fetchall()
        if strange:
            shown = _some([f"{v:g}" for (v,) in strange])
            problems.append(f"the table: conversion '{metric.source}' must be 0 or 1; found {shown}")
    if problems:
        raise ExperimentError(problems)


def _left_out(con: duckdb.DuckDBPyConnection, experiment: Experiment, until: date | None) -> list[str]:
    """Take rows that do not count out of ``units`` and return what was taken."""
    end = min(until, experiment.ends) if until and experiment.ends else until or experiment.ends
    asked = [
        ("arm IS NULL", "customers are not in the assignment"),
    ]
    asked.append((f"day < DATE '{experiment.starts}'", f"customers came in before the start, {experiment.starts}"))
    if end is not None:
        asked.append((f"day > DATE '{end}'", f"customers came in after {end}"))
    out = []
    for condition, why in asked:
        (n,) = con.sql(f"SELECT count(*) FROM units WHERE {condition}").fetchall()[0]
        if n:
            con.execute(f"DELETE FROM units WHERE {condition}")
            out.append(f"{n:,} {why}, and are left out.")
    return out


def _without_row(con: duckdb.DuckDBPyConnection) -> list[str]:
    """What is to be said of assigned customers whom the table does not have."""
    rows = con.sql(
        "SELECT arm, count(*) FROM assignment a WHERE NOT EXISTS "
        "(SELECT 1 FROM kept k WHERE k.customer_id = a.customer_id) GROUP BY arm ORDER BY arm"
    ).fetchall()
    if not rows:
        return []
    each = ", ".join(f"{arm} {n:,}" for arm, n in rows)
    return [f"{sum(n for _, n in rows):,} assigned customers have no row in the table ({each})."]


def _sums(
    con: duckdb.DuckDBPyConnection, metric: Metric, experiment: Experiment, days: Sequence[date]
) -> tuple[Sums, list[str]]:
    names = [metric.source, *metric.covariates]
    centres = con.sql(
        "SELECT "
        + ", ".join(f"coalesce(avg({quoted(c)}), 0)" for c in names)
        + f" FROM units WHERE {quoted(names[0])} IS NOT NULL"
    ).fetchall()[0]
    centre = np.array(centres, dtype=np.float64)
    if metric.kind == "conversion":
        centre[0] = 0.0  # so that successes are counted exactly
    parts = [f"coalesce({quoted(c)}, {m!r}) - {m!r}" for c, m in zip(names, map(float, centre), strict=True)]
    wanted = ["count(*) AS n", *summed(parts)]
    rows = con.sql(
        f"SELECT arm, day, {', '.join(wanted)} FROM units WHERE {quoted(names[0])} IS NOT NULL GROUP BY arm, day"
    ).to_arrow_table()
    missing = con.sql(
        f"SELECT arm, count(*) FROM units WHERE {quoted(names[0])} IS NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    told = []
    if missing:
        each = ", ".join(f"{arm} {n:,}" for arm, n in missing)
        told.append(f"{metric.name} is not known of {sum(n for _, n in missing):,} customers ({each}), left out of it.")
    return group_sums(rows, experiment, days, centre), told


def summed(parts: Sequence[str]) -> list[str]:
    """Return the SQL of the totals and products of expressions, named as `group_sums` reads them.

    >>> summed(["y"])
    ['sum(y) AS t0', 'sum((y) * (y)) AS p0_0']
    """
    totals = [f"sum({part}) AS t{i}" for i, part in enumerate(parts)]
    pairs = [(i, j) for i in range(len(parts)) for j in range(i, len(parts))]
    return totals + [f"sum(({parts[i]}) * ({parts[j]})) AS p{i}_{j}" for i, j in pairs]


def _per_day(con: duckdb.DuckDBPyConnection, experiment: Experiment, days: Sequence[date]) -> Floats:
    rows = con.sql("SELECT arm, day, count(*) AS n FROM units GROUP BY arm, day").to_arrow_table()
    return group_sums(rows, experiment, days, np.zeros(0)).n
