"""How far a glass box scatters when customers answer otherwise, beside the uncertainty that it states.

Usage: ``python benchmarks/uncertainty.py [--refits 24] [--json FILE]``

Offers and customers of simulated worlds stay as they are; their answers are drawn anew from the truth, and the model is
fitted again. The ratio is scatter ÷ stated, as root mean squares over 500 customers: 1 is right, above 1 means that
the model is less sure than it says.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nextoffer.features import discover
from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.training import Training
from nextoffer.run.labels import labelled
from nextoffer.simulate import reference, retail
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import ids_as_text

Floats = npt.NDArray[np.float64]
ASKED = 500


def of_reference(truth: pa.Table) -> Floats:
    """Return the probability of accepting, of every row of a reference world's truth."""
    return np.asarray(0.25 / (1.0 + np.exp(-truth["true_score"].to_numpy())))


def of_retail(truth: pa.Table) -> Floats:
    """Return the same of a retail bank's."""
    return np.asarray(truth["p_treated"].to_numpy())


Make = Callable[[Path, int], Path]
WORLDS: dict[str, tuple[Make, date, Callable[[pa.Table], Floats]]] = {
    "reference": (lambda f, s: reference.generate(f, customers=1200, seed=s), date(2025, 10, 11), of_reference),
    "retail": (lambda f, s: retail.generate(f, customers=6000, seed=s), date(2025, 10, 25), of_retail),
}


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--refits", type=int, default=24)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    figures = [measured(kind, seed, arguments.refits) for kind in WORLDS for seed in (11, 12)]
    for each in figures:
        print(f"{each['world']} {each['seed']}: ratio {each['ratio']:.2f}; one fit {each['one_fit']}")
        for offers, ratio in each["by_product"]:
            print(f"  {offers:6,} offers: {ratio:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measured(kind: str, seed: int, refits: int) -> dict[str, Any]:
    """Return the ratios of one world."""
    make, day, chances = WORLDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        bank = make(Path(folder) / "bank", seed)
        source = Bank.read(bank)
        training = labelled(source, discover(source, day), day, seed=7).training
        chance = chance_of_pairs(training, pq.read_table(bank / "truth.parquet"), chances)
    scored, stated = zip(*(refit(training, chance, draw) for draw in range(refits)), strict=True)
    scatter, said = np.var(scored, axis=0, ddof=1), np.mean(np.square(stated), axis=0)
    offers = np.bincount(training.cols, minlength=len(training.products))
    ratios = np.sqrt(scatter.mean(axis=0) / said.mean(axis=0))
    single = np.sqrt(scatter.mean() / np.square(stated).mean(axis=(1, 2)))
    return {
        "world": kind,
        "seed": seed,
        "refits": refits,
        "ratio": float(np.sqrt(scatter.mean() / said.mean())),
        "one_fit": [round(float(single.min()), 2), round(float(single.max()), 2)],
        "by_product": [(int(offers[j]), round(float(ratios[j]), 3)) for j in np.argsort(offers)],
    }


def chance_of_pairs(training: Training, truth: pa.Table, chances: Callable[[pa.Table], Floats]) -> Floats:
    """Return the true probability of each training pair."""
    keys = pc.binary_join_element_wise(
        pc.cast(truth["customer_id"], pa.string()), pc.cast(truth["product_id"], pa.string()), "|"
    )
    wanted = [""] * len(training)
    for place, snapshot in enumerate(training.snapshots):
        ids = ids_as_text(snapshot.customer_ids)
        for i in np.flatnonzero(training.snapshot == place):
            wanted[i] = f"{ids[training.rows[i]]}|{training.products.ids[training.cols[i]]}"
    at = pc.index_in(pa.array(wanted), value_set=keys.combine_chunks()).to_numpy(zero_copy_only=False)
    return chances(truth)[at]


def refit(training: Training, chance: Floats, draw: int) -> tuple[Floats, Floats]:
    """Return log-odds and uncertainty, (500, P), of a model fitted to other answers."""
    answers = (np.random.default_rng(draw).random(len(chance)) < chance).astype(np.float64)
    other = replace(training, labels=answers)
    vars(other).update(pair_features=training.pair_features, pair_values=training.pair_values)  # they know no answers
    scores = GlassboxRanker().fit(other).score(training.snapshots[-1].take(np.arange(ASKED)), training.products)
    assert scores.uncertainty is not None
    return scores.log_odds.astype(np.float64), scores.uncertainty.astype(np.float64)


if __name__ == "__main__":
    main()
