from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from nextoffer.features import mcc


def entries() -> dict[str, dict[str, object]]:
    return tomllib.loads(files("nextoffer.features").joinpath("mcc.toml").read_text(encoding="utf-8"))


def test_every_assigned_code_has_a_category() -> None:
    iso18245 = pytest.importorskip("iso18245")
    codes = [m.mcc for m in iso18245.get_all_mccs_in_range("0000", "9999")]
    assert len(codes) > 900
    assert [code for code in codes if mcc.category(code) == mcc.OTHER] == []


@pytest.mark.parametrize(
    ("spelling", "category"),
    [
        ("5411", "groceries"),
        ("3000", "travel"),
        ("3999", "travel"),
        ("4111", "transport"),
        ("742", "services"),
        ("0742", "services"),
        ("5812", "dining"),
        ("Gas Station", "fuel"),
        ("FASHION", "fashion"),
        ("online", "online"),
        ("1234", "other"),
        ("", "other"),
    ],
)
def test_names_and_codes(spelling: str, category: str) -> None:
    assert mcc.category(spelling) == category


def test_no_code_or_name_is_in_two_categories() -> None:
    seen: dict[str, str] = {}
    for category, entry in entries().items():
        for spelling in dict.fromkeys(mcc._spellings(category, entry)):
            assert seen.setdefault(spelling, category) == category, spelling


def test_every_category_is_in_plain_words() -> None:
    assert mcc.labels().keys() == entries().keys()
    assert [mcc.number(c) for c in mcc.labels()] == list(range(len(mcc.labels())))
    assert all(label == label.lower() and len(label) > 3 for label in mcc.labels().values())
    assert 20 <= len(mcc.labels()) <= 25


def test_the_table_holds_each_spelling_once() -> None:
    spellings = mcc.table().column("mcc").to_pylist()
    assert len(spellings) == len(set(spellings)) == len(mcc.spellings())
