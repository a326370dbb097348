"""Ranks each customer's allowed offers and names the rule that stopped every other pair.

Where nothing but the propensity counts, pairs are ranked by their log-odds, for the propensity rises with them, and
only the offers' propensities are computed. Where two log-odds are so close that their propensities may be equal, they
are compared as propensities, and equal ones stand in keyed random order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nextoffer import compiled
from nextoffer.errors import PolicyError
from nextoffer.policy import arms, kernels
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.contact import Room, room
from nextoffer.policy.exploration import Candidates, explored
from nextoffer.policy.logic import Mask
from nextoffer.policy.ordering import Columns, LogOdds, Order, Rules, by_log_odds, by_score, propensity
from nextoffer.policy.priority import Priority
from nextoffer.tables.flow import Floats, Indices

OFFERED = -1

_SMALL = 1024  # pairs, of which fewer steps are quicker than quick steps


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
    order
        The first ranks as they would be without limits on the number of offers.
    arm
        int8 (n,): each customer's, as a place in the book's arms.
    sorted
        float64 (n, P): what is sorted; None where it is the propensity.
    """

    book: Book
    log_odds: LogOdds
    rule: Rules
    rows: Indices
    cols: Indices
    order: Order
    arm: npt.NDArray[np.int8]
    sorted: Floats | None = None

    @cached_property
    def propensity(self) -> Floats:
        """float64 (n, P): P(accept)."""
        return propensity(self.log_odds)

    @property
    def score(self) -> Floats:
        """float64 (n, P): what is sorted."""
        return self.propensity if self.sorted is None else self.sorted

    def pscore(self, rows: Indices, cols: Indices) -> Floats:
        """Return P(the product is chosen for its rank, given the ranks before and the customer's arm), float64 (m,).

        NaN where a pair has no rank.
        """
        if self.order.chance is None:
            return np.ones(len(rows))
        place = self.order.cols[rows] == cols[:, None]
        return np.where(place.any(axis=1), self.order.chance[rows, np.argmax(place, axis=1)], np.nan)


def ranked(batch: Batch, book: Book, seed: int) -> Ranking:
    """Return the offers of a batch, and the rule that stopped each other pair.

    Raises
    ------
    PolicyError
        A score is not a number, or weights and exploration do not fit the bank or the model.
    """
    log_odds = np.asarray(batch.scores.log_odds, dtype=np.float32)
    _check(log_odds)
    rule = stopped(batch, book)
    arm = arms.dealt(batch, book.policy.arm, book.policy.seed)
    score = None if book.by_propensity_alone else sorted_by(batch, book, arm, seed)
    if score is None:
        order = Order(by_log_odds(log_odds, rule, book.policy.arbitration.top_n, batch.keys, seed))
    else:
        order = _order(batch, book, (score, rule), arm, seed)
    rows, cols = (_settled if compiled.ready() else _settled_by_numpy)(
        rule, order.cols, room(batch, book.policy.contact), book
    )
    return Ranking(book, log_odds, rule, rows, cols, order, arm, score)


def sorted_by(batch: Batch, book: Book, arm: arms.Dealt, seed: int) -> Floats:
    """Return what each customer's offers are sorted by, float64 (n, P): in the champion's arm their priority."""
    priority = Priority.of(batch, book.terms)
    score = np.ascontiguousarray(np.broadcast_to(priority.score, batch.shape))
    if not arm.any():
        return score
    score = score.copy()
    for place, name in enumerate(book.arms[1:], start=1):
        rows = np.flatnonzero(arm == place)
        score[rows] = arms.scores(priority, rows, name, seed)
    return score


def candidates(batch: Batch, book: Book, rows: Indices, ranking: tuple[Floats, Rules], seed: int) -> Candidates:
    """Return the open products of the customers `rows`; `ranking` is what is sorted and the rules, each (n, P)."""
    score, rule = ranking
    order = by_score(score[rows], rule[rows], batch.shape[1], (batch.customer_keys[rows], batch.offering.keys), seed)
    return Candidates(Priority.of(batch, book.terms), rows, order, seed)


def _order(batch: Batch, book: Book, ranking: tuple[Floats, Rules], arm: arms.Dealt, seed: int) -> Order:
    """Return the first ranks, with the probabilities of what is left to chance."""
    score, rule = ranking
    exploration = book.policy.exploration
    cols = by_score(score, rule, book.policy.arbitration.top_n, batch.keys, seed)
    if exploration.method == "none" and arms.RANDOM not in book.arms:
        return Order(cols)
    open_, chance = rule < 0, np.ones(cols.shape)
    if arms.RANDOM in book.arms:
        rows = np.flatnonzero(arm == book.arms.index(arms.RANDOM))
        left = open_[rows].sum(axis=1)[:, None] - np.arange(cols.shape[1])
        chance[rows] = 1.0 / np.maximum(left, 1)
    if exploration.method != "none":
        rows = np.flatnonzero((arm == 0) & open_.any(axis=1))
        found = explored(candidates(batch, book, rows, ranking, seed), exploration, cols.shape[1])
        cols[rows], chance[rows] = found.cols, found.chance
    return Order(cols, chance)


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


def stopped(batch: Batch, book: Book) -> Rules:
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
    if first.size <= _SMALL:
        np.copyto(first, rule, where=stopped & (first > rule))
    elif stopped.shape == first.shape:
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
