"""Standing control arms: small shares of customers who are decided for in a plainer way, to measure the policy by.

A customer's arm hangs on the customer and the policy's seed alone: it stays the same from day to day and from model to
model. Whatever else the policy forbids holds in every arm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field
from scipy.special import expit

from nextoffer import keyed
from nextoffer.policy.batch import Batch
from nextoffer.policy.logic import Mask
from nextoffer.policy.priority import Priority
from nextoffer.policy.section import Section
from nextoffer.tables.flow import Floats, Indices

CHAMPION = "champion"
RANDOM = "random"
POPULARITY = "popularity"
NO_VALUE = "no_value"

Dealt = npt.NDArray[np.int8]


class Arm(Section):
    """One arm: how it chooses, and the share of customers in it."""

    name: Literal["random", "popularity", "no_value"]
    share: Annotated[float, Field(gt=0, lt=1)]


def _together(arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
    names = [arm.name for arm in arms]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"more than one arm is named {' and '.join(twice)}")
    total = sum(arm.share for arm in arms)
    if total >= 1:
        raise ValueError(f"the shares add up to {total:g}: they must leave customers to the champion")
    return arms


Arms = Annotated[tuple[Arm, ...], Field(strict=False), AfterValidator(_together)]
"""The arms of a policy, by default none; who is in none of them is the champion's."""


def names(arms: tuple[Arm, ...]) -> tuple[str, ...]:
    """Return what `dealt` numbers: the champion first."""
    return (CHAMPION, *(arm.name for arm in arms))


def dealt(batch: Batch, arms: tuple[Arm, ...], seed: int) -> Dealt:
    """Return each customer's arm as a place in `names`, int8 (n,)."""
    if not arms:
        return np.zeros(batch.shape[0], dtype=np.int8)
    ends = np.cumsum([arm.share for arm in arms])
    place = np.searchsorted(ends, keyed.uniform(seed, "arm", batch.customer_keys), side="right")
    return np.where(place < len(arms), place + 1, 0).astype(np.int8)


def within(batch: Batch, arms: tuple[Arm, ...], seed: int, name: str) -> Mask:
    """Return which customers are in the arm of this name, bool (n,); nobody where the policy has no such arm."""
    if name not in names(arms):
        return np.zeros(batch.shape[0], dtype=np.bool_)
    return np.asarray(dealt(batch, arms, seed) == names(arms).index(name))


def scores(priority: Priority, rows: Indices, name: str, seed: int) -> Floats:
    """Return what the arm of this name sorts by, for the customers `rows`: of a shape that broadcasts to (m, P)."""
    return _SCORES[name](priority, rows, seed)


def popularity(batch: Batch) -> Floats:
    """Return how popular each product is, float64 (P,).

    It is the product's `popularity` where the bank gives one, of which an unknown one counts as 0; where no product has
    any, the propensity of the average customer the model learned from.
    """
    given = batch.product_column("popularity")
    if given.dtype == np.float64 and not np.isnan(given).all():
        return np.asarray(np.nan_to_num(given, nan=0.0), dtype=np.float64)
    average = np.asarray(batch.scores.average, dtype=np.float64)
    return np.asarray(expit(batch.scores.intercept + np.add.accumulate(average, axis=1)[:, -1]), dtype=np.float64)


def _by_chance(priority: Priority, rows: Indices, seed: int) -> Floats:
    batch = priority.batch
    return keyed.uniform(seed, f"arm {batch.features.as_of}", batch.customer_keys[rows], batch.offering.keys)


def _by_popularity(priority: Priority, rows: Indices, seed: int) -> Floats:  # noqa: ARG001  as all of them
    return popularity(priority.batch)[None, :]


def _by_propensity(priority: Priority, rows: Indices, seed: int) -> Floats:  # noqa: ARG001  as all of them
    return priority.propensity[rows]


_SCORES: Mapping[str, Callable[[Priority, Indices, int], Floats]] = {
    RANDOM: _by_chance,
    POPULARITY: _by_popularity,
    NO_VALUE: _by_propensity,
}
