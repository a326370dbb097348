"""The one path from scores to offers: a pure function over a batch of customers.

The same customer gets the same decisions alone, in a batch of a million, and in any partition: nothing here adds up
over customers, and chance is keyed by seed, customer and product.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer import keyed
from nextoffer.policy.batch import Batch, Pairs
from nextoffer.policy.catalogue import Catalogue
from nextoffer.policy.file import Policy
from nextoffer.policy.ranking import OFFERED, Ranking, ranked
from nextoffer.policy.reasons import reasons_for
from nextoffer.policy.stages import RULES, stage_of
from nextoffer.tables.flow import (
    FeatureTable,
    Floats,
    Indices,
    RuleFacts,
    Scores,
    decisions_schema,
    refusals_schema,
)


@dataclass(frozen=True)
class DecisionIds:
    """What is written on every decision of a run.

    Attributes
    ----------
    as_of
        The day decided for.
    model_id
        The model that scored.
    seed
        Of all that is left to chance.
    """

    as_of: date
    model_id: str
    seed: int


@dataclass(frozen=True)
class Decided:
    """Every pair of a batch exactly once: offered, or refused.

    Attributes
    ----------
    decisions
        Customers in the order they came, each with ranks 1..k; columns of `decisions_schema`.
    refusals
        Every other pair, customers and products in the order they came; columns of `refusals_schema`.
    """

    decisions: pa.Table
    refusals: pa.Table


def decide(  # noqa: PLR0913  the four tables a decision rests on, and the three things it is made with
    scores: Scores,
    facts: RuleFacts,
    features: FeatureTable,
    products: pa.Table,
    *,
    policy: Policy,
    catalogue: Catalogue,
    ids: DecisionIds,
) -> Decided:
    """Return the offers to n customers out of P products, with their reasons, and why every other pair is refused.

    Parameters
    ----------
    scores
        Log-odds (n, P) and their parts.
    facts
        Who holds what, consents and earlier contacts: held (n, P), consent (n,), contacts (n,).
    features
        n customers, in the rows of `scores`.
    products
        P products, in the columns of `scores`: product_id, product_type, and whatever else there is of the contract.
    policy, catalogue
        Which offers are allowed, and what may be said of them.
    ids
        What is written on every decision.

    Raises
    ------
    PolicyError
        The inputs do not describe the same customers and products, a score is not a number, or a reason of the bank's
        own does not fit its columns.
    """
    batch = Batch(scores, facts, features, products)
    ranking = ranked(batch, policy, ids.seed)
    return Decided(_decisions(batch, ranking, policy=policy, catalogue=catalogue, ids=ids), _refusals(batch, ranking))


def _decisions(batch: Batch, ranking: Ranking, *, policy: Policy, catalogue: Catalogue, ids: DecisionIds) -> pa.Table:
    rows, cols = ranking.rows, ranking.cols
    propensity = ranking.propensity[rows, cols]
    reasons = reasons_for(Pairs(batch, rows, cols), catalogue, limits=policy.reasons)
    columns = {
        "customer_id": _taken(batch.features.customer_ids, rows),
        "rank": _ranks(rows),
        "product_id": _taken(batch.products.column("product_id"), cols),
        "product_type": _taken(batch.products.column("product_type"), cols),
        "score": ranking.score[rows, cols],
        "propensity": propensity,
        "expected_value": pa.array(_expected_value(batch, propensity, cols), from_pandas=True),
        "channel": _channel(batch, rows),
        "reasons": reasons.texts,
        "reason_codes": reasons.codes,
        "pscore": np.ones(len(rows)),
        "decision_id": _decision_ids(batch, ranking, policy, ids),
        "as_of": _constant(ids.as_of, pa.date32(), len(rows)),
        "model_id": _constant(ids.model_id, pa.string(), len(rows)),
        "policy_id": _constant(policy.policy_id, pa.string(), len(rows)),
    }
    schema = decisions_schema(columns["customer_id"].type, columns["product_id"].type)
    return pa.table([pa.array(columns[f.name]).cast(f.type) for f in schema], schema=schema)


def _refusals(batch: Batch, ranking: Ranking) -> pa.Table:
    refused = np.flatnonzero(ranking.rule != OFFERED)
    rows, cols = np.divmod(refused, max(1, batch.shape[1]))
    rule = pa.array(ranking.rule.ravel()[refused])
    customer_id = _taken(batch.features.customer_ids, rows)
    product_id = _taken(batch.products.column("product_id"), cols)
    stages = pa.array([stage_of(name) for name in RULES])
    return pa.table(
        [customer_id, product_id, stages.take(rule), pa.array(RULES).take(rule)],
        schema=refusals_schema(customer_id.type, product_id.type),
    )


def _taken(values: pa.ChunkedArray, at: Indices) -> pa.Array:
    return values.combine_chunks().take(pa.array(at))


def _ranks(rows: Indices) -> npt.NDArray[np.int32]:
    """Return 1, 2, … within each run of equal rows."""
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    return (np.arange(len(rows)) - np.repeat(starts, lengths) + 1).astype(np.int32)


def _expected_value(batch: Batch, propensity: Floats, cols: Indices) -> Floats:
    """Return propensity × margin − cost in the bank's currency: NaN without a margin; a cost not known is 0."""
    cost = np.nan_to_num(batch.product_column("cost"), nan=0.0)
    value: Floats = propensity * batch.product_column("margin")[cols] - cost[cols]
    return value


def _channel(batch: Batch, rows: Indices) -> pa.Array:
    """Return the channel each customer prefers, null where it is not known."""
    if batch.kinds.get("channel_pref") != "category":
        return pa.nulls(len(rows), pa.string())
    return _taken(batch.features.data.column("channel_pref"), rows)


def _decision_ids(batch: Batch, ranking: Ranking, policy: Policy, ids: DecisionIds) -> pa.Array:
    """Return 24 hexadecimal digits per offer: 16 for the customer, 8 for the product, each keyed by the run.

    A run is a day, model, policy and seed, so that repeating it gives the same ids. A customer's offers of one run
    share their beginning.
    """
    run = f"{ids.as_of.isoformat()} {ids.model_id} {policy.policy_id} {ids.seed}"
    key = int.from_bytes(sha256(run.encode()).digest()[:8])
    customers, products = batch.features.customer_ids, batch.products.column("product_id")
    lanes = (
        _bits32(key, "high", customers)[ranking.rows],
        _bits32(key, "low", customers)[ranking.rows],
        _bits32(key, "product", products)[ranking.cols],
    )
    return _hexadecimal(np.stack(lanes, axis=1))


def _bits32(key: int, purpose: str, ids: pa.ChunkedArray) -> npt.NDArray[np.uint32]:
    return (keyed.uniform(key, purpose, ids) * 2.0**32).astype(np.uint32)


def _hexadecimal(words: npt.NDArray[np.uint32]) -> pa.Array:
    """Return each row of k words as a text of 8 k digits."""
    count, width = len(words), 8 * words.shape[1]
    digits = np.frombuffer(words.astype(">u4").tobytes().hex().encode(), dtype=np.uint8)
    offsets = np.arange(count + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(digits))


def _constant(value: object, kind: pa.DataType, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), count)
