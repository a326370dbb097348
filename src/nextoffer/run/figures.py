"""Writes what was found out: every table, all of it as plain values, and a page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from nextoffer.errors import NextOfferError
from nextoffer.tables.write import atomic_path, write_table


def write_figures(
    folder: Path, *, tables: Mapping[str, pa.Table], told: Mapping[str, Any], page: str
) -> tuple[str, ...]:
    """Write ``report.html``, ``figures.json`` and each table as Parquet; return the names of the files.

    Raises
    ------
    NextOfferError
        The folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise NextOfferError(f"{folder.name}: a file is there where a folder is needed")
    for name, table in tables.items():
        write_table(table, folder / f"{name}.parquet")
    texts = {"figures.json": json.dumps(told, indent=1) + "\n", "report.html": page}
    for name, content in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return (*texts, *(f"{name}.parquet" for name in tables))
