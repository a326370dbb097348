"""``nextoffer monitor``: what has moved since a model was fitted, as green, amber and red lights."""

from __future__ import annotations

import json
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextoffer.cli.options import AsJson, BankFolder, ModelFolder, PolicyFile, customers_bar

if TYPE_CHECKING:
    from rich.table import Table

    from nextoffer.run.monitor import Monitored

FAILED = 5
_SHOWN = 8  # features that moved furthest
_COLOURS = {"green": "green", "amber": "yellow", "red": "red", "unknown": "dim", "told": "dim"}


class Light(StrEnum):
    """From which light on the command fails."""

    amber = "amber"
    red = "red"


def _limits_written(path: Path | None) -> None:
    """Write the built-in limits and end."""
    if path is None:
        return
    from nextoffer.evaluate.alarm import Limits
    from nextoffer.tables.write import atomic_path

    with atomic_path(path) as temporary:
        temporary.write_text(Limits().to_toml(), encoding="utf-8")
    typer.echo(f"{path}: the built-in limits")
    raise typer.Exit


def monitor(
    bank: BankFolder,
    model: ModelFolder,
    policy: PolicyFile = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            metavar="DATE", help="The day looked at; today if left out.", formats=["%Y-%m-%d"], show_default=False
        ),
    ] = None,
    limits: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A limits.toml; the built-in limits if left out.", show_default=False),
    ] = None,
    write_limits: Annotated[  # noqa: ARG001 (its callback has ended the command)
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the built-in limits, each with what it is, and end.",
            show_default=False,
            is_eager=True,
            callback=_limits_written,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, figures.json and the tables.", show_default=False),
    ] = None,
    fail_on: Annotated[
        Light | None,
        typer.Option(help=f"End with exit code {FAILED} at this light or a worse one.", show_default=False),
    ] = None,
    chunk: Annotated[int, typer.Option(min=1, help="Customers at a time; does not change the figures.")] = 65_536,
    as_json: AsJson = False,
) -> None:
    """Compare a bank with the day its model was fitted: drift, calibration, acceptance, coverage, data, age.

    A light turns amber or red where a figure is surely beyond its limit and chance does not explain it. Offers made
    since the fit tell whether probabilities still hold. Nothing is written to the bank.

    Example: nextoffer monitor my_bank --model model --as-of 2025-11-01 --out monitoring --fail-on red
    """
    from nextoffer.evaluate.alarm import ORDER, Limits
    from nextoffer.policy.file import Policy
    from nextoffer.run.engine import Engine
    from nextoffer.run.labels import customer_count
    from nextoffer.run.monitor import Options, monitored
    from nextoffer.tables.bank import Bank

    options = Options(as_of.date() if as_of else date.today(), Limits.read(limits), chunk)
    chosen = Policy.read(policy) if policy else None
    engine, source = Engine.load(model), Bank.read(bank)
    with customers_bar("Looking", customer_count(source)) as progress:
        found = monitored(engine, source, chosen, options=options, progress=progress)
    written = found.write(out) if out is not None else ()
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
    else:
        show(found)
        if out is not None:
            typer.echo(f"{out}: {', '.join(written)}")
    if fail_on is not None and ORDER.index(found.status) >= ORDER.index(fail_on.value):
        raise typer.Exit(FAILED)


def show(found: Monitored) -> None:
    """Print the verdict, the lights, and what moved furthest."""
    from rich.console import Console

    typer.echo(found.headline)
    for note in found.about.notes:
        typer.echo(f"  {note}")
    console = Console(width=120)
    console.print(_lights(found))
    if found.features:
        console.print(_features(found))


def _lights(found: Monitored) -> Table:
    from rich.table import Table

    from nextoffer.evaluate.monitoring import ADVICE, KINDS, kind_rows

    table = Table(title=f"{found.about.bank}, {found.about.as_of}; fitted {found.about.fitted}", title_justify="left")
    for name in ("light", "what", "figures", "the worst of them"):
        table.add_column(name, justify="right" if name == "figures" else "left")
    for kind, status, check, figures in kind_rows(found.checks):
        words = f"{check.label}: {check.text}" if figures > 1 else check.text
        advice = f"\n→ {ADVICE[kind]}" if status in ("amber", "red") else ""
        table.add_row(_light(status), KINDS[kind], str(figures), words + advice)
    return table


def _features(found: Monitored) -> Table:
    from rich.table import Table

    table = Table(title="Features that moved furthest of those that move scores", title_justify="left")
    for name in ("light", "feature", "share of effect", "PSI", "95 %", "by chance"):
        table.add_column(name, justify="left" if name in ("light", "feature") else "right")
    noise = {moved.shape.name: moved.apart.noise for moved in found.features}
    mine = [c for c in found.checks if c.check == "drift" and c.line is not None]
    for check in mine[:_SHOWN]:
        now = check.now
        share = "" if check.importance != check.importance else f"{100 * check.importance:.1f} %"
        interval = f"{now.low:.3f} to {now.high:.3f}"
        row = (check.label, share, f"{now.estimate:.3f}", interval, f"{noise[check.subject]:.3f}")
        table.add_row(_light(check.status()), *row)
    return table


def _light(status: str) -> str:
    name = {"unknown": "not known", "told": "not judged"}.get(status, status)
    return f"[{_COLOURS[status]}]{name}[/]"
