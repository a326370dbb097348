"""What a long run has finished so far, kept on disk, so that a run killed at any moment can be continued.

Beside each file that a run writes lies a hidden folder, ``.<name>.unfinished``, with the parts that are done and the
file as it grows. A part is written under a temporary name and renamed; the files leave their folders when all is
whole, the last of them last. So whatever moment a run is killed at, the files of an earlier run stay as they are, and
`Journal.resumed` finds every part that was done.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from nextoffer.errors import NextOfferError
from nextoffer.tables.write import TableWriter, atomic_path

_RUN = "run.json"
_LOCK = "lock"
_CUSTOMERS, _LAST = b"nextoffer.customers", b"nextoffer.last"


@dataclass(frozen=True)
class Part:
    """A stretch of customers that is done.

    Attributes
    ----------
    tables
        One per file, in the files' order.
    customers
        How many customers they are about.
    last
        The last of them; the next part begins after it.
    """

    tables: tuple[pa.Table, ...]
    customers: int
    last: int | str


class Journal:
    """The files of one run while they grow. A context manager; what is not `finished` at its end can be resumed.

    Parameters
    ----------
    files
        What is written, ``.parquet`` or ``.csv``. They appear in this order, when all of them are whole.
    run
        What must be the same for a run to be continued, in plain values.
    resume
        Keep the parts of an earlier run; else they are thrown away.

    Attributes
    ----------
    resumed
        Whether there was anything to continue.

    Raises
    ------
    NextOfferError
        A file has another ending or occurs twice, another run is writing it, or the run to be continued was another.
    """

    def __init__(self, files: Sequence[Path], run: Mapping[str, Any], *, resume: bool = False) -> None:
        self._files, self._run, self._resume = tuple(files), dict(run), resume
        self._folders = tuple(f.with_name(f".{f.name}.unfinished") for f in self._files)
        self._writers: tuple[TableWriter, ...] = ()
        self._open = ExitStack()
        self._parts = 0
        self._mine = False
        self.resumed = False
        if len({f.resolve() for f in self._files}) < len(self._files):
            raise NextOfferError(f"decisions and refusals cannot both go to {self._files[0]}")
        for file in reversed(self._files):
            TableWriter(file)  # refuses an ending that cannot be written, before anything is made

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows written, by file."""
        return tuple(w.rows for w in self._writers)

    def done(self) -> Iterator[Part]:
        """Write again what an earlier run had done, and yield it part by part."""
        for number in range(self._kept()):
            part = self._read(number)
            self._append(part.tables)
            self._parts += 1
            yield part

    def add(self, part: Part) -> None:
        """Write one more part: first where it survives the run, then to the files."""
        for folder, table in zip(self._folders, part.tables, strict=True):
            told = {_CUSTOMERS: str(part.customers), _LAST: json.dumps(part.last)}
            _write_part(folder / _name(self._parts), table.replace_schema_metadata(told))
        self._append(part.tables)
        self._parts += 1

    def finish(self) -> None:
        """Give the files their names, and forget the parts."""
        self._open.close()
        for folder, file in zip(self._folders, self._files, strict=True):
            (folder / file.name).replace(file)
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Journal:
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock()
            self._begin()
            grown = (f / file.name for f, file in zip(self._folders, self._files, strict=True))
            self._writers = tuple(self._open.enter_context(TableWriter(path)) for path in grown)
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception):  # what grew is made anew from the parts; only they count
            self._open.__exit__(kind, error, trace)
        self._leave()

    def _leave(self) -> None:
        worthless = self._mine and not self._kept()
        self._open.close()
        for folder in self._folders if worthless else ():
            shutil.rmtree(folder, ignore_errors=True)

    def _lock(self) -> None:
        for folder, file in zip(self._folders, self._files, strict=True):
            handle = self._open.enter_context((folder / _LOCK).open("w", encoding="utf-8"))
            if not _locked(handle):
                raise NextOfferError(f"another run is writing {file}; wait for its end or choose another name")
        self._mine = True

    def _begin(self) -> None:
        """Find what can be continued, or begin anew."""
        there = self._folders[0] / _RUN
        goes_on = self._resume and there.exists()
        if goes_on:
            self._compare(json.loads(there.read_text(encoding="utf-8")))
        kept = {_LOCK, _RUN, *map(_name, range(self._kept()))} if goes_on else {_LOCK}
        for old in [o for folder in self._folders for o in folder.iterdir() if o.name not in kept]:
            old.unlink()
        self.resumed = self._kept() > 0
        if goes_on:
            return
        with atomic_path(there) as path:
            path.write_text(json.dumps(self._run, indent=1, default=str), encoding="utf-8")

    def _compare(self, before: Mapping[str, Any]) -> None:
        now = json.loads(json.dumps(self._run, default=str))
        differ = [
            f"{key} was {before.get(key)!r} and is {now.get(key)!r}"
            for key in dict.fromkeys([*before, *now])
            if before.get(key) != now.get(key)
        ]
        if differ:
            raise NextOfferError(
                [f"the unfinished {self._files[0].name} cannot be continued: {d}" for d in differ]
                + ["leave --resume out to begin anew"]
            )

    def _kept(self) -> int:
        """How many parts are whole in every folder."""
        number = 0
        while all((folder / _name(number)).exists() for folder in self._folders):
            number += 1
        return number

    def _read(self, number: int) -> Part:
        tables = tuple(_read_part(folder / _name(number)) for folder in self._folders)
        told = tables[0].schema.metadata
        plain = tuple(t.replace_schema_metadata(None) for t in tables)
        return Part(plain, int(told[_CUSTOMERS]), json.loads(told[_LAST]))

    def _append(self, tables: Sequence[pa.Table]) -> None:
        for writer, table in zip(self._writers, tables, strict=True):
            writer.write(table)


def _locked(handle: TextIOWrapper) -> bool:
    """Lock a file until it is closed or the process ends, however; False where another process has locked it."""
    if find_spec("fcntl") is None:  # a system without such locks: two runs into one file are not told apart there
        return True
    from fcntl import LOCK_EX, LOCK_NB, flock

    try:
        flock(handle, LOCK_EX | LOCK_NB)
    except OSError:
        return False
    return True


def _name(number: int) -> str:
    return f"{number:06d}.arrow"


def _write_part(path: Path, table: pa.Table) -> None:
    with atomic_path(path) as temporary, pa.OSFile(str(temporary), "wb") as sink:
        stream = pa.ipc.new_stream(sink, table.schema)  # not the file format: chunks may differ in dictionaries
        stream.write_table(table)
        stream.close()


def _read_part(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
        return stream.read_all()
