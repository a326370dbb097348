"""How often the intervals of a backtest hold the truth: figures of one model, against a baseline, and of several days.

Truths are the same figures on 100,000 other customers of the same world. All figures of one world come from the same
customers, so all rows of a family are played together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import expit

from nextoffer.evaluate.calibration import reliability
from nextoffer.evaluate.discrimination import lift_intervals
from nextoffer.evaluate.figures import Figure, Units, difference, intervals
from nextoffer.evaluate.judge import Settings, judge
from nextoffer.evaluate.paired import Sheet, calibration_by_product
from nextoffer.evaluate.pairs import Contender, Pairs, Truth
from nextoffer.intervals import Interval

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator

CUSTOMERS, PRODUCTS, DAYS, MANY = 500, 8, 3, 100_000
MODEL, BASE = "model", "popularity"
_LEVEL = np.array([-1.6, -2.0, -2.2, -2.4, -2.8, -3.2, -3.6, -4.2])
_TASTE = np.random.default_rng(0).normal(size=(3, PRODUCTS))
_SETTINGS = Settings(baseline=BASE)


def _world(draw: Generator, customers: int, days: int = 1) -> tuple[Pairs, dict[str, Contender], Truth]:
    """Offers to customers who are alike from day to day; a model that knows part of it and is somewhat too sure."""
    known = draw.normal(size=(customers, 3)) @ _TASTE
    own = draw.normal(size=(customers, 1)) * 0.7
    chance = expit(_LEVEL + 0.6 * known + own)
    who = np.repeat(np.arange(customers), PRODUCTS)
    what = np.tile(np.arange(PRODUCTS), customers)
    label = (draw.random((days, customers * PRODUCTS)) < chance.ravel()).astype(np.float64).ravel()
    pairs = Pairs(np.tile(who, days), np.tile(what, days), label, customers, PRODUCTS)
    told = expit(_LEVEL - 0.2 + 0.9 * known)
    at_work = {
        MODEL: Contender(np.tile(told.ravel(), days), True),
        "tied": Contender(np.tile(np.round(told, 1).ravel(), days)),
        BASE: Contender(np.tile(expit(_LEVEL + 0.25)[what], days), True),
        "right": Contender(np.tile(_expected(known).ravel(), days), True),
    }
    return pairs, at_work, Truth(np.tile(chance.ravel(), days), np.tile(known.ravel() * 0.6 + _LEVEL[what], days))


def _expected(known: Floats) -> Floats:
    """The chance given what is known: averaged over customers' own level, by Gauss–Hermite."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    odds = _LEVEL + 0.6 * known
    return np.asarray(sum(w * expit(odds + 0.7 * x) for x, w in zip(nodes, weights / weights.sum(), strict=True)))


OF_MODEL = {
    "NDCG@5": "ndcg@5",
    "MAP@5": "map@5",
    "precision@5": "precision@5",
    "recall@5": "recall@5",
    "hit rate@5": "hit_rate@5",
    "MRR@5": "mrr@5",
    "AUC by customer": "auc",
    "log loss": "log_loss",
    "Brier score": "brier",
    "calibration error": "calibration_error",
    "first offer accepted": "top_response",
    "NDCG@5 minus baseline": f"ndcg@5 minus {BASE}",
    "AUC minus baseline": f"auc minus {BASE}",
    "log loss minus baseline": f"log_loss minus {BASE}",
    "calibration error minus baseline": f"calibration_error minus {BASE}",
    "lift over baseline": f"lift over {BASE}",
    "NDCG@5, share of achievable": "ndcg@5 share of achievable",
    "AUC, share of achievable": "auc share of achievable",
    "first offer accepted, share of achievable": "top_response share of achievable",
}
_DECILES = {"lift, best tenth": 0, "lift, fifth tenth": 4, "lift, worst tenth": 9}
_BINS = {"reliability, lowest bin": 0, "reliability, fifth bin": 4, "reliability, highest bin": 9}


def _figures(pairs: Pairs, contenders: Mapping[str, Contender], truth: Truth) -> dict[str, Figure]:
    judged = judge(pairs, contenders, truth, _SETTINGS)
    out = {name: judged[MODEL][metric] for name, metric in OF_MODEL.items()}
    out["NDCG@5 with ties"] = judged["tied"]["ndcg@5"]
    out["calibration error of a model that is right"] = judged["right"]["calibration_error"]
    return out


def _curves(pairs: Pairs, contender: Contender) -> dict[str, Interval]:
    units = Units.of(pairs.customer, pairs.customers, seed=7)
    curve, lifts = (f(contender.score, pairs.label, units) for f in (reliability, lift_intervals))
    return {n: curve[k].observed for n, k in _BINS.items()} | {n: lifts[k] for n, k in _DECILES.items()}


def _days(pairs: Pairs, contenders: Mapping[str, Contender]) -> dict[str, Figure]:
    day = np.repeat(np.arange(DAYS), len(pairs.label) // DAYS)
    sheet = Sheet(pairs, day, {name: contenders[name] for name in (MODEL, BASE)})
    ranked, stated = sheet.ranked(), sheet.stated()
    return {
        "several days: NDCG@5": ranked[MODEL]["ndcg@5"],
        "several days: AUC": stated[MODEL]["auc"],
        "several days: calibration error": stated[MODEL]["calibration_error"],
        "several days: MAP@5, paired difference": difference(ranked[MODEL]["map@5"], ranked[BASE]["map@5"]),
        "several days: log loss, paired difference": difference(stated[MODEL]["log_loss"], stated[BASE]["log_loss"]),
    }


@lru_cache
def truths() -> dict[str, float]:
    """Return every figure of very many customers."""
    draw = np.random.default_rng(1)
    pairs, contenders, truth = _world(draw, MANY)
    out = {name: figure.estimate for name, figure in _figures(pairs, contenders, truth).items()}
    out["calibration error of a model that is right"] = 0.0
    out |= {name: i.estimate for name, i in _curves(pairs, contenders[MODEL]).items()}
    pairs, contenders, _ = _world(draw, MANY // DAYS, DAYS)
    return out | {name: figure.estimate for name, figure in _days(pairs, contenders).items()}


@lru_cache
def figures_held(seed: int, repetitions: int, days: int) -> dict[str, float]:
    """Return by figure the share of worlds in which its interval held the truth."""
    draw, hits = np.random.default_rng([seed, days]), defaultdict[str, list[bool]](list)
    for start in range(0, repetitions, 50):
        worlds = [_world(draw, CUSTOMERS, days) for _ in range(min(50, repetitions - start))]
        found = [_days(p, c) if days > 1 else _figures(p, c, t) for p, c, t in worlds]
        keys = [(name, figure) for each in found for name, figure in each.items()]
        for (name, _), i in zip(keys, intervals([figure for _, figure in keys], seed=7), strict=True):
            hits[name].append(i.low <= truths()[name] <= i.high)
    return {name: float(np.mean(each)) for name, each in hits.items()}


@lru_cache
def curves_held(seed: int, repetitions: int) -> dict[str, float]:
    """Return the same of tenths by score, and of reliability: there the truth is what a model that is right states."""
    draw, hits = np.random.default_rng([seed, 8]), defaultdict[str, list[bool]](list)
    for _ in range(repetitions):
        pairs, contenders, _ = _world(draw, CUSTOMERS)
        right = _curves(replace(pairs, label=contenders["right"].score), contenders[MODEL])
        for name, i in _curves(pairs, contenders[MODEL]).items():
            truth = right[name].estimate if name in _BINS else truths()[name]
            hits[name].append(i.low <= truth <= i.high)
    return {name: float(np.mean(each)) for name, each in hits.items()}


def by_product(seed: int, repetitions: int) -> float:
    """Stated less accepted, of a product's offers, of which a customer may have three."""
    draw, hits = np.random.default_rng([seed, 9]), []
    who, product = np.repeat(np.arange(300), 3), pa.array(["card"] * 900)
    for _ in range(repetitions):
        own = draw.normal(size=300) * 0.8
        told = expit(-2.6 + own[who] + draw.normal(size=900) * 0.5)
        label = (draw.random(900) < 0.8 * told).astype(np.int64)
        made = pa.table({"customer_id": who, "product_id": product, "label": label})
        row = calibration_by_product(made, MODEL, told).to_pylist()[0]
        hits.append(row["low"] <= _STATED_TOO_MUCH <= row["high"])
    return float(np.mean(hits))


def coverage(seed: int, repetitions: int) -> float:
    """Share of 60 products, some hardly ever wanted, that reach any list of five of 300 customers."""
    draw, products, n = np.random.default_rng([seed, 10]), 60, 300
    wanted = np.linspace(0.0, 6.0, products)

    def reached(customers: int) -> tuple[Pairs, Contender]:
        score = (draw.gumbel(size=(customers, products)) - wanted).ravel()
        who, what = np.repeat(np.arange(customers), products), np.tile(np.arange(products), customers)
        return Pairs(who, what, np.zeros(len(who)), customers, products), Contender(score)

    found = [
        judge(pairs, {MODEL: contender}, None, Settings(families=("ranking",)))[MODEL]["coverage@5"]
        for pairs, contender in (reached(n) for _ in range(repetitions))
    ]
    truth = float(np.mean([figure.estimate for figure in found]))
    return float(np.mean([i.low <= truth <= i.high for i in intervals(found, seed=7)]))


def _too_much() -> float:
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    return float(0.2 * (weights / weights.sum()) @ expit(-2.6 + np.hypot(0.8, 0.5) * nodes))


_STATED_TOO_MUCH = _too_much()


def _of(seed: int, repetitions: int, *, family: Callable[[int, int], dict[str, float]], name: str) -> float:
    return family(seed, repetitions)[name]


def _rows() -> Iterator[tuple[str, float, str, Callable[[int, int], float]]]:
    one, several = partial(figures_held, days=1), partial(figures_held, days=DAYS)
    names = [*OF_MODEL, "NDCG@5 with ties", "calibration error of a model that is right"]
    pooled = ("NDCG@5", "AUC", "calibration error", "MAP@5, paired difference", "log loss, paired difference")
    for family, of in (
        (one, names),
        (several, [f"several days: {n}" for n in pooled]),
        (curves_held, [*_BINS, *_DECILES]),
    ):
        for name in of:
            reading = "at least" if name == "calibration error of a model that is right" else "covers"
            yield f"backtest, {name}", 0.95, reading, partial(_of, family=family, name=name)
    yield "backtest, stated less accepted of a product", 0.95, "covers", by_product
    yield "backtest, coverage@5", 0.95, "at least", coverage


ROWS = tuple(_rows())
"""Name, nominal share, how it is to be read, and the function of seed and repetitions."""
