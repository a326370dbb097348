"""``nextoffer recommend``: decisions and refusals of every customer, to files."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from nextoffer.cli.options import AsJson, AsOf, BankFolder, ModelFolder, PolicyFile, customers_bar, steps


class Where(StrEnum):
    """What computes."""

    local = "local"
    spark = "spark"


def recommend(
    bank: BankFolder,
    model: ModelFolder,
    out: Annotated[Path, typer.Option(help="Decisions, .parquet or .csv; on Spark a folder.", show_default=False)],
    as_of: AsOf = None,
    refusals: Annotated[
        Path | None, typer.Option(help="Refusals; beside the decisions if left out.", show_default=False)
    ] = None,
    policy: PolicyFile = None,
    chunk: Annotated[int, typer.Option(min=1, help="Customers at a time; does not change the decisions.")] = 65_536,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped; the files end up the same.")
    ] = False,
    on: Annotated[
        Where, typer.Option("--engine", help="This machine, or Spark, which writes folders of Parquet parts.")
    ] = Where.local,
    master: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where Spark is: local[2], spark://host:port, yarn, or sc://host:port for Spark Connect.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide for every customer: what to offer, in which order and why; and what not, and why not.

    Both files appear when they are whole. What is done is kept beside them until then, so that a run that was stopped,
    even killed, need not begin anew: give the same command with --resume. Spark repeats what failed by itself.

    Example: nextoffer recommend my_bank --model model --as-of 2025-10-11 --out offers.parquet --resume
    """
    from nextoffer.errors import NextOfferError
    from nextoffer.policy.file import Policy
    from nextoffer.run.batch import Files, recommend_to_files
    from nextoffer.run.decisions import refusals_path
    from nextoffer.run.engine import Engine
    from nextoffer.run.labels import customer_count
    from nextoffer.tables.bank import Bank

    if master is not None and on is not Where.spark:
        raise NextOfferError("--master says where Spark is; add --engine spark")
    if resume and on is Where.spark:
        raise NextOfferError("--resume goes on with a run on this machine; Spark repeats what failed by itself")
    engine = Engine.load(model)
    engine = engine.with_policy(Policy.read(policy)) if policy else engine
    for note in engine.notes:
        typer.echo(f"note: {note}", err=True)
    source = Bank.read(bank)
    files = Files(out, refusals or refusals_path(out))
    day = as_of.date() if as_of else None
    began = perf_counter()
    if on is Where.spark:
        from nextoffer.run.spark import recommend_on_spark

        with steps() as step:
            step("Deciding on Spark")
            written = recommend_on_spark(engine, source, out, refusals=files.refusals, as_of=day, master=master)
    else:
        with customers_bar("Deciding", customer_count(source)) as progress:
            began = perf_counter()
            written = recommend_to_files(
                engine, source, files, as_of=day, chunk=chunk, resume=resume, progress=progress
            )
    seconds = perf_counter() - began
    if as_json:
        told = {"seconds": round(seconds, 3), "out": str(files.decisions), "refusals_out": str(files.refusals)}
        typer.echo(json.dumps({**vars(written), **told, "notes": engine.notes}, indent=2))
        return
    if written.resumed:
        typer.echo(f"Went on after {written.resumed:,} customers that an earlier run had done")
    typer.echo(f"{files.decisions}: {written.decisions:,} offers to {written.customers:,} customers")
    typer.echo(f"{files.refusals}: {written.refusals:,} pairs not offered, each with the rule that stopped it")
    rate = (written.customers - written.resumed) / max(seconds, 1e-9)
    typer.echo(f"{seconds:,.1f} seconds, {rate:,.0f} customers per second")
