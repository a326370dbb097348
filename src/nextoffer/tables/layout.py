"""Matches what a source holds against the contract: which of its columns is which of ours, and how each is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import duckdb

from nextoffer.errors import did_you_mean
from nextoffer.tables.cast import Cast, Family, Wish, cast, family, own_kind
from nextoffer.tables.config import BankConfig
from nextoffer.tables.contract import HOME_OF_ID, TABLES, Column, Kind, Table
from nextoffer.tables.problem import Problem, fatal
from nextoffer.tables.source import Source
from nextoffer.tables.sql import quoted


@dataclass(frozen=True)
class Stored:
    """A column as it is stored: its name there, its DuckDB type as written, and the type's family."""

    name: str
    type: str
    family: Family


@dataclass(frozen=True)
class Described:
    """A source whose columns have been told apart; none of its rows has been read.

    Attributes
    ----------
    table, source
        What it is and where it lies.
    columns
        Our name → the stored column, in stored order; excluded columns are gone.
    excluded
        Our names of the columns that are not to be read.
    """

    table: Table
    source: Source
    columns: Mapping[str, Stored]
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Read:
    """One column of ours and how it is read."""

    name: str
    stored: Stored
    kind: Kind
    cast: Cast
    known: Column = field(repr=False)

    @property
    def sql(self) -> str:
        """Its quoted name."""
        return quoted(self.name)

    @property
    def raw(self) -> str:
        """The quoted name of the stored value in the table's ``typed`` view."""
        return quoted(f"raw {self.name}")

    @property
    def unreadable(self) -> str:
        """The quoted name, in that view, of the flag that the stored value cannot be read."""
        return quoted(f"unreadable {self.name}")


@dataclass(frozen=True)
class Layout:
    """A table that can be read: its columns in contract order, further ones after them."""

    table: Table
    source: Source
    columns: tuple[Read, ...]

    def column(self, name: str) -> Read | None:
        """Return the column called `name`, or None."""
        return next((c for c in self.columns if c.name == name), None)

    def typed_sql(self, *, with_row: bool = False) -> str:
        """Return the SELECT of every value, its stored form and whether it is unreadable; `with_row` numbers the rows as stored."""
        items = [item for c in self.columns for item in _items(c)]
        rows = f"(SELECT *, row_number() OVER () AS _row FROM {self.source.sql})" if with_row else self.source.sql
        return f"SELECT {', '.join(items)}{', _row' if with_row else ''} FROM {rows}"


def _items(column: Read) -> Iterator[str]:
    yield f"{column.cast.value} AS {column.sql}"
    yield f"{quoted(column.stored.name)} AS {column.raw}"
    if column.cast.unreadable is not None:
        yield f"coalesce({column.cast.unreadable}, false) AS {column.unreadable}"


def describe(
    con: duckdb.DuckDBPyConnection, source: Source, config: BankConfig
) -> tuple[Described | None, list[Problem]]:
    """Return which stored column is which of ours, and every required one that is not there."""
    table = TABLES[source.table]
    try:
        relation = con.sql(f"FROM {source.sql}")
    except duckdb.Error as error:
        message = f"{source.origin} cannot be read: {str(error).splitlines()[0]}"
        return None, [fatal(table.name, None, "unreadable_file", message)]
    stored = [Stored(n, str(t), family(t.id)) for n, t in zip(relation.columns, relation.types, strict=True)]
    renames = config.of(table.name).columns
    named, problems = _rename(table, stored, renames)
    for column in table.columns:
        if column.required and column.name not in named and column.name not in renames:
            problems.append(fatal(table.name, column.name, "missing_column", _missing(column.name, stored)))
    excluded = tuple(name for name in named if config.excludes(table.name, name))
    kept = {name: column for name, column in named.items() if name not in excluded}
    return Described(table, source, kept, excluded), problems


def _rename(table: Table, stored: list[Stored], renames: Mapping[str, str]) -> tuple[dict[str, Stored], list[Problem]]:
    """Our name → stored column: bank.toml first, then equal spelling whatever the case."""
    by_spelling = {_spelling(c.name): c for c in reversed(stored)}
    named: dict[str, Stored] = {}
    problems: list[Problem] = []
    for ours, theirs in renames.items():
        if _spelling(theirs) in by_spelling:
            named[_spelling(ours)] = by_spelling[_spelling(theirs)]
        else:
            problems.append(
                fatal(
                    table.name,
                    ours,
                    "missing_column",
                    f"bank.toml calls it '{theirs}', which {_missing(theirs, stored)}",
                )
            )
    taken = {id(c) for c in named.values()}
    for spelling, column in by_spelling.items():
        if id(column) not in taken:
            named.setdefault(spelling, column)
    order = {id(c): i for i, c in enumerate(stored)}
    return dict(sorted(named.items(), key=lambda item: order[id(item[1])])), problems


def _spelling(name: str) -> str:
    return name.strip().lower()


def _missing(name: str, stored: list[Stored]) -> str:
    names = [c.name for c in stored]
    return f"is required, but there is no such column{did_you_mean(name, names)}; there are {', '.join(names)}"


def lay_out(
    described: Described, config: BankConfig, kinds: Mapping[str, Kind], id_types: Mapping[str, str]
) -> tuple[Layout, list[Problem], list[str]]:
    """Return how every column is read, with the types that make no sense and notes on what is left aside.

    Parameters
    ----------
    described
        The table.
    config
        For units and date formats.
    kinds
        Kinds that had to be found out from the values (CSV); others follow from the stored type.
    id_types
        Id column → ``BIGINT`` or ``VARCHAR``.
    """
    table, said = described.table, config.of(described.table.name)
    columns: list[Read] = []
    problems: list[Problem] = []
    notes: list[str] = []
    for name, stored in _in_contract_order(described):
        known = table.column(name)
        if known is None and not table.open:
            notes.append(f"{table.name}.{name} is not in the contract and is ignored{_nearest(name, described)}")
            continue
        kind = (known and known.kind) or kinds.get(name) or own_kind(stored.family)
        if kind is None:
            notes.append(f"{table.name}.{name} is of type {stored.type}, which has no use here, and is ignored")
            continue
        wish = Wish(
            kind,
            id_types.get(name, "VARCHAR"),
            said.units.get(name, 1.0),
            said.date_format,
            known.digits if known else 0,
        )
        how = cast(quoted(stored.name), stored.family, wish)
        if how is None:
            problems.append(
                fatal(table.name, name, "wrong_type", f"holds {stored.type}, but {_WANTED[kind]} is needed")
            )
            continue
        columns.append(Read(name, stored, kind, how, known or Column(name, None)))
    problems += _misplaced_units(table, said.units, columns)
    return Layout(table, described.source, tuple(columns)), problems, notes


_WANTED: dict[Kind, str] = {
    "id": "an id (whole number or text)",
    "number": "a number",
    "text": "text",
    "flag": "a flag (true/false or 0/1)",
    "date": "a date",
}


def _in_contract_order(described: Described) -> list[tuple[str, Stored]]:
    known = [c.name for c in described.table.columns if c.name in described.columns]
    further = [name for name in described.columns if name not in known]
    return [(name, described.columns[name]) for name in known + further]


def _nearest(name: str, described: Described) -> str:
    absent = [
        c.name for c in described.table.columns if c.name not in described.columns and c.name not in described.excluded
    ]
    return did_you_mean(name, absent)


def _misplaced_units(table: Table, units: Mapping[str, float], columns: list[Read]) -> list[Problem]:
    numbers = [c.name for c in columns if c.kind == "number"]
    return [
        fatal(
            table.name,
            name,
            "unit",
            f"bank.toml gives it a unit, but it is no number here{did_you_mean(name, numbers)}",
        )
        for name in units
        if name not in numbers
    ]


def unknown_names(config: BankConfig, tables: list[Described]) -> list[Problem]:
    """Return a problem for each name in ``exclude`` and ``sensitive`` that no table has: a slip there must not let a column through."""
    there = {name for d in tables for name in (*d.columns, *d.excluded)}
    there |= {f"{d.table.name}.{name}" for d in tables for name in (*d.columns, *d.excluded)}
    return [
        fatal(
            "bank.toml",
            key,
            "unknown_name",
            f"names '{entry}', a column that no table has{did_you_mean(entry, sorted(there))}",
        )
        for key, entries in (("exclude", config.exclude), ("sensitive", config.sensitive))
        for entry in entries
        if entry not in there
    ]


def home_types(tables: list[Described], found: Mapping[str, str]) -> dict[str, str]:
    """Return id column → ``BIGINT`` or ``VARCHAR``: its home table decides; `found` holds what CSV values told."""
    types: dict[str, str] = {}
    by_name = {d.table.name: d for d in tables}
    for name, home in HOME_OF_ID.items():
        holders = [by_name[home]] if home in by_name else list(by_name.values())
        stored = next((d.columns[name] for d in holders if name in d.columns), None)
        if stored is None:
            continue
        if stored.family == "text":
            types[name] = found.get(name, "VARCHAR")
        else:
            types[name] = "BIGINT" if stored.family in ("integer", "real") else "VARCHAR"
    return types
