"""Uplift on a real randomised test of two e-mails (Hillstrom 2008): four learners, cross-fitted, beside a null world.

Usage: ``python benchmarks/hillstrom.py [--customers 64000] [--json FILE]``

Learned on one half of the customers, judged on the other. Per e-mail and outcome: Qini and AUUC with 95 % intervals by
customer, of the T-, S-, X- and DR-learner over LightGBM, and of T and DR over a line; and AUUC less the LightGBM
T-learner's. In the null world treatments are permuted among customers, so that no order can tell anything: there AUUC's
interval should hold 0. Many small null worlds show how often it does, for a held-out half and for cross-fitted orders.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nextoffer.evaluate.uplift import (
    Contacts,
    auuc,
    auuc_difference,
    average_effect,
    contacted_above,
    qini,
    ranked_within,
)
from nextoffer.models.uplift import LEARNERS, Trial, cross_fitted, folds_of

DATA = Path(__file__).parents[2] / "shared" / "data" / "hillstrom" / "hillstrom.parquet"
ARMS = ("No E-Mail", "Mens E-Mail", "Womens E-Mail")
WAYS = (("t", "trees"), ("s", "trees"), ("x", "trees"), ("dr", "trees"), ("t", "line"), ("dr", "line"))


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=64_000)
    parser.add_argument("--nulls", type=int, default=200, help="null worlds, of 10,000 customers each")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    table = pq.read_table(DATA)
    keep = np.sort(np.random.default_rng(7).permutation(len(table))[: arguments.customers])
    table = table.take(pa.array(keep))
    found: list[dict[str, Any]] = []
    for outcome in ("visit", "conversion"):
        for null in (False, True):
            for row in measured(table, outcome, null=null):
                found.append(row)
                print("  ".join(f"{k} {_told(v)}" for k, v in row.items()), flush=True)
    held = null_rate(table, arguments.nulls)
    print(f"null worlds in which AUUC's interval holds 0: {held}")
    found.append({"null_worlds": arguments.nulls, "held": held})
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def trial_of(table: pa.Table, outcome: str, *, null: bool = False) -> Trial:
    """Return the test as a trial; with `null`, treatments are permuted."""
    numbers = [table.column(n).to_numpy().astype(float) for n in ("recency", "history", "mens", "womens", "newbie")]
    flags = []
    for name in ("zip_code", "channel"):
        texts = np.asarray(table.column(name).to_pylist())
        flags += [(texts == value).astype(float) for value in np.unique(texts)[1:]]
    arms = np.asarray(table.column("segment").to_pylist())
    treatment = np.argmax(arms[:, None] == np.array(ARMS), axis=1).astype(np.intp)
    if null:
        treatment = np.random.default_rng(1).permutation(treatment)
    return Trial(np.column_stack([*numbers, *flags]), treatment, table.column(outcome).to_numpy().astype(float))


def measured(table: pa.Table, outcome: str, *, null: bool) -> list[dict[str, Any]]:
    """Return the figures of every learner."""
    trial = trial_of(table, outcome, null=null)
    out, first = [], None
    learned = folds_of(np.arange(len(trial)), folds=2) == 0
    judged = trial.take(~learned)
    for learner, base in WAYS:
        started = time.perf_counter()
        predicted = LEARNERS[learner](trial.take(learned), base, 7)(judged.x)
        seconds = time.perf_counter() - started
        first = predicted if first is None else first
        for k in (1, 2):
            one = (judged.treatment == k) | (judged.treatment == 0)
            contacts = Contacts(judged.outcomes[one], judged.treatment[one] == k)
            uplift, other = predicted[one, k - 1], first[one, k - 1]
            figures = {
                "effect": average_effect(contacts),
                "qini": qini(contacts, uplift),
                "auuc": auuc(contacts, uplift),
                "auuc_less_t_trees": auuc_difference(contacts, uplift, other),
                "best_contacted": contacted_above(contacts, uplift, cost=0.03).value if outcome == "visit" else None,
            }
            told = {name: [i.estimate, i.low, i.high] for name, i in figures.items() if i is not None}
            about = {"outcome": outcome, "null": null, "email": ARMS[k], "learner": learner, "base": base}
            out.append({**about, **told, "seconds": seconds})
    return out


def null_rate(table: pa.Table, worlds: int) -> dict[str, float]:
    """Return in which share of null worlds AUUC's interval holds 0, by how the predictions came about."""
    held: dict[str, list[bool]] = {"held_out_half": [], "cross_fitted": [], "cross_fitted_folds_pooled": []}
    for seed in range(worlds):
        draw = np.random.default_rng([seed, 5])
        part = table.take(pa.array(draw.permutation(len(table))[:10_000]))
        trial = trial_of(part, "visit")
        trial = Trial(trial.x, (draw.permutation(trial.treatment) > 0).astype(np.intp), trial.outcomes)
        customers = np.arange(len(trial))
        learned = folds_of(customers, folds=2, seed=seed) == 0
        half = trial.take(~learned)
        order = LEARNERS["dr"](trial.take(learned), "line", seed)(half.x)[:, 0]
        crossed = cross_fitted(trial, customers, learner="dr", base="line", seed=seed)[:, 0]
        every = Contacts(trial.outcomes, trial.treatment == 1)
        areas = (
            auuc(Contacts(half.outcomes, half.treatment == 1), order, seed=seed),
            auuc(every, ranked_within(crossed, folds_of(customers, seed=seed)), seed=seed),
            auuc(every, crossed, seed=seed),
        )
        for kept, area in zip(held.values(), areas, strict=True):
            kept.append(area.low <= 0 <= area.high)
    return {name: float(np.mean(each)) for name, each in held.items()}


def _told(value: Any) -> str:
    if isinstance(value, list):
        return f"{value[0]:.5f} [{value[1]:.5f}, {value[2]:.5f}]"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
