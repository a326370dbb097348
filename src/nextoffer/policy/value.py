"""What an acceptance earns and what an offer costs: the ``[value]`` section of a policy file, and its arithmetic.

::

    value = margin − pd · lgd · exposure − subsidy
    cost  = the product's cost + the cost of a contact over the channel that the customer's first offer goes over
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from nextoffer.policy.allowance import Contact
from nextoffer.policy.batch import Batch
from nextoffer.policy.offering import Offering
from nextoffer.policy.reach import Reach
from nextoffer.policy.section import Section, Share
from nextoffer.tables.flow import Floats

_Amount = Annotated[float, Field(ge=0)]

READS = frozenset({"pd", "channel_pref"})
"""The customers' columns that value and cost look at."""


class Costs(dict[str, float]):
    """What a contact costs, by channel; not to be changed, so that it can be a part of what is frozen."""

    def __hash__(self) -> int:  # type: ignore[override]
        """Equal costs have equal hashes."""
        return hash(frozenset(self.items()))

    @classmethod
    def of(cls, costs: dict[str, float]) -> Costs:
        """Return costs in the order of their channels."""
        return cls(sorted(costs.items()))


class Value(Section):
    """What stands in where the bank's tables say nothing, and what a contact costs.

    Attributes
    ----------
    exposure, subsidy
        Where the product has none.
    pd
        Where the customer's is not known and the product can make a loss; None: then the value is not known.
    contact_cost
        Per offer over the channel; a channel that is not named costs nothing.
    """

    exposure: _Amount = 0.0
    subsidy: _Amount = 0.0
    pd: Share | None = None
    contact_cost: Annotated[dict[str, _Amount], AfterValidator(Costs.of)] = Costs()


@lru_cache(maxsize=16)
def loss_at_default(offering: Offering, value: Value) -> Floats:
    """Return lgd × exposure of each product, float64 (P,): 0 without an lgd, for such a product is no credit."""
    lgd = np.nan_to_num(offering.column("lgd"), nan=0.0)
    exposure = np.nan_to_num(offering.column("exposure"), nan=value.exposure)
    return np.asarray(lgd * exposure, dtype=np.float64)


@lru_cache(maxsize=16)
def subsidy(offering: Offering, value: Value) -> Floats:
    """Return what an acceptance is helped with, float64 (P,)."""
    return np.asarray(np.nan_to_num(offering.column("subsidy"), nan=value.subsidy), dtype=np.float64)


@lru_cache(maxsize=16)
def product_cost(offering: Offering) -> Floats:
    """Return what an offer of each product costs whatever the channel, float64 (P,)."""
    return np.asarray(np.nan_to_num(offering.column("cost"), nan=0.0), dtype=np.float64)


def default_risk(batch: Batch, value: Value) -> Floats:
    """Return each customer's probability of default, float64 (n,): NaN where nobody says."""
    nobody = np.nan if value.pd is None else value.pd
    if "pd" not in batch.features.names:
        return np.full(batch.shape[0], nobody)
    known = batch.customer_column("pd")
    return np.asarray(np.where(np.isnan(known), nobody, known), dtype=np.float64)


def earned(margin: Floats, risk: Floats, loss: Floats, subsidy: Floats) -> Floats:
    """Return margin − risk × loss − subsidy, NaN where not known; without a loss the risk does not matter."""
    return np.asarray((margin - subsidy) - np.where(loss == 0, 0.0, risk * loss), dtype=np.float64)


def channel_cost(batch: Batch, value: Value, contact: Contact) -> Floats:
    """Return what a contact costs over the channel that each customer's first offer goes over, float64 (n,)."""
    reach = Reach(contact, batch)
    first = reach.channels(np.arange(batch.shape[0]), np.zeros(batch.shape[0], dtype=np.intp))
    return np.array([value.contact_cost.get(name or "", 0.0) for name in reach.names])[first]
