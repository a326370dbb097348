"""The propensity without an offer, learned from offers held back, beside simpler answers, where the truth is known.

Usage: ``python benchmarks/natural.py [--customers 20000] [--seeds 3] [--json FILE]``

In simulated retail banks 15 % of the offers are held back. For every customer and product the estimates are compared
with the true probability of taking the product up without an offer: root mean squared error, bias, Kullback-Leibler
divergence (in 1e-4) and rank correlation. Beside ours: a second model fitted to the offers held back alone (a
"T-learner"), their mean, nothing at all (the treated propensity taken for the uplift).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.stats import spearmanr

from nextoffer.features import discover
from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.ranker import sigmoid
from nextoffer.models.training import Training
from nextoffer.run.labels import labelled, natural_of
from nextoffer.simulate import retail
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import ids_as_text

Floats = npt.NDArray[np.float64]
DAY = date(2025, 10, 25)
LEAST = 1e-6


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    figures = [measured(arguments.customers, seed) for seed in range(21, 21 + arguments.seeds)]
    for each in figures:
        told = each["natural"]
        print(f"seed {each['seed']}: {told['pairs']:,} held back, {told['taken_up']:.0f} taken up; {told['parts']}")
        print(f"  average uplift {told['average_uplift']}; {each['seconds']:.1f} s beside {each['fit_seconds']:.1f} s")
        for name, error in each["errors"].items():
            print(f"  {name:12} " + "  ".join(f"{k} {v:.5g}" for k, v in error.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measured(customers: int, seed: int) -> dict[str, Any]:
    """Return what one bank shows."""
    with tempfile.TemporaryDirectory() as folder:
        path = retail.generate(Path(folder) / "bank", customers=customers, seed=seed)
        bank = Bank.read(path)
        found = labelled(bank, discover(bank, DAY), DAY, seed=7)
        truth = true_without(found.training, pq.read_table(path / "truth.parquet"))
    started = time.perf_counter()
    ranker = GlassboxRanker().fit(found.training)
    fitted = time.perf_counter()
    natural, told = natural_of(found, ranker, seed=7)
    learned = time.perf_counter()
    assert natural is not None
    assert found.held_back is not None
    latest = found.training.snapshots[-1]
    products = found.training.products
    offered = ranker.score(latest, products).log_odds
    second = GlassboxRanker().fit(replace(found.held_back, snapshots=(*found.held_back.snapshots, latest)))
    estimates = {
        "ours": sigmoid(natural.log_odds(offered, latest, products)),
        "T-learner": sigmoid(second.score(latest, products).log_odds),
        "mean": np.full(offered.shape, found.held_back.labels.mean()),
        "nothing": np.full(offered.shape, LEAST),
    }
    return {
        "seed": seed,
        "natural": told,
        "fit_seconds": fitted - started,
        "seconds": learned - fitted,
        "errors": {name: errors(estimate, truth) for name, estimate in estimates.items()},
    }


def true_without(training: Training, truth: pa.Table) -> Floats:
    """Return the true probabilities without an offer, (n, P), of the customers of the last snapshot."""
    customers = pa.array(ids_as_text(training.snapshots[-1].customer_ids))
    rows = pc.index_in(truth["customer_id"].combine_chunks().cast(pa.string()), value_set=customers)
    cols = pc.index_in(
        truth["product_id"].combine_chunks().cast(pa.string()), value_set=pa.array(training.products.ids)
    )
    out = np.zeros((len(customers), len(training.products)))
    out[rows.to_numpy(zero_copy_only=False), cols.to_numpy(zero_copy_only=False)] = truth["p_control"].to_numpy()
    return out


def errors(estimate: Floats, truth: Floats) -> dict[str, float]:
    """Return how far estimates are from the truth."""
    q = np.clip(estimate, LEAST, 1.0 - LEAST)
    divergence = truth * np.log(truth / q) + (1.0 - truth) * np.log((1.0 - truth) / (1.0 - q))
    order = spearmanr(q.ravel(), truth.ravel()).statistic if np.ptp(q) > 0 else 0.0
    return {
        "rmse": float(np.sqrt(((q - truth) ** 2).mean())),
        "bias": float((q - truth).mean()),
        "divergence": float(1e4 * divergence.mean()),
        "rank": float(order),
    }


if __name__ == "__main__":
    main()
