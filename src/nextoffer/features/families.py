"""What rows carry to the kernels, and which kernel adds what where: the aggregates of a plan, taken family by family.

A family is all aggregates of one function over one column and window that differ only in the category they are about,
such as the amounts spent per spending category. One loop over the rows serves them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlglot import exp

from nextoffer.features import mcc
from nextoffer.features.kernels import NOT_KNOWN, add, highest, lowest
from nextoffer.features.plan import Plan
from nextoffer.features.rows import MONEY, SOURCES, always_one
from nextoffer.features.spec import Aggregate, Function, Key, Source
from nextoffer.features.trees import Tree, column, number

_KERNELS = {"sum": add, "min": lowest, "max": highest}
_START: Mapping[Function, float] = {"sum": 0.0, "min": np.inf, "max": -np.inf}
_EVER = np.iinfo(np.int64).max

MAX_CATEGORIES = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Family:
    """Aggregates over one kind of rows that one loop adds up.

    Attributes
    ----------
    function, column, days
        As of each `Aggregate`.
    by
        The category column; None where all rows count.
    slots
        int32, by category code: the aggregate's place among those of the rows, or one past the last for no aggregate.
    constant
        The column is 1 in every row.
    """

    function: Function
    column: str
    days: int | None
    by: str | None
    slots: npt.NDArray[np.int32]
    constant: bool


class Carried:
    """One kind of rows as the kernels take them: what the query selects, and the families it feeds."""

    def __init__(self, plan: Plan, source: Source) -> None:
        self.source = source
        self.scope = plan.scope(source, placed=True)
        self.aggregates = plan.aggregates[source]
        self.codes = {by: _codes(by, self.aggregates) for by in sorted(_category_columns(self.aggregates))}
        self.families = self._families(always_one(self.scope))
        self.starts = np.array([_START[a.function] for a in self.aggregates])
        self.timed = any(f.days is not None for f in self.families)

    def query(self) -> exp.Select:
        """``place`` and every column that a family needs, in the narrowest type that holds it exactly."""
        wanted = {"place": _cast(column("place"), "int")}
        if self.timed:
            wanted["days_ago"] = _cast(column("days_ago"), "int")
        wanted |= {_code_name(by): _code(by, codes) for by, codes in self.codes.items()}
        wanted |= {_value_name(f): _value(f) for f in self.families if not f.constant}
        rows = SOURCES[self.source](self.scope).subquery("r")
        return exp.select(*(value.as_(name) for name, value in wanted.items())).from_(rows)

    def add(self, rows: pa.RecordBatch, out: npt.NDArray[np.float64]) -> None:
        """Add a batch of rows to `out`: float64 (aggregates + 1, customers)."""
        n = len(rows)
        columns = {name: rows.column(name).to_numpy() for name in rows.schema.names}
        place, ones = columns["place"], np.ones(n, dtype=np.uint8)
        days = columns.get("days_ago", place)
        all_rows = np.zeros(n, dtype=np.uint16)
        for f in self.families:
            value = ones if f.constant else columns[_value_name(f)]
            code = all_rows if f.by is None else columns[_code_name(f.by)]
            _KERNELS[f.function](place, value, days, _EVER if f.days is None else f.days, code, f.slots, out)

    def _families(self, ones: frozenset[str]) -> tuple[Family, ...]:
        found: dict[tuple[Function, str, int | None, str | None], dict[Key | None, int]] = {}
        for slot, a in enumerate(self.aggregates):
            by, key = a.where or (None, None)
            found.setdefault((a.function, a.column, a.days, by), {})[key] = slot
        return tuple(
            Family(function, name, days, by, self._slots(by, slots), constant=function == "sum" and name in ones)
            for (function, name, days, by), slots in found.items()
        )

    def _slots(self, by: str | None, slots: Mapping[Key | None, int]) -> npt.NDArray[np.int32]:
        if by is None:
            return np.array([slots[None]], dtype=np.int32)
        codes = self.codes[by]
        out = np.full(max(codes.values()) + 1, len(self.aggregates), dtype=np.int32)
        for key, slot in slots.items():
            out[codes[key]] = slot
        return out


def _category_columns(aggregates: Iterable[Aggregate]) -> set[str]:
    return {a.where[0] for a in aggregates if a.where is not None}


def _codes(by: str, aggregates: Iterable[Aggregate]) -> dict[Key | None, int]:
    """A number per category; None stands for all that nobody asks about."""
    if by == "mcc":
        return {None: len(mcc.labels()), **{c: mcc.number(c) for c in mcc.labels()}}
    keys = dict.fromkeys(a.where[1] for a in aggregates if a.where is not None and a.where[0] == by)
    return {None: 0, **{key: code for code, key in enumerate(keys, start=1)}}


def _code(by: str, codes: Mapping[Key | None, int]) -> Tree:
    if by == "mcc":
        return _cast(column(by), "usmallint")
    case = exp.case(column(by))
    for key, code in codes.items():
        case = case if key is None else case.when(exp.convert(key), number(code))
    return _cast(case.else_(number(0)), "usmallint")


def _value(family: Family) -> Tree:
    """Sums have no nulls; the least and greatest of nothing is told by a value that stands for null."""
    money = family.column in MONEY
    value: Tree = column(family.column)
    if family.function == "sum":
        return value if money else _cast(value, "utinyint")
    null = exp.cast(exp.Literal.string("NaN"), "double") if money else number(NOT_KNOWN)
    return _cast(exp.func("COALESCE", value, null), "double" if money else "int")


def _value_name(family: Family) -> str:
    return family.column if family.function == "sum" else f"{family.column} or null"


def _code_name(by: str) -> str:
    return f"{by} code"


def _cast(value: Tree, kind: str) -> Tree:
    return exp.cast(value, kind, dialect="duckdb")
