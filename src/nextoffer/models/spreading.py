"""Learns the `Spread` of a glass box: what its training leaves open about the log-odds it compiled.

*Affinity.* The Laplace approximation: at the fitted weights the likelihood is taken to second order, with the priors
that the evidence chose, and its inverse curvature is the covariance of what is not known. Product side (base and
weights on the factors, given the customers' scores) and customer side (the attributes' weights of a factor, the bases
free to follow) are taken one by one, and the factors likewise. Only the main directions of a customer side are kept,
scaled so that the average variance stays what it is.

*Boosted terms.* The delete-a-group jackknife (Shao & Wu 1989) over the bags, each of which leaves one fold of customers
out, bin by bin.

What is chosen by the data (rank, terms, penalties, multipliers) is taken as given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from threadpoolctl import threadpool_limits

from nextoffer.models.affinity import Affinity
from nextoffer.models.boosting import Term
from nextoffer.models.design import Design
from nextoffer.models.ranker import sigmoid
from nextoffer.models.refine import Factor
from nextoffer.models.scorecard import Scorecard
from nextoffer.models.spread import Spread
from nextoffer.models.stacked import Table
from nextoffer.models.training import Training
from nextoffer.tables.flow import Floats, Indices

DIRECTIONS = 24
"""So many directions of a factor's customer side are kept at most."""
_CHUNK = 100_000
_CURVATURE_ROWS = 400_000
"""The customer side's curvature is measured on about so many pairs."""
_LEAST_PRECISION, _MOST_PRECISION = 1e-2, 1e6


def learned_spread(
    design: Design,
    training: Training,
    affinity: Affinity,
    *,
    terms: Sequence[Term],
    multipliers: Floats,
    card: Scorecard,
) -> Spread:
    """Return the spread of the card that `assemble` made of the affinity and the terms with these multipliers."""
    with threadpool_limits(limits=1, user_api="blas"):
        curvature = _curvature(design, training, affinity)
        directions = [_directions(c, f) for c, f in zip(curvature.customers, affinity.factors, strict=True)]
    products = _product_side(curvature.products, affinity, float(multipliers[0]))
    of_customers, of_pairs = _jackknife(terms, multipliers[1:-1], design, products)
    places = {c.name: i for i, c in enumerate(card.codings)}
    pair_places = {c.name: i for i, c in enumerate(card.pair_codings)}
    return Spread(
        _coordinates(design, affinity, directions, places),
        np.repeat(np.arange(len(directions)), [d.shape[1] for d in directions]).astype(np.int64),
        (multipliers[0] * np.array([f.v for f in affinity.factors]).reshape(-1, len(products)).T).astype(np.float32),
        products.astype(np.float32),
        {places[n]: v.astype(np.float32) for n, v in of_customers.items() if n in places},  # a term of zeros has none
        {pair_places[n]: v.astype(np.float32) for n, v in of_pairs.items() if n in pair_places},
    )


def _coordinates(
    design: Design, affinity: Affinity, directions: Sequence[Floats], places: Mapping[str, int]
) -> tuple[Table, ...]:
    """Each customer's scores on the factors, then the coordinates in the directions, as tables of the card's features.

    A feature that the card leaves out adds 0 to every score.
    """
    if not affinity.factors:
        return ()
    weights = np.column_stack([*(f.w for f in affinity.factors), *directions])
    parts = design.attributes.per_feature(weights)
    named = {c.name: part for c, part in zip(design.columns[: design.customers], parts, strict=True)}
    return tuple(named[name].astype(np.float32) for name in places)


@dataclass
class _Curvature:
    """Sums over all pairs.

    Attributes
    ----------
    products
        (P, R + 1, R + 1) curvature by each product's base and weights.
    customers
        Per factor (A, A) curvature by its customer side, the bases free to follow.
    """

    products: Floats
    customers: list[Floats]


def _curvature(design: Design, training: Training, affinity: Affinity) -> _Curvature:
    count, size, rank = len(design.attributes.groups), len(affinity.base), len(affinity.factors)
    products = np.zeros((size, rank + 1, rank + 1))
    customers = [_CustomerSums(np.zeros((count, count)), np.zeros((count, size)), np.zeros(size)) for _ in range(rank)]
    step = max(1, len(training) // _CURVATURE_ROWS)
    for x, cols, information in _informed(design, training, affinity):
        scores = [np.ones(len(x)), *(x @ f.w for f in affinity.factors)]
        for a, b in product(range(rank + 1), repeat=2):
            products[:, a, b] += np.bincount(cols, information * scores[a] * scores[b], size)
        some = x[::step].astype(np.float32)  # the curvature is a mean over many pairs, half the precision will do
        for sums, factor in zip(customers, affinity.factors, strict=True):
            sums.add(some, cols[::step], step * information[::step], factor.v)
    return _Curvature(products, [sums.profiled() for sums in customers])


@dataclass
class _CustomerSums:
    """Curvature by a factor's customer side (A, A), by it and the bases (A, P), and by the bases (P,)."""

    whole: Floats
    along: Floats
    seen: Floats

    def add(self, attributes: Table, cols: Indices, information: Floats, v: Floats) -> None:
        """Add pairs with attributes (k, A); `v` (P,) are the products' weights on the factor."""
        mine = v[cols]
        self.whole += (attributes * (information * mine * mine).astype(np.float32)[:, None]).T @ attributes
        each = np.zeros((len(cols), len(v)), dtype=np.float32)
        each[np.arange(len(cols)), cols] = information * mine
        self.along += attributes.T @ each
        self.seen += np.bincount(cols, information, len(v))

    def profiled(self) -> Floats:
        """Return the curvature (A, A) with the bases free to follow."""
        return np.asarray(self.whole - (self.along / np.maximum(self.seen, 1e-9)) @ self.along.T)


def _informed(design: Design, training: Training, affinity: Affinity) -> Iterator[tuple[Floats, Indices, Floats]]:
    """Yield attributes, products and information ``weight p (1 − p)`` of the pairs, a chunk at a time."""
    for start in range(0, len(training), _CHUNK):
        part = slice(start, start + _CHUNK)
        x, cols = design.attributes.values(design.codes[part, : design.customers]), training.cols[part]
        log_odds = affinity.base[cols]
        for factor in affinity.factors:
            log_odds = log_odds + (x @ factor.w) * factor.v[cols]
        p = sigmoid(log_odds)
        yield x, cols, training.weights[part] * p * (1.0 - p)


def _product_side(curvature: Floats, affinity: Affinity, scale: float) -> Floats:
    """Return (P, R + 1, R + 1): covariance of each product's base and, times `scale`, of its weights."""
    base = float(np.clip(1.0 / max(affinity.between, 1e-12), _LEAST_PRECISION, _MOST_PRECISION))
    covariance = np.linalg.inv(curvature + np.diag([base, *(f.tau for f in affinity.factors)]))
    # Bases are drawn to their mean, which is uncertain too; far from data a base is all mean.
    of_mean = 1.0 / np.sum(1.0 / (1.0 / np.maximum(curvature[:, 0, 0], 1e-9) + 1.0 / base))
    covariance[:, 0, 0] += (covariance[:, 0, 0] * base) ** 2 * of_mean
    sizes = np.r_[1.0, np.full(len(affinity.factors), scale)]
    return np.asarray(covariance * sizes[:, None] * sizes)


def _directions(curvature: Floats, factor: Factor) -> Floats:
    """Return (A, K): the directions in which a factor's customer side is least known, as customers feel it."""
    covariance = np.linalg.inv(curvature + np.diag(factor.alpha))
    root = np.linalg.cholesky((covariance + covariance.T) / 2.0)
    values, vectors = np.linalg.eigh(root.T @ curvature @ root)
    order = np.argsort(-values)[:DIRECTIONS]
    kept = np.maximum(values[order], 0.0).sum()
    lost = np.maximum(values, 0.0).sum() / kept if kept > 0 else 1.0
    return np.asarray(root @ vectors[:, order] * np.sqrt(lost))


def _jackknife(
    terms: Sequence[Term], multipliers: Floats, design: Design, products: Floats
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return variance tables (bins, P) of customer and of pair features, by name.

    A term of the product alone adds to `products`; no term has two features besides the product.
    """
    of_customers: dict[str, Floats] = {}
    of_pairs: dict[str, Floats] = {}
    for term, multiplier in zip(terms, multipliers, strict=True):
        others = [a for a in term.axes if a != design.product]
        if multiplier == 0.0 or len(others) > 1:
            continue
        bags = len(term.bagged)
        variance = multiplier**2 * (bags - 1) / bags * ((term.bagged - term.table) ** 2).sum(axis=0)
        if design.product in term.axes:
            variance = np.moveaxis(variance, term.axes.index(design.product), -1)[..., 1:]
        else:
            variance = np.repeat(variance[..., None], len(products), axis=-1)
        if not others:
            products[:, 0, 0] += variance
            continue
        found = of_customers if others[0] < design.customers else of_pairs
        name = design.columns[others[0]].name
        found[name] = found.get(name, np.zeros_like(variance)) + variance
    return of_customers, of_pairs
