"""Chooses each pair's reasons: the strongest of those that mattered to its score and are true.

Pair by pair as machine code where kernels are ready, reason by reason with numpy elsewhere; the outcome is the same to
the last bit, as both add up the same features in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nextoffer import compiled
from nextoffer.policy import kernels
from nextoffer.policy.batch import Pairs
from nextoffer.policy.file import ReasonLimits
from nextoffer.policy.speakers import Speaker
from nextoffer.policy.told import Told
from nextoffer.policy.weights import Weight, Weights, floor
from nextoffer.tables.flow import Floats, Indices

Chosen = npt.NDArray[np.int16]
Mask = npt.NDArray[np.bool_]

_BLOCK = 8_000  # pairs at a time, so that their contributions stay near the processor


def chosen(pairs: Pairs, given: Told, limits: ReasonLimits) -> Chosen:
    """Return int16 (m, max): places in `given` of each pair's reasons, strongest first, −1 beyond them."""
    out = np.full((len(pairs), limits.max), -1, dtype=np.int16)
    if given.speakers and limits.max:
        choose = _by_kernel if compiled.ready() else _by_numpy
        for start in range(0, len(pairs), _BLOCK):
            choose(pairs.part(start, start + _BLOCK), given, limits, out[start : start + _BLOCK])
    return out


def _by_kernel(pairs: Pairs, given: Told, limits: ReasonLimits, out: Chosen) -> None:
    scores, sources, bounds = pairs.batch.scores, given.sources, given.bounds
    contributions = np.ascontiguousarray(scores.contributions(pairs.rows, pairs.cols).T, dtype=np.float32)
    weights = np.empty((len(sources), len(pairs)), dtype=np.float32)
    least = np.empty(len(pairs), dtype=np.float32)
    carries = np.zeros((len(given.speakers) // 32 + 1, len(pairs)), dtype=np.uint32)
    material = np.empty(len(given.speakers), dtype=np.bool_)
    kernels.weigh(
        contributions, np.ascontiguousarray(scores.average.T, dtype=np.float32), pairs.cols, given.side == "against",
        np.float32(limits.min_share), floor(limits), sources.start, sources.flat, given.speaks,
        weights, least, carries, material,
    )  # fmt: skip
    heavy = _Heavy(given, carries, material)
    rows, customer, product, pair = _values(pairs, given, heavy)
    kernels.choose(
        weights, carries, given.speaks, sources.start, sources.flat, rows, pairs.cols, customer, product, pair,
        bounds.column.start, bounds.column.flat, bounds.low, bounds.high,
        given.unbound, _unbound(pairs, given, heavy), out,
    )  # fmt: skip


@dataclass(frozen=True)
class _Heavy:
    """Which reasons carry enough: `carries` and `material` as `kernels.weigh` left them."""

    given: Told
    carries: npt.NDArray[np.uint32]
    material: Mask

    def pairs(self, reasons: Iterable[int]) -> Indices:
        """Return the pairs in which one of these reasons carries enough."""
        found = np.zeros(self.carries.shape[1], dtype=np.uint32)
        for reason in reasons:
            found |= self.carries[reason // 32] & np.uint32(1 << reason % 32)
        return np.flatnonzero(found)

    @property
    def columns(self) -> list[int]:
        """The columns whose values decide: places in `Told.columns`, one after the other."""
        bounds = self.given.bounds.column
        wanted = np.zeros(sum(map(len, self.given.columns)), dtype=np.bool_)
        wanted[bounds.flat[self.material[bounds.owner]]] = True
        return np.flatnonzero(wanted).tolist()


def _unbound(pairs: Pairs, given: Told, heavy: _Heavy) -> Mask:
    """Return bool (U, m): for which pairs the facts that are no bounds are true, where they matter."""
    free = np.flatnonzero(given.unbound >= 0).tolist()
    truth = np.zeros((len(free), len(pairs)), dtype=np.bool_)
    for u, reason in enumerate(free):
        if heavy.material[reason]:
            at = heavy.pairs([reason])
            truth[u, at] = given.speakers[reason].holds(pairs, at)
    return truth


def _values(pairs: Pairs, given: Told, heavy: _Heavy) -> tuple[Indices, Floats, Floats, Floats]:
    """Return what the bounds of material reasons are put to; what none of them asks for is left unfilled.

    Returns
    -------
    rows (m,): the pairs' customers in the first of three tables, all float64: of u customers (C, u), of products (D, P)
    and of the pairs (E, m), with the columns of `Told.columns`.
    """
    batch = pairs.batch
    customers, products, of_pairs = given.columns
    who, rows = _customers(pairs.rows)
    first = np.empty((len(customers), int(rows.max()) + 1))
    second, third = np.empty((len(products), batch.shape[1])), np.empty((len(of_pairs), len(pairs)))
    for column in heavy.columns:
        place = column - len(customers)
        if place < 0:
            first[column] = batch.bounded(customers[column])[who]
        elif place < len(products):
            second[place] = batch.offering.bounded(products[place])
        else:
            at = heavy.pairs(given.asking[column])
            third[place - len(products), at] = pairs.pair_values(of_pairs[place - len(products)], at)
    return rows, first, second, third


def _customers(rows: Indices) -> tuple[Indices | slice, Indices]:
    """Return which customers to look at, and where among them each row is: all between two where they lie close."""
    least, most = int(rows.min()), int(rows.max())
    if most - least < 2 * len(rows):
        return slice(least, most + 1), rows - least
    return np.unique(rows, return_inverse=True)


def _by_numpy(pairs: Pairs, given: Told, limits: ReasonLimits, out: Chosen) -> None:
    weights = Weights.of(pairs, given.side, limits)
    claimed = np.zeros(weights.relative.shape, dtype=np.bool_)
    true = _Found(len(pairs), _most(given.speakers, limits))
    for k, speaker in enumerate(given.speakers):
        strength, at = weights.material(speaker.members)
        for feature in speaker.members:
            at = at[~claimed[feature, at]] if at.size else at
        if at.size:
            at = at[speaker.holds(pairs, at)]
            true.add(k, at, strength[at])
            for feature in speaker.members:
                claimed[feature, at] = True
    out[:] = true.strongest(limits.max)


def _most(given: tuple[Speaker, ...], limits: ReasonLimits) -> int:
    """Return how many material reasons a pair can have: each has its share of the whole to itself."""
    shares = len(given) if limits.min_share == 0 else int(1 / limits.min_share) + 2  # rounding may let one more in
    return min(len(given), shares)


class _Found:
    """The reasons found true of m pairs, at most `most` of each, in the order found."""

    def __init__(self, pairs: int, most: int) -> None:
        self.count = np.zeros(pairs, dtype=np.intp)
        self.strength = np.full((pairs, most), -np.inf, dtype=np.float32)
        self.speaker: Chosen = np.full((pairs, most), -1, dtype=np.int16)

    def add(self, speaker: int, at: Indices, strength: Weight) -> None:
        """Note one reason for the pairs `at`."""
        slot = self.count[at]
        self.strength[at, slot] = strength
        self.speaker[at, slot] = speaker
        self.count[at] = slot + 1

    def strongest(self, most: int) -> Chosen:
        """Return int16 (m, most): each pair's strongest reasons, strongest first, among equals the one found first."""
        pair = np.arange(len(self.count))
        chosen = np.full((len(pair), most), -1, dtype=np.int16)
        for place in range(min(most, self.strength.shape[1])):
            slot = self.strength.argmax(axis=1)
            chosen[:, place] = np.where(self.strength[pair, slot] > -np.inf, self.speaker[pair, slot], -1)
            self.strength[pair, slot] = -np.inf
        return chosen
