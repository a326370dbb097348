"""The priority of an offer, ``P × C × V × L``: propensity, context, value and lever.

::

    expected value = propensity × value − cost              incremental: (propensity − without an offer) × value − cost
    score          = (propensity or expected value) × context weights × levers

All is element by element, so that a pair's numbers are the same to the last bit alone and among a million.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from nextoffer.errors import PolicyError, did_you_mean
from nextoffer.policy.allowance import Contact
from nextoffer.policy.batch import Batch
from nextoffer.policy.expression import Expression, parsed
from nextoffer.policy.objective import Arbitration, Context, Lever
from nextoffer.policy.offering import Offering
from nextoffer.policy.value import Value, channel_cost, default_risk, earned, loss_at_default, product_cost, subsidy
from nextoffer.tables.flow import Floats, Indices, Kind, ids_as_text


@dataclass(frozen=True)
class Terms:
    """What a policy says of the worth of an offer."""

    arbitration: Arbitration
    value: Value
    contact: Contact


@dataclass(frozen=True, eq=False)
class Priority:
    """The numbers of pairs: of all n × P of a batch, or of m chosen ones.

    Each comes in a shape that broadcasts to (n, P), or in (m,); NaN where it is not known.

    Attributes
    ----------
    batch, terms
        Customers with their products, and what the policy says.
    at
        Customers and products of the chosen pairs; None: all.
    """

    batch: Batch
    terms: Terms
    at: tuple[Indices, Indices] | None = None

    @classmethod
    def of(cls, batch: Batch, terms: Terms) -> Priority:
        """Return the numbers of all pairs of a batch, worked out once; they last as long as the batch does."""
        found = batch.kept.get(terms)
        if found is None:
            found = batch.kept[terms] = cls(batch.lent, terms)
        assert isinstance(found, Priority)
        return found

    def pairs(self, rows: Indices, cols: Indices) -> Priority:
        """Return the numbers of the pairs (rows[i], cols[i])."""
        return Priority(self.batch, self.terms, (rows, cols))

    @cached_property
    def propensity(self) -> Floats:
        """P(accept)."""
        log_odds = np.asarray(self.batch.scores.log_odds, dtype=np.float32)
        return np.asarray(expit(self._taken(log_odds)))

    @cached_property
    def natural(self) -> Floats | None:
        """P(accept) without an offer; None where the model does not say."""
        found = self.batch.natural
        return None if found is None else self._taken(found)

    @cached_property
    def uplift(self) -> Floats:
        """What the offer adds to P(accept)."""
        natural = self.natural
        return np.full(self.propensity.shape, np.nan) if natural is None else self.propensity - natural

    @cached_property
    def value(self) -> Floats:
        """What an acceptance earns."""
        offering, value = self.batch.offering, self.terms.value
        return earned(
            self._of_products(self.batch.product_column("margin")),
            self._of_customers(default_risk(self.batch, value)),
            self._of_products(loss_at_default(offering, value)),
            self._of_products(subsidy(offering, value)),
        )

    @cached_property
    def cost(self) -> Floats:
        """What the offer costs, accepted or not."""
        own = self._of_products(product_cost(self.batch.offering))
        if not self.terms.value.contact_cost:
            return own
        return own + self._of_customers(channel_cost(self.batch, self.terms.value, self.terms.contact))

    @cached_property
    def expected_value(self) -> Floats:
        """What the offer earns on average."""
        return self._expected(self.propensity)

    @cached_property
    def context_weight(self) -> Floats:
        """The product of the weights whose condition is known to hold."""
        if not self.terms.arbitration.context:
            return np.ones((1, 1) if self.at is None else np.broadcast(*self.at).shape)
        whole = context_weight(self.batch, self.terms.arbitration.context)
        return whole if self.at is None else np.broadcast_to(whole, self.batch.shape)[self.at]

    @cached_property
    def lever(self) -> Floats:
        """The product of the levers on the offered product."""
        return self._of_products(levers(self.batch.offering, self.terms.arbitration.lever))

    @cached_property
    def score(self) -> Floats:
        """What is sorted."""
        return self.scored(self.propensity)

    def scored(self, propensity: Floats) -> Floats:
        """Return what would be sorted, were these the propensities."""
        arbitration = self.terms.arbitration
        if arbitration.objective == "propensity":
            counted = propensity
        else:
            counted = self.expected_value if propensity is self.propensity else self._expected(propensity)
        if not arbitration.context and not arbitration.lever:
            return counted
        return np.asarray(counted * self.context_weight * self.lever)

    @property
    def unaided(self) -> Floats | None:
        """What the expected value leaves out: `natural` where the objective is what the offer adds, else None."""
        return self.natural if self.terms.arbitration.objective == "incremental_value" else None

    def _expected(self, propensity: Floats) -> Floats:
        natural = self.unaided
        caused = propensity if natural is None else propensity - natural
        return np.asarray(caused * self.value - self.cost)

    def _taken(self, whole: npt.NDArray[np.float32]) -> Floats:
        return (whole if self.at is None else whole[self.at]).astype(np.float64)

    def _of_customers(self, values: Floats) -> Floats:
        return values[:, None] if self.at is None else values[self.at[0]]

    def _of_products(self, values: Floats) -> Floats:
        return values[None, :] if self.at is None else values[self.at[1]]


def context_weight(batch: Batch, contexts: Iterable[Context]) -> Floats:
    """Return the product of the weights whose condition is known to hold, of a shape that broadcasts to (n, P).

    Raises
    ------
    PolicyError
        A condition names columns that are not there, or compares what cannot be compared; all are named.
    """
    whole = np.ones((1, 1))
    for context, condition in typed(contexts, batch.kinds):
        whole = whole * np.where(condition.holds(batch.wide), context.weight, 1.0)
    return whole


def typed(
    contexts: Iterable[Context], kinds: Mapping[str, Kind], closed: Mapping[str, str] | None = None
) -> list[tuple[Context, Expression]]:
    """Return the conditions of weights over columns of these kinds; `closed` says why others may not be used.

    Raises
    ------
    PolicyError
        As `context_weight` does.
    """
    found, problems = [], []
    for place, context in enumerate(contexts):
        try:
            found.append((context, parsed(context.when).typed(kinds, closed)))
        except PolicyError as error:
            problems += [f"arbitration.context.{place}: when {problem}" for problem in error.problems]
    if problems:
        raise PolicyError(problems)
    return found


@lru_cache(maxsize=16)
def levers(offering: Offering, levers: tuple[Lever, ...]) -> Floats:
    """Return the product of the levers on each product, float64 (P,).

    Raises
    ------
    PolicyError
        A lever names products or product types that the bank does not have; all are named.
    """
    there = {"product_type": offering.types.to_pylist(), "product": ids_as_text(offering.ids)}
    problems = [
        f"arbitration.lever.{place}: {key} names '{name}', which the bank does not have{did_you_mean(name, known)}"
        for place, lever in enumerate(levers)
        for key, known in there.items()
        for name in getattr(lever, key)
        if name not in known
    ]
    if problems:
        raise PolicyError(problems)
    whole = np.ones(len(offering))
    for lever in levers:
        wanted = [(known, getattr(lever, key)) for key, known in there.items() if getattr(lever, key)]
        for j in range(len(offering)):
            whole[j] *= lever.weight if all(known[j] in names for known, names in wanted) else 1.0
    return whole
