"""``nextoffer export``: offers handed over to RMs, dialer, app and CRM."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from nextoffer.cli.allocate import BankOption, DecisionsFile
from nextoffer.cli.options import AsJson, steps


class FormatName(StrEnum):
    """What can be written."""

    leads = "leads"
    dialer = "dialer"
    banner = "banner"
    salesforce = "salesforce"
    hubspot = "hubspot"
    pdstools = "pdstools"


def export(
    decisions: DecisionsFile,
    bank: BankOption,
    formats: Annotated[list[FormatName], typer.Option("--format", help="May be repeated.", show_default=False)],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Appears when it is whole.", show_default=False)],
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The policy.toml whose wordings, consents and calling hours count."),
    ] = None,
    on: Annotated[
        datetime | None,
        typer.Option("--on", metavar="DATE", help="The day of the delivery; today if left out.", formats=["%Y-%m-%d"]),
    ] = None,
    templates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A TOML with own talking scripts and settings of the formats.")
    ] = None,
    phone_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Customers' telephone numbers; phone, if it is there.")
    ] = None,
    name_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Customers' names; name, if it is there.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    as_json: AsJson = False,
) -> None:
    """Hand offers over: lead lists for RMs, a dialer file, in-app banners, CRM imports, an interaction history.

    Consents are checked again as they stand on the day of the delivery: who withdrew is left out and counted. What
    customers may read holds only customer wordings, never a number or fact of their data. manifest.json says what was
    written from what.

    Example: nextoffer export plan.parquet --bank my_bank --format leads --format dialer --out monday

    Example: nextoffer export offers.parquet --bank my_bank --format banner --out banners --policy policy.toml --force
    """
    from nextoffer.policy.file import Policy
    from nextoffer.run.delivery import export_file
    from nextoffer.run.handover import Order
    from nextoffer.tables.bank import Bank

    day = (on or datetime.now()).date()
    order = Order([f.value for f in formats], day, templates, name_column, phone_column)
    with steps() as step:
        manifest = export_file(decisions, Bank.read(bank), Policy.read(policy), order, out, force=force, step=step)
    if as_json:
        typer.echo(json.dumps(manifest, indent=2, ensure_ascii=False))
        return
    show(manifest, out)


def show(manifest: dict[str, Any], out: Path) -> None:
    """Print what was written, and what was left out and why."""
    scrubbed = manifest["scrubbed"]
    typer.echo(f"Consents: {manifest['consents']}")
    if scrubbed["offers"]:
        typer.echo(
            f"Scrubbed: {scrubbed['offers']:,} offers without consent over their channel, "
            f"{scrubbed['customers']:,} customers wholly"
        )
    for name, told in manifest["formats"].items():
        typer.echo(f"{name}: {told['offers']:,} offers")
        for why, count in told["left_out"].items():
            typer.echo(f"  {count:>9,}  {why}")
    for file in manifest["files"][:20]:
        typer.echo(f"{out / file['file']}: {file['rows']:,} rows")
    if len(manifest["files"]) > 20:
        typer.echo(f"and {len(manifest['files']) - 20:,} more files, named in {out / 'manifest.json'}")
    if manifest["worded_by_policy"] not in manifest["policy_id"]:
        typer.echo(
            f"note: the offers were decided under policy {', '.join(manifest['policy_id'])}, worded and checked under "
            f"{manifest['worded_by_policy']}; --policy names another",
            err=True,
        )
