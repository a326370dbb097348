"""Nightly batch: decisions, refusals and scores of every customer, streamed to files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from nextoffer.errors import NextOfferError
from nextoffer.policy.batch import Batch
from nextoffer.policy.ranking import OFFERED, ranked
from nextoffer.policy.stages import RULES, stage_of
from nextoffer.run.engine import CHUNK, Engine
from nextoffer.tables.bank import Bank
from nextoffer.tables.write import TableWriter

Progress = Callable[[int], None]
"""Called with the number of customers just done."""

_BEFORE_RANKING = ("consent", "eligibility")


@dataclass(frozen=True)
class Files:
    """Where a batch writes to."""

    decisions: Path
    refusals: Path


@dataclass(frozen=True)
class Written:
    """What a batch wrote: customers seen, and rows of each file."""

    customers: int
    decisions: int
    refusals: int


def refusals_path(out: Path) -> Path:
    """Return where refusals go beside the decisions: ``offers.parquet`` → ``offers.refusals.parquet``."""
    return out.with_name(f"{out.stem}.refusals{out.suffix}")


def recommend_to_files(
    engine: Engine,
    bank: Bank,
    out: Files,
    *,
    as_of: date | None = None,
    chunk: int = CHUNK,
    progress: Progress = lambda _: None,
) -> Written:
    """Decide for every customer and write decisions and refusals; both files appear when both are whole.

    Raises
    ------
    NextOfferError
        A file has another ending than ``.parquet`` and ``.csv``, both are the same, or there are no customers.
    """
    if out.decisions.resolve() == out.refusals.resolve():
        raise NextOfferError(f"decisions and refusals cannot both go to {out.decisions}")
    day = as_of or engine.as_of
    customers = 0
    with ExitStack() as files:
        first, second = (files.enter_context(TableWriter(path)) for path in (out.decisions, out.refusals))
        for batch in engine.batches(bank, as_of=day, chunk=chunk):
            decided = engine.decide(batch, day)
            first.write(decided.decisions)
            second.write(decided.refusals)
            customers += batch.shape[0]
            progress(batch.shape[0])
        if not customers:
            raise NextOfferError("the bank has no customers to decide for")
    return Written(customers, first.rows, second.rows)


def score_to_file(
    engine: Engine,
    bank: Bank,
    out: Path,
    *,
    as_of: date | None = None,
    chunk: int = CHUNK,
    progress: Progress = lambda _: None,
) -> int:
    """Write customer_id, product_id, score and propensity of every eligible pair; return the number of rows."""
    with TableWriter(out) as file:
        for batch in engine.batches(bank, as_of=as_of, chunk=chunk):
            file.write(eligible_scores(engine, batch))
            progress(batch.shape[0])
        if not file.started:
            raise NextOfferError("the bank has no customers to score")
    return file.rows


def eligible_scores(engine: Engine, batch: Batch) -> pa.Table:
    """Return the scores of every pair that consent and eligibility allow, before cutoff, caps and top-N."""
    ranking = ranked(batch, engine.policy, engine.policy.seed)
    blocking = [i for i, rule in enumerate(RULES) if stage_of(rule) in _BEFORE_RANKING]
    rows, cols = np.nonzero((ranking.rule == OFFERED) | ~np.isin(ranking.rule, blocking))
    return pa.table(
        {
            "customer_id": batch.features.customer_ids.take(pa.array(rows)),
            "product_id": batch.products.column("product_id").take(pa.array(cols)),
            "score": ranking.score[rows, cols],
            "propensity": ranking.propensity[rows, cols],
        }
    )
