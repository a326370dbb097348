"""What is true in a reference world: latents, scores, campaigns, labels and the ceilings they imply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Self

import numpy as np
import pyarrow as pa

from nextoffer.keyed import normal, uniform
from nextoffer.simulate.draws import Floats, Whole, sigmoid
from nextoffer.simulate.reference import CATEGORIES, NEAR_SALARY, Customers, World, day_of_month

CAMPAIGNS = tuple(date(2025, 9, 13) + timedelta(weeks=k) for k in range(6))
TRAINING = 4  # campaigns 0..3 train, the rest validate
CONTACTS = 6
ACCEPTANCE = 0.25  # P(accept one contact) = 0.25 · sigmoid(true_score)
NOISE = 0.5
UNASKED = 0.02  # a pair that no validation campaign contacted is labelled 1 this often

SEGMENT_LEVEL = np.array([-1.0, -0.5, 0.0])
CHANNEL_LEVEL = np.array([0.35, 0.15, 0.05, 0.0])
BIAS_LEVEL = {"Mass": 0.0, "All": 0.8, "Affluent": 1.0, "HNI": 2.0}
TYPES_OF_CATEGORY = {
    "groceries": ("CC",),
    "fuel": ("CC",),
    "dining": ("CC",),
    "online": ("CC", "EL"),
    "travel": ("CC",),
    "utilities": ("PL", "FD"),
    "fashion": ("CC", "PL"),
    "electronics": ("CC", "EL"),
}


@dataclass
class Truth:
    """Standardised latents of a world and what its campaigns add up to.

    Attributes
    ----------
    customer, product
        float64 (n,) and (P,), mean 0 and variance 1; their product is the noiseless score.
    top_category
        int8 (n,): the category with most transactions, ties by name; filled as transactions are written.
    contacts, accepts
        int64 (P,): of the training campaigns; filled as responses are written.
    """

    world: World
    customer: Floats
    product: Floats
    top_category: np.ndarray = field(repr=False)
    contacts: Whole
    accepts: Whole

    @classmethod
    def of(cls, world: World, chunk: int, report: Callable[[int], None] = lambda done: None) -> Self:
        """Return the truth of a world; goes through all customers once, for the means and variances."""
        base, share = np.empty(world.customers), np.empty(world.customers)
        for done, ids in enumerate(world.chunks(chunk), start=1):
            people = world.people(ids)
            base[ids], share[ids] = plain_latent(people), salary_share(world, people)
            report(done)
        zeros = np.zeros(world.products, dtype=np.int64)
        latent = base + 0.5 * standardised(share)
        top = np.zeros(world.customers, dtype=np.int8)
        return cls(world, standardised(latent), standardised(product_latent(world)), top, zeros, zeros.copy())

    def scores(self, ids: Whole) -> tuple[Floats, Floats]:
        """Return (true_score, noiseless_score), each float64 (n, P)."""
        noiseless = np.outer(self.customer[ids], self.product)
        return noiseless + NOISE * normal(self.world.seed, "taste", ids, self.catalogue_ids), noiseless

    @property
    def catalogue_ids(self) -> Whole:
        return np.arange(self.world.products)

    def truth_table(self, people: Customers) -> pa.Table:
        """Return one row per customer and product: true_score, noiseless_score."""
        true, noiseless = self.scores(people.ids)
        return pa.table(
            {
                "customer_id": np.repeat(people.ids, self.world.products),
                "product_id": np.tile(self.catalogue_ids, len(people.ids)),
                "true_score": true.ravel(),
                "noiseless_score": noiseless.ravel(),
            }
        )

    def campaign(self, people: Customers, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return bool (n, P) twice: who was offered what in campaign k, and who accepted."""
        eligible = self.world.eligible(people)
        lot = uniform(self.world.seed, f"campaign {k} lot", people.ids, self.catalogue_ids)
        rank = np.argsort(np.argsort(np.where(eligible, lot, 2.0), axis=1), axis=1)
        offered = eligible & (rank < CONTACTS)
        chance = ACCEPTANCE * sigmoid(self.scores(people.ids)[0])
        answer = uniform(self.world.seed, f"campaign {k} answer", people.ids, self.catalogue_ids) < chance
        return offered, offered & answer

    def responses_table(self, people: Customers) -> pa.Table:
        """Return the contacts of all campaigns, and remember the training ones per product."""
        parts = []
        for k, offered_on in enumerate(CAMPAIGNS):
            offered, accepted = self.campaign(people, k)
            rows, cols = np.nonzero(offered)
            if k < TRAINING:
                self.contacts += offered.sum(axis=0)
                self.accepts += accepted.sum(axis=0)
            parts.append(
                pa.table(
                    {
                        "campaign_ix": np.full(len(rows), k),
                        "offered_on": pa.array([offered_on], pa.date32()).take(pa.array(np.zeros(len(rows), np.int8))),
                        "customer_id": people.ids[rows],
                        "product_id": cols,
                        "label": accepted[rows, cols].astype(np.int64),
                    }
                )
            )
        return pa.concat_tables(parts)

    def evaluation_table(self, people: Customers) -> pa.Table:
        """Return every eligible pair: label in the validation campaigns, heuristic and popularity scores."""
        unasked = uniform(self.world.seed, "unasked answer", people.ids, self.catalogue_ids) < UNASKED
        asked, label = np.zeros_like(unasked), np.zeros_like(unasked)
        for k in range(TRAINING, len(CAMPAIGNS)):
            offered, accepted = self.campaign(people, k)
            asked, label = asked | offered, label | accepted
        label = np.where(asked, label, unasked)
        popularity = self.accepts / np.maximum(self.contacts, 1)
        rows, cols = np.nonzero(self.world.eligible(people))
        return pa.table(
            {
                "customer_id": people.ids[rows],
                "product_id": cols,
                "label": label[rows, cols].astype(np.int64),
                "heuristic": self.heuristic(people, popularity)[rows, cols],
                "popularity": popularity[cols],
            }
        )

    def heuristic(self, people: Customers, popularity: Floats) -> Floats:
        """Return float64 (n, P): 0.4 popularity + 0.2 [meets the minimum income] + 0.4 [the top category suggests its type]."""
        types = self.world.catalogue["product_type"]
        suggests = np.array([[kind in TYPES_OF_CATEGORY[name] for kind in types] for name in CATEGORIES])
        meets = people.income[:, None] >= self.world.catalogue["min_income"][None, :]
        return np.asarray(0.4 * popularity + 0.2 * meets + 0.4 * suggests[self.top_category[people.ids]])

    def remember_top_category(self, ids: Whole, owner: Whole, mcc: Whole) -> None:
        """Keep each customer's category with most transactions; of equal ones the first by name."""
        by_name = np.argsort(CATEGORIES)
        counts = np.bincount(owner * len(CATEGORIES) + mcc, minlength=len(ids) * len(CATEGORIES))
        self.top_category[ids] = by_name[counts.reshape(len(ids), -1)[:, by_name].argmax(axis=1)]


def plain_latent(people: Customers) -> Floats:
    """Return float64 (n,): the customer latent but for its salary part."""
    levels = SEGMENT_LEVEL[people.segment] + CHANNEL_LEVEL[people.channel]
    return np.asarray(people.income + levels + people.age / 140.0 - people.city_tier / 12.0)


def salary_share(world: World, people: Customers) -> Floats:
    """Return float64 (n,): share of transactions within 3 days of the salary day; the month's end does not wrap."""
    made = world.purchases(people.ids)
    near = np.abs(day_of_month(made.day) - people.salary_day[made.owner]) <= NEAR_SALARY
    return np.asarray(np.bincount(made.owner, weights=near) / np.bincount(made.owner))


def product_latent(world: World) -> Floats:
    """Return float64 (P,): 0.08 min_income + 0.6 is_premium + a level per segment bias."""
    bias = np.array([BIAS_LEVEL[name] for name in world.catalogue["segment_bias"]])
    return np.asarray(0.08 * world.catalogue["min_income"] + 0.6 * world.catalogue["is_premium"] + bias)


def standardised(values: Floats) -> Floats:
    """Return (values - mean) / standard deviation; zeros where all are equal."""
    spread = values.std()
    return np.asarray((values - values.mean()) / spread if spread > 0 else np.zeros_like(values))
