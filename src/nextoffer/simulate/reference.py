"""The reference notebook's world, at any size and seed.

``generate`` writes customers, products, merchants, transactions, holdings and responses as a bank folder, plus ``truth``
(every pair's scores) and ``evaluation`` (every eligible pair's label in the last two campaigns, with two baseline scores).
The recipe is the notebook's, step by step; the draws are keyed by customer, so worlds can be written in chunks of any size.
``docs/simulation.md`` gives every distribution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from nextoffer.errors import BankError
from nextoffer.keyed import normal, uniform
from nextoffer.simulate.draws import Floats, Whole, category, whole, within
from nextoffer.simulate.folder import Progress, TableFolder, new_folder

TODAY = date(2025, 10, 25)
HISTORY_DAYS = 179
CITY_TIERS = {1: 0.35, 2: 0.45, 3: 0.20}
CHANNELS = {"mobile": 0.50, "web": 0.25, "branch": 0.20, "phone": 0.05}
SEGMENTS = {"Mass": 0.60, "Affluent": 0.30, "HNI": 0.10}
PRODUCT_TYPES = ("PL", "HL", "CC", "PremiumCC", "EL", "FD", "GL")
BIASES = ("Mass", "Affluent", "HNI", "All")
CATEGORIES = ("groceries", "fuel", "dining", "online", "travel", "utilities", "fashion", "electronics")
MERCHANTS = 50
MOST_TRANSACTIONS = 59
NEAR_SALARY = 3


@dataclass(frozen=True)
class Customers:
    """Drawn attributes of n customers, one array of shape (n,) each; categories as indices into the module's names."""

    ids: Whole
    age: Whole
    income: Floats
    city_tier: Whole
    channel: Whole
    segment: Whole
    salary_day: Whole


@dataclass(frozen=True)
class Transactions:
    """Drawn transactions of some customers, m rows; `owner` is the row of the customer, `day` counts back from `TODAY`."""

    owner: Whole
    keys: Whole
    day: Whole


@dataclass(frozen=True)
class World:
    """A reference world: the numbers that fix it, and every table as a function of customer ids.

    Parameters
    ----------
    customers, products
        How many; at least 2 products, whose latents are standardised.
    seed
        Two worlds with one seed share every customer they both have.
    """

    customers: int = 1200
    products: int = 12
    seed: int = 7

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; a world needs at least {least}"
            for name, value, least in (("customers", self.customers, 2), ("products", self.products, 2))
            if value < least
        ]
        if problems:
            raise BankError(problems)

    @cached_property
    def catalogue(self) -> dict[str, np.ndarray]:
        """Columns of the products table."""
        ids = np.arange(self.products)
        kind = np.array(PRODUCT_TYPES, dtype=object)[whole(self.seed, "product type", ids, low=0, high=len(PRODUCT_TYPES) - 1)]
        premium = (kind == "PremiumCC") & (uniform(self.seed, "product premium", ids) < 0.5)
        return {
            "product_id": ids,
            "product_type": kind,
            "min_income": 6.0 + 2.0 * normal(self.seed, "product min income", ids),
            "segment_bias": np.array(BIASES, dtype=object)[whole(self.seed, "product bias", ids, low=0, high=3)],
            "is_premium": premium.astype(np.int64),
        }

    @cached_property
    def merchant_category(self) -> Whole:
        """Index into `CATEGORIES` of each merchant, shape (50,)."""
        return whole(self.seed, "merchant", np.arange(MERCHANTS), low=0, high=len(CATEGORIES) - 1)

    def people(self, ids: Whole) -> Customers:
        """Draw the attributes of the given customers."""
        s = self.seed
        return Customers(
            ids=ids,
            age=whole(s, "age", ids, low=21, high=69),
            income=np.maximum(8.0 + 3.0 * normal(s, "income", ids), 2.0),
            city_tier=1 + category(s, "city tier", ids, list(CITY_TIERS.values())),
            channel=category(s, "channel", ids, list(CHANNELS.values())),
            segment=category(s, "segment", ids, list(SEGMENTS.values())),
            salary_day=whole(s, "salary day", ids, low=25, high=30),
        )

    def purchases(self, ids: Whole) -> Transactions:
        """Draw how many transactions each customer made, and when."""
        counts = whole(self.seed, "transactions", ids, low=15, high=MOST_TRANSACTIONS)
        owner = np.repeat(np.arange(len(ids)), counts)
        keys = ids[owner] * (MOST_TRANSACTIONS + 1) + within(counts)
        return Transactions(owner, keys, whole(self.seed, "transaction day", keys, low=1, high=HISTORY_DAYS))

    def holdings(self, ids: Whole) -> np.ndarray:
        """Return bool (n, P): one to three products drawn with replacement, so that about a quarter hold three."""
        count = whole(self.seed, "holdings", ids, low=1, high=3)
        held = np.zeros((len(ids), self.products), dtype=bool)
        for k in range(3):
            product = whole(self.seed, f"holding {k}", ids, low=0, high=self.products - 1)
            rows = np.flatnonzero(count > k)
            held[rows, product[rows]] = True
        return held

    def eligible(self, people: Customers) -> np.ndarray:
        """Return bool (n, P): not held, and income at least 0.8 times the product's minimum."""
        enough = people.income[:, None] >= 0.8 * self.catalogue["min_income"][None, :]
        return enough & ~self.holdings(people.ids)

    def chunks(self, size: int) -> Iterator[Whole]:
        """Yield the customer ids in order, `size` at a time."""
        for start in range(0, self.customers, size):
            yield np.arange(start, min(start + size, self.customers))


def generate(
    folder: str | Path,
    *,
    customers: int = 1200,
    products: int = 12,
    seed: int = 7,
    chunk: int = 65_536,
    force: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write a reference world and return its folder.

    Parameters
    ----------
    folder
        Where the tables go; it appears only when all are written.
    customers, products, seed
        See `World`. The defaults have the shape of the reference notebook (RNG seed 7), not its very rows.
    chunk
        Customers in memory at a time; the world does not depend on it.
    force
        Replace a folder that is not empty.
    progress
        Called with (done, total) steps.

    Raises
    ------
    BankError
        Fewer than two customers or products, or the folder is not empty.
    """
    from nextoffer.simulate.reference_truth import Truth

    world = World(customers, products, seed)
    steps = 3 * (-(-customers // chunk))
    report = progress or (lambda done, total: None)
    with new_folder(folder, force=force) as tables:
        _write_fixed(world, tables)
        truth = Truth.of(world, chunk, lambda done: report(done, steps))
        for done, ids in enumerate(world.chunks(chunk), start=1):
            people = world.people(ids)
            tables.add("customers", customers_table(people))
            tables.add("transactions", transactions_table(world, people, truth))
            tables.add("holdings", holdings_table(world, ids))
            tables.add("truth", truth.truth_table(people))
            tables.add("responses", truth.responses_table(people))
            report(steps // 3 + done, steps)
        for done, ids in enumerate(world.chunks(chunk), start=1):
            tables.add("evaluation", truth.evaluation_table(world.people(ids)))
            report(2 * steps // 3 + done, steps)
    return Path(folder)


def _write_fixed(world: World, tables: TableFolder) -> None:
    products = {name: pa.array(values) for name, values in world.catalogue.items()}
    tables.add("products", pa.table(products))
    names = pa.array(CATEGORIES).take(pa.array(world.merchant_category))
    tables.add("merchants", pa.table({"merchant_id": pa.array(np.arange(MERCHANTS)), "mcc": names}))


def customers_table(people: Customers) -> pa.Table:
    """Return the customers table of drawn attributes."""
    return pa.table(
        {
            "customer_id": people.ids,
            "age": people.age,
            "income": people.income,
            "city_tier": people.city_tier,
            "channel_pref": pa.array(list(CHANNELS)).take(pa.array(people.channel)),
            "segment": pa.array(list(SEGMENTS)).take(pa.array(people.segment)),
            "salary_day": people.salary_day,
        }
    )


def transactions_table(world: World, people: Customers, truth: object) -> pa.Table:
    """Return the transactions of the given customers.

    The amount is |N(1500, 1000)|, a fifth more when a second, independent day of month falls near the salary day: the
    notebook's own recipe, whose boost is therefore not visible in the dates.
    """
    made = world.purchases(people.ids)
    s, keys = world.seed, made.keys
    merchant = whole(s, "transaction merchant", keys, low=0, high=MERCHANTS - 1)
    boosted = np.abs(whole(s, "transaction boost", keys, low=1, high=30) - people.salary_day[made.owner]) <= NEAR_SALARY
    amount = np.abs(1500.0 + 1000.0 * normal(s, "transaction amount", keys)) * np.where(boosted, 1.2, 1.0)
    channel = category(s, "transaction channel", keys, list(CHANNELS.values()))
    mcc = world.merchant_category[merchant]
    truth.remember_top_category(people.ids, made.owner, mcc)  # type: ignore[attr-defined]
    return pa.table(
        {
            "customer_id": people.ids[made.owner],
            "date": dates(made.day),
            "amount": amount,
            "merchant_id": merchant,
            "mcc": pa.array(CATEGORIES).take(pa.array(mcc)),
            "channel": pa.array(list(CHANNELS)).take(pa.array(channel)),
        }
    )


def dates(days_back: Whole) -> pa.Array:
    """Return date32 of the days counted back from `TODAY`."""
    epoch_today = (TODAY - date(1970, 1, 1)).days
    return pa.array((epoch_today - days_back).astype(np.int32), type=pa.int32()).cast(pa.date32())


def day_of_month(days_back: Whole) -> Whole:
    """Return the day of month (1..31) of the days counted back from `TODAY`."""
    calendar = np.array([(TODAY - timedelta(days=d)).day for d in range(HISTORY_DAYS + 1)])
    return np.asarray(calendar[days_back], dtype=np.int64)


def holdings_table(world: World, ids: Whole) -> pa.Table:
    """Return one row per customer and held product."""
    rows, cols = np.nonzero(world.holdings(ids))
    return pa.table({"customer_id": ids[rows], "product_id": cols})
