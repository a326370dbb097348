"""``nextoffer evaluate``: a time-split backtest against challenger and baselines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nextoffer.cli.options import AsJson, BankFolder, PolicyFile

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table as RichTable

    from nextoffer.run.backtest import Evaluation
    from nextoffer.run.trials import Tried

_SHOWN = ("ndcg@5", "map@5", "precision@5", "recall@5", "hit_rate@5", "mrr@5", "auc", "log_loss", "calibration_error")
_TRUTH = ("top_response", "ndcg@5 share of achievable", "top_response share of achievable")


def evaluate(
    bank: BankFolder,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            help="Train before this day, judge from it on; the last third of the offers if left out.",
            formats=["%Y-%m-%d"],
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, metrics.csv, figures.json and tables.", show_default=False),
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="Also judge by this customer column, e.g. segment; may be repeated.")
    ] = None,
    policy: PolicyFile = None,
    challenger: Annotated[bool, typer.Option(help="Also fit LightGBM.")] = True,
    also: Annotated[
        list[str] | None, typer.Option(help="Also judge choice, or the peers ease and als; may be repeated.")
    ] = None,
    origins: Annotated[
        str,
        typer.Option(
            metavar="N|DATES",
            help="Fit and judge anew from so many days, or from these: 2025-09-13,2025-09-27.",
            show_default=False,
        ),
    ] = "",
    ablations: Annotated[
        bool,
        typer.Option("--ablations", help="Fit again without transactions, history, collaborative signals or affinity."),
    ] = False,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Fit again on 10, 20 and 50 % of the customers.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Judge the glass box, LightGBM and the baselines on the same later offers, with 95 % intervals.

    In a simulated bank (truth.parquet beside the tables) also the best any model could do, and the share of it reached.

    How many fits it takes is said beforehand.

    Example: nextoffer evaluate my_bank --as-of 2025-10-11 --by segment --origins 3 --out report
    """
    from nextoffer.policy.file import Policy
    from nextoffer.run.backtest import Options
    from nextoffer.run.trials import Trials, tried
    from nextoffer.tables.bank import Bank

    options = Options(as_of.date() if as_of else None, challenger, tuple(by or ()), also=tuple(also or ()))
    trials = Trials(_origins(origins), ablations, learning_curve)
    fits = trials.fits(options)
    source, rules = Bank.read(bank), Policy.read(policy)
    if trials.asked:
        typer.echo(f"{fits} fits", err=True)
    with fits_bar(fits) as (step, done):
        found = tried(source, rules, trials, options=options, step=step, done=done)
        if out is not None:
            step("Writing the report")
        written = found.write(out) if out is not None else ()
    if as_json:
        rows = found.report.to_pylist()
        typer.echo(json.dumps(found.to_dict() if trials.asked else rows, indent=1))
        return
    show(found.evaluation)
    show_trials(found)
    if out is not None:
        typer.echo(f"{out}: {', '.join(written)}")


def _origins(asked: str) -> int | tuple[date, ...]:
    """A number of days, or days parted by commas."""
    if not asked:
        return 0
    try:
        return int(asked) if asked.isdecimal() else tuple(date.fromisoformat(part.strip()) for part in asked.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"'{asked}' is neither a number of days nor dates such as 2025-09-13,2025-09-27", param_hint="--origins"
        ) from None


@contextmanager
def fits_bar(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[int], None]]]:
    """Show a progress bar over fits with what is being done and the time left, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("fits"))
    with Progress(*columns, Elapsed(), Remaining(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Starting", total=total)
        yield lambda what: bar.update(task, description=what), lambda fits: bar.advance(task, fits)


def show_trials(found: Tried) -> None:
    """Print what was tried besides the backtest, and what could not be."""
    from rich.console import Console

    console = Console(width=130)
    titles = {
        "origins": ("Judged from several days, learned before each", "split"),
        "ablations": ("With something left out, minus glassbox", ""),
        "learning_curve": ("Learned from a part of the customers", "share"),
    }
    for name, (title, across) in titles.items():
        rows = found.tables[name].to_pylist() if name in found.tables else []
        if rows:
            console.print(_trial(title, [r for r in rows if r["metric"] in ("ndcg@5", "auc")], across))
    of_uplift = (*found.uplift.sentences, *found.uplift.notes) if found.uplift else ()
    for words in (*of_uplift, *found.notes):
        typer.echo(words)


def _trial(title: str, rows: list[dict[str, Any]], across: str) -> RichTable:
    """A row for each metric and model, a column for each day or share with the interval beneath."""
    from rich.table import Table

    places = list(dict.fromkeys(str(r[across]) if across else "difference" for r in rows))
    table = Table(title=title, title_justify="left")
    for column in ("metric", "model"):
        table.add_column(column)
    for place in places:
        table.add_column(place, justify="right")
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for r in rows:
        told = f"{r['estimate']:.4f}\n{r['low']:.4f}…{r['high']:.4f}"
        cells.setdefault((r["metric"], r.get("model", "glassbox")), {})[str(r[across]) if across else "difference"] = (
            told
        )
    for (metric, model), found in cells.items():
        table.add_row(metric, model, *(found.get(place, "") for place in places))
    return table


def show(evaluation: Evaluation) -> None:
    """Print the headline figures of every model."""
    from rich.console import Console
    from rich.table import Table

    report = evaluation.found.report
    metrics = [m for m in (*_SHOWN, *_TRUTH) if m in report.column("metric").to_pylist()]
    table = Table(title=f"Trained before {evaluation.split}, judged on what came after (95 % intervals)")
    table.add_column("")
    cells = _cells(report)
    models = list(dict.fromkeys(r["model"] for r in report.to_pylist()))
    for model in models:
        table.add_column(model, justify="right")
    for metric in metrics:
        table.add_row(metric, *(cells.get((metric, model), "") for model in models))
    Console(width=max(100, 20 + 18 * len(models))).print(table)


def _cells(report: pa.Table) -> dict[tuple[str, str], str]:
    return {
        (row["metric"], row["model"]): f"{row['estimate']:.4f}\n{row['low']:.3f}…{row['high']:.3f}"
        for row in report.to_pylist()
        if row["group"] == "all"
    }
