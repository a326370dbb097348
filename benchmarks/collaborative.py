"""Collaborative filtering of holdings: our closed form from products × products sums beside ``implicit``'s ALS.

Usage: ``python benchmarks/collaborative.py [--customers 1000000] [--products 24 200] [--json FILE]``

Each customer with two holdings or more has one hidden. Both learn from what is left and put the products that a
customer does not hold in order, for all customers; quality is the share of hidden holdings among the first five.
``implicit`` (pip install implicit) runs on every core with the best of a grid of 18 settings (factors 4, 8, 32; alpha
1, 10, 40; regularization 0.01, 10) on 30,000 customers; ours has none to choose.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as implicit advises: it has threads of its own

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer import compiled
from nextoffer.models.pairs import fit_pair_features
from nextoffer.models.products import Products
from nextoffer.tables.flow import FeatureColumn, FeatureTable

Flags = npt.NDArray[np.bool_]
Ranked = npt.NDArray[Any]

DAY = date(2025, 10, 1)
CHUNK = 65_536
FIRST = 5
CORES = os.cpu_count() or 1
KINDS = 6


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--products", type=int, nargs="+", default=[24, 200])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    quick = compiled.warm_up()
    results = {str(count): judged(arguments.customers, count) for count in arguments.products}
    if arguments.json:
        text = json.dumps({"cores": CORES, "compiled": quick, "customers": arguments.customers, **results}, indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    print(table(results, arguments.customers))


def judged(customers: int, products: int) -> dict[str, Any]:
    """Return time, memory and quality of each contender on one bank."""
    held, hidden = holdings(customers, products)
    out: dict[str, Any] = {"popularity": {"recall": recall(popular(held), hidden)}}
    for name, contender in (("nextoffer", ours), ("implicit", als)):
        try:
            out[name] = contender(held, hidden)
        except ImportError as error:
            out[name] = {"skipped": str(error)}
    return out


def holdings(customers: int, products: int) -> tuple[Flags, npt.NDArray[np.intp]]:
    """Return what customers hold (n, P) without the hidden holding, and that (n,), -1 where none is hidden.

    Customers are mixtures of a few kinds; each kind holds its own products more often.
    """
    draw = np.random.default_rng(5)
    chance = draw.beta(0.3, 2.0, (KINDS, products)) * min(1.0, 60 / products)
    held = np.zeros((customers, products), dtype=bool)
    hidden = np.full(customers, -1, dtype=np.intp)
    for start in range(0, customers, CHUNK):
        mix = draw.dirichlet(np.full(KINDS, 0.3), min(CHUNK, customers - start))
        mine = draw.random((len(mix), products)) < mix @ chance
        order = draw.random(mine.shape) * mine
        several = np.flatnonzero(mine.sum(axis=1) > 1)
        hidden[start + several] = order[several].argmax(axis=1)
        mine[several, hidden[start + several]] = False
        held[start : start + len(mix)] = mine
    return held, hidden


def recall(ranked: Ranked, hidden: npt.NDArray[np.intp]) -> float:
    """Return the share of hidden holdings among the first products of their customers."""
    asked = hidden >= 0
    return float((ranked[asked] == hidden[asked, None]).any(axis=1).mean())


def best(scores: npt.NDArray[Any], held: Flags) -> Ranked:
    """Return the first products by score that are not held, best first."""
    left = np.where(held, -np.inf, scores)
    row, out = np.arange(len(left)), np.empty((len(left), FIRST), dtype=np.intp)
    for place in range(FIRST):
        out[:, place] = left.argmax(axis=1)
        left[row, out[:, place]] = -np.inf
    return out


def popular(held: Flags) -> Ranked:
    """Return the commonest products that each customer does not hold."""
    counts = held.sum(axis=0).astype(np.float64)
    starts = range(0, len(held), CHUNK)
    return np.concatenate([best(counts[None, :], held[start : start + CHUNK]) for start in starts])


def ours(held: Flags, hidden: npt.NDArray[np.intp]) -> dict[str, Any]:
    """Fit and score through the ranker's own pair feature."""
    ids = tuple(f"P{j:03}" for j in range(held.shape[1]))
    columns = tuple(FeatureColumn(f"held_{p}", p, "holdings", "relationship", "flag", 0, "held", p) for p in ids)
    arrays = [pa.array(np.arange(len(held))), *(pa.array(held[:, j]) for j in range(held.shape[1]))]
    features = FeatureTable(pa.table(arrays, names=["customer_id", *(c.name for c in columns)]), columns, DAY)
    nothing = np.full(len(ids), np.nan)
    products = Products(ids, ids, nothing, (None,) * len(ids))
    fit = timed(lambda: fit_pair_features(features, products))

    def ranked(start: int) -> Ranked:
        chunk = FeatureTable(features.data.slice(start, CHUNK), columns, DAY)
        return best(fit["answer"].columns(chunk)["coholding"].matrix(), held[start : start + CHUNK])

    with ThreadPoolExecutor(CORES) as pool:
        score = timed(lambda: np.concatenate(list(pool.map(ranked, range(0, len(held), CHUNK)))))
    return figures(fit, score, hidden)


def als(held: Flags, hidden: npt.NDArray[np.intp]) -> dict[str, Any]:
    """Fit and score by implicit's alternating least squares."""
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    sparse = csr_matrix(held.astype(np.float32))
    factors, alpha = (32, 1.0) if held.shape[1] < 100 else (4, 10.0)
    model = AlternatingLeastSquares(factors=factors, alpha=alpha, regularization=10.0, random_state=0)
    fit = timed(lambda: model.fit(sparse, show_progress=False))
    score = timed(lambda: model.recommend(np.arange(len(held)), sparse, N=FIRST)[0])
    return figures(fit, score, hidden)


def timed(work: Callable[[], Any]) -> dict[str, Any]:
    """Return the answer, wall and processor seconds, and the megabytes by which memory rose at its peak."""
    before = memory(reset=True)
    wall, cpu = time.perf_counter(), time.process_time()
    answer = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"answer": answer, "seconds": wall, "cpu_seconds": cpu, "megabytes": memory() - before}


def memory(*, reset: bool = False) -> float:
    """Return the most megabytes that the process has held since the last reset, where the system says (Linux)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def figures(fit: dict[str, Any], score: dict[str, Any], hidden: npt.NDArray[np.intp]) -> dict[str, float]:
    """Return what is reported of one contender."""
    return {
        "fit_seconds": fit["seconds"],
        "score_seconds": score["seconds"],
        "seconds": fit["seconds"] + score["seconds"],
        "cpu_seconds": fit["cpu_seconds"] + score["cpu_seconds"],
        "megabytes": max(fit["megabytes"], score["megabytes"]),
        "recall": recall(score["answer"], hidden),
    }


def table(results: dict[str, Any], customers: int) -> str:
    """Return the figures for people."""
    lines = []
    for products, contenders in results.items():
        lines += [f"{customers:,} customers × {products} products, {CORES} cores"]
        lines += [f"{'':<14}{'fit s':>9}{'score s':>9}{'CPU s':>9}{'MB':>8}{f'recall@{FIRST}':>11}{'slower by':>12}"]
        for name, it in contenders.items():
            if "skipped" in it:
                lines.append(f"{name:<14}skipped: {it['skipped']}")
            elif "seconds" in it:
                slower = it["seconds"] / contenders["nextoffer"]["seconds"]
                lines.append(
                    f"{name:<14}{it['fit_seconds']:>9.2f}{it['score_seconds']:>9.2f}{it['cpu_seconds']:>9.2f}"
                    f"{it['megabytes']:>8.0f}{it['recall']:>11.4f}{slower:>11.1f}×"
                )
            else:
                lines.append(f"{name:<14}{'':>35}{it['recall']:>11.4f}")
        lines.append("")
    return "\n".join(lines[:-1])


if __name__ == "__main__":
    main()
