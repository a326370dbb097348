"""What is noted of a fit beside what it learned, so that a saved model can tell of itself without the bank.

It stands in the manifest alone: nothing of it scores or explains, so it does not change a model's id.
"""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa

from nextoffer import __version__
from nextoffer.evaluate.calibration import calibration_error_figure
from nextoffer.evaluate.discrimination import auc_figure
from nextoffer.evaluate.figures import Figure, Units, difference, intervals, ratio
from nextoffer.keyed import uniform
from nextoffer.models.compiled import CompiledRanker
from nextoffer.models.products import Products
from nextoffer.models.ranker import Ranker, sigmoid
from nextoffer.models.training import Training
from nextoffer.run.labels import Labelled
from nextoffer.tables.bank import Bank
from nextoffer.tables.config import BankConfig
from nextoffer.tables.flow import FeatureTable, Floats, ids_as_text

_PAIRS = 60_000
"""Pairs whose contributions are looked at; of trees, which explain slowly, only so many:"""
_PAIRS_OF_TREES = 1_000
_MOST_HELD_OUT = 1_000_000


def noted_of_bank(bank: Bank, found: Labelled) -> dict[str, Any]:
    """Return the bank's tables, what it closed, and its products with their labelled pairs, in plain values."""
    training = found.training
    count = len(training.products)
    offers = np.bincount(training.cols, training.weights, count)
    accepted = np.bincount(training.cols, training.weights * training.labels, count)
    names = _names(bank)
    return {
        "version": __version__,
        "tables": list(bank.tables),
        "closed": closed(bank.config),
        "first_day": found.days[0].isoformat() if found.days else None,
        "last_day": found.days[-1].isoformat() if found.days else None,
        "days": len(found.days),
        "accepted": float(accepted.sum()),
        "products": {
            product: {"name": names.get(product, ""), "offers": round(float(n)), "accepted": round(float(yes))}
            for product, n, yes in zip(training.products.ids, offers, accepted, strict=True)
        },
    }


def closed(config: BankConfig) -> dict[str, str]:
    """Return ``sensitive`` or ``excluded`` of each column that bank.toml keeps out of features."""
    return {**dict.fromkeys(config.sensitive, "sensitive"), **dict.fromkeys(config.exclude, "excluded")}


def _names(bank: Bank) -> dict[str, str]:
    if "name" not in bank.columns("products"):
        return {}
    table = bank.table("products")
    names = table.column("name").cast(pa.string()).to_pylist()
    return {p: n for p, n in zip(ids_as_text(table.column("product_id")), names, strict=True) if n}


def noted_of_fit(ranker: Ranker, training: Training, *, seed: int) -> dict[str, Any]:
    """Return the effect of each feature, how sure the ranker is, and its held-out figures, in plain values."""
    out = _effects(ranker, training.snapshots[-1], training.products, seed)
    held_out = ranker.held_out_ if isinstance(ranker, CompiledRanker) else None
    if held_out is not None:
        out["held_out"] = held_out_figures(training, held_out, seed=seed)
    return out


def _effects(ranker: Ranker, features: FeatureTable, products: Products, seed: int) -> dict[str, Any]:
    """Mean |contribution − average| of each feature over customers × products, and quantiles of the uncertainty."""
    pairs = _PAIRS if isinstance(ranker, CompiledRanker) else _PAIRS_OF_TREES
    most = max(1, pairs // max(len(products), 1))
    if len(features) > most:
        drawn = np.flatnonzero(uniform(seed, "effects", features.customer_ids) < most / len(features))
        features = features.take(drawn.astype(np.intp))
    if not len(features) or not len(products):
        return {}
    scores = ranker.score(features, products)
    rows = np.repeat(np.arange(len(features)), len(products))
    cols = np.tile(np.arange(len(products)), len(features))
    away = np.abs(scores.contributions(rows, cols) - scores.average[cols])
    effect = away.mean(axis=0, dtype=np.float64)
    out: dict[str, Any] = {"effects": {n: round(float(e), 6) for n, e in zip(scores.features, effect, strict=True)}}
    if scores.uncertainty is not None:
        median, p90 = np.quantile(scores.uncertainty, [0.5, 0.9])
        out["spread"] = {"median": round(float(median), 4), "p90": round(float(p90), 4)}
    return out


def held_out_figures(training: Training, log_odds: Floats, *, seed: int) -> dict[str, Any]:
    """Return figures of log-odds (m,) of the training pairs, as plain intervals by customer.

    ``log loss``, also of each product's own rate among these very pairs (which favours it), and their difference;
    ``AUC``, also of those rates; and where all pairs weigh the same the ``calibration error``.
    """
    keep = np.ones(len(training), dtype=bool)
    if len(training) > _MOST_HELD_OUT:
        keep = uniform(seed, "held out", training.customers.view(np.int64)) < _MOST_HELD_OUT / len(training)
    labels, weights, cols = training.labels[keep], training.weights[keep], training.cols[keep]
    ids, customer = np.unique(training.customers[keep], return_inverse=True)
    units = Units.of(customer.astype(np.intp), len(ids), seed=seed)
    chance = sigmoid(log_odds[keep])
    rates = _product_rates(cols, labels, weights)
    mine, theirs = (_log_loss(p, labels, weights, units) for p in (chance, rates))
    found = {
        "log loss": mine,
        "log loss of product rates": theirs,
        "log loss, difference": difference(mine, theirs),
        "AUC": auc_figure(chance, labels, units),
        "AUC of product rates": auc_figure(rates, labels, units),
    }
    if np.ptp(weights) == 0:
        found["calibration error"] = calibration_error_figure(chance, labels, units)
    values = intervals(list(found.values()), seed=seed)
    plain = {name: vars(value) for name, value in zip(found, values, strict=True)}
    return {name: {k: None if isnan(v) else round(v, 6) for k, v in each.items()} for name, each in plain.items()}


def _product_rates(cols: Any, labels: Floats, weights: Floats) -> Floats:
    """Each pair's product's rate of acceptance, drawn a little towards that of all, so that none is 0."""
    overall = float((weights * labels).sum() / weights.sum())
    accepted, offers = np.bincount(cols, weights * labels), np.bincount(cols, weights)
    return np.asarray(((accepted + overall) / (offers + 1.0))[cols])


def _log_loss(chance: Floats, labels: Floats, weights: Floats, units: Units) -> Figure:
    surprise = -np.log(np.maximum(np.where(labels > 0, chance, 1.0 - chance), 1e-15))
    return Figure(units.pair_sums(weights * surprise, weights), ratio, units.customers)
