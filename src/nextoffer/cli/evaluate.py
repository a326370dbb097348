"""``nextoffer evaluate``: a time-split backtest against challenger and baselines."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextoffer.cli.options import AsJson, BankFolder, PolicyFile, steps

if TYPE_CHECKING:
    import pyarrow as pa

    from nextoffer.run.backtest import Evaluation

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
        Path | None, typer.Option(help="Folder for report.html and metrics.csv.", show_default=False)
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="Also judge by this customer column, e.g. segment; may be repeated.")
    ] = None,
    policy: PolicyFile = None,
    challenger: Annotated[bool, typer.Option(help="Also fit LightGBM.")] = True,
    as_json: AsJson = False,
) -> None:
    """Judge the glass box, LightGBM and the baselines on the same later offers, with 95 % intervals.

    In a simulated bank (truth.parquet beside the tables) also the best any model could do, and the share of it reached.

    Example: nextoffer evaluate my_bank --as-of 2025-10-11 --by segment --out report
    """
    from nextoffer.evaluate.page import render
    from nextoffer.policy.file import Policy
    from nextoffer.run.backtest import Options
    from nextoffer.run.backtest import evaluate as run
    from nextoffer.run.report import evaluation_page
    from nextoffer.tables.bank import Bank
    from nextoffer.tables.write import atomic_path, write_table

    options = Options(as_of.date() if as_of else None, challenger, tuple(by or ()))
    with steps() as step:
        evaluation = run(Bank.read(bank), Policy.read(policy), options=options, step=step)
        if out is not None:
            step("Writing the report")
            write_table(evaluation.found.report, out / "metrics.csv")
            with atomic_path(out / "report.html") as temporary:
                temporary.write_text(render(evaluation_page(evaluation)), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(evaluation.found.report.to_pylist(), indent=1))
    else:
        show(evaluation)
        if out is not None:
            typer.echo(f"{out / 'report.html'} and {out / 'metrics.csv'} are written")


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
