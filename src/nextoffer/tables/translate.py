"""Says the SQL that makes a bank's tables clean, written for DuckDB, in the words of another engine.

Casts and rules are written once, as DuckDB's SQL. Few of its words mean something else elsewhere; these are replaced in
the syntax tree, and what is left is written by sqlglot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import sqlglot
from sqlglot import exp

from nextoffer.errors import BankError
from nextoffer.tables.layout import Layout
from nextoffer.tables.rules import Rule, clean_sql

_NUMBER = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"
_WHOLE = r"^\s*[+-]?[0-9]+\s*$"
_INSTANT = r"^\s*[0-9]{1,6}-[0-9]{1,2}-[0-9]{1,2}([ T].*)?$"
_FORMS = {"DOUBLE": _NUMBER, "BIGINT": _WHOLE, "TIMESTAMP": _INSTANT}
"""How DuckDB wants a text written that becomes a number or an instant; PostgreSQL takes more (``0x10``, ``today``)."""

Said = Callable[[exp.Expr], exp.Expr]


@lru_cache(maxsize=512)
def translated(sql: str, dialect: str) -> str:
    """Return a SELECT written for DuckDB in another engine's SQL; named parameters stay.

    >>> translated("SELECT isfinite(x) FROM typed.holdings", "spark")
    "SELECT ABS(x) < CAST('Infinity' AS DOUBLE) FROM typed_holdings"

    Raises
    ------
    BankError
        It says something that the engine has no words for.
    """
    if dialect == "duckdb":
        return sql
    words = _WORDS[dialect]
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    said: exp.Expr = tree.transform(lambda node: _one_schema(words.get(_word(node), _as_it_is)(node)))
    return said.sql(dialect=dialect)


def clean_tables(
    layouts: Mapping[str, Layout], rules: Mapping[str, tuple[Rule, ...]], dialect: str, sources: Mapping[str, str]
) -> dict[str, str]:
    """Return what makes the tables of `sources` clean: SELECTs by name, each of which may read those before it.

    They are to stand in front of a query, as ``WITH name AS (SELECT …)``.

    Parameters
    ----------
    layouts, rules
        Of every table, by name.
    dialect
        ``postgres`` or ``spark``.
    sources
        Table → what stands behind FROM to read it as it is stored, in the engine's words.
    """
    made: dict[str, str] = {}
    for name in sorted(sources, key=lambda table: len(layouts[table].table.refers)):
        stored = f"nextoffer_stored_{name}"
        numbered = any(rule.name == "duplicate_key" for rule in rules[name])
        typed = translated(layouts[name].typed_sql(stored, with_row=numbered), dialect)
        made[stored] = f"SELECT * FROM {sources[name]}"
        made[f"typed_{name}"] = typed
        if numbered:
            made[f"duplicates_{name}"] = _repeated_rows(name, str(layouts[name].table.key))
        made[name] = translated(clean_sql(layouts[name], rules[name]), dialect)
    return made


def _repeated_rows(table: str, key: str) -> str:
    """The rows after the first of their key."""
    ranked = f"SELECT _row, row_number() OVER (PARTITION BY {key} ORDER BY _row) AS nth FROM typed_{table}"
    return f"SELECT _row FROM ({ranked} WHERE {key} IS NOT NULL) AS ranked WHERE nth > 1"


def with_tables(tables: Mapping[str, str], query: str) -> str:
    """Return a query with the tables it reads in front of it.

    >>> with_tables({"a": "SELECT 1 AS x"}, "SELECT x FROM a")
    'WITH a AS (SELECT 1 AS x) SELECT * FROM (SELECT x FROM a) AS nextoffer_answer'
    """
    said = ", ".join(f"{name} AS ({select})" for name, select in tables.items())
    return f"WITH {said} SELECT * FROM ({query}) AS nextoffer_answer"


def _word(node: exp.Expr) -> str:
    return node.name.lower() if isinstance(node, exp.Anonymous) else type(node).__name__


def _as_it_is(node: exp.Expr) -> exp.Expr:
    return node


def _one_schema(node: exp.Expr) -> exp.Expr:
    """``typed.holdings`` is ``typed_holdings`` where tables stand in front of a query."""
    if isinstance(node, exp.Table) and node.db in ("typed", "duplicates"):
        return exp.to_table(f"{node.db}_{node.name}")
    return node


def _double(text: str) -> exp.Expr:
    return exp.cast(exp.Literal.string(text), "double")


def _operand(node: exp.Expr) -> exp.Expr:
    """What the one argument of a function is."""
    found: exp.Expr = node.expressions[0] if isinstance(node, exp.Anonymous) else node.this
    return found


def _spark_finite(node: exp.Expr) -> exp.Expr:
    return exp.LT(this=exp.Abs(this=_operand(node)), expression=_double("Infinity"))


def _spark_infinite(node: exp.Expr) -> exp.Expr:
    return exp.EQ(this=exp.Abs(this=_operand(node)), expression=_double("Infinity"))


def _in_session_zone(node: exp.Expr) -> exp.Expr:
    """An instant as it is: the session's time zone is UTC."""
    return _operand(node)


def _postgres_finite(node: exp.Expr) -> exp.Expr:
    """NaN is above infinity there."""
    above = exp.GT(this=_operand(node), expression=_double("-Infinity"))
    return exp.paren(exp.and_(above, exp.LT(this=_operand(node).copy(), expression=_double("Infinity"))))


def _postgres_infinite(node: exp.Expr) -> exp.Expr:
    return exp.In(this=_operand(node), expressions=[_double("Infinity"), _double("-Infinity")])


def _postgres_nan(node: exp.Expr) -> exp.Expr:
    return exp.EQ(this=_operand(node), expression=_double("NaN"))


def _postgres_try(node: exp.Expr) -> exp.Expr:
    """PostgreSQL raises on what it cannot cast, so it is asked first."""
    kind = node.args["to"]
    text = exp.cast(node.this, "text")
    form = exp.RegexpLike(this=text, expression=exp.Literal.string(_FORMS[kind.sql("duckdb")]))
    name = kind.sql("postgres").lower()
    fits = exp.Anonymous(this="pg_input_is_valid", expressions=[text.copy(), exp.Literal.string(name)])
    return exp.case().when(exp.and_(form, fits), exp.cast(text.copy(), kind))


def _no_formats(_node: exp.Expr) -> exp.Expr:
    raise BankError("bank.toml: 'date_format' is for files; in PostgreSQL say to_date(...) in the table's 'query'")


_WORDS: Mapping[str, Mapping[str, Said]] = {
    "spark": {"isfinite": _spark_finite, "IsInf": _spark_infinite, "AtTimeZone": _in_session_zone},
    "postgres": {
        "isfinite": _postgres_finite,
        "IsInf": _postgres_infinite,
        "IsNan": _postgres_nan,
        "TryCast": _postgres_try,
        "try_strptime": _no_formats,
    },
}
"""What is said otherwise, by engine and by DuckDB's function or sqlglot's name for it."""
