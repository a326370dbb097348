"""The candidate offers, checked and in an order of their own: by customer, then by a keyed tie."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer import keyed
from nextoffer.allocate.limits import Amount, Where, plain
from nextoffer.errors import AllocationError, did_you_mean
from nextoffer.tables.flow import Floats, Indices

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]
Column = TypeVar("Column", Codes, Floats)

_WORTH_A_THREAD = 200_000  # offers
_SHOWN = 5  # example rows in a message


@dataclass(frozen=True)
class Offers:
    """n candidate offers; every array is in canonical order: by customer, then by a number keyed by the pair.

    Attributes
    ----------
    table
        As given.
    order
        (n,): the table's row of each offer.
    customer
        int64 (n,): customers counted from 0, never falling.
    value
        float64 (n,), in the unit of the value column.
    tie
        float64 (n,) in [0, 1), keyed by seed, customer and product: what decides between equals.
    """

    table: pa.Table
    order: Indices
    customer: Codes
    value: Floats
    tie: Floats
    _found: dict[str, tuple[Codes, list[str | None]]] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, table: pa.Table, value: str, seed: int) -> Offers:
        """Return the offers of a table with ``customer_id``, ``product_id`` and the column `value`.

        Raises
        ------
        AllocationError
            A column is missing, an id or value is null or no number, or an offer comes twice; rows are counted from 0.
        """
        _need(table, ["customer_id", "product_id", value])
        values = _numbers(table, value)
        problems = [*_nulls(table, "customer_id"), *_nulls(table, "product_id"), *_faulty(values, value)]
        if problems:
            raise AllocationError(problems)
        customer, product = _keys(table["customer_id"]), _keys(table["product_id"])
        order, tie = _canonical(customer, product, seed)
        return cls(table, order, customer.rank[order], values[order], tie)

    def __len__(self) -> int:
        return len(self.order)

    @cached_property
    def start(self) -> Indices:
        """(m + 1,): where each customer's offers begin."""
        changes = np.flatnonzero(np.diff(self.customer)) + 1
        return np.concatenate([[0], changes, [len(self)]]) if len(self) else np.zeros(1, dtype=np.intp)

    def placed(self, column: Column) -> Column:
        """Return a column of the table in canonical order."""
        return column if self.in_order else column[self.order]

    @cached_property
    def in_order(self) -> bool:
        """Whether the table is in canonical order already."""
        return bool((self.order[1:] > self.order[:-1]).all())

    def codes(self, name: str) -> tuple[Codes, list[str | None]]:
        """Return a column as codes (n,) into its different values as text; −1 for null.

        Raises
        ------
        AllocationError
            There is no such column.
        """
        if name not in self._found:
            _need(self.table, [name])
            codes, values = _encoded(self.table[name])
            self._found[name] = self.placed(codes), [None if v is None else plain(v) for v in values.to_pylist()]
        return self._found[name]

    def encode(self, names: Sequence[str]) -> None:
        """Encode side by side the columns, of those named, that hold no fractions: `codes` is asked for them later."""
        kinds = self.table.schema
        there = [n for n in names if n in kinds.names and not pa.types.is_floating(kinds.field(n).type)]
        if len(self) >= _WORTH_A_THREAD:
            self.in_order  # noqa: B018 - worked out before threads ask for it
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(self.codes, there))

    def matching(self, where: Where) -> Mask:
        """Return bool (n,): the offers whose columns have the values asked for."""
        out = np.ones(len(self), dtype=np.bool_)
        for name, asked in where.items():
            wanted = {plain(v) for v in (asked if isinstance(asked, tuple) else (asked,))}
            codes, values = self.codes(name)
            out &= np.array([*(v in wanted for v in values), False])[codes]
        return out

    def amounts(self, use: float | str, exceptions: Sequence[Amount]) -> Floats:
        """Return float64 (n,): a number or a column of numbers ≥ 0; of exceptions the first that fits counts.

        Raises
        ------
        AllocationError
            There is no such column, or it has values that are no amounts.
        """
        if isinstance(use, str):
            _need(self.table, [use])
            whole = _numbers(self.table, use)
            if problems := _faulty(whole, use, least=0.0):
                raise AllocationError(problems)
            out = self.placed(whole).copy()
        else:
            out = np.full(len(self), use)
        for entry in reversed(exceptions):
            out[self.matching(entry.where)] = entry.amount
        return out


@dataclass(frozen=True)
class _Keys:
    """The ids of n rows: their place in an order of the ids, and a 64-bit key."""

    rank: Codes
    key: npt.NDArray[np.uint64]


def _keys(ids: pa.ChunkedArray) -> _Keys:
    if pa.types.is_integer(ids.type):
        whole = ids.to_numpy().astype(np.int64, copy=False)
        if (whole[:1] >= 0).all() and (whole[1:] >= whole[:-1]).all():  # as a bank's tables often come: no need to sort
            return _Keys(np.cumsum(np.diff(whole, prepend=whole[:1]) > 0), whole.view(np.uint64))
    codes, values = _encoded(ids)
    if not pa.types.is_integer(values.type):
        values = values.cast(pa.string())
    keys = keyed.hash64(values)
    order = np.argsort(keys, kind="stable")
    if len(keys) > 1 and (np.diff(keys[order]) == 0).any():  # two texts with one key: the texts themselves decide
        order = pc.sort_indices(values).to_numpy()
    rank = np.empty(len(keys), dtype=np.int64)
    rank[order] = np.arange(len(keys))
    return _Keys(rank[codes], keys[codes])


def _encoded(column: pa.ChunkedArray) -> tuple[Codes, pa.Array]:
    """Return a column as codes into its different values; −1 for null."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    found = column.dictionary_encode()
    return found.indices.fill_null(-1).to_numpy().astype(np.int64), found.dictionary


def _canonical(customer: _Keys, product: _Keys, seed: int) -> tuple[Indices, Floats]:
    """Return the rows by customer, then tie; and the ties in that order."""
    with np.errstate(over="ignore"):
        pair = customer.key * np.uint64(0x9E3779B97F4A7C15) + keyed.hash64(product.key.view(np.int64))
    tie = keyed.uniform(seed, "allocate", pair.view(np.int64))
    # One number to sort by: 32 bits of customer, 32 of tie. Equal ones are looked at again, and so are equal offers.
    sort = (customer.rank << 32) | (tie * 2.0**32).astype(np.int64)
    order = np.arange(len(sort)) if (np.diff(sort) > 0).all() else np.argsort(sort)
    if (np.diff(sort[order]) == 0).any():
        order = np.lexsort((product.rank, sort))
        same = (np.diff(sort[order]) == 0) & (np.diff(product.rank[order]) == 0)
        if same.any():
            raise AllocationError(_twice(order, same))
    return order, tie[order]


def _twice(order: Indices, same: Mask) -> str:
    at = np.flatnonzero(same)
    pairs = sorted((int(min(p)), int(max(p))) for p in zip(order[at], order[at + 1], strict=True))
    shown = ", ".join(f"{a} and {b}" for a, b in pairs[:_SHOWN])
    return f"the same customer_id and product_id more than once, in rows {shown}{_more(len(pairs))}"


def _need(table: pa.Table, names: Sequence[str]) -> None:
    there = table.column_names
    missing = [n for n in names if n not in there]
    if missing:
        raise AllocationError(
            [f"the offers have no column '{n}'{did_you_mean(n, there)}; there are {', '.join(there)}" for n in missing]
        )


def _numbers(table: pa.Table, name: str) -> Floats:
    try:
        column = table[name].cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise AllocationError(f"the offers' column '{name}' is {table[name].type}; it must be a number") from None
    return np.array(column.to_numpy(), dtype=np.float64)


def _nulls(table: pa.Table, name: str) -> list[str]:
    column = table[name]
    return [_rows(name, "null", np.flatnonzero(pc.is_null(column).to_numpy()))] if column.null_count else []


def _faulty(values: Floats, name: str, *, least: float = -np.inf) -> list[str]:
    found = {"null or not a finite number": ~np.isfinite(values), f"less than {least:g}": values < least}
    return [_rows(name, what, np.flatnonzero(bad)) for what, bad in found.items() if bad.any()]


def _rows(name: str, what: str, rows: Indices) -> str:
    return f"the offers' column '{name}' is {what} in rows {', '.join(map(str, rows[:_SHOWN]))}{_more(len(rows))}"


def _more(count: int) -> str:
    return f" and {count - _SHOWN} more" if count > _SHOWN else ""
