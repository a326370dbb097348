"""``nextoffer experiment``: A/B tests planned, assigned and read."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextoffer.cli.options import AsJson, steps

if TYPE_CHECKING:
    from nextoffer.experiment.assigning import Assigned
    from nextoffer.experiment.file import Experiment
    from nextoffer.experiment.planning import Plan
    from nextoffer.experiment.reading import Reading

app = typer.Typer(help="Plan, assign and read A/B tests.", no_args_is_help=True)

ExperimentFile = Annotated[
    Path, typer.Option("--experiment", metavar="FILE", help="An experiment.toml.", show_default=False)
]
Where = Annotated[
    Path,
    typer.Argument(
        metavar="BANK|TABLE", help="A bank's folder or bank.toml; or a .parquet or .csv.", show_default=False
    ),
]
_DAY = ["%Y-%m-%d"]


@app.command(no_args_is_help=True)
def plan(
    experiment: Annotated[
        Path | None,
        typer.Option("--experiment", metavar="FILE", help="An experiment.toml with base and lift of its metrics."),
    ] = None,
    base_rate: Annotated[
        float | None, typer.Option(help="Share of the control's customers that convert.", show_default=False)
    ] = None,
    lift: Annotated[
        float | None, typer.Option(help="Smallest lift worth finding: 0.1 is 10 % more.", show_default=False)
    ] = None,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="--lift is a difference: of rates, or in the value's unit.")
    ] = False,
    mean: Annotated[
        float | None, typer.Option(help="Mean value of the control's customers, instead of a rate.", show_default=False)
    ] = None,
    sd: Annotated[float | None, typer.Option(help="Standard deviation of the value.", show_default=False)] = None,
    correlation: Annotated[
        float, typer.Option(min=0, max=0.999, help="Of the metric with what is known before (CUPED).")
    ] = 0.0,
    share: Annotated[
        list[float] | None,
        typer.Option(help="Share of an arm, the control's first; once for each. Two halves if left out."),
    ] = None,
    power: Annotated[float, typer.Option(min=0.51, max=0.999, help="Probability of finding the lift.")] = 0.8,
    level: Annotated[float, typer.Option(min=0.51, max=0.9999, help="1 - probability of a false alarm.")] = 0.95,
    one_sided: Annotated[bool, typer.Option("--one-sided", help="Look for an improvement only.")] = False,
    per_day: Annotated[
        float | None, typer.Option(help="Customers who come in each day, for the duration.", show_default=False)
    ] = None,
    sequential: Annotated[
        bool, typer.Option("--sequential", help="The test may be looked at any day, and ended by what is seen.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say how many customers a test needs, and for how long it runs.

    For one metric by options, or for all metrics of an experiment.toml. Several arms are planned so that no more than
    the level allows is found by chance among all of them.

    Example: nextoffer experiment plan --base-rate 0.04 --lift 0.1 --per-day 2000 --sequential

    Example: nextoffer experiment plan --mean 52 --sd 180 --lift 4 --absolute --correlation 0.6 --share 0.5 --share 0.5
    """
    from nextoffer.experiment.file import Experiment
    from nextoffer.experiment.planning import plan as planned

    if experiment is not None:
        test = Experiment.read(experiment)
    else:
        arms = share or [0.5, 0.5]
        metric: dict[str, object] = {
            "name": "conversion" if mean is None else "value",
            "kind": "conversion" if mean is None else "value",
            "base": base_rate if mean is None else mean,
            "lift": lift,
            "absolute": absolute,
            "sd": sd,
            "correlation": correlation,
        }
        test = _described(metric, arms, level, power, (1 if one_sided else 2, sequential, per_day))
    found = planned(test)
    typer.echo(json.dumps(found.to_dict(), indent=2) if as_json else _plan_told(found))


def _described(
    metric: dict[str, object],
    arms: list[float],
    level: float,
    power: float,
    rest: tuple[int, bool, float | None],
) -> Experiment:
    """The experiment that the options describe; what is wrong with them is told as for a file."""
    from pydantic import ValidationError

    from nextoffer.errors import ExperimentError
    from nextoffer.experiment.file import Experiment
    from nextoffer.toml import problems

    sides, sequential, per_day = rest
    names = ["control", *(["treatment"] if len(arms) == 2 else [f"arm {i}" for i in range(1, len(arms))])]
    content = {
        "name": "plan",
        "starts": "2000-01-01",
        "level": level,
        "power": power,
        "sides": sides,
        "interval": "sequential" if sequential else "fixed",
        "per_day": per_day,
        "arm": [{"name": name, "share": part} for name, part in zip(names, arms, strict=True)],
        "metric": [metric],
    }
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise ExperimentError(problems(error, Experiment, where="plan", content=content)) from None


def _plan_told(found: Plan) -> str:
    terms, lines = found.terms, []
    for name, n in zip(found.arms, found.per_arm, strict=True):
        lines.append(f"{name:<16} {n:>12,} customers")
    lines.append(f"{'in all':<16} {found.customers:>12,} customers")
    if found.days is not None:
        lines.append(f"{'duration':<16} {found.days:>12,} days")
    lines.append("")
    for need in found.metrics:
        told = f"{need.metric}: {need.base:g} to {need.wished:g} needs {need.customers:,} customers"
        if need.usual is not None:
            dearer = need.customers / need.fixed - 1
            told += (
                f" at most; read once, at the end, {need.fixed:,} would do: looking any day costs {dearer:+.0%}. "
                f"If the lift is just that, the test ends after {need.usual:,} on average; if it is larger, sooner"
            )
        lines.append(f"{told}.")
    if found.expected is not None:
        enough = "enough" if found.expected >= found.customers else "too few"
        lines.append(f"As the file has it, there will be {found.expected:,} customers: {enough}.")
    chance = "finds the lift" if terms.sides == 2 else "finds the improvement"
    shared = f", shared by {terms.comparisons} comparisons" if terms.comparisons > 1 else ""
    lines.append(
        f"Such a test {chance} with probability {terms.power:.0%}; false alarms: {1 - terms.level:.2g}{shared}."
    )
    return "\n".join(lines)


@app.command(no_args_is_help=True)
def assign(
    where: Where,
    experiment: ExperimentFile,
    out: Annotated[Path, typer.Option(help="The assignment, .parquet or .csv.")] = Path("assignment.parquet"),
    on: Annotated[
        datetime | None,
        typer.Option(metavar="DATE", help="Day written as assigned_on; the test's start if left out.", formats=_DAY),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An earlier assignment: who is in it stays.", show_default=False),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="An experiment.toml that runs at the same time; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Deal the customers to the arms: the same customer always to the same arm.

    Customers in the holdout, not eligible, or outside the layer's range are in no arm and not in the file. The arms'
    numbers are checked against their shares.

    Example: nextoffer experiment assign my_bank --experiment experiment.toml --out assignment.parquet
    """
    from nextoffer.experiment.file import Experiment
    from nextoffer.run.experiment import assign_customers
    from nextoffer.tables.write import write_table

    test = Experiment.read(experiment)
    others = [Experiment.read(path) for path in beside or ()]
    with steps() as step:
        step("Assigning")
        found = assign_customers(where, test, on=on.date() if on else test.starts, before=keep, beside=others)
        write_table(found.table, out)
    typer.echo(json.dumps(_assigned(found, out), indent=2) if as_json else _assigned_told(found, out))


def _assigned(found: Assigned, out: Path) -> dict[str, object]:
    check = found.check
    return {
        "out": str(out),
        "customers": found.table.num_rows,
        "kept": found.kept,
        "left_out": dict(found.left_out),
        "new": dict(zip(check.arms, check.found, strict=True)),
        "expected": dict(zip(check.arms, check.expected, strict=True)),
        "p_value": check.p_value if sum(check.found) else None,
        "broken": check.broken,
    }


def _assigned_told(found: Assigned, out: Path) -> str:
    lines = [f"{out}: {found.table.num_rows:,} customers"]
    if found.kept:
        lines.append(f"{found.kept:>11,}  keep the arm they had")
    lines += [f"{n:>11,}  {arm}" for arm, n in zip(found.check.arms, found.check.found, strict=True)]
    lines += [f"{n:>11,}  in no arm: {why}" for why, n in found.left_out.items()]
    return "\n".join([*lines, found.check.verdict])


@app.command(no_args_is_help=True)
def read(
    where: Where,
    experiment: ExperimentFile,
    assignment: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What assign wrote; a table may have a column arm instead.", show_default=False
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(metavar="DATE", help="Last day to look at; the last there is if left out.", formats=_DAY),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page of it, .html.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a test has found: lifts with intervals, guardrails, and a verdict in words.

    From a bank's own tables, or from a table with a row per customer. With interval = "sequential" it may be read every
    day.

    Example: nextoffer experiment read my_bank --experiment experiment.toml --assignment assignment.parquet

    Example: nextoffer experiment read results.csv --experiment experiment.toml --out reading.html
    """
    from nextoffer.evaluate.page import render
    from nextoffer.experiment.file import Experiment
    from nextoffer.run.experiment import read_test, reading_page, told
    from nextoffer.tables.write import atomic_path

    test = Experiment.read(experiment)
    with steps() as step:
        step("Reading the test")
        reading = read_test(where, test, assignment=assignment, until=until.date() if until else None)
        if out is not None:
            with atomic_path(out) as temporary:
                temporary.write_text(render(reading_page(reading)), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(told(reading), indent=2))
        return
    show(reading)
    if out is not None:
        typer.echo(f"{out} is written")


def show(reading: Reading) -> None:
    """Print the verdict, what each arm did, and every lift."""
    from rich.console import Console
    from rich.table import Table

    typer.echo(reading.verdict.headline)
    for finding in reading.verdict.findings:
        if finding.sentence not in reading.verdict.headline:
            typer.echo(finding.sentence)
    for note in reading.notes:
        typer.echo(f"Note: {note}")
    if reading.verdict.code in ("broken", "nothing"):
        return
    typer.echo(f"{reading.check.verdict} Until {reading.until}, {reading.share:.0%} of what was planned is in.")
    table = Table(title="Lifts over the control", title_justify="left")
    for name in ("metric", "arm", "interval", "lift", "difference", "p"):
        table.add_column(name, justify="left" if name in ("metric", "arm", "interval") else "right")
    rows = reading.lifts.to_pylist()
    for absolute, relative in zip(rows[::2], rows[1::2], strict=True):
        when = "any day" if absolute["method"] == "sequential" else "once"
        table.add_row(
            absolute["metric"],
            absolute["arm"],
            f"{when}{', adjusted' if absolute['adjusted'] else ''}",
            _cell(relative, "+.1%"),
            _cell(absolute, "+.4g"),
            f"{absolute['p_value']:.2g}",
        )
    Console(width=120).print(table)


def _cell(row: dict[str, float], form: str) -> str:
    if row["low"] != row["low"]:
        return "not known"
    return f"{row['estimate']:{form}} ({row['low']:{form}} to {row['high']:{form}})"
