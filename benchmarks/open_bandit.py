"""Off-policy estimates on real logs of two policies (Open Bandit; Saito et al. 2021), beside what the other one earned.

Usage: ``python benchmarks/open_bandit.py [--json FILE]``

Per campaign: the value of Thompson sampling (`bts`) from the log of the random policy, and back. What a policy would
have done in the other's log is not recorded, so a policy's chance of an item in a position is taken to be its mean over
its own log: known exactly for `random` (one in so many items), an estimate for `bts`. The truth is the other log's own
click rate, which with 40 to 70 clicks has an interval of its own.
"""

from __future__ import annotations

import argparse
import json
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nextoffer.evaluate.off_policy import ESTIMATORS, Log, Modelled, on_policy
from nextoffer.evaluate.overlap import Overlap
from nextoffer.models.reward import cross_fitted_rewards

DATA = Path(__file__).parents[2] / "shared" / "data" / "open_bandit"
SMOOTH = 1.0


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    found = []
    for campaign in ("men", "women"):
        for logged, new in (("random", "bts"), ("bts", "random")):
            row = measured(campaign, logged, new)
            found.append(row)
            print(f"{campaign}: {new} from the log of {logged}; its own clicks {_told(row['truth'])}", flush=True)
            for name, estimate in row["estimates"].items():
                apart = abs(estimate[0] - row["truth"][0]) / row["standard_error"][name]
                print(f"  {name:10} {_told(estimate)}  {apart:.1f} standard errors apart")
            print(f"  effective {row['effective']:.0f} of 10,000; {'; '.join(row['warnings']) or 'no warnings'}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def measured(campaign: str, logged: str, new: str) -> dict[str, Any]:
    """Return the estimates of one policy's value from the other's log, and the truth."""
    old_log, new_log = (pq.read_table(DATA / f"{name}_{campaign}.parquet") for name in (logged, new))
    items = 1 + int(max(np.max(t.column("item_id").to_numpy()) for t in (old_log, new_log)))
    chosen, place = old_log.column("item_id").to_numpy(), old_log.column("position").to_numpy()
    by_place = chances(new_log, items, uniform=new == "random")
    target = by_place[place - 1]
    rewards = old_log.column("click").to_numpy().astype(np.float64)
    rows = np.arange(len(rewards))
    log = Log(rewards, old_log.column("propensity_score").to_numpy(), target[rows, chosen], rows)
    x = np.column_stack([place, *_features(old_log)]).astype(np.float64)
    expected = cross_fitted_rewards(x, chosen, rewards, rows, actions=items, base="line")
    modelled = Modelled.of(expected, chosen, target)
    own = new_log.column("click").to_numpy().astype(np.float64)
    truth = on_policy(Log(own, np.ones(len(own)), np.ones(len(own)), np.arange(len(own))))
    estimates = {name: estimate(log, modelled) for name, estimate in ESTIMATORS.items()}
    overlap = Overlap.of(log)
    return {
        "campaign": campaign,
        "logged": logged,
        "new": new,
        "truth": [truth.estimate, truth.low, truth.high],
        "estimates": {name: [i.estimate, i.low, i.high] for name, i in estimates.items()},
        "standard_error": {
            name: sqrt(((i.high - i.low) / 3.92) ** 2 + ((truth.high - truth.low) / 3.92) ** 2)
            for name, i in estimates.items()
        },
        "effective": overlap.effective,
        "warnings": list(overlap.warnings),
    }


def chances(table: pa.Table, items: int, *, uniform: bool) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a policy's chance of each item by position, float64 (3, items)."""
    if uniform:
        return np.full((3, items), 1.0 / items)
    chosen, place = table.column("item_id").to_numpy(), table.column("position").to_numpy()
    counts = np.bincount((place - 1) * items + chosen, minlength=3 * items).reshape(3, items) + SMOOTH / items
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _features(table: pa.Table) -> list[np.ndarray[Any, Any]]:
    flags = []
    for name in (f"user_feature_{i}" for i in range(4)):
        texts = np.asarray(table.column(name).to_pylist())
        values, counts = np.unique(texts, return_counts=True)
        flags += [(texts == value).astype(np.float64) for value in values[np.argsort(-counts)][:5]]
    return flags


def _told(value: list[float]) -> str:
    return f"{value[0]:.5f} [{value[1]:.5f}, {value[2]:.5f}]"


if __name__ == "__main__":
    main()
