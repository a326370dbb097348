"""Nightly batch: decisions, refusals and scores of every customer, streamed to files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Thread
from typing import TypeVar

import numpy as np
import pyarrow as pa

from nextoffer import compiled
from nextoffer.errors import NextOfferError
from nextoffer.policy.batch import Batch
from nextoffer.policy.decide import Decider
from nextoffer.policy.ranking import OFFERED
from nextoffer.policy.rule import stage_of
from nextoffer.run.engine import CHUNK, Engine
from nextoffer.run.journal import Journal, Part
from nextoffer.run.labels import customer_count
from nextoffer.run.namable import closed_columns
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Known
from nextoffer.tables.write import TableWriter

Progress = Callable[[int], None]
"""Called with the number of customers just done."""

THREADS = 2
"""Chunks of customers that are decided side by side."""
AHEAD = 4
"""Chunks that may be read and not yet written."""

COMPILE_FROM = 50_000
"""Customers from which on compiling pays: what it saves is more than the second that loading the kernels takes."""

_BEFORE_RANKING = ("consent", "eligibility", "applicability", "suitability")
_Given = TypeVar("_Given")
_Done = TypeVar("_Done")


@dataclass(frozen=True)
class Files:
    """Where a batch writes to."""

    decisions: Path
    refusals: Path


@dataclass(frozen=True)
class Written:
    """What a batch wrote: customers, rows of each file, and how many customers an earlier run had done already."""

    customers: int
    decisions: int
    refusals: int
    resumed: int = 0


def recommend_to_files(  # noqa: PLR0913  what, from where, to where; and how to go about it
    engine: Engine,
    bank: Bank,
    out: Files,
    *,
    as_of: date | None = None,
    chunk: int = CHUNK,
    resume: bool = False,
    progress: Progress = lambda _: None,
) -> Written:
    """Decide for every customer and write decisions and refusals; both files appear when both are whole.

    What is done is kept beside the files until then (`nextoffer.run.journal`): a run that was stopped, even killed, is
    continued with `resume` and ends in the same files, byte by byte.

    Raises
    ------
    NextOfferError
        A file has another ending than ``.parquet`` and ``.csv``, both are the same, another run is writing them, the
        run to be continued was about something else, or there are no customers.
    """
    day = as_of or engine.as_of
    desk = engine.desk(bank.table("products"), day, closed=closed_columns(bank.config))
    with Journal((out.refusals, out.decisions), _identity(engine, bank, day, chunk), resume=resume) as journal:
        warm = warming(bank)
        customers, last = 0, None
        for part in journal.done():
            customers, last = customers + part.customers, part.last
            progress(part.customers)
        resumed = customers
        warm()

        def decided(known: Known) -> Part:
            made = desk.decide(known)
            ids = known.features.customer_ids
            return Part((made.refusals, made.decisions), len(ids), ids[-1].as_py())

        for part in side_by_side(decided, engine.stream(bank, as_of=day, chunk=chunk, after=last)):
            journal.add(part)
            customers += part.customers
            progress(part.customers)
        if not customers:
            raise NextOfferError("the bank has no customers to decide for")
        refusals, decisions = journal.rows
        journal.finish()
    return Written(customers, decisions, refusals, resumed)


def _identity(engine: Engine, bank: Bank, day: date, chunk: int) -> dict[str, object]:
    """What must be the same for a run to be continued."""
    return {
        "model": engine.model_id,
        "policy": engine.policy.policy_id,
        "as_of": day.isoformat(),
        "chunk": chunk,
        "bank": bank.fingerprint(),
    }


def warming(bank: Bank) -> Callable[[], None]:
    """Begin to load the kernels where there is enough for them to do; return what waits for them."""
    if customer_count(bank) < COMPILE_FROM:
        return lambda: None
    thread = Thread(target=compiled.warm_up, daemon=True)
    thread.start()
    return thread.join


def side_by_side(work: Callable[[_Given], _Done], stream: Iterator[_Given]) -> Iterator[_Done]:
    """Yield the work done on each chunk, in order: some are worked on while a thread of its own reads the next."""
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future[_Done]] = deque()
        try:
            coming = reader.submit(next, stream, None)
            while (given := coming.result()) is not None:
                coming = reader.submit(next, stream, None)
                waiting.append(pool.submit(work, given))
                while len(waiting) > AHEAD or (waiting and waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


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
    warming(bank)()
    desk = engine.desk(bank.table("products"), as_of, closed=closed_columns(bank.config))
    with TableWriter(out) as file:

        def scored(known: Known) -> tuple[pa.Table, int]:
            return eligible_scores(desk.decider, desk.batch(known)), len(known.features)

        for table, customers in side_by_side(scored, engine.stream(bank, as_of=as_of, chunk=chunk)):
            file.write(table)
            progress(customers)
        if not file.started:
            raise NextOfferError("the bank has no customers to score")
    return file.rows


def eligible_scores(decider: Decider, batch: Batch) -> pa.Table:
    """Return the scores of every pair that consent and eligibility allow, before cutoff, caps and top-N.

    A score is null where an offer's value is not known and counts.
    """
    ranking = decider.ranked(batch)
    blocking = [i for i, rule in enumerate(decider.book.names) if stage_of(rule) in _BEFORE_RANKING]
    rows, cols = np.nonzero((ranking.rule == OFFERED) | ~np.isin(ranking.rule, blocking))
    score = ranking.score[rows, cols]
    return pa.table(
        {
            "customer_id": batch.features.customer_ids.take(pa.array(rows)),
            "product_id": batch.products.column("product_id").take(pa.array(cols)),
            "score": pa.array(score, mask=np.isnan(score)),
            "propensity": ranking.propensity[rows, cols],
        }
    )
