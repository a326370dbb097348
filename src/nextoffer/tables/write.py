"""Writes tables to files: whole or not at all, in pieces if they are large."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from nextoffer.errors import NextOfferError

LIST_SEPARATOR = " | "
"""Between the texts of a list where a file has no lists (CSV)."""

_ROWS_AT_ONCE = 131_072


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...
    def close(self) -> None: ...


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` and rename it at the end; on an error, leave `path` as it was.

    Missing folders are made. The temporary path has the same ending.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     [p.name for p in Path(folder).iterdir()]
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_table(data: pa.Table | pa.RecordBatchReader, path: str | Path) -> int:
    """Write a table, or batches as they come, to a ``.parquet`` or ``.csv`` file; return the number of rows.

    Lists of texts are joined by `` | `` in CSV. The file appears when it is whole. Memory does not grow with a reader's
    rows.

    Raises
    ------
    NextOfferError
        The path has another ending.
    """
    with TableWriter(path) as file:
        file.start(data.schema)
        for chunk in _chunks(data):
            file.write(chunk)
    return file.rows


class TableWriter:
    """Writes tables of one schema, one after the other, to a ``.parquet`` or ``.csv`` file, which appears when whole.

    A context manager: on an error nothing is left behind.

    Raises
    ------
    NextOfferError
        The path has another ending.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if path.suffix not in _FORMATS:
            raise NextOfferError(
                f"{path.name} ends in '{path.suffix}', but tables are written as {' or '.join(_FORMATS)}"
            )
        self.rows = 0
        self._to_stored, self._open = _FORMATS[path.suffix]
        self._path = atomic_path(path)
        self._writer: _Writer | None = None

    @property
    def started(self) -> bool:
        """Something was written, if only the column names."""
        return self._writer is not None

    def start(self, schema: pa.Schema) -> None:
        """Write the column names; done by the first `write` otherwise."""
        if self._writer is None:
            self._writer = self._open(self._temporary, self._to_stored(schema.empty_table()).schema)

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        self.start(table.schema)
        assert self._writer is not None
        self._writer.write_table(self._to_stored(table))
        self.rows += table.num_rows

    def __enter__(self) -> TableWriter:
        self._temporary = self._path.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._path.__exit__(kind, error, trace)


def _chunks(data: pa.Table | pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Pieces of at least so many rows, the last excepted, so that Parquet's row groups do not get small."""
    schema = data.schema
    waiting: list[pa.RecordBatch] = []
    for batch in data.to_batches() if isinstance(data, pa.Table) else data:
        waiting.append(batch)
        if sum(b.num_rows for b in waiting) >= _ROWS_AT_ONCE:
            yield pa.Table.from_batches(waiting, schema=schema)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting, schema=schema)


def _as_it_is(table: pa.Table) -> pa.Table:
    return table


def _lists_joined(table: pa.Table) -> pa.Table:
    for i, field in enumerate(table.schema):
        if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
            texts = table.column(i).cast(pa.list_(pa.string()))
            table = table.set_column(i, field.name, pc.binary_join(texts, LIST_SEPARATOR))
    return table


def _parquet_writer(path: Path, schema: pa.Schema) -> _Writer:
    writer: _Writer = pyarrow.parquet.ParquetWriter(path, schema, compression="zstd")
    return writer


def _csv_writer(path: Path, schema: pa.Schema) -> _Writer:
    writer: _Writer = pyarrow.csv.CSVWriter(path, schema)
    return writer


_FORMATS: dict[str, tuple[Callable[[pa.Table], pa.Table], Callable[[Path, pa.Schema], _Writer]]] = {
    ".parquet": (_as_it_is, _parquet_writer),
    ".csv": (_lists_joined, _csv_writer),
}
