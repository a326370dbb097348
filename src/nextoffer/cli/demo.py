"""``nextoffer demo``: the reference case study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextoffer.cli.options import AsJson, steps

if TYPE_CHECKING:
    from rich.console import Console

    from nextoffer.run.case_study import CaseStudy


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo writes.")] = Path("demo"),
    customers: Annotated[int, typer.Option(min=50, help="How many customers.")] = 1200,
    seed: Annotated[int, typer.Option(help="The same seed makes the same bank.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Run the reference case study: make a bank, learn, judge, test, and recommend to every customer with reasons.

    Example: nextoffer demo --out demo
    """
    from nextoffer.run.case_study import case_study

    with steps() as step:
        study = case_study(out, customers=customers, seed=seed, step=step)
    if as_json:
        typer.echo(json.dumps(_plain(study), indent=2))
    else:
        _show(study)


def _plain(study: CaseStudy) -> dict[str, object]:
    return {
        "gate": [c.to_dict() for c in study.gate],
        "ab_test": study.test.to_dict(),
        "report": study.evaluation.found.report.to_pylist(),
        "decisions": study.decided.decisions.num_rows,
        "seconds": study.seconds,
    }


def _show(study: CaseStudy) -> None:
    from rich.console import Console

    from nextoffer.cli.evaluate import show

    console = Console()
    _show_offers(study, console)
    show(study.evaluation)
    console.print("\n[bold]A simulated A/B test[/bold] of the glass box against the heuristic")
    typer.echo(study.test.summary())
    console.print("\n[bold]Acceptance gate[/bold]")
    for criterion in study.gate:
        typer.echo(f"  {criterion.sentence()}")
    console.print(f"\n[bold]Written[/bold] to {study.folder}/")
    for path in sorted(study.folder.iterdir()):
        typer.echo(f"  {path.name}")
    spent = sum(study.seconds.values())
    slowest = sorted(study.seconds.items(), key=lambda s: -s[1])[:4]
    typer.echo(f"\n{spent:.1f} s, of which " + ", ".join(f"{name.lower()} {s:.1f} s" for name, s in slowest))


def _show_offers(study: CaseStudy, console: Console) -> None:
    from rich.table import Table

    decisions = study.decided.decisions
    customers = len(decisions.column("customer_id").unique())
    table = Table(title=f"{decisions.num_rows:,} offers to {customers:,} customers; the first of them")
    for name in ("customer", "rank", "product", "propensity", "reasons"):
        table.add_column(name)
    for row in decisions.slice(0, 9).to_pylist():
        offer = f"{row['product_type']} {row['product_id']}"
        reasons = " · ".join(row["reasons"]) or "–"
        table.add_row(str(row["customer_id"]), str(row["rank"]), offer, f"{row['propensity']:.1%}", reasons)
    console.print(table)
    refusals = study.decided.refusals.group_by(["stage", "rule"]).aggregate([([], "count_all")]).to_pylist()
    refusals.sort(key=lambda r: -r["count_all"])
    stopped = ", ".join(f"{r['rule']} {r['count_all']:,}" for r in refusals)
    console.print(f"Not offered: {stopped}\n", highlight=False)
