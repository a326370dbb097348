"""Checks a bank's tables against the contract, all of it at once: one aggregate query a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from nextoffer.errors import BankError
from nextoffer.tables.bank import Bank, survey
from nextoffer.tables.broken import broken_line_problems, broken_lines
from nextoffer.tables.layout import Layout
from nextoffer.tables.problem import Problem, fatal, warning
from nextoffer.tables.rules import Rule, code_rules, day_rules
from nextoffer.tables.sql import complaint, quoted

EXAMPLES = 3
"""How many rows are shown of each problem."""

_SEVERITIES = ("fatal", "reject", "warn")


@dataclass(frozen=True)
class CheckResult:
    """All that is wrong with a bank.

    Attributes
    ----------
    problems
        The worst first, then in the order of the tables.
    rows, set_aside
        Rows that each table has as stored, and how many of them a rule sets aside.
    as_of
        The day it was checked for, or None.
    bank
        The bank as far as it can be read; None where nothing could be opened.
    """

    problems: tuple[Problem, ...]
    rows: Mapping[str, int] = field(default_factory=dict)
    set_aside: Mapping[str, int] = field(default_factory=dict)
    as_of: date | None = None
    bank: Bank | None = field(default=None, repr=False, compare=False)

    @property
    def usable(self) -> bool:
        """Whether the bank can be used: nothing is fatal."""
        return all(p.severity != "fatal" for p in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole result in values that JSON has."""
        return {
            "usable": self.usable,
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "rows": dict(self.rows),
            "set_aside": dict(self.set_aside),
            "problems": [asdict(p) for p in self.problems],
        }


@dataclass(frozen=True)
class _Tally:
    """What one table's aggregate says."""

    rows: int
    set_aside: int
    problems: tuple[Problem, ...]


def check(where: Bank | str | Path, as_of: date | None = None, *, known_mcc: Collection[str] = ()) -> CheckResult:
    """Return everything that is wrong with a bank.

    Parameters
    ----------
    where
        A bank, or the folder or bank.toml where one is said to be. Problems that keep `Bank.read` from reading it are
        part of the result.
    as_of
        A day after which nothing should have happened yet; dates are not compared with any day if it is None.
    known_mcc
        The merchant categories that mean something; if none are given, only the form of codes is looked at.
    """
    try:
        bank, found = (where, list(where.remarks)) if isinstance(where, Bank) else survey(where)
    except BankError as error:
        return CheckResult(tuple(fatal("bank", None, "unreadable_bank", text) for text in error.problems), as_of=as_of)
    tallies: dict[str, _Tally] = {}
    for name, layout in bank.layouts.items():
        rules = bank.rules[name] + code_rules(layout, known_mcc) + (day_rules(layout, as_of) if as_of else ())
        tallies[name] = _tally(bank.connect().cursor(), layout, rules)
    found += [problem for tally in tallies.values() for problem in tally.problems]
    found += _nothing_left(tallies, {p.table for p in found if p.severity == "fatal"})
    worst_first = tuple(sorted(found, key=lambda p: _SEVERITIES.index(p.severity)))
    rows = {name: t.rows for name, t in tallies.items()}
    return CheckResult(worst_first, rows, {n: t.set_aside for n, t in tallies.items() if t.set_aside}, as_of, bank)


def _nothing_left(tallies: Mapping[str, _Tally], told: Collection[str]) -> list[Problem]:
    """A problem for each table whose every row is set aside, unless it has a fatal problem anyway."""
    return [
        fatal(name, None, "nothing_left", f"none of its {tally.rows:,} rows can be used")
        for name, tally in tallies.items()
        if tally.rows == tally.set_aside > 0 and name not in told
    ]


def _tally(con: duckdb.DuckDBPyConnection, layout: Layout, rules: tuple[Rule, ...]) -> _Tally:
    """Count what each rule catches in a table, with examples of what was caught."""
    name, source = layout.table.name, layout.source
    try:
        rows, aside, *counts = _count(con, layout, rules)
        broken = broken_lines(con) if source.is_text else []
        caught = [(rule, count) for rule, count in zip(rules, counts, strict=False) if count]
        problems = [_problem(con, layout, rule, count=count, rows=rows) for rule, count in caught]
    except duckdb.Error as error:
        message = f"{source.origin} cannot be read: {complaint(error)}"
        return _Tally(0, 0, (fatal(name, None, "unreadable_file", message),))
    if rows == 0 and not (layout.table.required and layout.table.key):
        problems.append(warning(name, None, "empty_table", "is empty"))
    return _Tally(rows + len(broken), aside + len(broken), (*broken_line_problems(name, broken), *problems))


def _count(con: duckdb.DuckDBPyConnection, layout: Layout, rules: tuple[Rule, ...]) -> tuple[int, ...]:
    """Rows, rows set aside, and rows caught by each rule."""
    source = layout.source.keeping_rejects or layout.source.sql
    numbered = any(rule.name == "duplicate_key" for rule in rules)
    flags = [f"{rule.sql} AS r{i}" for i, rule in enumerate(rules)]
    rejects = [f"r{i}" for i, rule in enumerate(rules) if rule.severity == "reject"]
    counts = ["count(*)", f"count_if({' OR '.join(rejects)})" if rejects else "0"]
    counts += [f"count_if(r{i})" for i in range(len(rules))]
    if layout.source.is_text:  # a line that is not in the file's encoding is found only where its columns are read
        flags += [c.raw for c in layout.columns]
        counts += [f"count({c.raw})" for c in layout.columns]
    typed = layout.typed_sql(source, with_row=numbered)
    (row,) = con.execute(f"SELECT {', '.join(counts)} FROM (SELECT {', '.join(flags)} FROM ({typed}))").fetchall()
    return tuple(int(n or 0) for n in row)  # count_if of no rows is null


def _problem(con: duckdb.DuckDBPyConnection, layout: Layout, rule: Rule, *, count: int, rows: int) -> Problem:
    fate = ", set aside" if rule.severity == "reject" else ""
    message = f"{rule.meaning} ({count:,} of {rows:,} rows{fate})"
    examples = _examples(con, layout, rule)
    return Problem(layout.table.name, rule.column, rule.name, count, examples, rule.severity, message)


def _examples(con: duckdb.DuckDBPyConnection, layout: Layout, rule: Rule) -> tuple[str, ...]:
    """The first rows that a rule catches: their ids and what is wrong, as stored."""
    shown = [c for c in layout.columns if (c.kind == "id" and c.known.required) or c.name in rule.shows]
    values = ", ".join(f"coalesce(CAST({c.raw} AS VARCHAR), 'null')" for c in shown)
    query = f"SELECT {values} FROM typed.{quoted(layout.table.name)} WHERE {rule.sql} LIMIT {EXAMPLES}"
    found = con.execute(query).fetchall()
    return tuple(", ".join(f"{c.name}={v}" for c, v in zip(shown, row, strict=True)) for row in found)
