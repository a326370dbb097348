"""The closed feature spec: everything a feature can be, as plain values.

A feature is a `FeatureColumn` (what it means) and a formula (how it comes about). Formulas are built from aggregates
(function × column × window × category) over four kinds of rows, so that one compiler covers them all and a saved spec
cannot smuggle in SQL. The columns that rows have are listed in `ROWS`; `nextoffer.features.rows` says how they come
from the bank's tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal

from pydantic import ConfigDict, Discriminator, TypeAdapter, ValidationError

from nextoffer.errors import FeatureError, did_you_mean
from nextoffer.tables.flow import FeatureColumn

Source = Literal["transactions", "holdings", "responses", "consents"]
Function = Literal["sum", "min", "max"]
Key = int | str

ROWS: Mapping[Source, frozenset[str]] = {
    "transactions": frozenset(
        [
            *("days_ago", "channel", "mcc"),
            *("spent", "spent_ago", "amount", "salary_day_known", "near_salary_day"),
            *("credit", "salary"),
        ]
    ),
    "holdings": frozenset(["product_id", "held", "opened", "opened_ago", "closed_ago", "held_now"]),
    "responses": frozenset(
        [
            *("product_id", "channel", "days_ago", "offered", "accepted", "accepted_ago"),
            *("contacted", "contacted_ago", "ignored", "rejected_ago"),
        ]
    ),
    "consents": frozenset(
        [
            *("purpose", "granted_ago", "refused_ago", "channel", "allowed_ago", "denied_ago", "standing_ago"),
            *("preferred_allowed_ago", "preferred_denied_ago"),
        ]
    ),
}
"""The columns that may be aggregated, by kind of row. Those that are summed are never null; rows are counted by summing
a column of ones and zeros."""

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class Aggregate:
    """One number per customer, out of the rows of one table.

    Attributes
    ----------
    rows, function, column
        What is done with which column. A sum over no rows is 0, a min or max null.
    days
        Only rows of that many days before `as_of`; None for all of them.
    where
        (column, value): only rows of that category, such as ``("channel", "mobile")``.
    """

    __pydantic_config__ = _STRICT

    rows: Source
    function: Function
    column: str
    days: int | None = None
    where: tuple[str, Key] | None = None

    def __post_init__(self) -> None:
        """Refuse columns that the rows do not have."""
        known = ROWS[self.rows]
        for name in (self.column, *([self.where[0]] if self.where else [])):
            if name not in known:
                raise FeatureError(f"{self.rows} have no '{name}' to aggregate{did_you_mean(name, known)}")


@dataclass(frozen=True)
class Value:
    """The aggregate itself."""

    __pydantic_config__ = _STRICT
    of: Aggregate
    formula: Literal["value"] = "value"


@dataclass(frozen=True)
class AnyRow:
    """True where the aggregate is above 0."""

    __pydantic_config__ = _STRICT
    of: Aggregate
    formula: Literal["any"] = "any"


@dataclass(frozen=True)
class Ratio:
    """``times × top / bottom``; null where `bottom` is 0 or null."""

    __pydantic_config__ = _STRICT
    top: Aggregate
    bottom: Aggregate
    times: float = 1.0
    formula: Literal["ratio"] = "ratio"


@dataclass(frozen=True)
class Top:
    """The category that is the `rank`-th most frequent among a customer's rows, null if there are fewer.

    `counts` holds one count per category, each with the category as the value of its `where`. Ties go by name.
    """

    __pydantic_config__ = _STRICT
    rank: int
    counts: tuple[Aggregate, ...]
    formula: Literal["top"] = "top"

    def __post_init__(self) -> None:
        """Refuse counts without a category."""
        if self.rank < 1 or not self.counts or any(c.function != "sum" or c.where is None for c in self.counts):
            raise FeatureError("a top category needs a rank from 1 and one count per category")


@dataclass(frozen=True)
class Attribute:
    """A column of a table with one row per customer, as it stands."""

    __pydantic_config__ = _STRICT
    table: Literal["customers", "risk"]
    column: str
    formula: Literal["attribute"] = "attribute"


@dataclass(frozen=True)
class DaysSince:
    """Days from a date in the customers table until `as_of`; null if that day had not come yet."""

    __pydantic_config__ = _STRICT
    column: str
    formula: Literal["days_since"] = "days_since"


Formula = Annotated[Value | AnyRow | Ratio | Top | Attribute | DaysSince, Discriminator("formula")]


@dataclass(frozen=True)
class Feature:
    """What a feature means and how it comes about."""

    __pydantic_config__ = _STRICT
    column: FeatureColumn
    formula: Formula

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """The aggregates it is made of."""
        match self.formula:
            case Value(of) | AnyRow(of):
                return (of,)
            case Ratio(top, bottom):
                return (top, bottom)
            case Top(_, counts):
                return counts
            case _:
                return ()

    @property
    def tables(self) -> frozenset[str]:
        """The tables it is made of, besides customers."""
        if isinstance(self.formula, Attribute):
            return frozenset({self.formula.table})
        rows = frozenset(a.rows for a in self.aggregates)
        return rows | {"merchants"} if "transactions" in rows else rows


@dataclass(frozen=True)
class Reads:
    """A table of the bank and the columns of it that features are made of."""

    __pydantic_config__ = _STRICT
    table: str
    columns: tuple[str, ...]


Readable = Mapping[str, frozenset[str]]
"""The columns that features may be made of, by table; tables that are absent or useless are not in it."""


def covers(readable: Readable, table: str, *columns: str) -> bool:
    """Return whether the table and all the columns may be read.

    >>> covers({"risk": frozenset({"pd"})}, "risk", "pd"), covers({}, "risk")
    (True, False)
    """
    return table in readable and set(columns) <= readable[table]


@dataclass(frozen=True)
class FeatureSpec:
    """Every feature of one model, and what it takes to build them. Make one with `discover`.

    Attributes
    ----------
    features
        In column order.
    reads
        What the bank's tables must have. Fixed with the features, so that a column that appears later changes nothing.
    notes
        What was left out, and why.
    version
        Of this format.
    """

    __pydantic_config__ = _STRICT
    features: tuple[Feature, ...]
    reads: tuple[Reads, ...]
    notes: tuple[str, ...] = ()
    version: Literal[1] = 1

    @cached_property
    def columns(self) -> tuple[FeatureColumn, ...]:
        """What each feature means, in column order."""
        return tuple(f.column for f in self.features)

    def aggregates(self, rows: Source) -> tuple[Aggregate, ...]:
        """Return the distinct aggregates over one kind of rows, in the order of first use."""
        return tuple(dict.fromkeys(a for a in self._all_aggregates() if a.rows == rows))

    @cached_property
    def readable(self) -> Readable:
        """The columns that features are made of, by table."""
        return {r.table: frozenset(r.columns) for r in self.reads}

    def only(self, names: Collection[str]) -> FeatureSpec:
        """Return the spec of the named features alone, in the same column order, and of the tables they are made of.

        Raises
        ------
        FeatureError
            There is no feature of a name.
        """
        there = [c.name for c in self.columns]
        if strangers := sorted(set(names) - set(there)):
            raise FeatureError([f"no feature '{name}'{did_you_mean(name, there)}" for name in strangers])
        kept = tuple(f for f in self.features if f.column.name in names)
        tables = {"customers"} | {table for f in kept for table in f.tables}
        return replace(self, features=kept, reads=tuple(r for r in self.reads if r.table in tables))

    def to_json(self) -> str:
        """Return the spec as JSON, which `from_json` reads back."""
        return _adapter().dump_json(self, indent=1).decode()

    @staticmethod
    def from_json(text: str | bytes) -> FeatureSpec:
        """Return the spec that `to_json` wrote.

        Raises
        ------
        FeatureError
            It is not JSON, or says something a spec cannot say.
        """
        try:
            return _adapter().validate_json(text)
        except ValidationError as error:
            lines = [f"feature spec: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5]]
            raise FeatureError(lines) from error

    def _all_aggregates(self) -> Iterator[Aggregate]:
        return (a for f in self.features for a in f.aggregates)


def _adapter() -> TypeAdapter[FeatureSpec]:
    return TypeAdapter(FeatureSpec)
