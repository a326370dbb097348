"""``nextoffer check``: all that is wrong with a bank's tables."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from nextoffer.tables.check import CheckResult

_STYLES = {"fatal": "bold red", "reject": "yellow", "warn": "cyan"}
_WORDS = {"fatal": "fatal", "reject": "set aside", "warn": "warning"}


def check(
    bank: Annotated[Path, typer.Argument(help="The bank's folder, or its bank.toml.", show_default=False)],
    as_of: Annotated[
        datetime | None,
        typer.Option(help="Also report what is dated after this day.", formats=["%Y-%m-%d"], show_default=False),
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(help="Folder to write the rows that are set aside to, with the rules that caught them."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a bank's tables and print all that is wrong with them at once.

    Rows that break a rule are set aside: no other command sees them.

    Exit code 0: the bank can be used. Exit code 2: it cannot, and nothing was written.

    Example: nextoffer check my_bank --as-of 2025-10-11 --rejects rejects
    """
    from nextoffer.features.mcc import spellings
    from nextoffer.tables.check import check as check_tables
    from nextoffer.tables.rejects import write_rejects

    result = check_tables(bank, as_of.date() if as_of else None, known_mcc=spellings())
    written = write_rejects(result, rejects) if rejects is not None and result.usable else {}
    if as_json:
        typer.echo(json.dumps({**result.to_dict(), "rejects_written": written}, indent=2, ensure_ascii=False))
    else:
        _show(result, bank, rejects)
    if not result.usable:
        raise typer.Exit(2)


def _show(result: CheckResult, bank: Path, rejects: Path | None) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    rows = ", ".join(f"{table} {count:,}" for table, count in result.rows.items())
    console.print(f"[bold]{bank}[/bold]  {rows or 'no table could be read'}")
    if result.problems:
        _print_problems(console, result)
    console.print(_verdict(result, rejects))


def _print_problems(console: Console, result: CheckResult) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("severity", "where", "what is wrong", "for example"):
        table.add_column(heading, overflow="fold")
    for problem in result.problems:
        word = f"[{_STYLES[problem.severity]}]{_WORDS[problem.severity]}[/]"
        table.add_row(word, problem.where, escape(problem.message), escape("\n".join(problem.examples)))
    console.print(table)


def _verdict(result: CheckResult, rejects: Path | None) -> str:
    aside, rows = sum(result.set_aside.values()), sum(result.rows.values())
    if not result.usable:
        fatal = sum(p.severity == "fatal" for p in result.problems)
        return f"[bold red]The bank cannot be used[/]: {fatal} fatal. Nothing was written."
    if not result.problems:
        return "[green]The bank can be used[/]; nothing is wrong with it."
    where = f", written to {rejects}" if rejects is not None and aside else ""
    return f"[green]The bank can be used[/]. Rows set aside: {aside:,} of {rows:,}{where}."
