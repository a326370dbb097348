"""What one policy makes of a chunk of customers, in plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nextoffer.tables.flow import Floats, Indices

STAGES = ("consent", "eligibility", "applicability", "suitability", "contact", "arbitration")
"""The stages at which a pair may be stopped, in order."""

NOBODY = "not known"
"""The group of customers whose column is null."""


@dataclass(frozen=True)
class Group:
    """Which of K groups each customer, or each offer, is in.

    Attributes
    ----------
    places
        int (n,).
    names
        Of the K groups, each once.
    """

    places: Indices
    names: tuple[str, ...]


@dataclass(frozen=True)
class Crowd:
    """n customers and P products, with the groups that figures are given for.

    Attributes
    ----------
    customers
        Groups of customers, by the column they come from.
    products, product_types
        Groups of products: each for itself, and by type.
    """

    customers: Mapping[str, Group]
    products: Group
    product_types: Group
    count: int


@dataclass(frozen=True)
class Made:
    """m offers, customers in order, each with its best first.

    Attributes
    ----------
    rows, cols, ranks
        int (m,): customer, product, and place among the customer's offers, 0 for the first.
    value
        float64 (m,): expected value in currency, NaN where not known.
    channels
        Groups of offers.
    """

    rows: Indices
    cols: Indices
    ranks: Indices
    value: Floats
    channels: Group


def ranks_of(rows: Indices) -> Indices:
    """Return which place each offer has among its customer's, int (m,): 0 for the first; rows come in order.

    >>> ranks_of(np.array([3, 3, 8])).tolist()
    [0, 1, 0]
    """
    new = np.ones(len(rows), dtype=np.bool_)
    new[1:] = rows[1:] != rows[:-1]
    place = np.arange(len(rows))
    return place - np.maximum.accumulate(np.where(new, place, 0))


@dataclass(frozen=True)
class Rivals:
    """Of each customer with an offer, the product that propensity alone would have put first.

    Attributes
    ----------
    rows, winners, rivals
        int (w,): customer, product of the first offer, and product of the greatest propensity among those that reach
        arbitration; often the same.
    value_won, propensity_given_up
        float64 (w,): expected value of the winner less the rival's, NaN where not known; propensity the other way.
    """

    rows: Indices
    winners: Indices
    rivals: Indices
    value_won: Floats
    propensity_given_up: Floats


@dataclass(frozen=True)
class Unserved:
    """Customers without an offer, and for each rule the best pair that it alone keeps from one.

    Attributes
    ----------
    rows
        int (u,): the customers.
    served, rules, cols
        int (m,): customer, rule and product of the pairs; each customer and rule once.
    expected_value, expected_loss
        float64 (m,).
    delinquent, vulnerable
        bool (n,): of all customers.
    """

    rows: Indices
    served: Indices
    rules: Indices
    cols: Indices
    expected_value: Floats
    expected_loss: Floats
    delinquent: npt.NDArray[np.bool_]
    vulnerable: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Outcome:
    """What a policy makes of n customers × P products.

    Attributes
    ----------
    names, stages
        The rules, and the stage of each.
    limits
        The places in `names` of limits on the number of offers.
    rule
        int8 (n, P): the place in `names` of what stopped a pair, negative where it is offered.
    true_profit
        By ``top`` and ``all``: float64 (n,), what the first offer and all offers really earn; empty where the truth is
        not known.
    """

    names: tuple[str, ...]
    stages: tuple[str, ...]
    limits: range
    rule: npt.NDArray[np.int8]
    made: Made
    rivals: Rivals
    unserved: Unserved
    true_profit: Mapping[str, Floats]

    @cached_property
    def reached(self) -> npt.NDArray[np.int8]:
        """How many of `STAGES` each pair has passed, int8 (n, P); all of them where it is offered.

        Limits are named only for offers that would have been made; where they leave a customer none at all, none of the
        other pairs has passed them either.
        """
        passed = np.array([*(STAGES.index(stage) for stage in self.stages), len(STAGES)], dtype=np.int8)
        reached = passed[self.rule]  # −1, an offer, is the last
        limited = (self.rule >= self.limits.start) & (self.rule < self.limits.stop)
        closed = limited.any(axis=1) & (self.rule >= 0).all(axis=1)
        reached[closed] = np.minimum(reached[closed], STAGES.index("contact"))
        return np.asarray(reached)
