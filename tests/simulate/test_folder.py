from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextoffer.errors import BankError
from nextoffer.simulate.folder import new_folder

ROWS = pa.table({"a": [1, 2]})


def test_pieces_of_a_table_follow_each_other(tmp_path: Path) -> None:
    with new_folder(tmp_path / "bank") as tables:
        tables.add("t", ROWS)
        tables.add("t", pa.table({"a": [3]}))
    assert pq.read_table(tmp_path / "bank" / "t.parquet")["a"].to_pylist() == [1, 2, 3]


def test_nothing_appears_when_writing_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "bank") as tables:
            tables.add("t", ROWS)
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(BankError, match="is not empty; name another folder, or pass --force"), new_folder(tmp_path):
        pass
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_force_replaces_the_folder_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    bank = tmp_path / "bank"
    bank.mkdir()
    (bank / "old.txt").write_text("old")
    with new_folder(bank, force=True) as tables:
        tables.add("t", ROWS)
        assert (bank / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["bank"]
    assert [path.name for path in bank.iterdir()] == ["t.parquet"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    with new_folder(tmp_path) as tables:
        tables.text("note.txt", "hello")
    assert (tmp_path / "note.txt").read_text() == "hello"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(BankError, match="is a file; a bank is written to a folder"), new_folder(tmp_path / "f"):
        pass
