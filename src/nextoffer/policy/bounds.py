"""Reads off facts that only compare columns with constants: each column must lie between two bounds.

Most facts are of this kind (``txn_count >= high.txn_count and txn_count > typical.txn_count``), and bounds can be
checked pair by pair without evaluating an expression. What is not of this kind is left to the expression itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from sqlglot import exp

from nextoffer.policy.logic import Values
from nextoffer.policy.typecheck import column_name
from nextoffer.tables.flow import Kind


class Bound(NamedTuple):
    """``low <= column <= high``, which null never fulfils; of a text only whether it is known, as 0."""

    column: str
    low: float
    high: float


_NEVER = (math.inf, -math.inf)


def bounds(tree: exp.Expr, kinds: Mapping[str, Kind], constants: Mapping[str, Values]) -> tuple[Bound, ...] | None:
    """Return the bounds that together are the same as a well-typed expression, or None if there are no such.

    Parameters
    ----------
    tree
        The parsed expression.
    kinds
        Of each column it names.
    constants
        Columns that have the same value for all pairs.

    >>> from nextoffer.policy.expression import parsed
    >>> bounds(parsed("age >= 60 and vip").tree, {"age": "number", "vip": "flag"}, {})
    (Bound(column='age', low=60.0, high=inf), Bound(column='vip', low=1.0, high=1.0))
    >>> bounds(parsed("age >= 60 or vip").tree, {"age": "number", "vip": "flag"}, {}) is None
    True
    """
    found = _Reader(kinds, constants).bounds(tree)
    if found is None:
        return None
    narrowest: dict[str, Bound] = {}
    for column, low, high in found:
        _, least, most = narrowest.get(column, (column, -math.inf, math.inf))
        narrowest[column] = Bound(column, max(low, least), min(high, most))
    return tuple(narrowest.values())


class _Reader:
    def __init__(self, kinds: Mapping[str, Kind], constants: Mapping[str, Values]) -> None:
        self.kinds, self.constants = kinds, constants

    def bounds(self, node: exp.Expr) -> list[Bound] | None:
        if isinstance(node, exp.Paren):
            return self.bounds(node.this)
        if isinstance(node, exp.And):
            parts = [self.bounds(node.this), self.bounds(node.expression)]
            return None if None in parts else [bound for part in parts for bound in part or ()]
        if isinstance(node, exp.Between):
            low, high = self._constant(node.args["low"]), self._constant(node.args["high"])
            return self._of_number(node.this, low, high)
        if isinstance(node, exp.Not):
            return self._negation(node.this)
        if isinstance(node, exp.Column):
            return self._of_flag(node, 1.0)
        return self._comparison(node)

    def _comparison(self, node: exp.Expr) -> list[Bound] | None:
        if type(node) not in _MIRRORED:
            return None
        order, column, other = type(node), node.this, self._constant(node.expression)
        if other is None:
            order, column, other = _MIRRORED[order], node.expression, self._constant(node.this)
        if other is None or math.isnan(other):
            return self._of_number(column, *_NEVER) if other is not None else None
        return self._of_number(column, *_reach(order, other))

    def _negation(self, node: exp.Expr) -> list[Bound] | None:
        if isinstance(node, exp.Paren):
            return self._negation(node.this)
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            known = self._variable(node.this, "number", "category")
            return None if known is None else [Bound(known, -math.inf, math.inf)]
        return self._of_flag(node, 0.0)

    def _of_number(self, node: exp.Expr, low: float | None, high: float | None) -> list[Bound] | None:
        column = self._variable(node, "number")
        if column is None or low is None or high is None:
            return None
        return [Bound(column, *_NEVER) if math.isnan(low) or math.isnan(high) else Bound(column, low, high)]

    def _of_flag(self, node: exp.Expr, value: float) -> list[Bound] | None:
        column = self._variable(node, "flag")
        return None if column is None else [Bound(column, value, value)]

    def _variable(self, node: exp.Expr, *kinds: Kind) -> str | None:
        """Return the name of a column of one of these kinds whose value differs from pair to pair."""
        while isinstance(node, exp.Paren):
            node = node.this
        name = column_name(node) if isinstance(node, exp.Column) else ""
        return name if name not in self.constants and self.kinds.get(name) in kinds else None

    def _constant(self, node: exp.Expr) -> float | None:
        """Return a number that is the same for all pairs, NaN where it is null; None if it is something else."""
        if isinstance(node, exp.Paren):
            return self._constant(node.this)
        if isinstance(node, exp.Neg):
            value = self._constant(node.this)
            return None if value is None else -value
        if isinstance(node, exp.Literal) and not node.args["is_string"]:
            return float(node.this)
        if isinstance(node, exp.Column) and column_name(node) in self.constants:
            known = self.constants[column_name(node)]
            return None if known.dtype == object else float(known)
        return None


def _reach(order: type[exp.Expr], other: float) -> tuple[float, float]:
    """Return the least and greatest number in this order to another, which is not null."""
    if order is exp.EQ:
        return other, other
    if order is exp.GTE:
        return other, math.inf
    if order is exp.LTE:
        return -math.inf, other
    if order is exp.GT:
        return (float(np.nextafter(other, np.inf)), math.inf) if other < math.inf else _NEVER
    return (-math.inf, float(np.nextafter(other, -np.inf))) if other > -math.inf else _NEVER


_MIRRORED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.EQ,
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
}
