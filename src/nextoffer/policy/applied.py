"""The bank's own rules at work: typed against the columns there are, and asked of batches of customers.

A rule fails closed: a pair is stopped unless `require` is known to be true of it (by ``nulls = "pass"``: only if it is
known to be false), and a pair is asked unless `where` is known to be false of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from nextoffer.errors import PolicyError, did_you_mean
from nextoffer.policy.batch import Batch
from nextoffer.policy.expression import Expression, parsed
from nextoffer.policy.logic import Columns, Mask
from nextoffer.policy.offering import Offering
from nextoffer.policy.rule import NONE, Case, Rule
from nextoffer.policy.rules import OwnRule
from nextoffer.policy.wide import Shelf
from nextoffer.policy.wording import number
from nextoffer.tables.flow import Kind, ids_as_text


@dataclass(frozen=True)
class Applied:
    """A rule made ready for one set of columns and products.

    Attributes
    ----------
    rule
        As the policy has it.
    asked
        bool (1, P): the products it may ask about, as far as products alone tell.
    where, require
        What is left to find out of each pair; `where` is None where nothing is, `require` where `stops` is known.
    fixed
        bool (1, P): what it stops, if that hangs on products alone; else None.
    """

    rule: OwnRule
    asked: Mask
    where: Expression | None = None
    require: Expression | None = None
    fixed: Mask | None = None

    def asks(self, columns: Columns) -> Mask:
        """Return which pairs are asked, as bool that broadcasts to (n, P)."""
        return self.asked if self.where is None else self.asked & ~self.where.fails(columns)

    def stops(self, columns: Columns) -> Mask:
        """Return which pairs are stopped, as bool that broadcasts to (n, P)."""
        if self.fixed is not None:
            return self.fixed
        assert self.require is not None
        return self.asks(columns) & refused(self.rule, self.require, columns)


def refused(rule: OwnRule, require: Expression, columns: Columns) -> Mask:
    """Return where what a rule requires is not met, asked or not."""
    return require.fails(columns) if rule.nulls == "pass" else ~require.holds(columns)


def applied(
    rules: Iterable[OwnRule], kinds: Mapping[str, Kind], offering: Offering, closed: Mapping[str, str] | None = None
) -> tuple[Applied, ...]:
    """Return rules made ready for columns of these kinds and for these products.

    Parameters
    ----------
    closed
        Why columns that the bank has may not be used.

    Raises
    ------
    PolicyError
        A rule names columns, products or product types that are not there, or compares what cannot be compared; all
        such problems are named.
    """
    problems: list[str] = []
    found: list[Applied] = []
    for rule in rules:
        problems += [f"rule {rule.id}: {problem}" for problem in _strangers(rule, offering)]
        if is_silent(rule, kinds, closed):
            found.append(Applied(rule, NONE, fixed=NONE))
            continue
        typed: dict[str, Expression] = {}
        for key, text in rule.expressions.items():
            try:
                typed[key] = parsed(text).typed(kinds, closed)
            except PolicyError as error:
                problems += [f"rule {rule.id}: {key} {problem}" for problem in error.problems]
        if not problems:
            found.append(_ready(rule, typed["require"], typed.get("where"), offering))
    if problems:
        raise PolicyError(problems)
    return tuple(found)


def is_silent(rule: OwnRule, kinds: Mapping[str, Kind], closed: Mapping[str, str] | None = None) -> bool:
    """Return whether a rule says nothing here: it is optional, and names a column that the bank does not have."""
    return rule.optional and any(name not in kinds and name not in (closed or {}) for name in rule.reads)


def own_rules(rules: Iterable[OwnRule]) -> tuple[Rule, ...]:
    """Return those of a bank's own rules that are switched on, as rules on single pairs."""
    asked = tuple(rule for rule in rules if rule.enabled)
    at_work = _AtWork(asked)
    return tuple(
        Rule(rule.name, partial(_stops, at_work, i), partial(_line, at_work, i)) for i, rule in enumerate(asked)
    )


class _AtWork:
    """Rules, and what was last made of them; customers come batch after batch with the same columns."""

    def __init__(self, rules: Sequence[OwnRule]) -> None:
        self._rules = rules
        self._last: tuple[object, object, object, tuple[Applied, ...]] | None = None

    def on(self, batch: Batch) -> tuple[Applied, ...]:
        """Return the rules made ready for this batch; its scores come of the ranker the others came of."""
        columns, features, offering = batch.features.columns, batch.scores.features, batch.offering
        last = self._last
        if last is None or last[2] is not offering or (last[0] is not columns and last[:2] != (columns, features)):
            ready = applied(self._rules, batch.kinds, offering)
            last = self._last = (columns, features, offering, ready)
        return last[3]


def _stops(rules: _AtWork, place: int, batch: Batch) -> Mask:
    return rules.on(batch)[place].stops(batch.wide)


def _line(rules: _AtWork, place: int, case: Case) -> str:
    one = rules.on(case.batch)[place]
    columns = case.batch.wide
    told = [f"{name} is {_shown(columns, name, case)}" for name in parsed(one.rule.require).names]
    if one.where is not None and not _at(one.where.holds(columns), case):
        told.append(f"whether it applies ({one.rule.where}) is not known")
    return f"{one.rule.text}: needs {one.rule.require}, and {', '.join(told)}"


def _shown(columns: Columns, name: str, case: Case) -> str:
    value = _at(columns[name], case)
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "not known"
    if isinstance(value, str):
        return f"'{value}'"
    if case.batch.kinds[name] == "flag":
        return "true" if value else "false"
    return number(float(value))


def _at(values: Any, case: Case) -> Any:
    return np.broadcast_to(values, case.batch.shape)[case.row, case.col]


def _strangers(rule: OwnRule, offering: Offering) -> Iterable[str]:
    """Name the products and product types that a rule is about and the bank does not have."""
    there = {"product": ids_as_text(offering.ids), "product_type": offering.types.unique().drop_null().to_pylist()}
    for key, known in there.items():
        for name in getattr(rule, key):
            if name not in known:
                many = f"; there are {', '.join(map(str, known))}" if len(known) <= 40 else ""
                yield f"{key} names '{name}', which the bank does not have{did_you_mean(name, known)}{many}"


def _ready(rule: OwnRule, require: Expression, where: Expression | None, offering: Offering) -> Applied:
    asked, shelf = in_scope(rule, offering), Shelf(offering)
    if where is not None and _of_products(where):
        asked, where = asked & ~where.fails(shelf), None
    if not asked.any():
        return Applied(rule, asked, fixed=NONE)
    if where is None and _of_products(require):
        return Applied(rule, asked, None, require, fixed=asked & refused(rule, require, shelf))
    return Applied(rule, asked, where, require)


def in_scope(rule: OwnRule, offering: Offering) -> Mask:
    """Return the products that a rule is about by their ids and types, bool (1, P)."""
    within = np.ones((1, len(offering)), dtype=np.bool_)
    for key, values in (("product", ids_as_text(offering.ids)), ("product_type", offering.types.to_pylist())):
        if wanted := getattr(rule, key):
            within &= np.array([value in wanted for value in values], dtype=np.bool_)
    return within


def _of_products(expression: Expression) -> bool:
    return all(name.startswith("product.") for name in expression.names)
