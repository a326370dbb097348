"""bank.toml: every slip of the pen is told, with the nearest word that would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextoffer.errors import BankError
from nextoffer.tables.config import read_config


def read(tmp_path: Path, text: str) -> None:
    (tmp_path / "bank.toml").write_text(text, encoding="utf-8")
    read_config(tmp_path / "bank.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("currencies = 'EUR'", r"unknown key 'currencies' \(did you mean 'currency'\?\)"),
        ("currency = 'euro'", r"'currency' string should match pattern .* \(found 'euro'\)"),
        ("[tables.custmers]", r"'tables.custmers' is no table \(did you mean 'customers'\?\)"),
        ("[tables.risk]\ncolumn = {a = 'b'}", r"unknown key 'tables.risk.column' \(did you mean 'columns'\?\)"),
        ("[tables.risk]\npath = 'a'\nquery = 'b'", r"'tables.risk' has both 'path' and 'query'; give one"),
        ("[tables.risk]\nunits = {pd = 'percent'}", r"'tables.risk.units.pd' .* \(found 'percent'\)"),
        ("[tables.customers]\nunits = {segment = 10}", "segment is not a number, so it has no unit"),
        ("[tables.customers]\ndelimiter = '||'", r"'tables.customers.delimiter' .* \(found '\|\|'\)"),
        ("[tables.customers]\nencoding = 'cp437'", r"'tables.customers.encoding' .*'latin-1'.* \(found 'cp437'\)"),
        ("exclude = ['customer_id']", "'exclude' names holdings.customer_id, which is required"),
        ("exclude = ['holdings.product_id']", "'exclude' names holdings.product_id, which is required"),
        ("exclude = [", "is not TOML"),
    ],
)
def test_slips_are_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BankError, match=message):
        read(tmp_path, text)


def test_all_of_them_at_once(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="unknown key") as caught:
        read(tmp_path, "names = 'x'\nexclude = 3\n[tables.risk]\npth = 'x'\n")
    assert len(caught.value.problems) == 3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BankError, match=r"bank\.toml: cannot be read \(No such file or directory\)"):
        read_config(tmp_path / "bank.toml")
