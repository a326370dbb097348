"""Every stored type and every way of writing a value, against what it means."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from nextoffer.tables.cast import MISSING, Wish, cast, family
from nextoffer.tables.contract import Kind

UNREADABLE = "unreadable"


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def read(con: duckdb.DuckDBPyConnection, stored: str, wish: Wish) -> object:
    """The value that SQL text `stored` is read as, as text; None if it is not known."""
    relation = con.sql(f"SELECT {stored} AS x")
    how = cast("x", family(relation.types[0].id), wish)
    assert how is not None
    query = (
        f"SELECT CAST({how.value} AS VARCHAR), coalesce({how.unreadable or 'false'}, false) FROM (SELECT {stored} AS x)"
    )
    ((value, unreadable),) = con.execute(query).fetchall()
    assert not (unreadable and value is not None)
    return UNREADABLE if unreadable else value


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ("'1.5'", "1.5"),
        ("' -2e3 '", "-2000.0"),
        ("'1,5'", UNREADABLE),
        ("'inf'", UNREADABLE),
        ("'twelve'", UNREADABLE),
        ("7::UTINYINT", "7.0"),
        ("1.25::DECIMAL(9, 2)", "1.25"),
        ("'nan'::DOUBLE", None),
        ("'-inf'::FLOAT", UNREADABLE),
        ("true", "1.0"),
        ("NULL", None),
        ("NULL::DOUBLE", None),
    ],
)
def test_numbers(con: duckdb.DuckDBPyConnection, stored: str, value: object) -> None:
    assert read(con, stored, Wish("number")) == value


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ("'2025-12-31'", "2025-12-31"),
        ("'2025-12-31 23:59:59'", "2025-12-31"),
        ("'31.12.2025'", UNREADABLE),
        ("'2025-02-30'", UNREADABLE),
        ("DATE '2025-12-31'", "2025-12-31"),
        ("TIMESTAMP_NS '2025-12-31 23:59:59.999'", "2025-12-31"),
        ("TIMESTAMPTZ '2025-12-31 23:00:00-05'", "2026-01-01"),
    ],
)
def test_dates(con: duckdb.DuckDBPyConnection, stored: str, value: object) -> None:
    assert read(con, stored, Wish("date")) == value


@pytest.mark.parametrize(
    ("stored", "form", "value"),
    [
        ("'31.12.2025'", "%d.%m.%Y", "2025-12-31"),
        ("20251231", "%Y%m%d", "2025-12-31"),
        ("'soon'", "%Y%m%d", UNREADABLE),
    ],
)
def test_dates_in_another_form(con: duckdb.DuckDBPyConnection, stored: str, form: str, value: object) -> None:
    assert read(con, stored, Wish("date", date_format=form)) == value


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ("'TRUE'", "true"),
        ("'y'", "true"),
        ("'No'", "false"),
        ("'0'", "false"),
        ("'maybe'", UNREADABLE),
        ("1", "true"),
        ("0.0::DOUBLE", "false"),
        ("2", UNREADABLE),
        ("'nan'::DOUBLE", None),
        ("false", "false"),
    ],
)
def test_flags(con: duckdb.DuckDBPyConnection, stored: str, value: object) -> None:
    assert read(con, stored, Wish("flag")) == value


@pytest.mark.parametrize(
    ("stored", "id_type", "value"),
    [
        ("'007'", "VARCHAR", "007"),
        ("'007'", "BIGINT", UNREADABLE),
        ("'7'", "BIGINT", "7"),
        ("'7.0'", "BIGINT", UNREADABLE),
        ("''", "BIGINT", None),
        ("''", "VARCHAR", None),
        ("7.0::DOUBLE", "BIGINT", "7"),
        ("7.0::DOUBLE", "VARCHAR", "7"),
        ("7.5::DOUBLE", "BIGINT", UNREADABLE),
        ("'nan'::DOUBLE", "BIGINT", None),
        ("7::SMALLINT", "VARCHAR", "7"),
        ("18446744073709551615::UBIGINT", "BIGINT", UNREADABLE),
        ("'a9f4b1d2-0000-4000-8000-000000000001'::UUID", "VARCHAR", "a9f4b1d2-0000-4000-8000-000000000001"),
    ],
)
def test_ids(con: duckdb.DuckDBPyConnection, stored: str, id_type: str, value: object) -> None:
    assert read(con, stored, Wish("id", id_type, may_overflow="UBIGINT" in stored)) == value


@pytest.mark.parametrize(
    ("stored", "value"),
    [("742", "0742"), ("742.0::DOUBLE", "0742"), ("54111", "54111"), ("'food'", "food"), ("''", None)],
)
def test_codes(con: duckdb.DuckDBPyConnection, stored: str, value: object) -> None:
    assert read(con, stored, Wish("text", digits=4)) == value


@pytest.mark.parametrize("kind", ["number", "flag", "date"])
@pytest.mark.parametrize("word", MISSING)
def test_words_for_nothing_are_no_error(con: duckdb.DuckDBPyConnection, kind: Kind, word: str) -> None:
    assert read(con, f"'{word}'", Wish(kind)) is None


@pytest.mark.parametrize(
    ("stored", "kind"),
    [("[1]", "text"), ("DATE '2025-01-01'", "number"), ("1", "date"), ("true", "id"), ("'x'::BLOB", "text")],
)
def test_what_makes_no_sense(con: duckdb.DuckDBPyConnection, stored: str, kind: Kind) -> None:
    assert cast("x", family(con.sql(f"SELECT {stored} AS x").types[0].id), Wish(kind)) is None


def test_units_scale(con: duckdb.DuckDBPyConnection) -> None:
    assert [read(con, x, Wish("number", unit=1000)) for x in ("'1.5'", "2", "2.5::DOUBLE")] == [
        "1500.0",
        "2000.0",
        "2500.0",
    ]
