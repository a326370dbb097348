"""What a product without offers borrows, and from whom: the others of its type first, then all.

Products differ between types and within them. With ``y_j`` the level of product j (log-odds of the average customer)
and ``1 / i_j`` its noise, ``y_j ~ N(μ + a_type, within + 1 / i_j)`` and ``a ~ N(0, between)``. The best linear
predictor of another product of a type is a mixture of the known products (Robinson 1991, Statistical Science 6); the
same mixture lends it every coefficient, so that its reasons stay exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nextoffer.models.training import Training
from nextoffer.tables.flow import Floats, Indices

_TOTALS = np.geomspace(1e-3, 3.0, 25)
_FRACTIONS = np.linspace(0.05, 0.95, 19)
_LEAST = 3  # products with offers, of which fewer say nothing of how products differ


@dataclass(frozen=True)
class Lending:
    """How P products lend to those without offers.

    Attributes
    ----------
    information
        (P,) inverse variance of each product's level; 0 where it had no offer, which lends nothing.
    within, between
        Variance of levels among products of a type, and of types.
    """

    information: Floats
    within: float = 1.0
    between: float = 1e6

    @classmethod
    def of(cls, training: Training, levels: Floats) -> Lending:
        """Return the lending of a training's products, given the level (P,) that a fit gave each."""
        size = len(training.products)
        offers: Floats = np.bincount(training.cols, training.weights, size).astype(np.float64)
        accepts: Floats = np.bincount(training.cols, training.weights * training.labels, size).astype(np.float64)
        return cls.learned(levels, information_of(offers, accepts), training.products.types)

    @classmethod
    def learned(cls, levels: Floats, information: Floats, types: Sequence[str]) -> Lending:
        """Return the lending of products with these levels (P,) and types; variances by restricted likelihood.

        How much of the variance lies between types hardly shows where types have one product each, so halves are
        preferred as two more observations would (a Beta(2, 2) prior of the share).
        """
        there = information > 0
        if there.sum() < _LEAST:
            return cls(information)
        y, noise = levels[there], 1.0 / information[there]
        kind = _numbered([t for t, known in zip(types, there, strict=True) if known])
        spread = float(np.var(y)) + 1e-6
        tried = (
            (_fit(y, noise + total * spread * (1 - f), total * spread * f, kind) + np.log(f * (1 - f)), total, f)
            for total in _TOTALS
            for f in _FRACTIONS
        )
        _, total, fraction = max(tried, key=lambda each: each[0])
        return cls(information, float(total * spread * (1 - fraction)), float(total * spread * fraction))

    def shares(self, types: Sequence[str], places: Indices, wanted: Sequence[str]) -> Floats:
        """Return the mixture (P, Q) that each wanted product is: itself where it has offers, else what it borrows.

        Parameters
        ----------
        types
            Of the P products that lend.
        places, wanted
            (Q,) where each wanted product is among them, or -1; and its type.

        >>> lending = Lending(np.array([50.0, 50.0, 50.0, 0.0]), within=0.1, between=0.1)
        >>> lending.shares(["a", "a", "b", "b"], np.array([2, 3, -1]), ["b", "b", "new"]).round(2).T.tolist()
        [[0.0, 0.0, 1.0, 0.0], [0.16, 0.16, 0.68, 0.0], [0.29, 0.29, 0.42, 0.0]]
        """
        known = np.array([p >= 0 and self.information[p] > 0 for p in places])
        precision = np.divide(
            1.0, self.within + 1.0 / np.maximum(self.information, 1e-300), where=self.information > 0,
            out=np.zeros(len(self.information)),
        )  # fmt: skip
        of_type = {t: precision * np.array([t == other for other in types]) for t in dict.fromkeys((*types, *wanted))}
        damped = {t: 1.0 / (1.0 + self.between * mine.sum()) for t, mine in of_type.items()}
        everyone = precision * np.array([damped[t] for t in types])
        everyone = everyone / everyone.sum() if everyone.sum() > 0 else np.full(len(types), 1.0 / len(types))
        out = np.zeros((len(types), len(wanted)))
        for j, (place, kind) in enumerate(zip(places, wanted, strict=True)):
            if known[j]:
                out[place, j] = 1.0
            else:
                out[:, j] = damped[kind] * everyone + self.between * damped[kind] * of_type[kind]
        return out

    def to_json(self) -> dict[str, Any]:
        """Return it in a plain form."""
        return {"information": self.information.tolist(), "within": self.within, "between": self.between}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Lending:
        """Return what `to_json` described."""
        return cls(np.array(plain["information"], dtype=np.float64), plain["within"], plain["between"])


def information_of(offers: Floats, accepts: Floats) -> Floats:
    """Return the inverse variance of each product's log-odds (P,), given its offers and acceptances: n p (1 − p)."""
    overall = (accepts.sum() + 0.5) / (offers.sum() + 1.0)
    rate = (accepts + overall) / (offers + 1.0)
    return np.asarray(offers * rate * (1.0 - rate))


def _fit(y: Floats, noise: Floats, between: float, kind: Indices) -> float:
    """Twice the restricted log-likelihood of levels with variances `noise` and a variance between their kinds."""
    weight = 1.0 / noise
    mass, pull = np.bincount(kind, weight), np.bincount(kind, weight * y)
    damped = 1.0 / (1.0 + between * mass)
    whole = float((mass * damped).sum())
    mean = float((pull * damped).sum()) / whole
    away = y - mean
    pulled = np.bincount(kind, weight * away)
    square = float((weight * away**2).sum() - between * (pulled**2 * damped).sum())
    return float(np.log(weight).sum() + np.log(damped).sum()) - square - float(np.log(whole))


def _numbered(types: Sequence[str]) -> Indices:
    return np.unique(np.array(types, dtype=object).astype(str), return_inverse=True)[1].astype(np.intp)
