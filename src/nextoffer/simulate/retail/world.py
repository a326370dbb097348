"""Who banks with the retail bank: households, life stages, incomes, and the needs behind what people do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from nextoffer.errors import BankError
from nextoffer.keyed import normal, uniform
from nextoffer.simulate.draws import Flags, Floats, Whole, category, named, whole
from nextoffer.simulate.retail.catalogue import NEEDS

TODAY = date(2025, 10, 25)
CHANNELS = ("mobile", "web", "branch", "phone")
CHANNELS_YOUNG = (0.68, 0.20, 0.07, 0.05)
CHANNELS_OLD = (0.18, 0.22, 0.45, 0.15)
SEGMENTS = ("Mass", "Affluent", "HNI")
SEGMENT_FROM = (3600.0, 6500.0)  # monthly income
EMPLOYMENT = ("student", "employed", "self-employed", "retired", "not working")
TYPICAL_INCOME = np.array([750.0, 2700.0, 2900.0, 1900.0, 950.0])
STAGES = ("student", "starter", "couple", "family", "established", "retired")
STAGE_NEEDS = np.array(
    [  # spending, borrowing, home, mobility, protection, saving, investing
        [0.2, 0.3, -1.2, -0.3, -0.8, -0.6, -1.0],
        [0.5, 0.4, -0.2, 0.4, -0.4, -0.1, -0.2],
        [0.4, 0.5, 0.9, 0.4, 0.1, 0.2, 0.1],
        [0.0, 0.6, 0.7, 0.6, 0.9, 0.3, -0.1],
        [0.1, -0.1, -0.1, 0.1, 0.5, 0.5, 0.8],
        [-0.4, -0.9, -0.8, -0.5, 0.2, 0.9, 0.3],
    ]
)
INCOME_NEEDS = np.array([0.4, -0.35, 0.3, 0.2, 0.2, 0.4, 0.7])
OWN_NEEDS = 0.7
ADULTS = 18
PENSION = 66

# Customers come in blocks of four that are split into households, so that nobody's household depends on the chunk.
BLOCK = 4
SPLITS = np.array([[0, 1, 2, 3], [0, 0, 2, 3], [0, 0, 2, 2], [0, 0, 0, 3], [0, 0, 0, 0]])
SPLIT_SHARES = (0.30, 0.30, 0.20, 0.12, 0.08)


@dataclass(frozen=True)
class Customers:
    """Attributes of n customers, one array of shape (n,) each; words are indices into the names of this module.

    Attributes
    ----------
    needs
        float64 (n, 7), in the order of `NEEDS`; nobody sees them, but they drive all that the customer does.
    since
        Days before `TODAY` on which he joined the bank.
    """

    ids: Whole
    household: Whole
    age: Whole
    female: Flags
    children: Whole
    owner: Flags
    employment: Whole
    stage: Whole
    income: Floats
    segment: Whole
    city_tier: Whole
    channel: Whole
    salary_day: Whole
    since: Whole
    needs: Floats


@dataclass(frozen=True)
class World:
    """A retail bank: the two numbers that fix it.

    Raises
    ------
    BankError
        There are fewer than two customers.
    """

    customers: int = 10_000
    seed: int = 7

    def __post_init__(self) -> None:
        if self.customers < 2:
            raise BankError(f"customers is {self.customers}; a world needs at least 2")

    def chunks(self, size: int) -> Iterator[Whole]:
        """Yield all customer numbers in order, `size` at a time."""
        for start in range(0, self.customers, size):
            yield np.arange(start, min(start + size, self.customers))

    def text_ids(self, ids: Whole, letter: str = "C") -> pa.Array:
        """Return customer (or household) numbers as text of one width: C0000123."""
        width = max(7, len(str(self.customers)))
        return pa.array([f"{letter}{i:0{width}d}" for i in ids.tolist()], type=pa.string())

    def people(self, ids: Whole) -> Customers:
        """Return the attributes of the given customers."""
        s = self.seed
        home = households(s, ids)
        age, head_age = _ages(s, ids, home)
        employment = _employment(s, ids, age)
        children = np.where(ids - home < 2, _children(s, home, head_age), 0)
        stage = _stage(age, employment, children, partnered=_size(s, home) > 1)
        wealth = normal(s, "household wealth", home)
        income = _income(s, ids, (age, employment, wealth))
        owner = uniform(s, "home owner", home) < np.clip(0.012 * (head_age - 20) + 0.12 * wealth, 0.02, 0.92)
        return Customers(
            ids=ids,
            household=home,
            age=age,
            female=uniform(s, "gender", ids) < 0.5,
            children=children,
            owner=owner,
            employment=employment,
            stage=stage,
            income=income,
            segment=np.searchsorted(SEGMENT_FROM, income, side="right").astype(np.int64),
            city_tier=1 + category(s, "city tier", home, (0.35, 0.40, 0.25)),
            channel=_channel(s, ids, age),
            salary_day=np.where(employment == 3, 1, whole(s, "salary day", ids, low=25, high=31)),
            since=np.minimum(whole(s, "since", ids, low=200, high=7000), (age - 17) * 365),
            needs=_needs(s, ids, (stage, income, owner)),
        )


def households(seed: int, ids: Whole) -> Whole:
    """Return the household of each customer: the number of its first member."""
    block = ids // BLOCK
    split = category(seed, "household split", block, SPLIT_SHARES)
    return np.asarray(block * BLOCK + SPLITS[split, ids % BLOCK])


def _size(seed: int, home: Whole) -> Whole:
    """Members of each household among the customers of its block."""
    split = category(seed, "household split", home // BLOCK, SPLIT_SHARES)
    return np.asarray((SPLITS[split] == (home % BLOCK)[:, None]).sum(axis=1))


def _ages(seed: int, ids: Whole, home: Whole) -> tuple[Whole, Whole]:
    """Ages of the customers and of the heads of their households; a third member is a child who has grown up."""
    head = np.asarray((20 + 66 * uniform(seed, "head age", home) ** 1.15).astype(np.int64))
    place = ids - home
    partner = head + whole(seed, "partner age", ids, low=-4, high=4)
    grown = head - whole(seed, "child age", ids, low=22, high=34)
    age = np.where(place == 0, head, np.where(place == 1, partner, grown))
    return np.maximum(age, ADULTS), head


def _children(seed: int, home: Whole, head_age: Whole) -> Whole:
    likely = (head_age >= 26) & (head_age <= 54) & (_size(seed, home) > 1)
    shares = np.where(likely[:, None], [0.35, 0.30, 0.27, 0.08], [0.94, 0.04, 0.02, 0.0])
    return category(seed, "children", home, shares)


def _employment(seed: int, ids: Whole, age: Whole) -> Whole:
    young = np.array([0.55, 0.38, 0.02, 0.0, 0.05])
    working = np.array([0.01, 0.80, 0.13, 0.0, 0.06])
    retired = np.array([0.0, 0.05, 0.05, 0.90, 0.0])
    shares = np.where((age >= PENSION)[:, None], retired, np.where((age < 25)[:, None], young, working))
    return category(seed, "employment", ids, shares)


def _stage(age: Whole, employment: Whole, children: Whole, *, partnered: Flags) -> Whole:
    found = np.select(
        [employment == 3, children > 0, employment == 0, age >= 47, partnered & (age >= 23)], [5, 3, 0, 4, 2], default=1
    )
    return np.asarray(found, dtype=np.int64)


def _income(seed: int, ids: Whole, drivers: tuple[Whole, Whole, Floats]) -> Floats:
    """Monthly net income: typical for the employment, highest around 50, richer in rich households."""
    age, employment, wealth = drivers
    career = np.where(np.isin(employment, (1, 2)), -0.0007 * (age - 50.0) ** 2 + 0.1, 0.0)
    spread = 0.32 * wealth + 0.30 * normal(seed, "income", ids)
    return np.asarray(
        np.maximum(TYPICAL_INCOME[employment] * np.exp(np.maximum(career, -0.5) + spread), 300.0).round(2)
    )


def _channel(seed: int, ids: Whole, age: Whole) -> Whole:
    old = np.clip((age - 25.0) / 50.0, 0.0, 1.0)[:, None]
    return category(seed, "channel", ids, (1 - old) * CHANNELS_YOUNG + old * CHANNELS_OLD)


def _needs(seed: int, ids: Whole, drivers: tuple[Whole, Floats, Flags]) -> Floats:
    stage, income, owner = drivers
    own = normal(seed, "need", ids, np.arange(len(NEEDS)))
    needs = STAGE_NEEDS[stage] + income_level(income)[:, None] * INCOME_NEEDS + OWN_NEEDS * own
    needs[:, NEEDS.index("home")] += np.where(owner, -0.5, 0.2)
    return np.asarray(needs)


def income_level(income: Floats) -> Floats:
    """Return income on a scale where 0 is typical and 1 is 65 % more."""
    return np.asarray(np.log(income / 2400.0) / 0.5)


def customers_table(world: World, people: Customers, ids: pa.Array) -> pa.Table:
    """Return the customers table; `ids` are the customers' ids as text."""
    managers = pa.array([f"RM{m:04d}" for m in range(1, 2 + world.customers // 400)])
    manager = whole(world.seed, "manager", people.household, low=0, high=len(managers) - 1)
    return pa.table(
        {
            "customer_id": ids,
            "household_id": world.text_ids(people.household, "H"),
            "rm_id": managers.take(pa.array(manager, mask=people.segment == SEGMENTS.index("Mass"))),
            "age": people.age,
            "gender": named(people.female.astype(np.int64), ("male", "female")),
            "children": people.children,
            "home_owner": people.owner,
            "employment": named(people.employment, EMPLOYMENT),
            "income": people.income,
            "segment": named(people.segment, SEGMENTS),
            "city_tier": people.city_tier,
            "channel_pref": named(people.channel, CHANNELS),
            "salary_day": people.salary_day,
        }
    )
