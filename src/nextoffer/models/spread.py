"""How far the log-odds would move had the customers answered otherwise: compiled, like the scorecard, into tables.

The variance of the log-odds of customer c and product j is::

    [1, s(c)]ᵀ C_j [1, s(c)]  +  Σ_r v_jr² Σ_k u_rk(c)²  +  Σ_f variance_f[bin_f(c), j]

where s(c) are the customer's R scores on the factors of the response affinity, C_j the covariance of the product's base
and of its weights on them, u_rk(c) the customer's coordinates in the main directions of what is not known of factor
r's customer side, v_jr the product's weights, and the last sum is that of the boosted terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nextoffer import compiled
from nextoffer.models import kernels
from nextoffer.models.coding import Bins
from nextoffer.models.stacked import Stacked, Table
from nextoffer.tables.flow import Floats

_ONE_PRODUCT = 1.0
"""Variance of a new product's log-odds where only one other product is known."""


@dataclass(frozen=True)
class Spread:
    """What the variances of P products' log-odds are computed from.

    Attributes
    ----------
    coordinates
        Per customer feature of the card, float32 (bins, R + K): what it adds to the R scores and to the K coordinates;
        none of them where R is 0.
    owner
        (K,) the factor each coordinate belongs to.
    weights
        float32 (P, R).
    products
        float32 (P, R + 1, R + 1): C_j.
    variances, pair_variances
        float32 (bins, P) by the place of a feature, and of a pair feature, in the card; those without are left out.
    """

    coordinates: tuple[Table, ...]
    owner: npt.NDArray[np.int64]
    weights: Table
    products: Table
    variances: Mapping[int, Table]
    pair_variances: Mapping[int, Table]

    @classmethod
    def of_products(cls, variances: Floats) -> Spread:
        """Return the spread of products whose log-odds have these variances (P,), the same for all customers."""
        none = np.zeros(0, dtype=np.int64)
        weights = np.zeros((len(variances), 0), dtype=np.float32)
        return cls((), none, weights, variances.astype(np.float32)[:, None, None], {}, {})

    def deviations(self, codes: Bins, pair_codes: Sequence[Bins]) -> Table:
        """Return the standard deviations, float32 (n, P), of customers with bins `codes` (F, n), `pair_codes` (n, P).

        Added up in one order, so that a customer's are the same to the last bit in any batch.
        """
        rank = self.weights.shape[1]
        out = np.repeat(self.products[None, :, 0, 0], codes.shape[1], axis=0)
        if rank:
            self._add_affinity(self._coordinates(codes), out)
        for feature, table in self.variances.items():
            out += table[codes[feature]]
        every = np.arange(out.shape[1])
        for feature, table in self.pair_variances.items():
            out += table[pair_codes[feature], every]
        return np.sqrt(np.maximum(out, np.float32(0.0)))

    def mixed(self, share: Floats, spare: Floats) -> Spread:
        """Return the spread of other products, each a mixture (P, Q) of the fitted ones.

        `spare` (Q, R + 1) is what is added to the variances of a product's base and weights: for a product that has
        only borrowed them, the variance between those that it borrowed from.
        """
        mix = share.astype(np.float32)
        products = np.einsum("pq,pab->qab", mix**2, self.products)
        places = np.arange(products.shape[1])
        products[:, places, places] += spare.astype(np.float32)
        return replace(
            self,
            weights=mix.T @ self.weights,
            products=products,
            variances={f: t @ mix for f, t in self.variances.items()},
            pair_variances={f: t @ mix for f, t in self.pair_variances.items()},
        )

    def arrays(self) -> dict[str, Any]:
        """Return every array under a name of its own, for saving without pickle."""
        out = {"spread_owner": self.owner, "spread_weights": self.weights, "spread_products": self.products}
        out |= {f"spread_{i}": t for i, t in enumerate(self.coordinates)}
        out |= {f"spread_variance_{f}": t for f, t in self.variances.items()}
        return out | {f"spread_pair_variance_{f}": t for f, t in self.pair_variances.items()}

    def to_json(self) -> dict[str, Any]:
        """Return what `arrays` does not hold."""
        return {
            "coordinates": len(self.coordinates),
            "variances": list(self.variances),
            "pair_variances": list(self.pair_variances),
        }

    @classmethod
    def restore(cls, plain: Mapping[str, Any], arrays: Mapping[str, Any]) -> Spread:
        """Return the spread that `to_json` and `arrays` describe."""
        return cls(
            tuple(arrays[f"spread_{i}"] for i in range(plain["coordinates"])),
            arrays["spread_owner"],
            arrays["spread_weights"],
            arrays["spread_products"],
            {f: arrays[f"spread_variance_{f}"] for f in plain["variances"]},
            {f: arrays[f"spread_pair_variance_{f}"] for f in plain["pair_variances"]},
        )

    @cached_property
    def _stacked(self) -> Stacked:
        return Stacked.of(self.coordinates, self.weights.shape[1] + len(self.owner))

    def _coordinates(self, codes: Bins) -> Table:
        out = np.zeros((codes.shape[1], self.weights.shape[1] + len(self.owner)), dtype=np.float32)
        if compiled.ready() and codes.dtype == np.uint8:
            kernels.add_tables(codes, self._stacked.starts, self._stacked.rows, out)
            return out
        for feature, table in zip(codes, self.coordinates, strict=True):
            out += table[feature]
        return out

    def _add_affinity(self, coordinates: Table, out: Table) -> None:
        rank = self.weights.shape[1]
        scores = [coordinates[:, r, None] for r in range(rank)]
        for a, score in enumerate(scores, start=1):
            out += score * (np.float32(2.0) * self.products[:, 0, a])
            for b, other in enumerate(scores, start=1):
                out += score * other * self.products[:, a, b]
        squares = np.zeros((len(coordinates), rank), dtype=np.float32)
        for k, factor in enumerate(self.owner):
            squares[:, factor] += coordinates[:, rank + k] ** 2
        for r in range(rank):
            out += squares[:, r, None] * self.weights[:, r] ** 2


def between_products(levels: Floats, types: Sequence[str], wanted: Sequence[str]) -> Floats:
    """Return how far a new product of each wanted type may lie from the mean of its type: variances (Q, k).

    Parameters
    ----------
    levels
        (P, k) what the known products are like.
    types, wanted
        Their types, and those of Q new products; a type without known products borrows from all.

    A type's variance is estimated from its products and, as one observation more, the variance between all: so a type
    with a single product has that of all. The mean itself is uncertain by 1 / n of it.

    >>> between_products(np.array([[1.0], [3.0], [2.0]]), ["a", "a", "b"], ["b", "new"]).round(3).tolist()
    [[2.0], [1.333]]
    """
    count = len(levels)
    whole = levels.var(axis=0, ddof=1) if count > 1 else np.full(levels.shape[1], _ONE_PRODUCT)
    out = np.zeros((len(wanted), levels.shape[1]))
    for q, wish in enumerate(wanted):
        alike = levels[[t == wish for t in types]]
        mine = alike if len(alike) else levels
        within = whole if not len(alike) else (((mine - mine.mean(axis=0)) ** 2).sum(axis=0) + whole) / len(mine)
        out[q] = within * (1.0 + 1.0 / len(mine))
    return out
