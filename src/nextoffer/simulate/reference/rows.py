"""A reference world as tables, and the two baseline scores that go with its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.keyed import normal, uniform
from nextoffer.simulate.draws import Flags, Floats, Whole, category, named, whole
from nextoffer.simulate.reference.truth import CAMPAIGNS, NEAR_SALARY, Answers, Truth
from nextoffer.simulate.reference.world import (
    CATEGORIES,
    CHANNELS,
    SEGMENTS,
    TODAY,
    Customers,
    Products,
    Purchases,
    World,
)

TRAINING = 4  # campaigns 0..3 train, the others validate
UNASKED = 0.02  # share of the pairs not contacted while validating that are labelled 1 all the same
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

_TODAY_SINCE_EPOCH = (TODAY - date(1970, 1, 1)).days


@dataclass(frozen=True)
class Tally:
    """What the evaluation must know of the whole world; filled chunk by chunk.

    Attributes
    ----------
    contacts, accepts
        int64 (P,): of the training campaigns.
    favourite
        int8 (n,): index of the category in which each customer has most transactions; of equal ones the first by name.
    """

    contacts: Whole
    accepts: Whole
    favourite: npt.NDArray[np.int8]

    @classmethod
    def empty(cls, world: World) -> Self:
        """Return a tally that has seen nobody."""
        zeros = np.zeros(world.products, dtype=np.int64)
        return cls(zeros, zeros.copy(), np.zeros(world.customers, dtype=np.int8))

    def add(self, ids: Whole, campaigns: Sequence[Answers], categories: tuple[Whole, Whole]) -> None:
        """Count the training campaigns of the given customers, and their transactions as (owner, category)."""
        for answers in campaigns[:TRAINING]:
            self.contacts[:] += answers.offered.sum(axis=0)
            self.accepts[:] += answers.accepted.sum(axis=0)
        self.favourite[ids] = favourite_category(*categories, len(ids))

    @property
    def popularity(self) -> Floats:
        """float64 (P,): share of the training contacts that were accepted."""
        return np.asarray(self.accepts / np.maximum(self.contacts, 1))


def favourite_category(owner: Whole, category: Whole, customers: int) -> Whole:
    """Return the category with most transactions of each customer 0..n-1; of equal ones the first by name.

    >>> favourite = favourite_category(np.array([0, 0, 0, 1, 1]), np.array([1, 1, 2, 5, 4]), 2)
    >>> [CATEGORIES[k] for k in favourite]
    ['fuel', 'travel']
    """
    by_name, width = np.argsort(CATEGORIES), len(CATEGORIES)
    counts = np.bincount(owner * width + category, minlength=customers * width).reshape(customers, width)
    return np.asarray(by_name[counts[:, by_name].argmax(axis=1)])


def products_table(world: World) -> pa.Table:
    """Return the products."""
    p = world.catalogue
    return pa.table(
        {
            "product_id": p.ids,
            "product_type": p.kind.tolist(),
            "min_income": p.min_income,
            "segment_bias": p.bias.tolist(),
            "is_premium": p.premium.astype(np.int64),
        }
    )


def merchants_table(world: World) -> pa.Table:
    """Return the merchants with their categories."""
    categories = world.merchant_category
    return pa.table({"merchant_id": np.arange(len(categories)), "mcc": named(categories, CATEGORIES)})


def customers_table(people: Customers) -> pa.Table:
    """Return the given customers."""
    return pa.table(
        {
            "customer_id": people.ids,
            "age": people.age,
            "income": people.income,
            "city_tier": people.city_tier,
            "channel_pref": named(people.channel, tuple(CHANNELS)),
            "segment": named(people.segment, tuple(SEGMENTS)),
            "salary_day": people.salary_day,
        }
    )


def transactions_table(world: World, people: Customers, made: Purchases) -> pa.Table:
    """Return the transactions of the given customers.

    An amount is |N(1500, 1000)|, and a fifth more if a second, independent day of the month lies near the salary day:
    that is how the notebook does it, so nothing of the salary shows in the amounts of the days around it.
    """
    unseen_day = whole(world.seed, "transaction boost", made.key, low=1, high=30)
    boost = np.where(np.abs(unseen_day - people.salary_day[made.owner]) <= NEAR_SALARY, 1.2, 1.0)
    channel = category(world.seed, "transaction channel", made.key, tuple(CHANNELS.values()))
    return pa.table(
        {
            "customer_id": people.ids[made.owner],
            "date": pa.array((_TODAY_SINCE_EPOCH - made.days_back).astype(np.int32)).cast(pa.date32()),
            "amount": boost * np.abs(1500.0 + 1000.0 * normal(world.seed, "transaction amount", made.key)),
            "merchant_id": made.merchant,
            "mcc": named(world.merchant_category[made.merchant], CATEGORIES),
            "channel": named(channel, tuple(CHANNELS)),
        }
    )


def holdings_table(world: World, ids: Whole) -> pa.Table:
    """Return one row per customer and product held."""
    rows, cols = np.nonzero(world.held(ids))
    return pa.table({"customer_id": ids[rows], "product_id": cols})


def responses_table(ids: Whole, campaigns: Sequence[Answers]) -> pa.Table:
    """Return one row per contact, campaign after campaign."""
    parts = []
    for k, answers in enumerate(campaigns):
        rows, cols = np.nonzero(answers.offered)
        parts.append(
            pa.table(
                {
                    "campaign_ix": np.full(len(rows), k),
                    "offered_on": pa.repeat(pa.scalar(CAMPAIGNS[k], pa.date32()), len(rows)),
                    "customer_id": ids[rows],
                    "product_id": cols,
                    "label": answers.accepted[rows, cols].astype(np.int64),
                }
            )
        )
    return pa.concat_tables(parts)


def truth_table(truth: Truth, ids: Whole) -> pa.Table:
    """Return true_score and noiseless_score of every pair."""
    products = truth.world.catalogue.ids
    return pa.table(
        {
            "customer_id": np.repeat(ids, len(products)),
            "product_id": np.tile(products, len(ids)),
            "true_score": truth.scores(ids).ravel(),
            "noiseless_score": truth.noiseless(ids).ravel(),
        }
    )


def evaluation_table(truth: Truth, people: Customers, tally: Tally) -> pa.Table:
    """Return label, heuristic and popularity of every eligible pair.

    The label is 1 if a validation campaign's offer was accepted. Where none was made it is a coin of 0.02, as in the
    notebook: an acceptance without an offer.
    """
    label = _validation_labels(truth, people)
    rows, cols = np.nonzero(truth.world.eligible(people))
    return pa.table(
        {
            "customer_id": people.ids[rows],
            "product_id": cols,
            "label": label[rows, cols].astype(np.int64),
            "heuristic": heuristic(truth.world.catalogue, people, tally)[rows, cols],
            "popularity": tally.popularity[cols],
        }
    )


def _validation_labels(truth: Truth, people: Customers) -> Flags:
    validating = truth.campaigns(people)[TRAINING:]
    asked = np.logical_or.reduce([answers.offered for answers in validating])
    accepted = np.logical_or.reduce([answers.accepted for answers in validating])
    unasked = uniform(truth.world.seed, "unasked answer", people.ids, truth.world.catalogue.ids) < UNASKED
    return np.asarray(np.where(asked, accepted, unasked))


def heuristic(products: Products, people: Customers, tally: Tally) -> Floats:
    """Return float64 (n, P): 0.4 popularity + 0.2 [minimum income met] + 0.4 [favourite category suggests the type]."""
    suggests = np.array([[kind in TYPES_OF_CATEGORY[name] for kind in products.kind] for name in CATEGORIES])
    meets = people.income[:, None] >= products.min_income[None, :]
    return np.asarray(0.4 * tally.popularity + 0.2 * meets + 0.4 * suggests[tally.favourite[people.ids]])
