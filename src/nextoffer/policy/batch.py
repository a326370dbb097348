"""What is known of n customers and P products at the moment of decision, under the names that rules and facts use.

``income`` is a customer's column, ``product.tier`` a product's, ``pair.coholding`` a pair's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from nextoffer.errors import PolicyError
from nextoffer.policy.logic import Values
from nextoffer.tables.flow import FeatureTable, Floats, Indices, Kind, RuleFacts, Scores, ids_as_text


@dataclass(frozen=True)
class Batch:
    """n customers × P products, with what is known of them.

    Attributes
    ----------
    scores
        Log-odds (n, P) and their parts.
    facts
        Who holds what, consents and earlier contacts.
    features
        n customers, in the rows of `scores`.
    products
        P products, in the columns of `scores`.

    Raises
    ------
    PolicyError
        The four do not describe the same customers and products.
    """

    scores: Scores
    facts: RuleFacts
    features: FeatureTable
    products: pa.Table

    def __post_init__(self) -> None:
        shape = (len(self.features), self.products.num_rows)
        found = {"scores": self.scores.log_odds.shape, "held": self.facts.held.shape}
        wrong = [f"{name} are for {s[0]} × {s[1]}" for name, s in found.items() if s != shape]
        if wrong:
            raise PolicyError(f"there are {shape[0]} customers × {shape[1]} products, but {' and '.join(wrong)}")

    @property
    def shape(self) -> tuple[int, int]:
        """(n, P)."""
        return len(self.features), int(self.products.num_rows)

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The kind of every column that a rule or fact can name."""
        kinds: dict[str, Kind] = {column.name: column.kind for column in self.features.columns}
        kinds |= product_kinds(self.products.schema)
        return kinds | {f"pair.{name}": "number" for name in self.pair_names}

    @cached_property
    def pair_names(self) -> tuple[str, ...]:
        """The pair features there are, without ``pair.``."""
        nobody = np.empty(0, dtype=np.intp)
        return tuple(self.scores.pair_values(nobody, nobody))

    @cached_property
    def product_names(self) -> list[str]:
        """What people call the products: their name, else their type and id."""
        ids = ids_as_text(self.products.column("product_id"))
        types = self.products.column("product_type").to_pylist()
        names = self.products.column("name").to_pylist() if "name" in self.products.column_names else [None] * len(ids)
        return [name or f"{kind} {i}" for name, kind, i in zip(names, types, ids, strict=True)]

    def customer_column(self, name: str) -> Values:
        """Return a customer column, of shape (n,)."""
        if name not in self._customer_columns:
            category = self.kinds[name] == "category"
            self._customer_columns[name] = self.features.texts(name) if category else self.features.numbers(name)
        return self._customer_columns[name]

    def product_column(self, name: str) -> Values:
        """Return a product column (its name without ``product.``), of shape (P,): NaN or None where null or absent."""
        if name not in self._product_columns:
            self._product_columns[name] = _product_values(self.products, name)
        return self._product_columns[name]

    @cached_property
    def _customer_columns(self) -> dict[str, Values]:
        return {}

    @cached_property
    def _product_columns(self) -> dict[str, Values]:
        return {}


@dataclass(frozen=True)
class Pairs:
    """m chosen customer–product pairs of a batch: customer `rows[i]` with product `cols[i]`."""

    batch: Batch
    rows: Indices
    cols: Indices

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, start: int, stop: int) -> Pairs:
        """Return the pairs from `start` up to `stop`."""
        return Pairs(self.batch, self.rows[start:stop], self.cols[start:stop])

    def column(self, name: str, at: Indices) -> Values:
        """Return the column called `name` for the pairs `at`."""
        if name.startswith("product."):
            return self.batch.product_column(name.removeprefix("product."))[self.cols[at]]
        if name.startswith("pair."):
            return self._pair_values[name.removeprefix("pair.")][at]
        return self.batch.customer_column(name)[self.rows[at]]

    @cached_property
    def _pair_values(self) -> Mapping[str, Floats]:
        return self.batch.scores.pair_values(self.rows, self.cols)


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
