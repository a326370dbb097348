"""``nextoffer fairness``: whether groups of customers get on equally, and where a gap opens."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextoffer.cli.options import AsJson, AsOf, BankFolder, ModelFolder, PolicyFile, customers_bar

if TYPE_CHECKING:
    from rich.table import Table

    from nextoffer.evaluate.fairness import Groups
    from nextoffer.run.fairness import Measured

_SHOWN = 12  # rows of the printed tables


class Stage(StrEnum):
    """Which offers are to be remedied."""

    rank1 = "rank1"
    offered = "offered"


def fairness(
    bank: BankFolder,
    model: ModelFolder,
    policy: PolicyFile = None,
    as_of: AsOf = None,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Groups to tell apart; all sensitive columns if left out. Repeatable."),
    ] = None,
    line: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="The ratio below which a group fares too badly.")
    ] = 0.8,
    reference: Annotated[
        str, typer.Option(metavar="GROUP", help="Whom groups are compared with: best, largest, or a group's name.")
    ] = "best",
    remedy: Annotated[
        bool, typer.Option("--remedy", help="Find levers that bring the lowest ratio above the line, and their price.")
    ] = False,
    stage: Annotated[
        Stage, typer.Option(help="Which offers are to be remedied: first ones (rank1), or all (offered).")
    ] = Stage.rank1,
    product: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The product or product type to be remedied; the worst if left out."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.html, figures.json, the tables, and a remedied policy.toml.", show_default=False
        ),
    ] = None,
    chunk: Annotated[int, typer.Option(min=1, help="Customers at a time; does not change the figures.")] = 65_536,
    as_json: AsJson = False,
) -> None:
    """Measure whether groups of customers get on equally, stage by stage, against the four-fifths line.

    Sensitive columns (bank.toml) are read for these figures alone. Answers to offers from the day decided for on tell
    opportunity and calibration. Nothing is written to the bank. With --remedy it looks for the cheapest weights on
    products that bring the lowest ratio above the line, decides anew with them, and writes the policy.

    Example: nextoffer fairness my_bank --model model --out fairness
    """
    from nextoffer.evaluate.fairness import Judging
    from nextoffer.policy.file import Policy
    from nextoffer.run.engine import Engine
    from nextoffer.run.fairness import Options, measured
    from nextoffer.run.labels import customer_count
    from nextoffer.run.remedy import Wish, remedied
    from nextoffer.tables.bank import Bank
    from nextoffer.tables.write import atomic_path

    engine, source = Engine.load(model), Bank.read(bank)
    chosen = Policy.read(policy) if policy else engine.policy
    options = Options(as_of.date() if as_of else None, tuple(by or ()), Judging(line, reference), chunk)
    with customers_bar("Deciding", customer_count(source)) as progress:
        if remedy:
            wish = Wish(stage.value, product)
            better = remedied(engine, source, chosen, options=options, wish=wish, progress=progress)
            found, new = better.measured, better.policy
        else:
            found, new = measured(engine, source, chosen, options=options, progress=progress), None
    written = found.write(out) if out is not None else ()
    if out is not None and new is not None:
        with atomic_path(out / "policy.toml") as temporary:
            temporary.write_text(new.to_toml(), encoding="utf-8")
        written = (*written, "policy.toml")
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
        return
    show(found)
    if out is not None:
        typer.echo(f"{out}: {', '.join(written)}")


def show(found: Measured) -> None:
    """Print the verdict, each column's funnel, and the lowest ratios."""
    from rich.console import Console

    from nextoffer.evaluate.fair_words import headline, summary

    for sentence in found.remedy.sentences if found.remedy is not None else ():
        typer.echo(sentence)
    typer.echo(headline(found.fairness, found.about))
    for sentence in summary(found.fairness, found.about):
        typer.echo(f"  {sentence}")
    console = Console(width=130)
    for groups in found.fairness.columns:
        console.print(_funnel(groups))
        console.print(_lowest(groups))


def _funnel(groups: Groups) -> Table:
    from rich.table import Table

    from nextoffer.evaluate.fairness import SELECTION
    from nextoffer.evaluate.funnel import STEPS

    table = Table(title=f"{groups.by}: customers with a product left after each stage", title_justify="left")
    for name in ("group", "customers", *STEPS[1:]):
        table.add_column(name, justify="left" if name == "group" else "right")
    for group in groups.there:
        shares = [f"{100 * groups.selection(0, step, group).estimate:.1f} %" for step in STEPS[1:]]
        table.add_row(groups.names[group], f"{groups.size(group):,}", *shares)
    table.add_row("lowest ratio", "", *(_worst(groups, SELECTION, step) for step in STEPS[1:]))
    return table


def _worst(groups: Groups, measure: str, step: str) -> str:
    from nextoffer.evaluate.disparity import REFERENCE

    told = [groups.compared(0, group, measure, step) for group in groups.judged]
    ratios = [found.estimate for found, words in told if words != REFERENCE and found.low == found.low]
    return f"× {min(ratios):.2f}" if ratios else ""


def _lowest(groups: Groups) -> Table:
    from rich.table import Table

    from nextoffer.evaluate.disparity import REFERENCE
    from nextoffer.evaluate.fairness import SELECTION, opened

    table = Table(title=f"{groups.by}: first offers against the reference group's", title_justify="left")
    for name in ("group", "of", "ratio", "95 %", "verdict", "the gap opens at"):
        table.add_column(name, justify="right" if name == "ratio" else "left")
    rows = []
    for scope in groups.shown:
        for group in groups.judged:
            found, words = groups.compared(scope, group, SELECTION)
            opening = groups.opening(scope, group)
            if words != REFERENCE and opening is not None and found.low == found.low:
                rows.append((found, words, group, scope, opening))
    for found, words, group, scope, opening in sorted(rows, key=lambda row: row[0].high)[:_SHOWN]:
        interval = f"{found.low:.2f} to {found.high:.2f}"
        name = groups.scopes.names[scope]
        table.add_row(
            groups.names[group],
            name,
            f"{found.estimate:.2f}",
            interval,
            words,
            opened(opening) if found.estimate < 1 else "",
        )
    return table
