"""CSV as banks write it: delimiters, quotes, broken lines."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from nextoffer.errors import BankError
from nextoffer.tables.config import TableConfig
from nextoffer.tables.csv_source import csv_sql, read_header


def rows(tmp_path: Path, content: str | bytes, said: TableConfig | None = None) -> list[tuple[str | None, ...]]:
    path = tmp_path / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with duckdb.connect() as con:
        return con.execute(f"FROM {csv_sql([path], said or TableConfig())}").fetchall()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str, newline: str) -> None:
    lines = ["a", "b"], ["1", '"x, y; z|\t"'], ["", '"say ""hi"""']
    text = newline.join(delimiter.join(line) for line in lines) + newline
    assert rows(tmp_path, text) == [("1", "x, y; z|\t"), (None, 'say "hi"')]


def test_a_delimiter_may_be_given(tmp_path: Path) -> None:
    assert rows(tmp_path, "a,b^c\n1,2^3\n", TableConfig(delimiter="^")) == [("1,2", "3")]


def test_one_column_and_no_line_end(tmp_path: Path) -> None:
    assert rows(tmp_path, "a\n1\n2") == [("1",), ("2",)]


def test_a_line_break_within_quotes(tmp_path: Path) -> None:
    assert rows(tmp_path, 'a,b\n1,"two\nlines"\n') == [("1", "two\nlines")]


def test_broken_lines_are_left_out_wherever_they_stand(tmp_path: Path) -> None:
    assert rows(tmp_path, "a,b\n1\n2,3,4\n5,6\n") == [("5", "6")]


def test_parts_may_lack_columns(tmp_path: Path) -> None:
    for name, text in {"1.csv": "a,b\n1,2\n", "2.csv": "b,a\n4,3\n", "3.csv": "a\n5\n"}.items():
        (tmp_path / name).write_text(text)
    with duckdb.connect() as con:
        found = con.execute(f"FROM {csv_sql(sorted(tmp_path.iterdir()), TableConfig())}").fetchall()
    assert found == [("1", "2"), ("3", "4"), ("5", None)]


def test_names_are_made_unique(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a, A ,,a_1\n")
    assert read_header(tmp_path / "t.csv", TableConfig()).names == ("a", "A_1", "column_3", "a_1_3")


def test_a_name_with_quotes(tmp_path: Path) -> None:
    assert rows(tmp_path, '"it\'s ""it""",b\n1,2\n') == [("1", "2")]


@pytest.mark.parametrize(("content", "message"), [(b"", "empty"), (b"\xff\xfe,b\n", "is not utf-8; say which")])
def test_what_cannot_be_opened(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BankError, match=message):
        rows(tmp_path, content)


def test_a_damaged_archive(tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(b"no archive")
    with pytest.raises(BankError, match=r"t\.csv\.gz cannot be read"):
        csv_sql([tmp_path / "t.csv.gz"], TableConfig())
