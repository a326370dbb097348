"""Finds out from the values of a CSV what its columns hold, where the contract leaves it open."""

from __future__ import annotations

import duckdb

from nextoffer.tables.cast import MISSING, is_whole_id
from nextoffer.tables.contract import HOME_OF_ID, Kind
from nextoffer.tables.layout import Described
from nextoffer.tables.sql import literal, quoted, reading


def infer(con: duckdb.DuckDBPyConnection, described: Described) -> tuple[dict[str, Kind], dict[str, str]]:
    """Return the kinds of open columns, and the types of the ids that have their home here; one pass, for CSV only.

    An id is a whole number only if every value is written the usual way, so that ``007`` stays text. Further columns
    are flags if they say only true and false, numbers if all are (and none looks like a postcode ``01234``), else text.
    """
    if not described.source.is_text:
        return {}, {}
    ids = [n for n, home in HOME_OF_ID.items() if home == described.table.name and n in described.columns]
    open_ = [n for n in described.columns if n not in HOME_OF_ID and _is_open(described, n)]
    if not ids and not open_:
        return {}, {}
    asked = [_all_whole(_stored(described, n)) for n in ids]
    for name in open_:
        asked += [_all_flags(_stored(described, name)), _all_numbers(_stored(described, name))]
    with reading(described.source.origin):
        (row,) = con.execute(f"SELECT {', '.join(asked)} FROM {described.source.sql}").fetchall()
    answers = [bool(answer) for answer in row]
    kinds = {n: _kind(*answers[i : i + 2]) for n, i in zip(open_, range(len(ids), len(answers), 2), strict=True)}
    return kinds, {n: "BIGINT" if whole else "VARCHAR" for n, whole in zip(ids, answers, strict=False)}


def _is_open(described: Described, name: str) -> bool:
    known = described.table.column(name)
    return (known is None and described.table.open) or (known is not None and known.kind is None)


def _stored(described: Described, name: str) -> str:
    return quoted(described.columns[name].name)


def _kind(flags: bool, numbers: bool) -> Kind:
    return "flag" if flags else "number" if numbers else "text"


def _said(column: str) -> str:
    return f"{column} NOT IN ({', '.join(literal(m) for m in MISSING)})"


def _all_whole(column: str) -> str:
    return f"bool_and(coalesce({is_whole_id(column)}, false)) FILTER (WHERE {column} <> '')"


def _all_flags(column: str) -> str:
    return f"bool_and(lower({column}) IN ('true', 'false')) FILTER (WHERE {_said(column)})"


def _all_numbers(column: str) -> str:
    number = f"coalesce(isfinite(TRY_CAST({column} AS DOUBLE)), false)"
    code = f"regexp_matches({column}, '^0[0-9]')"
    return f"bool_and({number} AND NOT {code}) FILTER (WHERE {_said(column)})"
