"""Sharing scarce capacity over customers: NextOffer beside a plain MILP and beside greedy by priority.

Usage: ``python benchmarks/allocation.py [--customers 10000 100000 1000000] [--milp 10000] [--rounds 3] [--json FILE]``

Each customer has five of twelve products on offer, by mail, call or RM; what limits them are the hours of an own RM
(one for 2,000 customers), call slots on five days, mails, a budget, most offers of one product, least numbers of one
product and of one segment. All are set against the same Lagrangian bound, so "share" says how much of what is possible
at all was reached. Greedy goes through all offers by value and takes what fits (after the same minimums). The MILP is
HiGHS with a limit of time, on sizes up to ``--milp``. Each runs as a process of its own, so that peak memory is its
own; the table of offers is part of it. Compiling, or loading what was compiled, is told apart ("ready").
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pyarrow as pa

from nextoffer import compiled
from nextoffer.allocate import exact, greedy, minimums
from nextoffer.allocate.allocate import allocate
from nextoffer.allocate.limits import Advisers, Amount, Limits, Resource, Slots, Volume
from nextoffer.allocate.offers import Offers
from nextoffer.allocate.problem import Problem
from nextoffer.allocate.stating import stated

OFFERS, PRODUCTS, CUSTOMERS_OF_AN_RM = 5, 12, 2_000
MILP_SECONDS = 120.0


def bank(customers: int, seed: int = 7) -> pa.Table:
    """Return five offers for each customer, best first, as decisions come."""
    draw = np.random.default_rng(seed)
    product = np.argsort(draw.random((customers, PRODUCTS)), axis=1)[:, :OFFERS].ravel()
    worth = np.array([2.0, 3, 4, 5, 8, 10, 12, 15, 40, 60, 80, 120])
    propensity = 1 / (1 + np.exp(-draw.normal(-2.2, 1.0, customers * OFFERS)))
    value = (propensity * worth[product]).reshape(customers, OFFERS)
    order = (np.argsort(-value, axis=1) + np.arange(customers)[:, None] * OFFERS).ravel()
    product, value = product[order], value.ravel()[order]
    channel = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])[product]
    segment = np.repeat(draw.choice(3, customers, p=[0.7, 0.25, 0.05]), OFFERS)
    rm = draw.integers(max(customers // CUSTOMERS_OF_AN_RM, 1), size=customers)
    return pa.table(
        {
            "customer_id": np.repeat(np.arange(customers), OFFERS),
            "product_id": pa.array([f"p{k:02d}" for k in range(PRODUCTS)]).take(pa.array(product)),
            "product_type": pa.array([f"type {k // 2}" for k in range(PRODUCTS)]).take(pa.array(product)),
            "expected_value": value,
            "channel": pa.array(["mail", "call", "rm"]).take(pa.array(channel)),
            "cost": np.array([0.5, 3.0, 10.0])[channel],
            "rm_id": np.repeat(rm, OFFERS),
            "segment": pa.array(["mass", "affluent", "private"]).take(pa.array(segment)),
        }
    )


def limits(customers: int) -> Limits:
    """Return what there is: too little of most."""
    return Limits(
        resource=[
            Resource(name="budget", capacity=0.8 * customers, use="cost"),
            Resource(name="mails", capacity=customers // 5, where={"channel": "mail"}),
        ],
        slots=[Slots(per_day=(customers // 50,) * 5)],
        rm=Advisers(minutes=45, amounts=[Amount(where={"product_type": "type 5"}, amount=60)], hours=60),
        volume=[
            Volume(column="product_id", value="p03", max=customers // 20),
            Volume(column="product_id", value="p07", min=customers // 40),
            Volume(column="segment", value="private", min=customers // 35),
        ],
    )


def by_prices(customers: int) -> dict[str, Any]:
    """Return what `allocate` reaches and takes."""
    table, asked = bank(customers), limits(customers)
    ready = -perf_counter()
    compiled.warm_up()
    ready += perf_counter()
    plan, took = _timed(lambda: allocate(table, asked))
    return took | {"ready": ready, "value": plan.value, "bound": plan.bound, "offers": plan.offers.num_rows}


def by_priority(customers: int) -> dict[str, Any]:
    """Return what going through all offers by value reaches and takes."""
    table, asked = bank(customers), limits(customers)
    compiled.warm_up()

    def plan() -> tuple[Problem, Any]:
        problem = stated(Offers.read(table, "expected_value", 7), asked).problem
        return problem, greedy.by_value(problem, minimums.some_plan(problem))

    (problem, taken), took = _timed(plan)
    return took | {"value": float(problem.value[taken].sum()), "offers": int(taken.sum())}


def by_program(customers: int) -> dict[str, Any]:
    """Return what HiGHS reaches within `MILP_SECONDS`, given the whole problem."""
    table, asked = bank(customers), limits(customers)
    (taken, value), took = _timed(lambda: _program(table, asked))
    return took | {"value": value, "offers": taken}


def _program(table: pa.Table, asked: Limits) -> tuple[int, float]:
    from scipy.optimize import Bounds, LinearConstraint, milp

    problem = stated(Offers.read(table, "expected_value", 7), asked).problem
    matrix, right = exact.rows(problem)
    found = milp(
        -problem.value,
        integrality=np.ones(len(problem)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, -np.inf, right),
        options={"time_limit": MILP_SECONDS, "mip_rel_gap": 1e-4},
    )
    return (0, 0.0) if found.x is None else (int(np.rint(found.x).sum()), float(problem.value @ np.rint(found.x)))


def _timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall, cpu = perf_counter(), process_time()
    made = work()
    return made, {"wall": perf_counter() - wall, "cpu": process_time() - cpu}


WAYS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "prices": by_prices,
    "greedy": by_priority,
    "milp": by_program,
}


def main() -> None:
    """Run, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--milp", type=int, default=10_000, help="give HiGHS sizes up to this")
    parser.add_argument("--rounds", type=int, default=3, help="the median counts; of the MILP there is one")
    parser.add_argument("--json", type=Path, help="store the figures here")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(WAYS[arguments.one[0]](int(arguments.one[1]))))
        return
    rows = [measured(n, arguments.rounds, program=n <= arguments.milp) for n in arguments.customers]
    result = {"machine": machine(), "rows": rows}
    print(table_of(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measured(customers: int, rounds: int, *, program: bool) -> dict[str, Any]:
    """Return what each way reaches and takes on one size."""
    found = {way: [one(way, customers) for _ in range(rounds)] for way in ("prices", "greedy")}
    if program:
        found["milp"] = [one("milp", customers)]
    row = {way: middle(runs) for way, runs in found.items()}
    for told in row.values():
        told["share"] = told["value"] / row["prices"]["bound"]
    return {"customers": customers, "offers": customers * OFFERS} | row


def one(way: str, customers: int) -> dict[str, Any]:
    """Return what a process of its own tells, and its peak memory in MiB."""
    child = subprocess.Popen([sys.executable, __file__, "--one", way, str(customers)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    printed = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{way} on {customers} customers ended with {os.waitstatus_to_exitcode(status)}")
    lines = printed.decode().splitlines()  # HiGHS may print before
    return json.loads(lines[-1]) | {"peak_mib": peak_mib(used)}


def peak_mib(used: resource.struct_rusage) -> float:
    """Return the largest memory a process had, in MiB."""
    return used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the run that took the median time."""
    wall = statistics.median_low(r["wall"] for r in runs)
    return next(r for r in runs if r["wall"] == wall)


def machine() -> dict[str, Any]:
    """Return what it ran on."""
    return {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}


def table_of(result: dict[str, Any]) -> str:
    """Return the figures for people."""
    lines = [f"{'customers':>10} {'way':>8} {'share of bound':>15} {'wall s':>8} {'cpu s':>8} {'peak MiB':>9}"]
    for row in result["rows"]:
        for way in WAYS:
            if way in row:
                told = row[way]
                figures = f"{told['share']:>15.4%} {told['wall']:8.2f} {told['cpu']:8.2f} {told['peak_mib']:9,.0f}"
                lines.append(f"{row['customers']:>10,} {way:>8} {figures}")
    ready = result["rows"][-1]["prices"]["ready"]
    return "\n".join([*lines, f"kernels were ready in {ready:.2f} s, not counted above"])


if __name__ == "__main__":
    main()
