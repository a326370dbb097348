"""A compiled ranker: a scorecard with the pair features it reads; scored, saved and loaded alike for all rankers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nextoffer.errors import ModelError
from nextoffer.models.pairs import PairFeatures
from nextoffer.models.products import Products
from nextoffer.models.scorecard import Scorecard, ScorecardScores
from nextoffer.tables.flow import FeatureTable


def score_compiled(
    card: Scorecard | None, pairs: PairFeatures | None, features: FeatureTable, products: Products
) -> ScorecardScores:
    """Return log-odds (n, P) with their exact contributions.

    A product that was not in the fit takes the mean of its type, or of all where its type is new too.

    Raises
    ------
    ModelError
        There is no card: nothing was fitted.
    """
    if card is None or pairs is None:
        raise ModelError("this ranker is not fitted: call fit first")
    if products.ids == pairs.products.ids:
        return card.score(features, pairs)
    known = pairs.products
    places = products.positions(known.ids)
    share = np.zeros((len(known), len(products)))
    for j, place in enumerate(places):
        alike = np.flatnonzero([t == products.types[j] for t in known.types])
        mine = np.array([place]) if place >= 0 else alike if len(alike) else np.arange(len(known))
        share[mine, j] = 1.0 / len(mine)
    collaborative = pairs.collaborative.mixed(share, places)
    return card.mixed(share).score(features, PairFeatures(products, collaborative))


def save_compiled(
    folder: Path, card: Scorecard | None, pairs: PairFeatures | None, *, summary: Mapping[str, Any]
) -> None:
    """Write ``scorecard.json`` and ``scorecard.npz``. Raises `ModelError` where nothing was fitted."""
    if card is None or pairs is None:
        raise ModelError("this ranker is not fitted: there is nothing to save")
    plain = {"card": card.to_json(), "pairs": pairs.to_json(), "summary": summary}
    (folder / "scorecard.json").write_text(json.dumps(plain), encoding="utf-8")
    np.savez(folder / "scorecard.npz", allow_pickle=False, **card.arrays(), **pairs.collaborative.arrays())


def load_compiled(folder: Path) -> tuple[Scorecard, PairFeatures, dict[str, Any]]:
    """Return the card, the pair features and the summary that `save_compiled` wrote."""
    plain = json.loads((folder / "scorecard.json").read_text(encoding="utf-8"))
    with np.load(folder / "scorecard.npz", allow_pickle=False) as arrays:
        card = Scorecard.restore(plain["card"], arrays)
        pairs = PairFeatures.restore(plain["pairs"], arrays)
    return card, pairs, plain["summary"]
