"""The reasons for an offer: those that mattered to this score and are true of this customer.

A reason is given only if the summed contribution of the features it speaks for, less the average customer's for the
same product, is positive and material, and its fact holds in the customer's data. Each feature is spoken for once: by
the first such reason in the catalogue. Reasons against an offer mirror this, and only explain a low rank. An offer
without a true material reason has none.

Everything is computed pair by pair and feature by feature in a fixed order, so a pair has the same reasons in any
batch; reasons are the outer loop, never customers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.policy.batch import Pairs
from nextoffer.policy.catalogue import Audience, Catalogue, Side
from nextoffer.policy.file import ReasonLimits
from nextoffer.policy.speakers import Speaker, speakers
from nextoffer.policy.weights import Weight, Weights
from nextoffer.policy.wording import worded
from nextoffer.tables.flow import Indices

_BLOCK = 16_384  # pairs at a time: their contributions stay near the processor

_Chosen = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Reasons:
    """Reasons of m pairs, most important first.

    Attributes
    ----------
    texts, codes
        Arrow lists of strings, m of each, of equal lengths.
    """

    texts: pa.ListArray
    codes: pa.ListArray


def reasons_for(
    pairs: Pairs,
    catalogue: Catalogue,
    *,
    limits: ReasonLimits | None = None,
    side: Side = "for",
    audience: Audience = "rm",
) -> Reasons:
    """Return what speaks for (or against) each of m customer–product pairs.

    Parameters
    ----------
    pairs
        m pairs of a batch.
    catalogue
        Reasons in order of precedence, with the yardstick of what is low, typical and high.
    limits
        How many reasons, and how much each must matter; the reference's if not given.
    side, audience
        Which reasons, in whose words.

    Raises
    ------
    PolicyError
        A reason of the bank's own does not fit the bank's columns.
    """
    limits = limits or ReasonLimits()
    given = speakers(catalogue, pairs.batch, side, audience)
    starts = range(0, len(pairs), _BLOCK) or [0]
    blocks = [_of_block(pairs.part(start, start + _BLOCK), given, limits, audience) for start in starts]
    return Reasons(pa.concat_arrays([b.texts for b in blocks]), pa.concat_arrays([b.codes for b in blocks]))


def explain_low_rank(
    pairs: Pairs, catalogue: Catalogue, *, limits: ReasonLimits | None = None, audience: Audience = "rm"
) -> Reasons:
    """Return what speaks against each of m pairs: why they rank low, not why they are refused."""
    return reasons_for(pairs, catalogue, limits=limits, side="against", audience=audience)


def _of_block(pairs: Pairs, given: tuple[Speaker, ...], limits: ReasonLimits, audience: Audience) -> Reasons:
    chosen = _chosen(pairs, given, limits)
    counts = (chosen >= 0).sum(axis=1)
    flat = chosen[chosen >= 0]
    pair_of = np.repeat(np.arange(len(pairs)), counts)
    by_speaker = np.argsort(flat, kind="stable")
    bounds = np.searchsorted(flat[by_speaker], np.arange(len(given) + 1))
    pool: list[str] = []
    text_of = np.empty(len(flat), dtype=np.intp)
    for speaker, start, stop in zip(given, bounds[:-1], bounds[1:], strict=True):
        if start < stop:
            where = by_speaker[start:stop]
            texts, which = worded(speaker, pairs, pair_of[where], audience)
            text_of[where] = len(pool) + which
            pool += texts
    codes = pa.array([speaker.code for speaker in given], type=pa.string())
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), type=pa.int32())
    return Reasons(
        pa.ListArray.from_arrays(offsets, pa.array(pool, type=pa.string()).take(pa.array(text_of))),
        pa.ListArray.from_arrays(offsets, codes.take(pa.array(flat))),
    )


def _chosen(pairs: Pairs, given: tuple[Speaker, ...], limits: ReasonLimits) -> _Chosen:
    """Return int16 (m, max): positions in `given` of each pair's reasons, strongest first, then -1."""
    if not given or not len(pairs):
        return np.full((len(pairs), limits.max), -1, dtype=np.int16)
    weights = Weights.of(pairs, given[0].reason.side, limits)
    claimed = np.zeros(weights.relative.shape, dtype=np.bool_)
    true = _Found(len(pairs), _most(given, limits))
    for k, speaker in enumerate(given):
        strength, at = weights.material(speaker.members)
        for feature in speaker.members:
            at = at[~claimed[feature, at]] if at.size else at
        if at.size:
            at = at[speaker.holds(pairs, at)]
            true.add(k, at, strength[at])
            for feature in speaker.members:
                claimed[feature, at] = True
    return true.strongest(limits.max)


def _most(given: tuple[Speaker, ...], limits: ReasonLimits) -> int:
    """Return how many material reasons a pair can have: each has its share of the whole to itself."""
    shares = len(given) if limits.min_share == 0 else int(1 / limits.min_share) + 2  # rounding may let one more in
    return min(len(given), shares)


class _Found:
    """The reasons found true of m pairs, at most `most` of each, in the order found."""

    def __init__(self, pairs: int, most: int) -> None:
        self.count = np.zeros(pairs, dtype=np.intp)
        self.strength = np.full((pairs, most), -np.inf, dtype=np.float32)
        self.speaker: _Chosen = np.full((pairs, most), -1, dtype=np.int16)

    def add(self, speaker: int, at: Indices, strength: Weight) -> None:
        """Note one reason for the pairs `at`."""
        slot = self.count[at]
        self.strength[at, slot] = strength
        self.speaker[at, slot] = speaker
        self.count[at] = slot + 1

    def strongest(self, most: int) -> _Chosen:
        """Return int16 (m, most): each pair's strongest reasons, strongest first, among equals the one found first."""
        pair = np.arange(len(self.count))
        chosen = np.full((len(pair), most), -1, dtype=np.int16)
        for place in range(min(most, self.strength.shape[1])):
            slot = self.strength.argmax(axis=1)
            chosen[:, place] = np.where(self.strength[pair, slot] > -np.inf, self.speaker[pair, slot], -1)
            self.strength[pair, slot] = -np.inf
        return chosen
