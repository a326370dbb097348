"""``nextoffer``: the commands, and what becomes of errors.

Exit codes: 0 done · 1 an unexpected fault · 2 the input or the command line is wrong, nothing was written · 3 a saved
model is damaged · 4 two things compared are not the same · 5 monitoring found a light that it was told to fail on.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from nextoffer import __version__
from nextoffer.cli import (
    allocate,
    card,
    check,
    demo,
    evaluate,
    evaluate_policy,
    experiment,
    explain,
    export,
    fairness,
    fit,
    monitor,
    policy,
    recommend,
    score,
    simulate,
    simulate_policy,
    validate,
)
from nextoffer.errors import NextOfferError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Which products to offer each customer next, in which order, and why.\n\n"
    "Exit codes: 0 done, 2 the input is wrong and nothing was written, 3 a saved model is damaged, "
    "5 monitoring found a light that it was told to fail on.",
)
for command in (
    demo.demo,
    check.check,
    fit.fit,
    recommend.recommend,
    allocate.allocate,
    export.export,
    score.score,
    evaluate.evaluate,
    evaluate_policy.evaluate_policy,
    explain.explain,
    card.card,
    validate.validate,
    fairness.fairness,
    monitor.monitor,
    simulate_policy.simulate_policy,
):
    app.command(no_args_is_help=command is not demo.demo)(command)
app.add_typer(policy.app, name="policy")
app.add_typer(experiment.app, name="experiment")
app.add_typer(simulate.app, name="simulate")


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    """Which products to offer each customer next, in which order, and why."""
    if show:
        typer.echo(f"nextoffer {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; an error that the user can mend becomes a message and an exit code."""
    try:
        app(prog_name="nextoffer")
    except NextOfferError as error:
        for problem in error.problems:
            typer.echo(f"error: {problem}", err=True)
        sys.exit(error.exit_code)
