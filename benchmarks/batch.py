"""The nightly batch, Parquet to Parquet, against one bare scan-and-group of the same transactions.

Usage: ``python benchmarks/batch.py [--customers 10000 100000 1000000] [--rounds 3] [--bank FOLDER ...] [--json FILE]``

For each size a retail bank is simulated (24 products, 40 transactions a customer, text ids), a model is fitted on one
of at most 100,000 customers, and the public command line decides for every customer, with reasons and refusals. Beside
it, in the same round, DuckDB does nothing but read those transactions and group them: once by customer (count and
sum), and once by customer, category and channel, the groups that the features are made of. Every command runs as a
process of its own, so start-up counts; peak memory is the process's. Last, the stages of the largest batch are timed
one after the other.
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
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import pyarrow.parquet as pq

from nextoffer import compiled
from nextoffer.run.engine import Engine
from nextoffer.tables.bank import Bank
from nextoffer.tables.write import TableWriter

AS_OF = "2025-10-01"
PEERS = {
    "by customer": "select customer_id, count(*), sum(amount) from '{file}' group by all",
    "by customer, category, channel": (
        "select customer_id, mcc, channel, count(*), sum(amount) from '{file}' group by all"
    ),
}
SCAN = """
import sys, duckdb
con = duckdb.connect()
con.execute("create table kept as " + sys.argv[1])
"""


@dataclass(frozen=True)
class Run:
    """One process: seconds on the clock, seconds of processor time, and peak memory in MiB."""

    wall: float
    cpu: float
    peak_mib: float


def main() -> None:
    """Run, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument(
        "--bank", type=Path, nargs="*", default=[], help="banks that are there, instead of simulated ones"
    )
    parser.add_argument("--rounds", type=int, default=3, help="the median counts")
    parser.add_argument("--json", type=Path, help="store the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        banks = arguments.bank or simulated(arguments.customers, Path(scratch))
        rows = measured(banks, Path(scratch), arguments.rounds)
        largest = banks[-1]
        stages = profile(largest, Path(scratch) / "model", Path(scratch))
    result = {"machine": machine(), "as_of": AS_OF, "rows": rows, "profile": {"bank": largest.name, "cpu": stages}}
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def learned_from(banks: Sequence[Path]) -> Path:
    """Return the bank to fit on: the largest of at most 100,000 customers, else the smallest."""
    sizes = {bank: pq.read_metadata(bank / "customers.parquet").num_rows for bank in banks}
    few = [bank for bank in banks if sizes[bank] <= 100_000]
    return max(few, key=sizes.__getitem__) if few else min(banks, key=sizes.__getitem__)


def simulated(sizes: Sequence[int], scratch: Path) -> list[Path]:
    """Return one simulated bank per size, the smallest first."""
    banks = []
    for size in sorted(sizes):
        bank = scratch / f"bank_{size}"
        run([*nextoffer(), "simulate", "retail", "--customers", str(size), "--out", str(bank)])
        (bank / "truth.parquet").unlink()
        banks.append(bank)
    return banks


def measured(banks: Sequence[Path], scratch: Path, rounds: int) -> list[dict[str, Any]]:
    """Return what the batch and its peers take on each bank."""
    model, out = scratch / "model", scratch / "offers.parquet"
    fit = run([*nextoffer(), "fit", str(learned_from(banks)), "--as-of", AS_OF, "--out", str(model)])
    found = []
    for bank in banks:
        told: dict[str, Any] = {}
        batch, peers = [], {name: [] for name in PEERS}
        for _ in range(rounds):
            file = bank / "transactions.parquet"
            for name, query in PEERS.items():
                peers[name].append(run([sys.executable, "-c", SCAN, query.format(file=file)]))
            command = [*nextoffer(), "recommend", str(bank), "--model", str(model), "--as-of", AS_OF, "--json"]
            batch.append(run([*command, "--out", str(out)], told))
        best = middle(batch)
        row = {"bank": bank.name, **{k: told[k] for k in ("customers", "decisions", "refusals")}, "batch": asdict(best)}
        row["fit"] = asdict(fit)
        row["written_mib"] = sum(f.stat().st_size for f in scratch.glob("offers*.parquet")) / 2**20
        row["peers"] = {name: asdict(middle(runs)) for name, runs in peers.items()}
        row["ratio"] = {name: best.wall / middle(runs).wall for name, runs in peers.items()}
        found.append(row)
    return found


def profile(bank: Path, model: Path, out: Path) -> dict[str, float]:
    """Return the processor seconds of each stage of the batch, one after the other in this process."""
    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        began = process_time()
        answer = work()
        seconds[stage] = seconds.get(stage, 0.0) + process_time() - began
        return answer

    engine = timed("loading model and kernels", lambda: compiled.warm_up() and Engine.load(model))
    source = timed("looking at the bank", lambda: Bank.read(bank))
    desk = timed("looking at the bank", lambda: engine.desk(source.table("products")))
    stream = engine.stream(source)
    with TableWriter(out / "decisions.parquet") as decisions, TableWriter(out / "refusals.parquet") as refusals:
        while (known := timed("features and facts", lambda: next(stream, None))) is not None:
            batch = timed("scores", lambda known=known: desk.batch(known))
            timed("scores", lambda batch=batch: batch.scores.log_odds)
            decided = timed("ranking, reasons, refusals", lambda batch=batch: desk.decider.of(batch))
            timed("writing Parquet", lambda decided=decided: decisions.write(decided.decisions))
            timed("writing Parquet", lambda decided=decided: refusals.write(decided.refusals))
    return seconds


def nextoffer() -> list[str]:
    """Return how the command line is started."""
    return [sys.executable, "-c", "from nextoffer.cli.app import main; main()"]


def run(command: Sequence[str], told: dict[str, Any] | None = None) -> Run:
    """Return what a command took; what it printed as JSON goes into `told`."""
    began = perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout is not None
    printed = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    wall = perf_counter() - began
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    if told is not None:
        told |= json.loads(printed)
    return Run(wall, used.ru_utime + used.ru_stime, peak_mib(used))


def peak_mib(used: resource.struct_rusage) -> float:
    """Return the largest memory a process had, in MiB."""
    return used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def middle(runs: Sequence[Run]) -> Run:
    """Return the run that took the median time."""
    wall = statistics.median_low(r.wall for r in runs)
    return next(r for r in runs if r.wall == wall)


def machine() -> dict[str, Any]:
    """Return what it ran on."""
    return {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}


def table(result: dict[str, Any]) -> str:
    """Return the figures for people."""
    lines = [
        f"{'customers':>10} {'wall s':>8} {'cpu s':>8} {'peak MiB':>9} {'customers/s':>12}  times the scan-and-group"
    ]
    for row in result["rows"]:
        batch = row["batch"]
        rate = row["customers"] / batch["wall"]
        ratios = ", ".join(
            f"{ratio:.1f} ({name}, {row['peers'][name]['wall']:.2f} s)" for name, ratio in row["ratio"].items()
        )
        figures = f"{batch['wall']:8.2f} {batch['cpu']:8.2f} {batch['peak_mib']:9,.0f} {rate:12,.0f}"
        lines.append(f"{row['customers']:>10,} {figures}  {ratios}")
    stages = result["profile"]["cpu"]
    lines.append(f"\nprocessor seconds of {result['profile']['bank']}, stage by stage: {sum(stages.values()):.1f}")
    lines += [f"{seconds:>8.2f}  {stage}" for stage, seconds in stages.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
