"""The Explainable Boosting Machine (Lou et al. 2013; interpret-core), trained on bins and read back as tables.

One bag per fold: bag k learns from the other folds and stops early on fold k. So every row has contributions from a bag
that did not learn from it, and the weighted mean over bags is the usual bagged model.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nextoffer.models.coding import Codes, Coding
from nextoffer.models.ranker import sigmoid
from nextoffer.tables.flow import Floats, Indices

_COARSE = 8


@dataclass(frozen=True)
class BoostSettings:
    """How the machine is trained; defaults suit some ten thousand to a million rows."""

    learning_rate: float = 0.08
    max_rounds: int = 400
    early_stopping_rounds: int = 15
    min_samples_leaf: int = 20
    max_leaves: int = 3
    jobs: int = 1


@dataclass(frozen=True)
class Term:
    """One additive term.

    Attributes
    ----------
    axes
        Column numbers of the training matrix: one for a main effect, two for an interaction.
    bagged
        float64 (K, bins) or (K, bins_a, bins_b): the table of each bag.
    shares
        (K,) how much each bag counts: by the weight of the rows it learned from.
    """

    axes: tuple[int, ...]
    bagged: Floats
    shares: Floats

    @property
    def table(self) -> Floats:
        """The weighted mean over bags."""
        return np.asarray(np.tensordot(self.shares, self.bagged, axes=1) / self.shares.sum())

    def held_out(self, codes: Codes, folds: Indices) -> Floats:
        """Return (m,) each row's contribution by the bag that did not learn from it."""
        return np.asarray(self.bagged[(folds, *(codes[:, a] for a in self.axes))])


def boost(
    codes: Codes,
    codings: Sequence[Coding],
    target: tuple[Floats, Floats, Floats],
    *,
    folds: Indices,
    interactions: Sequence[tuple[int, int]],
    settings: BoostSettings,
) -> list[Term]:
    """Return the terms learned on top of an offset; parameters as of `train`."""
    machine = train(codes, codings, target, folds=folds, interactions=interactions, settings=settings)
    return read_terms(machine, codings)


def train(
    codes: Codes,
    codings: Sequence[Coding],
    target: tuple[Floats, Floats, Floats],
    *,
    folds: Indices,
    interactions: Sequence[tuple[int, int]],
    settings: BoostSettings,
) -> Any:
    """Return the trained ``ExplainableBoostingClassifier``, whose input is `matrix` of the codes.

    Parameters
    ----------
    codes
        (m, columns) bins; 0 is not known.
    codings
        What each column is; categories are treated as nominal, the rest as ordered.
    target
        labels, weights and offset (log-odds), each (m,).
    folds
        (m,) from 0; as many bags are trained as there are folds.
    interactions
        Pairs of columns to learn beside the main effects.
    settings
        See `BoostSettings`.
    """
    from interpret.glassbox import ExplainableBoostingClassifier

    labels, weights, offset = target
    bags = np.where(folds[:, None] == np.arange(folds.max() + 1)[None, :], -1, 1).astype(np.int8)
    machine = ExplainableBoostingClassifier(
        feature_types=[_feature_type(c) for c in codings],
        interactions=list(interactions),
        outer_bags=bags.shape[1],
        learning_rate=settings.learning_rate,
        max_rounds=settings.max_rounds,
        early_stopping_rounds=settings.early_stopping_rounds,
        min_samples_leaf=settings.min_samples_leaf,
        max_leaves=settings.max_leaves,
        smoothing_rounds=0,
        interaction_smoothing_rounds=0,
        n_jobs=settings.jobs,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library warns of columns that are constant within a bag
        machine.fit(matrix(codes), labels.astype(np.int64), sample_weight=weights, bags=bags, init_score=offset)
    return machine


def rank_interactions(codes: Codes, pairs: Sequence[tuple[int, int]], target: tuple[Floats, Floats, Floats]) -> Floats:
    """Return for each pair of columns how far residuals depend on it beyond its two main effects, in standard errors.

    Residuals of the offset are summed in at most 8 × 8 coarse cells, additive effects are taken out, and the rest
    compared with its chi-square mean (the idea of FAST, Lou et al. 2013).
    """
    labels, weights, offset = target
    p = sigmoid(offset)
    residual, variance = weights * (labels - p), weights * p * (1 - p)
    strength = np.zeros(len(pairs))
    coarse: dict[int, Indices] = {}
    for i, (a, b) in enumerate(pairs):
        ca, cb = (coarse.setdefault(c, _coarse(codes[:, c])) for c in (a, b))
        shape = (int(ca.max()) + 1, int(cb.max()) + 1)
        cell = ca * shape[1] + cb
        size = shape[0] * shape[1]
        total = np.bincount(cell, residual, size).reshape(shape)
        spread = np.maximum(np.bincount(cell, variance, size).reshape(shape), 1e-9)
        for _ in range(5):
            total = total - spread * (total.sum(axis=1) / spread.sum(axis=1))[:, None]
            total = total - spread * (total.sum(axis=0) / spread.sum(axis=0))[None, :]
        used = spread > 1e-6
        freedom = max(int(used.sum()) - sum(used.shape) + 1, 1)
        strength[i] = ((total[used] ** 2 / spread[used]).sum() - freedom) / np.sqrt(2.0 * freedom)
    return strength


def _coarse(codes: Codes) -> Indices:
    counts = np.bincount(codes)
    if len(counts) <= 2 * _COARSE:
        return codes.astype(np.intp)
    share = (np.cumsum(counts) - counts / 2) / counts.sum()
    return np.asarray(np.minimum((share * _COARSE).astype(np.intp), _COARSE - 1)[codes])


def _feature_type(coding: Coding) -> Any:
    if coding.kind == "category":
        return "nominal"
    return [c + 0.5 for c in range(1, coding.bins - 1)]


def matrix(codes: npt.NDArray[Any]) -> Floats:
    """Return bins as the machine takes them: float64, NaN for not known."""
    return np.where(codes == 0, np.nan, codes.astype(np.float64))


def read_terms(machine: Any, codings: Sequence[Coding]) -> list[Term]:
    """Return every table of a trained machine, by its own evaluation of a grid of bins, bag by bag."""
    axes = [tuple(int(a) for a in t) for t in machine.term_features_]
    shapes = [tuple(codings[a].bins for a in term) for term in axes]
    sizes = [int(np.prod(s)) for s in shapes]
    grid = np.full((sum(sizes), len(codings)), np.nan)
    starts = np.r_[0, np.cumsum(sizes)]
    for term, shape, start, size in zip(axes, shapes, starts[:-1], sizes, strict=True):
        cells = np.unravel_index(np.arange(size), shape)
        for axis, cell in zip(term, cells, strict=True):
            grid[start : start + size, axis] = matrix(cell)
    bagged, averaged = [], machine.term_scores_
    for bag in range(machine.bagged_scores_[0].shape[0]):
        machine.term_scores_ = [scores[bag] for scores in machine.bagged_scores_]
        bagged.append(machine.eval_terms(grid))
    machine.term_scores_ = averaged
    tables = np.stack(bagged)
    return [
        Term(term, tables[:, start : start + size, t].reshape(-1, *shape), np.asarray(machine.bag_weights_))
        for t, (term, shape, start, size) in enumerate(zip(axes, shapes, starts[:-1], sizes, strict=True))
    ]
