"""Merchant categories: from a bank's word or ISO 18245 code to one of about twenty ways of spending (``mcc.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import pyarrow as pa

from nextoffer.errors import FeatureError, did_you_mean

OTHER = "other"
"""Where everything goes that is not in the table."""


def category(mcc: str | None) -> str:
    """Return the spending category of a name or an ISO 18245 code; ``other`` if it is not known.

    >>> category("5411"), category("742"), category("Supermarket"), category("zzz"), category(None)
    ('groceries', 'services', 'groceries', 'other', 'other')
    """
    return OTHER if mcc is None else spellings().get(mcc, OTHER)


@cache
def labels() -> Mapping[str, str]:
    """Return every category and its plain words, in the order of ``mcc.toml``."""
    return MappingProxyType({name: str(entry["label"]) for name, entry in _entries().items()})


@cache
def spellings() -> Mapping[str, str]:
    """Return every spelling and its category: codes with and without leading zeros, names in three cases."""
    return MappingProxyType({text: name for name, entry in _entries().items() for text in _spellings(name, entry)})


def table() -> pa.Table:
    """Return `spellings` as a table of ``mcc`` (text) and ``category`` (`number`), which compiled features join to."""
    numbers = [number(c) for c in spellings().values()]
    return pa.table({"mcc": pa.array(spellings().keys(), pa.string()), "category": pa.array(numbers, pa.int32())})


def number(category: str) -> int:
    """Return the number that stands for a category inside a query, because numbers compare faster than words.

    Raises
    ------
    FeatureError
        There is no such category.
    """
    if category not in labels():
        raise FeatureError(f"no spending category '{category}'{did_you_mean(category, labels())}")
    return list(labels()).index(category)


@cache
def _entries() -> Mapping[str, Mapping[str, object]]:
    return tomllib.loads(files(__package__).joinpath("mcc.toml").read_text(encoding="utf-8"))


def _spellings(category_name: str, entry: Mapping[str, object]) -> Iterator[str]:
    for text in (category_name, *_texts(entry["names"])):
        yield from (text, text.capitalize(), text.title(), text.upper())
    for code in _codes(_texts(entry["codes"])):
        yield from (f"{code:04d}", str(code))


def _codes(ranges: list[str]) -> Iterator[int]:
    for text in ranges:
        low, _, high = text.partition("-")
        yield from range(int(low), int(high or low) + 1)


def _texts(value: object) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else []
