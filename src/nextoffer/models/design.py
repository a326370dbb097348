"""The training matrix of the glass box: every customer, pair and product column as bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nextoffer.models.attributes import Attributes, learn_attributes
from nextoffer.models.coding import Codes, Coding, code_table, learn_codings, number_coding
from nextoffer.models.pairs import HISTORY
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable

PRODUCT = "product.product_id"


@dataclass(frozen=True)
class Design:
    """m training pairs in bins.

    Attributes
    ----------
    columns
        The codings of F customer features, then G pair features, then the product.
    codes
        uint16 (m, F + G + 1).
    attributes
        Standardised attributes of the F customer features.
    customers, pairs
        F and G.
    """

    columns: tuple[Coding, ...]
    codes: Codes
    attributes: Attributes
    customers: int
    pairs: int

    @classmethod
    def of(cls, training: Training) -> Design:
        """Return the design of a training set; columns that never vary are left out."""
        names = customer_features(training.snapshots[-1])
        codings = learn_codings(training.snapshots, names)
        stacked = np.concatenate([code_table(codings, s) for s in training.snapshots])
        varies = [i for i in range(len(codings)) if len(stacked) and stacked[:, i].min() != stacked[:, i].max()]
        codings, stacked = tuple(codings[i] for i in varies), stacked[:, varies]
        attributes = learn_attributes(codings, training.snapshots, stacked)
        made = [(number_coding(n, v), v) for n, v in training.pair_values.items()]
        coded = [(coding, coding.codes(v)) for coding, v in made]
        coded = [(coding, c) for coding, c in coded if c.min() != c.max()]
        product = Coding(PRODUCT, "category", categories=training.products.ids)
        codes = np.column_stack(
            [stacked[training.stacked_rows], *(c for _, c in coded), (training.cols + 1).astype(np.uint16)]
        ).astype(np.uint16)
        return cls((*codings, *(c for c, _ in coded), product), codes, attributes, len(codings), len(coded))

    @property
    def product(self) -> int:
        """Column number of the product."""
        return len(self.columns) - 1

    def product_interactions(self) -> list[tuple[int, int]]:
        """Return the product with every other column: these alone, and pair terms, can change a customer's order."""
        return [(self.product, i) for i in range(self.product)]


def customer_features(features: FeatureTable) -> list[str]:
    """Return the columns a model may learn from as properties of the customer (own-product history is a pair's)."""
    return [c.name for c in features.columns if c.purpose != "rule" and c.measure not in HISTORY]
