"""Matches what a source holds against the contract: which of its columns is which of ours, and how each is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import duckdb

from nextoffer.errors import did_you_mean
from nextoffer.tables.cast import WIDER_THAN_BIGINT, Cast, Family, Wish, cast, family, own_kind, sql_type
from nextoffer.tables.config import BankConfig, TableConfig
from nextoffer.tables.contract import HOME_OF_ID, TABLES, Column, Kind, Table
from nextoffer.tables.problem import Problem, fatal, warning
from nextoffer.tables.source import Source
from nextoffer.tables.sql import complaint, quoted


@dataclass(frozen=True)
class Stored:
    """A column as it is stored: its name there, its DuckDB type as written, and the type's id."""

    name: str
    type: str
    type_id: str

    @property
    def family(self) -> Family:
        """What its type is to us."""
        return family(self.type_id)


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
    """One column of ours and how it is read; `type` is what it has in SQL."""

    name: str
    stored: Stored
    kind: Kind
    type: str
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

    def typed_sql(self, source: str, *, with_row: bool = False) -> str:
        """Return the SELECT of every value, its stored form and whether it is unreadable.

        Parameters
        ----------
        source
            What stands behind FROM.
        with_row
            Add ``_row``, the place of each row as stored.
        """
        items = [item for c in self.columns for item in _items(c)]
        rows = f"(SELECT *, row_number() OVER () AS _row FROM {source})" if with_row else source
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
        message = f"{source.origin} cannot be read: {complaint(error)}"
        return None, [fatal(table.name, None, "unreadable_file", message)]
    stored = [Stored(n, str(t), t.id) for n, t in zip(relation.columns, relation.types, strict=True)]
    return told_apart(source, stored, config)


def told_apart(source: Source, stored: list[Stored], config: BankConfig) -> tuple[Described, list[Problem]]:
    """Return which of a source's columns is which of ours, and every required one that is not there."""
    table = TABLES[source.table]
    renames = {_spelling(ours): theirs for ours, theirs in config.of(table.name).columns.items()}
    named = _rename(stored, renames)
    problems = _not_found(table, stored, renames, named)
    excluded = tuple(name for name in named if config.excludes(table.name, name))
    kept = {name: column for name, column in named.items() if name not in excluded}
    return Described(table, source, kept, excluded), problems


def _rename(stored: list[Stored], renames: Mapping[str, str]) -> dict[str, Stored]:
    """Our name → stored column, in stored order: bank.toml first, then equal spelling whatever the case."""
    ours_of = {_spelling(theirs): ours for ours, theirs in renames.items()}
    named: dict[str, Stored] = {}
    for column in stored:
        spelling = _spelling(column.name)
        if spelling in ours_of or spelling not in renames:
            named.setdefault(ours_of.get(spelling, spelling), column)
    return named


def _spelling(name: str) -> str:
    return name.strip().lower()


def _not_found(
    table: Table, stored: list[Stored], renames: Mapping[str, str], named: Mapping[str, Stored]
) -> list[Problem]:
    """A problem for each column that bank.toml names or the contract requires, and that is not there."""
    wanted = {c.name: f"is required, but there is none{_there(c.name, stored)}" for c in table.columns if c.required}
    for ours, theirs in renames.items():
        wanted[ours] = f"bank.toml calls it '{theirs}', but there is no such column{_there(theirs, stored)}"
    return [fatal(table.name, n, "missing_column", message) for n, message in wanted.items() if n not in named]


def _there(name: str, stored: list[Stored]) -> str:
    names = [c.name for c in stored]
    return f"{did_you_mean(name, names)}; there are {', '.join(names)}"


def lay_out(
    described: Described, config: BankConfig, kinds: Mapping[str, Kind], id_types: Mapping[str, str]
) -> tuple[Layout, list[Problem]]:
    """Return how every column is read, with the types that make no sense and what is left aside.

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
    found: list[Read | Problem] = []
    for name, stored in _in_contract_order(described):
        column = table.column(name)
        if column is None:
            found += _remark(name, described)
        if column is not None or table.open:
            known = column or Column(name, None)
            found.append(_read(table, known, stored, said, kind=kinds.get(name), id_type=id_types.get(name)))
    columns = tuple(f for f in found if isinstance(f, Read))
    problems = [f for f in found if isinstance(f, Problem)]
    return Layout(table, described.source, columns), problems + _misplaced_units(table, said.units, columns)


def _read(
    table: Table, known: Column, stored: Stored, said: TableConfig, *, kind: Kind | None, id_type: str | None
) -> Read | Problem:
    """How one column is read, or why it is not; `kind` and `id_type` are what its values told."""
    name, id_type = known.name, id_type or "VARCHAR"
    kind = known.kind or kind or own_kind(stored.family)
    if kind is None:
        return warning(table.name, name, "useless_type", f"is {stored.type}, of no use here; ignored")
    unit, overflow = said.units.get(name, 1.0), stored.type_id in WIDER_THAN_BIGINT
    wish = Wish(kind, id_type, unit, said.date_format, digits=known.digits, may_overflow=overflow)
    how = cast(quoted(stored.name), stored.family, wish)
    if how is None:
        return fatal(table.name, name, "wrong_type", f"is {stored.type}, but {_WANTED[kind]} is needed")
    return Read(name, stored, kind, sql_type(kind, id_type), how, known)


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


def _remark(name: str, described: Described) -> list[Problem]:
    """What is to be said of a column that the contract does not know."""
    table = described.table
    taken = (*described.columns, *described.excluded)
    absent = [c.name for c in table.columns if c.name not in taken and not c.required]
    if not table.open:
        message = f"not in the contract, ignored{did_you_mean(name, absent)}"
        return [warning(table.name, name, "unknown_column", message)]
    near = get_close_matches(name, absent, n=1, cutoff=0.85)
    message = f"kept as a further column{did_you_mean(name, near)}"
    return [warning(table.name, name, "unknown_column", message)] if near else []


def _misplaced_units(table: Table, units: Mapping[str, float], columns: Sequence[Read]) -> list[Problem]:
    numbers = [c.name for c in columns if c.kind == "number"]
    message = "bank.toml gives it a unit, but it is no number here"
    return [
        fatal(table.name, name, "unit", message + did_you_mean(name, numbers)) for name in units if name not in numbers
    ]


def unknown_names(config: BankConfig, tables: list[Described]) -> list[Problem]:
    """Return a problem for each name in ``exclude`` and ``sensitive`` that no table has.

    A slip of the pen there must not let a column through.
    """
    there = {name for d in tables for name in (*d.columns, *d.excluded)}
    there |= {f"{d.table.name}.{name}" for d in tables for name in (*d.columns, *d.excluded)}
    return [
        fatal("bank.toml", key, "unknown_name", f"no table has '{entry}'{did_you_mean(entry, sorted(there))}")
        for key, entries in (("exclude", config.exclude), ("sensitive", config.sensitive))
        for entry in entries
        if entry not in there
    ]


def home_types(tables: list[Described], found: Mapping[str, str]) -> dict[str, str]:
    """Return id column → ``BIGINT`` or ``VARCHAR``.

    The id's home table decides for all; where that is absent, the first that has it. `found` is what CSV values told.
    """
    types: dict[str, str] = {}
    by_name = {d.table.name: d for d in tables}
    for name, home in HOME_OF_ID.items():
        holders = [by_name[home]] if home in by_name else tables
        stored = next((d.columns[name] for d in holders if name in d.columns), None)
        if stored is not None:
            whole = stored.family in ("integer", "real")
            types[name] = "BIGINT" if whole else found.get(name, "VARCHAR")
    return types
