"""Learns a `Natural` from offers that were held back: a penalised logistic regression beside the ranker's log-odds.

There is always a constant shift. A slope, an offset per product and effects of customers' features are tried one after
the other, each beside what was kept before; held-out customers decide. A part must gain 2 in their log-likelihood, and
more than chance would give it one time in twenty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np

from nextoffer.intervals import Interval
from nextoffer.models.attributes import Attributes, learn_attributes
from nextoffer.models.coding import Codes, Coding, code_table, learn_codings
from nextoffer.models.design import customer_features
from nextoffer.models.natural import Effect, Natural
from nextoffer.models.ranker import Ranker, sigmoid
from nextoffer.models.training import Training
from nextoffer.tables.flow import Floats, Indices

LEAST = 20
"""So many of the offers held back must have been taken up, and so many not: the shift then has a standard error of
about 0.22."""
_FOLDS = 10
_GAIN = 2.0
_GAIN_Z = 1.645
_MOST_EFFECTS = 5
_FREE = 1e-6
_SLOPE = 0.5
_PRODUCTS = (0.25, 0.75)
_CUSTOMERS = 0.25
"""Standard deviations of the priors: of the slope, of products' offsets (which of two is tried), of an attribute."""


def why_not_learned(held_back: Training | None) -> str | None:
    """Return why there is nothing to learn from, in plain words; None where there is."""
    if held_back is None or not len(held_back):
        return "no offers were held back (responses with arm = 'control')"
    taken = int((held_back.labels > 0).sum())
    few = min(taken, len(held_back) - taken)
    if few >= LEAST:
        return None
    which = "taken up all the same" if few == taken else "not taken up"
    return f"of {len(held_back):,} offers held back only {few:,} were {which}; {LEAST} are needed"


def learned_natural(held_back: Training, ranker: Ranker, *, acceptances: float, seed: int) -> Natural:
    """Return what offers held back show.

    Parameters
    ----------
    held_back
        Offers that were not made; labels say whether the customer took the product up all the same.
    ranker
        Fitted to offers made.
    acceptances
        How many of those were accepted: what the ranker's mean propensity rests on.
    seed
        Keys the folds.
    """
    task = _Task.of(held_back, ranker, seed)
    chosen, tried = _chosen(task)
    found = chosen.fit(task, np.ones(len(held_back), dtype=bool))
    natural = found.natural(task)
    uplift = _average_uplift(task, acceptances)
    summary: dict[str, Any] = {
        "pairs": len(held_back),
        "taken_up": float(held_back.labels.sum()),
        "parts": chosen.parts,
        "held_out_log_likelihood": {name: round(value, 3) for name, value in tried.items()},
        "held_out_gain_over_no_effect": round(
            tried["shift"] - float(task.likelihood(np.zeros(len(held_back))).sum()), 3
        ),
        "shift": round(natural.shift, 4),
        "average_uplift": {n: round(getattr(uplift, n), 6) for n in ("estimate", "low", "high")},
    }
    return replace(natural, summary_=summary)


@dataclass(frozen=True)
class _Task:
    """m offers held back.

    Attributes
    ----------
    training, offered
        The offers, and (m,) the log-odds with which the ranker says they would have been accepted.
    folds
        (m,).
    """

    training: Training
    offered: Floats
    folds: Indices

    @classmethod
    def of(cls, held_back: Training, ranker: Ranker, seed: int) -> _Task:
        offered = np.zeros(len(held_back))
        for place, features in enumerate(held_back.snapshots):
            mine = np.flatnonzero(held_back.snapshot == place)
            if len(mine):
                scores = ranker.score(features, held_back.products)
                offered[mine] = scores.log_odds[held_back.rows[mine], held_back.cols[mine]]
        return cls(held_back, offered, held_back.folds(_FOLDS, seed))

    @cached_property
    def centre(self) -> float:
        """The mean log-odds with an offer."""
        return float(np.average(self.offered, weights=self.training.weights))

    @cached_property
    def of_products(self) -> Floats:
        """(m, P): 1 in the column of the pair's product."""
        return np.asarray(np.eye(len(self.training.products))[self.training.cols])

    @cached_property
    def coded(self) -> tuple[tuple[Coding, ...], Attributes, Codes]:
        """Codings and attributes of the customers' features, and the pairs' codes (m, F)."""
        training = self.training
        codings = learn_codings(training.snapshots, customer_features(training.snapshots[-1]))
        codes = np.concatenate([code_table(codings, s) for s in training.snapshots])
        return codings, learn_attributes(codings, training.snapshots, codes), codes[training.stacked_rows]

    @cached_property
    def attributes(self) -> Floats:
        """(m, A) standardised attributes of the customers."""
        _, attributes, codes = self.coded
        return attributes.values(codes)

    def likelihood(self, added: Floats) -> Floats:
        """Return the weighted log-likelihood of each label with this added to the offered log-odds, (m,)."""
        log_odds = self.offered + added
        return np.asarray(self.training.weights * (self.training.labels * log_odds - np.logaddexp(0.0, log_odds)))


@dataclass(frozen=True)
class _Model:
    """Which parts there are beside the shift: whether a slope, the offsets' prior (0: none), whether customers'."""

    slope: bool = False
    products: float = 0.0
    customers: bool = False

    @property
    def parts(self) -> list[str]:
        """The names of the parts."""
        there = {"shift": True, "slope": self.slope, "products": self.products > 0, "customers": self.customers}
        return [name for name, yes in there.items() if yes]

    def fit(self, task: _Task, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> _Found:
        """Return what the pairs `keep` teach."""
        columns, precisions = [np.ones((len(task.offered), 1))], [_FREE]
        if self.slope:
            columns.append((task.offered - task.centre)[:, None])
            precisions.append(1.0 / _SLOPE**2)
        if self.products > 0:
            columns.append(task.of_products)
            precisions += [1.0 / self.products**2] * task.of_products.shape[1]
        strong: Indices = np.zeros(0, dtype=np.intp)
        if self.customers:
            before = np.column_stack(columns)
            strong = _strong(task, before @ _regressed(task, before, np.array(precisions), keep), before, keep)
            columns.append(task.attributes[:, strong])
            precisions += [1.0 / _CUSTOMERS**2] * len(strong)
        design = np.column_stack(columns)
        return _Found(self, _regressed(task, design, np.array(precisions), keep), strong, design)


@dataclass(frozen=True)
class _Found:
    """A fitted model: coefficients of the columns of `design` (m, k), and which attributes are the last of them."""

    model: _Model
    coefficients: Floats
    strong: Indices
    design: Floats

    def natural(self, task: _Task) -> Natural:
        rest = list(self.coefficients)
        shift = float(rest.pop(0))
        slope = max(float(rest.pop(0)), -0.99) if self.model.slope else 0.0
        ids = task.training.products.ids if self.model.products > 0 else ()
        offsets = {p: float(rest.pop(0)) for p in ids}
        return Natural(shift, slope, task.centre, offsets, self._effects(task, rest))

    def _effects(self, task: _Task, coefficients: Sequence[float]) -> tuple[Effect, ...]:
        if not len(self.strong):
            return ()
        codings, attributes, _ = task.coded
        weights = np.zeros((len(attributes.groups), 1))
        weights[self.strong, 0] = coefficients
        tables = attributes.per_feature(weights)
        return tuple(
            Effect(c, table[:, 0].astype(np.float32)) for c, table in zip(codings, tables, strict=True) if table.any()
        )


def _chosen(task: _Task) -> tuple[_Model, dict[str, float]]:
    """The parts that help on held-out customers, and the held-out log-likelihood of all that was tried."""
    best = _Model()
    likelihood = _held_out(task, best)
    tried = {"shift": float(likelihood.sum())}
    steps: list[list[Callable[[_Model], _Model]]] = [
        [lambda m: replace(m, slope=True)],
        [lambda m, sd=sd: replace(m, products=sd) for sd in _PRODUCTS],  # type: ignore[misc]
        [lambda m: replace(m, customers=True)],
    ]
    for step in steps:
        models = [with_part(best) for with_part in step]
        found = [_held_out(task, model) for model in models]
        at = int(np.argmax([each.sum() for each in found]))
        tried[" + ".join(models[at].parts)] = float(found[at].sum())
        gains = found[at] - likelihood
        if gains.sum() >= _GAIN and gains.sum() >= _GAIN_Z * sqrt(float((gains**2).sum())):
            best, likelihood = models[at], found[at]
    return best, tried


def _held_out(task: _Task, model: _Model) -> Floats:
    """The log-likelihood of each label by the model that did not see its customer."""
    added = np.zeros(len(task.offered))
    for fold in range(_FOLDS):
        mine = task.folds == fold
        if mine.any():
            found = model.fit(task, ~mine)
            added[mine] = found.design[mine] @ found.coefficients
    return task.likelihood(added)


def _strong(task: _Task, added: Floats, fitted: Floats, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> Indices:
    """Which attributes go with the residuals beyond what the largest of so many by chance would (at most five)."""
    x, w = task.attributes[keep], task.training.weights[keep]
    p = sigmoid(task.offered[keep] + added[keep])
    information, known = w * p * (1.0 - p), fitted[keep]
    inner = (known * information[:, None]).T @ known
    x = x - known @ np.linalg.lstsq(inner, (known * information[:, None]).T @ x, rcond=None)[0]
    spread = np.sqrt(np.maximum((x * x * information[:, None]).sum(axis=0), 1e-9) * w.mean())
    z = np.abs(x.T @ (w * (task.training.labels[keep] - p))) / spread
    best = np.argsort(-z, kind="stable")[:_MOST_EFFECTS]
    return np.sort(best[z[best] > sqrt(2.0 * np.log(max(len(z), 2)))])


def _regressed(task: _Task, design: Floats, precisions: Floats, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> Floats:
    """Return the coefficients that fit best beside the offered log-odds, each with a prior of this precision at 0."""
    x, y, w, offset = design[keep], task.training.labels[keep], task.training.weights[keep], task.offered[keep]
    out = np.zeros(design.shape[1])
    for _ in range(50):
        p = sigmoid(offset + x @ out)
        curvature = (x * (w * p * (1.0 - p))[:, None]).T @ x + np.diag(precisions)
        step = np.linalg.solve(curvature, x.T @ (w * (y - p)) - precisions * out)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        out = out + step
        if float(np.abs(step).max()) < 1e-8:
            break
    return out


def _average_uplift(task: _Task, acceptances: float) -> Interval:
    """Return what offers add to the propensity, averaged over the offers held back, with a 95 % interval by customer.

    The ranker's mean propensity is itself uncertain, by about one part in the root of the acceptances.
    """
    training = task.training
    with_offer = sigmoid(task.offered)
    total = training.weights.sum()
    difference = with_offer - training.labels
    estimate = float(training.weights @ difference / total)
    _, who = np.unique(training.customers, return_inverse=True)
    by_customer = np.bincount(who.ravel(), training.weights * (difference - estimate))
    count = len(by_customer)
    ranker = float(training.weights @ with_offer / total) ** 2 / max(acceptances, 1.0)
    variance = float((by_customer**2).sum()) / total**2 * count / max(count - 1, 1) + ranker
    half = 1.959964 * sqrt(variance)
    return Interval(estimate, estimate - half, estimate + half, count)
