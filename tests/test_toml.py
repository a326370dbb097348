"""TOML files: every problem at once, each with its place and the nearest key."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from nextoffer.errors import AllocationError, ExperimentError
from nextoffer.toml import parse, read_text


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str = "x"
    size: int
    start: float = Field(default=0.0, alias="from")


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    part: tuple[Part, ...] = ()
    other: Part | None = None


def test_a_right_file_is_read() -> None:
    found = parse('name = "a"\npart = [{size = 3, from = 0.5}]', Whole, where="f.toml", error=ExperimentError)
    assert (found.part[0].size, found.part[0].start) == (3, 0.5)


def test_every_problem_is_told_with_its_place() -> None:
    text = 'nam = "a"\npart = [{size = "big"}, {id = "roof", size = 1, form = 2}]\nother = 3'
    with pytest.raises(ExperimentError, match="missing") as error:
        parse(text, Whole, where="f.toml", error=ExperimentError)
    assert error.value.problems == (
        "f.toml: name: missing",
        "f.toml: part.0.size: found 'big'; input should be a valid integer, unable to parse string as an integer",
        "f.toml: part.roof.form: unknown key (did you mean 'from'?); there are id, size, from",
        "f.toml: other: found 3; input should be a table",
        "f.toml: nam: unknown key (did you mean 'name'?); there are name, part, other",
    )


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AllocationError, match=r"absent\.toml: there is no such file"):
        read_text(tmp_path / "absent.toml", error=AllocationError)
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(AllocationError, match=r"latin\.toml: cannot be read"):
        read_text(tmp_path / "latin.toml", error=AllocationError)
    with pytest.raises(AllocationError, match="f: not valid TOML"):
        parse("name = ", Whole, where="f", error=AllocationError)
