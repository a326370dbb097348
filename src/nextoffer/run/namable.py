"""The columns that a policy's rules may name, known before any customer is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

import numpy as np
import pyarrow as pa

from nextoffer.features import FeatureSpec
from nextoffer.models.products import Products
from nextoffer.models.ranker import Ranker
from nextoffer.tables.config import BankConfig
from nextoffer.tables.flow import FeatureTable, Kind

_TYPES: Mapping[Kind, pa.DataType] = {"number": pa.float64(), "category": pa.string(), "flag": pa.bool_()}


def kinds_of(
    spec: FeatureSpec, named: Collection[str], *, ranker: Ranker | None, products: pa.Table
) -> dict[str, Kind]:
    """Return the kind of every customers' column, and of the ranker's pair features where one of `named` is one."""
    kinds: dict[str, Kind] = {column.name: column.kind for column in spec.columns}
    if ranker is not None and any(name.startswith("pair.") for name in named):
        kinds |= {f"pair.{name}": "number" for name in _pair_features(spec, ranker, products)}
    return kinds


def closed_columns(config: BankConfig) -> dict[str, str]:
    """Return why the columns that bank.toml closes may not be used, under the names that rules would use."""
    return {
        name: f"bank.toml lists it under '{key}'"
        for key, entries in (("sensitive", config.sensitive), ("exclude", config.exclude))
        for entry in entries
        for name in _names(*entry.rpartition(".")[::2])
    }


def _names(table: str, column: str) -> Collection[str]:
    own, product = column, f"product.{column}"
    return {"": (own, product), "products": (product,)}.get(table, (own,))


def _pair_features(spec: FeatureSpec, ranker: Ranker, products: pa.Table) -> list[str]:
    """Return the names of the pair features, found by scoring nobody."""
    columns = {"customer_id": pa.int64(), **{column.name: _TYPES[column.kind] for column in spec.columns}}
    empty = pa.table({name: pa.array([], kind) for name, kind in columns.items()})
    scores = ranker.score(FeatureTable(empty, spec.columns, date.min), Products.of(products))
    nobody = np.empty(0, dtype=np.intp)
    return list(scores.pair_values(nobody, nobody))
