"""What flows through the retail bank's accounts: a salary a month, and purchases that follow income and needs."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import numpy as np
import pyarrow as pa

from nextoffer.keyed import normal, uniform
from nextoffer.simulate.draws import Floats, Whole, category, named, whole, within
from nextoffer.simulate.retail import catalogue
from nextoffer.simulate.retail.world import CHANNELS, EMPLOYMENT, TODAY, Customers, World, income_level

HISTORY_DAYS = 180
MONTHS = 6
MERCHANTS_EACH = 15
FEWEST, MOST = 8, 60  # purchases of a customer
AFTER_PAYDAY = 0.30  # share of purchases within five days of the salary
PREFERRED = 0.65  # share of purchases over the preferred channel
CHANNEL_SHARES = (0.45, 0.30, 0.20, 0.05)


@dataclass(frozen=True)
class Purchases:
    """The m purchases of some customers.

    Attributes
    ----------
    owner
        The row of the customer among those asked for.
    key
        A number that belongs to this transaction alone, for further draws.
    days_back, kind
        Days before today; index of the category.
    """

    owner: Whole
    key: Whole
    days_back: Whole
    kind: Whole


def merchants_table() -> pa.Table:
    """Return the merchants: fifteen of each category."""
    names = catalogue.categories()["mcc"].to_pylist()
    kinds = np.repeat(np.arange(len(names)), MERCHANTS_EACH)
    return pa.table({"merchant_id": merchant_ids(), "mcc": named(kinds, names)})


@cache
def merchant_ids() -> tuple[str, ...]:
    """Return the merchants' ids: M0001, M0002 …, those of one category side by side."""
    return tuple(f"M{i:04d}" for i in range(1, 1 + catalogue.categories().num_rows * MERCHANTS_EACH))


def transactions_table(world: World, people: Customers, ids: pa.Array) -> tuple[pa.Table, Whole]:
    """Return the transactions of the given customers, salaries first, and a key per row; `ids` are the ids as text."""
    made = purchases(world, people)
    salaries, keys = _salaries(world, people, ids)
    return pa.concat_tables([salaries, _bought(world, people, made, ids)]), np.concatenate([keys, made.key])


def purchases(world: World, people: Customers) -> Purchases:
    """Return when the given customers bought in shops of which kind, grouped by customer."""
    s = world.seed
    busy = uniform(s, "purchases", people.ids) ** np.where(people.channel < 2, 0.8, 1.3)  # online people pay by card
    counts = FEWEST + (busy * (MOST - FEWEST)).astype(np.int64)
    owner = np.repeat(np.arange(len(people.ids)), counts)
    key = _keys(people.ids[owner], MONTHS + within(counts))
    return Purchases(owner, key, _purchase_day(s, key, people.salary_day[owner]), _kind(s, key, owner, people.needs))


def _keys(ids: Whole, position: Whole) -> Whole:
    """A number per transaction: the customer's first six are salaries, the others purchases."""
    return ids * (MONTHS + MOST) + position


def _purchase_day(seed: int, key: Whole, salary_day: Whole) -> Whole:
    payday = paydays()[salary_day, whole(seed, "purchase month", key, low=0, high=MONTHS - 1)]
    soon = payday - whole(seed, "purchase delay", key, low=0, high=4)
    any_day = whole(seed, "purchase day", key, low=1, high=HISTORY_DAYS)
    return np.where(uniform(seed, "purchase flush", key) < AFTER_PAYDAY, soon, any_day)


def _kind(seed: int, key: Whole, owner: Whole, needs: Floats) -> Whole:
    kinds = catalogue.categories()
    shares = np.cumsum(kinds["share"].to_numpy() * np.exp(catalogue.answered(needs, kinds)), axis=1)
    u = uniform(seed, "purchase kind", key) * shares[owner, -1]
    kind = np.zeros(len(owner), dtype=np.int64)
    for k in range(kinds.num_rows - 1):  # column by column: a matrix of purchases × categories would not fit
        kind += u >= shares[owner, k]
    return kind


@cache
def paydays() -> Whole:
    """Return int64 (32, 6): days before today of six paydays, by salary day; short months pay on their last day."""
    table = np.zeros((32, MONTHS), dtype=np.int64)
    first = TODAY.replace(day=1)
    for back in range(MONTHS):
        first = (first - timedelta(days=1)).replace(day=1)
        last = monthrange(first.year, first.month)[1]
        table[:, back] = [(TODAY - first.replace(day=min(max(day, 1), last))).days for day in range(32)]
    return table


def _bought(world: World, people: Customers, made: Purchases, ids: pa.Array) -> pa.Table:
    s, kinds, owner = world.seed, catalogue.categories(), made.owner
    typical = kinds["amount"].to_numpy()[made.kind] * np.exp(0.3 * income_level(people.income))[owner]
    shop = made.kind * MERCHANTS_EACH + whole(s, "merchant", made.key, low=0, high=MERCHANTS_EACH - 1)
    usual = uniform(s, "purchase usual", made.key) < PREFERRED
    channel = np.where(usual, people.channel[owner], category(s, "purchase channel", made.key, CHANNEL_SHARES))
    return pa.table(
        {
            "customer_id": ids.take(pa.array(owner)),
            "date": dates(made.days_back),
            "amount": (typical * np.exp(0.5 * normal(s, "purchase amount", made.key))).round(2),
            "merchant_id": named(shop, merchant_ids()),
            "mcc": named(made.kind, kinds["mcc"].to_pylist()),
            "channel": named(channel, CHANNELS),
            "direction": pa.repeat("debit", len(owner)),
        }
    )


def _salaries(world: World, people: Customers, ids: pa.Array) -> tuple[pa.Table, Whole]:
    """Six months' income of each customer; that of the self-employed comes in very different amounts."""
    owner, month = np.divmod(np.arange(len(people.ids) * MONTHS), MONTHS)
    key = _keys(people.ids[owner], month)
    spread = np.where(people.employment == EMPLOYMENT.index("self-employed"), 0.25, 0.02)[owner]
    amount = people.income[owner] * np.maximum(1 + spread * normal(world.seed, "salary", key), 0.2)
    unknown = pa.nulls(len(owner), pa.string())
    table = pa.table(
        {
            "customer_id": ids.take(pa.array(owner)),
            "date": dates(paydays()[people.salary_day[owner], month]),
            "amount": amount.round(2),
            "merchant_id": unknown,
            "mcc": unknown,
            "channel": unknown,
            "direction": pa.repeat("credit", len(owner)),
        }
    )
    return table, key


def dates(days_back: Whole) -> pa.Array:
    """Return date32 of days counted back from today."""
    today = (TODAY - date(1970, 1, 1)).days
    return pa.array((today - days_back).astype(np.int32)).cast(pa.date32())
