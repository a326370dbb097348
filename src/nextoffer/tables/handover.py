"""Hands a bank's tables to an engine that reads files by itself, so that every row means there what it means here.

Parquet whose columns need no reading between the lines is read where it lies. Other tables (CSV, queries, numbers and
dates kept as text, a key that occurs twice) are cleaned here and handed over as Parquet, as two engines seldom agree on
what a text means or which row comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from nextoffer.tables.bank import Bank
from nextoffer.tables.layout import Layout, Read
from nextoffer.tables.sql import literal, quoted

_ALIKE = {
    "id": {"BIGINT": ("integer",), "VARCHAR": ("integer", "text")},
    "number": ("integer", "real", "bool"),
    "text": ("text", "integer", "bool"),
    "flag": ("bool", "integer", "text"),
    "date": ("day", "instant"),
}
"""What stored types are read alike everywhere, by kind."""

_ODD_TYPES = ("timestamp_ns", "uuid", "enum", "hugeint", "uhugeint")


@dataclass(frozen=True)
class Handover:
    """Where another engine finds the tables.

    Attributes
    ----------
    stored
        Table → its Parquet files as the bank keeps them; types and rules are still to be applied.
    clean
        Table → a Parquet file of its clean rows.
    """

    stored: Mapping[str, tuple[Path, ...]]
    clean: Mapping[str, Path]


def hand_over(bank: Bank, folder: Path) -> Handover:
    """Return where the tables are, after writing to `folder` those that cannot be read where they are."""
    stored = {name: layout.source.files for name, layout in bank.layouts.items() if _is_plain(bank, layout)}
    clean = {name: folder / f"{name}.parquet" for name in bank.tables if name not in stored}
    for name, path in clean.items():
        target = f"{literal(str(path))} (FORMAT parquet, COMPRESSION zstd)"
        bank.connect().cursor().execute(f"COPY (FROM {quoted(name)}) TO {target}")
    return Handover(stored, clean)


def _is_plain(bank: Bank, layout: Layout) -> bool:
    """Whether any engine that knows Parquet reads the table as DuckDB does."""
    files = layout.source.files
    if layout.source.is_text or not files or any(r.name == "duplicate_key" for r in bank.rules[layout.table.name]):
        return False
    return all(map(_is_alike, layout.columns)) and _same_columns(files)


def _is_alike(column: Read) -> bool:
    alike = _ALIKE[column.kind]
    families = alike[column.type] if isinstance(alike, dict) else alike
    return column.stored.family in families and column.stored.type_id not in _ODD_TYPES


def _same_columns(files: tuple[Path, ...]) -> bool:
    """Whether all parts have the same columns, none of them twice whatever the case."""
    first, *others = [pq.read_schema(file).remove_metadata() for file in files]
    names = [name.lower() for name in first.names]
    return len(set(names)) == len(names) and all(other.equals(first) for other in others)
