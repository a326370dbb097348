"""Rules and facts: boolean SQL expressions over named columns that can do nothing but compare.

A text is parsed by sqlglot, checked node by node against what is allowed, typed against the columns there are, and
turned into numpy operations. It is never handed to a database, so there is nothing to inject into. What is allowed:
column names (also ``product.tier``), numbers, texts, true, false, ``and or not``, ``= <> < <= > >=``, ``between``,
``in (…)``, ``is [not] null | true | false``, ``+ - * /`` and brackets. Null is SQL's: what is not known is not true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from nextoffer.errors import PolicyError
from nextoffer.policy.logic import Columns, Mask, Truth
from nextoffer.policy.typecheck import NAMES, TypeCheck, column_name
from nextoffer.tables.flow import Kind

_LONGEST = 400  # tokens: far beyond any rule a person reads, far below what could exhaust the parser's stack
_DEEPEST = 40
_MOST_WORK = 4000  # comparisons: flags compared with flags are looked at from both sides, and so on within each

_TWO_SIDES = frozenset({"this", "expression"})
_ALLOWED: dict[type[exp.Expr], frozenset[str]] = {
    **dict.fromkeys((exp.And, exp.Or, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is), _TWO_SIDES),
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Div), _TWO_SIDES),
    **dict.fromkeys((exp.Not, exp.Neg, exp.Paren), frozenset({"this"})),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.In: frozenset({"this", "expressions"}),
    exp.Column: frozenset({"this", "table", "db"}),
    exp.Identifier: frozenset({"this", "quoted"}),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Boolean: frozenset({"this"}),
    exp.Null: frozenset(),
}


@dataclass(frozen=True)
class Expression:
    """A checked and typed expression, ready to be evaluated on any number of rows.

    Attributes
    ----------
    text
        As it was written.
    names
        The columns it reads.
    """

    text: str
    names: tuple[str, ...]
    _truth: Truth

    def holds(self, columns: Columns) -> Mask:
        """Return where the expression is known to be true.

        Parameters
        ----------
        columns
            Each of `names`: numbers as float64 with NaN for null, flags as bool or float64, texts as objects with None
            for null; all of one shape, or without shape where the value is the same for all.

        Returns
        -------
        bool of the columns' shape.
        """
        return np.asarray(self._truth.yes(columns), dtype=np.bool_)

    def fails(self, columns: Columns) -> Mask:
        """Return where the expression is known to be false; columns and shape are those of `holds`."""
        return np.asarray(self._truth.no(columns), dtype=np.bool_)


@dataclass(frozen=True)
class Parsed:
    """An expression whose form is right, before it is known which columns there are."""

    text: str
    names: tuple[str, ...]
    tree: exp.Expr

    def typed(self, kinds: Mapping[str, Kind], closed: Mapping[str, str] | None = None) -> Expression:
        """Return the expression over columns of these kinds.

        Parameters
        ----------
        closed
            Why columns that there are may not be used.

        Raises
        ------
        PolicyError
            It names unknown columns, or compares what cannot be compared.
        """
        check = TypeCheck(kinds, closed)
        kind, truth = check.part(self.tree)
        if kind in ("number", "category"):
            check.problems.append(f"it is {NAMES[kind]}, but must be true or false")
        if check.problems:
            raise PolicyError(_about(self.text, check.problems))
        return Expression(self.text, self.names, truth)


def expression(text: str, kinds: Mapping[str, Kind]) -> Expression:
    """Return the expression written as `text` over columns of these kinds.

    Raises
    ------
    PolicyError
        The text is not one boolean expression, uses anything not allowed, names unknown columns or confuses types.

    >>> rule = expression("income >= 0.8 * product.min_income", {"income": "number", "product.min_income": "number"})
    >>> rule.holds({"income": np.array([5.0, 3.0, np.nan]), "product.min_income": np.array(6.0)})
    array([ True, False, False])
    """
    return parsed(text).typed(kinds)


@lru_cache(maxsize=1024)
def parsed(text: str) -> Parsed:
    """Return `text` with its form checked.

    Raises
    ------
    PolicyError
        The text is not one boolean expression, or uses anything that is not allowed.
    """
    tree = _parse(text)
    nodes = tree.walk(prune=lambda node: _objection(node) is not None)  # what is within need not be said
    problems = [problem for problem in map(_objection, nodes) if problem]
    if not problems and max(_work(tree)) > _MOST_WORK:
        problems = ["too entangled: flags are compared with flags that are compared with flags, and so on"]
    if problems:
        raise PolicyError(_about(text, problems))
    return Parsed(text, tuple(dict.fromkeys(column_name(c) for c in tree.find_all(exp.Column))), tree)


def parts(text: str) -> tuple[str, tuple[str, ...]]:
    """Return what an expression's outermost parts are joined by, and the parts as they were written.

    Raises
    ------
    PolicyError
        The text is not an expression.

    >>> parts("age between 18 and 70 and (segment = 'HNI' or income > 5)")
    ('and', ('age between 18 and 70', "(segment = 'HNI' or income > 5)"))
    >>> parts("age > 18")
    ('', ())
    """
    tree = parsed(text).tree
    joined = "and" if isinstance(tree, exp.And) else "or" if isinstance(tree, exp.Or) else ""
    cuts, depth, within = [-1], 0, 0
    for token in sqlglot.tokenize(text) if joined else ():
        kind = token.token_type.name
        depth += {"L_PAREN": 1, "R_PAREN": -1}.get(kind, 0)
        within += kind == "BETWEEN"
        if kind == joined.upper() and not depth and not (within and kind == "AND"):
            cuts += [token.start, token.end]
        within -= bool(within) and kind == "AND"
    cuts.append(len(text))
    return joined, tuple(text[a + 1 : b].strip() for a, b in zip(cuts[::2], cuts[1::2], strict=True)) if joined else ()


def _parse(text: str) -> exp.Expr:
    try:
        tokens = sqlglot.tokenize(text)
        _check_tokens(text, tokens)
        tree = sqlglot.parse_one(text)
    except (SqlglotError, RecursionError):
        raise PolicyError(_about(text, ["this is not an expression that can be read"])) from None
    return tree


def _about(text: str, problems: Iterable[str]) -> list[str]:
    shown = text if len(text) <= 200 else text[:200] + " …"
    return [f"'{shown}': {problem}" for problem in dict.fromkeys(problems)]


def _check_tokens(text: str, tokens: list[sqlglot.Token]) -> None:
    """Refuse what the tree would not show: comments, a second statement, and bulk meant to exhaust the parser."""
    depth = deepest = 0
    for token in tokens:
        depth += {"L_PAREN": 1, "R_PAREN": -1}.get(token.token_type.name, 0)
        deepest = max(deepest, depth)
    problem = None
    if not tokens:
        problem = "there is nothing in it"
    elif any(token.comments for token in tokens):
        problem = "comments are not allowed here"
    elif any(token.token_type.name == "SEMICOLON" for token in tokens):
        problem = "one expression only: ';' is not allowed"
    elif len(tokens) > _LONGEST or deepest > _DEEPEST:
        problem = f"too long: at most {_LONGEST} words and {_DEEPEST} brackets deep"
    if problem:
        raise PolicyError(_about(text, [problem]))


def _work(node: exp.Expr) -> tuple[int, int]:
    """Return about how many comparisons it takes to find where `node` is true, and where it is false."""
    if isinstance(node, exp.Not):
        yes, no = _work(node.this)
        return no, yes
    parts = [_work(child) for child in node.iter_expressions()]
    yes, no = (sum(part[side] for part in parts) for side in (0, 1))
    if isinstance(node, exp.And | exp.Or | exp.Paren):
        return yes, no
    if isinstance(node, exp.Is):
        return (
            (yes, yes)
            if node.expression.this is True
            else (no, no)
            if node.expression.this is False
            else (yes + no,) * 2
        )
    if isinstance(node, exp.In):
        both = sum(parts[0]) * len(node.expressions) + sum(map(sum, parts[1:]))
        return both, both
    return (yes + no, yes + no) if isinstance(node, exp.EQ | exp.NEQ) else (max(1, yes), max(1, yes))


def _objection(node: exp.Expr) -> str | None:
    """Say why this node is not allowed, or None."""
    allowed = _ALLOWED.get(type(node))
    if allowed is None:
        return f"{_what(node)} not allowed; a rule only compares columns with numbers, texts and each other"
    extra = [name for name, value in node.args.items() if value and name not in allowed]
    if extra:
        return f"this form of '{node.key}' is not allowed ({', '.join(extra)})"
    if isinstance(node, exp.Column) and not isinstance(node.this, exp.Identifier):
        return "'*' is not allowed; name the column"
    if isinstance(node, exp.In) and not node.expressions:
        return "'in' needs a list of values in brackets"
    return None


def _what(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return f"the function '{node.name}' is"
    if isinstance(node, exp.Func):
        return f"the function '{node.sql_name().lower()}' is"
    if isinstance(node, exp.Query | exp.Subquery):
        return "a query is"
    return f"'{node.key}' is"
