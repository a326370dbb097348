"""The groups of customers that fairness is measured for: read from the bank beside the decisions, and never by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.errors import BankError, did_you_mean
from nextoffer.evaluate.outcome import NOBODY, Group
from nextoffer.tables.bank import Bank
from nextoffer.tables.sql import quoted

AGE_BANDS = (25.0, 35.0, 45.0, 55.0, 65.0)
"""Where the bands of a column named ``age`` begin; the first is of those below."""
MOST_GROUPS = 50
FEW_NUMBERS = 12
"""Numbers of a column up to which each is a group of its own; beyond, its fifths are."""
_HOMES = ("customers", "risk")


@dataclass(frozen=True)
class Column:
    """A column whose groups are told apart.

    Attributes
    ----------
    table, name
        Where it is.
    values
        The values that are groups, as texts; empty where `edges` are.
    edges
        Where bands of a number begin, but the first.
    """

    table: str
    name: str
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """What the column is called."""
        return self.name if self.table == "customers" else f"{self.table}.{self.name}"

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups; the last is of those whose value is null."""
        return (*(bands(self.edges) if self.edges else self.values), NOBODY)

    def of(self, values: pa.Array) -> Group:
        """Return the group of each customer."""
        if self.edges:
            numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
            places = np.searchsorted(self.edges, numbers, side="right")
            places = np.where(np.isnan(numbers), len(self.groups) - 1, places)
        else:
            told = pa.array([text_of(value) for value in values.to_pylist()], pa.string())
            found = pc.index_in(told, value_set=pa.array(self.values, pa.string()))
            places = found.fill_null(len(self.values)).to_numpy(zero_copy_only=False)
        return Group(np.asarray(places, dtype=np.intp), self.groups)


def bands(edges: Sequence[float]) -> list[str]:
    """Return the names of bands.

    >>> bands([25, 35])
    ['below 25', '25 to below 35', '35 and above']
    """
    middle = [f"{low:g} to below {high:g}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:g}", *middle, f"{edges[-1]:g} and above"]


def text_of(value: object) -> str | None:
    """Return a value as the name of its group."""
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def columns_of(bank: Bank, asked: Sequence[str] = ()) -> tuple[Column, ...]:
    """Return the columns to tell customers apart by: those asked for, or all sensitive ones.

    Raises
    ------
    BankError
        A column is not there, is no text, flag or number, or has too many values; or the bank has no sensitive one.
    """
    there = {
        (name if table == "customers" else f"{table}.{name}"): (table, name, kind)
        for table in _HOMES
        if bank.has(table)
        for name, kind in bank.columns(table).items()
        if kind in ("text", "flag", "number")
    }
    chosen = list(dict.fromkeys(asked)) or [
        label for label, (table, name, _) in there.items() if bank.config.is_sensitive(table, name)
    ]
    if not chosen:
        raise BankError(
            'the bank has no sensitive columns: name them in bank.toml (sensitive = ["gender"]), or ask for one (--by)'
        )
    problems = [
        f"no groups by '{label}'{did_you_mean(label, there)}; there are {', '.join(there)}"
        for label in chosen
        if label not in there
    ]
    if problems:
        raise BankError(problems)
    return tuple(_column(bank, *there[label]) for label in chosen)


def _column(bank: Bank, table: str, name: str, kind: str) -> Column:
    most = FEW_NUMBERS if kind == "number" else MOST_GROUPS
    column = quoted(name)
    if kind == "number" and name == "age":
        return Column(table, name, edges=AGE_BANDS)
    found = _asked(
        bank, f"SELECT DISTINCT {column} AS value FROM {table} WHERE {column} IS NOT NULL ORDER BY 1 LIMIT {most + 1}"
    )
    values = [each for each in map(text_of, found) if each is not None]
    if len(values) <= most:
        return Column(table, name, tuple(dict.fromkeys(values)))
    if kind != "number":
        raise BankError(f"'{name}' has more than {MOST_GROUPS} different values: too many groups to compare")
    fifths = ", ".join(f"quantile_cont({column}, {share}) AS q{i}" for i, share in enumerate((0.2, 0.4, 0.6, 0.8)))
    batch = next(bank.query(f"SELECT {fifths} FROM {table}"))
    edges = [float(batch.column(i)[0].as_py()) for i in range(4)]
    return Column(table, name, edges=tuple(dict.fromkeys(edges)))


def _asked(bank: Bank, query: str) -> list[object]:
    return [value for batch in bank.query(query) for value in batch.column(0).to_pylist()]


def groups_of(bank: Bank, columns: Sequence[Column], customers: pa.Array) -> dict[str, Group]:
    """Return which group each of these customers is in, by column."""
    asked = {"asked": pa.table({"customer_id": customers})}
    found: dict[str, Group] = {}
    for table in dict.fromkeys(column.table for column in columns):
        mine = [column for column in columns if column.table == table]
        names = ", ".join(f"t.{quoted(column.name)} AS c{i}" for i, column in enumerate(mine))
        joined = f"{table} t JOIN asked ON t.customer_id = asked.customer_id"
        query = f"SELECT t.customer_id AS customer_id, {names} FROM {joined}"
        data = pa.Table.from_batches(list(bank.query(query, relations=asked)))
        at = pc.index_in(customers, value_set=data.column("customer_id").combine_chunks())
        for i, column in enumerate(mine):
            found[column.label] = column.of(data.column(f"c{i}").combine_chunks().take(at))
    return {column.label: found[column.label] for column in columns}
