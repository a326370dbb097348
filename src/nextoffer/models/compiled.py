"""A compiled ranker: a scorecard with the pair features it reads; scored, saved and loaded alike for all rankers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from nextoffer.errors import ModelError
from nextoffer.models.lending import Lending
from nextoffer.models.pairs import PairFeatures
from nextoffer.models.products import Products
from nextoffer.models.scorecard import Scorecard, ScorecardScores
from nextoffer.models.spread import between_products
from nextoffer.tables.flow import FeatureTable, Floats, Indices


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
    share = (card.lending or Lending(np.full(len(known), np.inf))).shares(known.types, places, products.types)
    collaborative = pairs.collaborative.mixed(share, places)
    return mixed_card(card, share, known.types, places, products.types), PairFeatures(
        products, collaborative, pairs.sources
    )


def mixed_card(
    card: Scorecard, share: Floats, types: Sequence[str], places: Indices, wanted: Sequence[str]
) -> Scorecard:
    """Return the card of products that are each a mixture (P, Q) of the card's, with spread and unseen.

    `types` (P,) and `wanted` (Q,) are the types, `places` (Q,) where each is among the card's own, or -1.
    """
    unseen = places < 0 if card.unseen is None else (places < 0) | card.unseen[places]
    mixed = card.mixed(share)
    if card.spread is not None:
        lend = np.ones(len(types), dtype=np.bool_) if card.unseen is None or card.unseen.all() else ~card.unseen
        levels = np.column_stack([card.levels, card.spread.weights])[lend]
        lenders = [t for t, lends in zip(types, lend, strict=True) if lends]
        spare = np.where(unseen[:, None], between_products(levels, lenders, wanted), 0.0)
        mixed = replace(mixed, spread=card.spread.mixed(share, spare))
    return mixed if card.unseen is None else replace(mixed, unseen=unseen)
