"""Verifies on a sample that scores are the sums of their parts, alone as in a batch, and name nothing closed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.evaluate.validation_checks import Exactness
from nextoffer.run.namable import closed_columns
from nextoffer.run.sensitivity import Sampled
from nextoffer.tables.flow import Floats, Scores

SINGLES = 50
_SLOW = 1_000
"""Pairs that a ranker of trees explains for this; a scorecard explains all."""


def exactness(sampled: Sampled) -> Exactness:
    """Return what was found on a sample of customers with all products."""
    engine, known = sampled.engine, sampled.known
    desk = engine.desk(sampled.products, sampled.day)
    batch = desk.batch(known)
    once, twice = desk.decide(known).plain().decisions, desk.decide(known).plain().decisions
    same = once.num_rows == twice.num_rows and once.equals(twice)
    pairs, error = _error(batch.scores, batch.shape, engine.ranker.name == "lightgbm")
    leaks = tuple(sorted(_leaks(sampled)))
    return Exactness(
        pairs=pairs,
        error=error,
        singles=min(SINGLES, len(known.features)),
        alone=max(_alone(sampled, np.asarray(batch.scores.log_odds)), default=0.0),
        repeated=0 if same else _differing(once, twice),
        offers=once.num_rows,
        told=int(pc.sum(pc.greater(pc.list_value_length(once.column("reasons")), 0)).as_py() or 0),
        leaks=leaks,
        closed=len(closed_columns(sampled.bank.config)),
    )


def _error(scores: Scores, shape: tuple[int, int], slow: bool) -> tuple[int, float]:
    """Pairs looked at, and the largest distance of a score from the sum of its parts."""
    customers = min(shape[0], max(1, _SLOW // max(shape[1], 1))) if slow else shape[0]
    rows = np.repeat(np.arange(customers), shape[1])
    cols = np.tile(np.arange(shape[1]), customers)
    if not len(rows):
        return 0, 0.0
    constant = np.broadcast_to(np.asarray(scores.intercept, dtype=np.float64), (shape[1],))
    parts = scores.contributions(rows, cols).sum(axis=1, dtype=np.float64) + constant[cols]
    return len(rows), float(np.abs(parts - scores.log_odds[rows, cols]).max())


def _alone(sampled: Sampled, together: Floats) -> Iterator[float]:
    """How far the log-odds of each of the first customers lie from the same, scored alone."""
    engine, features = sampled.engine, sampled.known.features
    products = engine.desk(sampled.products, sampled.day).products
    for row in range(min(SINGLES, len(features))):
        one = engine.ranker.score(features.take(np.array([row])), products)
        yield float(np.abs(np.asarray(one.log_odds)[0] - together[row]).max(initial=0.0))


def _leaks(sampled: Sampled) -> Iterator[str]:
    """Closed columns that features, rules or reasons name."""
    engine = sampled.engine
    named = {column.name for column in engine.spec.columns} | engine.policy.reads | engine.catalogue.names
    yield from (name for name in closed_columns(sampled.bank.config) if name in named)


def _differing(once: pa.Table, twice: pa.Table) -> int:
    """Offers of which one table has another than the other."""
    keys = [
        {tuple(row.values()) for row in t.select(["customer_id", "rank", "product_id"]).to_pylist()}
        for t in (once, twice)
    ]
    return max(len(keys[0] ^ keys[1]), 1)
