"""The challenger: LightGBM (Ke et al. 2017) on the glass box's own columns and response affinity, pooled over products.

Its contributions are TreeSHAP values (Lundberg et al. 2020). The number of rounds is chosen on a held-out fold of
customers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from nextoffer.errors import ModelError
from nextoffer.models.affinity import Affinity
from nextoffer.models.attributes import Attributes
from nextoffer.models.coding import Bins, Coding, code_columns
from nextoffer.models.design import PRODUCT
from nextoffer.models.lending import Lending
from nextoffer.models.pair_columns import ChosenPairs, PairColumn, pair_codes
from nextoffer.models.pairs import PairFeatures
from nextoffer.models.prepared import prepare
from nextoffer.models.products import Products
from nextoffer.models.scorecard import PAIR
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable, Floats, Indices

if TYPE_CHECKING:
    from lightgbm import Booster

AFFINITY = PAIR + "response_affinity"
_AVERAGE_ROWS = 300
_SMALL = 200_000


@dataclass(frozen=True)
class LightGBMRanker:
    """Gradient-boosted trees behind the ranker protocol.

    Parameters
    ----------
    rounds, leaves, learning_rate, min_leaf
        At most so many trees; their size; their step; the fewest rows in a leaf.
    folds, max_rank, seed
        Customers' folds: one is held out to choose the number of rounds; all cross-fit the response affinity, which
        has at most this rank.
    threads
        0 uses one for less than 200,000 pairs, where more only wait for each other, and every core otherwise.
    """

    rounds: int = 300
    leaves: int = 15
    learning_rate: float = 0.03
    min_leaf: int = 100
    folds: int = 4
    max_rank: int = 3
    seed: int = 7
    threads: int = 0
    name: str = "lightgbm"
    booster_: Booster | None = None
    encoder_: TreeEncoder | None = None
    summary_: dict[str, Any] = field(default_factory=dict)

    @property
    def reads(self) -> frozenset[str]:
        """All customers' columns that the trees were trained on. Raises `ModelError` where nothing was fitted."""
        encoder = self._fitted_parts("call fit first")[1]
        pairs = (encoder.pairs.reads(c.name) for c in encoder.pair_codings)
        return frozenset(c.name for c in encoder.codings).union(*pairs)

    def reads_of_pair(self, name: str) -> frozenset[str]:
        """Return the customers' columns that a pair feature is computed from."""
        return frozenset(self._fitted_parts("call fit first")[1].pairs.reads(name))

    def fit(self, training: Training) -> Self:
        """Return a fitted ranker. Raises `ModelError` where labels are all alike."""
        training.require_both_answers()
        import lightgbm

        ready = prepare(training, folds=self.folds, seed=self.seed, max_rank=self.max_rank)
        design, folds, offset = ready.design, ready.folds, ready.offset
        matrix = np.column_stack([_as_floats(design.codes), offset.base + offset.linear])
        held_out = folds == 0

        def data(rows: npt.NDArray[np.bool_]) -> lightgbm.Dataset:
            nominal = [i for i, c in enumerate(design.columns) if c.kind == "category"]
            return lightgbm.Dataset(
                matrix[rows], training.labels[rows], weight=training.weights[rows], categorical_feature=nominal
            )

        stop: list[Any] = [lightgbm.early_stopping(30, verbose=False)]
        trial = lightgbm.train(
            self._settings(len(training)), data(~held_out), self.rounds, valid_sets=[data(held_out)], callbacks=stop
        )
        best = max(trial.best_iteration, 1)
        booster = lightgbm.train(self._settings(len(training)), data(np.ones(len(training), dtype=bool)), best)
        encoder = TreeEncoder(
            design.columns[: design.customers],
            design.columns[design.customers : design.product],
            training.pair_features[-1],
            design.attributes,
            _lent(offset.affinity, training),
            np.zeros((len(training.products), len(design.columns) + 1), dtype=np.float32),
        )
        encoder = encoder.with_average(booster, training.snapshots[-1])
        return replace(self, booster_=booster, encoder_=encoder, summary_={"rounds": best, "pairs": len(training)})

    def score(self, features: FeatureTable, products: Products) -> TreeScores:
        """Return log-odds (n, P)."""
        booster, encoder = self._fitted_parts("call fit first")
        if products.ids != encoder.pairs.products.ids:
            raise ModelError("LightGBMRanker scores the products it was fitted on")
        return encoder.scores(booster, features)

    def save(self, folder: Path) -> None:
        """Write ``lightgbm.txt``, ``lightgbm.json`` and ``lightgbm.npz``."""
        booster, encoder = self._fitted_parts("there is nothing to save")
        (folder / "lightgbm.txt").write_text(booster.model_to_string(), encoding="utf-8")
        plain = {"encoder": encoder.to_json(), "summary": self.summary_}
        (folder / "lightgbm.json").write_text(json.dumps(plain), encoding="utf-8")
        np.savez(folder / "lightgbm.npz", allow_pickle=False, **encoder.arrays())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the ranker that `save` wrote."""
        import lightgbm

        plain = json.loads((folder / "lightgbm.json").read_text(encoding="utf-8"))
        booster = lightgbm.Booster(model_str=(folder / "lightgbm.txt").read_text(encoding="utf-8"))
        with np.load(folder / "lightgbm.npz", allow_pickle=False) as arrays:
            encoder = TreeEncoder.restore(plain["encoder"], arrays)
        return cls(booster_=booster, encoder_=encoder, summary_=plain["summary"])

    def summary(self) -> dict[str, Any]:
        """Return the number of rounds chosen and the pairs learned from."""
        return self.summary_

    def _fitted_parts(self, advice: str) -> tuple[Booster, TreeEncoder]:
        if self.booster_ is None or self.encoder_ is None:
            raise ModelError(f"this ranker is not fitted: {advice}")
        return self.booster_, self.encoder_

    def _settings(self, pairs: int) -> dict[str, Any]:
        return {
            "objective": "binary",
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_leaf,
            "num_threads": self.threads or (1 if pairs < _SMALL else 0),
            "deterministic": True,
            "force_row_wise": True,
            "seed": self.seed,
            "verbose": -1,
        }


@dataclass(frozen=True)
class TreeEncoder:
    """Turns customers and products into the trees' columns: customer bins, pair bins, product, response affinity."""

    codings: tuple[Coding, ...]
    pair_codings: tuple[Coding, ...]
    pairs: PairFeatures
    attributes: Attributes
    affinity: Affinity
    average: npt.NDArray[np.float32]

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns, as `nextoffer.tables.flow.Scores` spells them."""
        pair = tuple(PAIR + c.name for c in self.pair_codings)
        return (*(c.name for c in self.codings), *pair, PRODUCT, AFFINITY)

    def scores(self, booster: Booster, features: FeatureTable) -> TreeScores:
        """Return the scores of n customers."""
        columns = self.pairs.columns(features)
        shape = (len(features), len(self.pairs.products))
        codes = code_columns(self.codings, features)
        pair = pair_codes(columns, self.pair_codings, shape, np.uint16)
        return TreeScores(booster, self, codes, pair, self._linear(codes), columns)

    def _linear(self, codes: Bins) -> Floats:
        """The response affinity (n, P), added feature by feature: a customer's does not depend on who is beside."""
        out = np.repeat(self.affinity.base[None, :], codes.shape[1], axis=0)
        for code, part in zip(codes, self._affinity_tables, strict=True):
            out += part[code]
        return out

    @cached_property
    def _affinity_tables(self) -> list[Floats]:
        return self.attributes.per_feature(self.affinity.weights)

    def with_average(self, booster: Booster, features: FeatureTable) -> TreeEncoder:
        """Return the encoder with each product's mean contributions over (at most 300 of) these customers."""
        scores = self.scores(booster, features.take(np.arange(min(len(features), _AVERAGE_ROWS))))
        rows = np.arange(scores.codes.shape[1])
        means = [scores.contributions(rows, np.full(len(rows), j)).mean(axis=0) for j in range(len(self.average))]
        return replace(self, average=np.stack(means).astype(np.float32))

    def to_json(self) -> dict[str, Any]:
        """Return all but the arrays in a plain form."""
        return {
            "codings": [c.to_json() for c in self.codings],
            "pair_codings": [c.to_json() for c in self.pair_codings],
            "pairs": self.pairs.to_json(),
            "rank": self.affinity.rank,
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return every array under a name of its own."""
        out: dict[str, npt.NDArray[Any]] = {f"attribute_{i}": t for i, t in enumerate(self.attributes.tables)}
        out |= {"groups": self.attributes.groups, "weights": self.affinity.weights, "base": self.affinity.base}
        return out | {"average": self.average} | self.pairs.collaborative.arrays()

    @classmethod
    def restore(cls, plain: dict[str, Any], arrays: Any) -> TreeEncoder:
        """Return the encoder that `to_json` and `arrays` describe."""
        codings = tuple(Coding.from_json(c) for c in plain["codings"])
        tables = tuple(arrays[f"attribute_{i}"] for i in range(len(codings)))
        return cls(
            codings,
            tuple(Coding.from_json(c) for c in plain["pair_codings"]),
            PairFeatures.restore(plain["pairs"], arrays),
            Attributes(tables, arrays["groups"]),
            Affinity(arrays["weights"], arrays["base"], plain["rank"]),
            arrays["average"],
        )


@dataclass(frozen=True)
class TreeScores:
    """Scores by trees; obeys `nextoffer.tables.flow.Scores`."""

    booster: Booster
    encoder: TreeEncoder
    codes: Bins
    pair_codes: tuple[Bins, ...]
    linear: Floats
    columns: Mapping[str, PairColumn]

    @property
    def features(self) -> tuple[str, ...]:
        """See `TreeEncoder.features`."""
        return self.encoder.features

    @property
    def average(self) -> npt.NDArray[np.float32]:
        """float32 (P, F)."""
        return self.encoder.average

    @cached_property
    def intercept(self) -> npt.NDArray[np.float32]:
        """float32 (P,): the trees' expected value, the same for every product."""
        first = np.zeros(1, dtype=np.intp)
        value = self._explain(first, first)[0, -1] if len(self.linear) else 0.0
        return np.full(self.linear.shape[1], value, dtype=np.float32)

    @cached_property
    def log_odds(self) -> npt.NDArray[np.float32]:
        """float32 (n, P)."""
        n, products = self.linear.shape
        out = np.zeros((n, products), dtype=np.float32)
        rows = np.arange(n)
        for j in range(products):
            if n:
                out[:, j] = self.booster.predict(self._matrix(rows, np.full(n, j)), raw_score=True)
        return out

    @property
    def uncertainty(self) -> None:
        """Not stated by trees."""
        return None

    @property
    def unseen(self) -> None:
        """Not stated."""
        return None

    def contributions(self, rows: Indices, cols: Indices) -> npt.NDArray[np.float32]:
        """Return float32 (m, F): TreeSHAP values."""
        return self._explain(rows, cols)[:, :-1].astype(np.float32)

    def pair_values(self, rows: Indices, cols: Indices) -> ChosenPairs:
        """Return every pair feature of the m pairs, float64 (m,), computed when asked for."""
        return ChosenPairs(self.columns, rows, cols)

    def _explain(self, rows: Indices, cols: Indices) -> Floats:
        if not len(rows):
            return np.zeros((0, len(self.features) + 1))
        return np.asarray(self.booster.predict(self._matrix(rows, cols), pred_contrib=True))

    def _matrix(self, rows: Indices, cols: Indices) -> Floats:
        codes = np.column_stack([*(c[rows] for c in self.codes), *(c[rows, cols] for c in self.pair_codes), cols + 1])
        return np.column_stack([_as_floats(codes), self.linear[rows, cols]])


def _as_floats(codes: npt.NDArray[Any]) -> Floats:
    return np.where(codes == 0, np.nan, codes.astype(np.float64))


def _lent(affinity: Affinity, training: Training) -> Affinity:
    """The affinity in which products without offers borrow from the others, as in the glass box."""
    if not training.unseen.any():
        return affinity
    types, every = training.products.types, np.arange(len(training.products))
    share = Lending.of(training, affinity.base).shares(types, every, types)
    return replace(affinity, weights=affinity.weights @ share, base=affinity.base @ share)
