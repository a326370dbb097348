"""The recipe against the reference notebook's own world: what follows from its tables must come out the same."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextoffer.simulate.reference import rows, truth, world
from tests.simulate.worlds import SEED_WORLD, pairs, reference_tables

pytestmark = pytest.mark.skipif(not SEED_WORLD.exists(), reason="needs ../shared/data/seed_world")

SHAPE = (1200, 12)
WORLDS = range(101, 113)


def _seed(name: str) -> pa.Table:
    return pq.read_table(SEED_WORLD / f"{name}.parquet")


def _index(column: pa.ChunkedArray, names: tuple[str, ...]) -> np.ndarray:
    return np.array([names.index(value) for value in column.to_pylist()])


def _people() -> world.Customers:
    c = _seed("customers")
    return world.Customers(
        ids=c["customer_id"].to_numpy(),
        age=c["age"].to_numpy(),
        income=c["income"].to_numpy(),
        city_tier=c["city_tier"].to_numpy(),
        channel=_index(c["channel_pref"], tuple(world.CHANNELS)),
        segment=_index(c["segment"], tuple(world.SEGMENTS)),
        salary_day=c["salary_day"].to_numpy(),
    )


def _products() -> world.Products:
    p = _seed("products")
    return world.Products(
        ids=p["product_id"].to_numpy(),
        kind=np.array(p["product_type"].to_pylist()),
        min_income=p["min_income"].to_numpy(),
        bias=np.array(p["segment_bias"].to_pylist()),
        premium=p["is_premium"].to_numpy() == 1,
    )


def _purchases() -> world.Purchases:
    t = _seed("transactions")
    days = t["date"].to_pylist()
    unused = np.zeros(len(days), dtype=np.int64)
    back = np.array([(date(2025, 10, 25) - day).days for day in days])
    return world.Purchases(t["customer_id"].to_numpy(), unused, back, t["merchant_id"].to_numpy())


def test_its_noiseless_truth_follows_from_its_tables() -> None:
    people = _people()
    latent = truth.plain_latent(people) + 0.5 * truth.standardised(truth.salary_share(people, _purchases()))
    expected = np.outer(truth.standardised(latent), truth.standardised(truth.product_latent(_products())))
    assert pairs(_seed("truth"), "noiseless_score", SHAPE) == pytest.approx(expected, abs=1e-9)


def test_its_heuristic_follows_from_its_tables() -> None:
    evaluation, t = _seed("seed_evaluation"), _seed("transactions")
    popularity = evaluation.group_by("product_id").aggregate([("popularity", "max")]).sort_by("product_id")
    favourite = rows.favourite_category(t["customer_id"].to_numpy(), _index(t["mcc"], world.CATEGORIES), 1200)
    accepts = popularity["popularity_max"].to_numpy()
    tally = rows.Tally(np.ones(12, dtype=np.int64), accepts, favourite)
    found = rows.heuristic(_products(), _people(), tally)
    expected = pairs(evaluation, "heuristic", SHAPE)
    known = np.isfinite(expected)
    assert found[known] == pytest.approx(expected[known], abs=1e-12)


def _figures(tables: dict[str, pa.Table], evaluation: str) -> dict[str, float]:
    noiseless = pairs(tables["truth"], "noiseless_score", SHAPE)
    chance = 0.25 / (1 + np.exp(-pairs(tables["truth"], "true_score", SHAPE)))
    label = pairs(tables[evaluation], "label", SHAPE)
    eligible = np.isfinite(label)
    some = eligible.any(axis=1)

    def response(score: np.ndarray) -> float:
        top = np.where(eligible, score, -np.inf).argmax(axis=1)
        return float(chance[np.arange(len(top)), top][some].mean())

    return {
        "label rate": tables["responses"]["label"].to_numpy().mean(),
        "contacts": tables["responses"].num_rows,
        "transactions": tables["transactions"].num_rows,
        "mean amount": tables["transactions"]["amount"].to_numpy().mean(),
        "holdings": tables["holdings"].num_rows,
        "eligible pairs": eligible.sum(),
        "evaluation rate": label[eligible].mean(),
        "customers without a positive": float((np.nansum(label, axis=1) == 0)[some].mean()),
        "response, noiseless ceiling": response(noiseless),
        "response, oracle": response(chance),
        "response, heuristic": response(pairs(tables[evaluation], "heuristic", SHAPE)),
        "taste": (tables["truth"]["true_score"].to_numpy() - tables["truth"]["noiseless_score"].to_numpy()).std(),
    }


def test_other_worlds_are_like_it() -> None:
    """Each figure of the seed world lies within the spread of worlds, whose products differ much from seed to seed."""
    seed = _figures(
        {name: _seed(name) for name in ("truth", "responses", "transactions", "holdings", "seed_evaluation")},
        "seed_evaluation",
    )
    ours = [_figures(reference_tables(customers=1200, seed=s), "evaluation") for s in WORLDS]
    for name, value in seed.items():
        values = np.array([figures[name] for figures in ours])
        assert abs(value - values.mean()) < 4 * values.std(ddof=1), name
