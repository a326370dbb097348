"""Whom a policy reached, as counts that add up over chunks of customers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nextoffer.evaluate.wording import percent


@dataclass(frozen=True)
class Decisions:
    """What a policy made of n customers.

    Attributes
    ----------
    customers, without
        All of them, and those for whom there is no offer, contact rules aside.
    reached
        Per product id, the customers who are offered it, or would be but for contact rules.
    stopped
        Customers without an offer, by the rule that stopped the product of theirs that got furthest.
    consenting
        Customers who allow marketing; None where that is not asked, or not known.
    resting
        Customers whom contact rules alone keep from an offer today.
    """

    customers: int
    without: int
    reached: Mapping[str, int]
    stopped: Mapping[str, int]
    consenting: int | None = None
    resting: int = 0

    def __add__(self, other: Decisions) -> Decisions:
        reached, stopped = (
            {k: a.get(k, 0) + b.get(k, 0) for k in dict.fromkeys((*a, *b))}
            for a, b in ((self.reached, other.reached), (self.stopped, other.stopped))
        )
        mine, theirs = self.consenting, other.consenting
        known = None if mine is None or theirs is None else mine + theirs
        customers, resting = self.customers + other.customers, self.resting + other.resting
        return Decisions(customers, self.without + other.without, reached, stopped, known, resting)

    @property
    def stopped_most(self) -> str:
        """The rule that keeps most customers without an offer from one, in words."""
        if not self.without or not self.stopped:
            return ""
        rule, most = max(self.stopped.items(), key=lambda each: each[1])
        return f", {percent(most / self.without)} of them because of {rule}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Decisions:
        """Return what `to_dict` gave; further keys are let be."""
        return cls(**{name: plain[name] for name in cls.__dataclass_fields__ if name in plain})
