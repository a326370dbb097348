"""What each rule of a policy does to the customers of a bank: whom it asks, whom it stops, and what is odd about it.

Rules that stand before the ranking are looked at, each by itself and in the order in which they are asked; scores play
no part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np

from nextoffer.policy.applied import Applied, applied, in_scope, is_silent
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.expression import Expression, parsed, parts
from nextoffer.policy.logic import Mask
from nextoffer.policy.rule import percent, stage_of
from nextoffer.policy.rules import OwnRule
from nextoffer.tables.flow import Kind

BEFORE_RANKING = ("consent", "eligibility", "applicability", "suitability")

_MANY = 0.1  # of the pairs not known: so many are worth a word

State = Literal["on", "off", "silent", "unchecked"]


@dataclass(frozen=True)
class Clause:
    """A part of an expression that stands between ``and`` or ``or``.

    Attributes
    ----------
    key
        Of the rule: ``require`` or ``where``.
    joined
        By ``and`` or ``or``.
    text
        The part.
    true
        Of the pairs that the expression is about, the share of which it is known to be true.
    """

    key: str
    joined: str
    text: str
    true: float


@dataclass(frozen=True)
class Effect:
    """What one rule does.

    Attributes
    ----------
    rule, text, level
        Its name, and what it says and how far it reaches if it is one of the bank's own.
    state
        ``on``, ``off``, ``silent`` (optional, and the bank lacks a column) or ``unchecked`` (pairs, but no model).
    customers, pairs
        Whom it asks.
    customers_kept, pairs_kept
        Of these, the customers for whom it keeps at least one product, and the pairs it keeps.
    unknown
        Of the pairs asked, those of which it is not known whether they fulfil it.
    first
        Pairs that it stops, and no rule before it.
    clauses
        The parts of its expressions, where they have several.
    warnings
        What is odd about it.
    """

    rule: str
    text: str | None
    level: str | None
    state: State = "on"
    customers: int = 0
    pairs: int = 0
    customers_kept: int = 0
    pairs_kept: int = 0
    unknown: int = 0
    first: int = 0
    clauses: tuple[Clause, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PolicyEffect:
    """What a policy's rules do together.

    Attributes
    ----------
    customers, products
        How many there are.
    customers_open, pairs_open
        Customers with at least one product, and pairs, that no rule before the ranking stops.
    effects
        Of each rule, in the order in which they are asked; then those that were not.
    """

    customers: int
    products: int
    customers_open: int
    pairs_open: int
    effects: tuple[Effect, ...]

    @property
    def warnings(self) -> list[str]:
        """All that is odd, with the rule it is odd about."""
        nothing = (
            ["the rules together leave no product open to anybody"] if self.customers and not self.pairs_open else []
        )
        return nothing + [f"{effect.rule}: {warning}" for effect in self.effects for warning in effect.warnings]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass
class _Count:
    """What is counted of one rule."""

    customers: int = 0
    pairs: int = 0
    customers_kept: int = 0
    pairs_kept: int = 0
    unknown: int = 0
    first: int = 0
    unsure: int = 0
    about: dict[str, int] = field(default_factory=lambda: {"where": 0, "require": 0})
    clauses: list[int] = field(default_factory=list)


@dataclass
class _Meeting:
    """Whether two rules, where both ask, each keep a pair, and both the same one."""

    one: bool = False
    other: bool = False
    both: bool = False


class Effects:
    """Counts what a policy's rules do, batch after batch.

    Parameters
    ----------
    book
        The rules.
    pairs
        Whether pair features are there to be named; rules that name them are left out otherwise.
    """

    def __init__(self, book: Book, *, pairs: bool) -> None:
        self._book = book
        named = {rule.name: rule for rule in book.policy.rule if rule.enabled}
        left_out = {name for name, rule in named.items() if not pairs and rule.names_pairs}
        self._rules = [r for r in book.rules if stage_of(r.name) in BEFORE_RANKING and r.name not in left_out]
        self._own = [named[r.name] for r in self._rules if r.name in named]
        self._counts = {rule.name: _Count() for rule in self._rules}
        self._meetings = {(a.name, b.name): _Meeting() for a, b in combinations(self._own, 2)}
        self._clauses: dict[str, list[tuple[str, str, str, Expression]]] = {}
        self._where: dict[str, Expression] = {}
        self._silent: set[str] = set()
        self._customers = self._products = self._customers_open = self._pairs_open = 0

    def add(self, batch: Batch) -> None:
        """Count a batch of customers.

        Raises
        ------
        PolicyError
            A rule does not fit the columns or products.
        """
        if not self._customers:
            self._clauses = {rule.name: list(_clauses(rule, batch.kinds)) for rule in self._own}
            self._silent = {rule.name for rule in self._own if is_silent(rule, batch.kinds)}
            self._where = {
                rule.name: parsed(rule.where).typed(batch.kinds)
                for rule in self._own
                if rule.where is not None and rule.name not in self._silent
            }
        ready = {one.rule.name: one for one in applied(self._own, batch.kinds, batch.offering)}
        open_ = np.ones(batch.shape, dtype=np.bool_)
        seen: dict[str, tuple[Mask, Mask]] = {}
        for rule in self._rules:
            stopped = ready[rule.name].stops(batch.wide) if rule.name in ready else rule.stops(batch)
            asked = ready[rule.name].asks(batch.wide) if rule.name in ready else np.ones((1, 1), dtype=np.bool_)
            count = self._counts[rule.name]
            count.first += int((open_ & stopped).sum())
            open_ &= ~stopped
            _count(count, asked, stopped, batch.shape)
            if rule.name in ready:
                seen[rule.name] = (asked, asked & ~stopped)
                self._count_clauses(count, ready[rule.name], batch, asked)
        self._count_meetings(seen)
        self._customers += batch.shape[0]
        self._products = batch.shape[1]
        self._customers_open += int(open_.any(axis=1).sum())
        self._pairs_open += int(open_.sum())

    def _count_clauses(self, count: _Count, one: Applied, batch: Batch, asked: Mask) -> None:
        wide, clauses = batch.wide, self._clauses[one.rule.name]
        if one.require is not None:
            unknown = asked & ~one.require.holds(wide) & ~one.require.fails(wide)
            count.unknown += _sum(unknown, batch.shape)
        if one.rule.name in self._silent:
            return
        about = {"require": asked, "where": in_scope(one.rule, batch.offering)}
        if where := self._where.get(one.rule.name):
            count.unsure += _sum(about["where"] & ~where.holds(wide) & ~where.fails(wide), batch.shape)
        for key, mask in about.items():
            count.about[key] += _sum(mask, batch.shape)
        count.clauses = count.clauses or [0] * len(clauses)
        for place, (key, _, _, clause) in enumerate(clauses):
            count.clauses[place] += _sum(about[key] & clause.holds(wide), batch.shape)

    def _count_meetings(self, seen: Mapping[str, tuple[Mask, Mask]]) -> None:
        for (one, other), meeting in self._meetings.items():
            if meeting.both:
                continue
            (asked, kept), (asked_too, kept_too) = seen[one], seen[other]
            meeting.one = meeting.one or bool((kept & asked_too).any())
            meeting.other = meeting.other or bool((asked & kept_too).any())
            meeting.both = bool((kept & kept_too).any())

    def found(self) -> PolicyEffect:
        """Return what was counted."""
        own = {rule.name: rule for rule in self._book.policy.rule}
        effects = [self._effect(rule.name, own.get(rule.name)) for rule in self._rules]
        states: dict[str, State] = {
            name: "unchecked" if rule.enabled else "off" for name, rule in own.items() if name not in self._counts
        }
        effects += [Effect(name, own[name].text, own[name].level, state) for name, state in states.items()]
        return PolicyEffect(self._customers, self._products, self._customers_open, self._pairs_open, tuple(effects))

    def _effect(self, name: str, own: OwnRule | None) -> Effect:
        count = self._counts[name]
        plain = {k: v for k, v in vars(count).items() if k not in ("about", "clauses", "unsure")}
        if own is None:
            return Effect(name, None, None, **plain)
        if name in self._silent:
            return Effect(name, own.text, own.level, "silent")
        clauses = tuple(
            Clause(key, joined, text, true / count.about[key] if count.about[key] else 0.0)
            for (key, joined, text, _), true in zip(self._clauses.get(name, []), count.clauses, strict=False)
        )
        warnings = (*_odd(own, count), *map(_odd_clause, filter(_is_odd, clauses)), *self._contradictions(name))
        return Effect(name, own.text, own.level, **plain, clauses=clauses, warnings=warnings if self._customers else ())

    def _contradictions(self, name: str) -> Iterator[str]:
        for (one, other), meeting in self._meetings.items():
            if name in (one, other) and meeting.one and meeting.other and not meeting.both:
                yield f"together with {other if name == one else one} it leaves nothing, though each alone does"


def _count(count: _Count, asked: Mask, stopped: Mask, shape: tuple[int, int]) -> None:
    asked, kept = np.broadcast_to(asked, shape), np.broadcast_to(asked & ~stopped, shape)
    count.customers += int(asked.any(axis=1).sum())
    count.pairs += int(asked.sum())
    count.customers_kept += int(kept.any(axis=1).sum())
    count.pairs_kept += int(kept.sum())


def _sum(mask: Mask, shape: tuple[int, int]) -> int:
    return int(np.broadcast_to(mask, shape).sum())


def _clauses(rule: OwnRule, kinds: Mapping[str, Kind]) -> Iterator[tuple[str, str, str, Expression]]:
    """Yield the parts of a rule's expressions: key, what joins them, text, and the part ready to be evaluated."""
    if is_silent(rule, kinds):
        return
    for key, text in rule.expressions.items():
        joined, every = parts(text)
        for part in every:
            yield key, joined, part, parsed(part).typed(kinds)


def _odd(rule: OwnRule, count: _Count) -> Iterator[str]:
    if not count.pairs:
        yield "never applies: there is no pair of customer and product that it asks"
    elif not count.pairs_kept:
        yield "stops everybody: of the pairs that it asks it keeps none"
    elif count.pairs_kept == count.pairs:
        yield "keeps everybody: of the pairs that it asks it stops none"
    if count.unsure > _MANY * count.about["where"]:
        share = percent(count.unsure / count.about["where"])
        yield f"where: not known of {share} of the pairs, which it therefore asks"
    if count.unknown > _MANY * count.pairs:
        becomes = "keeps" if rule.nulls == "pass" else "stops"
        share = percent(count.unknown / count.pairs)
        yield f"require: not known of {share} of the pairs that it asks, which it therefore {becomes}"


def _is_odd(clause: Clause) -> bool:
    return clause.true == 1 or (clause.true == 0 and clause.joined == "or")


def _odd_clause(clause: Clause) -> str:
    if clause.true == 0:
        return f"{clause.key}: '{clause.text}' is true of no pair here, so it changes nothing"
    if clause.joined == "and":
        return f"{clause.key}: '{clause.text}' is true of every pair here, so it changes nothing"
    return f"{clause.key}: '{clause.text}' is true of every pair here, so the other parts change nothing"
