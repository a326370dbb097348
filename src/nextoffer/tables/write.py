"""Writes tables to files: whole or not at all, in pieces if they are large."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
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
    path = Path(path)
    if path.suffix not in _FORMATS:
        raise NextOfferError(f"{path.name} ends in '{path.suffix}', but tables are written as {' or '.join(_FORMATS)}")
    to_stored, open_writer = _FORMATS[path.suffix]
    rows = 0
    with atomic_path(path) as temporary:
        writer = open_writer(temporary, to_stored(data.schema.empty_table()).schema)
        try:
            for chunk in _chunks(data):
                writer.write_table(to_stored(chunk))
                rows += chunk.num_rows
        finally:
            writer.close()
    return rows


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
