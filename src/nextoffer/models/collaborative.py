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
from typing import Any

import numpy as np
import numpy.typing as npt

from nextoffer.models.pair_columns import sum_products
from nextoffer.tables.flow import FeatureTable, Floats, Indices

_COMPONENTS = 8
_BLOCK = 65_536
"""Customers whose signals are summed at a time, so that memory does not grow with the bank."""
_EVERY = slice(None)
_MOST = np.finfo(np.float64).max
SPEND = "mcc_spend_"
"""Columns of spend begin with this, their category follows."""
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
        return sum_products(log_spend(features, self.categories), self.interest)

    def coholding_affinity(self, held: Floats) -> Floats:
        """Return (n, P) for `held` (n, P) of 0 and 1."""
        return sum_products(held, self.coholding)

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
    features: FeatureTable,
    held: npt.NDArray[Any],
    product_types: Sequence[str],
    *,
    spend_map: SpendMap | None = None,
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
    categories = tuple(c.name.removeprefix(SPEND) for c in features.columns if c.name.startswith(SPEND))
    chosen = default_spend_map() if spend_map is None else spend_map
    mapped = np.array([[float(chosen.get(c, {}).get(t, 0.0)) for t in product_types] for c in categories])
    mapped = mapped.reshape(len(categories), len(product_types))
    gram = np.zeros((mapped.shape[1], mapped.shape[1]))
    for start in range(0, len(features), _BLOCK):
        interest = log_spend(features, categories, slice(start, start + _BLOCK)) @ mapped
        gram += interest.T @ interest
    _, vectors = np.linalg.eigh(gram)
    basis = vectors[:, -_COMPONENTS:]
    return Collaborative(categories, mapped @ basis @ basis.T, _ease(held))


def default_spend_map() -> SpendMap:
    """Return the reference's map of merchant category to product types."""
    return tomllib.loads(files("nextoffer.models").joinpath("mcc_affinity.toml").read_text(encoding="utf-8"))


def _ease(held: npt.NDArray[Any]) -> Floats:
    gram = np.zeros((held.shape[1], held.shape[1]))
    for start in range(0, len(held), _BLOCK):
        block = held[start : start + _BLOCK].astype(np.float32)  # counts of a block are exact in it
        gram += block.T @ block
    ridge = max(1.0, 0.05 * len(held) ** 0.5 * float(np.diag(gram).mean()) ** 0.5)
    inverse = np.linalg.inv(gram + ridge * np.eye(len(gram)))
    weights = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights)


def log_spend(features: FeatureTable, categories: Sequence[str], rows: Indices | slice = _EVERY) -> Floats:
    """Return log1p of each customer's spend per category, (n, C); not known is 0."""
    columns = [features.numbers(SPEND + category)[rows] for category in categories]
    out = np.zeros((len(columns[0]) if columns else len(np.arange(len(features))[rows]), len(categories)))
    for i, spent in enumerate(columns):
        out[:, i] = np.log1p(np.minimum(np.fmax(spent, 0.0), _MOST))
    return out
