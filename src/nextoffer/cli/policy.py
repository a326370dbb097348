"""``nextoffer policy``: check a policy file, compare two, show one whole."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextoffer.cli.options import AsJson, customers_bar

if TYPE_CHECKING:
    from nextoffer.policy.effect import Effect, PolicyEffect
    from nextoffer.policy.file import Policy

app = typer.Typer(help="Check a policy file, compare two, show one whole.", no_args_is_help=True)

DIFFERENT = 4
"""Exit code of `diff` where the policies are not the same."""

_HEADINGS = ("rule", "customers", "pairs", "with some kept", "kept", "not known", "stops first")
_STATES = {"off": "switched off", "silent": "silent: no such column", "unchecked": "not checked: needs --model"}

_File = Annotated[Path, typer.Argument(metavar="POLICY", help="A policy.toml.", show_default=False)]


@app.command(no_args_is_help=True)
def check(
    policy: _File,
    bank: Annotated[
        Path | None,
        typer.Argument(metavar="BANK", help="The bank to check it against.", show_default=False),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="A model saved by fit, for rules on pair features.", show_default=False),
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(metavar="DATE", help="The day that customers are looked at.", formats=["%Y-%m-%d"]),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a policy: its form, and with a bank also its columns and what each rule does to the customers.

    Without a bank: every wrong key, value and expression. With a bank: every column, product and comparison that does
    not fit; then, over all customers, whom each rule asks, whom it stops, and what is odd about it: it stops everybody,
    it never applies, a part of it is always true, two rules together leave nothing.

    The table says of each rule how many customers and pairs of customer and product it asks; of these, the share of
    customers for whom it keeps some product, the share of pairs that it keeps by itself, and the share of which it is
    not known; and of all pairs the share that it is the first to stop.

    The day is today if left out, with a model the day of its fit.

    Exit codes: 0 the policy can be used, even if something is odd; 2 it cannot.

    Example: nextoffer policy check policy.toml my_bank --as-of 2025-10-11
    """
    from nextoffer.errors import NextOfferError
    from nextoffer.policy.file import Policy

    if bank is None and (model is not None or as_of is not None):
        raise NextOfferError("--model and --as-of say how to look at a bank: name the bank too")
    read = Policy.read(policy)
    found, notes = (None, ()) if bank is None else _effect(read, bank, model, as_of.date() if as_of else None)
    if as_json:
        about = {"policy_id": read.policy_id, "rules": len(read.rule)}
        seen = {} if found is None else {**found.to_dict(), "warnings": found.warnings, "notes": notes}
        typer.echo(json.dumps({**about, **seen}, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{policy}: policy {read.policy_id}, {_counted(read)}; its form is right")
    if found is not None:
        _show(found)
    for note in notes:
        typer.echo(f"{typer.style('warning', fg='yellow')}: {note}")


@app.command(no_args_is_help=True)
def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A policy.toml.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Another.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Say what is different between two policies, key by key and rule by rule.

    What a file leaves out has its default, so only what can make a difference is told, not comments or the order of
    keys.

    Exit codes: 0 the policies are the same, 4 they are not, 2 one of them is wrong.

    Example: nextoffer policy diff policy.toml new_policy.toml
    """
    from nextoffer.policy.differences import differences
    from nextoffer.policy.file import Policy

    policies = Policy.read(before), Policy.read(after)
    ids = [policy.policy_id for policy in policies]
    found = differences(*policies)
    if as_json:
        told = {"same": ids[0] == ids[1], "policy_ids": ids, "differences": [d.to_dict() for d in found]}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    elif ids[0] == ids[1]:
        typer.echo(f"The policies are the same: {ids[0]}")
    else:
        typer.echo(f"policy {ids[0]} → {ids[1]}")
        for one in found:
            typer.echo(f"  {one.place}: {one.says}")
    if ids[0] != ids[1]:
        raise typer.Exit(DIFFERENT)


@app.command()
def show(
    policy: Annotated[
        Path | None,
        typer.Argument(metavar="POLICY", help="A policy.toml; the reference's if left out.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a policy whole, with every default filled in, in its one canonical form.

    The output is a policy file of the same policy_id.

    Example: nextoffer policy show policy.toml
    """
    from nextoffer.policy.file import Policy

    read = Policy.read(policy)
    if as_json:
        content = read.model_dump(mode="json", exclude_none=True)
        typer.echo(json.dumps({"policy_id": read.policy_id, "policy": content}, indent=2, ensure_ascii=False))
        return
    typer.echo(f"# policy_id {read.policy_id}\n{read.to_toml()}", nl=False)


def _effect(policy: Policy, bank: Path, model: Path | None, day: date | None) -> tuple[PolicyEffect, tuple[str, ...]]:
    """Return what the rules do, and what the policy asks of the model that it does not know."""
    from nextoffer.run.engine import Engine
    from nextoffer.run.labels import customer_count
    from nextoffer.run.policy_check import check_policy
    from nextoffer.tables.bank import Bank

    source = Bank.read(bank)
    engine = None if model is None else Engine.load(model)
    at = day or (date.today() if engine is None else engine.as_of)
    with customers_bar("Checking", customer_count(source)) as progress:
        found = check_policy(policy, source, as_of=at, model=engine, progress=progress)
    return found, () if engine is None else engine.with_policy(policy).notes


def _counted(policy: Policy) -> str:
    on = sum(rule.enabled for rule in policy.rule)
    off = len(policy.rule) - on
    return f"{on} rules of its own" + (f" and {off} switched off" if off else "")


def _show(found: PolicyEffect) -> None:
    total = found.customers * found.products
    rows = [_HEADINGS, *(_cells(effect, total) for effect in found.effects)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *others = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        typer.secho("  ".join((first, *others)).rstrip(), bold=row is _HEADINGS)
    _show_clauses(found)
    for warning in found.warnings:
        typer.echo(f"{typer.style('warning', fg='yellow')}: {warning}")
    whom = f"for {found.customers_open:,} of {found.customers:,} customers"
    typer.echo(f"{found.pairs_open:,} of {total:,} pairs stay open, {whom}, before caps, cutoff and ranks")


def _cells(effect: Effect, total: int) -> tuple[str, ...]:
    if effect.state != "on":
        return (f"{effect.rule} ({_STATES[effect.state]})", *[""] * (len(_HEADINGS) - 1))
    return (
        effect.rule,
        f"{effect.customers:,}",
        f"{effect.pairs:,}",
        _share(effect.customers_kept, effect.customers),
        _share(effect.pairs_kept, effect.pairs),
        _share(effect.unknown, effect.pairs) if effect.text is not None else "",
        _share(effect.first, total),
    )


def _show_clauses(found: PolicyEffect) -> None:
    for effect in found.effects:
        for key in dict.fromkeys(clause.key for clause in effect.clauses):
            parts = [clause for clause in effect.clauses if clause.key == key]
            told = f" {parts[0].joined} ".join(f"{part.text} [{_percent(part.true)}]" for part in parts)
            typer.echo(f"{effect.rule}, {key}: {told}")


def _share(part: int, whole: int) -> str:
    return _percent(part / whole) if whole else "–"


def _percent(share: float) -> str:
    """Return a share that reads 0 % or 100 % only where it is exactly that."""
    if share in (0, 1) or 0.0005 <= share < 0.9995:
        return f"{100 * share:.1f} %"
    return "< 0.1 %" if share < 0.5 else "> 99.9 %"
