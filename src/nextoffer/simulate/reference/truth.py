"""What is true in a reference world: latents, scores, and how its campaigns are answered.

``noiseless = z(customer latent) · z(product latent)``, ``true_score = noiseless + N(0, 0.5)`` and
``P(accept one contact) = 0.25 · sigmoid(true_score)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

import numpy as np

from nextoffer.keyed import normal, uniform
from nextoffer.simulate.draws import Flags, Floats, Whole, sigmoid
from nextoffer.simulate.reference.world import HISTORY_DAYS, TODAY, Customers, Products, Purchases, World

CAMPAIGNS = tuple(date(2025, 9, 13) + timedelta(weeks=k) for k in range(6))
CONTACTS = 6  # per customer and campaign, of all eligible products at random
NOISE = 0.5
ACCEPTANCE = 0.25

SEGMENT_LEVELS = np.array([-1.0, -0.5, 0.0])
CHANNEL_LEVELS = np.array([0.35, 0.15, 0.05, 0.0])
BIAS_LEVELS = {"Mass": 0.0, "All": 0.8, "Affluent": 1.0, "HNI": 2.0}
NEAR_SALARY = 3  # days, not wrapped at the month's end

_DAY_OF_MONTH = np.array([(TODAY - timedelta(days=d)).day for d in range(HISTORY_DAYS + 1)])


@dataclass(frozen=True)
class Answers:
    """One campaign: what each of n customers was offered and accepted, each bool (n, P)."""

    offered: Flags
    accepted: Flags


@dataclass(frozen=True)
class Truth:
    """The standardised latents of a world's customers, float64 (n,), and products, float64 (P,)."""

    world: World
    customer: Floats
    product: Floats

    @classmethod
    def of(cls, world: World, *, chunk: int = 65_536, report: Callable[[], None] = lambda: None) -> Self:
        """Return the truth of a world. Goes through all its customers once; calls `report` after each chunk."""
        plain, share = np.empty(world.customers), np.empty(world.customers)
        for ids in world.chunks(chunk):
            people = world.people(ids)
            plain[ids] = plain_latent(people)
            share[ids] = salary_share(people, world.purchases(ids))
            report()
        latent = plain + 0.5 * standardised(share)
        return cls(world, standardised(latent), standardised(product_latent(world.catalogue)))

    def noiseless(self, ids: Whole) -> Floats:
        """Return float64 (n, P): the part of the score that the tables can tell."""
        return np.outer(self.customer[ids], self.product)

    def scores(self, ids: Whole) -> Floats:
        """Return float64 (n, P): the true scores, with the taste that nobody can see."""
        return self.noiseless(ids) + NOISE * normal(self.world.seed, "taste", ids, self.world.catalogue.ids)

    def campaigns(self, people: Customers) -> tuple[Answers, ...]:
        """Return the six campaigns among the given customers."""
        eligible = self.world.eligible(people)
        chance = ACCEPTANCE * sigmoid(self.scores(people.ids))
        return tuple(self._campaign(k, people.ids, eligible, chance) for k in range(len(CAMPAIGNS)))

    def _campaign(self, k: int, ids: Whole, eligible: Flags, chance: Floats) -> Answers:
        seed, products = self.world.seed, self.world.catalogue.ids
        lot = np.where(eligible, uniform(seed, f"campaign {k} lot", ids, products), 1.0)
        last = min(CONTACTS, len(products)) - 1
        offered = eligible & (lot <= np.partition(lot, last, axis=1)[:, last, None])
        return Answers(offered, offered & (uniform(seed, f"campaign {k} answer", ids, products) < chance))


def plain_latent(people: Customers) -> Floats:
    """Return float64 (n,): the customer latent but for its salary part."""
    levels = SEGMENT_LEVELS[people.segment] + CHANNEL_LEVELS[people.channel]
    return np.asarray(people.income + levels + people.age / 140.0 - people.city_tier / 12.0)


def salary_share(people: Customers, made: Purchases) -> Floats:
    """Return float64 (n,): the share of each customer's transactions within 3 days of the salary day."""
    near = np.abs(_DAY_OF_MONTH[made.days_back] - people.salary_day[made.owner]) <= NEAR_SALARY
    return np.asarray(np.bincount(made.owner, weights=near) / np.bincount(made.owner))


def product_latent(products: Products) -> Floats:
    """Return float64 (P,): 0.08 min_income + 0.6 is_premium + a level per segment bias."""
    levels = np.array([BIAS_LEVELS[name] for name in products.bias])
    return np.asarray(0.08 * products.min_income + 0.6 * products.premium + levels)


def standardised(values: Floats) -> Floats:
    """Return (values − mean) ÷ standard deviation."""
    return np.asarray((values - values.mean()) / values.std())
