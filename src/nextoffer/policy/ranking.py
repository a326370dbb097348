"""Ranks each customer's allowed offers and names the rule that stopped every other pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import expit

from nextoffer import keyed
from nextoffer.errors import PolicyError
from nextoffer.policy.batch import Batch
from nextoffer.policy.file import Policy
from nextoffer.policy.stages import PAIR_RULES, RULES, TOP_N, WEEKLY_CAP, stops
from nextoffer.tables.flow import Floats, Indices

OFFERED = -1

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """What becomes of n customers × P products.

    Attributes
    ----------
    propensity
        float64 (n, P): P(accept).
    score
        float64 (n, P): what is sorted.
    rule
        int8 (n, P): position in `RULES` of the rule that stopped the pair, or `OFFERED`.
    rows, cols
        The offers: customers in order, each with its products best first.
    """

    propensity: Floats
    score: Floats
    rule: npt.NDArray[np.int8]
    rows: Indices
    cols: Indices


def ranked(batch: Batch, policy: Policy, seed: int) -> Ranking:
    """Return the offers of a batch, and the rule that stopped each other pair.

    Raises
    ------
    PolicyError
        A score is not a number.
    """
    propensity = expit(np.asarray(batch.scores.log_odds, dtype=np.float64))
    _check(propensity)
    score = propensity
    rule = _stopped(batch, policy, propensity)
    top = best_first(np.where(rule == OFFERED, -score, np.inf), policy.arbitration.top_n, batch, seed)
    open_count = (rule == OFFERED).sum(axis=1)
    place = np.arange(top.shape[1])
    allowed = np.minimum(open_count, room(batch, policy))
    offered = place < allowed[:, None]
    in_reach = place < open_count[:, None]
    rule[rule == OFFERED] = RULES.index(TOP_N)
    row = np.broadcast_to(np.arange(len(top))[:, None], top.shape)
    rule[row[in_reach], top[in_reach]] = RULES.index(WEEKLY_CAP)
    rule[row[offered], top[offered]] = OFFERED
    return Ranking(propensity, score, rule, row[offered], top[offered])


def room(batch: Batch, policy: Policy) -> Counts:
    """Return how many more offers the contact cap allows each customer, int64 (n,)."""
    return np.asarray(np.maximum(0, policy.contact.cap - batch.facts.contacts), dtype=np.int64)


def best_first(key: Floats, most: int, batch: Batch, seed: int) -> Indices:
    """Return the columns of each row's `most` smallest keys, smallest first; equal finite keys in keyed random order.

    Parameters
    ----------
    key
        float64 (n, P); infinite where the pair is out.
    """
    order = _smallest(key, most + 1)
    ordered = np.take_along_axis(key, order, axis=1)
    tied = np.flatnonzero(((ordered[:, 1:] == ordered[:, :-1]) & np.isfinite(ordered[:, 1:])).any(axis=1))
    if tied.size:
        order[tied] = np.lexsort((ties(batch, tied, seed), key[tied]), axis=1)[:, : most + 1]
    return order[:, :most]


def _smallest(key: Floats, most: int) -> Indices:
    """Return the columns of each row's `most` smallest keys, smallest first; equal keys in any order."""
    if most >= key.shape[1]:
        return np.argsort(key, axis=1)
    front = np.argpartition(key, most - 1, axis=1)[:, :most]
    return np.take_along_axis(front, np.argsort(np.take_along_axis(key, front, axis=1), axis=1), axis=1)


def ties(batch: Batch, rows: Indices, seed: int) -> Floats:
    """Return the number that orders equal scores, uniform (len(rows), P); the smaller goes first."""
    customers = batch.features.customer_ids.take(pa.array(rows))
    return keyed.uniform(seed, "tie", customers, batch.products.column("product_id"))


def _stopped(batch: Batch, policy: Policy, propensity: Floats) -> npt.NDArray[np.int8]:
    """Return the first of the rules on single pairs that stops each pair, or `OFFERED`."""
    rule = np.full(batch.shape, OFFERED, dtype=np.int8)
    for name in reversed(PAIR_RULES):
        np.copyto(rule, np.int8(RULES.index(name)), where=stops(name, batch, policy, propensity))
    return rule


def _check(propensity: Floats) -> None:
    missing = int(np.isnan(propensity).sum())
    if missing:
        raise PolicyError(f"{missing} of {propensity.size} scores are not numbers, so these pairs cannot be ranked")
