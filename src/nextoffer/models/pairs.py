"""Pair features: what is known of one customer and one product together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.models.coding import HANDFUL, write_flags
from nextoffer.models.collaborative import SPEND, Collaborative, SpendMap, fit_collaborative, log_spend
from nextoffer.models.pair_columns import Amounts, Lookup, Own, PairColumn, Ratio, Sums
from nextoffer.models.products import Products
from nextoffer.tables.flow import FeatureTable, Floats, Indices

HISTORY = ("offers", "accepts", "days_since_offer", "times_opened", "days_since_closed")
"""Measures that the features keep once per product; a pair sees its own product's."""
_ONE_COLUMN = {"income_ratio": "income", "segment_match": "segment"}
_SIGNALS = ("spend_interest", "coholding", "type_held")


@dataclass(frozen=True)
class PairFeatures:
    """Computes the pair features of n customers × P products; learned from one snapshot of customers.

    Attributes
    ----------
    products, collaborative
        P products and the signals that the snapshot taught.
    sources
        Of each pair feature the customers' columns that it is computed from, as they were in the snapshot.
    without
        Pair features that are left out whatever the tables give.
    """

    products: Products
    collaborative: Collaborative
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without: frozenset[str] = frozenset()

    def columns(self, features: FeatureTable) -> dict[str, PairColumn]:
        """Return each pair feature that this bank's tables can give, nothing computed yet."""
        out: dict[str, PairColumn] = {}
        products, measures = self.products, features.measures
        if "income" in features.names and np.isfinite(products.min_income).any():
            out["income_ratio"] = Ratio(cache(lambda: features.numbers("income")), self._floor)
        if "segment" in features.names and self._segments:
            out["segment_match"] = Lookup(cache(lambda: _kinds(features, self._segments)), self._match)
        if self.collaborative.categories:
            spend = Amounts(lambda rows: log_spend(features, self.collaborative.categories, rows))
            out["spend_interest"] = Sums(spend, self.collaborative.interest)
        if "held" in measures:
            flags = cache(lambda: held_flags(features, products))
            held = Amounts(lambda rows: flags()[rows])
            out["coholding"] = Sums(held, self.collaborative.coholding)
            out["type_held"] = Sums(held, self._same_type)
        for measure in HISTORY:
            if measure in measures:
                out[measure] = Own(features, tuple(measures[measure].get(p) for p in products.ids))
        return {name: column for name, column in out.items() if name not in self.without} if self.without else out

    def values(self, features: FeatureTable) -> dict[str, Floats]:
        """Return each pair feature that this bank's tables can give, float64 (n, P), NaN where not known."""
        return {name: column.matrix() for name, column in self.columns(features).items()}

    def reads(self, name: str) -> tuple[str, ...]:
        """Return the customers' columns that a pair feature is computed from."""
        if name in self.sources:
            return self.sources[name]
        if name == "spend_interest":
            return tuple(SPEND + category for category in self.collaborative.categories)
        if name in _ONE_COLUMN:
            return (_ONE_COLUMN[name],)
        measure = name if name in HISTORY else "held"
        return tuple(f"{measure}_{product}" for product in self.products.ids)

    @cached_property
    def _floor(self) -> Floats:
        return np.where(self.products.min_income > 0, self.products.min_income, np.nan)

    @cached_property
    def _segments(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(b for b in self.products.segment_bias if b is not None))

    @cached_property
    def _match(self) -> Floats:
        """By the kinds of `_kinds`: 1 where the product is for that segment, 0 for another, NaN where for all."""
        table = np.full((2 + len(self._segments), len(self.products)), np.nan)
        for j, bias in enumerate(self.products.segment_bias):
            if bias is not None:
                table[1:, j] = 0.0
                table[2 + self._segments.index(bias), j] = 1.0
        return table

    @cached_property
    def _same_type(self) -> Floats:
        """(P, P): 1 where two products are different ones of the same type."""
        types = np.asarray(self.products.types, dtype=object)
        same = (types[:, None] == types[None, :]).astype(np.float64)
        np.fill_diagonal(same, 0.0)
        return np.asarray(same)

    def to_json(self) -> dict[str, Any]:
        """Return all but the arrays of `collaborative` in a plain form."""
        sources = {name: list(columns) for name, columns in self.sources.items()}
        return {
            "products": self.products.to_json(),
            "categories": list(self.collaborative.categories),
            "sources": sources,
        }

    @classmethod
    def restore(cls, plain: Mapping[str, Any], arrays: Mapping[str, Floats]) -> PairFeatures:
        """Return what `to_json` and ``collaborative.arrays()`` describe."""
        collaborative = Collaborative(tuple(plain["categories"]), arrays["interest"], arrays["coholding"])
        sources = {name: tuple(columns) for name, columns in plain.get("sources", {}).items()}
        return cls(Products.from_json(plain["products"]), collaborative, sources)


def fit_pair_features(
    features: FeatureTable,
    products: Products,
    *,
    spend_map: SpendMap | None = None,
    without: frozenset[str] = frozenset(),
) -> PairFeatures:
    """Return pair features, all but those `without`, with collaborative signals learned from one snapshot."""
    held = held_flags(features, products)
    collaborative = fit_collaborative(features, held, products.types, spend_map=spend_map)
    return PairFeatures(products, collaborative, _sources(features, products), without)


def _sources(features: FeatureTable, products: Products) -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = {n: (column,) for n, column in _ONE_COLUMN.items() if column in features.names}
    if spend := tuple(name for name in features.names if name.startswith(SPEND)):
        out["spend_interest"] = spend
    for measure, columns in features.measures.items():
        named = tuple(columns[p] for p in products.ids if p in columns)
        out |= dict.fromkeys(("coholding", "type_held") if measure == "held" else (measure,), named)
    return {name: columns for name, columns in out.items() if name in (*_ONE_COLUMN, *_SIGNALS, *HISTORY)}


def coverage(pairs: PairFeatures, features: FeatureTable) -> dict[str, float]:
    """Return for each collaborative signal the share of customers for whom it is not cold (0 for all products)."""
    columns = pairs.columns(features)
    return {
        name: float((columns[name].matrix() != 0).any(axis=1).mean()) if len(features) else 0.0
        for name in ("spend_interest", "coholding")
        if name in columns
    }


def held_flags(features: FeatureTable, products: Products) -> npt.NDArray[Any]:
    """Return (n, P) of 0 and 1, one byte each: held when the features were taken."""
    columns = features.measures.get("held", {})
    if len(features) <= HANDFUL and all(features.column(c).kind == "flag" for c in columns.values()):
        cells = [features.cells(columns[p]) if p in columns else [None] * len(features) for p in products.ids]
        return np.array([[v is True for v in row] for row in cells], dtype=np.uint8).reshape(len(cells), -1).T
    arrays = {j: features.array(columns[p]) for j, p in enumerate(products.ids) if p in columns}
    if not all(pa.types.is_boolean(a.type) for a in arrays.values()):
        return np.nan_to_num(features.per_product("held", products.ids))
    out = np.zeros((len(features), len(products)), dtype=np.uint8)
    for j, array in arrays.items():
        write_flags(array, out[:, j], no=0, yes=1)
    return out


def _kinds(features: FeatureTable, segments: tuple[str, ...]) -> Indices:
    """Return 0 where a customer's segment is not known, 1 where no product is made for it, else 2 and its place."""
    if len(features) <= HANDFUL:
        texts = features.cells("segment")
        found = [0 if t is None else 2 + segments.index(t) if t in segments else 1 for t in texts]
        return np.array(found, dtype=np.intp)
    values = features.array("segment").cast(pa.string())
    place = pc.index_in(values, value_set=pa.array(segments, pa.string()), skip_nulls=True)
    known = np.asarray(pc.is_valid(values).to_numpy(zero_copy_only=False))
    places = np.asarray(place.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.intp)
    return np.asarray(np.where(known, places + 2, 0), dtype=np.intp)
