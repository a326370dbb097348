"""What a rule is: a name, the pairs it stops by itself, and what would have to change for one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from nextoffer.policy.batch import Batch
from nextoffer.policy.logic import Mask

NONE = np.zeros((1, 1), dtype=np.bool_)
"""No pair at all, as a mask of any shape."""


@dataclass(frozen=True)
class Case:
    """One customer and one product, in the batch they are decided in."""

    batch: Batch
    row: int
    col: int

    @property
    def product(self) -> str:
        """What people call the product."""
        return self.batch.product_names[self.col]

    @property
    def propensity(self) -> float:
        """P(accept)."""
        return float(expit(np.float64(self.batch.scores.log_odds[self.row, self.col])))


@dataclass(frozen=True)
class Rule:
    """A rule on single pairs, whatever their ranks.

    Attributes
    ----------
    name
        ``<stage>.<id>``, as refusals name it.
    stops
        Of a batch of n customers × P products: which pairs it stops by itself, as bool that broadcasts to (n, P).
    line
        Of a pair it stops: what stands in the way and what would have to change, for people.
    """

    name: str
    stops: Callable[[Batch], Mask]
    line: Callable[[Case], str]


def stage_of(rule: str) -> str:
    """Return the stage of a rule.

    >>> stage_of("eligibility.held")
    'eligibility'
    """
    return rule.partition(".")[0]


def percent(share: float) -> str:
    """Return a share for people.

    >>> percent(0.1234)
    '12.3 %'
    """
    return f"{100 * share:.3g} %"
