"""Puts each customer's open products in order, best first; equal ones stand in keyed random order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from nextoffer import compiled, keyed
from nextoffer.policy import kernels
from nextoffer.policy.batch import Batch
from nextoffer.policy.logic import Mask
from nextoffer.tables.flow import Floats, Indices

Rules = npt.NDArray[np.int8]
LogOdds = npt.NDArray[np.float32]
Columns = npt.NDArray[np.int16]
Keys = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]
_Sortable = npt.NDArray[np.floating[Any]]

_APART = {np.dtype(np.float32): (kernels.NEAR, kernels.LOWEST, kernels.HIGHEST)}
_EXACT = (np.float64(0.0), np.float64(-np.inf), np.float64(np.inf))


@dataclass(frozen=True)
class Order:
    """The first k ranks of n customers, before the limits on the number of offers.

    Attributes
    ----------
    cols
        int16 (n, k): the products, best first, −1 beyond the open ones.
    chance
        float64 (n, k): the probability that the policy gives this rank to this product, given the ranks before; None
        where nothing is left to chance.
    """

    cols: Columns
    chance: Floats | None = None


def propensity(log_odds: LogOdds) -> Floats:
    """Return P(accept) for log-odds."""
    return np.asarray(expit(log_odds.astype(np.float64)))


def by_log_odds(log_odds: LogOdds, rule: Rules, most: int, keys: Keys, seed: int) -> Columns:
    """Return int16 (n, most): the columns of each row's best open pairs by propensity, best first, −1 beyond them.

    Parameters
    ----------
    log_odds
        float32 (n, P).
    rule
        int8 (n, P): negative where the pair is open.
    keys
        Of the customers (n,) and products (P,), for the order of equal ones.
    """
    wide = min(most + 1, log_odds.shape[1])
    order, close = _front(log_odds, rule, wide)
    tied = np.flatnonzero(close)
    if tied.size:
        order[tied] = _settled(propensity(log_odds[tied]), rule[tied], _ties(keys, tied, seed), wide)
    return order[:, :most]


def by_score(score: Floats, rule: Rules, most: int, keys: Keys, seed: int) -> Columns:
    """Return the same by a score, float64 (n, P), of which every open pair's is a number."""
    wide = min(most + 1, score.shape[1])
    order, close = _front(score, rule, wide)
    tied = np.flatnonzero(close)
    if tied.size:
        order[tied] = _settled(score[tied], rule[tied], _ties(keys, tied, seed), wide)
    return order[:, :most]


def ties(batch: Batch, rows: Indices, seed: int) -> Floats:
    """Return the number that orders equal scores, uniform (len(rows), P); the smaller goes first."""
    return _ties(batch.keys, rows, seed)


def _ties(keys: Keys, rows: Indices, seed: int) -> Floats:
    return keyed.uniform(seed, "tie", keys[0][rows], keys[1])


def _settled(score: Floats, rule: Rules, tie: Floats, most: int) -> Columns:
    exact = np.lexsort((tie, np.where(rule < 0, -score, np.inf)), axis=1)[:, :most]
    return np.where(np.take_along_axis(rule, exact, axis=1) < 0, exact, -1).astype(np.int16)


def _front(key: _Sortable, rule: Rules, most: int) -> tuple[Columns, Mask]:
    """Return the columns (n, most) of each row's best open pairs, best first, −1 beyond, and who may have ties."""
    if not compiled.ready():
        return _front_by_numpy(key, rule, most)
    order, close = np.empty((len(rule), most), dtype=np.int16), np.empty(len(rule), dtype=np.bool_)
    kernels.front(np.ascontiguousarray(key), rule, order, close, *_APART.get(key.dtype, _EXACT))
    return order, close


def _front_by_numpy(key: _Sortable, rule: Rules, most: int) -> tuple[Columns, Mask]:
    near, lowest, highest = _APART.get(key.dtype, _EXACT)
    falling = np.where(rule < 0, -np.maximum(key, np.finfo(key.dtype).min), key.dtype.type(np.inf))
    some = most < key.shape[1]
    order = np.argpartition(falling, most - 1, axis=1)[:, :most] if some else np.argsort(falling, axis=1)
    order = np.take_along_axis(order, np.argsort(np.take_along_axis(falling, order, axis=1), axis=1), axis=1)
    open_ = np.take_along_axis(rule, order, axis=1) < 0
    best = np.take_along_axis(key, order, axis=1)
    above, below = best[:, :-1], best[:, 1:]
    with np.errstate(invalid="ignore"):
        close = ~(above - below > near) | (below > highest) | (above < lowest)
    return np.where(open_, order, -1).astype(np.int16), np.asarray((close & open_[:, 1:]).any(axis=1))
