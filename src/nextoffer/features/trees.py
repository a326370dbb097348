"""The few pieces of SQL syntax tree that features are put together from. Everything in them is said by every engine."""

from __future__ import annotations

from typing import TypeAlias

from sqlglot import exp

Tree: TypeAlias = exp.Expr
"""Any piece of a query."""


def column(name: str, table: str | None = None) -> exp.Column:
    """Return a reference to a column.

    >>> column("amount", "t").sql()
    '"t"."amount"'
    """
    return exp.column(name, table=table, quoted=True)


def relation(name: str, alias: str | None = None) -> Tree:
    """Return a reference to a table or view.

    >>> relation("transactions", "t").sql()
    'transactions AS t'
    """
    return exp.alias_(exp.to_table(name), alias, table=True) if alias else exp.to_table(name)


def the_day() -> Tree:
    """Return the day features stand for: the parameter ``as_of``, the only one that queries have.

    >>> the_day().sql("duckdb")
    'CAST($as_of AS DATE)'
    """
    return exp.cast(exp.Placeholder(this="as_of"), "date")


def days_ago(day: Tree) -> Tree:
    """Return whole days from `day` until the day features stand for.

    >>> days_ago(column("date")).sql("spark")
    'DATEDIFF(DAY, `date`, CAST(:as_of AS DATE))'
    """
    return exp.DateDiff(this=the_day(), expression=day, unit=exp.var("DAY"))


def day_of_month(day: Tree) -> Tree:
    """Return 1 to 31."""
    return exp.Extract(this=exp.var("DAY"), expression=day)


def when(condition: Tree | None, value: Tree) -> Tree:
    """Return `value` where the condition holds, else null; `value` itself without a condition."""
    return value if condition is None else exp.case().when(condition, value)


def one_if(condition: Tree) -> Tree:
    """Return 1 where the condition holds and 0 where it does not, as a double; doubles without nulls add up fastest.

    The condition is never null: a cast, unlike a CASE, would let that through.
    """
    return exp.cast(exp.cast(condition, "int"), "double")


def both(one: Tree | None, other: Tree) -> Tree:
    """Return whether both conditions hold; no first condition always does."""
    return other if one is None else exp.and_(one, other)


def is_null(value: Tree) -> Tree:
    """Return whether the value is null."""
    return value.is_(exp.null())


def number(value: int) -> Tree:
    """Return a whole number."""
    return exp.Literal.number(value)


def double(value: int) -> Tree:
    """Return a whole number as a double."""
    return exp.cast(number(value), "double")


def text(value: str) -> Tree:
    """Return a text."""
    return exp.Literal.string(value)
