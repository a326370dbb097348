"""What a customer without any offer could get if one single rule were loosened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.contact import NO_CHANNEL, WEEKLY_CAP, Contact, limits, room
from nextoffer.policy.logic import Mask
from nextoffer.policy.ranking import OFFERED, Ranking
from nextoffer.policy.reach import PLENTY
from nextoffer.policy.rule import stage_of
from nextoffer.policy.value import Value, default_risk, loss_at_default
from nextoffer.policy.worth import worth_of
from nextoffer.tables.flow import Floats, Indices

DUTIES = frozenset({"consent", "suitability", NO_CHANNEL})
"""Stages and rules that are law or duty: what they keep back is told, and not to be had by loosening them."""


@dataclass(frozen=True)
class Loosening:
    """The customers of a batch who get no offer, and their best pair behind each rule that alone stops one.

    Attributes
    ----------
    rows
        int (u,): the customers without an offer.
    served, rules, cols
        int (m,): a customer, the place in the book's names of a rule that is the only one to stop some of the
        customer's pairs, and the product of the best of these. Each customer and rule once.
    propensity, expected_value, expected_loss
        float64 (m,): of these pairs; NaN where not known. The loss is pd × lgd × exposure × propensity, 0 where the
        product has none.
    """

    rows: Indices
    served: Indices
    rules: Indices
    cols: Indices
    propensity: Floats
    expected_value: Floats
    expected_loss: Floats


def may_loosen(rule: str) -> bool:
    """Return whether a rule is the bank's own choice rather than law or duty.

    >>> may_loosen("contact.weekly_cap"), may_loosen("consent.marketing")
    (True, False)
    """
    return stage_of(rule) not in DUTIES and rule not in DUTIES


def loosening(batch: Batch, ranking: Ranking) -> Loosening:
    """Return what dropping one rule, and no other, would open to the customers who get nothing.

    The best pair is that of the greatest expected value, and among equal or unknown ones of the greatest propensity.
    """
    rows = np.flatnonzero((ranking.rule != OFFERED).all(axis=1))
    at, cols, rules = _stopped_by_one(batch, ranking.book, rows)
    ranks = ~np.isnan(ranking.score[rows[at], cols])  # what is not known cannot be sorted, whatever the rules
    served, cols, rules = rows[at][ranks], cols[ranks], rules[ranks]
    worth = worth_of(batch, replace(ranking, rows=served, cols=cols))
    best = _best(served, rules, worth.expected_value, worth.propensity)
    served, cols = served[best], cols[best]
    propensity = worth.propensity[best]
    loss = propensity * default_loss(batch, ranking.book.policy.value, served, cols)
    return Loosening(rows, served, rules[best], cols, propensity, worth.expected_value[best], loss)


def default_loss(batch: Batch, value: Value, rows: Indices, cols: Indices) -> Floats:
    """Return pd × lgd × exposure of pairs, float64 (m,): 0 where the risk is not known."""
    loss = default_risk(batch, value)[rows] * loss_at_default(batch.offering, value)[cols]
    return np.nan_to_num(loss, nan=0.0)


def _stopped_by_one(batch: Batch, book: Book, rows: Indices) -> tuple[Indices, Indices, Indices]:
    """Return place in `rows`, product and rule of every pair that one rule alone keeps from its customer.

    A pair may have several: of two channels with limits, either may be opened.
    """
    shape = (len(rows), batch.shape[1])
    count, blamed = np.zeros(shape, dtype=np.int16), np.zeros(shape, dtype=np.int16)
    masks = (np.broadcast_to(rule.stops(batch), batch.shape)[rows] for rule in book.rules)
    for place, stopped in enumerate(masks):
        count += stopped
        blamed += np.where(stopped, np.int16(place), np.int16(0))
    some = _room(batch, book.policy.contact)[rows, None]
    at, cols = np.nonzero((count == 1) & some)
    found = [(at, cols, blamed[at, cols].astype(np.intp))]
    for place, contact, facts in _without_limits(batch, book):
        at, cols = np.nonzero((count == 0) & ~some & _room(facts, contact)[rows, None])
        found.append((at, cols, np.full(len(at), place, dtype=np.intp)))
    at, cols, rules = (np.concatenate(each) for each in zip(*found, strict=True))
    return at, cols, rules


def _room(batch: Batch, contact: Contact) -> Mask:
    """Return whether limits leave each customer any offer, bool (n,)."""
    return np.asarray(room(batch, contact).left > 0)


def _without_limits(batch: Batch, book: Book) -> Iterator[tuple[int, Contact, Batch]]:
    """Yield each limit's place in the book's names, and contact policy and batch in which it stops nobody."""
    contact = book.policy.contact
    for place, name in enumerate(limits(contact), start=book.first_limit):
        if name == WEEKLY_CAP:
            yield place, contact.model_copy(update={"cap": PLENTY}), batch
        elif name == NO_CHANNEL:
            everywhere = replace(batch.facts, preferred_consent=None, channel_consent=None)
            yield place, contact.model_copy(update={"quiet": ()}), replace(batch, facts=everywhere)
        else:
            limit = contact.limit[place - book.first_limit - 1]
            others = tuple(each.model_copy(update={"max": PLENTY}) if each is limit else each for each in contact.limit)
            yield place, contact.model_copy(update={"limit": others}), batch


def _best(served: Indices, rules: Indices, value: Floats, propensity: Floats) -> npt.NDArray[np.intp]:
    """Return the best pair of each customer and rule, by customer, then rule."""
    known = np.where(np.isnan(value), -np.inf, value)
    order = np.lexsort((-propensity, -known, rules, served))
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (np.diff(served[order]) != 0) | (np.diff(rules[order]) != 0)
    return order[first]
