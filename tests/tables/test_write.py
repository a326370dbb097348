"""Files appear whole or not at all, and hold what was given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from nextoffer.errors import NextOfferError
from nextoffer.tables.write import TableWriter, atomic_path, write_table

TABLE = pa.table(
    {
        "customer_id": ["007", "8", None],
        "reasons": [["Meets income", 'Says "yes", often'], [], None],
        "score": [0.5, None, 1.5],
        "offered": [True, False, None],
    }
)


def reader(table: pa.Table, size: int) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=size))


def test_parquet_holds_the_table(tmp_path: Path) -> None:
    assert write_table(TABLE, tmp_path / "new" / "out.parquet") == 3
    assert pa.parquet.read_table(tmp_path / "new" / "out.parquet").equals(TABLE)


def test_csv_joins_lists_and_keeps_ids(tmp_path: Path) -> None:
    assert write_table(reader(TABLE, 1), tmp_path / "out.csv") == 3
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines() == [
        '"customer_id","reasons","score","offered"',
        '"007","Meets income | Says ""yes"", often",0.5,true',
        '"8","",,false',
        ",,1.5,",
    ]


def test_small_batches_become_large_row_groups(tmp_path: Path) -> None:
    table = pa.table({"n": range(300_000)})
    assert write_table(reader(table, 1000), tmp_path / "out.parquet") == 300_000
    file = pa.parquet.ParquetFile(tmp_path / "out.parquet")
    assert file.num_row_groups == 3
    assert file.read().equals(table)


@pytest.mark.parametrize("name", ["out.parquet", "out.csv"])
def test_no_rows_make_a_file_with_columns(tmp_path: Path, name: str) -> None:
    assert write_table(TABLE.schema.empty_table(), tmp_path / name) == 0
    read = pa.parquet.read_table if name.endswith("parquet") else pa.csv.read_csv
    assert read(tmp_path / name).column_names == TABLE.column_names


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        NextOfferError, match=r"out\.xlsx ends in '\.xlsx', but tables are written as \.parquet or \.csv"
    ):
        write_table(TABLE, tmp_path / "out.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")

    def failing() -> Iterator[pa.RecordBatch]:
        yield from TABLE.to_batches()
        raise OSError("disk gone")

    batches = pa.RecordBatchReader.from_batches(TABLE.schema, failing())
    with pytest.raises(OSError, match="disk gone"):
        write_table(batches, path)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_atomic_path_keeps_the_ending(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a" / "model.toml") as temporary:
        assert (temporary.suffix, temporary.parent) == (".toml", tmp_path / "a")
        temporary.write_text("x = 1")
        assert not (tmp_path / "a" / "model.toml").exists()
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["model.toml"]


def test_a_writer_takes_tables_one_by_one(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "out.csv") as file:
        assert not file.started
        file.write(TABLE.slice(0, 2))
        file.write(TABLE.slice(2))
        assert (file.started, file.rows) == (True, 3)
        assert not (tmp_path / "out.csv").exists()
    write_table(TABLE, tmp_path / "whole.csv")
    assert (tmp_path / "out.csv").read_text() == (tmp_path / "whole.csv").read_text()
