"""Collaborative signals from sums no larger than products × products.

*Spend interest*: log1p(spend per merchant category) mapped to products through a table, and reduced by truncated SVD
(Deerwester et al. 1990), whose right vectors are the eigenvectors of the products × products Gram matrix. *Co-holding*:
EASE (Steck 2019), a linear model of each product from the others with a zero diagonal, so that a customer's own holding
of a product never scores that product. A customer with no spend, or no holdings, has a signal of 0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from nextoffer.tables.flow import FeatureTable, Floats, Indices

_COMPONENTS = 8
_PREFIX = "mcc_spend_"
SpendMap = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Collaborative:
    """Fitted collaborative signals for P products.

    Attributes
    ----------
    categories
        C merchant categories, the order of the rows of `interest`.
    interest
        (C, P) log-spend to interest in each product, already reduced to the leading components.
    coholding
        (P, P) EASE weights, zero diagonal; empty where no holdings are known.
    """

    categories: tuple[str, ...]
    interest: Floats
    coholding: Floats

    def spend_interest(self, features: FeatureTable) -> Floats:
        """Return (n, P)."""
        return _sum_products(_log_spend(features, self.categories), self.interest)

    def coholding_affinity(self, held: Floats) -> Floats:
        """Return (n, P) for `held` (n, P) of 0 and 1."""
        return _sum_products(held, self.coholding)

    def arrays(self) -> dict[str, Floats]:
        """Return the arrays under names of their own, for saving without pickle."""
        return {"interest": self.interest, "coholding": self.coholding}

    def mixed(self, share: Floats, places: Indices) -> Collaborative:
        """Return the signals of other products, each a mixture of the fitted ones.

        `share` is (P, Q). A new product (its entry in `places` is -1) speaks for no other.
        """
        coholding = np.zeros((share.shape[1], share.shape[1]))
        known = places >= 0
        coholding[known] = (self.coholding @ share)[places[known]]
        return Collaborative(self.categories, self.interest @ share, coholding)


def fit_collaborative(
    features: FeatureTable, held: Floats, product_types: Sequence[str], *, spend_map: SpendMap | None = None
) -> Collaborative:
    """Return the signals learned from one snapshot of customers.

    Parameters
    ----------
    features
        n customers; their ``mcc_spend_*`` columns are used where there are any.
    held
        (n, P) 0 or 1, as known at the snapshot.
    product_types
        P types, looked up in `spend_map` (default: the reference's, `default_spend_map`).
    """
    categories = tuple(c.name.removeprefix(_PREFIX) for c in features.columns if c.name.startswith(_PREFIX))
    chosen = default_spend_map() if spend_map is None else spend_map
    mapped = np.array([[float(chosen.get(c, {}).get(t, 0.0)) for t in product_types] for c in categories])
    mapped = mapped.reshape(len(categories), len(product_types))
    interest = _log_spend(features, categories) @ mapped
    _, vectors = np.linalg.eigh(interest.T @ interest)
    basis = vectors[:, -_COMPONENTS:]
    return Collaborative(categories, mapped @ basis @ basis.T, _ease(held))


def default_spend_map() -> SpendMap:
    """Return the reference's map of merchant category to product types."""
    return tomllib.loads(files("nextoffer.models").joinpath("mcc_affinity.toml").read_text(encoding="utf-8"))


def _ease(held: Floats) -> Floats:
    gram = held.T @ held
    ridge = max(1.0, 0.05 * len(held) ** 0.5 * float(np.diag(gram).mean()) ** 0.5)
    inverse = np.linalg.inv(gram + ridge * np.eye(len(gram)))
    weights = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights)


def _log_spend(features: FeatureTable, categories: Sequence[str]) -> Floats:
    out = np.zeros((len(features), len(categories)))
    for i, category in enumerate(categories):
        out[:, i] = np.log1p(np.maximum(np.nan_to_num(features.numbers(_PREFIX + category)), 0.0))
    return out


def _sum_products(left: Floats, right: Floats) -> Floats:
    """Matrix product in a fixed order of additions, so that a row's result does not depend on the rows beside it."""
    out: npt.NDArray[np.float64] = np.zeros((len(left), right.shape[1]))
    for i in range(right.shape[0]):
        out += left[:, i, None] * right[i]
    return out
