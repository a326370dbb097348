"""``nextoffer score``: the score of every eligible pair, to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextoffer.cli.options import AsOf, BankFolder, ModelFolder, PolicyFile, customers_bar


def score(
    bank: BankFolder,
    model: ModelFolder,
    out: Annotated[Path, typer.Option(help="Scores, .parquet or .csv.", show_default=False)],
    as_of: AsOf = None,
    policy: PolicyFile = None,
) -> None:
    """Score every customer and product that consent and eligibility allow, before cutoff, caps and top-N.

    Columns: customer_id, product_id, score (what is sorted), propensity (calibrated probability of acceptance).

    Example: nextoffer score my_bank --model model --as-of 2025-10-11 --out scores.parquet
    """
    from nextoffer.policy.file import Policy
    from nextoffer.run.batch import score_to_file
    from nextoffer.run.engine import Engine
    from nextoffer.run.labels import customer_count
    from nextoffer.tables.bank import Bank

    engine = Engine.load(model)
    engine = engine.with_policy(Policy.read(policy)) if policy else engine
    source = Bank.read(bank)
    with customers_bar("Scoring", customer_count(source)) as progress:
        rows = score_to_file(engine, source, out, as_of=as_of.date() if as_of else None, progress=progress)
    typer.echo(f"{out}: {rows:,} pairs")
