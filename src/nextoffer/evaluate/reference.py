"""What features and propensities looked like when a model was fitted: bins and counts, no customer's data.

Kept with the model, so that every later day can be counted into the same bins. A word that fewer than `FEW` customers
have is not kept by name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from nextoffer.tables.flow import FeatureTable, Floats, Kind

BINS = 10
PER_BIN = 20
"""Customers that a bin of a number should hold at least: small banks get fewer bins."""
FEW = 5
MOST_WORDS = 1000
HIGHEST = "highest"
"""The propensity of each customer's likeliest product, among those of products."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """How one column was spread over customers.

    Attributes
    ----------
    name, label, kind
        As in the feature's column; of a propensity the product's id, twice.
    cuts
        Of a number: the inner borders of its bins, rising. A value equal to a border lies in the bin below it.
    words
        Of a category: the values that are counted by name, the most frequent first.
    counts
        Customers in each bin. A number has ``len(cuts) + 1``, a flag two (no, yes), a category one for each word and
        one for all other values.
    missing
        Customers of whom it is not known.
    """

    name: str
    label: str
    kind: Kind
    cuts: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    missing: int = 0

    @property
    def known(self) -> int:
        """Customers of whom it was known."""
        return sum(self.counts)

    @property
    def customers(self) -> int:
        """All customers."""
        return self.known + self.missing

    @property
    def empty(self) -> Spread:
        """Nobody counted yet, into the same bins."""
        return Spread(np.zeros(len(self.counts), dtype=np.int64), 0, Counter())

    def of_numbers(self, values: Floats) -> Spread:
        """Count numbers or flags, NaN for not known."""
        known = values[~np.isnan(values)]
        places = np.searchsorted(np.asarray(self.cuts), known, side="left")
        return Spread(np.bincount(places, minlength=len(self.counts)), len(values) - len(known), Counter())

    def of_table(self, features: FeatureTable) -> Spread:
        """Count a column of a table that has it."""
        if self.kind != "category":
            return self.of_numbers(features.numbers(self.name))
        found = _words(features, self.name)
        missing = found.pop(None, 0)
        place: dict[str | None, int] = {word: i for i, word in enumerate(self.words)}
        counts = np.zeros(len(self.counts), dtype=np.int64)
        for word, count in found.items():
            counts[place.get(word, len(self.words))] += count
        strange = Counter({str(word): count for word, count in found.items() if word not in place})
        return Spread(counts, missing, strange)


@dataclass(frozen=True)
class Spread:
    """Customers of a later day in the bins of a `Shape`; `strange` counts the words that it does not know."""

    counts: Counts
    missing: int
    strange: Counter[str]

    @property
    def known(self) -> int:
        """Customers of whom it is known."""
        return int(self.counts.sum())

    @property
    def customers(self) -> int:
        """All customers."""
        return self.known + self.missing

    def __add__(self, other: Spread) -> Spread:
        strange = self.strange + other.strange
        kept = Counter(dict(strange.most_common(MOST_WORDS))) if len(strange) > MOST_WORDS else strange
        return Spread(self.counts + other.counts, self.missing + other.missing, kept)


@dataclass(frozen=True)
class Reference:
    """How features and propensities were spread over the customers on the day of a fit.

    Attributes
    ----------
    customers
        Counted, a keyed sample where the bank has more.
    features
        One for each feature.
    propensities
        One for each product (of all customers, whatever the rules say), and `HIGHEST`.
    """

    customers: int
    features: tuple[Shape, ...]
    propensities: tuple[Shape, ...] = ()

    @classmethod
    def measure(cls, features: FeatureTable, propensities: Floats, products: Sequence[str]) -> Reference:
        """Return the reference of n customers with their propensities (n, P) for the products of these ids."""
        columns = [_measured(features, c.name, c.label, c.kind) for c in features.columns]
        scores = [of_numbers(key, key, values) for key, values in zip(products, propensities.T, strict=True)]
        if len(products):
            scores.append(of_numbers(HIGHEST, "Highest propensity", propensities.max(axis=1, initial=0.0)))
        return cls(len(features), tuple(columns), tuple(scores))

    @cached_property
    def by_name(self) -> dict[str, Shape]:
        """Each feature's shape by its name."""
        return {shape.name: shape for shape in self.features}

    def to_json(self) -> str:
        """Return the reference as JSON, one line for each shape."""
        told = [json.dumps(_plain(shape)) for shape in (*self.features, *self.propensities)]
        first = json.dumps({"customers": self.customers, "features": len(self.features)})
        return "[\n" + ",\n".join([first, *told]) + "\n]\n"

    @classmethod
    def from_json(cls, text: str) -> Reference:
        """Return what `to_json` wrote."""
        first, *told = json.loads(text)
        shapes = [_shape(each) for each in told]
        count = first["features"]
        return cls(first["customers"], tuple(shapes[:count]), tuple(shapes[count:]))


def of_numbers(name: str, label: str, values: Floats, kind: Kind = "number") -> Shape:
    """Return the shape of numbers or flags, NaN for not known: tenths, or fewer bins where there are few customers.

    >>> of_numbers("age", "Age", np.arange(60.0)).cuts
    (19.0, 39.0)
    """
    known = values[~np.isnan(values)]
    cuts = (0.5,) if kind == "flag" else _cuts(known)
    counts = np.bincount(np.searchsorted(np.asarray(cuts), known, side="left"), minlength=len(cuts) + 1)
    return Shape(name, label, kind, cuts, (), tuple(counts.tolist()), len(values) - len(known))


def _cuts(known: Floats) -> tuple[float, ...]:
    """Borders between bins of about equally many customers; a number that never varied is a bin by itself."""
    if not known.size:
        return ()
    if known.min() == known.max():
        only = float(known[0])
        return (float(np.nextafter(only, -np.inf)), only)
    bins = min(BINS, max(2, known.size // PER_BIN))
    found = np.quantile(known, np.arange(1, bins) / bins, method="lower")
    return tuple(float(cut) for cut in np.unique(found) if cut < known.max()) or (float(known.min()),)


def _measured(features: FeatureTable, name: str, label: str, kind: Kind) -> Shape:
    if kind != "category":
        return of_numbers(name, label, features.numbers(name), kind)
    found = _words(features, name)
    missing = found.pop(None, 0)
    frequent = sorted(((w, c) for w, c in found.items() if c >= FEW), key=lambda each: (-each[1], str(each[0])))
    words, counts = [str(w) for w, _ in frequent[:MOST_WORDS]], [c for _, c in frequent[:MOST_WORDS]]
    return Shape(name, label, kind, (), tuple(words), (*counts, sum(found.values()) - sum(counts)), missing)


def _words(features: FeatureTable, name: str) -> dict[str | None, int]:
    found = pc.value_counts(features.array(name))
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def _plain(shape: Shape) -> dict[str, Any]:
    return {key: value for key, value in asdict(shape).items() if value != () or key == "counts"}


def _shape(plain: Mapping[str, Any]) -> Shape:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()}
    return Shape(**values)


def pooled(shape: Shape, now: Counts, *, share: float = 0.01, most: int = 20) -> tuple[Counts, Counts, Sequence[str]]:
    """Return both counts of a category with its rare words put together with all others, and the bins' names."""
    then = np.asarray(shape.counts, dtype=np.int64)
    if shape.kind != "category":
        return then, now, ()
    keep = min(most, int((then[:-1] >= max(share * shape.known, FEW)).sum()))
    merged = [np.append(each[:keep], each[keep:].sum()) for each in (then, now)]
    return merged[0], merged[1], (*shape.words[:keep], "other")
