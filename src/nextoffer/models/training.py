"""What a ranker learns from: offers (or adoptions) with the customers as they stood on each offer's date."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nextoffer.errors import ModelError
from nextoffer.keyed import uniform
from nextoffer.models.collaborative import SpendMap
from nextoffer.models.pairs import PairFeatures, fit_pair_features
from nextoffer.models.products import Products
from nextoffer.tables.flow import FeatureTable, Floats, Indices


@dataclass(frozen=True, eq=False)
class Training:
    """m labelled customer–product pairs.

    Attributes
    ----------
    snapshots
        The customers on each offer date, in time order; the last one is the fit's `as_of`, from which scoring learns
        its collaborative signals.
    products
        P products.
    snapshot, rows, cols
        (m,) which snapshot, which of its rows, which product.
    labels, weights
        (m,) 1 = accepted; how many pairs of the bank each stands for.
    customers
        (m,) a 64-bit key per customer: all pairs of a customer fall into one fold.
    spend_map
        Merchant category to product types; None is the reference's.
    without
        Pair features to leave out.
    """

    snapshots: tuple[FeatureTable, ...]
    products: Products
    snapshot: Indices
    rows: Indices
    cols: Indices
    labels: Floats
    weights: Floats
    customers: npt.NDArray[np.uint64]
    spend_map: SpendMap | None = None
    without: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def days(self) -> tuple[int, ...]:
        """When each snapshot was taken, counted in days."""
        return tuple(s.as_of.toordinal() for s in self.snapshots)

    @cached_property
    def offsets(self) -> Indices:
        """First row of each snapshot when all are laid one after the other."""
        return np.asarray(np.r_[0, np.cumsum([len(s) for s in self.snapshots])[:-1]], dtype=np.intp)

    @cached_property
    def stacked_rows(self) -> Indices:
        """(m,) row of each pair's customer when all snapshots are laid one after the other."""
        return np.asarray(self.offsets[self.snapshot] + self.rows)

    @cached_property
    def pair_features(self) -> tuple[PairFeatures, ...]:
        """The pair features of each snapshot, learned from that snapshot alone."""
        return tuple(
            fit_pair_features(s, self.products, spend_map=self.spend_map, without=self.without) for s in self.snapshots
        )

    @cached_property
    def pair_values(self) -> dict[str, Floats]:
        """Each pair feature of the m pairs, (m,), as it stood on the offer's date."""
        out: dict[str, Floats] = {}
        for snapshot, features in enumerate(self.snapshots):
            where = np.flatnonzero(self.snapshot == snapshot)
            if len(where):
                for name, column in self.pair_features[snapshot].columns(features).items():
                    values = out.setdefault(name, np.full(len(self), np.nan))
                    values[where] = column.at(self.rows[where], self.cols[where])
        return out

    @property
    def unseen(self) -> npt.NDArray[np.bool_]:
        """Bool (P,): products that no pair is about."""
        return np.asarray(np.bincount(self.cols, minlength=len(self.products)) == 0)

    def require_both_answers(self) -> None:
        """Raise `ModelError` where the labels are all alike, or there are none."""
        accepted = self.labels > 0
        if not (self.weights[accepted].sum() > 0 and self.weights[~accepted].sum() > 0):
            raise ModelError(
                f"nothing to learn from: {len(self)} labelled pairs of which {accepted.sum()} accepted; "
                "both yes and no are needed"
            )

    def folds(self, count: int, seed: int) -> Indices:
        """Return (m,) fold numbers, the same for all pairs of a customer."""
        return (uniform(seed, "fold", self.customers.view(np.int64)) * count).astype(np.intp)

    def take(self, keep: npt.NDArray[np.bool_]) -> Training:
        """Return the training with only the pairs where `keep`."""
        return Training(
            self.snapshots,
            self.products,
            self.snapshot[keep],
            self.rows[keep],
            self.cols[keep],
            self.labels[keep],
            self.weights[keep],
            self.customers[keep],
            self.spend_map,
            self.without,
        )
