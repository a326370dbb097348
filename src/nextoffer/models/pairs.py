"""Pair features: what is known of one customer and one product together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nextoffer.models.collaborative import Collaborative, SpendMap, fit_collaborative
from nextoffer.models.products import Products
from nextoffer.tables.flow import FeatureTable, Floats

HISTORY = ("offers", "accepts", "days_since_offer", "times_opened", "days_since_closed")
"""Measures that the features keep once per product; a pair sees its own product's."""


@dataclass(frozen=True)
class PairFeatures:
    """Computes the pair features of n customers × P products; learned from one snapshot of customers."""

    products: Products
    collaborative: Collaborative

    def values(self, features: FeatureTable) -> dict[str, Floats]:
        """Return each pair feature that this bank's tables can give, float64 (n, P), NaN where not known."""
        shape = (len(features), len(self.products))
        names = {c.name for c in features.columns}
        measures = {c.measure for c in features.columns}
        out: dict[str, Floats] = {}
        if "income" in names and np.isfinite(self.products.min_income).any():
            floor = np.where(self.products.min_income > 0, self.products.min_income, np.nan)
            out["income_ratio"] = features.numbers("income")[:, None] / floor
        if "segment" in names and any(self.products.segment_bias):
            out["segment_match"] = _segment_match(features, self.products)
        if self.collaborative.categories:
            out["spend_interest"] = self.collaborative.spend_interest(features)
        if "held" in measures:
            held = held_matrix(features, self.products)
            out["coholding"] = self.collaborative.coholding_affinity(held)
            out["type_held"] = _type_held(held, self.products)
        for measure in HISTORY:
            if measure in measures:
                out[measure] = features.per_product(measure, self.products.ids)
        return {name: np.broadcast_to(value, shape) for name, value in out.items()}

    def to_json(self) -> dict[str, Any]:
        """Return all but the arrays of `collaborative` in a plain form."""
        return {"products": self.products.to_json(), "categories": list(self.collaborative.categories)}

    @classmethod
    def restore(cls, plain: Mapping[str, Any], arrays: Mapping[str, Floats]) -> PairFeatures:
        """Return what `to_json` and ``collaborative.arrays()`` describe."""
        collaborative = Collaborative(tuple(plain["categories"]), arrays["interest"], arrays["coholding"])
        return cls(Products.from_json(plain["products"]), collaborative)


def fit_pair_features(features: FeatureTable, products: Products, *, spend_map: SpendMap | None = None) -> PairFeatures:
    """Return pair features with collaborative signals learned from one snapshot of customers."""
    held = held_matrix(features, products)
    return PairFeatures(products, fit_collaborative(features, held, products.types, spend_map=spend_map))


def coverage(pairs: PairFeatures, features: FeatureTable) -> dict[str, float]:
    """Return for each collaborative signal the share of customers for whom it is not cold (0 for all products)."""
    values = pairs.values(features)
    return {
        name: float((values[name] != 0).any(axis=1).mean()) if len(features) else 0.0
        for name in ("spend_interest", "coholding")
        if name in values
    }


def held_matrix(features: FeatureTable, products: Products) -> Floats:
    """Return (n, P) of 0 and 1: held when the features were taken."""
    return np.nan_to_num(features.per_product("held", products.ids))


def _segment_match(features: FeatureTable, products: Products) -> Floats:
    segments = features.texts("segment")
    known = np.array([s is not None for s in segments], dtype=bool)
    out = np.full((len(features), len(products)), np.nan)
    for j, bias in enumerate(products.segment_bias):
        if bias is not None:
            out[known, j] = segments[known] == bias
    return out


def _type_held(held: Floats, products: Products) -> Floats:
    types = np.asarray(products.types)
    out = np.zeros_like(held)
    for j, kind in enumerate(products.types):
        others = (types == kind) & (np.arange(len(types)) != j)
        out[:, j] = held[:, others].sum(axis=1)
    return out
