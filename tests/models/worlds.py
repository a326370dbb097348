"""Toy banks for the models: features of customers, six products, and responses whose law is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.models.products import Products
from nextoffer.models.ranker import sigmoid
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureColumn, FeatureTable, Floats

AS_OF = date(2025, 10, 11)
BEFORE = date(2025, 9, 1)
IDS = ("11", "12", "13", "14", "15", "16")
TYPES = ("CC", "CC", "PL", "PL", "FD", "EL")

Law = Callable[[FeatureTable], Floats]
"""True log-odds (n, P) of n customers."""


def shelf(ids: Sequence[str] = IDS, types: Sequence[str] = TYPES) -> Products:
    """Return products with a minimum income, half of them made for a segment."""
    return Products(
        tuple(ids),
        tuple(types),
        np.array([20.0 + 10.0 * j if j % 3 else np.nan for j in range(len(ids))]),
        tuple("Affluent" if j % 2 else None for j in range(len(ids))),
    )


def customers(count: int, *, seed: int = 1, as_of: date = AS_OF, first: int = 1000) -> FeatureTable:
    """Return `count` random customers with every kind of column; one in ten values is not known."""
    draw = np.random.default_rng(seed)
    made = [
        (number("age"), draw.uniform(20, 70, count)),
        (number("income"), draw.lognormal(3.5, 0.5, count)),
        (category("segment"), draw.choice(["Mass", "Affluent", "HNI"], count, p=[0.5, 0.3, 0.2])),
        (number("txn_count", "activity"), draw.poisson(draw.lognormal(2.0, 1.0, count)).astype(float)),
        (number("mcc_spend_travel", "spend"), draw.lognormal(3.0, 1.5, count) * (draw.random(count) < 0.5)),
        (number("mcc_spend_electronics", "spend"), draw.lognormal(3.0, 1.5, count) * (draw.random(count) < 0.5)),
        (category("top_mcc_1", "spend"), draw.choice(["travel", "electronics", "groceries"], count)),
        (number("pd", "risk", purpose="rule"), draw.random(count)),
    ]
    blank = draw.random((len(made), count)) < 0.1
    arrays = [pa.array(v, mask=b) for (_, v), b in zip(made, blank, strict=True)]
    columns = [c for c, _ in made]
    for product in IDS:
        columns += [of_product("held", product), of_product("offers", product)]
        arrays += [pa.array(draw.random(count) < 0.25), pa.array(draw.poisson(0.5, count).astype(float))]
    return feature_table(columns, arrays, as_of=as_of, first=first)


def feature_table(
    columns: Sequence[FeatureColumn], arrays: Sequence[pa.Array], *, as_of: date = AS_OF, first: int = 1000
) -> FeatureTable:
    """Return a table of customers numbered from `first`."""
    ids = pa.array(np.arange(first, first + len(arrays[0]), dtype=np.int64))
    data = pa.table([ids, *arrays], names=["customer_id", *(c.name for c in columns)])
    return FeatureTable(data, tuple(columns), as_of)


def numbers(**columns: Floats) -> FeatureTable:
    """Return customers with these number columns and nothing else."""
    return feature_table([number(n) for n in columns], [pa.array(v, from_pandas=True) for v in columns.values()])


def holders(held: npt.NDArray[np.bool_]) -> FeatureTable:
    """Return customers of whom only the holdings (n, P) are known."""
    return feature_table([of_product("held", p) for p in IDS], [pa.array(column) for column in held.T])


def number(name: str, group: str = "profile", purpose: str = "relationship") -> FeatureColumn:
    return FeatureColumn(name, name, group, purpose, "number")  # type: ignore[arg-type]


def category(name: str, group: str = "profile") -> FeatureColumn:
    return FeatureColumn(name, name, group, "relationship", "category")  # type: ignore[arg-type]


def of_product(measure: str, product: str) -> FeatureColumn:
    group, kind = ("holdings", "flag") if measure == "held" else ("history", "number")
    return FeatureColumn(
        f"{measure}_{product}", f"{measure} {product}", group, "relationship", kind, measure=measure, product_id=product
    )


def offers(*snapshots: FeatureTable, law: Law, each: int = 3, seed: int = 2, weights: bool = False) -> Training:
    """Return `each` random offers per customer and snapshot, answered by the law; every weight 1, or 1 to 3."""
    draw = np.random.default_rng(seed)
    products = shelf()
    parts = []
    for place, features in enumerate(snapshots):
        rows = np.repeat(np.arange(len(features)), each)
        cols = draw.random((len(features), len(products))).argsort(axis=1)[:, :each].ravel()
        chance = sigmoid(law(features)[rows, cols])
        ids = features.customer_ids.to_numpy()[rows].view(np.uint64)
        parts.append((np.full(len(rows), place), rows, cols, draw.random(len(rows)) < chance, ids))
    place, rows, cols, labels, ids = (np.concatenate(column) for column in zip(*parts, strict=True))
    weighed = draw.integers(1, 4, len(rows)).astype(float) if weights else np.ones(len(rows))
    return Training(snapshots, products, place, rows, cols, labels.astype(float), weighed, ids)


def answered(training: Training, labels: Floats) -> Training:
    """Return the same offers with other answers."""
    return replace(training, labels=labels)


def seniority(features: FeatureTable) -> Floats:
    """Return age in standard deviations from its mean, 0 where not known."""
    return np.nan_to_num((features.numbers("age") - 45.0) / (50.0 / np.sqrt(12.0)))


def nothing_matters(features: FeatureTable) -> Floats:
    """Every pair has one chance in five."""
    return np.full((len(features), len(IDS)), np.log(0.25))


TASTE = np.array([1.0, 1.0, 0.5, -0.5, -1.0, -1.0])


def age_and_taste(features: FeatureTable) -> Floats:
    """A linear world of rank 1: the older want the first products, the younger the last."""
    return -1.0 + 1.2 * seniority(features)[:, None] * TASTE


CURVED = np.array([2.5, -2.5, 0.0, 2.5, -2.5, 0.0])


def curved_and_crossed(features: FeatureTable) -> Floats:
    """A U-shape that nothing linear sees, with a sign per product, and a step for everyone."""
    bowl = seniority(features) ** 2 - 1.0
    step = np.where(features.numbers("txn_count") > 10, 1.0, -0.5)
    return -1.0 + bowl[:, None] * CURVED + step[:, None]


def two_kinds(*, seed: int, each: int = 3) -> tuple[Training, Floats]:
    """Return offers of ten products of two types, with about 5 and 30 of 100 accepted, and the products' rates.

    The last product of each type was never offered.
    """
    draw = np.random.default_rng(seed)
    features = customers(1500, seed=seed)
    products = shelf([str(21 + j) for j in range(10)], ["CC"] * 5 + ["PL"] * 5)
    rates = sigmoid(np.log(np.where(np.arange(10) < 5, 0.05 / 0.95, 0.3 / 0.7)) + draw.normal(0, 0.1, 10))
    rows = np.repeat(np.arange(len(features)), each)
    cols = draw.choice(np.array([j for j in range(10) if j not in (4, 9)]), len(rows))
    labels = (draw.random(len(rows)) < rates[cols]).astype(float)
    ids = features.customer_ids.to_numpy()[rows].view(np.uint64)
    nought = np.zeros(len(rows), dtype=np.intp)
    return Training((features,), products, nought, rows, cols, labels, np.ones(len(rows)), ids), rates
