"""What a bank would do without a model: popularity, the reference's heuristic, matrix factorisation alone, and chance.

All learn from training rows only. Their scores order products; only popularity's are probabilities.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from nextoffer.errors import ModelError, did_you_mean
from nextoffer.keyed import uniform
from nextoffer.models.collaborative import SpendMap, default_spend_map
from nextoffer.models.pairs import PairFeatures, fit_pair_features
from nextoffer.models.plain import PlainScores
from nextoffer.models.products import Products
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable, Floats

_SMOOTHING = 20.0


@dataclass(frozen=True)
class Baseline:
    """A ranker that knows products' acceptance rates and the collaborative signals, and scores by one fixed rule.

    Parameters
    ----------
    name
        ``popularity``, ``heuristic``, ``mf`` or ``random``.
    seed
        Keys ``random``.
    """

    name: str
    seed: int = 7
    rates_: Mapping[str, float] = field(default_factory=dict)
    pairs_: PairFeatures | None = None
    spend_map_: SpendMap = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in _RULES:
            near = did_you_mean(self.name, _RULES)
            raise ModelError(f"no baseline '{self.name}'{near}; there are {', '.join(_RULES)}")

    @property
    def reads(self) -> frozenset[str]:
        """The customers' columns that the rule looks at. Raises `ModelError` where nothing was fitted."""
        pairs = self._fitted_pairs("call fit first")
        if self.name == "heuristic":
            return frozenset({"income", "top_mcc_1"})
        if self.name == "mf":
            return frozenset(pairs.reads("spend_interest" if pairs.collaborative.categories else "coholding"))
        return frozenset()

    def reads_of_pair(self, name: str) -> frozenset[str]:
        """Return the customers' columns that a pair feature is computed from."""
        return frozenset(self._fitted_pairs("call fit first").reads(name))

    def fit(self, training: Training) -> Self:
        """Return a fitted ranker. Raises `ModelError` where labels are all alike or there are none."""
        training.require_both_answers()
        size = len(training.products)
        offers = np.bincount(training.cols, training.weights, size)
        accepts = np.bincount(training.cols, training.weights * training.labels, size)
        overall = accepts.sum() / offers.sum()
        rates = (accepts + _SMOOTHING * overall) / (offers + _SMOOTHING)
        chosen = default_spend_map() if training.spend_map is None else training.spend_map
        return replace(
            self,
            rates_=dict(zip(training.products.ids, rates.tolist(), strict=True)),
            pairs_=fit_pair_features(training.snapshots[-1], training.products, spend_map=chosen),
            spend_map_=chosen,
        )

    def score(self, features: FeatureTable, products: Products) -> PlainScores:
        """Return scores (n, P); a product never seen has the mean rate."""
        if products.ids != self._fitted_pairs("call fit first").products.ids:
            raise ModelError("a baseline scores the products it was fitted on")
        return PlainScores(_RULES[self.name](self, features, products).astype(np.float32), self.name)

    def popularity(self, products: Products) -> Floats:
        """Return (P,) smoothed acceptance rates."""
        overall = float(np.mean(list(self.rates_.values())))
        return np.array([self.rates_.get(p, overall) for p in products.ids])

    def save(self, folder: Path) -> None:
        """Write ``baseline.json`` and ``baseline.npz``."""
        pairs = self._fitted_pairs("there is nothing to save")
        plain = {
            "name": self.name,
            "seed": self.seed,
            "rates": self.rates_,
            "spend_map": self.spend_map_,
            "pairs": pairs.to_json(),
        }
        (folder / "baseline.json").write_text(json.dumps(plain), encoding="utf-8")
        np.savez(folder / "baseline.npz", allow_pickle=False, **pairs.collaborative.arrays())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the ranker that `save` wrote."""
        plain = json.loads((folder / "baseline.json").read_text(encoding="utf-8"))
        with np.load(folder / "baseline.npz", allow_pickle=False) as arrays:
            pairs = PairFeatures.restore(plain["pairs"], arrays)
        return cls(plain["name"], plain["seed"], plain["rates"], pairs, plain["spend_map"])

    def summary(self) -> dict[str, Any]:
        """Return the learned rates."""
        return {"rates": dict(self.rates_)}

    def _fitted_pairs(self, advice: str) -> PairFeatures:
        if self.pairs_ is None:
            raise ModelError(f"this ranker is not fitted: {advice}")
        return self.pairs_


def _popularity(model: Baseline, features: FeatureTable, products: Products) -> Floats:
    rate = model.popularity(products)
    return np.repeat(np.log(rate / (1.0 - rate))[None, :], len(features), axis=0)


def _heuristic(model: Baseline, features: FeatureTable, products: Products) -> Floats:
    """The reference's: 0.4 × popularity + 0.2 × income suffices + 0.4 × favourite spending category suits the type."""
    names = features.names
    score = np.repeat(0.4 * model.popularity(products)[None, :], len(features), axis=0)
    if "income" in names:
        floor = np.nan_to_num(products.min_income, nan=-np.inf)
        score += 0.2 * (np.nan_to_num(features.numbers("income"), nan=-np.inf)[:, None] >= floor)
    if "top_mcc_1" in names:
        favourite = features.texts("top_mcc_1")
        for j, kind in enumerate(products.types):
            goes = [c for c, types in model.spend_map_.items() if types.get(kind, 0) > 0]
            score[:, j] += 0.4 * np.isin(favourite.astype(str), goes)
    return score


def _factorisation(model: Baseline, features: FeatureTable, products: Products) -> Floats:
    assert model.pairs_ is not None
    if model.pairs_.collaborative.categories:
        return model.pairs_.collaborative.spend_interest(features)
    column = model.pairs_.columns(features).get("coholding")
    return np.zeros((len(features), len(products))) if column is None else column.matrix()


def _chance(model: Baseline, features: FeatureTable, products: Products) -> Floats:
    return uniform(model.seed, "random ranker", features.customer_ids, products.ids)


_RULES: dict[str, Callable[[Baseline, FeatureTable, Products], Floats]] = {
    "popularity": _popularity,
    "heuristic": _heuristic,
    "mf": _factorisation,
    "random": _chance,
}
BASELINES = tuple(_RULES)
"""Names of the baselines."""
