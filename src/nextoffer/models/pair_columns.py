"""The pair features of one chunk of customers, each computed where it is asked for.

That is as bins of all pairs, as values of a few, or whole. A value is the same to the last bit whichever way it is
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nextoffer import compiled
from nextoffer.models import kernels
from nextoffer.models.coding import HANDFUL, Bins, Codes, Coding
from nextoffer.tables.flow import FeatureTable, Floats, Indices

_BLOCK = 1024
"""Customers at a time where bins are taken of sums, so that the sums stay near the processor."""
_FLAGS = 64
"""Fewer flags than this make one whole number: customers who hold the same have the same sums."""


class PairColumn(Protocol):
    """One pair feature of n customers × P products, NaN where not known."""

    def matrix(self) -> Floats:
        """Return all values, float64 (n, P)."""
        ...

    def at(self, rows: Indices, cols: Indices) -> Floats:
        """Return the values of the m pairs (rows[i], cols[i]), float64 (m,)."""
        ...

    def codes(self, coding: Coding, dtype: Any) -> Bins:
        """Return the bins of all values, (n, P)."""
        ...


@dataclass(frozen=True)
class Ratio:
    """A customer's number (n,) over a product's (P,)."""

    numbers: Callable[[], Floats]
    over: Floats

    def matrix(self) -> Floats:
        """See `PairColumn`."""
        return np.asarray(self.numbers()[:, None] / self.over)

    def at(self, rows: Indices, cols: Indices) -> Floats:
        """See `PairColumn`."""
        return np.asarray(self.numbers()[rows] / self.over[cols])

    def codes(self, coding: Coding, dtype: Any) -> Bins:
        """See `PairColumn`."""
        numbers = self.numbers()
        if len(numbers) <= HANDFUL:
            few: Bins = np.empty((len(numbers), len(self.over)), dtype=dtype)
            coding.write_numbers(self.matrix().ravel(), few.reshape(-1))
            return few
        out: Bins = np.zeros((len(numbers), len(self.over)), dtype=dtype)
        done: dict[float, int] = {}
        for j, over in enumerate(self.over.tolist()):
            if over in done:
                out[:, j] = out[:, done[over]]
            elif over == over:  # noqa: PLR0124  not NaN
                coding.write_numbers(numbers / over, out[:, j])
                done[over] = j
        return out


@dataclass(frozen=True)
class Lookup:
    """What a table (K, P) holds for a customer's kind (n,)."""

    kinds: Callable[[], Indices]
    table: Floats

    def matrix(self) -> Floats:
        """See `PairColumn`."""
        return np.asarray(self.table[self.kinds()])

    def at(self, rows: Indices, cols: Indices) -> Floats:
        """See `PairColumn`."""
        return np.asarray(self.table[self.kinds()[rows], cols])

    def codes(self, coding: Coding, dtype: Any) -> Bins:
        """See `PairColumn`."""
        codes: Bins = coding.codes(self.table).astype(dtype)
        return codes.take(self.kinds(), axis=0)


@dataclass(frozen=True)
class Amounts:
    """Customers' amounts (n, K), `measured` for all at once, or for a few who are asked for.

    Attributes
    ----------
    measured
        Takes the rows asked for; what it returns may lie in memory that others use.
    """

    measured: Callable[[Indices | slice], npt.NDArray[Any]]

    @cached_property
    def whole(self) -> npt.NDArray[Any]:
        """Of all customers, kept."""
        return self.measured(slice(None))

    def of(self, rows: Indices) -> npt.NDArray[Any]:
        """Return those of some customers, one after the other; each is measured once, however often it is named."""
        if "whole" in vars(self):
            return self.whole[rows]
        who, place = np.unique(rows, return_inverse=True)
        return self.measured(who)[place]


@dataclass(frozen=True)
class Sums:
    """Customers' amounts (n, K) times weights (K, P), added in the order of the K."""

    amounts: Amounts
    weights: Floats

    def matrix(self) -> Floats:
        """See `PairColumn`."""
        return sum_products(self.amounts.whole, self.weights)

    def at(self, rows: Indices, cols: Indices) -> Floats:
        """See `PairColumn`."""
        products = self.amounts.of(rows).T * self.weights[:, cols]
        return np.asarray(np.add.accumulate(np.concatenate([np.zeros((1, len(rows))), products]))[-1])

    def codes(self, coding: Coding, dtype: Any) -> Bins:
        """See `PairColumn`."""
        amounts = self.amounts.whole
        alike = amounts.dtype == np.uint8 and len(amounts) > HANDFUL and amounts.shape[1] < _FLAGS
        if alike and compiled.ready():
            firsts, which = np.empty((2, len(amounts)), dtype=np.int64)
            count = kernels.tell_apart(amounts, firsts, which)
            return self._codes(amounts[firsts[:count]], coding, dtype).take(which, axis=0)
        return self._codes(amounts, coding, dtype)

    def _codes(self, amounts: npt.NDArray[Any], coding: Coding, dtype: Any) -> Bins:
        out: Bins = np.empty((len(amounts), self.weights.shape[1]), dtype=dtype)
        for start in range(0, len(amounts), _BLOCK):
            sums = sum_products(amounts[start : start + _BLOCK], self.weights)
            coding.write_numbers(sums.ravel(), out[start : start + _BLOCK].reshape(-1))
        return out


@dataclass(frozen=True)
class Own:
    """A measure that is kept once per product: each product sees its own column, where it has one."""

    features: FeatureTable
    columns: tuple[str | None, ...]

    def matrix(self) -> Floats:
        """See `PairColumn`."""
        out = np.full((len(self.features), len(self.columns)), np.nan)
        for j, name in enumerate(self.columns):
            if name is not None:
                out[:, j] = self.features.numbers(name)
        return out

    def at(self, rows: Indices, cols: Indices) -> Floats:
        """See `PairColumn`."""
        out = np.full(len(rows), np.nan)
        order = np.argsort(cols, kind="stable")
        bounds = np.searchsorted(cols[order], np.arange(len(self.columns) + 1))
        for name, start, stop in zip(self.columns, bounds[:-1], bounds[1:], strict=True):
            if name is not None and start < stop:
                mine = order[start:stop]
                out[mine] = self.features.numbers(name)[rows[mine]]
        return out

    def codes(self, coding: Coding, dtype: Any) -> Bins:
        """See `PairColumn`."""
        count = len(self.features)
        if count <= HANDFUL:
            cells = [self.features.cells(name) if name else [None] * count for name in self.columns]
            if compiled.ready() and dtype == np.uint8 and cells and coding.kind != "category":
                few: Bins = np.empty((len(cells), count), dtype=dtype)
                coding.write_numbers(np.array(cells, dtype=np.float64).ravel(), few.reshape(-1))
                return few.T
            return np.array([[coding.code(v) for v in row] for row in cells], dtype=dtype).reshape(len(cells), count).T
        out: Bins = np.zeros((count, len(self.columns)), dtype=dtype)
        for j, name in enumerate(self.columns):
            if name is not None:
                coding.write_codes(self.features, name, out[:, j])
        return out


class ChosenPairs(Mapping[str, Floats]):
    """Every pair feature of m chosen pairs, float64 (m,), each computed when it is first asked for."""

    def __init__(self, columns: Mapping[str, PairColumn], rows: Indices, cols: Indices) -> None:
        self._columns, self._rows, self._cols = columns, rows, cols
        self._known: dict[str, Floats] = {}

    def __getitem__(self, name: str) -> Floats:
        if name not in self._known:
            self._known[name] = self._columns[name].at(self._rows, self._cols)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def pair_codes(
    columns: Mapping[str, PairColumn], codings: Sequence[Coding], shape: tuple[int, int], dtype: Any
) -> tuple[Bins, ...]:
    """Return the bins (n, P) of each coded pair feature; one that the bank's tables cannot give is not known."""
    blank: Codes = np.zeros(shape, dtype=dtype)
    return tuple(columns[c.name].codes(c, dtype) if c.name in columns else blank for c in codings)


def sum_products(left: npt.NDArray[Any], right: Floats) -> Floats:
    """Matrix product in a fixed order of additions, so that a row's result does not depend on the rows beside it."""
    out = np.zeros((len(left), right.shape[1]))
    if compiled.ready() and left.dtype in (np.uint8, np.float64):
        kernels.sum_up(left, np.ascontiguousarray(right), out)
        return out
    for k in range(right.shape[0]):
        out += left[:, k, None] * right[k]
    return out
