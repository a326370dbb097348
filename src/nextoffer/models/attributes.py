"""Standardised customer attributes: one number per bin, so that anything linear in them is a table look-up.

A number or flag gives one attribute (the mean of its bin, after a logarithm where its tail is long), a category one per
value. Not known is 0, the average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nextoffer.models.coding import Codes, Coding, column_values
from nextoffer.tables.flow import FeatureTable, Floats, Indices

_LONG_TAIL = 2.0
_RARE = 0.005


@dataclass(frozen=True)
class Attributes:
    """The attributes of F coded features.

    Attributes
    ----------
    tables
        Per feature, float64 (bins, k): the k attribute values of each bin (k is 0 for a constant feature).
    groups
        (A,) the prior group of each attribute, A = Σ k.
    """

    tables: tuple[Floats, ...]
    groups: Indices

    def values(self, codes: Codes) -> Floats:
        """Return float64 (n, A) for `codes` (n, F)."""
        out = np.empty((len(codes), len(self.groups)))
        stop = 0
        for i, table in enumerate(self.tables):
            start, stop = stop, stop + table.shape[1]
            out[:, start:stop] = table[codes[:, i]]
        return out

    def per_feature(self, weights: Floats) -> list[Floats]:
        """Return per feature (bins, P): the contribution of each bin under linear `weights` (A, P)."""
        stops = np.cumsum([t.shape[1] for t in self.tables])
        return [t @ weights[stop - t.shape[1] : stop] for t, stop in zip(self.tables, stops, strict=True)]


def learn_attributes(codings: Sequence[Coding], tables: Sequence[FeatureTable], codes: Codes) -> Attributes:
    """Return the attributes of the coded columns; `codes` (n, F) are those of all `tables`, one after the other."""
    made: list[Floats] = []
    groups: list[int] = []
    names = sorted({tables[0].column(c.name).group for c in codings})
    for i, coding in enumerate(codings):
        table = (
            _category_table(codes[:, i], coding.bins)
            if coding.kind == "category"
            else _number_table(coding, tables, codes[:, i])
        )
        made.append(table)
        groups += [names.index(tables[0].column(coding.name).group)] * table.shape[1]
    return Attributes(tuple(made), np.asarray(groups, dtype=np.intp))


def _number_table(coding: Coding, tables: Sequence[FeatureTable], codes: Codes) -> Floats:
    values = np.concatenate([column_values(t, coding.name, coding.kind) for t in tables])
    known = np.isfinite(values)
    if known.sum() < 2:
        return np.zeros((coding.bins, 0))
    values = np.clip(values, *np.quantile(values[known], [0.005, 0.995]))
    if _skewness(values[known]) > _LONG_TAIL:
        values = np.sign(values) * np.log1p(np.abs(values))
    counts = np.bincount(codes[known], minlength=coding.bins)
    means = np.bincount(codes[known], values[known], coding.bins) / np.maximum(counts, 1)
    return _standardised(means[:, None], counts)


def _category_table(codes: Codes, bins: int) -> Floats:
    counts = np.bincount(codes, minlength=bins)
    kept = [b for b in range(1, bins) if counts[b] > _RARE * len(codes)]
    return _standardised(np.eye(bins)[:, kept], counts)


def _standardised(table: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """Mean 0 and spread 1 over the known rows; bin 0 is 0; a column without spread is left out."""
    weight = counts * (np.arange(len(counts)) > 0)
    total = max(int(weight.sum()), 1)
    mean = weight @ table / total
    spread = np.sqrt(weight @ (table - mean) ** 2 / total)
    out = (table - mean) / np.where(spread > 0, spread, 1.0)
    out[0] = 0.0
    out[counts == 0] = 0.0
    return np.asarray(out[:, spread > 1e-9])


def _skewness(values: Floats) -> float:
    spread = values.std()
    return float((((values - values.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0
