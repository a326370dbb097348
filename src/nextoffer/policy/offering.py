"""The products a decision chooses from, with all that depends on them alone, worked out once for any batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from nextoffer import keyed
from nextoffer.policy.logic import Values
from nextoffer.tables.flow import Floats, Kind, ids_as_text


@dataclass(frozen=True, eq=False)
class Offering:
    """P products.

    Attributes
    ----------
    table
        product_id, product_type, and whatever else there is of the contract.
    """

    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The kind of every column that a rule or fact can name, as ``product.<column>``."""
        return product_kinds(self.table.schema)

    @cached_property
    def ids(self) -> pa.Array:
        """The products, in the bank's own ids."""
        return self.table.column("product_id").combine_chunks()

    @cached_property
    def keys(self) -> npt.NDArray[np.uint64]:
        """A 64-bit key for each product."""
        return keyed.hash64(self.ids)

    @cached_property
    def types(self) -> pa.Array:
        """The products' types."""
        return self.table.column("product_type").combine_chunks()

    @cached_property
    def names(self) -> list[str]:
        """What people call the products: their name, else their type and id."""
        ids = ids_as_text(self.ids)
        types = self.types.to_pylist()
        names = self.table.column("name").to_pylist() if "name" in self.table.column_names else [None] * len(ids)
        return [name or f"{kind} {i}" for name, kind, i in zip(names, types, ids, strict=True)]

    def bounded(self, name: str) -> Floats:
        """Return ``product.<column>`` as float64 of shape (P,) to put bounds to: of a text, 0 where known, else NaN."""
        values = self.column(name.removeprefix("product."))
        if values.dtype != object:
            return values
        return np.array([np.nan if text is None else 0.0 for text in values], dtype=np.float64)

    def column(self, name: str) -> Values:
        """Return a product column (its name without ``product.``), of shape (P,): NaN or None where null or absent."""
        if name not in self._columns:
            self._columns[name] = _product_values(self.table, name)
        return self._columns[name]

    @cached_property
    def _columns(self) -> dict[str, Values]:
        return {}


def product_kinds(schema: pa.Schema) -> dict[str, Kind]:
    """Return the kind of every product column as ``product.<column>``; dates and lists cannot be named in a rule.

    >>> product_kinds(pa.schema([("product_id", pa.int64()), ("is_premium", pa.bool_())]))
    {'product.product_id': 'number', 'product.is_premium': 'flag'}
    """
    kinds = {f"product.{field.name}": _kind(field.type) for field in schema}
    return {name: kind for name, kind in kinds.items() if kind}


def _kind(kind: pa.DataType) -> Kind | None:
    if pt.is_boolean(kind):
        return "flag"
    if pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind):
        return "number"
    if pt.is_string(kind) or pt.is_large_string(kind) or pt.is_dictionary(kind):
        return "category"
    return None


def _product_values(products: pa.Table, name: str) -> Values:
    if name not in products.column_names:
        return np.full(products.num_rows, np.nan)
    column = products.column(name)
    if _kind(column.type) == "category":
        return np.asarray(pc.cast(column, pa.string()).to_numpy(zero_copy_only=False), dtype=object)
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(), dtype=np.float64)
