"""Bins: how a column's values become small whole numbers, once, for every model.

Bin 0 is "not known" (null, or a category never seen in training); the others count from 1. Cuts are learned once and
kept with the model, so a value falls into the same bin in training, scoring and explaining.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer import compiled
from nextoffer.models import kernels
from nextoffer.tables.flow import FeatureTable, Floats, Kind

Codes = npt.NDArray[np.uint16]
Bins = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Codes in as few bytes as they fit in."""

MAX_BINS = 64
_MAX_CATEGORIES = 60
HANDFUL = 8
"""So many customers are coded quicker value by value."""
_BYTES = np.zeros(0, dtype=np.uint8)


@dataclass(frozen=True)
class Coding:
    """The bins of one feature.

    Attributes
    ----------
    name, kind
        The feature, and whether it is a number, flag or category.
    cuts
        Ascending; bin i + 1 of a number holds ``cuts[i-1] <= x < cuts[i]``.
    categories
        Bin i + 1 of a category holds ``categories[i]``.
    """

    name: str
    kind: Kind
    cuts: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def bins(self) -> int:
        """Number of bins, that of unknown values included."""
        return 1 + (len(self.categories) if self.kind == "category" else len(self.cuts) + 1)

    def codes(self, values: npt.NDArray[Any]) -> Codes:
        """Return the bin of each value; numbers come as float64 with NaN for null, categories as text with None."""
        if self.kind == "category":
            return np.fromiter((self._places.get(v, 0) for v in values), dtype=np.uint16, count=len(values))
        flat = np.searchsorted(self._cuts, values, side="right").astype(np.uint16) + np.uint16(1)
        return np.where(np.isnan(values), np.uint16(0), flat).astype(np.uint16)

    def code(self, value: Any) -> int:
        """Return the bin of one plain value, None for null."""
        if self.kind == "category":
            return self._places.get(value, 0)
        return 0 if value is None or value != value else bisect_right(self.cuts, value) + 1  # noqa: PLR0124

    def write_codes(self, features: FeatureTable, name: str, out: Any) -> None:
        """Write the bin of every customer in the column `name` to `out` (n,), uint8 or uint16."""
        if len(out) <= HANDFUL:
            out[:] = [self.code(v) for v in features.cells(name)]
        elif self.kind == "category":
            out[:] = self._codes_of_texts(features.array(name))
        elif compiled.ready() and out.dtype == np.uint8:
            self._write_numbers(features.array(name), out)
        else:
            out[:] = self.codes(features.numbers(name))

    def write_numbers(self, values: Floats, out: Any) -> None:
        """Write the bin of each number, NaN for null, to `out` (n,), uint8 or uint16."""
        if compiled.ready() and out.dtype == np.uint8:
            kernels.bin_numbers(values, _BYTES, 0, self.tree, out)
        else:
            out[:] = self.codes(values)

    @cached_property
    def tree(self) -> Floats:
        """The cuts as the kernels search them."""
        return kernels.padded(self.cuts)

    def _write_numbers(self, values: pa.Array, out: Any) -> None:
        if values.type == pa.bool_():
            no, yes = self.codes(np.array([0.0, 1.0])).tolist()
            write_flags(values, out, no=no, yes=yes)
        elif values.type == pa.float64() and len(values):
            first = values.offset
            numbers = np.frombuffer(values.buffers()[1], dtype=np.float64, count=first + len(values))[first:]
            kernels.bin_numbers(numbers, _known(values), first, self.tree, out)
        else:
            self.write_numbers(values.cast(pa.float64()).to_numpy(zero_copy_only=False), out)

    def _codes_of_texts(self, values: pa.Array) -> Codes:
        if pa.types.is_dictionary(values.type):
            codes = np.append(self._codes_of_texts(values.dictionary), np.uint16(0))
            unknown = len(values.dictionary)
            return np.asarray(codes[values.indices.fill_null(unknown).to_numpy(zero_copy_only=False)])
        texts = values if values.type == pa.string() else values.cast(pa.string())
        places = pc.index_in(texts, value_set=pa.array(self.categories, pa.string()), skip_nulls=True)
        return np.asarray(places.fill_null(-1).to_numpy(zero_copy_only=False) + 1).astype(np.uint16)

    @cached_property
    def _cuts(self) -> Floats:
        return np.asarray(self.cuts)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {category: i + 1 for i, category in enumerate(self.categories)}

    def label(self, code: int) -> str:
        """Return a bin in words, such as ``1.5 to 3`` or ``Mass``."""
        if code == 0:
            return "not known"
        if self.kind == "category":
            return self.categories[code - 1]
        if self.kind == "flag":
            return "yes" if code == self.bins - 1 else "no"
        if not self.cuts:
            return "any"
        if code == 1:
            return f"below {self.cuts[0]:.4g}"
        if code == self.bins - 1:
            return f"{self.cuts[-1]:.4g} or more"
        return f"{self.cuts[code - 2]:.4g} to {self.cuts[code - 1]:.4g}"

    def to_json(self) -> dict[str, Any]:
        """Return a plain form that `from_json` reads."""
        return {"name": self.name, "kind": self.kind, "cuts": list(self.cuts), "categories": list(self.categories)}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Coding:
        """Return the coding that `to_json` wrote."""
        return cls(plain["name"], plain["kind"], tuple(plain["cuts"]), tuple(plain["categories"]))


def write_flags(values: pa.Array, out: Any, *, no: int, yes: int) -> None:
    """Write `no` or `yes` for each flag to `out` (n,), uint8; 0 for null."""
    if compiled.ready() and len(values):
        bits = np.frombuffer(values.buffers()[1], dtype=np.uint8)
        kernels.bin_flags(bits, _known(values), values.offset, no, yes, out)
    else:
        numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        out[:] = np.where(np.isnan(numbers), 0, np.where(numbers > 0, yes, no))


def _known(values: pa.Array) -> npt.NDArray[np.uint8]:
    """The bits that say which values are known; none where all are."""
    valid = values.buffers()[0] if values.null_count else None
    return _BYTES if valid is None else np.frombuffer(valid, dtype=np.uint8)


def number_coding(name: str, values: Floats, *, max_bins: int = MAX_BINS) -> Coding:
    """Return bins of equal counts over the known values, or one per value where there are few.

    >>> number_coding("age", np.array([30.0, 40.0, 40.0, np.nan])).codes(np.array([29.0, 41.0, np.nan])).tolist()
    [1, 2, 0]
    >>> number_coding("rare", np.r_[np.zeros(990), np.arange(1.0, 11.0)], max_bins=8).cuts
    (0.5,)
    """
    known = values[np.isfinite(values)]
    distinct = np.unique(known)
    starts = distinct[1:]
    if len(distinct) > max_bins:
        levels = np.quantile(known, np.linspace(0, 1, max_bins + 1), method="inverted_cdf")
        heavy = np.unique(levels[1:][levels[1:] == levels[:-1]])  # more than a bin's share: it gets one for itself
        after = distinct[np.minimum(np.searchsorted(distinct, heavy, side="right"), len(distinct) - 1)]
        starts = np.unique(np.concatenate([levels[(levels > levels[0]) & (levels < levels[-1])], heavy, after]))
        starts = starts[starts > distinct[0]]
    below = distinct[np.searchsorted(distinct, starts) - 1]
    # Halfway between two values that were seen: the last digit of a sum does not carry a value over a cut.
    return Coding(name, "number", tuple(float(c) for c in (below + starts) / 2))


def category_coding(name: str, values: npt.NDArray[np.object_]) -> Coding:
    """Return one bin per category, the commonest `_MAX_CATEGORIES`, in alphabetical order."""
    known = np.asarray([v for v in values if v is not None], dtype=object)
    texts, counts = np.unique(known.astype(str), return_counts=True)
    kept = texts[np.argsort(-counts, kind="stable")[:_MAX_CATEGORIES]]
    return Coding(name, "category", categories=tuple(sorted(str(t) for t in kept)))


def flag_coding(name: str) -> Coding:
    """Return the bins of a flag: not known, no, yes."""
    return Coding(name, "flag", cuts=(0.5,))


def column_values(features: FeatureTable, name: str, kind: Kind) -> npt.NDArray[Any]:
    """Return the column in the form that `Coding.codes` takes."""
    return features.texts(name) if kind == "category" else features.numbers(name)


def learn_codings(
    tables: Sequence[FeatureTable], names: Sequence[str], *, max_bins: int = MAX_BINS
) -> tuple[Coding, ...]:
    """Return the coding of each named column, learned over all `tables`."""
    made = []
    for name in names:
        kind = tables[0].column(name).kind
        if kind == "flag":
            made.append(flag_coding(name))
            continue
        values = np.concatenate([column_values(t, name, kind) for t in tables])
        made.append(
            category_coding(name, values) if kind == "category" else number_coding(name, values, max_bins=max_bins)
        )
    return tuple(made)


def code_columns(codings: Sequence[Coding], features: FeatureTable, *, dtype: Any = np.uint16) -> Bins:
    """Return (F, n): the bin of every customer in every coded column, each column's side by side."""
    if len(features) <= HANDFUL:
        codes = [[coding.code(v) for v in features.cells(coding.name)] for coding in codings]
        return np.array(codes, dtype=dtype).reshape(len(codings), len(features))
    out: Bins = np.empty((len(codings), len(features)), dtype=dtype)
    for i, coding in enumerate(codings):
        coding.write_codes(features, coding.name, out[i])
    return out


@dataclass(frozen=True, eq=False)
class Coder:
    """Codes the columns of a handful of customers together."""

    codings: tuple[Coding, ...]

    def codes(self, features: FeatureTable, dtype: Any) -> Bins:
        """Return what `code_columns` returns."""
        count = len(features)
        if not compiled.ready() or dtype != np.uint8 or count > HANDFUL or not self.codings:
            return code_columns(self.codings, features, dtype=dtype)
        cells = [[None] * count if text else features.cells(name) for name, text in self._names]
        out = np.empty((len(cells), count), dtype=np.uint8)
        kernels.bin_rows(np.array(cells, dtype=np.float64), self._starts, self._cuts, out)
        for f, coding in self._texts:
            out[f] = [coding.code(text) for text in features.cells(coding.name)]
        return out

    @cached_property
    def _names(self) -> list[tuple[str, bool]]:
        return [(coding.name, coding.kind == "category") for coding in self.codings]

    @cached_property
    def _texts(self) -> list[tuple[int, Coding]]:
        return [(f, coding) for f, coding in enumerate(self.codings) if coding.kind == "category"]

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        return np.cumsum([0, *(len(coding.cuts) for coding in self.codings)], dtype=np.int64)

    @cached_property
    def _cuts(self) -> Floats:
        return np.array([cut for coding in self.codings for cut in coding.cuts], dtype=np.float64)


def code_table(codings: Sequence[Coding], features: FeatureTable) -> Codes:
    """Return uint16 (n, F): the bin of every customer in every coded column."""
    return np.ascontiguousarray(code_columns(codings, features).T)
