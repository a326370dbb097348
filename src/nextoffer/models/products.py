"""The products a model knows, in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from nextoffer.tables.flow import Floats, Indices, ids_as_text


@dataclass(frozen=True)
class Products:
    """P products as a model sees them.

    Attributes
    ----------
    ids, types
        Product ids as text, and their types.
    min_income
        (P,) NaN where there is none.
    segment_bias
        The segment each is made for; None where it is for all.
    """

    ids: tuple[str, ...]
    types: tuple[str, ...]
    min_income: Floats
    segment_bias: tuple[str | None, ...]

    @classmethod
    def of(cls, table: pa.Table) -> Products:
        """Return the products of the bank's `products` table, in its order."""
        count = table.num_rows

        def column(name: str) -> list[Any]:
            return table.column(name).to_pylist() if name in table.column_names else [None] * count

        bias = [None if b is None or str(b).lower() in ("all", "any", "") else str(b) for b in column("segment_bias")]
        floor = np.array([np.nan if v is None else float(v) for v in column("min_income")], dtype=np.float64)
        types = tuple("" if t is None else str(t) for t in column("product_type"))
        return cls(tuple(ids_as_text(table.column("product_id"))), types, floor, tuple(bias))

    def __len__(self) -> int:
        return len(self.ids)

    def positions(self, known: Sequence[str]) -> Indices:
        """Return for each product its place in `known` ids, -1 where it is new."""
        place = {p: i for i, p in enumerate(known)}
        return np.array([place.get(p, -1) for p in self.ids], dtype=np.intp)

    def to_json(self) -> dict[str, Any]:
        """Return a plain form that `from_json` reads."""
        floors = [None if np.isnan(v) else float(v) for v in self.min_income]
        return {"ids": self.ids, "types": self.types, "min_income": floors, "segment_bias": self.segment_bias}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Products:
        """Return the products that `to_json` wrote."""
        floor = np.array([np.nan if v is None else v for v in plain["min_income"]], dtype=np.float64)
        return cls(tuple(plain["ids"]), tuple(plain["types"]), floor, tuple(plain["segment_bias"]))
