"""A bank of three customers and four products in which every rule can be followed by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa

from nextoffer.policy.batch import Batch
from nextoffer.policy.catalogue import Catalogue
from nextoffer.policy.decide import Decided, DecisionIds, decide
from nextoffer.policy.file import Policy
from nextoffer.tables.flow import FeatureColumn, FeatureTable, Floats, Indices, RuleFacts

AS_OF = date(2025, 10, 11)
IDS = DecisionIds(AS_OF, "model", 7)
NO = np.zeros((3, 4), dtype=bool)


class FlatScores:
    """Log-odds as given, all of them owed to the intercept."""

    features: tuple[str, ...] = ("income",)

    def __init__(self, log_odds: object) -> None:
        self.log_odds = np.array(log_odds, dtype=np.float32)
        self.intercept = np.float32(0)
        self.average = np.zeros((self.log_odds.shape[1], 1), dtype=np.float32)

    def contributions(self, rows: Indices, cols: Indices) -> np.ndarray:
        assert rows.shape == cols.shape
        return np.zeros((len(rows), 1), dtype=np.float32)

    def pair_values(self, rows: Indices, cols: Indices) -> dict[str, Floats]:
        assert rows.shape == cols.shape
        return {}


def bank(**products: list[object]) -> Batch:
    """Return three customers (income 4.2, 10 and unknown) who like products 10, 11, 12, 13 in this order."""
    features = FeatureTable(
        pa.table(
            {
                "customer_id": pa.array(["ann", "bob", "cid"]),
                "income": pa.array([4.2, 10.0, None]),
                "channel_pref": pa.array(["web", None, "branch"]),
            }
        ),
        (
            FeatureColumn("income", "Income", "profile", "relationship", "number"),
            FeatureColumn("channel_pref", "Preferred channel", "profile", "relationship", "category"),
        ),
        AS_OF,
    )
    columns = {"product_id": [10, 11, 12, 13], "product_type": ["loan", "loan", "card", "card"], **products}
    facts = RuleFacts(held=NO.copy(), consent=None, contacts=np.zeros((3, 1), dtype=np.int64))
    return Batch(FlatScores([[2.0, 1.0, 0.0, -1.0]] * 3), facts, features, pa.table(columns))


def with_facts(batch: Batch, **changes: object) -> Batch:
    return replace(batch, facts=replace(batch.facts, **changes))


def decided(batch: Batch, policy: Policy | None = None) -> Decided:
    policy = policy or Policy()
    parts = (batch.scores, batch.facts, batch.features, batch.products)
    return decide(*parts, policy=policy, catalogue=Catalogue.packaged(), ids=IDS)


def offers(result: Decided) -> dict[str, list[int]]:
    """Return each customer's products, best first."""
    found: dict[str, list[int]] = {}
    for row in result.decisions.select(["customer_id", "product_id"]).to_pylist():
        found.setdefault(row["customer_id"], []).append(row["product_id"])
    return found


def refusals(result: Decided) -> dict[tuple[str, int], str]:
    """Return the rule that stopped each pair not offered."""
    return {(r["customer_id"], r["product_id"]): r["rule"] for r in result.refusals.to_pylist()}
