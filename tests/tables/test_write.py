"""Files appear whole or not at all, and hold what was given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
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


def encoded(table: pa.Table) -> pa.Table:
    """Return the table with Arrow dictionaries for its texts, also within lists."""
    lists = table.column("reasons").combine_chunks()
    texts = lists.flatten().dictionary_encode()
    sizes = pa.compute.list_value_length(lists).fill_null(0).to_pylist()
    offsets = [None if not lists[i].is_valid else sum(sizes[:i]) for i in range(len(sizes))] + [sum(sizes)]
    reasons = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), texts)
    table = table.set_column(1, "reasons", reasons)
    return table.set_column(0, "customer_id", table.column("customer_id").dictionary_encode())


def test_arrow_dictionaries_do_not_show_in_a_file(tmp_path: Path) -> None:
    table = encoded(TABLE)
    assert table.schema != TABLE.schema
    for path in (tmp_path / "out.parquet", tmp_path / "out.csv"):
        with TableWriter(path) as file:
            file.write(table)
            file.write(table.slice(1))  # its dictionaries are another column's
    read = pa.parquet.read_table(tmp_path / "out.parquet")
    assert read.schema == TABLE.schema
    assert read.equals(pa.concat_tables([TABLE, TABLE.slice(1)]))
    write_table(pa.concat_tables([TABLE, TABLE.slice(1)]), tmp_path / "plain.csv")
    assert (tmp_path / "out.csv").read_text() == (tmp_path / "plain.csv").read_text()


def test_a_dictionary_that_names_a_text_twice_is_read_back_right(tmp_path: Path) -> None:
    table = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["x", "y", "x"]))})
    write_table(table, tmp_path / "out.parquet")
    assert pa.parquet.read_table(tmp_path / "out.parquet").column("a").to_pylist() == ["x", "y", "x", None]


def test_the_same_pieces_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        with TableWriter(tmp_path / name) as file:
            for start in range(3):
                file.write(encoded(TABLE).slice(start, 1))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_only_what_repeats_gets_a_dictionary(tmp_path: Path) -> None:
    table = pa.table({"score": [i / 7 for i in range(5000)], "rank": [i % 5 for i in range(5000)]})
    write_table(table, tmp_path / "out.parquet")
    group = pa.parquet.ParquetFile(tmp_path / "out.parquet").metadata.row_group(0)
    assert ["RLE_DICTIONARY" in group.column(i).encodings for i in (0, 1)] == [False, True]


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
