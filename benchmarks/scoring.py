"""Pairs scored and reasons given per second: the compiled scorecard beside gradient-boosted trees, in one run.

Usage: ``python benchmarks/scoring.py [--customers 500000] [--json FILE]``

A synthetic bank of 24 products; both learn from the same offers and see the same columns. The trees (LightGBM, 300
trees of 15 leaves) get their matrix ready-made and every core; the scorecard starts from the customers' columns, so its
time includes the bins. Each contender runs in a process of its own; memory is what it needs beyond its inputs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from nextoffer import compiled
from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.pair_columns import pair_codes
from nextoffer.models.prepared import prepare
from nextoffer.models.products import Products
from nextoffer.models.ranker import sigmoid
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureColumn, FeatureTable

Floats = npt.NDArray[np.float64]

DAY = date(2025, 10, 1)
PRODUCTS = tuple(f"P{j:02}" for j in range(24))
TYPES = tuple("ABCDEF"[j % 6] for j in range(24))
NUMBERS = 64
TREES, LEAVES = 300, 15
LEARN = 20_000
CHUNK = 65_536
CORES = os.cpu_count() or 1


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=500_000)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(CONTENDERS[arguments.contender](arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepared(Path(folder), arguments.customers)
        results = {name: measured(name, folder) for name in CONTENDERS}
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": CORES, **results}, indent=1) + "\n", encoding="utf-8")
    print(table(results))


def measured(contender: str, folder: str) -> dict[str, Any]:
    """Run one contender in a process of its own."""
    command = [sys.executable, __file__, "--contender", contender, "--folder", folder]
    found = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    return dict(json.loads(found.stdout.splitlines()[-1]))


def shelf() -> Products:
    """Return the products."""
    floor = np.array([np.nan if j % 4 == 0 else 20.0 + 5.0 * (j % 5) for j in range(24)])
    return Products(PRODUCTS, TYPES, floor, tuple("Affluent" if j % 3 == 0 else None for j in range(24)))


def customers(count: int, seed: int) -> FeatureTable:
    """Return customers with 94 columns: numbers (one in five with gaps), categories and what they hold."""
    draw = np.random.default_rng(seed)
    latent = draw.normal(size=(count, 4))
    made: dict[str, tuple[FeatureColumn, pa.Array]] = {}

    def add(name: str, values: pa.Array, kind: str, measure: str | None = None, product: str | None = None) -> None:
        column = FeatureColumn(name, name, "profile", "relationship", kind, 0, measure, product)  # type: ignore[arg-type]
        made[name] = (column, values)

    add("income", pa.array(np.exp(3.5 + 0.5 * latent[:, 0])), "number")
    for i in range(NUMBERS):
        values = (
            np.exp(latent[:, i % 4] + draw.normal(size=count)) if i % 2 else latent[:, i % 4] + draw.normal(size=count)
        )
        add(f"x{i:02}", pa.array(values, mask=draw.random(count) < 0.2 if i % 5 == 0 else None), "number")
    add("segment", pa.array(np.array(["Mass", "Affluent", "HNI"])[draw.integers(0, 3, count)]), "category")
    for i in range(4):
        add(f"c{i}", pa.array(np.array([f"v{k:02}" for k in range(12)])[draw.integers(0, 12, count)]), "category")
    for j, product in enumerate(PRODUCTS):
        held = draw.random(count) < sigmoid(-1.8 + latent[:, j % 4])
        add(f"held_{product}", pa.array(held), "flag", "held", product)
    ids = pa.array(np.arange(count, dtype=np.int64))
    data = pa.table([ids, *(v for _, v in made.values())], names=["customer_id", *made])
    return FeatureTable(data, tuple(c for c, _ in made.values()), DAY)


def offers(features: FeatureTable) -> Training:
    """Return four random offers to each customer, with answers that depend on many columns."""
    draw = np.random.default_rng(3)
    count = len(features)
    taste = draw.normal(size=(NUMBERS, 24)) * (draw.random((NUMBERS, 24)) < 0.2)
    wish = np.nan_to_num(np.column_stack([features.numbers(f"x{i:02}") for i in range(0, NUMBERS, 2)]))
    log_odds = -1.5 + np.tanh(wish) @ taste[: NUMBERS // 2] * 0.4
    rows = np.repeat(np.arange(count), 4)
    cols = draw.integers(0, 24, len(rows))
    labels = (draw.random(len(rows)) < sigmoid(log_odds[rows, cols])).astype(np.float64)
    snapshot = np.zeros(len(rows), dtype=np.intp)
    return Training((features,), shelf(), snapshot, rows, cols, labels, np.ones(len(rows)), rows.astype(np.uint64))


def prepared(folder: Path, count: int) -> None:
    """Fit both models and write them, with the customers to score, where the contenders find them."""
    import lightgbm

    training = offers(customers(LEARN, seed=1))
    ranker = GlassboxRanker().fit(training)
    (folder / "card").mkdir()
    ranker.save(folder / "card")
    design = prepare(training, folds=4, seed=7, max_rank=3).design
    settings = {"objective": "binary", "num_leaves": LEAVES, "learning_rate": 0.03, "verbose": -1, "seed": 7}
    forest = lightgbm.train(settings, lightgbm.Dataset(design.codes.astype(np.float64), training.labels), TREES)
    forest.save_model(folder / "forest.txt")
    features = customers(count, seed=2)
    pq.write_table(features.data, folder / "customers.parquet", compression="none")
    few = features.take(np.arange(min(count, 10_000)))
    codings, pairs = design.columns[: design.customers], training.pair_features[-1]
    paired = pair_codes(pairs.columns(few), design.columns[design.customers : -1], (len(few), 24), np.uint16)
    rows, cols = (a.ravel() for a in np.indices((len(few), 24)))
    customer = np.column_stack([c.codes(values(few, c)) for c in codings])[rows]
    matrix = np.column_stack([customer, *(c.ravel() for c in paired), cols + 1]).astype(np.float64)
    np.save(folder / "matrix.npy", matrix)


def values(features: FeatureTable, coding: Any) -> npt.NDArray[Any]:
    """Return a column as its coding takes it."""
    return features.texts(coding.name) if coding.kind == "category" else features.numbers(coding.name)


def written(folder: Path) -> FeatureTable:
    """Return the customers written by `prepared`."""
    columns = customers(1, seed=2).columns
    return FeatureTable(pq.read_table(folder / "customers.parquet").combine_chunks(), columns, DAY)


def timed(work: Callable[[], int]) -> dict[str, float]:
    """Return rows per second, wall and processor seconds, and the megabytes by which memory rose at its peak."""
    before = memory(reset=True)
    wall, cpu = time.perf_counter(), time.process_time()
    rows = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rose = memory() - before
    return {"rows": rows, "seconds": wall, "rows_per_second": rows / wall, "cpu_seconds": cpu, "megabytes": rose}


def memory(*, reset: bool = False) -> float:
    """Return the most megabytes that the process has held since the last reset, where the system says (Linux)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def scorecard(folder: Path) -> dict[str, Any]:
    """Score every customer, and give the parts of each of their pairs."""
    ranker, products = GlassboxRanker.load(folder / "card"), shelf()
    whole = written(folder)
    quick = compiled.warm_up()
    parts = [(first, min(first + CHUNK, len(whole))) for first in range(0, len(whole), CHUNK)]
    chunks = [FeatureTable(whole.data.slice(a, b - a), whole.columns, DAY) for a, b in parts]
    ranker.score(chunks[0].take(np.arange(100)), products).log_odds.sum()  # what is imported once is not timed

    def score(chunk: FeatureTable) -> int:
        return int(ranker.score(chunk, products).log_odds.size)

    def explain(chunk: FeatureTable) -> int:
        scores, count = ranker.score(chunk, products), 0
        for first in range(0, len(chunk), 1024):
            rows, cols = np.indices((min(1024, len(chunk) - first), 24)).reshape(2, -1)
            count += len(scores.contributions(rows + first, cols))
        return count

    with ThreadPoolExecutor(CORES) as pool:
        scored = timed(lambda: sum(pool.map(score, chunks)))
        explained = timed(lambda: sum(pool.map(explain, chunks[:2])))
    return {"compiled": quick, "score": scored, "reasons": explained}


def lightgbm_predict(folder: Path) -> dict[str, Any]:
    """Predict, and TreeSHAP, by LightGBM itself."""
    import lightgbm

    forest, matrix = lightgbm.Booster(model_file=folder / "forest.txt"), np.load(folder / "matrix.npy")
    forest.predict(matrix[:100], raw_score=True)
    few = matrix[:: max(1, len(matrix) // 3000)]
    return {
        "score": timed(lambda: len(forest.predict(matrix, raw_score=True))),
        "reasons": timed(lambda: len(forest.predict(few, pred_contrib=True))),
    }


def compiled_forest(folder: Path) -> dict[str, Any]:
    """Predict by the same forest as machine code (tl2cgen), where that is installed."""
    try:
        import tl2cgen
        import treelite

        matrix = np.load(folder / "matrix.npy")
        model = treelite.frontend.load_lightgbm_model(folder / "forest.txt")
        library = folder / "forest.so"
        tl2cgen.export_lib(model, toolchain="gcc", libpath=library, params={"parallel_comp": 8}, verbose=False)
        predictor = tl2cgen.Predictor(library)
        predictor.predict(tl2cgen.DMatrix(matrix[:100]))
        data = tl2cgen.DMatrix(matrix)
    except Exception as error:  # whatever a compiler may say
        return {"skipped": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
    return {"score": timed(lambda: len(predictor.predict(data)))}


CONTENDERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "scorecard": scorecard,
    "LightGBM": lightgbm_predict,
    "compiled forest": compiled_forest,
}


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the figures for people."""
    ours = results["scorecard"]
    lines = [f"24 products, {CORES} cores" + ("" if ours["compiled"] else " (kernels not compiled: numba is missing)")]
    for task, heading in (("score", "pairs scored"), ("reasons", "pairs with exact reasons")):
        lines += [
            "",
            f"{heading:<26}{'rows':>12}{'wall s':>9}{'CPU s':>9}{'M rows/s':>12}{'MB':>8}{'slower':>11}{'in CPU':>9}",
        ]
        for name, result in results.items():
            if task in result:
                it = result[task]
                dearer = it["cpu_seconds"] / it["rows"] / (ours[task]["cpu_seconds"] / ours[task]["rows"])
                speed, slower = it["rows_per_second"] / 1e6, ours[task]["rows_per_second"] / it["rows_per_second"]
                lines.append(
                    f"{name:<26}{it['rows']:>12,}{it['seconds']:>9.2f}{it['cpu_seconds']:>9.2f}{speed:>12.4f}"
                    f"{it['megabytes']:>8.0f}{slower:>10,.0f}×{dearer:>8,.0f}×"
                )
            elif "skipped" in result:
                lines.append(f"{name:<26}skipped: {result['skipped']}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
