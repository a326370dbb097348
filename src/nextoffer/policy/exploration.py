"""Exploration: the first ranks are now and then given to offers that are not thought to be the best, to learn of them.

What is left to chance is keyed by seed, day, customer, product and rank, and the probability of each choice is known
exactly (`chances`), so that other policies can later be judged by the answers. See Thompson (1933), Chapelle & Li
(2011) and Russo et al. (2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal, Protocol

import numpy as np
from pydantic import Field
from scipy.special import expit

from nextoffer import keyed
from nextoffer.errors import PolicyError
from nextoffer.policy.chances import Uncertain
from nextoffer.policy.logic import Mask
from nextoffer.policy.ordering import Columns, Order
from nextoffer.policy.priority import Priority
from nextoffer.policy.section import Section, Share
from nextoffer.tables.flow import Floats, Indices


class Exploration(Section):
    """How much is left to chance, and how.

    Attributes
    ----------
    method
        ``none``; ``epsilon``: by a share; ``thompson``: as likely as it is the best.
    epsilon
        The share of the explored ranks that `epsilon` gives to any product.
    slots
        The first so many ranks are explored.
    new_product_share
        In this share of them at most, products without data are tried.
    """

    method: Literal["none", "epsilon", "thompson"] = "none"
    epsilon: Share = 0.05
    slots: Annotated[int, Field(ge=1)] = 1
    new_product_share: Share = 0.1


@dataclass(frozen=True, eq=False)
class Candidates:
    """The open products of m customers in their plain order, best first.

    Attributes
    ----------
    whole
        The priorities of the batch they are of.
    rows
        The customers, (m,).
    cols
        int16 (m, P): the products, −1 beyond the open ones.
    seed
        Of all that is left to chance.
    """

    whole: Priority
    rows: Indices
    cols: Columns
    seed: int

    @cached_property
    def priority(self) -> Priority:
        """The numbers of the candidates, (m, P), of any product beyond them."""
        return self.whole.pairs(self.rows[:, None], self._places)

    @cached_property
    def unseen(self) -> Mask:
        """Which of them are products that the model learned nothing of, bool (m, P)."""
        found = self.whole.batch.scores.unseen
        return np.zeros(self.cols.shape, dtype=np.bool_) if found is None else found[self._places]

    def customers(self, purpose: str, slot: int) -> Floats:
        """Return a number of each customer, uniform (m,), for this rank on this day."""
        return keyed.uniform(self.seed, self._named(purpose, slot), self.whole.batch.customer_keys[self.rows])

    def uniform(self, purpose: str, slot: int) -> Floats:
        """Return a number of each candidate, uniform (m, P), for this rank on this day."""
        return self._in_order(keyed.uniform(self.seed, self._named(purpose, slot), *self._keys))

    def normal(self, purpose: str, slot: int) -> Floats:
        """Return a standard normal number of each candidate, (m, P), for this rank on this day."""
        return self._in_order(keyed.normal(self.seed, self._named(purpose, slot), *self._keys))

    @cached_property
    def _places(self) -> Indices:
        return np.maximum(self.cols, 0).astype(np.intp)

    @property
    def _keys(self) -> tuple[keyed.Ids, keyed.Ids]:
        batch = self.whole.batch
        return batch.customer_keys[self.rows], batch.offering.keys

    def _named(self, purpose: str, slot: int) -> str:
        return f"{purpose} {self.whole.batch.features.as_of} {slot}"

    def _in_order(self, values: Floats) -> Floats:
        return np.take_along_axis(values, self._places, axis=1)


class Explorer(Protocol):
    """One way to explore a rank, given which candidates are left."""

    def picked(self, left: Mask, slot: int) -> Indices:
        """Return the place of the candidate who gets the rank, (m,)."""
        ...

    def chances(self, left: Mask) -> Floats:
        """Return the probability of each candidate to get it, float64 (m, P); a customer's add up to 1."""
        ...


@dataclass(frozen=True)
class Epsilon:
    """The best, but for a share of customers any: each that may be tried as likely as the others."""

    candidates: Candidates
    exploration: Exploration

    def picked(self, left: Mask, slot: int) -> Indices:
        """Return the place of the candidate who gets the rank, (m,)."""
        drawn = self.candidates.customers("explore", slot) < self.exploration.epsilon
        new = self.candidates.customers("new products", slot) < self.exploration.new_product_share
        tried = left & (~self.candidates.unseen | new[:, None])
        ticket = np.where(tried, self.candidates.uniform("ticket", slot), np.inf)
        chance = drawn & tried.any(axis=1)
        return np.asarray(np.where(chance, np.argmin(ticket, axis=1), _first(left)), dtype=np.intp)

    def chances(self, left: Mask) -> Floats:
        """Return the probability of each candidate to get it, float64 (m, P)."""
        best = np.zeros(left.shape)
        best[np.arange(len(left)), _first(left)] = left.any(axis=1)
        share, epsilon = self.exploration.new_product_share, self.exploration.epsilon
        old = _evenly(left & ~self.candidates.unseen, otherwise=best)
        return np.asarray((1 - epsilon) * best + epsilon * (share * _evenly(left, otherwise=best) + (1 - share) * old))


@dataclass(frozen=True)
class Thompson:
    """Each as likely as it is the best: log-odds are drawn from what is known of them, and the best is taken."""

    candidates: Candidates
    exploration: Exploration

    def picked(self, left: Mask, slot: int) -> Indices:
        """Return the place of the candidate who gets the rank, (m,)."""
        new = self.candidates.customers("new products", slot) < self.exploration.new_product_share
        sd = np.where(self.candidates.unseen & ~new[:, None], 0.0, self._sd)
        drawn = expit(self._log_odds + sd * self.candidates.normal("thompson", slot))
        score = np.where(left, self.candidates.priority.scored(drawn), -np.inf)
        return np.asarray(np.argmax(score, axis=1))

    def chances(self, left: Mask) -> Floats:
        """Return the probability of each candidate to get it, float64 (m, P)."""
        unseen, share = self.candidates.unseen, self.exploration.new_product_share
        rows = np.flatnonzero((left & unseen).any(axis=1))
        if not rows.size:
            return self._uncertain.largest(left)
        out = np.zeros(left.shape)
        others = np.flatnonzero(~(left & unseen).any(axis=1))
        out[others] = self._uncertain.rows(others).largest(left[others])
        known = replace(self._uncertain, sd=np.where(unseen, 0.0, self._sd))
        for weight, uncertain in ((share, self._uncertain), (1 - share, known)):
            out[rows] += weight * uncertain.rows(rows).largest(left[rows]) if weight else 0.0
        return out

    @cached_property
    def _log_odds(self) -> Floats:
        found = self.candidates.priority.at
        assert found is not None
        return np.asarray(self.candidates.whole.batch.scores.log_odds[found], dtype=np.float64)

    @cached_property
    def _sd(self) -> Floats:
        found = self.candidates.whole.batch.scores.uncertainty
        at = self.candidates.priority.at
        if found is None:
            raise PolicyError(
                "exploration.method 'thompson' needs to know how uncertain the scores are, which this model does not "
                "say: fit one that does (--ranker glassbox), or explore by 'epsilon'"
            )
        assert at is not None
        return np.asarray(found[at], dtype=np.float64)

    @cached_property
    def _uncertain(self) -> Uncertain:
        priority, shape = self.candidates.priority, self.candidates.cols.shape
        base = np.asarray(np.broadcast_to(priority.scored(np.zeros(shape)), shape))
        slope = np.asarray(priority.scored(np.ones(shape)) - base)
        return Uncertain(priority.score, self._log_odds, self._sd, base, slope)


EXPLORERS: Mapping[str, type[Epsilon] | type[Thompson]] = {"epsilon": Epsilon, "thompson": Thompson}


def explored(candidates: Candidates, exploration: Exploration, most: int) -> Order:
    """Return the first `most` ranks: the explored ones with their probabilities, then the rest in their plain order.

    Raises
    ------
    PolicyError
        The model does not say what the method needs to know.
    """
    cols = candidates.cols
    every = np.arange(len(cols))
    left = cols >= 0
    order = np.full((len(cols), most), -1, dtype=np.int16)
    chance = np.ones((len(cols), most))
    explorer = EXPLORERS[exploration.method](candidates, exploration)
    slots = min(exploration.slots, most, cols.shape[1])
    for slot in range(slots):
        place = explorer.picked(left, slot)
        order[:, slot] = np.where(left[every, place], cols[every, place], -1)
        chance[:, slot] = explorer.chances(left)[every, place]
        left[every, place] = False
    rest = np.argsort(~left, axis=1, kind="stable")[:, : most - slots]
    order[:, slots : slots + rest.shape[1]] = np.where(
        np.take_along_axis(left, rest, axis=1), np.take_along_axis(cols, rest, axis=1), -1
    )
    return Order(order, chance)


def _first(left: Mask) -> Indices:
    return np.asarray(np.argmax(left, axis=1))


def _evenly(left: Mask, *, otherwise: Floats) -> Floats:
    count = left.sum(axis=1, keepdims=True)
    return np.where(count > 0, left / np.maximum(count, 1), otherwise)
