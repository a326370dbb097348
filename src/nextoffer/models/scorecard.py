"""The compiled glass box: bin edges and float32 tables, nothing else.

The log-odds of customer c and product j are a sum of look-ups::

    intercept[j] + Σ_f table_f[bin_f(c), j] + Σ_g pair_table_g[bin_g(c, j), j] + Σ_(a,b) cross_ab[bin_a, bin_b, j]

so every part is exact, and the same to the last bit however customers are batched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nextoffer import compiled
from nextoffer.models import kernels
from nextoffer.models.coding import HANDFUL, Bins, Coder, Coding
from nextoffer.models.lending import Lending
from nextoffer.models.pair_columns import ChosenPairs, PairColumn, pair_codes
from nextoffer.models.pairs import PairFeatures
from nextoffer.models.spread import Spread
from nextoffer.models.stacked import Stacked, Table
from nextoffer.tables.flow import FeatureTable, Floats, Indices

_Whole = npt.NDArray[np.int64]
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

    def rows(self, a: Bins, b: Bins) -> Indices:
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
    spread
        What the uncertainty of the log-odds is computed from; None where none was stated.
    unseen
        bool (P,): products that the fit was shown no offer of; None where it was not noted.
    lending
        From whom products without offers borrow; None: alike from all of their type.
    """

    codings: tuple[Coding, ...]
    tables: tuple[Table, ...]
    pair_codings: tuple[Coding, ...]
    pair_tables: tuple[Table, ...]
    crosses: tuple[Cross, ...]
    intercept: Table
    average: Table
    spread: Spread | None = None
    unseen: npt.NDArray[np.bool_] | None = None
    lending: Lending | None = None

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the F + G features, pair features as ``pair.<name>``."""
        return tuple(c.name for c in self.codings) + tuple(PAIR + c.name for c in self.pair_codings)

    @property
    def crossed(self) -> frozenset[str]:
        """Names of the features that take part in interactions."""
        return frozenset(name for c in self.crosses for name in (c.a, c.b))

    @cached_property
    def code_type(self) -> Any:
        """The smallest type that holds every bin."""
        most = max((c.bins for c in (*self.codings, *self.pair_codings)), default=1)
        return np.uint8 if most <= kernels.DEEPEST else np.uint16

    @cached_property
    def stacked(self) -> Stacked:
        """The customers' tables, one below the other."""
        return Stacked.of(self.tables, len(self.intercept))

    @cached_property
    def crossed_tables(self) -> Crossed | None:
        """The interactions, one below the other, where no pair feature takes part in any."""
        place = {c.name: i for i, c in enumerate(self.codings)}
        return None if any(c.of_pairs for c in self.crosses) else Crossed.of(self.crosses, place, len(self.intercept))

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each feature stands in `features`."""
        return {name: i for i, name in enumerate(self.features)}

    @cached_property
    def _coder(self) -> Coder:
        return Coder(self.codings)

    def score(self, features: FeatureTable, pairs: PairFeatures) -> ScorecardScores:
        """Return the scores of n customers × P products."""
        columns = pairs.columns(features)
        shape = (len(features), len(self.intercept))
        codes = self._coder.codes(features, self.code_type)
        return ScorecardScores(self, codes, pair_codes(columns, self.pair_codings, shape, self.code_type), columns)

    @property
    def levels(self) -> Floats:
        """(P,): the log-odds of each product averaged over the customers of the fit."""
        return np.asarray(self.intercept + self.average.sum(axis=1), dtype=np.float64)

    def mixed(self, share: Floats) -> Scorecard:
        """Return the card of other products, each a mixture (P, Q) of the fitted ones, without spread and unseen."""
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
        out |= {} if self.spread is None else self.spread.arrays()
        return out | {f"cross_{i}": c.table for i, c in enumerate(self.crosses)}

    def to_json(self) -> dict[str, Any]:
        """Return all but the tables in a plain form."""
        return {
            "codings": [c.to_json() for c in self.codings],
            "pair_codings": [c.to_json() for c in self.pair_codings],
            "crosses": [[c.a, c.b] for c in self.crosses],
            "spread": None if self.spread is None else self.spread.to_json(),
            "unseen": None if self.unseen is None else self.unseen.tolist(),
            "lending": None if self.lending is None else self.lending.to_json(),
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
            Spread.restore(plain["spread"], arrays) if plain.get("spread") is not None else None,
            np.array(plain["unseen"], dtype=np.bool_) if plain.get("unseen") is not None else None,
            Lending.from_json(plain["lending"]) if plain.get("lending") is not None else None,
        )


@dataclass(frozen=True)
class Crossed:
    """C interactions of customer features, their cells one below the other.

    Attributes
    ----------
    first, second
        (C,) which two features.
    starts, widths
        (C,) the first cell of each, and the bins of its second feature: cell = start + bin_a × width + bin_b.
    filled
        uint8 per cell: whether it is not 0 for all products.
    cells
        float32 (cells, P).
    """

    first: _Whole
    second: _Whole
    starts: _Whole
    widths: _Whole
    filled: npt.NDArray[np.uint8]
    cells: Table

    @classmethod
    def of(cls, crosses: Sequence[Cross], place: Mapping[str, int], products: int) -> Crossed:
        """Return the interactions of features at these places."""
        stacked = Stacked.of([c.table.reshape(-1, products) for c in crosses], products)

        def whole(numbers: Iterable[int]) -> _Whole:
            return np.array(list(numbers), dtype=np.int64)

        return cls(
            whole(place[c.a] for c in crosses),
            whole(place[c.b] for c in crosses),
            stacked.starts,
            whole(c.table.shape[1] for c in crosses),
            np.asarray(stacked.rows.any(axis=1)).astype(np.uint8),
            stacked.rows,
        )

    @property
    def arrays(self) -> tuple[_Whole, _Whole, _Whole, _Whole, npt.NDArray[np.uint8], Table]:
        """As the kernels take them."""
        return self.first, self.second, self.starts, self.widths, self.filled, self.cells


@dataclass(frozen=True)
class ScorecardScores:
    """Scores of one chunk of customers; obeys `nextoffer.tables.flow.Scores`.

    Attributes
    ----------
    card
        What is looked up.
    codes
        (F, n) the customers' bins.
    pair_codes
        Per pair feature of the card its bins, (n, P).
    columns
        All pair features, for whoever asks for their values.
    """

    card: Scorecard
    codes: Bins
    pair_codes: tuple[Bins, ...]
    columns: Mapping[str, PairColumn]

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
        out = np.repeat(self.card.intercept[None, :], self.codes.shape[1], axis=0)
        if self._compiled:
            return self._compiled_log_odds(out)
        out = self._with_tables(out)
        every = np.arange(out.shape[1])
        for codes, table in zip(self.pair_codes, self.card.pair_tables, strict=True):
            out += table[codes, every]
        self._add_crosses(out)
        return out

    @property
    def unseen(self) -> npt.NDArray[np.bool_] | None:
        """Bool (P,); None where the card, saved by an earlier version, does not say."""
        return self.card.unseen

    @cached_property
    def uncertainty(self) -> Table | None:
        """float32 (n, P); None where the card has no `Spread`, as one saved by an earlier version."""
        return None if self.card.spread is None else self.card.spread.deviations(self.codes, self.pair_codes)

    def contributions(self, rows: Indices, cols: Indices) -> Table:
        """Return float32 (m, F + G), each feature's side by side in memory.

        An interaction counts half for each of its two features.
        """
        card, count = self.card, len(self.codes)
        stacked = card.stacked
        out = np.empty((len(self.features), len(rows)), dtype=np.float32)
        if self._compiled:
            at = (np.ascontiguousarray(rows, dtype=np.int64), np.ascontiguousarray(cols, dtype=np.int64))
            kernels.table_parts(self.codes, stacked.starts, stacked.rows, *at, out)
            for i, (codes, table) in enumerate(zip(self.pair_codes, card.pair_tables, strict=True)):
                kernels.pair_parts(codes, np.ascontiguousarray(table), *at, out[count + i])
            if card.crossed_tables is not None:
                kernels.cross_parts(self.codes, *card.crossed_tables.arrays, *at, out)
                return out.T
        else:
            out[:count] = stacked.rows[stacked.starts[:, None] + self.codes[:, rows], cols]
            for i, (codes, table) in enumerate(zip(self.pair_codes, card.pair_tables, strict=True)):
                out[count + i] = table[codes[rows, cols], cols]
        self._add_cross_parts(out, rows, cols)
        return out.T

    def pair_values(self, rows: Indices, cols: Indices) -> ChosenPairs:
        """Return every pair feature of the m pairs, float64 (m,), computed when asked for."""
        return ChosenPairs(self.columns, rows, cols)

    @property
    def _compiled(self) -> bool:
        return compiled.ready() and self.codes.dtype == np.uint8

    def _compiled_log_odds(self, out: Table) -> Table:
        card = self.card
        kernels.add_tables(self.codes, card.stacked.starts, card.stacked.rows, out)
        for codes, table in zip(self.pair_codes, card.pair_tables, strict=True):
            kernels.add_pairs(codes, np.ascontiguousarray(table), out)
        if card.crossed_tables is None:
            self._add_crosses(out)
        else:
            kernels.add_crosses(self.codes, *card.crossed_tables.arrays, out)
        return out

    def _with_tables(self, out: Table) -> Table:
        """The intercepts with the customers' tables added, one after the other."""
        if len(out) <= HANDFUL:
            stacked = self.card.stacked
            parts = stacked.rows[stacked.starts[:, None] + self.codes]
            return np.asarray(np.add.accumulate(np.concatenate([out[None], parts]), axis=0)[-1])
        for codes, table in zip(self.codes, self.card.tables, strict=True):
            out += table[codes]
        return out

    def _add_crosses(self, out: Table) -> None:
        every = np.arange(out.shape[1])
        for cross in self.card.crosses:
            if cross.of_pairs:
                out += cross.table[self._axis(cross.a), self._axis(cross.b), every]
            else:
                a, b = self.codes[self.card.places[cross.a]], self.codes[self.card.places[cross.b]]
                rows = cross.rows(a, b)
                out[rows] += cross.table[a[rows], b[rows]]

    def _add_cross_parts(self, out: Table, rows: Indices, cols: Indices) -> None:
        places = self.card.places
        bins = {name: self._at(name, rows, cols) for name in self.card.crossed}
        for cross in self.card.crosses:
            a, b = bins[cross.a], bins[cross.b]
            met = cross.rows(a, b)
            half = cross.table[a[met], b[met], cols[met]] * np.float32(0.5)
            out[places[cross.a], met] += half
            out[places[cross.b], met] += half

    def _axis(self, name: str) -> Bins:
        """Bins of a feature for all pairs, broadcastable to (n, P)."""
        place, customers = self.card.places[name], len(self.card.codings)
        return self.codes[place][:, None] if place < customers else self.pair_codes[place - customers]

    def _at(self, name: str, rows: Indices, cols: Indices) -> Bins:
        """Bins of a feature for the m pairs."""
        place, customers = self.card.places[name], len(self.card.codings)
        return self.codes[place][rows] if place < customers else self.pair_codes[place - customers][rows, cols]


def with_average(card: Scorecard, features: FeatureTable, pairs: PairFeatures, *, chunk: int = 20_000) -> Scorecard:
    """Return the card with `average` measured on these customers (at most the first `chunk` of them)."""
    scores = card.score(features.take(np.arange(min(len(features), chunk))), pairs)
    count, products = len(scores.log_odds), len(card.intercept)
    rows = np.arange(count)
    average = np.zeros((products, len(card.features)), dtype=np.float32)
    for j in range(products):
        if count:
            average[j] = scores.contributions(rows, np.full(count, j)).mean(axis=0, dtype=np.float64)
    return replace(card, average=average)
