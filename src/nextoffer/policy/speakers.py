"""Fits the reason catalogue to a bank: which reasons can be given there, for which features, on which typed fact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from nextoffer.errors import PolicyError, did_you_mean
from nextoffer.policy.batch import Pairs
from nextoffer.policy.bounds import Bound, bounds
from nextoffer.policy.catalogue import EACH_NAMES, PLACEHOLDER, Audience, Catalogue, Reason
from nextoffer.policy.expression import Expression, parsed
from nextoffer.policy.logic import Columns, Mask, Values
from nextoffer.policy.stats import FeatureStat, FeatureStats, pair_label
from nextoffer.tables.flow import Indices, Kind

_YARDSTICKS = {"low": "q25", "typical": "median", "high": "q75"}


class Vocabulary(NamedTuple):
    """The features that contribute, and kind and label of every column that can be named."""

    features: tuple[str, ...]
    kinds: tuple[tuple[str, Kind], ...]
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Speaker:
    """A reason fitted to a bank.

    Attributes
    ----------
    code
        The reason's, with the feature where the reason is given for each.
    reason, fact
        What is said, and on which condition.
    members
        Positions in `Scores.features` of what it speaks for.
    feature, label
        Name and plain words of the single feature where the reason is given for each.
    yardsticks
        What is low, typical and high, under the names the fact and texts use.
    bounds
        The fact as bounds of columns, where it can be said so; else None.
    """

    code: str
    reason: Reason
    fact: Expression
    members: tuple[int, ...]
    feature: str | None
    label: str
    yardsticks: Columns
    bounds: tuple[Bound, ...] | None

    def holds(self, pairs: Pairs, at: Indices) -> Mask:
        """Return for which of the pairs `at` the fact is known to be true."""
        own = [name for name in self._read if not name.startswith("product.")]
        if len(own) == 1 and pairs.texts(own[0]):
            return self._holds_by_text(pairs, at, own[0])
        columns = {name: self.column(name, pairs, at) for name in self.fact.names}
        found = self.fact.holds(columns)
        return found if found.shape == at.shape else np.broadcast_to(found, at.shape)

    def _holds_by_text(self, pairs: Pairs, at: Indices, own: str) -> Mask:
        """Return what `holds` returns, of a fact on one text of the customer and on products: by distinct text."""
        places, texts = pairs.batch.coded(own)
        products = pairs.batch.shape[1]
        every = np.repeat(np.array(texts, dtype=object), products)
        columns = {
            name: every
            if self._column(name) == own
            else np.tile(pairs.batch.product_column(name.removeprefix("product.")), len(texts))
            for name in self.fact.names
            if name not in self.yardsticks
        }
        found = np.broadcast_to(self.fact.holds({**self.yardsticks, **columns}), every.shape)
        return found.reshape(len(texts), products)[places[pairs.rows[at]], pairs.cols[at]]

    @cached_property
    def _read(self) -> tuple[str, ...]:
        """The columns that the fact reads."""
        return tuple(dict.fromkeys(self._column(name) for name in self.fact.names if name not in self.yardsticks))

    def _column(self, name: str) -> str:
        return self.feature if name == "value" and self.feature else name

    def column(self, name: str, pairs: Pairs, at: Indices) -> Values:
        """Return what `name` means in this reason's fact and texts, for the pairs `at`."""
        if name in self.yardsticks:
            return self.yardsticks[name]
        return pairs.column(self._column(name), at)

    def template(self, audience: Audience) -> tuple[str, list[str]]:
        """Return the text for an audience, and the names in it that are filled in for each pair."""
        text = (self.reason.text(audience) or "").replace("{label}", self.label)
        return text, list(dict.fromkeys(PLACEHOLDER.findall(text)))

    def source(self, name: str) -> str | None:
        """Return the column that `name` stands for, or None for a yardstick."""
        return None if name in self.yardsticks else self._column(name)


@lru_cache(maxsize=16)
def fitted(catalogue: Catalogue, vocabulary: Vocabulary) -> tuple[Speaker, ...]:
    """Return the reasons that can be given at a bank, in order of precedence.

    Raises
    ------
    PolicyError
        A reason of the bank's own names columns that are not there, or compares what cannot be compared.
    """
    found: list[Speaker] = []
    problems: list[str] = []
    kinds = dict(vocabulary.kinds)
    named = _with_yardsticks(kinds)
    for reason in catalogue.reasons:
        if reason.code not in catalogue.own and not _names_known(reason, named):
            continue  # the rule, as no bank has every column; it would be found out, after a search for the nearest
        try:
            found += _fit(reason, catalogue.stats, vocabulary, named)
        except PolicyError as error:
            problems += [f"reason {reason.code}: {p}" for p in error.problems if reason.code in catalogue.own]
        if reason.code in catalogue.own:
            problems += _strangers(reason, [*kinds, *vocabulary.features])
    if problems:
        raise PolicyError(problems)
    return tuple(found)


def _names_known(reason: Reason, named: Mapping[str, Kind]) -> bool:
    return all(name in named or (reason.each and name in EACH_NAMES) for name in parsed(reason.fact).names)


def _fit(reason: Reason, stats: FeatureStats, vocabulary: Vocabulary, named: Mapping[str, Kind]) -> list[Speaker]:
    """Return the reason once, or once for each feature; not at all where none of its features contributes."""
    fact = parsed(reason.fact)
    position = {name: i for i, name in enumerate(vocabulary.features)}
    members = reason.members(vocabulary.features)
    if reason.each is None:
        typed = fact.typed(named)
        together = tuple(position[name] for name in members)
        yardsticks = _yardsticks(fact.names, stats)
        within = bounds(fact.tree, named, yardsticks)
        return [Speaker(reason.code, reason, typed, together, None, "", yardsticks, within)] if members else []
    named = {**named, **dict.fromkeys(EACH_NAMES, reason.each)}
    typed = fact.typed(named)
    labels = dict(vocabulary.labels)
    alone = [name for name in members if named.get(name) == reason.each]
    own = [*_YARDSTICKS, *fact.names]
    found = []
    for name in alone:
        yardsticks = _yardsticks(own, stats, name)
        within = bounds(fact.tree, named, yardsticks)
        within = within and tuple(b._replace(column=name) if b.column == "value" else b for b in within)
        code, label = f"{reason.code}:{name}", _label(name, labels)
        found.append(Speaker(code, reason, typed, (position[name],), name, label, yardsticks, within))
    return found


def _with_yardsticks(kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    """Return `kinds` with ``low.income``, ``typical.income`` and ``high.income`` for every column."""
    return {**kinds, **{f"{yardstick}.{name}": kind for yardstick in _YARDSTICKS for name, kind in kinds.items()}}


def _strangers(reason: Reason, names: list[str]) -> list[str]:
    """Name the features a bank's reason speaks for that do not exist, globs aside."""
    exact = [name for name in reason.speaks_for if not set(name) & set("*?[")]
    return [
        f"reason {reason.code}: speaks_for names no known feature: '{name}'{did_you_mean(name, names)}"
        for name in exact
        if name not in names
    ]


def _label(name: str, labels: Mapping[str, str]) -> str:
    return labels.get(name) or pair_label(name.rpartition(".")[2])


def _yardsticks(names: Iterable[str], stats: FeatureStats, feature: str = "") -> Columns:
    """Return those of `names` that are yardsticks: ``high.income``, or ``high`` alone of `feature`."""
    split = {name: name.partition(".") for name in names}
    return {
        name: _yardstick(stats.get(of or feature), yardstick)
        for name, (yardstick, _, of) in split.items()
        if yardstick in _YARDSTICKS and (of or feature)
    }


def _yardstick(stat: FeatureStat | None, name: str) -> Values:
    if stat is None or stat.kind != "category":
        number = getattr(stat, _YARDSTICKS[name], None)
        return np.array(np.nan if number is None else number)
    return np.array(stat.mode if name == "typical" else None, dtype=object)
