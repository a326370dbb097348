"""Evaluates formula trees on columns that lie in memory, so that they need not be copied into an engine and out again.

It understands the handful of nodes that `nextoffer.features.compile` makes formulas of, and means by them what SQL
does: null in, null out; null is no reason to take a CASE. A column that a formula only names is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from nextoffer.errors import FeatureError
from nextoffer.features.trees import Tree

Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Values:
    """Numbers or flags, one per row.

    Attributes
    ----------
    data
        float64 or bool (n,), or of shape () for a constant; anything where not known.
    known
        bool (n,); None where all are.
    """

    data: Array
    known: Flags | None = None

    @property
    def holds(self) -> Flags:
        """Where a condition is true; where it is null it is not."""
        return self.data if self.known is None else self.data & self.known


@dataclass(frozen=True)
class Words:
    """Texts out of few: the place of each row's word among `words`, -1 for null."""

    codes: npt.NDArray[np.int16]
    words: tuple[str, ...]


Value: TypeAlias = Values | Words | pa.Array


@dataclass
class Frame:
    """The columns there are, and what was evaluated on them so far."""

    columns: dict[str, Value]
    seen: dict[int, Value]


Step: TypeAlias = Callable[[Frame], Value]


class Formulas:
    """A chain of SELECTs, each over the one before, ready to be evaluated on columns.

    Parameters
    ----------
    query
        ``SELECT formulas FROM (SELECT *, formulas FROM … )``; what the innermost reads are the columns.
    """

    def __init__(self, query: exp.Select) -> None:
        self.names = [item.alias_or_name for item in query.selects]
        self._shared: dict[Tree, Step] = {}
        self._before = [(e.alias_or_name, self._step(e.unalias())) for s in _inner(query) for e in _made(s)]
        self._last = [self._step(e.unalias()) for e in query.selects]

    def of(self, columns: Mapping[str, Value], n: int) -> pa.Table:
        """Return what the query selects of n rows.

        Parameters
        ----------
        columns
            By name: values of shape (n,), or Arrow arrays that formulas only pass on.
        n
            How many rows there are.
        """
        return pa.Table.from_arrays([_arrow(value, n) for value in self.values(columns)], names=self.names)

    def values(self, columns: Mapping[str, Value]) -> list[Value]:
        """Return what the query selects, not yet as Arrow; columns as in `of`."""
        frame = Frame(dict(columns), {})
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, step in self._before:
                frame.columns[name] = step(frame)
            return [step(frame) for step in self._last]

    def _step(self, tree: Tree) -> Step:
        """How to evaluate a tree; equal trees are evaluated once."""
        if tree not in self._shared:
            parts = [self._step(part) for part in _parts(tree)]
            rule = _rule(tree)
            self._shared[tree] = _remembered(len(self._shared), lambda frame: rule(*(part(frame) for part in parts)))
            if isinstance(tree, exp.Column):
                self._shared[tree] = lambda frame: frame.columns[tree.name]
        return self._shared[tree]


def _inner(query: exp.Select) -> list[exp.Select]:
    """The SELECTs that a query is over, innermost first."""
    source = query.args["from_"].this
    return [*_inner(source.this), source.this] if isinstance(source, exp.Subquery) else []


def _made(query: exp.Select) -> list[Tree]:
    return [item for item in query.selects if not isinstance(item, exp.Star)]


def _remembered(place: int, step: Step) -> Step:
    def once(frame: Frame) -> Value:
        if place not in frame.seen:
            frame.seen[place] = step(frame)
        return frame.seen[place]

    return once


def _parts(tree: Tree) -> list[Tree]:
    """What has to be evaluated before a node."""
    match tree:
        case exp.Case():
            whens = [part for when in tree.args["ifs"] for part in (when.this, when.args["true"])]
            return [*whens, tree.args.get("default") or exp.null()]
        case exp.Coalesce() | exp.Greatest():
            return [tree.this, *tree.expressions]
        case exp.Binary() | exp.Nullif():
            return [tree.this, tree.expression]
        case exp.Cast() | exp.Paren() | exp.Not():
            return [tree.this]
        case _:
            return []


def _rule(tree: Tree) -> Callable[..., Value]:
    """What a node does with its parts."""
    match tree:
        case exp.Literal():
            return lambda: _word(tree.name) if tree.is_string else Values(np.array(float(tree.name)))
        case exp.Boolean():
            return lambda: Values(np.array(bool(tree.this)))
        case exp.Null() | exp.Column():
            return lambda: NULL
        case exp.Cast() if tree.to.this == exp.DType.DOUBLE:
            return lambda value: value
        case exp.Cast() if tree.to.this == exp.DType.INT:
            return lambda flags: Values(flags.data.view(np.uint8), flags.known)
    if type(tree) not in _RULES:
        raise FeatureError(f"a formula may not say {tree.sql()}")
    return _RULES[type(tree)]


def _both(left: Flags | None, right: Flags | None) -> Flags | None:
    if left is None or right is None:
        return right if left is None else left
    return left & right


def _binary(of: Callable[[Array, Array], Array]) -> Callable[[Values, Values], Values]:
    return lambda left, right: Values(of(left.data, right.data), _both(left.known, right.known))


def _and(left: Values, right: Values) -> Values:
    data = left.holds & right.holds
    if left.known is None and right.known is None:
        return Values(data)
    return Values(data, data | _false(left) | _false(right))


def _or(left: Values, right: Values) -> Values:
    data = left.holds | right.holds
    if left.known is None and right.known is None:
        return Values(data)
    return Values(data, data | (_false(left) & _false(right)))


def _false(value: Values) -> Flags:
    return ~value.data if value.known is None else ~value.data & value.known


def _is_null(value: Values, _: Value) -> Values:
    return Values(np.zeros(value.data.shape, dtype=np.bool_) if value.known is None else ~value.known)


def _coalesce(first: Values, *others: Values) -> Values:
    for other in others:
        if first.known is not None:
            known = None if other.known is None else first.known | other.known
            first = Values(np.where(first.known, first.data, other.data), known)
    return first


def _nullif(value: Values, other: Values) -> Values:
    return Values(value.data, _both(value.known, value.data != other.data))


def _greatest(first: Values, *others: Values) -> Values:
    for other in others:
        first = Values(np.maximum(first.data, other.data), _both(first.known, other.known))
    return first


def _word(word: str) -> Words:
    return Words(np.zeros((), dtype=np.int16), (word,))


def _case(*parts: Any) -> Value:
    """The value of the first condition that holds; `parts` are conditions and values by turns, then the default."""
    *whens, default = parts
    conditions: Sequence[Values] = whens[::2]
    values: Sequence[Any] = whens[1::2]
    if default is NULL and len(values) == 1:
        return _only_where(conditions[0].holds, values[0])
    if isinstance(values[0], Words):
        return _named(conditions, values)
    out: Values = default
    for condition, value in zip(reversed(conditions), reversed(values), strict=True):
        out = Values(np.where(condition.holds, value.data, out.data), _chosen(condition.holds, value, out))
    return out


def _only_where(holds: Flags, value: Value) -> Value:
    """The value itself, null elsewhere."""
    if isinstance(value, pa.Array):
        return pc.if_else(pa.array(holds), value, None)
    if isinstance(value, Words):
        return Words(np.where(holds, value.codes, np.int16(-1)), value.words)
    return Values(value.data, _both(value.known, holds))


def _chosen(holds: Flags, value: Values, other: Values) -> Flags | None:
    if value.known is None and other.known is None:
        return None
    return np.where(holds, True if value.known is None else value.known, True if other.known is None else other.known)


def _named(conditions: Sequence[Values], values: Sequence[Words]) -> Words:
    """A CASE of words, null if no condition holds."""
    words = tuple(value.words[0] for value in values)
    codes = np.full(conditions[0].data.shape, -1, dtype=np.int16)
    for code in reversed(range(len(words))):
        codes[conditions[code].holds] = code
    return Words(codes, words)


NULL = Values(np.array(np.nan), np.zeros((), dtype=np.bool_))
_RULES: Mapping[type[Tree], Callable[..., Value]] = {
    exp.Add: _binary(np.add),
    exp.And: _and,
    exp.Case: _case,
    exp.Coalesce: _coalesce,
    exp.Div: _binary(np.divide),
    exp.EQ: _binary(np.equal),
    exp.GT: _binary(np.greater),
    exp.Greatest: _greatest,
    exp.Is: _is_null,
    exp.LT: _binary(np.less),
    exp.Mul: _binary(np.multiply),
    exp.Not: lambda value: Values(~value.data, value.known),
    exp.Nullif: _nullif,
    exp.Or: _or,
    exp.Paren: lambda value: value,
}


def _arrow(value: Value, n: int) -> pa.Array:
    """As Arrow, without a copy of numbers."""
    if isinstance(value, pa.Array):
        return value
    if isinstance(value, Words):
        codes = np.broadcast_to(value.codes, n)
        coded = pa.array(codes, mask=codes < 0)
        return pa.DictionaryArray.from_arrays(coded, pa.array(value.words, pa.string())).dictionary_decode()
    data = value.data if value.data.shape else np.full(n, value.data)
    flags = data.dtype == np.bool_
    buffers = [_bits(value.known, n), pa.py_buffer(np.packbits(data, bitorder="little") if flags else data)]
    return pa.Array.from_buffers(pa.bool_() if flags else pa.float64(), n, buffers)


def _bits(known: Flags | None, n: int) -> pa.Buffer | None:
    return None if known is None else pa.py_buffer(np.packbits(np.broadcast_to(known, n), bitorder="little"))
