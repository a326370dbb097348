"""What is low, typical and high for a feature: the yardstick by which reasons call a value high."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from nextoffer.tables.flow import FeatureTable, Floats, Kind

PAIR_LABELS = {
    "income_ratio": "Income against the product's minimum",
    "segment_match": "Segment match",
    "spend_interest": "Interest shown by spending",
    "coholding": "Fit with the products held",
    "type_held": "Products of the same type held",
    "offers": "Earlier offers of it",
    "accepts": "Earlier acceptances of it",
    "days_since_offer": "Days since it was last offered",
    "times_opened": "Times it was opened before",
    "days_since_closed": "Days since it was closed",
}
"""Each pair feature of the models in plain words."""


@dataclass(frozen=True)
class FeatureStat:
    """How one feature is spread over the training customers, or a pair feature over their pairs.

    Attributes
    ----------
    name
        As in `Scores.features`: ``income``, ``pair.coholding``.
    label
        The same in plain words.
    kind
        ``number``, ``category`` or ``flag``.
    q25, median, q75
        Of a number's known values; None if none is known. At least three in four are not below `q25`, and at least
        three in four not above `q75`.
    mode
        A category's most frequent value, the first by name among equals; None if none is known.
    """

    name: str
    label: str
    kind: Kind
    q25: float | None = None
    median: float | None = None
    q75: float | None = None
    mode: str | None = None


@dataclass(frozen=True)
class FeatureStats:
    """The spread of every feature that reasons may speak of."""

    stats: tuple[FeatureStat, ...] = ()

    @classmethod
    def measure(cls, features: FeatureTable, pairs: Mapping[str, Floats] | None = None) -> FeatureStats:
        """Return the spread of `features`, and of pair features: name without ``pair.`` → any number of values."""
        customer = [_measured(features, column.name, column.label, column.kind) for column in features.columns]
        pair = [
            _of_numbers(f"pair.{name}", pair_label(name), "number", values) for name, values in (pairs or {}).items()
        ]
        return cls((*customer, *pair))

    @classmethod
    def from_json(cls, text: str) -> FeatureStats:
        """Return what `to_json` wrote."""
        return cls(tuple(FeatureStat(**stat) for stat in json.loads(text)))

    def to_json(self) -> str:
        """Return the stats as JSON, one object per feature."""
        return json.dumps([asdict(stat) for stat in self.stats], indent=1)

    def get(self, name: str) -> FeatureStat | None:
        """Return the spread of `name`, or None if it was not measured."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, FeatureStat]:
        return {stat.name: stat for stat in self.stats}


def pair_label(name: str) -> str:
    """Return the plain words for a pair feature, or its name in their style.

    >>> pair_label("coholding"), pair_label("web_clicks")
    ('Fit with the products held', 'Web clicks')
    """
    return PAIR_LABELS.get(name) or name.replace("_", " ").capitalize()


def _measured(features: FeatureTable, name: str, label: str, kind: Kind) -> FeatureStat:
    if kind == "category":
        return FeatureStat(name, label, kind, mode=_mode(features.texts(name)))
    return _of_numbers(name, label, kind, features.numbers(name))


def _of_numbers(name: str, label: str, kind: Kind, values: Floats) -> FeatureStat:
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if kind != "number" or not known.size:
        return FeatureStat(name, label, kind)
    # "lower" and "higher" are values that occur, so that three in four customers really are on the other side or equal
    q25 = float(np.quantile(known, 0.25, method="lower"))
    q75 = float(np.quantile(known, 0.75, method="higher"))
    return FeatureStat(name, label, kind, q25=q25, median=float(np.median(known)), q75=q75)


def _mode(values: Iterable[str | None]) -> str | None:
    counts = Counter(value for value in values if value is not None)
    return min(counts, key=lambda value: (-counts[value], value), default=None)
