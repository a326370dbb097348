"""``nextoffer validate``: a validation pack for model risk, measured and written in one go."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextoffer.cli.evaluate import fits_bar
from nextoffer.cli.options import AsJson, BankFolder, PolicyFile

if TYPE_CHECKING:
    from nextoffer.run.validation import Validation

_COLOURS = {"high": "red", "medium": "yellow", "low": "white"}


def validate(
    bank: BankFolder,
    out: Annotated[
        Path, typer.Option(help="Folder for validation.html, validation.md, card.md, tables.", show_default=False)
    ],
    as_of: Annotated[
        datetime | None,
        typer.Option(
            metavar="DATE",
            help="The backtest learns before this day. If left out: the day of the model's fit if offers were accepted "
            "from then on, else the last third of the offers.",
            formats=["%Y-%m-%d"],
        ),
    ] = None,
    policy: PolicyFile = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="The saved model to validate; the recipe alone if left out.", show_default=False
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Groups to look at besides those of sensitive columns. Repeatable."),
    ] = None,
    challenger: Annotated[bool, typer.Option(help="Also fit LightGBM.")] = True,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Leave out several days, ablations and the learning curve; they are told as not tested."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Validate a model: test it against stated limits, and write all of it down under the headings of SR 11-7.

    A backtest out of time with baselines and a challenger, several days, parts left out, inputs changed one by one,
    noise, refits, fairness where bank.toml names sensitive columns, exact reasons. Findings come first, each with the
    rule that makes it one. With a model, its own path of decisions is tested; the performance told is that of the same
    recipe refitted before the day of the split.

    Example: nextoffer validate my_bank --model model --by segment --out pack
    """
    from nextoffer.policy.file import Policy
    from nextoffer.run.engine import Engine
    from nextoffer.run.validation import Options, Progress, check_free, fits, validated
    from nextoffer.tables.bank import Bank

    check_free(out)
    options = Options(
        as_of=as_of.date() if as_of else None,
        by=tuple(by or ()),
        model=Engine.load(model) if model else None,
        quick=quick,
        challenger=challenger,
        command=shlex.join(["nextoffer", *sys.argv[1:]]),
    )
    source, rules = Bank.read(bank), Policy.read(policy) if policy else None
    total = fits(options)
    typer.echo(f"{total} fits", err=True)
    with fits_bar(total) as (step, done):
        found = validated(source, rules, options=options, progress=Progress(step, done))
        step("Writing the pack")
        written = found.write(out)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1, default=str))
        return
    show(found)
    typer.echo(f"{out}: {', '.join(written)}")


def show(found: Validation) -> None:
    """Print the verdict and the findings."""
    from nextoffer.evaluate.validation_page import headline

    findings = found.evidence.findings
    typer.secho(headline(findings), bold=True)
    for each in findings:
        typer.echo(f"{typer.style(each.severity, fg=_COLOURS[each.severity])}: {each.area}: {each.text}")
