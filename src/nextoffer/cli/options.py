"""Options that several commands share, and the progress they show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

BankFolder = Annotated[
    Path, typer.Argument(metavar="BANK", help="The bank's folder, or its bank.toml.", show_default=False)
]
ModelFolder = Annotated[
    Path, typer.Option("--model", metavar="FOLDER", help="A model saved by fit.", show_default=False)
]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of", metavar="DATE", help="The day decided for; the day of the fit if left out.", formats=["%Y-%m-%d"]
    ),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy", metavar="FILE", help="A policy.toml; the policy of the model, or else the reference's, if left out."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for machines.")]


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Show a spinner with what is being done, on standard error."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("Starting") as status:
        yield status.update


@contextmanager
def customers_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar over customers with rate and time left, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("customers"),
        TextColumn("{task.fields[rate]}"),
        Elapsed(),
        Remaining(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total, rate="")

        def advance(done: int) -> None:
            bar.advance(task, done)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:,.0f}/s" if speed else "")

        yield advance
