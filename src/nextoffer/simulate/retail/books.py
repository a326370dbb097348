"""Who holds what at the retail bank, since when, and until when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nextoffer.keyed import normal, uniform
from nextoffer.simulate.draws import Flags, Floats, Whole, named, sigmoid
from nextoffer.simulate.retail import catalogue
from nextoffer.simulate.retail.spending import dates
from nextoffer.simulate.retail.world import SEGMENTS, Customers, World, income_level

NEVER = -1
ENDED = 0.08
INCOME_FACTOR = 0.8


@dataclass(frozen=True)
class Books:
    """Holdings of n customers, int64 (n, 24) each: days before today on which they began and ended, or `NEVER`."""

    opened: Whole
    closed: Whole

    @property
    def held(self) -> Flags:
        """Bool (n, 24): open now."""
        return np.asarray((self.opened != NEVER) & (self.closed == NEVER))

    def with_new(self, taken: Flags, days_back: Whole) -> Books:
        """Return the books with what is taken up, at most one tier of a family; it closes the lower tiers."""
        replaced_on = ((taken * days_back).astype(np.float64) @ catalogue.outranks()).astype(np.int64)
        closed = np.where((replaced_on > 0) & self.held, replaced_on, self.closed)
        return Books(np.where(taken, days_back, self.opened), np.where(taken, NEVER, closed))


def books_before(world: World, people: Customers, attraction: Floats, *, days_back: int) -> Books:
    """Return the holdings more than so many days before today: what needs, income and time have led to."""
    s, products = world.seed, catalogue.indices()
    chance = sigmoid(catalogue.numbers("held") + 1.1 * attraction) * affordable(people)
    has = uniform(s, "holds", people.ids, products) < chance
    opened = _between(uniform(s, "opened", people.ids, products), days_back, people.since[:, None])
    has[:, catalogue.CURRENT_ACCOUNTS] = people.segment[:, None] == np.arange(len(SEGMENTS))
    opened[:, catalogue.CURRENT_ACCOUNTS] = people.since[:, None]
    has = catalogue.highest_tier(has)
    ended = has & (uniform(s, "ended", people.ids, products) < ENDED)
    ended[:, catalogue.CURRENT_ACCOUNTS] = False
    closed = _between(uniform(s, "closed", people.ids, products), days_back, opened)
    return Books(np.where(has, opened, NEVER), np.where(ended, closed, NEVER))


def _between(u: Floats, latest: int, earliest: Whole) -> Whole:
    """Days back between latest + 1 and earliest."""
    return np.asarray(latest + 1 + (u * (earliest - latest)).astype(np.int64))


def affordable(people: Customers) -> Flags:
    """Return bool (n, 24): the income is at least 0.8 times the product's minimum."""
    return np.asarray(people.income[:, None] >= INCOME_FACTOR * catalogue.numbers("min_income"))


def eligible(people: Customers, books: Books) -> Flags:
    """Return bool (n, 24): active, affordable, and neither it nor a higher tier of its family is held."""
    closing = catalogue.outranks() | np.eye(len(catalogue.indices()), dtype=np.bool_)
    ruled_out = catalogue.reached(books.held, closing)
    return np.asarray(affordable(people) & ~ruled_out & (catalogue.numbers("active") > 0))


def holdings_table(world: World, people: Customers, books: Books, ids: pa.Array) -> tuple[pa.Table, Whole]:
    """Return all that is or was held, and the row of the customer of each; `ids` are the customers' ids as text."""
    rows, cols = np.nonzero(books.opened != NEVER)
    closed = books.closed[rows, cols]
    lent = ~np.isnan(catalogue.numbers("lgd"))[cols]
    own = normal(world.seed, "balance", people.ids, catalogue.indices())[rows, cols]
    size = 12.0 * catalogue.numbers("margin")[cols] * np.exp(0.9 * income_level(people.income)[rows] + 0.8 * own)
    open_now = closed == NEVER
    table = pa.table(
        {
            "customer_id": ids.take(pa.array(rows)),
            "product_id": named(cols, catalogue.texts("product_id")),
            "opened_on": dates(books.opened[rows, cols]),
            "closed_on": pa.array(dates(closed).to_numpy(zero_copy_only=False), mask=open_now),
            "balance": np.where(open_now, np.where(lent, -size, size), 0.0).round(2),
        }
    )
    return table, rows
