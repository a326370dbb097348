"""``nextoffer simulate``: banks whose truth is known, and A/B tests played against it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pyarrow as pa

    from nextoffer.simulate.folder import Progress

app = typer.Typer(help="Make banks whose truth is known, and play A/B tests against it.", no_args_is_help=True)

_Out = Annotated[Path, typer.Option(help="Folder to write; it appears when all is written.", show_default=False)]
_Customers = Annotated[int, typer.Option(min=2, help="How many customers.")]
_Seed = Annotated[int, typer.Option(help="The same seed makes the same bank.")]
_Force = Annotated[bool, typer.Option("--force", help="Replace the folder if it is not empty.")]


@app.command()
def reference(
    out: _Out,
    customers: _Customers = 1200,
    products: Annotated[int, typer.Option(min=2, help="How many products.")] = 12,
    seed: _Seed = 7,
    force: _Force = False,
) -> None:
    """Make a bank by the recipe of the reference case study, of any size.

    Beside the bank's tables it writes truth.parquet (every pair's true score) and evaluation.parquet (every eligible
    pair's label in the last two campaigns).

    Example: nextoffer simulate reference --out world --customers 100000 --seed 11
    """
    from nextoffer.simulate.reference import generate

    with _bar("Reference world") as progress:
        generate(out, customers=customers, products=products, seed=seed, force=force, progress=progress)
    _written(out)


@app.command()
def retail(
    out: _Out,
    customers: _Customers = 10_000,
    seed: _Seed = 7,
    dirty: Annotated[bool, typer.Option("--dirty", help="Add bad rows of every kind; dirty.json counts them.")] = False,
    force: _Force = False,
) -> None:
    """Make a richer bank: life stages, salaries, needs, consents, risk, and offers that help some and annoy others.

    Beside the bank's tables it writes truth.parquet: for every pair the probability of taking the product up with an
    offer (p_treated) and without (p_control).

    Example: nextoffer simulate retail --out bank --customers 50000 --dirty
    """
    from nextoffer.simulate.retail import generate

    with _bar("Retail bank") as progress:
        generate(out, customers=customers, seed=seed, dirty=dirty, force=force, progress=progress)
    _written(out)


@app.command()
def ab(
    truth: Annotated[Path, typer.Option(help="truth.parquet of a simulated bank.", show_default=False)],
    control: Annotated[Path, typer.Option(help="Offers of the strategy in place.", show_default=False)],
    treatment: Annotated[Path, typer.Option(help="Offers of the strategy under test.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Who is in which arm, and every answer.")] = 7,
    bank: Annotated[
        Path | None,
        typer.Option(help="The bank, to tell also what the offers really earn.", metavar="BANK", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Play two strategies against a known truth: the lift an A/B test would report, and the lift there is.

    Offers are files (.parquet or .csv) with customer_id and product_id, and rank where a customer has several. With
    --bank it also tells the true profit of both, and their difference with its interval: what offers add to
    acceptances, times margin less benefit and expected loss, less the cost of contacts.

    Example: nextoffer simulate ab --truth world/truth.parquet --control old.parquet --treatment offers.parquet

    Example: nextoffer simulate ab --truth bank/truth.parquet --bank bank --control old.csv --treatment offers.csv
    """
    from nextoffer.simulate.ab import simulate_ab
    from nextoffer.simulate.profit import true_profit
    from nextoffer.tables.bank import Bank

    known, before, after = _table(truth), _table(control), _table(treatment)
    result = simulate_ab(known, before, after, seed=seed)
    profit = true_profit(known, before, after, Bank.read(bank)) if bank else None
    if as_json:
        more = {"true_profit": profit.to_dict()} if profit else {}
        typer.echo(json.dumps(result.to_dict() | more, indent=2))
        return
    typer.echo(result.summary())
    if profit:
        typer.echo(profit.summary())


def _table(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    from nextoffer.errors import BankError

    readers = {".parquet": pyarrow.parquet.read_table, ".csv": pyarrow.csv.read_csv}
    if path.suffix not in readers:
        raise BankError(f"{path.name} ends in '{path.suffix}'; needed is one of {', '.join(readers)}")
    try:
        return readers[path.suffix](path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BankError(f"{path} cannot be read: {error}") from error


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _written(folder: Path) -> None:
    names = ", ".join(sorted(path.name for path in folder.iterdir()))
    typer.echo(f"{folder}: {names}")
