"""``nextoffer evaluate-policy``: what another policy would earn, judged by offers that were made."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextoffer.cli.options import AsJson

if TYPE_CHECKING:
    from nextoffer.evaluate.off_policy_report import Judged


def evaluate_policy(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="BANK",
            help="The bank's folder or bank.toml; or a log of decisions, .parquet or .csv.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A model saved by fit, for a bank.", show_default=False)
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The policy.toml to judge; the model's if left out.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            metavar="DATE",
            help="Judge by offers from this day on; the day of the fit if left out.",
            formats=["%Y-%m-%d"],
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder for report.html, figures.json and the tables as Parquet.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a policy by offers that another one made, without running it.

    The offers need a pscore: the probability with which they were chosen. A log of decisions has the columns action,
    reward, pscore, new_pscore; customer_id, new_pscore.ACTION (one per action) and x_... are used where they are there.

    Example: nextoffer evaluate-policy my_bank --model model --policy new.toml --out judged
    """
    from nextoffer.run.off_policy import judged_by_file, write_judged

    from_file = source.suffix in (".parquet", ".csv")
    found = judged_by_file(source) if from_file else _by_bank(source, model, policy, since)
    facts = (
        {"Log": source.name} | ({"Policy": policy.name} if policy else {}) | ({"Model": model.name} if model else {})
    )
    written = () if out is None else write_judged(found, out, title=source.stem, facts=tuple(facts.items()))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
        return
    show(found)
    if out is not None:
        typer.echo(f"{out}: {', '.join(written)}")


def _by_bank(source: Path, model: Path | None, policy: Path | None, since: datetime | None) -> Judged:
    from nextoffer.errors import NextOfferError
    from nextoffer.policy.file import Policy
    from nextoffer.run.engine import Engine
    from nextoffer.run.off_policy import judged_by_responses
    from nextoffer.tables.bank import Bank

    if model is None:
        raise NextOfferError("a bank's policy is judged with a model: say --model FOLDER")
    engine = Engine.load(model)
    new = Policy.read(policy) if policy else engine.policy
    return judged_by_responses(engine, Bank.read(source), new, since=since.date() if since else None)


def show(found: Judged) -> None:
    """Print the headline, what makes it doubtful, and the estimates."""
    from rich.console import Console
    from rich.table import Table

    from nextoffer.evaluate.off_policy_report import NAMES

    typer.echo(found.headline)
    for words in (*found.overlap.warnings, *found.notes):
        typer.echo(f"  {words}")
    table = Table(title="Value per decision, 95 % intervals by customer", title_justify="left")
    for name in ("", "", "estimate", "low", "high"):
        table.add_column(name, justify="right" if name else "left")
    for name, i in found.found.items():
        table.add_row(name, NAMES[name], *(f"{v:.4f}" for v in (i.estimate, i.low, i.high)))
    Console(width=110).print(table)
    overlap = found.overlap
    typer.echo(
        f"{overlap.decisions:,} decisions of {overlap.customers:,} customers; effective {overlap.effective:,.0f}; "
        f"largest weight {overlap.largest_weight:,.1f}"
    )
