"""The allocation as numbers: which option of which offer takes how much of which limit.

maximise Σ value·x, where every limit j allows Σ use[:, j]·x ≤ capacity[j], each customer has at most k offers, each
offer at most one option, and x is 0 or 1. A minimum of c offers is the limit Σ −x ≤ −c.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from nextoffer import compiled
from nextoffer.allocate import kernels
from nextoffer.allocate.offers import Mask
from nextoffer.tables.flow import Floats, Indices


@dataclass(frozen=True)
class Limit:
    """One limit as people see it.

    Attributes
    ----------
    name, unit
        As shown.
    capacity
        In `unit`; of a minimum, the number asked for.
    minimum
        It is a number to reach, not one to keep under.
    scale
        Problem units for one `unit`.
    advisers
        For RMs with the same skills, pooled: the id, hours and problem units of each; else empty.
    """

    name: str
    unit: str
    capacity: float
    minimum: bool = False
    scale: float = 1.0
    advisers: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class Problem:
    """n options of m customers under M limits; options lie customer by customer, in canonical order.

    Attributes
    ----------
    value, tie
        float64 (n,): what an option is worth; what decides between equals.
    start
        (m + 1,): where each customer's options begin.
    offer
        (n,): which offer an option is of (`Offers` order); equal for the options of one offer, which lie together.
    use
        Sparse (n, M): units an option takes; −1 where it counts towards a minimum.
    capacity
        float64 (M,): units there are; minus the number for a minimum.
    most
        Offers per customer.
    limits
        What the M limits are.
    """

    value: Floats
    tie: Floats
    start: Indices
    offer: Indices
    use: sparse.csr_array
    capacity: Floats
    most: int
    limits: tuple[Limit, ...]

    @property
    def customers(self) -> int:
        """How many there are."""
        return len(self.start) - 1

    def __len__(self) -> int:
        return len(self.value)

    @cached_property
    def minimum(self) -> Mask:
        """Bool (M,): which limits are minimums."""
        return np.array([limit.minimum for limit in self.limits], dtype=np.bool_)

    @cached_property
    def owner(self) -> Indices:
        """(n,): whose option it is."""
        return np.repeat(np.arange(self.customers), np.diff(self.start))

    @cached_property
    def alternatives(self) -> bool:
        """Whether an offer has several options."""
        return bool((np.diff(self.offer) == 0).any())

    @cached_property
    def within(self) -> Indices:
        """(offers + 1,): where the options of each offer that has any begin."""
        return np.append(np.flatnonzero(np.diff(self.offer, prepend=-1)), len(self))

    @cached_property
    def by_offer(self) -> tuple[Indices, Indices]:
        """(m + 1,), (n,): where a customer's offers begin, counting offers that have options; an option's offer."""
        return np.searchsorted(self.within, self.start), np.repeat(
            np.arange(len(self.within) - 1), np.diff(self.within)
        )

    @cached_property
    def transposed(self) -> sparse.csr_array:
        """`use` by limit: sparse (M, n)."""
        return self.use.T.tocsr()

    @cached_property
    def usual(self) -> Floats:
        """float64 (M,): the mean units that an option takes of a limit, of those that take any; 1 where none does."""
        count = np.bincount(self.use.indices, minlength=len(self.capacity))
        total = self._touched
        out: Floats = np.divide(total, count, out=np.ones(len(count)), where=count > 0)
        return out

    def used(self, taken: Mask) -> Floats:
        """Return float64 (M,): the units that the options `taken` use."""
        if not compiled.ready():
            return np.asarray(self.use.T @ taken.astype(np.float64), dtype=np.float64)
        out = np.zeros(len(self.capacity))
        kernels.use_of(taken, *self.entries, out)
        return out

    @cached_property
    def entries(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Floats]:
        """`use` as kernels take it: where each option's entries begin, their limits, their units."""
        use = self.use
        return use.indptr.astype(np.int32, copy=False), use.indices.astype(np.int32, copy=False), use.data

    def part(self, customers: Mask) -> Problem:
        """Return the problem of some customers, each capacity cut to their share of what all could use of it."""
        kept = customers[self.owner]
        use = self.use[np.flatnonzero(kept)]
        whole, own = self._touched, np.bincount(use.indices, np.abs(use.data), minlength=len(self.capacity))
        share = np.divide(own, whole, out=np.zeros(len(whole)), where=whole > 0)
        counts = np.diff(self.start)[customers]
        start = np.concatenate([[0], np.cumsum(counts)])
        value, tie, offer = self.value[kept], self.tie[kept], self.offer[kept]
        return Problem(value, tie, start, offer, use, self.capacity * share, self.most, self.limits)

    @cached_property
    def _touched(self) -> Floats:
        """Return float64 (M,): what all options together would use."""
        size = np.abs(self.use.data)
        return np.bincount(self.use.indices, size, minlength=len(self.capacity)).astype(np.float64, copy=False)
