"""The columns of a batch side by side: customers' as (n, 1), products' as (1, P), pairs' as (n, P).

An expression over them comes out no wider than it must: of customers alone it is (n, 1), of products alone (1, P).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from nextoffer.policy.logic import Values
from nextoffer.policy.offering import Offering
from nextoffer.tables.flow import Indices

if TYPE_CHECKING:
    from nextoffer.policy.batch import Batch

_FEW = 4  # customers, whose texts are quicker compared one by one


class Shelf(Mapping[str, Values]):
    """The columns of P products, each (1, P); there are no others."""

    def __init__(self, offering: Offering) -> None:
        self._offering = offering

    def __getitem__(self, name: str) -> Values:
        if name not in self._offering.kinds:
            raise KeyError(name)
        return self._offering.column(name.removeprefix("product."))[None, :]

    def __iter__(self) -> Iterator[str]:
        return iter(self._offering.kinds)

    def __len__(self) -> int:
        return len(self._offering.kinds)


class Wide(Mapping[str, Values]):
    """The columns of a batch of n customers × P products, each made when it is first asked for."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._kept: dict[str, Values] = {}
        self._coded: dict[str, tuple[Indices, Values]] = {}

    def __getitem__(self, name: str) -> Values:
        found = self._kept.get(name)
        if found is None:
            found = self._kept[name] = self._column(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._batch.kinds)

    def __len__(self) -> int:
        return len(self._batch.kinds)

    def coded(self, name: str) -> tuple[Indices, Values] | None:
        """Return a customer's text as places (n,) in the distinct ones, objects (T, 1); None for a few customers."""
        if self._batch.shape[0] <= _FEW:
            return None
        found = self._coded.get(name)
        if found is None:
            places, texts = self._batch.coded(name)
            found = self._coded[name] = (places, np.array(texts, dtype=object)[:, None])
        return found

    def _column(self, name: str) -> Values:
        if name.startswith("product."):
            return self._batch.product_column(name.removeprefix("product."))[None, :]
        if name.startswith("pair."):
            return self._of_pairs(name.removeprefix("pair."))
        return self._batch.customer_column(name)[:, None]

    def _of_pairs(self, name: str) -> Values:
        n, count = self._batch.shape
        rows, cols = np.divmod(np.arange(n * count), count)
        return np.asarray(self._batch.scores.pair_values(rows, cols)[name]).reshape(n, count)
