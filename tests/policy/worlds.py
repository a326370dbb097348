"""Small banks with an additive model whose every part is known, for the tests of the policy room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa

from nextoffer.policy.batch import Batch
from nextoffer.policy.stats import FeatureStats
from nextoffer.tables.flow import FeatureColumn, FeatureTable, Floats, Indices, RuleFacts

AS_OF = date(2025, 10, 11)

NUMBERS = {
    "age": "Age",
    "income": "Income",
    "txn_recency_days": "Days since the last transaction",
    "txn_count": "Transactions",
    "txn_count_30d": "Transactions in 30 days",
    "txn_amount": "Amount spent",
    "salary_share": "Share of transactions around salary day",
    "mcc_share_travel": "Share of transactions on travel",
    "channel_share_mobile": "Share of transactions on mobile",
    "shoe_size": "Shoe size",
}
TEXTS = {
    "segment": ("Segment", ["Mass", "Affluent", "HNI"]),
    "channel_pref": ("Preferred channel", ["mobile", "web", "branch", "phone"]),
    "region": ("Region", ["north", "south"]),
}
FLAGS = {"held_0": "Holds the first product", "expat": "Lives abroad"}
COLUMNS = tuple(
    [FeatureColumn(name, label, "profile", "relationship", "number") for name, label in NUMBERS.items()]
    + [FeatureColumn(name, label, "profile", "relationship", "category") for name, (label, _) in TEXTS.items()]
    + [FeatureColumn(name, label, "profile", "relationship", "flag") for name, label in FLAGS.items()]
)
PAIRS = ("income_ratio", "segment_match", "spend_interest", "coholding", "offers", "accepts")
FEATURES = (*(c.name for c in COLUMNS), *(f"pair.{name}" for name in PAIRS), "product.popularity")
BINS = 7


@dataclass(frozen=True)
class ToyScores:
    """A lookup table of float32 parts per feature, product and bin; answers for the rows it is cut to."""

    bins: np.ndarray  # (n, P, F)
    tables: np.ndarray  # (F, P, BINS)
    intercept: np.ndarray
    average: np.ndarray
    values: Mapping[str, Floats]  # pair feature -> (n, P)
    features: tuple[str, ...] = FEATURES
    uncertainty: np.ndarray | None = None  # (n, P)
    unseen: np.ndarray | None = None  # (P,)

    @property
    def log_odds(self) -> np.ndarray:
        n, count, _ = self.bins.shape
        rows, cols = np.divmod(np.arange(n * count), count)
        total = np.full(n * count, np.float32(self.intercept))
        for part in self.contributions(rows, cols).T:
            total += part
        return total.reshape(n, count)

    def contributions(self, rows: Indices, cols: Indices) -> np.ndarray:
        out = np.empty((len(rows), len(self.features)), dtype=np.float32)
        for f, table in enumerate(self.tables):
            out[:, f] = table[cols, self.bins[rows, cols, f]]
        return out

    def pair_values(self, rows: Indices, cols: Indices) -> Mapping[str, Floats]:
        return {name: values[rows, cols] for name, values in self.values.items()}

    def take(self, rows: Indices) -> ToyScores:
        values = {name: v[rows] for name, v in self.values.items()}
        sd = None if self.uncertainty is None else self.uncertainty[rows]
        return replace(self, bins=self.bins[rows], values=values, uncertainty=sd)


def take(batch: Batch, rows: Indices) -> Batch:
    """Return the given customers of a batch, in the given order."""
    return Batch(batch.scores.take(rows), batch.facts.take(rows), batch.features.take(rows), batch.products)


def world(seed: int, *, n: int = 40, products: int = 6, nulls: float = 0.1, coarse: bool = False) -> Batch:
    """Return a bank of any content: random columns with nulls, random rules' facts, a random additive model.

    `coarse` models have few distinct parts, so that many scores tie.
    """
    rng = np.random.default_rng(seed)
    features = _features(rng, n, nulls)
    table = _products(rng, products, nulls)
    values = _pair_values(rng, features, table, nulls)
    facts = RuleFacts(
        held=rng.random((n, products)) < 0.15,
        consent=None if rng.random() < 0.3 else rng.random(n) < 0.8,
        contacts=rng.integers(0, 5, (n, 1)),
    )
    return Batch(_scores(rng, features, table, values, coarse), facts, features, table)


def stats_of(batch: Batch) -> FeatureStats:
    """Return the yardsticks of a bank, pair features and the products' popularity included."""
    n, count = batch.shape
    rows, cols = np.divmod(np.arange(n * count), count)
    return FeatureStats.measure(batch.features, batch.scores.pair_values(rows, cols))


def _features(rng: np.random.Generator, n: int, nulls: float) -> FeatureTable:
    data: dict[str, pa.Array] = {"customer_id": pa.array([f"c{i}" for i in range(n)])}
    for name in NUMBERS:
        values = np.round(rng.gamma(2.0, 12.0, n), rng.integers(0, 3))  # few digits make ties with the yardsticks
        data[name] = pa.array(values, mask=rng.random(n) < nulls)
    for name, (_, words) in TEXTS.items():
        data[name] = pa.array(np.array(words)[rng.integers(0, len(words), n)], mask=rng.random(n) < nulls)
    for name in FLAGS:
        data[name] = pa.array(rng.random(n) < 0.4, mask=rng.random(n) < nulls)
    return FeatureTable(pa.table(data), COLUMNS, AS_OF)


def _products(rng: np.random.Generator, count: int, nulls: float) -> pa.Table:
    return pa.table(
        {
            "product_id": pa.array(range(100, 100 + count)),
            "product_type": pa.array(np.array(["loan", "card", "fund"])[rng.integers(0, 3, count)]),
            "name": pa.array([f"Product {i}" for i in range(count)], mask=rng.random(count) < 0.3),
            "min_income": pa.array(np.round(rng.gamma(2.0, 8.0, count), 1), mask=rng.random(count) < nulls),
            "segment_bias": pa.array(np.array(["Mass", "Affluent", "HNI", "All"])[rng.integers(0, 4, count)]),
            "is_premium": pa.array(rng.random(count) < 0.4, mask=rng.random(count) < nulls),
            "family": pa.array(np.array(["a", "b"])[rng.integers(0, 2, count)], mask=rng.random(count) < 0.6),
            "tier": pa.array(rng.integers(1, 4, count).astype(float), mask=rng.random(count) < nulls),
            "margin": pa.array(rng.gamma(2.0, 100.0, count), mask=rng.random(count) < 0.3),
            "cost": pa.array(rng.gamma(2.0, 1.0, count), mask=rng.random(count) < 0.3),
            "active": pa.array(rng.random(count) < 0.9, mask=rng.random(count) < nulls),
            "popularity": pa.array(rng.random(count)),
        }
    )


def _pair_values(
    rng: np.random.Generator, features: FeatureTable, products: pa.Table, nulls: float
) -> dict[str, Floats]:
    n, count = len(features), products.num_rows
    least = products.column("min_income").to_numpy(zero_copy_only=False)
    bias = products.column("segment_bias").to_numpy(zero_copy_only=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = features.numbers("income")[:, None] / least[None, :]
    offers = rng.integers(0, 4, (n, count)).astype(float)
    values = {
        "income_ratio": np.where(np.isfinite(ratio), ratio, np.nan),
        "segment_match": (features.texts("segment")[:, None] == bias[None, :]).astype(float),
        "spend_interest": rng.random((n, count)),
        "coholding": np.round(rng.random((n, count)), 1),
        "offers": offers,
        "accepts": np.minimum(offers, rng.integers(0, 2, (n, count))),
    }
    for column in values.values():
        column[rng.random((n, count)) < nulls] = np.nan
    return values


def _scores(
    rng: np.random.Generator, features: FeatureTable, products: pa.Table, values: dict[str, Floats], coarse: bool
) -> ToyScores:
    n, count = len(features), products.num_rows
    bins = np.empty((n, count, len(FEATURES)), dtype=np.intp)
    for f, name in enumerate(FEATURES):
        bins[:, :, f] = _binned(rng, features, values, name, count)
    tables = rng.normal(0, 0.3, (len(FEATURES), count, BINS)).astype(np.float32)
    tables[rng.random(tables.shape) < 0.5] = 0
    if coarse:
        tables = np.round(tables * 2) / 2
        tables *= rng.random((len(FEATURES), 1, 1)) < 0.1
    average = rng.normal(0, 0.05, (count, len(FEATURES))).astype(np.float32)
    sd = rng.gamma(2.0, 0.2, (n, count)).astype(np.float32)
    unseen = rng.random(count) < 0.3
    return ToyScores(bins, tables.astype(np.float32), np.float32(-1.5), average, values, uncertainty=sd, unseen=unseen)


def _binned(
    rng: np.random.Generator, features: FeatureTable, values: dict[str, Floats], name: str, count: int
) -> np.ndarray:
    """Return the bin (n, P) of a feature's value; the last bin is null's."""
    if name.startswith("product."):
        return np.broadcast_to(rng.integers(0, BINS, count)[None, :], (len(features), count))
    if name.startswith("pair."):
        column = values[name.removeprefix("pair.")]
    elif name in TEXTS:
        words = TEXTS[name][1]
        codes = [np.nan if text is None else words.index(text) for text in features.texts(name)]
        column = np.broadcast_to(np.array(codes, dtype=float)[:, None], (len(features), count))
    else:
        column = np.broadcast_to(features.numbers(name)[:, None], (len(features), count))
    edges = np.sort(rng.choice(column[~np.isnan(column)], BINS - 2)) if (~np.isnan(column)).any() else np.zeros(0)
    return np.where(np.isnan(column), BINS - 1, np.searchsorted(edges, column, side="right").clip(0, BINS - 2))
