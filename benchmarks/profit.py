"""True profit by objective: what offers really earn when they are ranked by propensity, value or incremental value.

Usage: ``python benchmarks/profit.py [--customers 20000] [--seeds 1 2 3] [--json FILE]``

For each seed a retail bank is simulated, a model is fitted to its responses before 2025-10-01, and each objective
decides for every customer under the same rules. The truth knows what an offer adds to the probability of taking a
product up, so true profit per 1,000 customers is exact; the interval of a difference is Student's over customers, each
compared with himself. "perfect" ranks by the truth itself among the pairs that the rules leave open, and makes as many
offers as propensity ranking: what no model can pass.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nextoffer.policy.file import Arbitration, Policy
from nextoffer.run.engine import Engine
from nextoffer.simulate.profit import RANKS, Earnings, Truth, earned, per_thousand
from nextoffer.tables.bank import Bank

AS_OF = date(2025, 10, 1)
OBJECTIVES = ("propensity", "value", "incremental_value")
BASE = OBJECTIVES[0]


def main() -> None:
    """Run, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--json", type=Path, help="store the figures here")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "customers": arguments.customers,
        "worlds": {},
    }
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            bank = Bank.read(simulated(arguments.customers, seed, Path(scratch) / "bank"))
            result["worlds"][str(seed)] = world(bank)
        print(table({**result, "worlds": {str(seed): result["worlds"][str(seed)]}}), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def simulated(customers: int, seed: int, bank: Path) -> Path:
    """Return a simulated retail bank."""
    command = ["simulate", "retail", "--customers", str(customers), "--seed", str(seed), "--out", str(bank)]
    subprocess.run([sys.executable, "-m", "nextoffer", *command], check=True, stdout=subprocess.DEVNULL)
    return bank


def world(bank: Bank) -> dict[str, Any]:
    """Return the true profit of each objective in one bank, and their differences to propensity ranking."""
    began = perf_counter()
    engine = Engine.fit(bank, as_of=AS_OF)
    fitted = perf_counter() - began
    products = bank.table("products")
    known = engine.with_policy(policy(OBJECTIVES[-1])).known(bank, bank.table("customers").column("customer_id"))
    pairs = true_pairs(bank, known.features.customer_ids.combine_chunks(), products)
    found: dict[str, dict[str, np.ndarray]] = {}
    for objective in OBJECTIVES:
        desk = engine.with_policy(policy(objective)).desk(products)
        ranking = desk.decider.ranked(desk.batch(known))
        found[objective] = earned(pairs, ranking.rows, ranking.cols)
        if objective == BASE:
            found["perfect"] = perfect(pairs, ranking)
    return {
        "fit seconds": round(fitted, 1),
        "true profit": {name: {r: vars(per_thousand(f[r])) for r in RANKS} for name, f in found.items()},
        "minus propensity": {
            name: {r: vars(per_thousand(f[r] - found[BASE][r])) for r in RANKS}
            for name, f in found.items()
            if name != BASE
        },
    }


def policy(objective: str) -> Policy:
    """Return the reference's policy with another objective."""
    return Policy(arbitration=Arbitration(objective=objective))


def true_pairs(bank: Bank, customers: pa.Array, products: pa.Table) -> np.ndarray:
    """Return what each pair would really earn if it were offered, float64 (n, P)."""
    truth, earnings = Truth.beside(bank.path), Earnings.of(products)
    assert truth is not None
    risk = pq.read_table(bank.path / "risk.parquet")
    order = {customer: i for i, customer in enumerate(risk.column("customer_id").to_pylist())}
    pd = risk.column("pd").to_numpy()[[order[customer] for customer in customers.to_pylist()]]
    return earnings.value(pd) * truth.effects(customers, earnings.products) - earnings.cost


def perfect(pairs: np.ndarray, ranking: Any) -> dict[str, np.ndarray]:
    """Return what the best offers among the open pairs would earn, as many as propensity ranking makes."""
    open_ = (ranking.rule < 0) | (ranking.rule >= ranking.book.first_limit)
    best = -np.sort(-np.where(open_, np.maximum(pairs, 0.0), 0.0), axis=1)
    count = (ranking.rule < 0).sum(axis=1)
    places = np.arange(best.shape[1])[None, :] < count[:, None]
    return {"top": best[:, 0] * (count > 0), "all": (best * places).sum(axis=1)}


def table(result: dict[str, Any]) -> str:
    """Return the figures for people."""
    lines = []
    for seed, found in result["worlds"].items():
        lines.append(
            f"world {seed}: true profit per 1,000 of {result['customers']:,} customers, first offers | all offers"
        )
        for name, profit in found["true profit"].items():
            cells = []
            for ranks in RANKS:
                told = f"{profit[ranks]['estimate']:>9,.0f}"
                more = found["minus propensity"].get(name)
                if more:
                    gap = more[ranks]
                    told += f"  {gap['estimate']:>+8,.0f} ({gap['low']:+,.0f} to {gap['high']:+,.0f})"
                cells.append(f"{told:<40}")
            lines.append(f"  {name:<18} {' | '.join(cells)}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    main()
