"""What a row must fulfil, as SQL over a table's ``typed`` view. The same rules clean the views, count and explain.

A rule is true for the rows it catches and never null.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date

from nextoffer.tables.contract import Reference, Severity
from nextoffer.tables.layout import Layout, Read
from nextoffer.tables.sql import literal, quoted


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong with a row.

    Attributes
    ----------
    column
        The column it looks at.
    name
        One word, as it stands in rejects.
    severity
        ``reject`` sets the row aside, ``warn`` only reports it.
    sql
        True for the rows that are caught.
    meaning
        What is wrong with them, to follow "17 rows".
    """

    column: str
    name: str
    severity: Severity
    sql: str
    meaning: str


def rules_of(layout: Layout, readable: Collection[str], *, duplicates: bool) -> tuple[Rule, ...]:
    """Return the rules of a table that hold on any day.

    Parameters
    ----------
    layout
        The table.
    readable
        The tables that its ids can be looked up in.
    duplicates
        Its key occurs more than once; only then are rows numbered and compared.
    """
    rules = [rule for column in layout.columns for rule in _column_rules(column)]
    rules += _reference_rules(layout, readable)
    key = layout.column(layout.table.key or "")
    if duplicates and key is not None:
        caught = f"_row IN (SELECT _row FROM {duplicates_of(layout.table.name)})"
        rules.append(Rule(key.name, "duplicate_key", "reject", caught, "repeat a key; the first row of each stays"))
    if layout.column("opened_on") and layout.column("closed_on"):
        caught = "coalesce(closed_on < opened_on, false)"
        rules.append(Rule("closed_on", "closed_before_opened", "reject", caught, "are closed before they are opened"))
    return tuple(rules)


def duplicates_of(table: str) -> str:
    """Return the name of the table of row numbers that repeat a key."""
    return f"duplicates.{quoted(table)}"


def day_rules(layout: Layout, as_of: date) -> tuple[Rule, ...]:
    """Return the rules that hold on a day: what happened cannot have happened after it."""
    return tuple(
        Rule(
            c.name,
            "after_as_of",
            "warn",
            f"coalesce({c.sql} > DATE {literal(as_of.isoformat())}, false)",
            f"are dated after {as_of.isoformat()}; they are not seen on that day",
        )
        for c in layout.columns
        if c.known.past
    )


def _column_rules(column: Read) -> Iterator[Rule]:
    known, name = column.known, column.name
    if name == "label":
        yield Rule(
            name,
            "bad_label",
            "reject",
            f"coalesce({column.sql} NOT IN (0, 1), true)",
            "have a label that is not 0 or 1",
        )
        return
    if column.cast.unreadable is not None:
        fate = "" if known.if_unreadable == "reject" else "; they count as not known"
        meaning = f"cannot be read as {_ARTICLE[column.kind]}{fate}"
        yield Rule(name, "unreadable", known.if_unreadable, column.unreadable, meaning)
    if known.required:
        rule, meaning = ("null_key", "have no id") if column.kind == "id" else ("missing_value", "have no value")
        unreadable = "" if column.cast.unreadable is None else f" AND NOT {column.unreadable}"
        yield Rule(name, rule, "reject", f"({column.sql} IS NULL{unreadable})", meaning)
    yield from _range_rules(column)
    if known.known:
        caught = f"coalesce({column.sql} NOT IN ({', '.join(map(literal, known.known))}), false)"
        yield Rule(
            name, f"unknown_{name}", "warn", caught, f"say neither {' nor '.join(known.known)} and mean nothing here"
        )


_ARTICLE = {"id": "an id", "number": "a number", "text": "text", "flag": "a flag", "date": "a date"}


def _range_rules(column: Read) -> Iterator[Rule]:
    low, high = column.known.low, column.known.high
    if column.kind != "number" or low is None:
        return
    if high is None:
        name, caught, meaning = f"negative_{column.name}", f"{column.sql} < {low:g}", "are negative"
    else:
        name, caught = "out_of_range", f"{column.sql} NOT BETWEEN {low:g} AND {high:g}"
        meaning = f"are not between {low:g} and {high:g}"
    yield Rule(column.name, name, column.known.outside, f"coalesce({caught}, false)", meaning)


def _reference_rules(layout: Layout, readable: Collection[str]) -> Iterator[Rule]:
    for refers in _references(layout, readable):
        name, ids = quoted(refers.column), _ids_of(refers)
        what = refers.column.removesuffix("_id")
        meaning = f"name a {what} that is not in {refers.table}"
        yield Rule(refers.column, f"unknown_{what}", refers.stranger, f"({name} IS NOT NULL AND {name} NOT IN {ids})", meaning)


def _references(layout: Layout, readable: Collection[str]) -> Iterator[Reference]:
    return (r for r in layout.table.refers if layout.column(r.column) is not None and r.table in readable)


def _ids_of(refers: Reference) -> str:
    return f"(SELECT {quoted(refers.column)} FROM {quoted(refers.table)})"


def clean_sql(layout: Layout, rules: Collection[Rule], readable: Collection[str]) -> str:
    """Return the SELECT of a table's clean view: every column of ours, without the rows that a rule sets aside."""
    strangers = [r for r in _references(layout, readable) if r.stranger == "reject"]
    names = {r.column for r in strangers}
    kept = [f"NOT {r.sql}" for r in rules if r.severity == "reject" and not (r.name.startswith("unknown_") and r.column in names)]
    # IN becomes a semi-join, which is cheap and passes rows on in their order; a negated NOT IN would not.
    kept += [f"{quoted(r.column)} IN {_ids_of(r)}" for r in strangers]
    where = f" WHERE {' AND '.join(kept)}" if kept else ""
    return f"SELECT {', '.join(c.sql for c in layout.columns)} FROM typed.{quoted(layout.table.name)}{where}"
