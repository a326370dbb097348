"""An export appears whole or not at all, and its manifest tells the truth."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from nextoffer.deliver.folder import new_export, sum_of
from nextoffer.errors import DeliveryError
from tests.deliver.toys import nothing_else_in


def made(target: Path, text: str = "x", *, force: bool = False) -> None:
    with new_export(target, force=force) as export:
        export.path("deep/a.txt").write_text(text, encoding="utf-8")
        export.wrote("deep/a.txt", 3)
        export.close({"day": "2025-10-13"})


def test_the_manifest_names_every_file_with_its_sum(tmp_path: Path) -> None:
    made(tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["files"] == [{"file": "deep/a.txt", "rows": 3, "bytes": 1, "sha256": sha256(b"x").hexdigest()}]
    assert manifest["day"] == "2025-10-13"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_earlier_export_is_replaced_only_when_asked_for(tmp_path: Path) -> None:
    made(tmp_path / "out")
    with pytest.raises(DeliveryError, match="holds an earlier export; name another folder, or pass --force"):
        made(tmp_path / "out", "y")
    assert (tmp_path / "out" / "deep" / "a.txt").read_text(encoding="utf-8") == "x"
    made(tmp_path / "out", "y", force=True)
    assert (tmp_path / "out" / "deep" / "a.txt").read_text(encoding="utf-8") == "y"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nothing_else_is_ever_replaced(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").touch()
    with nothing_else_in(tmp_path), pytest.raises(DeliveryError, match="not empty and not an export"):
        made(tmp_path / "own", force=True)
    with nothing_else_in(tmp_path), pytest.raises(DeliveryError, match="is a file; an export is a folder"):
        made(tmp_path / "own" / "thesis.txt", force=True)


def test_a_failure_leaves_the_earlier_export(tmp_path: Path) -> None:
    def fails() -> None:
        with new_export(tmp_path / "out", force=True) as export:
            export.path("a.txt").write_text("half", encoding="utf-8")
            raise OSError("disk full")

    made(tmp_path / "out")
    with nothing_else_in(tmp_path), pytest.raises(OSError, match="disk full"):
        fails()


def test_an_empty_folder_is_taken_and_missing_ones_are_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    made(tmp_path / "empty")
    made(tmp_path / "a" / "b")
    assert (tmp_path / "empty" / "deep").is_dir()
    assert (tmp_path / "a" / "b" / "deep").is_dir()


def test_the_sum_of_a_folder_depends_on_names_and_contents(tmp_path: Path) -> None:
    for name, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_text(content, encoding="utf-8")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "other").write_text("1", encoding="utf-8")
    sums = [sum_of(tmp_path / name) for name in "abcd"]
    assert sums[0] == sums[1]
    assert len(set(sums)) == 3
