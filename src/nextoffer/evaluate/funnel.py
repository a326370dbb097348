"""How far customers of each group come on the way to an offer: sums over customers, chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from nextoffer.evaluate.outcome import STAGES, Group
from nextoffer.tables.flow import Floats, Indices

CONSIDERED, OFFERED, FIRST = "considered", "offered", "rank1"
STEPS = (CONSIDERED, *STAGES, OFFERED, FIRST)
"""Where a pair may have come to, in order; after ``arbitration`` it is open, and only better offers stand before it."""
_TOP, _ALL = STEPS.index(OFFERED), "all"

Steps = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Scopes:
    """What figures are about: all products together, each product type, each product.

    Attributes
    ----------
    kinds, names
        Of S scopes: ``all``, ``product_type`` or ``product``; and which.
    member
        bool (P, S): the products of each.
    """

    kinds: tuple[str, ...]
    names: tuple[str, ...]
    member: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, products: Sequence[str], types: Sequence[str]) -> Scopes:
        """Return the scopes of P products with names, each once, and types.

        >>> Scopes.of(["Gold", "Blue"], ["card", "card"]).names
        ('all', 'card', 'Gold', 'Blue')
        """
        each = tuple(dict.fromkeys(types))
        member = np.concatenate(
            [
                np.ones((len(products), 1), dtype=np.bool_),
                np.array([[one == name for name in each] for one in types]),
                np.eye(len(products), dtype=np.bool_),
            ],
            axis=1,
        )
        kinds = (_ALL, *["product_type"] * len(each), *["product"] * len(products))
        return cls(kinds, (_ALL, *each, *products), member)


@dataclass(frozen=True)
class Fared:
    """How n customers × P products fared under one policy.

    Attributes
    ----------
    step
        int8 (n, P): the place in `STEPS` that each pair came to.
    rule
        int8 (n, P): the place among the policy's rules of what stopped it, −1 where it is offered.
    exposure
        float64 (n, P): `discount` of the rank, 0 where it is not offered.
    rules
        How many rules there are.
    """

    step: Steps
    rule: Steps
    exposure: Floats
    rules: int


@dataclass(frozen=True)
class Answers:
    """Offers of a later day that were answered: customer and product in the chunk, label, and stated probability."""

    rows: Indices
    cols: Indices
    label: Floats
    stated: Floats


def discount(ranks: Indices) -> Floats:
    """Return how much an offer is looked at, by its place: ``1 / log2(1 + rank)``, 1 for the first (place 0).

    The discount of DCG, with which Singh & Joachims (2018, Fairness of Exposure in Rankings, KDD) weigh positions.

    >>> discount(np.array([0, 1, 2])).round(3).tolist()
    [1.0, 0.631, 0.5]
    """
    return np.asarray(1.0 / np.log2(2.0 + ranks))


def steps(rule: Steps, offers: tuple[Indices, Indices, Indices], stages: Sequence[str], limits: range) -> Steps:
    """Return the place in `STEPS` that each pair came to, int8 (n, P).

    A limit on the number of offers stops at ``contact`` where it leaves a customer nothing at all; else a pair beyond
    it was open, and better offers stood before it.

    Parameters
    ----------
    rule
        int8 (n, P): place in `stages` of what stopped the pair; negative where it is offered. The last is the top.
    offers
        Customer, product and place (0 the first) of each offer.
    stages
        Of each rule and limit.
    limits
        Which of them are limits on the number of offers.
    """
    known = np.array([STEPS.index(stage) - 1 for stage in stages] + [_TOP], dtype=np.int8)
    open_ = STEPS.index("arbitration")
    known[limits.start : limits.stop] = open_
    known[len(stages) - 1] = open_
    found = known[rule]
    limited = (rule >= limits.start) & (rule < limits.stop)
    closed = limited.any(axis=1) & (rule >= 0).all(axis=1)
    found[closed] = np.minimum(found[closed], STEPS.index("contact") - 1)
    rows, cols, place = offers
    found[rows[place == 0], cols[place == 0]] = STEPS.index(FIRST)
    return np.asarray(found)


@dataclass(frozen=True)
class Funnel:
    """Sums over the customers of K groups, for S scopes, P products and R rules.

    Attributes
    ----------
    size
        (K,): customers.
    left
        (len(STEPS), S, K): customers with a product of the scope that came so far.
    exposure, exposure2
        (S, K): sum over customers of the exposure of the scope's products, and of its square.
    takers, served
        (S, K): customers who later took up a product of the scope, and those of them who are offered what they took.
    stopped
        (R, P, K): pairs that a rule stopped.
    answers
        (7, K): the numbers of `Stated`.
    """

    size: Floats
    left: Floats
    exposure: Floats
    exposure2: Floats
    takers: Floats
    served: Floats
    stopped: Floats
    answers: Floats

    def __add__(self, other: Funnel) -> Funnel:
        """Return the sums over both."""
        return Funnel(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Funnel)))


def funnel(fared: Fared, group: Group, scopes: Scopes, answers: Answers) -> Funnel:
    """Return the sums of one chunk of customers."""
    n, count = len(group.places), len(group.names)
    one = np.zeros((n, count))
    one[np.arange(n), group.places] = 1.0
    member = scopes.member
    furthest = np.stack([fared.step[:, member[:, s]].max(axis=1) for s in range(member.shape[1])], axis=1)
    exposure = fared.exposure @ member
    taken = np.zeros(fared.step.shape)
    yes = answers.label > 0
    taken[answers.rows[yes], answers.cols[yes]] = 1.0
    both = taken * (fared.step >= _TOP)
    return Funnel(
        one.sum(axis=0),
        np.stack([(furthest >= k).T.astype(np.float64) @ one for k in range(len(STEPS))]),
        exposure.T @ one,
        (exposure * exposure).T @ one,
        (taken @ member > 0).T.astype(np.float64) @ one,
        (both @ member > 0).T.astype(np.float64) @ one,
        _stopped(fared, group),
        _answers(answers, one),
    )


def _stopped(fared: Fared, group: Group) -> Floats:
    products = fared.rule.shape[1]
    shape = (fared.rules, products, len(group.names))
    rows, cols = np.nonzero(fared.rule >= 0)
    place = (fared.rule[rows, cols].astype(np.intp) * products + cols) * shape[2] + group.places[rows]
    return np.bincount(place, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)


def _answers(answers: Answers, one: Floats) -> Floats:
    n = len(one)
    accepted, expected, offers = (
        np.bincount(answers.rows, weights=each, minlength=n).astype(np.float64)
        for each in (answers.label, answers.stated, np.ones(len(answers.rows)))
    )
    amounts = (
        offers > 0, offers, accepted, expected, accepted * accepted, expected * expected, accepted * expected,
    )  # fmt: skip
    return np.stack([np.asarray(each, dtype=np.float64) @ one for each in amounts])
