"""Uplift learners and NextOffer's own path against the truth, in simulated banks, and where there is no effect.

Usage: ``python benchmarks/uplift.py [--customers 3000] [--worlds 3] [--nulls 200] [--json FILE]``

In a retail bank offers are made or held back by lot. The learners see customers' numbers, the product and its family;
the engine learns from the same offers in its own way. All say the uplift of every product for up to 1,000 customers.
Per world: the rank correlation with the true effect; the true effect of the third of pairs that each puts first, as a
share of what the best third would bring; and of every customer's first product. Beside them the LightGBM T-learner, the
engine's propensity, and lots. Intervals are Student's over the worlds. In null worlds (made and held back permuted
among offers; twelve columns) the interval of AUUC, learned on one half of the customers and judged on the other, should
hold 0.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from scipy.stats import spearmanr

from nextoffer.evaluate.uplift import Contacts, auuc
from nextoffer.features import discover
from nextoffer.intervals import mean_of_sums
from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.ranker import sigmoid
from nextoffer.models.training import Training
from nextoffer.models.uplift import LEARNERS, Trial, folds_of
from nextoffer.run.labels import Labelled, labelled, natural_of
from nextoffer.simulate import retail
from nextoffer.simulate.profit import Truth
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import FeatureTable

Floats = npt.NDArray[np.float64]
DAY = date(2025, 10, 25)
WAYS = (("t", "trees"), ("s", "trees"), ("x", "trees"), ("dr", "trees"), ("t", "line"))
PEER = "t over trees"
ASKED, NULL_COLUMNS = 1000, 12
MEASURES = ("rank", "top_third", "first_offer")


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=3000)
    parser.add_argument("--worlds", type=int, default=3)
    parser.add_argument("--nulls", type=int, default=200, help="null worlds, in the first bank")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    started = time.perf_counter()
    worlds, nulls = [], {}
    for seed in range(31, 31 + arguments.worlds):
        world, trial, customers = measured(arguments.customers, seed)
        worlds.append(world)
        print(
            f"seed {seed}: {world['offers']:,} made and {world['held_back']:,} held back, {world['natural']}",
            flush=True,
        )
        if not nulls:
            nulls = null_worlds(trial, customers, arguments.nulls)
    found = {"worlds": worlds, "together": together(worlds), "null": nulls, "seconds": time.perf_counter() - started}
    for name, figures in found["together"].items():
        print(f"{name:16} " + "  ".join(f"{k} {v[0]:.3f} [{v[1]:.3f}, {v[2]:.3f}]" for k, v in figures.items()))
    print(f"null worlds in which AUUC's interval holds 0: {nulls}; {found['seconds']:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def measured(customers: int, seed: int) -> tuple[dict[str, Any], Trial, npt.NDArray[np.uint64]]:
    """Return what one bank shows, its offers as a trial, and whose they were."""
    with tempfile.TemporaryDirectory() as folder:
        bank = Bank.read(retail.generate(Path(folder) / "bank", customers=customers, seed=seed))
        found = labelled(bank, discover(bank, DAY), DAY, seed=7)
        latest = found.training.snapshots[-1]
        truth = Truth.beside(Path(folder) / "bank")
        assert truth is not None
        ids = bank.table("products").column("product_id").combine_chunks()
        effects = truth.effects(latest.customer_ids.combine_chunks().slice(0, ASKED), ids)
        families = pc.fill_null(bank.table("products").column("family"), "").to_pylist()
    assert found.held_back is not None
    trial, whose = trial_of(found, families)
    told, natural, lacking = engine_says(found)
    count, products = effects.shape
    asked = columns_of(latest, families, np.repeat(np.arange(count), products), np.tile(np.arange(products), count))
    orders: dict[str, Floats] = {"engine": (told - natural)[:count], "propensity": told[:count]}
    orders |= {
        f"{learner} over {base}": said(trial, learner, base, asked).reshape(effects.shape) for learner, base in WAYS
    }
    orders["by lot"] = np.random.default_rng(seed).random(effects.shape)
    figures = {name: against(order, effects) for name, order in orders.items()}
    about = {"seed": seed, "offers": len(found.training), "held_back": len(found.held_back), "natural": lacking}
    return {**about, "figures": figures}, trial, whose


def trial_of(found: Labelled, families: list[str]) -> tuple[Trial, npt.NDArray[np.uint64]]:
    """Return offers made (1) and held back (0) with the customer's numbers and the product, and whose they were."""
    assert found.held_back is not None
    parts = [_design(part, families) for part in (found.training, found.held_back)]
    made = np.repeat([1, 0], [len(found.training), len(found.held_back)]).astype(np.intp)
    labels = np.r_[found.training.labels, found.held_back.labels]
    return Trial(np.concatenate(parts), made, labels), np.r_[found.training.customers, found.held_back.customers]


def _design(part: Training, families: list[str]) -> Floats:
    out = None
    for place, features in enumerate(part.snapshots):
        mine = np.flatnonzero(part.snapshot == place)
        if not len(mine):
            continue
        columns = columns_of(features, families, part.rows[mine], part.cols[mine])
        out = np.empty((len(part), columns.shape[1])) if out is None else out
        out[mine] = columns
    assert out is not None
    return out


def columns_of(features: FeatureTable, families: list[str], rows: Any, cols: Any) -> Floats:
    """Return the numbers of customers, flags of families and of products, float64 (m, F)."""
    names = [column.name for column in features.columns if column.kind == "number"]
    numbers = np.stack([np.asarray(features.numbers(name), dtype=np.float64) for name in names], axis=1)
    kinds = np.array(families)[:, None] == np.unique(families)
    return np.column_stack([numbers[rows], kinds[cols], np.eye(len(families))[cols]])


def engine_says(found: Labelled) -> tuple[Floats, Floats, str]:
    """Return the engine's propensity and its propensity without an offer, (n, P), and how the latter was learned."""
    ranker = GlassboxRanker().fit(found.training)
    latest, products = found.training.snapshots[-1], found.training.products
    offered = ranker.score(latest, products).log_odds
    natural, told = natural_of(found, ranker, seed=7)
    if natural is None:
        return sigmoid(offered.astype(np.float64)), np.zeros(offered.shape), str(told["not_learned"])
    without = natural.log_odds(offered, latest, products)
    return sigmoid(offered.astype(np.float64)), sigmoid(without.astype(np.float64)), f"learned: {told['parts']}"


def said(trial: Trial, learner: str, base: str, asked: Floats) -> Floats:
    """Return the uplift that a learner says of each asked row, (m,)."""
    return np.asarray(LEARNERS[learner](trial, base, 7)(asked)[:, 0])


def against(order: Floats, effects: Floats) -> dict[str, float]:
    """Return how an order fares by the truth, both (n, P)."""
    known = np.isfinite(effects)
    true, predicted = effects[known], order[known]
    third = len(true) // 3
    chosen, best = (np.argsort(-each, kind="stable")[:third] for each in (predicted, true))
    first = np.where(known, order, -np.inf).argmax(axis=1)
    return {
        "rank": float(spearmanr(predicted, true).statistic),
        "top_third": float(true[chosen].sum() / true[best].sum()),
        "first_offer": float(effects[np.arange(len(effects)), first].mean()),
    }


def together(worlds: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Return each figure's mean over the worlds with its interval, and how far each order beats the T-learner's."""
    out: dict[str, dict[str, list[float]]] = {}
    for name in worlds[0]["figures"]:
        of: Mapping[str, list[float]] = {m: [w["figures"][name][m] for w in worlds] for m in MEASURES}
        gaps = [w["figures"][name]["top_third"] - w["figures"][PEER]["top_third"] for w in worlds]
        out[name] = {m: _over(values) for m, values in of.items()} | {"top_third_less_t_trees": _over(gaps)}
    return out


def _over(values: list[float]) -> list[float]:
    found = mean_of_sums(sum(values), sum(v * v for v in values), len(values))
    return [found.estimate, found.low, found.high]


def null_worlds(trial: Trial, customers: npt.NDArray[np.uint64], worlds: int) -> dict[str, Any]:
    """Return in which share of null worlds AUUC's interval holds 0, by learner."""
    held: dict[str, list[bool]] = {"t over line": [], "dr over line": []}
    for seed in range(worlds):
        draw = np.random.default_rng([seed, 9])
        null = Trial(trial.x[:, :NULL_COLUMNS], draw.permutation(trial.treatment), trial.outcomes)
        learned = folds_of(customers, folds=2, seed=seed) == 0
        judged = null.take(~learned)
        contacts = Contacts(judged.outcomes, judged.treatment == 1, customers=customers[~learned])
        for name, kept in held.items():
            learner, base = name.split(" over ")
            area = auuc(contacts, said(null.take(learned), learner, base, judged.x), seed=seed)
            kept.append(area.low <= 0 <= area.high)
    return {"worlds": worlds, **{name: float(np.mean(each)) for name, each in held.items()}}


if __name__ == "__main__":
    main()
