"""A folder of Parquet tables that appears whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from nextoffer.errors import BankError
from nextoffer.tables.write import atomic_folder

Progress = Callable[[int, int], None]
"""Called with (steps done, all steps)."""


def silent(done: int, total: int) -> None:
    """Report no progress."""


class TableFolder:
    """Parquet tables written piece by piece into one folder, one open file a table.

    Parameters
    ----------
    folder
        An existing folder; use `new_folder` for one that appears only when all is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writers: dict[str, pq.ParquetWriter] = {}

    def add(self, table: str, rows: pa.Table) -> None:
        """Append rows to ``<table>.parquet``; the first call fixes the columns and types."""
        if table not in self._writers:
            self._writers[table] = pq.ParquetWriter(self.folder / f"{table}.parquet", rows.schema, compression="zstd")
        self._writers[table].write_table(rows)

    def text(self, name: str, content: str) -> None:
        """Write a text file beside the tables."""
        (self.folder / name).write_text(content, encoding="utf-8")

    def json(self, name: str, content: Mapping[str, object]) -> None:
        """Write a JSON file beside the tables."""
        self.text(name, json.dumps(content, indent=2) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()


@contextmanager
def new_folder(target: str | Path, *, force: bool = False) -> Iterator[TableFolder]:
    """Yield a `TableFolder` under a temporary name that becomes `target` when the block ends well.

    Raises
    ------
    BankError
        `target` is a file, or a folder that is not empty and `force` is not set. With `force` the old folder is
        replaced, and only once the new one is complete.
    """
    target = Path(target)
    if target.is_file():
        raise BankError(f"{target} is a file; a bank is written to a folder")
    if target.is_dir() and any(target.iterdir()) and not force:
        raise BankError(f"{target} is not empty; name another folder, or pass --force (force=True) to replace it")
    with atomic_folder(target) as working, TableFolder(working) as tables:
        yield tables
