"""What a model remembers of the day of its fit, to tell later how far the bank has moved on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from nextoffer.evaluate.reference import Reference
from nextoffer.keyed import uniform
from nextoffer.models.products import Products
from nextoffer.models.ranker import Ranker, sigmoid
from nextoffer.tables.flow import FeatureTable

MOST = 20_000
"""Customers that a reference is counted from, drawn by key where there are more."""
_FILE = "reference.json"


def reference_of(features: FeatureTable, ranker: Ranker, products: Products, *, seed: int) -> Reference:
    """Return how features and propensities are spread over these customers, or over about `MOST` of them."""
    if len(features) > MOST:
        drawn = uniform(seed, "reference", features.customer_ids) < MOST / len(features)
        features = FeatureTable(features.data.filter(pa.array(drawn)), features.columns, features.as_of)
    propensities = sigmoid(np.asarray(ranker.score(features, products).log_odds))
    return Reference.measure(features, propensities, products.ids)


def remembering(reference: Reference, folder: Path) -> None:
    """Write a reference into the folder of a model."""
    (folder / _FILE).write_text(reference.to_json(), encoding="utf-8")


def remembered(folder: Path) -> Reference | None:
    """Return the reference in the folder of a model; None where there is none."""
    path = folder / _FILE
    return Reference.from_json(path.read_text(encoding="utf-8")) if path.is_file() else None
