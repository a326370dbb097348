"""Reads a test off the bank's own tables: what customers did from the day they were assigned on.

Every assigned customer counts, also who was offered nothing or did nothing: comparing only those who were reached would
compare different customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa

from nextoffer.errors import ExperimentError, did_you_mean
from nextoffer.experiment.assigning import fits
from nextoffer.experiment.file import Experiment, Metric
from nextoffer.experiment.gather import UNPLANNED, Gathered, group_sums, summed
from nextoffer.experiment.sums import Floats, Sums
from nextoffer.tables.bank import Bank
from nextoffer.tables.sql import quoted

SOURCES = {
    "accepted": "products taken up, with an offer or without",
    "offers": "offers made",
    "rejected": "offers answered with a no",
    "margin": "margin of the products taken up (products.margin)",
    "spend": "spending by transactions",
}
"""Metrics a bank can be asked for: as a conversion whether there was any, as a value how many or how much.

``pre_<name>`` is the same in the days before the start, and a covariate like any number of the customers.
"""

_ANSWERED = "coalesce(r.responded_on, r.offered_on)"


def gather_bank(bank: Bank, experiment: Experiment, assignment: pa.Table, *, until: date | None = None) -> Gathered:
    """Return the sums of all assigned customers at the end of each day.

    Parameters
    ----------
    bank
        Its responses, and transactions where `spend` is asked.
    assignment
        As `nextoffer.experiment.gather.check_assignment` returns it.
    until
        The last day to look at; the last day of the bank's events, or the test's, if left out.

    Raises
    ------
    ExperimentError
        A metric or covariate cannot be read off the bank, or there is nothing after the start.
    """
    _check(bank, experiment)
    con = bank.connect().cursor()
    con.register("given_assignment", assignment)
    con.register("counted_products", pa.table({"product_id": _products(bank, experiment)}))
    end = _until(con, bank, experiment, until)
    days = tuple(experiment.starts + timedelta(days=i) for i in range((end - experiment.starts).days + 1))
    covariates = sorted({c for metric in experiment.metric for c in metric.covariates})
    notes = _make_units(con, bank, experiment, covariates, end)
    sums = {m.name: _sums(con, bank, m, experiment, days).over_days() for m in experiment.metric}
    entering = con.sql("SELECT count(DISTINCT day) FROM units").fetchall()[0][0]
    if entering > 1 and experiment.planned is None and experiment.interval == "sequential":
        notes.append(UNPLANNED)
    counts = tuple(int(n) for n in next(iter(sums.values())).n[-1])
    return Gathered(days, sums, _shares(con, experiment, days), counts, tuple(notes))


def _check(bank: Bank, experiment: Experiment) -> None:
    columns = bank.columns("customers")
    numbers = [name for name, kind in columns.items() if kind in ("number", "flag")]
    known = {*SOURCES, *(f"pre_{name}" for name in SOURCES)}
    problems = []
    for metric in experiment.metric:
        if metric.source not in SOURCES:
            problems.append(
                f"metric '{metric.name}': a bank has no '{metric.source}'{did_you_mean(metric.source, SOURCES)}; "
                f"there are {', '.join(SOURCES)}"
            )
        problems += [
            f"metric '{metric.name}': no covariate '{name}'{did_you_mean(name, [*known, *numbers])}; there are "
            f"{', '.join(f'pre_{s}' for s in SOURCES)} and the customers' {', '.join(numbers)}"
            for name in metric.covariates
            if name not in numbers and name.removeprefix("pre_") not in SOURCES
        ]
    asked = {c.removeprefix("pre_") for m in experiment.metric for c in (m.source, *m.covariates)}
    tables = {"transactions"} if "spend" in asked else set()
    tables |= {"responses"} if asked & (set(SOURCES) - {"spend"}) else set()
    problems += [
        f"the bank has no table {name}, which the metrics need" for name in sorted(tables) if not bank.has(name)
    ]
    if "margin" in asked and "margin" not in bank.columns("products"):
        problems.append("products have no column margin, which a metric needs")
    there = bank.columns("products")
    problems += [
        f"offers: products have no column '{name}'{did_you_mean(name, there)}; there are {', '.join(there)}"
        for name in experiment.offers
        if name not in there
    ]
    if problems:
        raise ExperimentError(problems)


def _products(bank: Bank, experiment: Experiment) -> pa.Array:
    products = bank.table("products")
    counted = products.filter(pa.array(fits(products, experiment.offers)))
    return counted["product_id"].combine_chunks()


def _until(con: duckdb.DuckDBPyConnection, bank: Bank, experiment: Experiment, until: date | None) -> date:
    end = experiment.last_day
    if until is None:
        asked = [f"SELECT max({_answered(bank)}) FROM responses r"] if bank.has("responses") else []
        asked += ["SELECT max(date) FROM transactions"] if bank.has("transactions") else []
        found = [day for sql in asked for (day,) in con.sql(sql).fetchall() if day is not None]
        until = max(found, default=experiment.starts)
    if until < experiment.starts:
        raise ExperimentError(f"the test starts on {experiment.starts}, but the bank's tables end on {until}")
    return min(until, end)


def _answered(bank: Bank) -> str:
    return _ANSWERED if "responded_on" in bank.columns("responses") else "r.offered_on"


def _make_units(
    con: duckdb.DuckDBPyConnection, bank: Bank, experiment: Experiment, covariates: Sequence[str], end: date
) -> list[str]:
    """Make table ``units``: customer_id, arm, day (of coming in) and covariates; return what was left out."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE units AS SELECT c.customer_id, a.arm, "
        f"greatest(coalesce(a.assigned_on, DATE '{experiment.starts}'), DATE '{experiment.starts}') AS day, "
        "a.assigned_on AS was FROM customers c "
        "JOIN given_assignment a ON a.customer_id = CAST(c.customer_id AS VARCHAR)"
    )
    (assigned,) = con.sql("SELECT count(*) FROM given_assignment").fetchall()[0]
    (found, late) = con.sql(f"SELECT count(*), count(*) FILTER (day > DATE '{end}') FROM units").fetchall()[0]
    notes = []
    if found < assigned:
        notes.append(f"{assigned - found:,} assigned customers are not in the bank, and are left out.")
    if late:
        con.execute(f"DELETE FROM units WHERE day > DATE '{end}'")
        notes.append(f"{late:,} customers were assigned after {end}, and are left out.")
    first = experiment.starts - timedelta(days=experiment.pre_days)
    own = bank.columns("customers")
    for name in covariates:
        source = name.removeprefix("pre_")
        column = quoted(f"x {name}")
        con.execute(f"ALTER TABLE units ADD COLUMN {column} DOUBLE")
        if name in own:
            number = f"CAST({quoted(name)} AS DOUBLE)"
            rows = f"SELECT customer_id, CASE WHEN isfinite({number}) THEN {number} END AS total FROM customers"
        else:
            con.execute(f"UPDATE units SET {column} = 0")
            before = _events(bank, source, f">= DATE '{first}'", f"< DATE '{experiment.starts}'")
            rows = f"SELECT customer_id, sum(amount) AS total FROM ({before}) GROUP BY customer_id"
        con.execute(f"UPDATE units SET {column} = e.total FROM ({rows}) e WHERE e.customer_id = units.customer_id")
    return notes


def _events(bank: Bank, source: str, since: str, until: str) -> str:
    """Return SQL for customer_id, day and amount of what happened in a time."""
    if source == "spend":
        spent = ""
        if "direction" in bank.columns("transactions"):
            spent = " AND coalesce(lower(direction), '') NOT IN ('credit', 'cr', 'c')"
        return f"SELECT customer_id, date AS day, amount FROM transactions WHERE date {since} AND date {until}{spent}"
    columns = bank.columns("responses")
    day = "r.offered_on" if source == "offers" else _answered(bank)
    made = "coalesce(r.arm, '') <> 'control'" if "arm" in columns else "true"
    no = "r.label < 0.5 AND r.responded_on IS NOT NULL" if "responded_on" in columns else "r.label < 0.5"
    which = {"accepted": "r.label >= 0.5", "margin": "r.label >= 0.5", "offers": made, "rejected": f"{no} AND {made}"}
    joined, amount = "", "1.0"
    if source == "margin":
        joined, amount = " JOIN products p ON p.product_id = r.product_id", "coalesce(p.margin, 0)"
    return (
        f"SELECT r.customer_id, {day} AS day, {amount} AS amount FROM responses r{joined} "
        f"WHERE {which[source]} AND r.offered_on {since} AND {day} {until} "
        "AND r.product_id IN (SELECT product_id FROM counted_products)"
    )


def _sums(
    con: duckdb.DuckDBPyConnection, bank: Bank, metric: Metric, experiment: Experiment, days: Sequence[date]
) -> Sums:
    """What each day adds: customers as they come in, and from then on every change of what they have done so far."""
    names = [quoted(f"x {name}") for name in metric.covariates]
    averages = [con.sql(f"SELECT coalesce(avg({name}), 0) FROM units").fetchall()[0][0] for name in names]
    centre = np.array([0.0, *averages])
    parts = [f"coalesce(u.{c}, {m!r}) - {m!r}" for c, m in zip(names, map(float, averages), strict=True)]
    entering = con.sql(
        f"SELECT arm, day, count(*) AS n, {', '.join(summed(['0.0', *parts]))} FROM units u GROUP BY arm, day"
    ).to_arrow_table()
    events = _events(bank, metric.source, f">= DATE '{experiment.starts}'", f"<= DATE '{days[-1]}'")
    total = "min(amount) * 0 + 1" if metric.kind == "conversion" else "sum(amount)"
    daily = (
        f"SELECT e.customer_id, any_value(u.arm) AS arm, e.day AS day, {total} AS amount FROM ({events}) e "
        "JOIN units u ON u.customer_id = e.customer_id AND e.day >= u.day GROUP BY e.customer_id, e.day"
    )
    if metric.kind == "conversion":
        first = "customer_id, any_value(arm) AS arm, min(day) AS day, 1.0 AS amount"
        daily = f"SELECT {first} FROM ({daily}) GROUP BY customer_id"
    steps = f"SELECT *, sum(amount) OVER (PARTITION BY customer_id ORDER BY day) AS so_far FROM ({daily})"
    crossed = [f"sum(s.amount * ({part})) AS p0_{i}" for i, part in enumerate(parts, start=1)]
    wanted = ["sum(s.amount) AS t0", "sum(s.amount * (2 * s.so_far - s.amount)) AS p0_0", *crossed]
    changes = con.sql(
        f"SELECT s.arm AS arm, s.day AS day, {', '.join(wanted)} FROM ({steps}) s "
        "JOIN units u ON u.customer_id = s.customer_id GROUP BY s.arm, s.day"
    ).to_arrow_table()
    both = pa.concat_tables([entering, changes], promote_options="permissive")
    return group_sums(both, experiment, days, centre)


def _shares(con: duckdb.DuckDBPyConnection, experiment: Experiment, days: Sequence[date]) -> Floats:
    """Share of the planned customer-days that is in at the end of each day."""
    rows = con.sql("SELECT day, count(*) AS n FROM units GROUP BY day ORDER BY day").fetchall()
    entered = np.zeros(len(days))
    for day, n in rows:
        entered[(day - experiment.starts).days] += n
    planned_days = (experiment.last_day - experiment.starts).days + 1
    planned = float((entered * (planned_days - np.arange(len(days)))).sum())
    if experiment.planned is not None and np.count_nonzero(entered) > 1:  # customers come in bit by bit
        planned *= experiment.planned / max(entered.sum(), 1.0)
    return np.asarray(entered.cumsum().cumsum() / max(planned, 1.0))
