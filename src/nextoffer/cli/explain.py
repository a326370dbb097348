"""``nextoffer explain``: why, why not, and what would have to change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from nextoffer.cli.options import AsJson, AsOf, BankFolder, ModelFolder, PolicyFile

if TYPE_CHECKING:
    from nextoffer.run.explain import Explanation


def explain(
    bank: BankFolder,
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.", show_default=False)],
    model: ModelFolder,
    product: Annotated[
        str | None,
        typer.Argument(metavar="PRODUCT", help="A product's id; all products if left out.", show_default=False),
    ] = None,
    as_of: AsOf = None,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Say what a customer is offered and why, what not and why not, and what would have to change.

    Example: nextoffer explain my_bank 1042 --model model
    """
    from nextoffer.policy.file import Policy
    from nextoffer.run.engine import Engine
    from nextoffer.tables.bank import Bank

    engine = Engine.load(model)
    engine = engine.with_policy(Policy.read(policy)) if policy else engine
    found = engine.explain(Bank.read(bank), customer, product=product, as_of=as_of.date() if as_of else None)
    if as_json:
        typer.echo(json.dumps([e.to_dict() for e in found], indent=2, ensure_ascii=False))
        return
    for explanation in found:
        _show(explanation, detailed=product is not None)


def _show(found: Explanation, *, detailed: bool) -> None:
    head = f"rank {found.rank}" if found.rank else f"not offered ({found.stage}: {found.rule})"
    typer.secho(f"{found.name} [{found.product_id}]: {head}, propensity {found.propensity:.1%}", bold=True)
    for reason in found.reasons:
        typer.echo(f"  + {reason}")
    for reason in found.against:
        typer.echo(f"  - {reason}")
    for line in found.changes:
        typer.echo(f"  ! {line}")
    if detailed:
        typer.echo(f"  Priority: {_priority(found)}")
        typer.echo("  Log-odds against the average customer for this product:")
        for label, value in found.contributions:
            typer.echo(f"    {value:+.3f}  {label}")


def _priority(found: Explanation) -> str:
    """How the score is made, P × C × V × L, in numbers."""
    worth = "not known"
    if found.expected_value is not None and found.value is not None:
        worth = (
            f"{found.expected_value:,.2f}, at {found.value:,.2f} per acceptance less {found.cost:,.2f} for the offer"
        )
    uplift = "" if found.uplift is None else f", of which the offer adds {found.uplift:.1%}"
    score = "not known" if found.score is None else f"{found.score:,.4g}"
    arm = "" if found.arm == "champion" else f", control arm {found.arm}"
    return (
        f"propensity {found.propensity:.1%}{uplift}; context × {found.context_weight:g}; expected value {worth}; "
        f"lever × {found.lever:g}; score {score}{arm}"
    )
