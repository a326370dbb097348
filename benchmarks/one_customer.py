"""One customer: how long an answer takes, with reasons and refusals, against LightGBM's scores and explanations alone.

Usage: ``python benchmarks/one_customer.py [--customers 20000] [--bank FOLDER] [--asked 2000] [--json FILE]``

A retail bank is simulated (24 products) and a model fitted to it. Then customers are asked for one by one: from stored
features (`nextoffer.run.stored`), in parts and whole, with kernels warmed up as a service does before its first answer;
and before that cold, without kernels, where the bank's files are read for each. Beside it, in
the same process and on one thread, LightGBM (300 trees of 15 leaves on the same features) predicts the 24 pairs of a
customer and explains them (``pred_contrib``): no rules, no ranks, no reasons, no tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any

import lightgbm
import numpy as np

from nextoffer import compiled
from nextoffer.run.engine import Desk, Engine
from nextoffer.run.stored import Stored
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import FeatureTable, Known

AS_OF = date(2025, 10, 1)
SEED = 7


def main() -> None:
    """Run, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--bank", type=Path, help="a bank that is there, instead of a simulated one")
    parser.add_argument("--asked", type=int, default=2_000, help="customers asked for one by one")
    parser.add_argument("--cold", type=int, default=100, help="of these, how many from the bank's files")
    parser.add_argument("--json", type=Path, help="store the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bank = arguments.bank or simulated(arguments.customers, Path(scratch) / "bank")
        result = measured(Bank.read(bank), Path(scratch), arguments.asked, arguments.cold)
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def simulated(customers: int, bank: Path) -> Path:
    """Return a simulated retail bank."""
    command = ["-m", "nextoffer", "simulate", "retail", "--customers", str(customers), "--out", str(bank)]
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    (bank / "truth.parquet").unlink()
    return bank


def measured(bank: Bank, scratch: Path, asked: int, cold: int) -> dict[str, Any]:
    """Return the latencies in milliseconds, ours and LightGBM's."""
    engine = Engine.fit(bank, as_of=AS_OF)
    products = bank.table("products")
    Stored.write(scratch / "known.arrow", engine.stream(bank), products.column("product_id"))
    stored, desk = Stored.load(scratch / "known.arrow"), engine.desk(products)
    everybody = [i for part in stored.parts for i in part.features.customer_ids.to_pylist()]
    ids = np.random.default_rng(SEED).permutation(np.array(everybody, dtype=object))[:asked].tolist()
    steps: dict[str, Callable[[Any], object]] = {
        "stored: features": lambda i: stored.known([i]),
        "stored: features, scores": lambda i: desk.batch(stored.known([i])),
        "stored: decisions, reasons, refusals": lambda i: desk.recommend(stored, [i]),
        "stored: the same as plain rows": lambda i: rows(desk, stored.known([i])),
    }
    timed = {"cold: decisions, reasons, refusals": latency(lambda i: engine.recommend(bank, [i]), ids[:cold])}
    compiled.warm_up()
    timed |= {name: latency(step, ids) for name, step in steps.items()}
    booster, pairs = forest(desk, stored.parts[0])
    at = np.arange(min(asked, len(pairs))).tolist()
    timed["LightGBM: scores"] = latency(lambda i: booster.predict(pairs[i], num_threads=1), at)
    timed["LightGBM: scores, contributions"] = latency(
        lambda i: (
            booster.predict(pairs[i], num_threads=1),
            booster.predict(pairs[i], pred_contrib=True, num_threads=1),
        ),
        at[:300],
    )
    whole, peer = timed["stored: decisions, reasons, refusals"], timed["LightGBM: scores, contributions"]
    return {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "customers": len(stored),
        "products": products.num_rows,
        "features": len(stored.parts[0].features.columns),
        "ms": timed,
        "times faster": {"p50": peer["p50"] / whole["p50"], "p99": peer["p99"] / whole["p99"]},
    }


def rows(desk: Desk, known: Known) -> tuple[list[Any], list[Any]]:
    """Return a customer's decisions and refusals as a service would send them."""
    decided = desk.decide(known).plain()
    return decided.decisions.to_pylist(), decided.refusals.to_pylist()


def latency(step: Callable[[Any], object], asked: Sequence[Any]) -> dict[str, float]:
    """Return median, 99th percentile and number of times in milliseconds, after a few to warm up."""
    for each in asked[:20]:
        step(each)
    took = []
    for each in asked:
        began = perf_counter()
        step(each)
        took.append(1000 * (perf_counter() - began))
    return {"p50": float(np.median(took)), "p99": float(np.percentile(took, 99)), "n": len(took)}


def forest(desk: Desk, known: Known) -> tuple[lightgbm.Booster, np.ndarray]:
    """Return LightGBM fitted to our own scores, and (customers, products, features + 1) to ask it about."""
    batch = desk.batch(Known(known.features.take(np.arange(2_000)), first(known, 2_000)))
    count, products = batch.shape
    pairs = np.empty((count, products, len(batch.features.columns) + 1))
    for f, column in enumerate(batch.features.columns):
        pairs[:, :, f] = numbers(batch.features, column.name)[:, None]
    pairs[:, :, -1] = np.arange(products)
    wanted = (batch.scores.log_odds > np.median(batch.scores.log_odds)).ravel()
    settings = {"objective": "binary", "num_leaves": 15, "num_threads": 1, "verbosity": -1, "seed": SEED}
    data = lightgbm.Dataset(pairs.reshape(count * products, -1), wanted, categorical_feature=[pairs.shape[2] - 1])
    return lightgbm.train(settings, data, num_boost_round=300), pairs


def first(known: Known, count: int) -> Any:
    """Return the rule facts of the first customers."""
    return known.facts.take(slice(count))


def numbers(features: FeatureTable, name: str) -> np.ndarray:
    """Return a column as numbers; texts are numbered."""
    if features.column(name).kind != "category":
        return features.numbers(name)
    return np.unique([text or "" for text in features.texts(name)], return_inverse=True)[1].astype(float)


def table(result: dict[str, Any]) -> str:
    """Return the figures for people."""
    lines = [
        f"{result['customers']:,} customers, {result['products']} products, {result['features']} features",
        f"{'one customer, milliseconds':<40}{'p50':>9}{'p99':>9}{'n':>7}",
    ]
    lines += [f"{name:<40}{ms['p50']:>9.3f}{ms['p99']:>9.3f}{ms['n']:>7}" for name, ms in result["ms"].items()]
    faster = result["times faster"]
    lines.append(f"whole answer from stored features against LightGBM with contributions: {faster['p50']:.0f} × faster")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
