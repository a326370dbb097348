"""Sums over customers who come chunk by chunk: two numbers per figure, whatever the size of the bank.

A figure is a table's name and the values of its key columns. What is kept of it are the sum of what each customer adds,
and the sum of the squares, which say how sure the sum is where only a sample was looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.intervals import Interval, mean_of_sums, rate

Key = tuple[str, ...]
Numbers = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Population:
    """How many customers were looked at, of how many the bank has."""

    looked_at: int
    there: int

    @property
    def sampled(self) -> bool:
        """Whether some were not looked at."""
        return self.looked_at < self.there

    def total(self, total: float, squares: float, *, counted: bool = False) -> Interval:
        """Return a sum over the bank's customers: exact, without bounds, where all were looked at.

        Parameters
        ----------
        total, squares
            Of what each customer looked at adds.
        counted
            Each adds 0 or 1: Wilson's interval, which does not vanish where none was seen.
        """
        n, there = self.looked_at, self.there
        if not self.sampled:
            return Interval(total, float("nan"), float("nan"), n)
        if counted:
            worth = there / (there - n)  # a sample without replacement says as much as so many more with it
            mean = rate(total * worth, round(n * worth))
        else:
            mean = mean_of_sums(total, squares, n, population=there)
        return Interval(total / n * there, mean.low * there, mean.high * there, n)


class Tally:
    """Adds up figures of chunk after chunk."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[Key, list[float]]] = {}

    def count(
        self, table: str, keys: Sequence[Key], places: npt.NDArray[np.integer], amounts: Numbers | None = None
    ) -> None:
        """Add amounts (1 by default) to the figures at `places`, where negative ones count nowhere.

        No customer may be in one place twice.
        """
        there = places >= 0
        at = places[there].astype(np.intp)
        seen = np.bincount(at, minlength=len(keys))
        worth = np.ones(len(at)) if amounts is None else np.asarray(amounts, dtype=np.float64)[there]
        sums, squares = (np.bincount(at, weights=each, minlength=len(keys)) for each in (worth, worth * worth))
        self._add(table, keys, sums, squares, seen)

    def spread(self, table: str, keys: Sequence[Key], amounts: Numbers) -> None:
        """Add to each of K figures what n customers add to it: `amounts` of shape (n, K)."""
        worth = np.asarray(amounts, dtype=np.float64)
        squares = np.einsum("ij,ij->j", worth, worth)
        self._add(table, keys, worth.sum(axis=0), squares, np.ones(len(keys), dtype=np.intp))

    def merge(self, other: Tally) -> None:
        """Add all of another tally."""
        for table, figures in other._sums.items():
            mine = self._sums.setdefault(table, {})
            for key, (total, squares) in figures.items():
                sums = mine.setdefault(key, [0.0, 0.0])
                sums[0] += total
                sums[1] += squares

    def figures(self, table: str) -> Iterator[tuple[Key, float, float]]:
        """Yield key, sum and sum of squares of each figure, in the order in which they first came."""
        for key, (total, squares) in self._sums.get(table, {}).items():
            yield key, total, squares

    def totals(self, table: str, columns: Sequence[str], population: Population) -> pa.Table:
        """Return the figures of a table as sums over the bank: `columns`, ``measure``, estimate, low, high, n.

        Keys end in the measure. ``low`` and ``high`` are null where all customers were looked at.
        """
        found = [
            (key, population.total(total, squares, counted=_counted(key)))
            for key, total, squares in self.figures(table)
        ]
        return tidy([*columns, "measure"], found)

    def means(self, table: str, columns: Sequence[str], population: Population, *, per: float) -> pa.Table:
        """Return the figures as means for `per` customers of the kind looked at, with Student's intervals."""
        found = []
        for key, total, squares in self.figures(table):
            mean = mean_of_sums(total, squares, population.looked_at)
            found.append((key, Interval(per * mean.estimate, per * mean.low, per * mean.high, mean.n)))
        return tidy([*columns, "measure"], found)

    def _add(self, table: str, keys: Sequence[Key], sums: Numbers, squares: Numbers, seen: Numbers) -> None:
        mine = self._sums.setdefault(table, {})
        for at in np.flatnonzero(seen).tolist():
            known = mine.setdefault(keys[at], [0.0, 0.0])
            known[0] += float(sums[at])
            known[1] += float(squares[at])


def tidy(columns: Sequence[str], rows: Sequence[tuple[Key, Interval]]) -> pa.Table:
    """Return a table of texts and intervals: the texts under `columns`, then estimate, low, high (float64) and n."""
    texts = [pa.array([key[i] for key, _ in rows], pa.string()) for i in range(len(columns))]
    numbers = [
        pa.array([_known(getattr(value, name)) for _, value in rows], pa.float64())
        for name in ("estimate", "low", "high")
    ]
    counts = pa.array([value.n for _, value in rows], pa.int64())
    return pa.table([*texts, *numbers, counts], names=[*columns, "estimate", "low", "high", "n"])


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


_COUNTED = frozenset({"customers", "only", "delinquent", "vulnerable"})


def _counted(key: Key) -> bool:
    return key[-1] in _COUNTED and key[0] != "difference"
