"""``nextoffer simulate-policy``: what a policy would change, before it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextoffer.cli.options import AsJson, AsOf, BankFolder, ModelFolder, customers_bar

if TYPE_CHECKING:
    from rich.table import Table

    from nextoffer.evaluate.policy_words import Figures
    from nextoffer.run.what_if import WhatIf

_SHOWN = 12  # rules and products in the printed tables


def simulate_policy(
    bank: BankFolder,
    model: ModelFolder,
    policy: Annotated[Path, typer.Option(metavar="FILE", help="The new policy.toml.", show_default=False)],
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The policy.toml in place; the model's if left out.")
    ] = None,
    as_of: AsOf = None,
    customers: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help="Look at about so many, drawn by key; at everybody if left out."),
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Groups to tell apart; segment if left out. Repeatable.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html, figures.json and the tables.", show_default=False)
    ] = None,
    chunk: Annotated[int, typer.Option(min=1, help="Customers at a time; does not change the figures.")] = 65_536,
    as_json: AsJson = False,
) -> None:
    """Try a policy on every customer, beside the one in place: reach, volume, value, who gains and loses, and why not.

    Nothing is decided and nothing is written to the bank. With --customers figures come with 95 % intervals. In a
    simulated bank (truth.parquet beside the tables) it also says what the offers would really earn.

    Example: nextoffer simulate-policy my_bank --model model --policy new.toml --against old.toml --out what_if
    """
    from nextoffer.policy.file import Policy
    from nextoffer.run.engine import Engine
    from nextoffer.run.labels import customer_count
    from nextoffer.run.what_if import Options, what_if
    from nextoffer.tables.bank import Bank

    engine = Engine.load(model)
    new, old = Policy.read(policy), Policy.read(against) if against else None
    source = Bank.read(bank)
    options = Options(as_of.date() if as_of else None, customers, tuple(by or ()), chunk)
    with customers_bar("Trying", min(customers or customer_count(source), customer_count(source))) as progress:
        found = what_if(engine, source, new, old=old, options=options, progress=progress)
    written = found.write(out) if out is not None else ()
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
        return
    show(found)
    if out is not None:
        typer.echo(f"{out}: {', '.join(written)}")


def show(found: WhatIf) -> None:
    """Print the headline, who gains and loses, the funnel and the value finder."""
    from rich.console import Console

    from nextoffer.evaluate.policy_words import Figures, headline, summary

    figures = Figures.of(found.comparison)
    typer.echo(headline(figures, found.about))
    for sentence in summary(figures, found.about):
        typer.echo(f"  {sentence}")
    console = Console(width=130)
    for table in (_funnel(figures, found), _products(figures, found), _finder(figures, found)):
        console.print(table)


def _funnel(figures: Figures, found: WhatIf) -> Table:
    from nextoffer.evaluate.outcome import STAGES
    from nextoffer.evaluate.policies import CONSIDERED, EVERYONE

    table = _table("Left after each stage", found, ("stage",), ("customers", "pairs"))
    for stage in (CONSIDERED, *STAGES):
        key = (EVERYONE, EVERYONE, stage)
        _row(table, found, stage, [_both(figures, "funnel", (*key, measure)) for measure in ("customers", "pairs")])
    return table


def _products(figures: Figures, found: WhatIf) -> Table:
    from nextoffer.evaluate.policies import NEW

    unit = f", {found.about.currency}" if found.about.currency else ""
    table = _table("Offers", found, ("product",), ("offers", f"expected value{unit}"))
    names = figures.groups("offers", "product")
    names.sort(key=lambda name: -figures.at("offers", NEW, "product", name, "offers").estimate)
    for name in names[:_SHOWN]:
        pairs = [_both(figures, "offers", ("product", name, measure)) for measure in ("offers", "expected_value")]
        _row(table, found, name, pairs)
    return table


def _finder(figures: Figures, found: WhatIf) -> Table:
    from rich.table import Table

    from nextoffer.evaluate.policy_words import loosened

    table = Table(title="Customers without an offer, by the rule that alone keeps them from one", title_justify="left")
    for name in ("rule", "would serve", "only by this", "expected value", "expected loss", "mostly with", ""):
        table.add_column(
            name, justify="left" if name in ("rule", "mostly with", "") else "right", no_wrap=name == "rule"
        )
    for each in loosened(figures)[:_SHOWN]:
        amounts = (each.customers.estimate, each.only, each.value, each.loss)
        duty = "not to be loosened" if each.rule in found.about.duties else ""
        table.add_row(each.rule, *(f"{amount:,.0f}" for amount in amounts), each.product, duty)
    return table


def _table(title: str, found: WhatIf, names: tuple[str, ...], measures: tuple[str, ...]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name)
    for measure in measures:
        for side in ("",) if found.about.same else ("old ", "new "):
            table.add_column(f"{side}{measure}", justify="right")
    return table


def _row(table: Table, found: WhatIf, name: str, pairs: list[tuple[float, float]]) -> None:
    cells = (f"{amount:,.0f}" for pair in pairs for amount in (pair[1:] if found.about.same else pair))
    table.add_row(name, *cells)


def _both(figures: Figures, table: str, key: tuple[str, ...]) -> tuple[float, float]:
    from nextoffer.evaluate.policies import NEW, OLD

    return figures.at(table, OLD, *key).estimate, figures.at(table, NEW, *key).estimate
