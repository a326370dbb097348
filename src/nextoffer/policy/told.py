"""The reasons that can be told to one audience on one side, laid out for loops over many pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.policy.batch import Batch
from nextoffer.policy.catalogue import Audience, Catalogue, Side
from nextoffer.policy.speakers import Speaker, Vocabulary, fitted

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Told:
    """K reasons in order of precedence.

    Attributes
    ----------
    speakers
        The reasons, fitted to a bank.
    side, audience
        Whose they are, and who is told.
    features
        How many features contribute, F.
    """

    speakers: tuple[Speaker, ...]
    side: Side
    audience: Audience
    features: int

    @cached_property
    def sources(self) -> Ragged:
        """The features that reasons speak for: first each feature by itself, then those spoken for together."""
        together = dict.fromkeys(s.members for s in self.speakers if len(s.members) > 1)
        return Ragged.of([*([f] for f in range(self.features)), *together])

    @cached_property
    def speaks(self) -> Places:
        """int64 (K,): which of `sources` each reason speaks for."""
        place = {tuple(members): s for s, members in enumerate(self.sources.lists)}
        return np.array([place[speaker.members] for speaker in self.speakers], dtype=np.int64)

    @cached_property
    def columns(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """The columns that facts put bounds to: customers', products' and pairs'."""
        names = dict.fromkeys(b.column for s in self.speakers for b in s.bounds or ())
        product = tuple(name for name in names if name.startswith("product."))
        pair = tuple(name for name in names if name.startswith("pair."))
        return tuple(name for name in names if name not in {*product, *pair}), product, pair

    @cached_property
    def bounds(self) -> Bounds:
        """What the facts ask of the columns."""
        place = {name: i for i, name in enumerate(name for names in self.columns for name in names)}
        every = [speaker.bounds or () for speaker in self.speakers]
        flat = [bound for bounds in every for bound in bounds]
        return Bounds(
            Ragged.of([[place[b.column] for b in bounds] for bounds in every]),
            np.array([b.low for b in flat], dtype=np.float64),
            np.array([b.high for b in flat], dtype=np.float64),
        )

    @cached_property
    def asking(self) -> list[list[int]]:
        """For each of `columns`, one after the other, the reasons whose facts put bounds to it."""
        of: list[list[int]] = [[] for names in self.columns for _ in names]
        for k, columns in enumerate(self.bounds.column.lists):
            for column in columns:
                of[column].append(k)
        return of

    @cached_property
    def unbound(self) -> Places:
        """int64 (K,): which of the facts that are no bounds is the reason's, or −1."""
        free = accumulate((speaker.bounds is None for speaker in self.speakers), initial=0)
        return np.array(
            [u if s.bounds is None else -1 for u, s in zip(free, self.speakers, strict=False)], dtype=np.int64
        )

    @cached_property
    def fixed(self) -> Texts:
        """The texts that are the same whoever is told."""
        return Texts.of([None if names else text for text, names in self.templates])

    @cached_property
    def templates(self) -> list[tuple[str, list[str]]]:
        """Of each reason the text, and the names in it that are filled in."""
        return [speaker.template(self.audience) for speaker in self.speakers]

    @cached_property
    def codes(self) -> pa.Array:
        """The reasons' codes."""
        return pa.array([speaker.code for speaker in self.speakers], type=pa.string())


@dataclass(frozen=True)
class Ragged:
    """Lists of whole numbers, one after the other: list i is ``flat[start[i] : start[i + 1]]``."""

    start: Places
    flat: Places

    @cached_property
    def owner(self) -> Places:
        """The list that each number is of."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def lists(self) -> list[list[int]]:
        """The lists themselves."""
        return [self.flat[start:stop].tolist() for start, stop in pairwise(self.start.tolist())]

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Ragged:
        """Return these lists."""
        start = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        return cls(start, np.array([i for each in lists for i in each], dtype=np.int64))


@dataclass(frozen=True)
class Bounds:
    """For each reason the places of columns, and for each of these the least and greatest value allowed."""

    column: Ragged
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Texts:
    """Texts of K reasons.

    Attributes
    ----------
    place
        int64 (K,): where in `distinct` each stands, or −1 where it is still to be found.
    distinct
        Text → its place.
    array
        The same for Arrow.
    """

    place: Places
    distinct: dict[str, int]
    array: pa.Array

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Texts:
        """Return the texts, each kept once."""
        distinct: dict[str, int] = {}
        place = [-1 if text is None else distinct.setdefault(text, len(distinct)) for text in texts]
        return cls(np.array(place, dtype=np.int64), distinct, pa.array(distinct, type=pa.string()))


class Telling:
    """One side's reasons for one audience, fitted once to the bank whose batches are seen."""

    def __init__(self, catalogue: Catalogue, side: Side = "for", audience: Audience = "rm") -> None:
        self._catalogue, self._side, self._audience = catalogue, side, audience
        self._last: tuple[object, tuple[str, ...], Told] | None = None

    def of(self, batch: Batch) -> Told:
        """Return the reasons that can be given for this batch; its scores come of the ranker the others came of.

        Raises
        ------
        PolicyError
            A reason of the bank's own names columns that are not there, or compares what cannot be compared.
        """
        columns, features = batch.features.columns, batch.scores.features
        last = self._last
        if last is None or last[:2] != (columns, features):
            last = (columns, features, told(self._catalogue, batch, self._side, self._audience))
            self._last = last
        return last[2]


def told(catalogue: Catalogue, batch: Batch, side: Side, audience: Audience) -> Told:
    """Return the reasons of one side that can be given to one audience for this batch, in order of precedence.

    Raises
    ------
    PolicyError
        A reason of the bank's own names columns that are not there, or compares what cannot be compared.
    """
    labels = tuple((column.name, column.label) for column in batch.features.columns)
    vocabulary = Vocabulary(tuple(batch.scores.features), tuple(batch.kinds.items()), labels)
    return _told(catalogue, vocabulary, side, audience)


@lru_cache(maxsize=64)
def _told(catalogue: Catalogue, vocabulary: Vocabulary, side: Side, audience: Audience) -> Told:
    every = fitted(catalogue, vocabulary)
    given = tuple(s for s in every if s.reason.side == side and s.reason.text(audience) is not None)
    return Told(given, side, audience, len(vocabulary.features))
