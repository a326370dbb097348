"""CSV that no spreadsheet can be made to compute."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextoffer.deliver.sheet import cell, write_sheet
from tests.deliver.toys import read_csv


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "\uff1d1",
        "-x",
        "+",
        '=HYPERLINK("a")',
    ],
)
def test_what_a_spreadsheet_would_compute_is_marked_as_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["+49 30 1234-5", "-5", "007", "Ann", "a=b", "3@x", "", "+49(0)30/12.3"])
def test_numbers_and_plain_texts_stay_as_they_are(text: str) -> None:
    assert cell(text) == text


def test_values_that_are_no_texts() -> None:
    assert [cell(v) for v in (None, True, -1, -0.5, date(2025, 1, 2), ["=a", "b"], [])] == [
        "", "true", "-1", "-0.5", "2025-01-02", "'=a | b", "",
    ]  # fmt: skip


@given(st.text(max_size=12))
def test_no_text_begins_a_formula(text: str) -> None:
    shown = cell(text)
    assert shown.endswith(text)
    assert not shown.lstrip(" \t\r\n").startswith(("=", "@"))


def test_rows_are_quoted_and_read_back(tmp_path: Path) -> None:
    rows = [{"a": 'x, "y"\nz', "b": 1, "c": "not asked for"}, {"b": None}]
    assert write_sheet(tmp_path / "deep" / "f.csv", ["a", "b"], rows, for_spreadsheet=True) == 2
    raw = (tmp_path / "deep" / "f.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfa,b\n")
    assert read_csv(tmp_path / "deep" / "f.csv") == [{"a": 'x, "y"\nz', "b": "1"}, {"a": "", "b": ""}]
