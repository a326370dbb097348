"""Gives every part of a parsed expression its kind and its numpy operation, and names each thing that does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from sqlglot import exp

from nextoffer.errors import did_you_mean
from nextoffer.policy import logic
from nextoffer.policy.logic import Computed, Truth
from nextoffer.tables.flow import Kind

NAMES: dict[Kind, str] = {"number": "a number", "category": "a text", "flag": "true or false"}


class Part(NamedTuple):
    """A part of an expression: its kind, and its computation: a `Truth` for a flag, else the values.

    The kind is None where a problem was found below; then nothing more is said above it.
    """

    kind: Kind | None
    run: Any


_BROKEN = Part(None, None)

_ORDER: dict[type[exp.Expr], Callable[[Computed, Computed], Truth]] = {
    exp.GT: logic.greater,
    exp.GTE: logic.at_least,
    exp.LT: lambda a, b: logic.greater(b, a),
    exp.LTE: lambda a, b: logic.at_least(b, a),
}
_EQUAL: dict[Kind, Callable[[Any, Any], Truth]] = {
    "number": logic.numbers_equal,
    "category": logic.texts_equal,
    "flag": logic.flags_equal,
}
_ARITHMETIC: dict[type[exp.Expr], Callable[[Computed, Computed], Computed]] = {
    exp.Add: logic.arithmetic(np.add),
    exp.Sub: logic.arithmetic(np.subtract),
    exp.Mul: logic.arithmetic(np.multiply),
    exp.Div: logic.arithmetic(logic.divided),
}


class TypeCheck:
    """Types one expression over columns of known kinds; what does not fit is collected in `problems`."""

    def __init__(self, kinds: Mapping[str, Kind], closed: Mapping[str, str] | None = None) -> None:
        self.kinds, self.closed = kinds, closed or {}
        self.problems: list[str] = []

    def part(self, node: exp.Expr) -> Part:
        """Return the kind and operation of `node`, whose form has been checked."""
        found = _BY_NODE[type(node)](self, node)
        return self._by_text(node, found) if type(node) in _OF_TEXTS else found

    def _by_text(self, node: exp.Expr, found: Part) -> Part:
        """Return a comparison of one text of the customer, with constants and products, as one of distinct texts."""
        names = {column_name(column) for column in node.find_all(exp.Column)}
        product = {name for name in names if name.startswith("product.")}
        own = next(iter(names - product), "")
        if found.kind is None or len(names - product) != 1 or self.kinds[own] != "category":
            return found
        return Part(found.kind, logic.by_text(own, product, found.run))

    def _paren(self, node: exp.Expr) -> Part:
        return self.part(node.this)

    def _column(self, node: exp.Expr) -> Part:
        name = column_name(node)
        kind = self.kinds.get(name)
        if kind is None and name in self.closed:
            return self._broken(f"column '{name}' may not be used: {self.closed[name]}")
        if kind is None:
            return self._broken(f"unknown column '{name}'{did_you_mean(name, self.kinds)}{_odd_letters(name)}")
        values: Computed = lambda columns: columns[name]  # noqa: E731  a def would be named for nothing
        return Part(kind, logic.flag(values) if kind == "flag" else values)

    def _literal(self, node: exp.Expr) -> Part:
        if node.args["is_string"]:
            return Part("category", logic.constant(str(node.this)))
        return Part("number", logic.constant(float(node.this)))

    def _boolean(self, node: exp.Expr) -> Part:
        return Part("flag", logic.flag(logic.constant(float(node.this))))

    def _null(self, node: exp.Expr) -> Part:
        return self._broken(f"'{node.sql()}' can only be asked for: write 'is null' or 'is not null'")

    def _negation(self, node: exp.Expr) -> Part:
        return self._joined("flag", logic.negation, self._wanted("flag", node.this, "'not'"))

    def _minus(self, node: exp.Expr) -> Part:
        return self._joined("number", _negative, self._wanted("number", node.this, "'-'"))

    def _junction(self, node: exp.Expr) -> Part:
        join, word = (logic.both, "'and'") if isinstance(node, exp.And) else (logic.either, "'or'")
        a, b = self._wanted("flag", node.this, word), self._wanted("flag", node.expression, word)
        return self._joined("flag", join, a, b)

    def _order(self, node: exp.Expr) -> Part:
        a, b = (self._wanted("number", side, f"'{_SIGN[type(node)]}'") for side in (node.this, node.expression))
        return self._joined("flag", _ORDER[type(node)], a, b)

    def _arithmetic(self, node: exp.Expr) -> Part:
        a, b = (self._wanted("number", side, f"'{_SIGN[type(node)]}'") for side in (node.this, node.expression))
        return self._joined("number", _ARITHMETIC[type(node)], a, b)

    def _between(self, node: exp.Expr) -> Part:
        value, low, high = (self._wanted("number", node.args[k], "'between'") for k in ("this", "low", "high"))
        above = self._joined("flag", logic.at_least, value, low)
        return self._joined("flag", logic.both, above, self._joined("flag", logic.at_least, high, value))

    def _equality(self, node: exp.Expr) -> Part:
        equal = self._equals(self.part(node.this), node.expression, node)
        return equal if isinstance(node, exp.EQ) else self._joined("flag", logic.negation, equal)

    def _member(self, node: exp.Expr) -> Part:
        value = self.part(node.this)
        found = self._equals(value, node.expressions[0], node)
        for option in node.expressions[1:]:
            found = self._joined("flag", logic.either, found, self._equals(value, option, node))
        return found

    def _test(self, node: exp.Expr) -> Part:
        """``is null``, ``is true`` and ``is false``."""
        value = self.part(node.this)
        if isinstance(node.expression, exp.Null):
            return self._joined("flag", logic.flag_null if value.kind == "flag" else logic.null, value)
        if not isinstance(node.expression, exp.Boolean):
            return self._broken("after 'is' comes null, true or false")
        value = self._checked(value, "flag", node.this, "'is true' and 'is false'")
        if not node.expression.this:
            value = self._joined("flag", logic.negation, value)
        return self._joined("flag", logic.surely, value)

    def _equals(self, value: Part, other: exp.Expr, node: exp.Expr) -> Part:
        """Compare an already typed part with `other`, which must be of the same kind."""
        if value.kind is None:
            return _BROKEN
        if value.kind == "category" and isinstance(other, exp.Literal) and other.is_string:
            return Part("flag", logic.text_is(value.run, str(other.this)))
        option = self._checked(self.part(other), value.kind, other, f"'{node.sql()}'")
        return self._joined("flag", _EQUAL[value.kind], value, option)

    def _wanted(self, kind: Kind, node: exp.Expr, where: str) -> Part:
        return self._checked(self.part(node), kind, node, where)

    def _checked(self, part: Part, kind: Kind, node: exp.Expr, where: str) -> Part:
        """Return `part` if it is of the kind needed, else say that it is not."""
        if part.kind in (kind, None):
            return part
        return self._broken(f"'{node.sql()}' is {NAMES[part.kind]}, but {where} needs {NAMES[kind]}")

    @staticmethod
    def _joined(kind: Kind, operation: Callable[..., Any], *parts: Part) -> Part:
        """Return `operation` of the parts, unless one of them is broken."""
        if any(part.kind is None for part in parts):
            return _BROKEN
        return Part(kind, operation(*(part.run for part in parts)))

    def _broken(self, problem: str) -> Part:
        self.problems.append(problem)
        return _BROKEN


def _odd_letters(name: str) -> str:
    """Name the letters that may look like others."""
    odd = [f"'{letter}' (U+{ord(letter):04X})" for letter in dict.fromkeys(name) if not letter.isascii()]
    return f"; it holds {', '.join(odd[:3])}" if odd else ""


def _negative(values: Computed) -> Computed:
    return lambda columns: np.negative(values(columns))


def column_name(column: exp.Expr) -> str:
    """Return the full name of a column: ``income``, ``product.tier`` or ``high.pair.coholding``."""
    assert isinstance(column, exp.Column)
    return ".".join(part.name for part in column.parts)


_OF_TEXTS = frozenset({exp.EQ, exp.NEQ, exp.In, exp.Is})
_SIGN: dict[type[exp.Expr], str] = {
    exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<=", exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/",
}  # fmt: skip

_BY_NODE: dict[type[exp.Expr], Callable[[TypeCheck, exp.Expr], Part]] = {
    **dict.fromkeys(_ORDER, TypeCheck._order),
    **dict.fromkeys(_ARITHMETIC, TypeCheck._arithmetic),
    exp.Paren: TypeCheck._paren,
    exp.Column: TypeCheck._column,
    exp.Literal: TypeCheck._literal,
    exp.Boolean: TypeCheck._boolean,
    exp.Null: TypeCheck._null,
    exp.Not: TypeCheck._negation,
    exp.Neg: TypeCheck._minus,
    exp.And: TypeCheck._junction,
    exp.Or: TypeCheck._junction,
    exp.EQ: TypeCheck._equality,
    exp.NEQ: TypeCheck._equality,
    exp.Between: TypeCheck._between,
    exp.In: TypeCheck._member,
    exp.Is: TypeCheck._test,
}
