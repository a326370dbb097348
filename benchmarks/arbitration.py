"""Arbitration: pairs put in order per second, by propensity, by value and with exploration, beside what others do.

Usage: ``python benchmarks/arbitration.py [--customers 200000] [--json FILE]``

A synthetic bank of 24 products: who holds what, default risks, margins, and scores with their uncertainty. From scores
to offers with every pair's rule and every offer's numbers, chunk by chunk on one thread. Beside it, in the same run:
what a numpy script does (``argsort`` of propensity × margin where nothing is held, no rules, costs, ties or refusals),
and LightGBM ``predict`` (300 trees of 15 leaves on 64 columns, one thread), which only makes the scores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import expit

from nextoffer import compiled
from nextoffer.policy.arms import Arm
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.exploration import Exploration
from nextoffer.policy.file import Policy
from nextoffer.policy.objective import Arbitration, Context, Lever
from nextoffer.policy.offering import Offering
from nextoffer.policy.ranking import ranked
from nextoffer.policy.value import Value
from nextoffer.policy.worth import worth_of
from nextoffer.tables.flow import FeatureColumn, FeatureTable, RuleFacts

PRODUCTS = 24
CHUNK = 65_536
THOMPSON = 8_192
TOP = 5
DAY = date(2025, 10, 1)
TREES, LEAVES, NUMBERS, PREDICTED = 300, 15, 64, 100_000

CHANNELS = Value(contact_cost={"phone": 4.0, "mobile": 0.1}, pd=0.03)
WEIGHED = Arbitration(
    objective="value",
    context=(
        Context(when="channel_pref = 'mobile' and product.product_type = 'card'", weight=1.3),
        Context(when="income > 20", weight=1.1),
    ),
    lever=(Lever(product_type=("loan",), weight=1.5),),
)
POLICIES = {
    "propensity": Policy(),
    "value": Policy(value=CHANNELS, arbitration=Arbitration(objective="value")),
    "value, two contexts, a lever": Policy(value=CHANNELS, arbitration=WEIGHED),
    "incremental value, weights": Policy(
        value=CHANNELS, arbitration=WEIGHED.model_copy(update={"objective": "incremental_value"})
    ),
    "propensity, a random arm": Policy(arm=(Arm(name="random", share=0.05),)),
    "epsilon": Policy(exploration=Exploration(method="epsilon")),
    "thompson": Policy(exploration=Exploration(method="thompson")),
}


@dataclass(frozen=True)
class Scores:
    """Log-odds and their uncertainty, as a ranker gives them."""

    log_odds: npt.NDArray[np.float32]
    uncertainty: npt.NDArray[np.float32]
    features: tuple[str, ...] = ("income",)
    unseen = np.zeros(PRODUCTS, dtype=np.bool_)
    intercept = np.zeros(PRODUCTS, dtype=np.float32)
    average = np.zeros((PRODUCTS, 1), dtype=np.float32)

    def pair_values(self, *_: Any) -> dict[str, npt.NDArray[np.float64]]:
        """Return no pair feature."""
        return {}


@dataclass(frozen=True)
class World:
    """n customers, chunk by chunk."""

    customers: int

    @cached_property
    def offering(self) -> Offering:
        """The products."""
        rng = np.random.default_rng(0)
        kinds = np.array(["loan", "card", "fund"])[np.arange(PRODUCTS) % 3]
        return Offering(
            pa.table(
                {
                    "product_id": np.arange(PRODUCTS),
                    "product_type": kinds,
                    "margin": rng.gamma(2.0, 100.0, PRODUCTS),
                    "cost": rng.random(PRODUCTS),
                    "lgd": pa.array(np.full(PRODUCTS, 0.45), mask=kinds != "loan"),
                    "exposure": rng.gamma(2.0, 500.0, PRODUCTS),
                }
            )
        )

    @cached_property
    def chunks(self) -> list[tuple[Scores, RuleFacts, FeatureTable, npt.NDArray[np.float32]]]:
        """Scores, facts, features and propensities without an offer."""
        return [_chunk(start, min(CHUNK, self.customers - start)) for start in range(0, self.customers, CHUNK)]

    def batches(self, most: int) -> Iterator[Batch]:
        """Yield up to so many customers anew, with nothing worked out of them yet."""
        for scores, facts, features, natural in self.chunks[: -(-most // CHUNK)]:
            yield Batch.over(self.offering, scores, facts, features, natural=natural)


def _chunk(start: int, n: int) -> tuple[Scores, RuleFacts, FeatureTable, npt.NDArray[np.float32]]:
    rng = np.random.default_rng(start + 1)
    shape = (n, PRODUCTS)
    columns = {
        "income": ("number", pa.array(rng.gamma(2.0, 10.0, n))),
        "pd": ("number", pa.array(rng.random(n) * 0.1, mask=rng.random(n) < 0.05)),
        "channel_pref": ("category", pa.array(np.array(["mobile", "web", "phone"])[rng.integers(0, 3, n)])),
    }
    features = FeatureTable(
        pa.table({"customer_id": np.arange(start, start + n)} | {name: c for name, (_, c) in columns.items()}),
        tuple(FeatureColumn(name, name, "profile", "relationship", kind) for name, (kind, _) in columns.items()),
        DAY,
    )
    facts = RuleFacts(rng.random(shape) < 0.12, None, np.zeros((n, 1), dtype=np.int64))
    scores = Scores(rng.normal(-2.8, 0.9, shape).astype(np.float32), rng.gamma(4.0, 0.06, shape).astype(np.float32))
    return scores, facts, features, (rng.random(shape) * 0.03).astype(np.float32)


def main() -> None:
    """Run, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--json", type=Path, help="store the figures here")
    arguments = parser.parse_args()
    compiled.warm_up()
    result = measured(World(arguments.customers))
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measured(world: World) -> dict[str, Any]:
    """Return seconds per million pairs of each contender."""
    assert world.chunks  # made before the clock runs
    seconds = {name: _decided(world, policy) for name, policy in POLICIES.items()}
    seconds["numpy: argsort of propensity × margin"] = _timed(lambda: _greedy(world), world.customers)
    seconds["LightGBM: predict alone"] = _predicted()
    return {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "customers": world.customers,
        "products": PRODUCTS,
        "seconds per million pairs": seconds,
        "times as long as by propensity": {name: s / seconds["propensity"] for name, s in seconds.items()},
    }


def _decided(world: World, policy: Policy) -> float:
    book = Book(policy)
    most = min(world.customers, THOMPSON) if policy.exploration.method == "thompson" else world.customers

    def run() -> None:
        for batch in world.batches(most):
            mine = batch if most == world.customers else _first(batch, most)
            worth_of(mine, ranked(mine, book, 7))

    run()
    return _timed(run, most)


def _first(batch: Batch, count: int) -> Batch:
    """Return the first customers of a batch."""
    rows = np.arange(count)
    scores = Scores(batch.scores.log_odds[:count], batch.scores.uncertainty[:count])
    natural = None if batch.natural is None else batch.natural[:count]
    return Batch.over(batch.offering, scores, batch.facts.take(rows), batch.features.take(rows), natural=natural)


def _greedy(world: World) -> None:
    margin = world.offering.column("margin")
    for batch in world.batches(world.customers):
        score = expit(batch.scores.log_odds.astype(np.float64)) * margin
        score[batch.facts.held] = -np.inf
        best = np.argsort(-score, axis=1)[:, :TOP]
        np.take_along_axis(score, best, axis=1)


def _timed(run: Callable[[], None], customers: int) -> float:
    """Return the best of three runs in seconds per million pairs."""
    took = []
    for _ in range(3):
        began = perf_counter()
        run()
        took.append(perf_counter() - began)
    return min(took) / (customers * PRODUCTS / 1e6)


def _predicted() -> float:
    rng = np.random.default_rng(5)
    learn = rng.normal(size=(20_000, NUMBERS))
    labels = rng.random(20_000) < expit(learn[:, 0] - 2)
    settings = {"objective": "binary", "num_leaves": LEAVES, "verbose": -1, "num_threads": 1}
    forest = lightgbm.train(settings, lightgbm.Dataset(learn, labels), TREES)
    asked = rng.normal(size=(PREDICTED, NUMBERS))
    began = perf_counter()
    forest.predict(asked, num_threads=1)
    return (perf_counter() - began) / (PREDICTED / 1e6)


def table(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    lines = [f"{'':<40}{'s per M pairs':>14}{'M pairs/s':>12}{'× propensity':>14}"]
    for name, seconds in result["seconds per million pairs"].items():
        times = result["times as long as by propensity"][name]
        lines.append(f"{name:<40}{seconds:>14.4f}{1 / seconds:>12.2f}{times:>14.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
