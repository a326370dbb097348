"""How a stored value becomes what the contract says: SQL expressions, chosen by stored type and wanted kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nextoffer.tables.contract import Kind
from nextoffer.tables.sql import literal

MISSING = ("", "NA", "N/A", "NULL", "null", "NaN", "nan", "None", "\\N")
"""Texts that stand for "not known" where a number, flag or date is wanted."""

Family = str
"""What a stored type is to us: integer, real, text, bool, day, instant, null or other."""

_FAMILIES: dict[str, Family] = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint", "hugeint"), "integer"),
    **dict.fromkeys(("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"), "integer"),
    **dict.fromkeys(("float", "double", "decimal"), "real"),
    **dict.fromkeys(("varchar", "enum", "uuid"), "text"),
    **dict.fromkeys(("date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"), "day"),
    "boolean": "bool",
    "timestamp with time zone": "instant",
    "sqlnull": "null",
    "null": "null",
}
_OWN_KINDS: dict[Family, Kind] = {
    "integer": "number",
    "real": "number",
    "null": "number",
    "text": "text",
    "bool": "flag",
    "day": "date",
    "instant": "date",
}
WIDER_THAN_BIGINT = ("hugeint", "ubigint", "uhugeint")
"""Types of whole numbers of which some do not fit an id."""


@dataclass(frozen=True)
class Cast:
    """How one column is read.

    Attributes
    ----------
    value
        SQL for the value; null where it is missing or cannot be read.
    unreadable
        SQL that is true where something is stored that cannot be read, or None where that cannot happen.
    """

    value: str
    unreadable: str | None = None


@dataclass(frozen=True)
class Wish:
    """What a column should become.

    Attributes
    ----------
    kind, id_type
        What it should hold; ids as ``BIGINT`` or ``VARCHAR``.
    unit, date_format
        What bank.toml says of how it is written.
    digits
        How many digits a code has that may be stored as a number.
    may_overflow
        An id stored in a type wider than BIGINT.
    """

    kind: Kind
    id_type: str = "VARCHAR"
    unit: float = 1.0
    date_format: str | None = None
    digits: int = 0
    may_overflow: bool = False


def family(duckdb_type: str) -> Family:
    """Return the family of a DuckDB type, given by its id.

    >>> family("ubigint"), family("timestamp with time zone"), family("struct")
    ('integer', 'instant', 'other')
    """
    return _FAMILIES.get(duckdb_type, "other")


def own_kind(stored: Family) -> Kind | None:
    """Return the kind that a stored value has of its own, or None for what has no use here (lists, blobs)."""
    return _OWN_KINDS.get(stored)


def cast(column: str, stored: Family, wish: Wish) -> Cast | None:
    """Return how `column` (SQL) of the stored family is read as wished, or None where that makes no sense."""
    if stored == "null":
        return Cast(f"CAST(NULL AS {sql_type(wish.kind, wish.id_type)})")
    return _CASTS[wish.kind](column, stored, wish)


def sql_type(kind: Kind, id_type: str) -> str:
    """Return the type that a kind has past the door; `id_type` is that of ids.

    >>> sql_type("number", "BIGINT"), sql_type("id", "BIGINT")
    ('DOUBLE', 'BIGINT')
    """
    return {"number": "DOUBLE", "text": "VARCHAR", "flag": "BOOLEAN", "date": "DATE", "id": id_type}[kind]


def _stored(column: str) -> str:
    """True where a text says something."""
    return f"{column} NOT IN ({', '.join(literal(m) for m in MISSING)})"


def _id(column: str, stored: Family, wish: Wish) -> Cast | None:
    if stored not in ("integer", "real", "text"):
        return None
    if stored == "real":
        whole = _whole(column)
        value = f"CAST({whole} AS VARCHAR)" if wish.id_type == "VARCHAR" else whole
        return Cast(value, f"{whole} IS NULL AND NOT {_is_nan(column)}")
    if wish.id_type == "VARCHAR":
        return Cast(f"nullif(CAST({column} AS VARCHAR), '')" if stored == "text" else f"CAST({column} AS VARCHAR)")
    if stored == "integer":
        if not wish.may_overflow:
            return Cast(f"CAST({column} AS BIGINT)")
        value = f"TRY_CAST({column} AS BIGINT)"
        return Cast(value, f"{value} IS NULL AND {column} IS NOT NULL")
    # '007' is not 7: text becomes a number only where the number is written just so.
    value = f"CASE WHEN {is_whole_id(column)} THEN TRY_CAST({column} AS BIGINT) END"
    return Cast(value, f"{value} IS NULL AND {column} <> ''")


def _whole(column: str) -> str:
    return f"CASE WHEN {column} = trunc({column}) THEN TRY_CAST({column} AS BIGINT) END"


def _is_nan(column: str) -> str:
    return f"isnan(CAST({column} AS DOUBLE))"


def is_whole_id(column: str) -> str:
    """Return SQL that is true where a text is a whole number written in the one usual way."""
    return f"CAST(TRY_CAST({column} AS BIGINT) AS VARCHAR) = {column}"


def _number(column: str, stored: Family, wish: Wish) -> Cast | None:
    scale = "" if wish.unit == 1.0 else f" * CAST({wish.unit!r} AS DOUBLE)"
    number = f"CAST({column} AS DOUBLE)"
    if stored == "bool":
        return Cast(f"CAST(CAST({column} AS INTEGER) AS DOUBLE){scale}")
    if stored == "integer":
        return Cast(number + scale)
    if stored == "real":
        return Cast(f"CASE WHEN isfinite({number}) THEN {number}{scale} END", f"isinf({number})")
    if stored == "text":
        number = f"TRY_CAST({column} AS DOUBLE)"
        finite = f"CASE WHEN isfinite({number}) THEN {number}{scale} END"
        return Cast(finite, f"{finite} IS NULL AND {_stored(column)}")
    return None


def _text(column: str, stored: Family, wish: Wish) -> Cast | None:
    if stored == "other":
        return None
    text = f"CAST({column} AS VARCHAR)"
    if stored == "text":
        return Cast(f"nullif({text}, '')")
    if stored == "real":
        text = f"coalesce(CAST({_whole(column)} AS VARCHAR), {text})"
    if stored in ("integer", "real") and wish.digits:
        return Cast(f"CASE WHEN length({text}) < {wish.digits} THEN lpad({text}, {wish.digits}, '0') ELSE {text} END")
    return Cast(text)


def _flag(column: str, stored: Family, _wish: Wish) -> Cast | None:
    if stored == "bool":
        return Cast(column)
    if stored in ("integer", "real"):
        value = f"CASE {column} WHEN 1 THEN true WHEN 0 THEN false END"
        there = f"{column} NOT IN (0, 1)" + (f" AND NOT {_is_nan(column)}" if stored == "real" else "")
        return Cast(value, there)
    if stored == "text":
        low = f"lower({column})"
        value = f"CASE WHEN {low} IN ({_TRUE}) THEN true WHEN {low} IN ({_FALSE}) THEN false END"
        return Cast(value, f"{value} IS NULL AND {_stored(column)}")
    return None


_TRUE = "'true', 't', 'yes', 'y', '1', '1.0'"
_FALSE = "'false', 'f', 'no', 'n', '0', '0.0'"


def _date(column: str, stored: Family, wish: Wish) -> Cast | None:
    if stored == "day":
        return Cast(f"CAST({column} AS DATE)")
    if stored == "instant":
        return Cast(f"CAST({column} AT TIME ZONE 'UTC' AS DATE)")
    if wish.date_format is not None and stored in ("integer", "text"):
        value = f"CAST(try_strptime(CAST({column} AS VARCHAR), {literal(wish.date_format)}) AS DATE)"
    elif stored == "text":
        value = f"CAST(TRY_CAST({column} AS TIMESTAMP) AS DATE)"
    else:
        return None
    return Cast(value, f"{value} IS NULL AND {_stored(f'CAST({column} AS VARCHAR)')}")


_CASTS: dict[Kind, Callable[[str, Family, Wish], Cast | None]] = {
    "id": _id,
    "number": _number,
    "text": _text,
    "flag": _flag,
    "date": _date,
}
