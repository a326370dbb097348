"""Peers that only a backtest meets: recommenders of the literature on what customers hold or have accepted.

Both learn from one matrix of customers × products as known on the day of the fit (1 = held, or accepted before), know
nothing else of customers, and give scores that order products but are no probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Self

import numpy as np

from nextoffer.errors import ModelError
from nextoffer.keyed import hash64, uniform
from nextoffer.models.pairs import held_flags
from nextoffer.models.plain import PlainScores
from nextoffer.models.products import Products
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable, Floats

RIDGES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
_FACTORS, _RIDGE, _ROUNDS = 8, 0.1, 15


def interactions(features: FeatureTable, products: Products) -> Floats:
    """Return (n, P): 1 where a customer holds the product or has accepted an offer of it, else 0."""
    held = np.asarray(held_flags(features, products), dtype=np.float64)
    if "accepts" in features.measures:
        held = np.maximum(held, np.nan_to_num(features.per_product("accepts", products.ids)) > 0)
    return held


def ease(gram: Floats, ridge: float) -> Floats:
    """Return EASE's weights (P, P) of a Gram matrix XᵀX: ``B = I − P diag(1 / diag P)``, ``P = (XᵀX + ridge·I)⁻¹``.

    The closed form of the linear model of each product from the others that has no weight on itself and the least
    squared error plus ``ridge`` times the squared weights (Steck 2019, *Embarrassingly Shallow Autoencoders for Sparse
    Data*, WWW).

    >>> ease(np.array([[2.0, 1.0], [1.0, 2.0]]), 1.0).round(4).tolist()  # each from the other: 1 / (2 + 1)
    [[0.0, 0.3333], [0.3333, 0.0]]
    """
    inverse = np.linalg.inv(gram + ridge * np.eye(len(gram)))
    weights = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights)


@dataclass(frozen=True)
class Ease:
    """EASE; its ridge is the one of `RIDGES` with the least squared error on a fifth of the customers, held out."""

    seed: int = 7
    name: str = "ease"
    products_: Products | None = None
    weights_: Floats | None = None
    ridge_: float = 0.0

    @staticmethod
    def wanting() -> None:
        """Nothing more needs to be installed."""
        return

    def fit(self, training: Training) -> Self:
        """Return the fitted peer."""
        latest, products = training.snapshots[-1], training.products
        known = interactions(latest, products)
        held_out = uniform(self.seed, "ease", hash64(latest.customer_ids).view(np.int64)) < 0.2
        learn, test = known[~held_out], known[held_out]
        gram = learn.T @ learn
        errors = [float(((test - test @ ease(gram, ridge)) ** 2).sum()) for ridge in RIDGES]
        best = RIDGES[int(np.argmin(errors))]
        return replace(self, products_=products, weights_=ease(known.T @ known, best), ridge_=best)

    def score(self, features: FeatureTable, products: Products) -> PlainScores:
        """Return scores (n, P)."""
        if self.products_ is None or self.weights_ is None or self.products_.ids != products.ids:
            raise ModelError("a peer scores the products it was fitted on; call fit first")
        return PlainScores((interactions(features, products) @ self.weights_).astype(np.float32), self.name)


@dataclass(frozen=True)
class ImplicitALS:
    """Matrix factorisation of implicit feedback by alternating least squares (Hu, Koren & Volinsky 2008, ICDM).

    By the package ``implicit``; customers met later get their factors from what they hold.
    """

    seed: int = 7
    name: str = "als"
    model_: Any = None

    @staticmethod
    def wanting() -> str | None:
        """Return what is not installed, or None."""
        return None if find_spec("implicit") else "the package implicit is not installed"

    def fit(self, training: Training) -> Self:
        """Return the fitted peer."""
        from scipy.sparse import csr_matrix
        from threadpoolctl import threadpool_limits

        known = csr_matrix(interactions(training.snapshots[-1], training.products))
        factors = min(_FACTORS, max(len(training.products) - 1, 1))
        with threadpool_limits(1, "blas"):  # it warns of threads that wait for each other
            als = import_module("implicit.cpu.als").AlternatingLeastSquares
            model = als(
                factors=factors, regularization=_RIDGE, iterations=_ROUNDS, random_state=self.seed, num_threads=1
            )
            model.fit(known, show_progress=False)
        return replace(self, model_=model)

    def score(self, features: FeatureTable, products: Products) -> PlainScores:
        """Return scores (n, P)."""
        from scipy.sparse import csr_matrix
        from threadpoolctl import threadpool_limits

        if self.model_ is None:
            raise ModelError("this peer is not fitted: call fit first")
        known = csr_matrix(interactions(features, products))
        with threadpool_limits(1, "blas"):
            users = self.model_.recalculate_user(np.arange(known.shape[0]), known)
        return PlainScores((users @ self.model_.item_factors.T).astype(np.float32), self.name)


PEERS: Mapping[str, type[Ease] | type[ImplicitALS]] = {"ease": Ease, "als": ImplicitALS}
"""Peers by name."""
