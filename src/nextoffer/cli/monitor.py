"""``nextoffer monitor``: what has moved since a model was fitted, as green, amber and red lights."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextoffer.cli.options import AsJson, AsOf, BankFolder, ModelFolder, PolicyFile, customers_bar

if TYPE_CHECKING:
    from nextoffer.run.monitor import Monitored

FAILED = 5
_SHOWN = 10


class Light(StrEnum):
    """From which light on the command fails."""

    amber = "amber"
    red = "red"


def monitor(
    bank: BankFolder,
    model: ModelFolder,
    policy: PolicyFile = None,
    as_of: AsOf = None,
    limits: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A limits.toml; the built-in limits if left out.", show_default=False),
    ] = None,
    write_limits: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the limits that were used, to change them.", show_default=False),
    ] = None,
    every_feature: Annotated[
        bool,
        typer.Option("--every-feature", help="Also tell of features that neither scores nor rules read."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, figures.json and the tables.", show_default=False),
    ] = None,
    fail_on: Annotated[
        Light | None,
        typer.Option(help=f"End with exit code {FAILED} at this light, or a worse one.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare a bank with the day its model was fitted: drift, calibration, acceptance, coverage, age.

    A light turns amber or red where a figure is beyond its limit and chance does not explain it. Offers made since the
    fit tell whether probabilities still hold. Nothing is written to the bank.

    Example: nextoffer monitor my_bank --model model --as-of 2025-11-01 --out monitoring --fail-on red
    """
    from nextoffer.evaluate.alarm import ORDER, Limits
    from nextoffer.policy.file import Policy
    from nextoffer.run.engine import Engine
    from nextoffer.run.labels import customer_count
    from nextoffer.run.monitor import Options, monitored
    from nextoffer.tables.bank import Bank
    from nextoffer.tables.write import atomic_path

    wanted = Limits.read(limits)
    engine, source = Engine.load(model), Bank.read(bank)
    chosen = Policy.read(policy) if policy else engine.policy
    options = Options(as_of.date() if as_of else None, wanted, every_feature)
    with customers_bar("Looking", customer_count(source)) as progress:
        found = monitored(engine, source, chosen, options=options, progress=progress)
    written = found.write(out) if out is not None else ()
    if write_limits is not None:
        with atomic_path(write_limits) as temporary:
            temporary.write_text(wanted.to_toml(), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
    else:
        show(found)
        if out is not None:
            typer.echo(f"{out}: {', '.join(written)}")
    if fail_on is not None and ORDER.index(found.status) >= ORDER.index(fail_on.value):
        raise typer.Exit(FAILED)


def show(found: Monitored) -> None:
    """Print the verdict, the lights, and what drifted furthest."""
    from rich.console import Console
    from rich.table import Table

    from nextoffer.evaluate.monitoring import ADVICE, KINDS, kind_rows

    console = Console(width=120)
    typer.echo(found.headline)
    for note in found.about.notes:
        typer.echo(f"  {note}")
    table = Table(title=f"{found.about.bank}, {found.about.as_of}; fitted {found.about.fitted}", title_justify="left")
    for name in ("light", "what", "figures", "the worst of them"):
        table.add_column(name, justify="right" if name == "figures" else "left")
    colours = {"green": "green", "amber": "yellow", "red": "red", "unknown": "dim"}
    for kind, status, check, figures in kind_rows(found.checks):
        words = f"{check.label}: {check.text}" if figures > 1 else check.text
        advice = f"\n→ {ADVICE[kind]}" if status in ("amber", "red") else ""
        light = "not known" if status == "unknown" else status
        table.add_row(f"[{colours[status]}]{light}[/]", KINDS[kind], str(figures), words + advice)
    console.print(table)
