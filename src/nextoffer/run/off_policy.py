"""A new policy judged by a log: a bank's own responses with their pscores, or a file of decisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import expit

from nextoffer.errors import BankError
from nextoffer.evaluate.off_policy import Log, Modelled
from nextoffer.evaluate.off_policy_page import off_policy_page
from nextoffer.evaluate.off_policy_report import Judged
from nextoffer.evaluate.page import render
from nextoffer.models.reward import cross_fitted_rewards, recalibrated
from nextoffer.policy.distribution import rank_chances
from nextoffer.policy.file import Policy
from nextoffer.run.engine import Engine
from nextoffer.run.figures import write_figures
from nextoffer.run.off_policy_log import Decisions
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Floats, Indices

_FEWEST = 50
"""Customers that a reward model is learned from, at least."""


def judged_by_file(path: Path) -> Judged:
    """Return what a file of decisions (Parquet or CSV) says of a new policy.

    Columns: ``action``, ``reward``, ``pscore`` (of the logged action, under the policy that chose it), ``new_pscore``
    (of the same, under the new one); ``customer_id`` where customers were decided for more than once. With a column
    ``new_pscore.<action>`` per action the reward model is used too; it learns from the numbers in columns ``x_…``.

    Raises
    ------
    BankError
        The file cannot be used; all problems are named.
    """
    decisions = Decisions.read(path)
    log, chosen, chances = decisions.log, decisions.chosen, decisions.chances
    if chances is None or chosen is None:
        return Judged.of(log, None, (*decisions.notes, "without new_pscore.<action> columns there is no reward model"))
    customers = int(log.places.max()) + 1
    if customers < _FEWEST:
        few = f"{customers} customers are too few for a reward model; {_FEWEST} are needed"
        return Judged.of(log, None, (*decisions.notes, few))
    actions = chances.shape[1]
    expected = cross_fitted_rewards(decisions.x, chosen, log.rewards, log.places, actions=actions)
    return Judged.of(log, Modelled.of(expected, chosen, chances), decisions.notes)


@dataclass(frozen=True)
class _Day:
    log: tuple[Floats, ...]
    chosen: Indices
    chances: Floats
    propensity: Floats


def judged_by_responses(engine: Engine, bank: Bank, policy: Policy, *, since: date | None = None) -> Judged:
    """Return what a bank's responses since the model's day say of a policy that uses the model.

    Each offer with a pscore is one decision; what the policy would have offered first on that day, with which chance,
    is worked out as of that day. Customers with several offers on a day are left out: their pscores hang on each other.
    The reward model is the ranker, fitted before the offers, recalibrated on other customers' answers.

    Raises
    ------
    BankError
        There are no such responses.
    """
    begin = since or engine.as_of
    offers, notes = _offers(bank, begin)
    judging = engine.with_policy(policy)
    parts = list(_days(judging, bank, offers))
    rewards, pscores, targets = (np.concatenate(each) for each in zip(*(p.log for p in parts), strict=True))
    customers = _ids(offers.column("customer_id"))  # days come one after the other, as the offers do
    chosen, chances = np.concatenate([p.chosen for p in parts]), np.concatenate([p.chances for p in parts])
    propensity = np.concatenate([p.propensity for p in parts])
    log = Log(rewards, pscores, np.minimum(targets, 1.0), customers, chances.sum(axis=1))
    expected = recalibrated(propensity, chosen, rewards, customers)
    if begin < engine.as_of:
        notes += (f"the model was fitted as of {engine.as_of}, after some of these offers: it has seen their answers",)
    return Judged.of(log, Modelled.of(expected, chosen, chances), notes)


def write_judged(found: Judged, folder: Path, *, title: str, facts: Sequence[tuple[str, str]] = ()) -> tuple[str, ...]:
    """Write report.html, figures.json, estimates.parquet and weights.parquet; return their names."""
    page = render(off_policy_page(found, title=title, facts=facts))
    tables = {"estimates": found.table, "weights": found.weights}
    return write_figures(folder, tables=tables, told=found.to_dict(), page=page)


def _offers(bank: Bank, begin: date) -> tuple[pa.Table, tuple[str, ...]]:
    if not bank.has("responses") or "pscore" not in bank.table("responses").column_names:
        raise BankError("responses: no column pscore; without the chance of each offer nothing can be judged by it")
    table = bank.table("responses")
    since = table.filter(pc.greater_equal(table.column("offered_on"), pa.scalar(begin)))
    if "arm" in since.column_names:
        since = since.filter(pc.not_equal(pc.utf8_lower(pc.fill_null(since.column("arm"), "")), "control"))
    known = since.filter((pc.field("pscore") > 0) & (pc.field("pscore") <= 1) & pc.field("label").is_valid())
    keys = known.group_by(["customer_id", "offered_on"]).aggregate([([], "count_all")])
    alone = keys.filter(pc.field("count_all") == 1).select(["customer_id", "offered_on"])
    offers = known.join(alone, ["customer_id", "offered_on"], join_type="inner").sort_by(
        [("offered_on", "ascending"), ("customer_id", "ascending")]
    )
    if not len(offers):
        raise BankError(f"responses: no offers with a pscore since {begin}; say --since, or fit as of an earlier day")
    notes = []
    if len(known) < len(since):
        notes.append(f"{len(since) - len(known):,} offers without a pscore above 0 and at most 1 are left out")
    if len(offers) < len(known):
        notes.append(f"{len(known) - len(offers):,} offers to customers with several on one day are left out")
    if pc.min(offers.column("pscore")).as_py() >= 1:
        notes.append("every pscore is 1: the logged policy left nothing to chance, so the log knows nothing of others")
    return offers, tuple(notes)


def _days(engine: Engine, bank: Bank, offers: pa.Table) -> Iterator[_Day]:
    products = bank.table("products")
    ids = products.column("product_id").combine_chunks()
    for day in pc.unique(offers.column("offered_on")).to_pylist():
        part = offers.filter(pc.field("offered_on") == pa.scalar(day, offers.schema.field("offered_on").type))
        customers = part.column("customer_id").combine_chunks()
        desk = engine.desk(products, day)
        batch = desk.batch(engine.known(bank, customers, as_of=day))
        decider = desk.decider
        chances = rank_chances(batch, decider.book, decider.seed, before=np.zeros((len(part), 0), dtype=np.int16))
        chosen = pc.index_in(part.column("product_id").combine_chunks(), ids).to_numpy(zero_copy_only=False)
        chosen = np.asarray(chosen, dtype=np.intp)
        log = (_numbers(part.column("label")), _numbers(part.column("pscore")), chances[np.arange(len(part)), chosen])
        propensity = expit(np.asarray(batch.scores.log_odds, dtype=np.float64))
        yield _Day(log, chosen, chances, propensity)


def _numbers(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _ids(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    coded = column.combine_chunks().dictionary_encode()
    return np.asarray(coded.indices.to_numpy(), dtype=np.int64)
