"""What rows carry to the kernels, and which kernel adds what where: the aggregates of a plan, taken family by family.

A family is all aggregates of one function over one column and window that differ only in the category they are about,
such as the amounts spent per spending category. One loop over the rows serves them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlglot import exp

from nextoffer.features import mcc
from nextoffer.features.arrays import Formulas, Value, Values
from nextoffer.features.kernels import NOT_KNOWN, ages, highest, lowest, tally, total
from nextoffer.features.near import NearSalaryDay
from nextoffer.features.plan import Plan
from nextoffer.features.rows import SOURCES, always_one, of_salary_day
from nextoffer.features.spec import Aggregate, Function, Key, Source
from nextoffer.features.trees import Tree, column, number

_EXTREMES = {"min": lowest, "max": highest}
_START: Mapping[Function, float] = {"sum": 0.0, "min": np.inf, "max": -np.inf}
_EVER = np.iinfo(np.int64).max
_AGE = "age"
_FLAGS = frozenset({"is_spent", *of_salary_day()})
_REALS = frozenset({"money"})

BATCH = 16_384
"""Rows added up at a time: what of them and of their customers' aggregates fits the processor's cache."""


@dataclass(frozen=True)
class Family:
    """Aggregates over one kind of rows that one loop serves.

    Attributes
    ----------
    function, column
        As of each `Aggregate`.
    by
        What tells the aggregates apart: a category column, ``age`` (windows of days) or nothing.
    slots
        int, by code of `by`: the aggregate's place among those of the rows, or one past the last for none.
    days
        Only rows of that many days, where windows are not what tells the aggregates apart.
    carry
        Pairs of slots, a window's and the next wider one's, which contains it.
    constant
        The column is 1 in every row.
    """

    function: Function
    column: str
    by: str | None
    slots: npt.NDArray[np.int64]
    days: int | None = None
    carry: tuple[tuple[int, int], ...] = ()
    constant: bool = False


class Carried:
    """One kind of rows as the kernels take them: what the query selects, and the families it feeds."""

    def __init__(self, plan: Plan, source: Source, near: NearSalaryDay | None = None) -> None:
        self.source, self.near = source, near
        self.scope = replace(plan.scope(source), placed=True)
        self.aggregates = plan.aggregates[source]
        self.codes = {by: _codes(by, self.aggregates) for by in sorted(_category_columns(self.aggregates))}
        self.limits = np.array(sorted({a.days for a in self.aggregates if a.days is not None}), dtype=np.int32)
        self.families = tuple(self._families(always_one(self.scope)))
        self.values = {_value_name(f): f for f in self.families if not f.constant}
        rows = SOURCES[source](self.scope)
        self.told = rows.args["from_"].this if isinstance(rows.args["from_"].this, exp.Subquery) else rows.subquery("r")
        made = {item.alias_or_name: item.unalias() for item in rows.selects}
        trees = [
            made[f.column] if self.told is rows.args["from_"].this else column(f.column) for f in self.values.values()
        ]
        self.formulas = Formulas(exp.select(*trees).from_("told"))
        self.needed = {c.name for tree in trees for c in tree.find_all(exp.Column)}
        self.remembered = self.needed & set(near.told) if near is not None else set()

    def query(self) -> exp.Select:
        """``place`` and every column that a family needs, in the narrowest type that holds it exactly."""
        wanted = {"place": _cast(column("place"), "int")}
        if len(self.limits) or self.remembered:
            wanted["days_ago"] = _cast(column("days_ago"), "int")
        wanted |= {_code_name(by): _code(by, codes) for by, codes in self.codes.items()}
        wanted |= {name: _carried(name) for name in sorted(self.needed - self.remembered)}
        return exp.select(*(value.as_(name) for name, value in wanted.items())).from_(self.told)

    def empty(self, n: int) -> npt.NDArray[np.float64]:
        """One column per aggregate before any row, and one for what nobody asks about: float64 (aggregates + 1, ≥ n).

        A column has an odd number of cache lines, else all aggregates of a customer compete for the same few.
        """
        out = np.zeros((len(self.aggregates) + 1, (n // 8 | 1) * 8 + 16))
        for column_of, a in zip(out, self.aggregates, strict=False):
            if a.function != "sum":
                column_of.fill(_START[a.function])
        return out

    def add(self, rows: pa.RecordBatch, out: npt.NDArray[np.float64], salary_codes: npt.NDArray[np.int32]) -> None:
        """Add a batch of rows to `out`; `salary_codes` are those of the customers, by place, if they are remembered."""
        columns = {name: rows.column(i).to_numpy() for i, name in enumerate(rows.schema.names)}
        for first in range(0, len(rows), BATCH):
            part = {name: values[first : first + BATCH] for name, values in columns.items()}
            if self.near is not None and self.remembered:
                part |= self.near.of_rows(part["days_ago"], salary_codes.take(part["place"]))
            self._add(part, out)

    def finish(self, out: npt.NDArray[np.float64]) -> None:
        """Add to each window what the windows in it hold."""
        for family in self.families:
            for inner, outer in family.carry:
                out[outer] += out[inner]

    def _add(self, columns: dict[str, npt.NDArray[Any]], out: npt.NDArray[np.float64]) -> None:
        place = columns["place"].view(np.uint32)
        days = columns.get("days_ago", columns["place"])
        codes: dict[str | None, npt.NDArray[np.uint16]] = {by: columns[_code_name(by)] for by in self.codes}
        codes[None] = _NO_CODES[: len(place)]
        if len(self.limits):
            codes[_AGE] = np.empty(len(place), dtype=np.uint16)
            ages(days, self.limits, codes[_AGE])
        frame: dict[str, Value] = {n: Values(v.view(np.bool_) if n in _FLAGS else v) for n, v in columns.items()}
        values = dict(zip(self.values, self.formulas.values(frame), strict=True))
        width, flat = out.shape[1], out.reshape(-1)
        for f in self.families:
            value = _ONES[: len(place)] if f.constant else _plain(values[_value_name(f)], f)
            start = f.slots.astype(np.uint64) * np.uint64(width)
            if f.days is not None:
                value = np.where(days <= f.days, value, _nothing(f, value))
            if f.function != "sum":
                _EXTREMES[f.function](place, value, codes[f.by], start, flat)
                continue
            if f.by is None:
                total(place, value, out[f.slots[0]])
            else:
                tally(place, value, codes[f.by], start, flat)

    def _families(self, ones: frozenset[str]) -> Iterator[Family]:
        sums = [a for a in self.aggregates if a.function == "sum"]
        windowed = {a.column for a in sums if a.where is None and a.days is not None}
        for name in sorted(windowed):
            yield self._windows(name, constant=name in ones)
        found: dict[tuple[Function, str, int | None, str | None], dict[Key | None, int]] = {}
        for slot, a in enumerate(self.aggregates):
            if a.function == "sum" and a.where is None and a.column in windowed:
                continue
            by, key = a.where or (None, None)
            found.setdefault((a.function, a.column, a.days, by), {})[key] = slot
        for (function, name, days, by), slots in found.items():
            constant = function == "sum" and name in ones
            yield Family(function, name, by, self._slots(by, slots), days=days, constant=constant)

    def _windows(self, name: str, *, constant: bool) -> Family:
        """All sums of a column over windows: each row is added to the narrowest that has it, and carried on at last."""
        slots = {
            a.days: i for i, a in enumerate(self.aggregates) if (a.function, a.column, a.where) == ("sum", name, None)
        }
        wider = sorted(slots, key=lambda days: _EVER if days is None else days)
        limits = [*self.limits.tolist(), _EVER]
        narrowest = [
            next((slots[w] for w in wider if w is None or w >= limit), len(self.aggregates)) for limit in limits
        ]
        carry = tuple((slots[a], slots[b]) for a, b in pairwise(wider))
        return Family("sum", name, _AGE, np.array(narrowest), carry=carry, constant=constant)

    def _slots(self, by: str | None, slots: Mapping[Key | None, int]) -> npt.NDArray[np.int64]:
        if by is None:
            return np.array([slots[None]])
        codes = self.codes[by]
        out = np.full(max(codes.values()) + 1, len(self.aggregates))
        for key, slot in slots.items():
            out[codes[key]] = slot
        return out


def _nothing(family: Family, like: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What changes no aggregate of the family."""
    whole = 0 if family.function == "sum" else NOT_KNOWN
    return np.array(np.nan if whole and like.dtype.kind == "f" else whole, dtype=like.dtype)


_ONES = np.ones(BATCH, dtype=np.uint8)
_NO_CODES = np.zeros(BATCH, dtype=np.uint16)


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


def _carried(name: str) -> Tree:
    """A column in the narrowest type; a whole number stands for days that are not known."""
    if name in _REALS:
        return column(name)
    if name.endswith("_ago"):
        return _cast(exp.func("COALESCE", column(name), number(NOT_KNOWN)), "int")
    return _cast(column(name), "utinyint")


def _plain(value: Any, family: Family) -> npt.NDArray[Any]:
    """The values as the family's kernel takes them, without nulls."""
    data: npt.NDArray[Any] = value.data
    if family.function != "sum" and data.dtype == np.uint8:
        data = data.astype(np.int32)
    if family.function == "sum" and data.dtype == np.int32:
        data = np.where(data == NOT_KNOWN, 0.0, data)
    return data if value.known is None else np.where(value.known, data, _nothing(family, data))


def _value_name(family: Family) -> str:
    return family.column if family.function == "sum" else f"{family.column} or null"


def _code_name(by: str) -> str:
    return f"{by} code"


def _cast(value: Tree, kind: str) -> Tree:
    return exp.cast(value, kind, dialect="duckdb")
