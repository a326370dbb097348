"""The figures of each model on one set of pairs: its own, against the baseline, and on the way to the ceiling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from nextoffer.evaluate import calibration, discrimination
from nextoffer.evaluate.figures import Figure, Units, difference, lift, mean, share_of_way
from nextoffer.evaluate.pairs import Contender, Pairs, Truth
from nextoffer.evaluate.ranking import (
    RANKING_METRICS,
    TieGroups,
    best_order,
    chance_of_place,
    skip_empty,
    tie_groups,
    top_value,
    worst_order,
)

Floats = npt.NDArray[np.float64]
Figures = dict[str, Figure]
Family = Literal["ranking", "discrimination", "calibration", "response"]

FAMILIES: tuple[Family, ...] = ("ranking", "discrimination", "calibration", "response")
NOISELESS, ORACLE = "noiseless ceiling", "oracle"
TOP_RESPONSE, SHARE = "top_response", "share of achievable"
_HEADLINES = ("ndcg", "map", "auc", TOP_RESPONSE)
_SURELY = 50.0  # -log of the chance to be left out of a list: e**-50 is as good as never


@dataclass(frozen=True)
class Settings:
    """How a backtest is made.

    Attributes
    ----------
    k
        Length of the list that ranking metrics look at.
    baseline
        Name of the model the others are compared with.
    split
        What the pairs are called in the report.
    families
        Which metrics to compute.
    empty
        In ranking metrics customers who accepted nothing count 0 ("zero", as in the reference) or not at all ("skip").
    seed, resamples, level
        Of the bootstrap by customer.
    """

    k: int = 5
    baseline: str | None = None
    split: str = "validation"
    families: tuple[Family, ...] = FAMILIES
    empty: Literal["zero", "skip"] = "zero"
    seed: int = 7
    resamples: int = 1000
    level: float = 0.95


@dataclass(frozen=True)
class Bench:
    """What all models of one judgement share."""

    pairs: Pairs
    units: Units
    truth: Truth | None
    settings: Settings


def judge(
    pairs: Pairs, contenders: Mapping[str, Contender], truth: Truth | None, settings: Settings
) -> dict[str, Figures]:
    """Return the figures of every model by metric; with truth also those of the noiseless ceiling and the oracle."""
    bench = Bench(pairs, Units.of(pairs.customer, pairs.customers, seed=settings.seed), truth, settings)
    field = dict(contenders)
    if truth is not None:
        field |= {NOISELESS: Contender(truth.noiseless), ORACLE: Contender(truth.response)}
    own = {name: _own(contender, bench) for name, contender in field.items()}
    baseline = settings.baseline
    if baseline is None:
        return own
    return {
        name: figures if name == baseline else figures | _compared(name, own, baseline) for name, figures in own.items()
    }


def _own(contender: Contender, bench: Bench) -> Figures:
    groups = tie_groups(bench.pairs.customer, contender.score, label=bench.pairs.label, customers=bench.pairs.customers)
    out: Figures = {}
    for family in bench.settings.families:
        out |= _FAMILIES[family](contender, groups, bench)
    return out


def _ranking(_: Contender, groups: TieGroups, bench: Bench) -> Figures:
    k = bench.settings.k
    out = {_at(name, k): _ranking_figure(name, groups, bench) for name in RANKING_METRICS}
    if (groups.size > 1).any():
        out |= _range(groups, bench)
    return out | {_at("coverage", k): _coverage(groups, bench)}


def _range(groups: TieGroups, bench: Bench) -> Figures:
    """What a lucky and an unlucky sort of the ties would show, where they differ."""
    best, worst = best_order(groups), worst_order(groups)
    out: Figures = {}
    for name in ("ndcg", "map"):
        luckiest, unluckiest = _ranking_figure(name, best, bench), _ranking_figure(name, worst, bench)
        if luckiest.estimate - unluckiest.estimate > 1e-9:
            out[f"{_at(name, bench.settings.k)} (worst order of ties)"] = unluckiest
            out[f"{_at(name, bench.settings.k)} (best order of ties)"] = luckiest
    return out


def _at(name: str, k: int) -> str:
    return f"{name}@{k}"


def _ranking_figure(name: str, groups: TieGroups, bench: Bench) -> Figure:
    values = RANKING_METRICS[name](groups, bench.settings.k)
    return mean(skip_empty(groups, values) if bench.settings.empty == "skip" else values, bench.units)


def _coverage(groups: TieGroups, bench: Bench) -> Figure:
    """Expected share of products that reach some list: for each, 1 minus the product of its chances to be left out.

    Its interval is for as many other customers: a product in x lists is in none of theirs with probability
    ``2^-(x + 1/2)``, if its lists are Poisson and Jeffreys' prior (Gamma 1/2) stands for what is known of their rate.
    Resamples of the same customers would reach fewer products than they do.
    """
    products, chance = bench.pairs.products, chance_of_place(groups, bench.settings.k)
    with np.errstate(divide="ignore"):
        surprise = np.minimum(-np.log1p(-chance), _SURELY)
    sums = [bench.units.pair_table(bench.pairs.product, each, width=products) for each in (surprise, chance)]

    def statistic(totals: Floats) -> Floats:
        return np.asarray(-np.expm1(-totals[:, :products]).mean(axis=1))

    def bounds(totals: Floats, _: Floats, level: float) -> tuple[float, float]:
        missed = 0.5 ** (totals[products:] + 0.5)
        found, spread = float(statistic(totals[None])[0]), sqrt(float((missed * (1 - missed)).sum())) / products
        half = NormalDist().inv_cdf((1 + level) / 2) * spread
        return max(found - half, 0.0), min(found + half, 1.0)

    return Figure(np.hstack(sums), statistic, bench.pairs.customers, bounds)


def _discrimination(contender: Contender, _: TieGroups, bench: Bench) -> Figures:
    return {"auc": discrimination.auc_figure(contender.score, bench.pairs.label, bench.units)}


def _calibration(contender: Contender, _: TieGroups, bench: Bench) -> Figures:
    if not contender.probability:
        return {}
    arrays = contender.score, bench.pairs.label, bench.units
    return {
        "log_loss": calibration.log_loss_figure(*arrays),
        "brier": calibration.brier_figure(*arrays),
        "calibration_error": calibration.calibration_error_figure(*arrays),
    }


def _response(_: Contender, groups: TieGroups, bench: Bench) -> Figures:
    if bench.truth is None:
        return {}
    return {TOP_RESPONSE: mean(top_value(groups, bench.truth.response), bench.units)}


_FAMILIES: dict[Family, Callable[[Contender, TieGroups, Bench], Figures]] = {
    "ranking": _ranking,
    "discrimination": _discrimination,
    "calibration": _calibration,
    "response": _response,
}


def _compared(name: str, own: Mapping[str, Figures], baseline: str) -> Figures:
    figures = {metric: figure for metric, figure in own[name].items() if "order of ties" not in metric}
    start = own[baseline]
    shared = [metric for metric in figures if metric in start and not metric.startswith("coverage")]
    out = {f"{metric} minus {baseline}": difference(figures[metric], start[metric]) for metric in shared}
    if TOP_RESPONSE in figures:
        out[f"lift over {baseline}"] = lift(figures[TOP_RESPONSE], start[TOP_RESPONSE])
    if NOISELESS in own and name not in (NOISELESS, ORACLE):
        out |= {
            f"{metric} {SHARE}": share_of_way(figures[metric], start[metric], own[NOISELESS][metric])
            for metric in shared
            if metric.split("@")[0] in _HEADLINES and metric in own[NOISELESS]
        }
    return out
