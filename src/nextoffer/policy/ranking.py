"""Ranks each customer's allowed offers and names the rule that stopped every other pair.

The propensity rises with the log-odds, so pairs are ranked by these and only the offers' propensities are computed.
Where two log-odds are so close that their propensities may be equal, they are compared as propensities, and equal ones
stand in keyed random order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from nextoffer import compiled, keyed
from nextoffer.errors import PolicyError
from nextoffer.policy import kernels
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.contact import Room, room
from nextoffer.policy.logic import Mask
from nextoffer.tables.flow import Floats, Indices

OFFERED = -1

Rules = npt.NDArray[np.int8]
LogOdds = npt.NDArray[np.float32]
Columns = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Ranking:
    """What becomes of n customers × P products.

    Attributes
    ----------
    book
        The rules.
    log_odds
        float32 (n, P): of acceptance.
    rule
        int8 (n, P): place in the book's names of what stopped the pair, or `OFFERED`.
    rows, cols
        The offers: customers in order, each with its products best first.
    """

    book: Book
    log_odds: LogOdds
    rule: Rules
    rows: Indices
    cols: Indices

    @cached_property
    def propensity(self) -> Floats:
        """float64 (n, P): P(accept)."""
        return propensity(self.log_odds)

    @property
    def score(self) -> Floats:
        """float64 (n, P): what is sorted."""
        return self.propensity

    @cached_property
    def offered_propensity(self) -> Floats:
        """float64: P(accept) of each offer."""
        return propensity(self.log_odds[self.rows, self.cols])


def ranked(batch: Batch, book: Book, seed: int) -> Ranking:
    """Return the offers of a batch, and the rule that stopped each other pair.

    Raises
    ------
    PolicyError
        A score is not a number.
    """
    log_odds = np.asarray(batch.scores.log_odds, dtype=np.float32)
    _check(log_odds)
    rule = _stopped(batch, book)
    top = best_first(log_odds, rule, book.policy.arbitration.top_n, batch, seed)
    rows, cols = (_settled if compiled.ready() else _settled_by_numpy)(
        rule, top, room(batch, book.policy.contact), book
    )
    return Ranking(book, log_odds, rule, rows, cols)


def propensity(log_odds: LogOdds) -> Floats:
    """Return P(accept) for log-odds."""
    return np.asarray(expit(log_odds.astype(np.float64)))


def best_first(log_odds: LogOdds, rule: Rules, most: int, batch: Batch, seed: int) -> Columns:
    """Return int16 (n, most): the columns of each row's best open pairs, best first, −1 beyond them.

    Parameters
    ----------
    log_odds
        float32 (n, P).
    rule
        int8 (n, P): negative where the pair is open.
    """
    wide = min(most + 1, log_odds.shape[1])
    order, close = (_front if compiled.ready() else _front_by_numpy)(log_odds, rule, wide)
    tied = np.flatnonzero(close)
    if tied.size:
        key = np.where(rule[tied] < 0, -propensity(log_odds[tied]), np.inf)
        exact = np.lexsort((ties(batch, tied, seed), key), axis=1)[:, :wide]
        order[tied] = np.where(np.take_along_axis(rule[tied], exact, axis=1) < 0, exact, -1)
    return order[:, :most]


def ties(batch: Batch, rows: Indices, seed: int) -> Floats:
    """Return the number that orders equal scores, uniform (len(rows), P); the smaller goes first."""
    return keyed.uniform(seed, "tie", batch.customer_keys[rows], batch.offering.keys)


def _front(log_odds: LogOdds, rule: Rules, most: int) -> tuple[Columns, Mask]:
    """Return the columns (n, most) of each row's best open pairs, best first, −1 beyond, and who may have ties."""
    order, close = np.empty((len(rule), most), dtype=np.int16), np.empty(len(rule), dtype=np.bool_)
    kernels.front(np.ascontiguousarray(log_odds), rule, order, close)
    return order, close


def _front_by_numpy(log_odds: LogOdds, rule: Rules, most: int) -> tuple[Columns, Mask]:
    key = np.where(rule < 0, -np.maximum(log_odds, np.finfo(np.float32).min), np.float32(np.inf))
    order = np.argsort(key, axis=1) if most >= key.shape[1] else np.argpartition(key, most - 1, axis=1)[:, :most]
    order = np.take_along_axis(order, np.argsort(np.take_along_axis(key, order, axis=1), axis=1), axis=1)
    open_ = np.take_along_axis(rule, order, axis=1) < 0
    best = np.take_along_axis(log_odds, order, axis=1)
    above, below = best[:, :-1], best[:, 1:]
    with np.errstate(invalid="ignore"):
        close = (above - below <= kernels.NEAR) | (below > kernels.HIGHEST) | (above < kernels.LOWEST)
    return np.where(open_, order, -1).astype(np.int16), np.asarray((close & open_[:, 1:]).any(axis=1))


def _settled(rule: Rules, top: Columns, room: Room, book: Book) -> tuple[Indices, Indices]:
    rows, cols = np.empty(top.size, dtype=np.intp), np.empty(top.size, dtype=np.intp)
    count = kernels.settle(rule, top, room.left, np.int8(book.top_n), _limit(room, book), rows, cols)
    return rows[:count].copy(), cols[:count].copy()


def _settled_by_numpy(rule: Rules, top: Columns, room: Room, book: Book) -> tuple[Indices, Indices]:
    offered = (top >= 0) & (np.arange(top.shape[1]) < room.left[:, None])
    rule[rule < 0] = book.top_n
    limit = np.broadcast_to(_limit(room, book)[:, None], top.shape)
    for where, name in ((top >= 0, limit[top >= 0]), (offered, OFFERED)):
        rows = np.nonzero(where)[0]
        rule[rows, top[where]] = name
    return np.nonzero(offered)[0], top[offered].astype(np.intp)


def _limit(room: Room, book: Book) -> Rules:
    """Return the place in the book's names of the limit that binds each customer, int8 (n,)."""
    return np.asarray(room.limit + np.int8(book.first_limit), dtype=np.int8)


def _stopped(batch: Batch, book: Book) -> Rules:
    """Return the first of the rules on single pairs that stops each pair, or `OFFERED`.

    Rules are numbered in the order in which they are blamed, so the first is the smallest: −1, read without a sign, is
    larger than all.
    """
    rule = np.full(batch.shape, OFFERED, dtype=np.int8)
    first = rule.view(np.uint8)
    for place, one in enumerate(book.rules):
        _blame(first, np.uint8(place), one.stops(batch))
    return rule


def _blame(first: npt.NDArray[np.uint8], rule: np.uint8, stopped: Mask) -> None:
    """Note a rule for the pairs it stops and no earlier one; a mask of one row or column speaks for all of them."""
    if stopped.shape == first.shape:
        number = np.subtract(np.ascontiguousarray(stopped).view(np.uint8), np.uint8(1))  # 0 where stopped, else 255
        np.minimum(first, np.bitwise_or(number, rule, out=number), out=first)
    elif stopped.size == 1:
        np.minimum(first, rule if stopped.item() else np.uint8(255), out=first)
    elif stopped.shape[1] == 1:
        rows = np.flatnonzero(stopped)
        first[rows] = np.minimum(first[rows], rule)
    else:
        cols = np.flatnonzero(stopped)
        first[:, cols] = np.minimum(first[:, cols], rule)


def _check(log_odds: LogOdds) -> None:
    if np.isnan(log_odds.min(initial=0.0)):
        missing = int(np.isnan(log_odds).sum())
        raise PolicyError(f"{missing} of {log_odds.size} scores are not numbers, so these pairs cannot be ranked")
