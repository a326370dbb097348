"""The reference notebook's world: our numbers beside its published ones, through the public command line.

Usage: ``python benchmarks/seed_world.py [--data ../shared/data/seed_world] [--worlds 8] [--json FILE]``

Fits as of 2025-10-11 (campaigns 0–3) and judges on campaigns 4–5. With ``--worlds N`` it also makes N other worlds of
the recipe and prints the mean share of the way from the heuristic to the noiseless truth.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from nextoffer.evaluate.backtest import backtest, find
from nextoffer.evaluate.judge import Settings
from nextoffer.evaluate.pairs import Contender, Truth

AS_OF = "2025-10-11"
PUBLISHED = {"ndcg@5": 0.3630, "map@5": 0.2873, "auc": 0.5723, "response": 0.1521}
KEYS = ["customer_id", "product_id"]


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/seed_world"))
    parser.add_argument("--worlds", type=int, default=8, help="other worlds of the recipe to make and judge")
    parser.add_argument("--json", type=Path, help="store the figures here")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.data.is_dir():
            results["seed_world"] = judged(arguments.data, Path(scratch) / "seed", "seed_evaluation.parquet")
        shares = []
        for seed in range(1001, 1001 + arguments.worlds):
            world = Path(scratch) / f"world_{seed}"
            cli("simulate", "reference", "--seed", str(seed), "--out", str(world))
            shares.append(judged(world, Path(scratch) / f"model_{seed}", "evaluation.parquet"))
        if shares:
            results["other_worlds"] = {
                "worlds": len(shares),
                "ndcg_share": float(np.mean([s["ndcg_share"] for s in shares])),
                "response_share": float(np.mean([s["response_share"] for s in shares])),
                "auc": float(np.mean([s["auc"] for s in shares])),
                "each": shares,
            }
    print(table(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def cli(*arguments: str) -> float:
    """Run one command of the public command line; return its wall seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "nextoffer", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def judged(bank: Path, scratch: Path, labels: str) -> dict[str, float]:
    """Fit and score a bank through the command line and return its figures."""
    scratch.mkdir(parents=True, exist_ok=True)
    model, out = scratch / "model", scratch / "scores.parquet"
    fit_seconds = cli("fit", str(bank), "--as-of", AS_OF, "--out", str(model))
    score_seconds = cli("score", str(bank), "--model", str(model), "--as-of", AS_OF, "--out", str(out))
    scores = pq.read_table(out).select([*KEYS, "propensity"])
    pairs = pq.read_table(bank / labels).join(scores, keys=KEYS, join_type="left outer")
    pairs = pairs.join(pq.read_table(bank / "truth.parquet"), keys=KEYS, join_type="left outer").sort_by(
        [(k, "ascending") for k in KEYS]
    )
    if pairs.column("propensity").null_count:
        raise SystemExit(f"{pairs.column('propensity').null_count} eligible pairs have no score")
    response = 0.25 / (1.0 + np.exp(-pairs.column("true_score").to_numpy()))
    truth = Truth(response, pairs.column("noiseless_score").to_numpy())
    contenders = {
        "nextoffer": Contender(pairs.column("propensity").to_numpy(), True),
        "heuristic": Contender(pairs.column("heuristic").to_numpy()),
    }
    settings = Settings(baseline="heuristic", resamples=200)
    report = backtest(pairs, contenders, truth=truth, settings=settings).report
    later = pq.read_table(bank / "responses.parquet", filters=[("campaign_ix", ">=", 4)])
    made = later.join(scores, keys=KEYS, join_type="inner")
    offers = backtest(
        made.select([*KEYS, "label"]),
        {"nextoffer": Contender(made.column("propensity").to_numpy(), True)},
        settings=Settings(families=("discrimination", "calibration"), resamples=200),
    ).report

    def figure(metric: str, model: str = "nextoffer") -> float:
        return find(report, metric, model).estimate

    return {
        "ndcg@5": figure("ndcg@5"),
        "map@5": figure("map@5"),
        "auc": find(offers, "auc", "nextoffer").estimate,
        "calibration_error": find(offers, "calibration_error", "nextoffer").estimate,
        "response": figure("top_response"),
        "ceiling_ndcg@5": figure("ndcg@5", "noiseless ceiling"),
        "ceiling_response": figure("top_response", "noiseless ceiling"),
        "ndcg_share": figure("ndcg@5 share of achievable"),
        "response_share": figure("top_response share of achievable"),
        "fit_seconds": fit_seconds,
        "score_seconds": score_seconds,
    }


def table(results: dict[str, Any]) -> str:
    """Return the figures for people."""
    lines = []
    if "seed_world" in results:
        mine = results["seed_world"]
        lines.append(f"{'seed world':<22}{'notebook':>10}{'NextOffer':>11}{'ceiling':>10}")
        for metric, published in PUBLISHED.items():
            ceiling = mine.get(f"ceiling_{metric}")
            lines.append(f"{metric:<22}{published:>10.4f}{mine[metric]:>11.4f}{ceiling or float('nan'):>10.4f}")
        lines.append(f"fit {mine['fit_seconds']:.1f} s, score {mine['score_seconds']:.1f} s (start-up included)")
    if "other_worlds" in results:
        others = results["other_worlds"]
        lines.append(f"\n{others['worlds']} other worlds: mean share of (noiseless − heuristic) reached")
        lines.append(f"{'NDCG@5':<22}{0.644:>10.3f}{others['ndcg_share']:>11.3f}")
        lines.append(f"{'response':<22}{0.665:>10.3f}{others['response_share']:>11.3f}")
        lines.append(f"{'AUC':<22}{'':>10}{others['auc']:>11.4f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
