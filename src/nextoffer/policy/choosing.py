"""Chooses each pair's reasons: the strongest of those that mattered to its score and are true.

Pair by pair as machine code where kernels are ready, reason by reason with numpy elsewhere; the outcome is the same to
the last bit, as both add up the same features in the same order.
"""

from __future__ import annotations

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
    scores, single, members, bounds = pairs.batch.scores, given.single, given.members, given.bounds
    contributions = np.ascontiguousarray(scores.contributions(pairs.rows, pairs.cols).T, dtype=np.float32)
    relative, joint = np.empty_like(contributions), np.empty((len(given.joint), len(pairs)), dtype=np.float32)
    least = np.empty(len(pairs), dtype=np.float32)
    material = np.zeros(len(given.speakers), dtype=np.bool_)
    kernels.weigh(
        contributions, np.ascontiguousarray(scores.average.T, dtype=np.float32), pairs.cols, given.side == "against",
        np.float32(limits.min_share), floor(limits), given.joint, members.start, members.flat,
        single.start, single.flat, relative, least, joint, material,
    )  # fmt: skip
    rows, customer, product, pair = _values(pairs, given, material)
    kernels.choose(
        relative, least, joint, given.joint, members.start, members.flat, single.start, single.flat,
        rows, pairs.cols, customer, product, pair,
        bounds.column.start, bounds.column.flat, bounds.low, bounds.high,
        given.unbound, _unbound(pairs, given, relative, joint, least, material), out,
    )  # fmt: skip


def _unbound(pairs: Pairs, given: Told, relative: Weight, joint: Weight, least: Weight, material: Mask) -> Mask:
    """Return bool (U, m): for which pairs the facts that are no bounds are true, where they matter."""
    free = np.flatnonzero(given.unbound >= 0)
    truth = np.zeros((len(free), len(pairs)), dtype=np.bool_)
    for u, k in enumerate(free):
        if material[k]:
            speaker = given.speakers[k]
            strength = relative[speaker.members[0]]
            if len(speaker.members) > 1:
                strength = joint[np.searchsorted(given.joint, k)]
            at = np.flatnonzero(strength >= least)
            truth[u, at] = speaker.holds(pairs, at)
    return truth


def _values(pairs: Pairs, given: Told, material: Mask) -> tuple[Indices, Floats, Floats, Floats]:
    """Return what the bounds of material reasons are put to; what none of them asks for is left unfilled.

    Returns
    -------
    rows (m,): the pairs' customers in the first of three tables, all float64: of u customers (C, u), of products (D, P)
    and of the pairs (E, m), with the columns of `Told.columns`.
    """
    batch, bounds = pairs.batch, given.bounds.column
    wanted = np.zeros(sum(map(len, given.columns)), dtype=np.bool_)
    wanted[bounds.flat[material[bounds.owner]]] = True
    customers, products, of_pairs = given.columns
    who, rows = _customers(pairs.rows)
    first = np.empty((len(customers), int(rows.max()) + 1))
    second, third = np.empty((len(products), batch.shape[1])), np.empty((len(of_pairs), len(pairs)))
    places = np.flatnonzero(wanted).tolist()
    for place in places:
        if place < len(customers):
            first[place] = batch.bounded(customers[place])[who]
        elif place < len(customers) + len(products):
            second[place - len(customers)] = batch.offering.bounded(products[place - len(customers)])
        else:
            name = of_pairs[place - len(customers) - len(products)]
            third[place - len(customers) - len(products)] = pairs.pair_column(name)
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
