"""``nextoffer allocate``: which offers to make with the RM hours, call slots and money there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextoffer.cli.options import AsJson, steps

if TYPE_CHECKING:
    from nextoffer.run.allocation import Plan

_SHOWN = 40  # limits in the printed table

BankOption = Annotated[
    Path, typer.Option("--bank", metavar="BANK", help="The bank's folder, or its bank.toml.", show_default=False)
]
DecisionsFile = Annotated[
    Path, typer.Argument(metavar="DECISIONS", help="Offers that recommend wrote, .parquet or .csv.", show_default=False)
]


def allocate(
    decisions: DecisionsFile,
    limits: Annotated[Path, typer.Option(metavar="FILE", help="A limits.toml: what there is.", show_default=False)],
    bank: BankOption,
    out: Annotated[Path, typer.Option(help="The offers to make, .parquet or .csv.")] = Path("plan.parquet"),
    value: Annotated[
        str, typer.Option(metavar="COLUMN", help="The column of the decisions that is added up.")
    ] = "expected_value",
    seed: Annotated[int, typer.Option(help="Decides between offers that are equal in everything.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Share scarce capacity over all customers: the offers to make, who makes them, and what one unit more is worth.

    The limits may name columns of the decisions, of customers (rm_id, segment) and of products (cost). Offers left out
    are written beside the plan (plan.refusals.parquet) with stage capacity and the limit that had no room; offers
    without a value are left out by the rule value.unknown.

    Example: nextoffer allocate offers.parquet --limits limits.toml --bank my_bank --out plan.parquet

    Example: nextoffer allocate offers.parquet --limits limits.toml --bank my_bank --value propensity --json
    """
    from nextoffer.run.allocation import plan_file
    from nextoffer.tables.bank import Bank

    with steps() as step:
        source = Bank.read(bank)
        plan = plan_file(decisions, limits, source, out, value=value, seed=seed, step=step)
    unit = (source.config.currency or "of value") if value in ("expected_value", "value") else f"of {value}"
    if as_json:
        typer.echo(json.dumps(_told(plan, out, unit), indent=2))
    else:
        show(plan, out, unit)


def show(plan: Plan, out: Path, unit: str) -> None:
    """Print value, bound, limits with their prices in words, and how many offers each rule left out."""
    from rich.console import Console
    from rich.table import Table

    from nextoffer.run.allocation import IN_WORDS, amount_of, worth
    from nextoffer.run.decisions import refusals_path

    found = plan.found
    typer.echo(f"{out}: {plan.offers.num_rows:,} offers, worth {amount_of(found.value)} {unit}")
    typer.echo(f"No plan is worth more than {amount_of(found.bound)} {unit}: {found.share:.2%} of that is reached")
    rows = sorted(found.limits.to_pylist(), key=lambda row: -row["price"])
    if rows:
        table = Table(title="Limits, dearest first", title_justify="left")
        for name in ("limit", "", "capacity", "used", "one more, in words"):
            table.add_column(name, justify="right" if name in ("capacity", "used") else "left")
        for row in rows[:_SHOWN]:
            cells = (f"{row['capacity']:,.6g}", f"{row['used']:,.6g}")
            table.add_row(row["limit"], row["kind"], *cells, worth(row, unit))
        Console(width=140).print(table)
        if len(rows) > _SHOWN:
            typer.echo(f"and {len(rows) - _SHOWN:,} more limits; --json gives all")
    typer.echo(f"{refusals_path(out)}: {plan.refusals.num_rows:,} offers left out")
    for rule, count in plan.left_out.items():
        meaning = IN_WORDS.get(rule)
        typer.echo(f"  {count:>9,}  {rule}{f': {meaning}' if meaning else ': no room'}")


def _told(plan: Plan, out: Path, unit: str) -> dict[str, object]:
    from nextoffer.run.allocation import worth
    from nextoffer.run.decisions import refusals_path

    found = plan.found
    return {
        "out": str(out),
        "refusals_out": str(refusals_path(out)),
        "offers": plan.offers.num_rows,
        "refusals": plan.refusals.num_rows,
        "value": found.value,
        "bound": found.bound,
        "share": found.share,
        "unit": unit.removeprefix("of "),
        "limits": [{**row, "in_words": worth(row, unit)} for row in found.limits.to_pylist()],
        "left_out": plan.left_out,
    }
