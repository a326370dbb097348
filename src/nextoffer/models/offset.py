"""Chooses the response affinity's rank on held-out customers, and cross-fits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np
from threadpoolctl import threadpool_limits

from nextoffer.models.affinity import Affinity, AffinityFit, AffinitySums, affinity_sums, held_out_sums
from nextoffer.models.design import Design
from nextoffer.models.ranker import log_likelihood
from nextoffer.models.refine import Offers, Pass
from nextoffer.models.training import Training
from nextoffer.tables.flow import Floats, Indices

_GAIN_PER_RANK = 2.0
"""Held-out log-likelihood that a further factor must gain."""
_CHUNK = 100_000
_KEPT = 2**30
"""Bytes of attributes that are kept from pass to pass; of more they are made anew for each chunk."""
_Rows = Callable[[Indices], Floats]


@dataclass(frozen=True)
class Offset:
    """The chosen affinity and its cross-fitted log-odds.

    Attributes
    ----------
    affinity
        Learned from all rows.
    base, linear
        (m,) each row's product base and attribute part, by the affinity that did not see the row's customer.
    held_out
        Held-out log-likelihood of each rank tried.
    """

    affinity: Affinity
    base: Floats
    linear: Floats
    held_out: dict[str, float]


def choose_offset(design: Design, training: Training, folds: Indices, *, max_rank: int) -> Offset:
    """Return the affinity whose rank does best on held-out customers; a further factor must earn its place."""
    with threadpool_limits(limits=1, user_api="blas"):  # many small products: threads would only wait for each other
        return _chosen(design, training, folds, max_rank)


def _chosen(design: Design, training: Training, folds: Indices, max_rank: int) -> Offset:
    attributes = _attributes(design)
    parts = _fold_sums(attributes, training, folds)
    groups = design.attributes.groups
    fits = [AffinityFit.start(s, groups) for s in held_out_sums(parts)]
    chosen, best = fits, _held_out(attributes, training, folds, [f.affinity() for f in fits])
    held_out = {"0": log_likelihood(best[0] + best[1], training.labels, training.weights)}
    passes = [_pass(attributes, training, np.flatnonzero(folds != k)) for k in range(len(parts))]
    while chosen[0].rank < max_rank and len(groups):
        fits = [f.grown(offers).refined(offers) for f, offers in zip(chosen, passes, strict=True)]
        tried = _held_out(attributes, training, folds, [f.affinity() for f in fits])
        rank = fits[0].rank
        held_out[str(rank)] = log_likelihood(tried[0] + tried[1], training.labels, training.weights)
        if held_out[str(rank)] < held_out[str(rank - 1)] + _GAIN_PER_RANK:
            break
        chosen, best = fits, tried
    whole = AffinityFit.start(reduce(AffinitySums.__add__, parts), groups)
    for _ in range(chosen[0].rank):
        every = _pass(attributes, training, np.arange(len(training)))
        whole = whole.grown(every).refined(every)
    return Offset(whole.affinity(), *best, {r: round(v, 3) for r, v in held_out.items()})


def _attributes(design: Design) -> _Rows:
    """Return what gives the attributes (k, A) of some of the training pairs."""
    codes = design.codes[:, : design.customers]

    def made(rows: Indices) -> Floats:
        return design.attributes.values(codes[rows])

    if len(codes) * len(design.attributes.groups) * 8 > _KEPT:
        return made
    whole = np.empty((len(codes), len(design.attributes.groups)))
    for start in range(0, len(codes), _CHUNK):
        whole[start : start + _CHUNK] = design.attributes.values(codes[start : start + _CHUNK])
    return lambda rows: np.asarray(whole[rows])


def _pass(attributes: _Rows, training: Training, rows: Indices) -> Pass:
    """Give the offers in `rows`, a chunk at a time; where one chunk holds them all it is kept."""

    def chunk(part: Indices) -> Offers:
        x = attributes(part)
        return Offers(x, training.cols[part], training.labels[part], training.weights[part])

    if len(rows) <= _CHUNK:
        only = (chunk(rows),)
        return lambda: only
    return lambda: (chunk(rows[start : start + _CHUNK]) for start in range(0, len(rows), _CHUNK))


def _fold_sums(attributes: _Rows, training: Training, folds: Indices) -> list[AffinitySums]:
    products = len(training.products)
    out: list[AffinitySums] = []
    for fold in range(int(folds.max()) + 1):
        mine = np.flatnonzero(folds == fold)
        chunks = [mine[s : s + _CHUNK] for s in range(0, max(len(mine), 1), _CHUNK)]
        out.append(reduce(AffinitySums.__add__, (_sums(attributes, training, c, products) for c in chunks)))
    return out


def _sums(attributes: _Rows, training: Training, rows: Indices, products: int) -> AffinitySums:
    x = attributes(rows)
    return affinity_sums(x, training.cols[rows], training.labels[rows], training.weights[rows], products=products)


def _held_out(attributes: _Rows, training: Training, folds: Indices, fitted: list[Affinity]) -> tuple[Floats, Floats]:
    base, linear = np.zeros((2, len(training)))
    for fold, affinity in enumerate(fitted):
        mine = np.flatnonzero(folds == fold)
        for start in range(0, len(mine), _CHUNK):
            rows = mine[start : start + _CHUNK]
            x = attributes(rows)
            cols = training.cols[rows]
            base[rows] = affinity.base[cols]
            linear[rows] = np.einsum("ma,ma->m", x, affinity.weights.T[cols])
    return base, linear
