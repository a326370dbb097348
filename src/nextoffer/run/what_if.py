"""What a policy would change before it runs: every customer decided under the old and the new one, on the same scores.

Customers stream chunk by chunk. Each chunk is scored once; what the rules need to know is asked once for both policies
where they ask the same, else once for each. Of a chunk only sums remain, and nothing is written to the bank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nextoffer.errors import BankError, NextOfferError, did_you_mean
from nextoffer.evaluate.outcome import NOBODY, Crowd, Group, Made, Outcome, Rivals, Unserved, ranks_of
from nextoffer.evaluate.page import render
from nextoffer.evaluate.policies import Comparison, compared
from nextoffer.evaluate.policy_page import policy_page
from nextoffer.evaluate.policy_words import About
from nextoffer.evaluate.tally import Population, Tally
from nextoffer.features import FeatureSpec, known, stream_known
from nextoffer.policy.batch import Batch
from nextoffer.policy.contact import channels
from nextoffer.policy.decide import Decider
from nextoffer.policy.file import Policy
from nextoffer.policy.loosening import loosening, may_loosen
from nextoffer.policy.ranking import Ranking
from nextoffer.policy.rule import stage_of
from nextoffer.policy.worth import worth_of
from nextoffer.run.batch import Progress, side_by_side, warming
from nextoffer.run.engine import CHUNK, Engine
from nextoffer.run.figures import write_figures
from nextoffer.run.labels import customer_count, sampled_customers
from nextoffer.simulate.profit import Earnings, Truth, earned
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Floats, Known, RuleFacts

SEGMENT = "segment"
MOST_GROUPS = 50
"""Groups of one column that can be told apart."""
_RISK = ("pd", "delinquent", "vulnerable")


@dataclass(frozen=True)
class Options:
    """How a policy is tried out.

    Attributes
    ----------
    as_of
        The day decided for; the fit's by default.
    customers
        About so many, drawn by key, where the bank has more; None is everybody.
    by
        Customer columns whose groups are told apart; `SEGMENT` if empty and there is one.
    chunk
        Customers at a time; does not change the figures.
    """

    as_of: date | None = None
    customers: int | None = None
    by: Sequence[str] = ()
    chunk: int = CHUNK


@dataclass(frozen=True)
class WhatIf:
    """What a policy would change.

    Attributes
    ----------
    comparison
        The figures.
    about
        Of which bank, model and policies.
    """

    comparison: Comparison
    about: About

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values: what it is about, and every table as a list of rows."""
        tables = {name: table.to_pylist() for name, table in self.comparison.tables.items()}
        return {**vars(self.about), "tables": tables}

    def write(self, folder: Path) -> tuple[str, ...]:
        """Write ``report.html``, ``figures.json`` and each table as Parquet; return the names of the files."""
        page = render(policy_page(self.comparison, self.about))
        return write_figures(folder, tables=self.comparison.tables, told=self.to_dict(), page=page)


def what_if(
    engine: Engine,
    bank: Bank,
    new: Policy,
    *,
    old: Policy | None = None,
    options: Options | None = None,
    progress: Progress = lambda _: None,
) -> WhatIf:
    """Return what `new` would do, and what it would change against `old` (the model's policy by default).

    In a simulated bank (truth.parquet beside the tables) it also says what the offers would really earn.

    Raises
    ------
    BankError
        A column to tell groups by is not there, or the bank has no customers.
    """
    chosen = options or Options()
    trial = _Trial.of(engine, bank, (old or engine.policy, new), chosen)
    warming(bank)()
    tally, seen = Tally(), 0
    for part, count in side_by_side(trial.tally, trial.stream()):
        tally.merge(part)
        seen += count
        progress(count)
    if not seen:
        raise NextOfferError("the bank has no customers to decide for")
    population = Population(seen, customer_count(bank))
    return WhatIf(Comparison(tally, population), trial.about(population))


@dataclass(frozen=True)
class _Side:
    """One policy, ready to decide."""

    policy: Policy
    decider: Decider

    def outcome(self, batch: Batch, profit: Floats | None) -> Outcome:
        """Return what the policy makes of a batch; `profit` (n, P) is what each pair would really earn."""
        ranking = self.decider.ranked(batch)
        book = ranking.book
        made = _made(batch, ranking)
        true_profit = {} if profit is None else earned(profit, made.rows, made.cols)
        stages = tuple(stage_of(name) for name in book.names)
        return Outcome(
            book.names,
            stages,
            range(book.first_limit, book.top_n),
            ranking.rule,
            made,
            _rivals(batch, ranking),
            _unserved(batch, ranking),
            true_profit,
        )


@dataclass(frozen=True)
class _Trial:
    """An engine under two policies before the same bank."""

    engine: Engine
    bank: Bank
    sides: tuple[_Side, _Side]
    spec: FeatureSpec
    by: tuple[str, ...]
    day: date
    options: Options
    products: pa.Table
    truth: Truth | None
    earnings: Earnings | None

    @classmethod
    def of(cls, engine: Engine, bank: Bank, policies: tuple[Policy, Policy], options: Options) -> _Trial:
        engines = [engine.with_policy(policy) for policy in policies]
        products, day = bank.table("products"), options.as_of or engine.as_of
        sides = [_Side(each.policy, each.desk(products, day).decider) for each in engines]
        by = _groups(engine.spec, options.by)
        there = {column.name for column in engine.spec.columns}
        names = {column.name for each in engines for column in each.needs.columns} | {*by, *_RISK} & there
        truth = Truth.beside(bank.path)
        earnings = Earnings.of(products) if truth is not None and "margin" in products.column_names else None
        spec = engine.spec.only(names)
        return cls(engines[1], bank, (sides[0], sides[1]), spec, by, day, options, products, truth, earnings)

    def stream(self) -> Iterator[tuple[Known, RuleFacts]]:
        """Yield customers with what the new policy's rules need to know, and what the old one's do."""
        old, new = (side.policy for side in self.sides)
        if old.asked == new.asked:
            yield from ((known, known.facts) for known in self._known(self.spec, new))
        else:
            rules_only = (known.facts for known in self._known(self.spec.only(()), old))
            yield from zip(self._known(self.spec, new), rules_only, strict=True)

    def _known(self, spec: FeatureSpec, policy: Policy) -> Iterator[Known]:
        ids, chunk = self.products.column("product_id"), self.options.chunk
        most = self.options.customers
        if most is None or most >= customer_count(self.bank):
            yield from stream_known(spec, self.bank, self.day, products=ids, asked=policy.asked, chunk=chunk)
            return
        drawn = sampled_customers(self.bank, most, seed=self.sides[1].policy.seed, purpose="what if")
        for start in range(0, len(drawn), chunk):
            part = drawn.slice(start, chunk)
            yield known(spec, self.bank, self.day, customers=part, products=ids, asked=policy.asked)

    def tally(self, customers: tuple[Known, RuleFacts]) -> tuple[Tally, int]:
        """Return the figures of a chunk, and its customers."""
        known, facts = customers
        old, new = self.sides
        batch = self.engine.desk(self.products, self.day).batch(known)
        before = old.decider.batch(batch.scores, facts, known.features, natural=batch.natural)
        profit = self._profit(batch)
        outcomes = (old.outcome(before, profit), new.outcome(batch, profit))
        return compared(_crowd(batch, self.by), *outcomes), batch.shape[0]

    def _profit(self, batch: Batch) -> Floats | None:
        if self.truth is None or self.earnings is None:
            return None
        effects = self.truth.effects(batch.customer_ids, self.earnings.products)
        pd = batch.customer_column("pd") if "pd" in batch.features.names else np.zeros(len(effects))
        return self.earnings.value(pd) * effects - self.earnings.cost

    def about(self, population: Population) -> About:
        """Return what the figures are about."""
        old, new = (side.policy for side in self.sides)
        rules = [rule for side in self.sides for rule in side.decider.book.names]
        return About(
            bank=self.bank.name,
            as_of=self.day.isoformat(),
            model=self.engine.model_id,
            old=old.policy_id,
            new=new.policy_id,
            objectives=(_objective(old), _objective(new)),
            currency=self.bank.config.currency or "",
            customers=population.there,
            looked_at=population.looked_at,
            by=self.by,
            duties=tuple(dict.fromkeys(rule for rule in rules if not may_loosen(rule))),
            notes=tuple(dict.fromkeys(note for side in self.sides for note in self._notes(side))),
        )

    def _notes(self, side: _Side) -> Iterator[str]:
        name = "new" if side is self.sides[1] else "old"
        yield from (f"The {name} policy: {note}." for note in self.engine.with_policy(side.policy).notes)


def _objective(policy: Policy) -> str:
    return policy.arbitration.objective


def _groups(spec: FeatureSpec, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the columns whose groups are told apart."""
    names = [column.name for column in spec.columns if column.group == "profile"]
    if strange := [column for column in asked if column not in names]:
        there = ", ".join(names)
        raise BankError([f"no groups by '{c}'{did_you_mean(c, names)}; there are {there}" for c in strange])
    return tuple(dict.fromkeys(asked)) or ((SEGMENT,) if SEGMENT in names else ())


def _crowd(batch: Batch, by: Sequence[str]) -> Crowd:
    names = batch.product_names
    told = [name if names.count(name) == 1 else f"{name} {i}" for i, name in enumerate(names, start=1)]
    types = batch.offering.types.dictionary_encode()
    places = np.asarray(types.indices.to_numpy(), dtype=np.intp)
    return Crowd(
        {column: _few(column, _named(batch.features.array(column))) for column in by},
        Group(np.arange(len(told)), tuple(told)),
        Group(places, tuple(types.dictionary.to_pylist())),
        batch.shape[0],
    )


def _few(column: str, group: Group) -> Group:
    """Return the groups, if there are few enough to be read."""
    if len(group.names) > MOST_GROUPS:
        found = f"{len(group.names) - 1:,} different values in one chunk of customers"
        raise BankError(f"'{column}' has {found}; groups need a column of at most {MOST_GROUPS - 1}")
    return group


def _named(values: pa.Array) -> Group:
    """Return the groups of a column: a text, flag or number, each value one."""
    plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    coded = plain.dictionary_encode()
    names = tuple(_group(value) for value in coded.dictionary.to_pylist())
    places = coded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
    return Group(np.asarray(places, dtype=np.intp), (*names, NOBODY))


def _group(value: str | float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _made(batch: Batch, ranking: Ranking) -> Made:
    value = worth_of(batch, ranking).expected_value
    ranks = ranks_of(ranking.rows)
    over = channels(batch, ranking.book.policy.contact, ranking.rows, ranks)
    return Made(ranking.rows, ranking.cols, ranks, value, _named(over))


def _rivals(batch: Batch, ranking: Ranking) -> Rivals:
    """Return what propensity alone would have put first among the pairs that reached arbitration."""
    first = np.ones(len(ranking.rows), dtype=np.bool_)
    first[1:] = ranking.rows[1:] != ranking.rows[:-1]
    rows, winners = ranking.rows[first], ranking.cols[first]
    book, rule = ranking.book, ranking.rule[rows]
    arbitrated = np.array([stage_of(name) == "arbitration" for name in book.names] + [True])
    arbitrated[book.first_limit :] = True  # limits come after arbitration; the last is OFFERED, −1
    rivals = np.where(arbitrated[rule], ranking.log_odds[rows], -np.inf).argmax(axis=1)
    equal = ranking.log_odds[rows, rivals] == ranking.log_odds[rows, winners]
    rivals = np.where(equal, winners, rivals)
    mine, theirs = (worth_of(batch, replace(ranking, rows=rows, cols=cols)) for cols in (winners, rivals))
    given_up = theirs.propensity - mine.propensity
    return Rivals(rows, winners, rivals, mine.expected_value - theirs.expected_value, given_up)


def _unserved(batch: Batch, ranking: Ranking) -> Unserved:
    found = loosening(batch, ranking)
    return Unserved(
        found.rows,
        found.served,
        found.rules,
        found.cols,
        found.expected_value,
        found.expected_loss,
        *(_flags(batch, name) for name in ("delinquent", "vulnerable")),
    )


def _flags(batch: Batch, name: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    known = name in batch.features.names
    return batch.customer_column(name) == 1 if known else np.zeros(batch.shape[0], dtype=np.bool_)
