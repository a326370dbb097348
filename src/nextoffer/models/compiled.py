"""A compiled ranker: a scorecard with the pair features it reads; scored, saved and loaded alike for all rankers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from nextoffer.errors import ModelError
from nextoffer.models.pairs import PairFeatures
from nextoffer.models.products import Products
from nextoffer.models.scorecard import Scorecard, ScorecardScores
from nextoffer.models.spread import between_products
from nextoffer.tables.flow import FeatureTable, Floats


@dataclass(frozen=True)
class CompiledRanker:
    """What rankers share that compile to a scorecard: scoring, saving and loading. Each learns in its own way.

    Attributes
    ----------
    card_, pairs_
        Learned by `fit`; None before.
    summary_
        What was chosen and learned, in plain values.
    held_out_
        (m,) log-odds of the training pairs by parts that were fitted without their customers; not saved. None where a
        ranker has none.
    """

    card_: Scorecard | None = field(default=None, kw_only=True)
    pairs_: PairFeatures | None = field(default=None, kw_only=True)
    summary_: dict[str, Any] = field(default_factory=dict, kw_only=True)
    held_out_: Floats | None = field(default=None, kw_only=True, compare=False, repr=False)

    @property
    def reads(self) -> frozenset[str]:
        """The customers' columns that the card looks up. Raises `ModelError` where nothing was fitted."""
        card, pairs = self._fitted_parts("call fit first")
        return frozenset(c.name for c in card.codings).union(*(pairs.reads(c.name) for c in card.pair_codings))

    def reads_of_pair(self, name: str) -> frozenset[str]:
        """Return the customers' columns that a pair feature is computed from."""
        return frozenset(self._fitted_parts("call fit first")[1].reads(name))

    def score(self, features: FeatureTable, products: Products) -> ScorecardScores:
        """Return calibrated log-odds (n, P) with their exact contributions.

        A product that was not in the fit takes the mean of its type, or of all where its type is new too.

        Raises
        ------
        ModelError
            Nothing was fitted.
        """
        card, pairs = self._fitted_parts("call fit first")
        if products.ids == pairs.products.ids:
            return card.score(features, pairs)
        key = json.dumps(products.to_json())
        found = self._others.get(key)
        if found is None:
            self._others.clear()  # a bank has one set of products at a time
            found = self._others[key] = _mixed(card, pairs, products)
        return found[0].score(features, found[1])

    def save(self, folder: Path) -> None:
        """Write ``scorecard.json`` and ``scorecard.npz``. Raises `ModelError` where nothing was fitted."""
        card, pairs = self._fitted_parts("there is nothing to save")
        plain = {"card": card.to_json(), "pairs": pairs.to_json(), "summary": self.summary_}
        (folder / "scorecard.json").write_text(json.dumps(plain), encoding="utf-8")
        np.savez(folder / "scorecard.npz", allow_pickle=False, **card.arrays(), **pairs.collaborative.arrays())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the ranker that `save` wrote."""
        plain = json.loads((folder / "scorecard.json").read_text(encoding="utf-8"))
        with np.load(folder / "scorecard.npz", allow_pickle=False) as arrays:
            card = Scorecard.restore(plain["card"], arrays)
            pairs = PairFeatures.restore(plain["pairs"], arrays)
        return cls(card_=card, pairs_=pairs, summary_=plain["summary"])

    def summary(self) -> dict[str, Any]:
        """Return what was chosen by validation, and what was learned."""
        return self.summary_

    @cached_property
    def _others(self) -> dict[str, tuple[Scorecard, PairFeatures]]:
        """Card and pair features of products that are not those of the fit."""
        return {}

    def _fitted_parts(self, advice: str) -> tuple[Scorecard, PairFeatures]:
        if self.card_ is None or self.pairs_ is None:
            raise ModelError(f"this ranker is not fitted: {advice}")
        return self.card_, self.pairs_


def _mixed(card: Scorecard, pairs: PairFeatures, products: Products) -> tuple[Scorecard, PairFeatures]:
    known = pairs.products
    places = products.positions(known.ids)
    share = np.zeros((len(known), len(products)))
    for j, place in enumerate(places):
        alike = np.flatnonzero([t == products.types[j] for t in known.types])
        mine = np.array([place]) if place >= 0 else alike if len(alike) else np.arange(len(known))
        share[mine, j] = 1.0 / len(mine)
    collaborative = pairs.collaborative.mixed(share, places)
    mixed = card.mixed(share)
    if card.spread is not None:
        levels = np.column_stack([card.levels, card.spread.weights])
        spare = np.where(places[:, None] < 0, between_products(levels, known.types, products.types), 0.0)
        mixed = replace(mixed, spread=card.spread.mixed(share, spare))
    if card.unseen is not None:
        mixed = replace(mixed, unseen=(places < 0) | card.unseen[places])
    return mixed, PairFeatures(products, collaborative, pairs.sources)
