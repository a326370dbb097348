"""Indicators of bins and of pairs of bins: which customers share a cell of which table.

A `Block` is one table to learn: the levels of one feature, or of two features together. A flag has one level (yes), a
category one per value, a number one per cut, "at or above it": its bins are sums of steps, so a ridge on the steps
draws neighbouring bins together. Whatever is no level (no, the lowest bin, not known) is where the table is 0;
*not known* has a block of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nextoffer.models.coding import Codes, Coding
from nextoffer.tables.flow import Floats, Indices

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Axis:
    """`count` levels of one feature: its bins from `first` on. `steps`: a level holds for all higher bins too."""

    feature: int
    first: int
    count: int
    steps: bool = False

    @classmethod
    def of(cls, coding: Coding, feature: int) -> Axis:
        """Return the levels of a feature's known values."""
        first = 1 if coding.kind == "category" else 2
        return cls(feature, first, max(coding.bins - first, 0), coding.kind == "number")

    def levels(self, codes: Codes) -> npt.NDArray[np.int64]:
        """Return each customer's level (n,), -1 where there is none."""
        level = codes[:, self.feature].astype(np.int64) - self.first
        return np.where((level >= 0) & (level < self.count), level, -1)


@dataclass(frozen=True)
class Block:
    """One table, of one axis or two, row by row."""

    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Levels along each axis."""
        return tuple(a.count for a in self.axes)

    @property
    def size(self) -> int:
        """Number of cells."""
        return int(np.prod(self.shape))

    @property
    def stepped(self) -> bool:
        """Whether any axis sums steps."""
        return any(a.steps and a.count > 1 for a in self.axes)

    def cells(self, codes: Codes) -> tuple[Indices, Indices]:
        """Return the rows that lie in a cell, and their cells."""
        first, *rest = self.axes
        cell = first.levels(codes)
        rows = np.flatnonzero(cell >= 0)
        cell = cell[rows]
        for axis in rest:
            level = axis.levels(codes[rows])
            inside = level >= 0
            rows, cell = rows[inside], cell[inside] * axis.count + level[inside]
        return rows, cell

    def summed(self, steps: Floats) -> Floats:
        """Return the table (cells, ...) that steps of the same shape add up to."""
        return self._along(steps, np.cumsum)

    def spread(self, cells: Floats) -> Floats:
        """Return for each step the total of the cells it enters: the transpose of `summed`."""
        return self._along(cells, _sum_from_the_end)

    def _along(self, values: Floats, running_sum: Callable[[Floats, int], Floats]) -> Floats:
        table = values.reshape(*self.shape, -1)
        for place, axis in enumerate(self.axes):
            if axis.steps and axis.count > 1:
                table = running_sum(table, place)
        return table.reshape(values.shape)


def _sum_from_the_end(values: Floats, axis: int) -> Floats:
    return np.flip(np.cumsum(np.flip(values, axis), axis), axis)


@dataclass(frozen=True)
class Indicators:
    """The K cells of several blocks, laid one block after the other."""

    blocks: tuple[Block, ...]

    def __len__(self) -> int:
        return int(self.starts[-1])

    @cached_property
    def starts(self) -> Indices:
        """First cell of each block, and K."""
        return np.asarray(np.cumsum([0, *(b.size for b in self.blocks)]), dtype=np.intp)

    def matrix(self, codes: Codes) -> csr_matrix:
        """Return 0 and 1, sparse (n, K): who lies in which cell."""
        found = [(rows, cells + start) for (rows, cells), start in zip(self._cells(codes), self.starts, strict=False)]
        none = np.zeros(0, dtype=np.intp)
        rows = np.concatenate([none, *(r for r, _ in found)])
        columns = np.concatenate([none, *(c for _, c in found)])
        from scipy.sparse import csr_matrix

        return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(codes), len(self)))

    def summed(self, steps: Floats) -> Floats:
        """Return the tables (K, P) that steps (K, P) add up to."""
        out = steps.copy()
        for where, block in self._stepped:
            out[where] = block.summed(steps[where])
        return out

    def spread(self, cells: Floats) -> Floats:
        """Return for each step the total (K, P) of the cells it enters: the transpose of `summed`."""
        out = cells.copy()
        for where, block in self._stepped:
            out[where] = block.spread(cells[where])
        return out

    def parts(self, values: Floats) -> Iterator[tuple[Block, Floats]]:
        """Yield each block with its rows of `values` (K, ...)."""
        for block, start in zip(self.blocks, self.starts, strict=False):
            yield block, values[start : start + block.size]

    def _cells(self, codes: Codes) -> Iterator[tuple[Indices, Indices]]:
        return (block.cells(codes) for block in self.blocks)

    @cached_property
    def _stepped(self) -> tuple[tuple[slice, Block], ...]:
        spans = zip(self.blocks, self.starts[:-1], self.starts[1:], strict=True)
        return tuple((slice(start, stop), block) for block, start, stop in spans if block.stepped)


def main_effects(codings: Sequence[Coding]) -> list[Block]:
    """Return two blocks per feature: its known values, and *not known*."""
    known = [Block((Axis.of(coding, i),)) for i, coding in enumerate(codings)]
    return known + [Block((Axis(i, 0, 1),)) for i in range(len(codings))]


def crossed(codings: Sequence[Coding], pairs: Iterable[tuple[int, int]]) -> list[Block]:
    """Return one block per pair of features: their known values together."""
    return [Block((Axis.of(codings[a], a), Axis.of(codings[b], b))) for a, b in pairs]


def common(blocks: Iterable[Block], codes: Codes, counts: Floats, *, least: int) -> Indicators:
    """Return the blocks with a step that holds for at least `least` sets; row i of `codes` stands for counts[i]."""
    return Indicators(tuple(b for b in blocks if b.size and (_holds_for(b, codes, counts) >= least).any()))


def _holds_for(block: Block, codes: Codes, counts: Floats) -> Floats:
    rows, cells = block.cells(codes)
    return block.spread(np.asarray(np.bincount(cells, counts[rows], block.size), dtype=np.float64))
