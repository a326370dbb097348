"""The compiled glass box: bin edges and float32 tables, nothing else.

The log-odds of customer c and product j are a sum of look-ups::

    intercept[j] + Σ_f table_f[bin_f(c), j] + Σ_g pair_table_g[bin_g(c, j), j] + Σ_(a,b) cross_ab[bin_a, bin_b, j]

so every part is exact, and the same to the last bit however customers are batched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nextoffer.models.coding import Codes, Coding, code_table
from nextoffer.models.pairs import PairFeatures
from nextoffer.tables.flow import FeatureTable, Floats, Indices

Table = npt.NDArray[np.float32]
PAIR = "pair."


@dataclass(frozen=True)
class Cross:
    """An interaction of two features: (bins of a, bins of b, P). Names of pair features start with ``pair.``."""

    a: str
    b: str
    table: Table

    @property
    def of_pairs(self) -> bool:
        """Whether a pair feature takes part."""
        return self.a.startswith(PAIR) or self.b.startswith(PAIR)

    def rows(self, a: Codes, b: Codes) -> Indices:
        """Return where bins `a` and `b`, each (n,), meet in a cell that is not 0 for all products.

        Of two flags that is where both are set, a few rows in a hundred: the table is read only there.
        """
        first = np.flatnonzero(np.asarray(self._cells.any(axis=1))[a])
        return first[self._cells[a[first], b[first]]]

    @cached_property
    def _cells(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.table.any(axis=-1))


@dataclass(frozen=True)
class Scorecard:
    """F customer features, G pair features and their tables for P products.

    Attributes
    ----------
    codings, tables
        Per customer feature its bins, and float32 (bins, P).
    pair_codings, pair_tables
        Per pair feature (named without ``pair.``) its bins, and float32 (bins, P).
    crosses
        Interactions of two features.
    intercept
        float32 (P,).
    average
        float32 (P, F + G): mean contribution over the customers of the fit, per product.
    """

    codings: tuple[Coding, ...]
    tables: tuple[Table, ...]
    pair_codings: tuple[Coding, ...]
    pair_tables: tuple[Table, ...]
    crosses: tuple[Cross, ...]
    intercept: Table
    average: Table

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the F + G features, pair features as ``pair.<name>``."""
        return tuple(c.name for c in self.codings) + tuple(PAIR + c.name for c in self.pair_codings)

    @property
    def crossed(self) -> frozenset[str]:
        """Names of the features that take part in interactions."""
        return frozenset(name for c in self.crosses for name in (c.a, c.b))

    def score(self, features: FeatureTable, pairs: PairFeatures) -> ScorecardScores:
        """Return the scores of n customers × P products."""
        values = pairs.values(features)
        blank = np.full((len(features), len(self.intercept)), np.nan)
        pair_codes = tuple(c.codes(values.get(c.name, blank)) for c in self.pair_codings)
        return ScorecardScores(self, code_table(self.codings, features), pair_codes, values)

    def mixed(self, share: Floats) -> Scorecard:
        """Return the card of other products, each a mixture (P, Q) of the fitted ones."""
        mix = share.astype(np.float32)
        return Scorecard(
            self.codings,
            tuple(t @ mix for t in self.tables),
            self.pair_codings,
            tuple(t @ mix for t in self.pair_tables),
            tuple(Cross(c.a, c.b, c.table @ mix) for c in self.crosses),
            self.intercept @ mix,
            mix.T @ self.average,
        )

    def arrays(self) -> dict[str, Table]:
        """Return every table under a name of its own, for saving without pickle."""
        out = {"intercept": self.intercept, "average": self.average}
        out |= {f"table_{i}": t for i, t in enumerate(self.tables)}
        out |= {f"pair_{i}": t for i, t in enumerate(self.pair_tables)}
        return out | {f"cross_{i}": c.table for i, c in enumerate(self.crosses)}

    def to_json(self) -> dict[str, Any]:
        """Return all but the tables in a plain form."""
        return {
            "codings": [c.to_json() for c in self.codings],
            "pair_codings": [c.to_json() for c in self.pair_codings],
            "crosses": [[c.a, c.b] for c in self.crosses],
        }

    @classmethod
    def restore(cls, plain: Mapping[str, Any], arrays: Mapping[str, Table]) -> Scorecard:
        """Return the card that `to_json` and `arrays` describe."""
        codings = tuple(Coding.from_json(c) for c in plain["codings"])
        pair_codings = tuple(Coding.from_json(c) for c in plain["pair_codings"])
        return cls(
            codings,
            tuple(arrays[f"table_{i}"] for i in range(len(codings))),
            pair_codings,
            tuple(arrays[f"pair_{i}"] for i in range(len(pair_codings))),
            tuple(Cross(a, b, arrays[f"cross_{i}"]) for i, (a, b) in enumerate(plain["crosses"])),
            arrays["intercept"],
            arrays["average"],
        )


@dataclass(frozen=True)
class ScorecardScores:
    """Scores of one chunk of customers; obeys `nextoffer.tables.flow.Scores`."""

    card: Scorecard
    codes: Codes
    pair_codes: tuple[Codes, ...]
    values: Mapping[str, Floats]

    @property
    def features(self) -> tuple[str, ...]:
        """See `Scorecard.features`."""
        return self.card.features

    @property
    def intercept(self) -> Table:
        """float32 (P,)."""
        return self.card.intercept

    @property
    def average(self) -> Table:
        """float32 (P, F + G)."""
        return self.card.average

    @cached_property
    def log_odds(self) -> Table:
        """float32 (n, P)."""
        card = self.card
        out = np.repeat(card.intercept[None, :], len(self.codes), axis=0)
        every = np.arange(out.shape[1])
        for i, table in enumerate(card.tables):
            out += table[self.codes[:, i]]
        for codes, table in zip(self.pair_codes, card.pair_tables, strict=True):
            out += table[codes, every]
        codes = self._by_feature
        for cross in card.crosses:
            if cross.of_pairs:
                out += cross.table[self._axis(cross.a), self._axis(cross.b), every]
            else:
                a, b = codes[self._place[cross.a]], codes[self._place[cross.b]]
                rows = cross.rows(a, b)
                out[rows] += cross.table[a[rows], b[rows]]
        return out

    def contributions(self, rows: Indices, cols: Indices) -> Table:
        """Return float32 (m, F + G); an interaction counts half for each of its two features."""
        card = self.card
        out = np.zeros((len(rows), len(self.features)), dtype=np.float32)
        for i, table in enumerate(card.tables):
            out[:, i] = table[self.codes[rows, i], cols]
        for i, (codes, table) in enumerate(zip(self.pair_codes, card.pair_tables, strict=True)):
            out[:, len(card.tables) + i] = table[codes[rows, cols], cols]
        bins = {name: self._at(name, rows, cols) for name in card.crossed}
        for cross in card.crosses:
            a, b = bins[cross.a], bins[cross.b]
            met = cross.rows(a, b)
            half = cross.table[a[met], b[met], cols[met]] * np.float32(0.5)
            out[met, self._place[cross.a]] += half
            out[met, self._place[cross.b]] += half
        return out

    def pair_values(self, rows: Indices, cols: Indices) -> dict[str, Floats]:
        """Return every pair feature of the m pairs, float64 (m,)."""
        return {name: np.asarray(value[rows, cols]) for name, value in self.values.items()}

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.features)}

    @cached_property
    def _by_feature(self) -> Codes:
        """The customers' bins (F, n), each feature's side by side."""
        return np.ascontiguousarray(self.codes.T)

    def _axis(self, name: str) -> Codes:
        """Bins of a feature for all pairs, broadcastable to (n, P)."""
        place, customers = self._place[name], len(self.card.codings)
        return self.codes[:, place, None] if place < customers else self.pair_codes[place - customers]

    def _at(self, name: str, rows: Indices, cols: Indices) -> Codes:
        """Bins of a feature for the m pairs."""
        place, customers = self._place[name], len(self.card.codings)
        return self._by_feature[place][rows] if place < customers else self.pair_codes[place - customers][rows, cols]


def with_average(card: Scorecard, features: FeatureTable, pairs: PairFeatures, *, chunk: int = 20_000) -> Scorecard:
    """Return the card with `average` measured on these customers (at most the first `chunk` of them)."""
    scores = card.score(features.take(np.arange(min(len(features), chunk))), pairs)
    count, products = len(scores.codes), len(card.intercept)
    rows = np.arange(count)
    average = np.zeros((products, len(card.features)), dtype=np.float32)
    for j in range(products):
        if count:
            average[j] = scores.contributions(rows, np.full(count, j)).mean(axis=0, dtype=np.float64)
    return Scorecard(
        card.codings, card.tables, card.pair_codings, card.pair_tables, card.crosses, card.intercept, average
    )
