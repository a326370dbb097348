"""Measures whether groups of customers get on equally under a policy: everybody is decided for, stage by stage.

Customers stream chunk by chunk on the path that decides. Sensitive columns are read beside it, for the sums alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import expit

from nextoffer.errors import BankError, NextOfferError, did_you_mean
from nextoffer.evaluate.fair_words import About, Told, headline
from nextoffer.evaluate.fairness import BEST, LARGEST, Fairness, Groups, Judging
from nextoffer.evaluate.fairness_page import fairness_page
from nextoffer.evaluate.funnel import Answers, Fared, Funnel, Scopes, discount, funnel, steps
from nextoffer.evaluate.outcome import Group, ranks_of
from nextoffer.evaluate.page import render
from nextoffer.policy.batch import Batch
from nextoffer.policy.file import Policy
from nextoffer.policy.ranking import Ranking
from nextoffer.policy.rule import stage_of
from nextoffer.policy.worth import worth_of
from nextoffer.run.batch import Progress, side_by_side, warming
from nextoffer.run.engine import CHUNK, Engine
from nextoffer.run.fair_groups import Column, columns_of, groups_of
from nextoffer.run.figures import write_figures
from nextoffer.run.labels import OFFER_MADE
from nextoffer.run.namable import closed_columns
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Floats, Known

_ANSWERED = ("customer_id", "product_id", "label")


@dataclass(frozen=True)
class Options:
    """How fairness is measured.

    Attributes
    ----------
    as_of
        The day decided for; the fit's by default. Answers to offers from this day on tell opportunity and calibration.
    by
        Customer columns; all sensitive ones if empty.
    judging
        How groups are compared.
    chunk
        Customers at a time; does not change the figures.
    """

    as_of: date | None = None
    by: Sequence[str] = ()
    judging: Judging = field(default_factory=Judging)
    chunk: int = CHUNK


@dataclass(frozen=True)
class Measured:
    """How fair a policy is to the groups of a bank.

    Attributes
    ----------
    fairness
        The figures.
    about
        Of which bank, model and policy.
    worth
        float64 (…, 2, 2): sum, and sum of squares over customers, of the expected value of their first offer and of all
        their offers: under each policy, and then each later policy's difference to the first.
    policies
        The figures of each policy that was tried beside each other; `fairness` is those of the last.
    remedy
        What the last policy remedies against the first, where it was made to.
    """

    fairness: Fairness
    about: About
    worth: Floats
    policies: tuple[Fairness, ...]
    remedy: Told | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values: what it is about, the verdict, and every table as a list of rows."""
        tables = {name: table.to_pylist() for name, table in self.fairness.tables.items()}
        told = {**vars(self.about), "headline": headline(self.fairness, self.about), "tables": tables}
        return told if self.remedy is None else {**told, "remedy": self.remedy.to_dict()}

    def write(self, folder: Path) -> tuple[str, ...]:
        """Write ``report.html``, ``figures.json`` and each table as Parquet; return the names of the files."""
        page = render(fairness_page(self.fairness, self.about, self.remedy))
        return write_figures(folder, tables=self.fairness.tables, told=self.to_dict(), page=page)


def measured(
    engine: Engine,
    bank: Bank,
    *policies: Policy,
    options: Options | None = None,
    progress: Progress = lambda _: None,
) -> Measured:
    """Return how the groups of a bank fare under a policy (the model's by default), or under several side by side.

    Raises
    ------
    BankError
        There are no groups to tell apart, or no customers.
    """
    chosen = options or Options()
    trial = Trial.of(engine, bank, policies or (engine.policy,), chosen)
    warming(bank)()
    seen, total = 0, None
    for part, count in side_by_side(trial.tally, trial.stream()):
        total = part if total is None else total + part
        seen += count
        progress(count)
    if total is None:
        raise NextOfferError("the bank has no customers to decide for")
    found = tuple(Fairness(trial.found(place, total.funnels[place])) for place in range(len(trial.engines)))
    return Measured(found[-1], trial.about(seen, found[-1]), total.worth, found)


@dataclass(frozen=True)
class Beside:
    """What is known of n customers beside what decides: their groups, and answered offers of a later day."""

    groups: dict[str, Group]
    answered: pa.Table


@dataclass(frozen=True)
class _Sums:
    """Funnels by policy and column, and sums of worth."""

    funnels: tuple[tuple[Funnel, ...], ...]
    worth: Floats

    def __add__(self, other: _Sums) -> _Sums:
        both = zip(self.funnels, other.funnels, strict=True)
        funnels = tuple(tuple(a + b for a, b in zip(mine, theirs, strict=True)) for mine, theirs in both)
        return _Sums(funnels, self.worth + other.worth)


@dataclass(frozen=True)
class Trial:
    """An engine under one or several policies before a bank, and the columns that tell its customers apart."""

    engines: tuple[Engine, ...]
    bank: Bank
    columns: tuple[Column, ...]
    products: pa.Table
    scopes: Scopes
    day: date
    options: Options

    @classmethod
    def of(cls, engine: Engine, bank: Bank, policies: Sequence[Policy], options: Options) -> Trial:
        """Return the trial, once the policies are known to fit the bank, and the groups to be there."""
        columns = columns_of(bank, options.by)
        names = [name for column in columns for name in column.groups]
        if options.judging.reference not in (BEST, LARGEST, *names):
            near = did_you_mean(options.judging.reference, (BEST, LARGEST, *names))
            raise BankError(
                f"no group '{options.judging.reference}' to compare with{near}; there are {', '.join(names)}"
            )
        products, day = bank.table("products"), options.as_of or engine.as_of
        engines = tuple(engine.with_policy(policy) for policy in policies)
        desks = [each.desk(products, day, closed=closed_columns(bank.config)) for each in engines]
        offering = desks[0].decider.offering
        told = [n if offering.names.count(n) == 1 else f"{n} {i}" for i, n in enumerate(offering.names, start=1)]
        return cls(engines, bank, columns, products, Scopes.of(told, offering.types.to_pylist()), day, options)

    def stream(self) -> Iterator[tuple[Known, Beside]]:
        """Yield customers with what stands beside them."""
        for known in self.engines[0].stream(self.bank, as_of=self.day, chunk=self.options.chunk):
            yield known, self.beside(known)

    def beside(self, known: Known) -> Beside:
        """Return what stands beside these customers."""
        ids = known.features.customer_ids.combine_chunks()
        return Beside(groups_of(self.bank, self.columns, ids), self._answered(ids))

    def _answered(self, ids: pa.Array) -> pa.Table:
        """Return the offers of the day decided for or later, to these customers: customer_id, product_id, label."""
        if not self.bank.has("responses"):
            return pa.table({name: pa.array([], ids.type if name == "customer_id" else None) for name in _ANSWERED})
        made = f"AND {OFFER_MADE}" if "arm" in self.bank.columns("responses") else ""
        query = f"""
            SELECT r.customer_id AS customer_id, r.product_id AS product_id, r.label AS label
            FROM responses r JOIN asked ON r.customer_id = asked.customer_id
            WHERE r.offered_on >= $day {made}
        """
        asked = {"asked": pa.table({"customer_id": ids})}
        return pa.Table.from_batches(list(self.bank.query(query, {"day": self.day}, asked)))

    def tally(self, customers: tuple[Known, Beside]) -> tuple[_Sums, int]:
        """Return the sums of a chunk under each policy, and its customers."""
        known, beside = customers
        funnels, worth = [], []
        for engine in self.engines:
            desk = engine.desk(self.products, self.day)
            batch = desk.batch(known)
            ranking = desk.decider.ranked(batch)
            fared, answers = _fared(batch, ranking), answers_of(batch, beside.answered)
            funnels.append(tuple(funnel(fared, group, self.scopes, answers) for group in beside.groups.values()))
            worth.append(worth_by_customer(batch, ranking))
        amounts = [*worth, *(each - worth[0] for each in worth[1:])]
        sums = np.array([np.stack([each.sum(axis=0), (each * each).sum(axis=0)], axis=1) for each in amounts])
        return _Sums(tuple(funnels), sums), len(known.features)

    def found(self, place: int, funnels: Sequence[Funnel]) -> tuple[Groups, ...]:
        """Return the figures of a policy."""
        book = self.engines[place].desk(self.products, self.day).decider.book
        stages = tuple(stage_of(name) for name in book.names)
        return tuple(
            Groups(column.label, column.groups, sums, self.scopes, book.names, stages, self.options.judging)
            for column, sums in zip(self.columns, funnels, strict=True)
        )

    def about(self, customers: int, found: Fairness) -> About:
        """Return what the figures are about."""
        engine = self.engines[-1]
        sums = found.columns[0].funnel
        return About(
            bank=self.bank.name,
            as_of=self.day.isoformat(),
            model=engine.model_id,
            policy=engine.policy.policy_id,
            objective=engine.policy.arbitration.objective,
            currency=self.bank.config.currency or "",
            customers=customers,
            by=tuple(column.label for column in self.columns),
            line=self.options.judging.line,
            reference=self.options.judging.reference,
            later_offers=int(sums.answers[1].sum()),
            later_acceptances=int(sums.answers[2].sum()),
        )


def _fared(batch: Batch, ranking: Ranking) -> Fared:
    book, ranks = ranking.book, ranks_of(ranking.rows)
    stages = [stage_of(name) for name in book.names]
    offers = (ranking.rows, ranking.cols, ranks)
    exposure = np.zeros(batch.shape)
    exposure[ranking.rows, ranking.cols] = discount(ranks)
    step = steps(ranking.rule, offers, stages, range(book.first_limit, book.top_n))
    return Fared(step, ranking.rule, exposure, len(book.names))


def answers_of(batch: Batch, answered: pa.Table) -> Answers:
    """Return the answered offers in the places of a batch; offers of products that are no longer there are left out."""
    ids = batch.offering.ids
    products = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    rows, cols = (
        pc.index_in(answered.column(name).cast(there.type), value_set=there).combine_chunks()
        for name, there in (("customer_id", batch.customer_ids), ("product_id", products))
    )
    known = pc.and_(rows.is_valid(), cols.is_valid()).to_numpy(zero_copy_only=False).astype(np.bool_)
    at, of = (each.fill_null(0).to_numpy(zero_copy_only=False)[known].astype(np.intp) for each in (rows, cols))
    label = answered.column("label").cast(pa.float64()).fill_null(0.0).to_numpy()[known]
    stated = expit(np.asarray(batch.scores.log_odds, dtype=np.float64)[at, of])
    return Answers(at, of, np.asarray(label > 0, dtype=np.float64), np.asarray(stated))


def worth_by_customer(batch: Batch, ranking: Ranking) -> Floats:
    """Return the expected value of each customer's first offer and of all offers, float64 (n, 2).

    Offers of products without a margin count nothing; where no product has one, propensities are counted instead.
    """
    worth = worth_of(batch, ranking)
    known = "product.margin" in batch.offering.kinds
    amounts = np.nan_to_num(worth.expected_value if known else worth.propensity, nan=0.0)
    first = ranks_of(ranking.rows) == 0
    n = batch.shape[0]
    return np.stack(
        [np.bincount(ranking.rows, amounts * first, minlength=n), np.bincount(ranking.rows, amounts, minlength=n)],
        axis=1,
    )
