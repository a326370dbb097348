"""Finds where each table of a bank lies and says how DuckDB reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nextoffer.errors import BankError, did_you_mean
from nextoffer.tables.config import BankConfig, TableConfig
from nextoffer.tables.contract import TABLES, Table
from nextoffer.tables.csv_source import KEEP_REJECTS, csv_sql
from nextoffer.tables.problem import Problem, fatal, warning
from nextoffer.tables.sql import literal

_ENDINGS = {".parquet": "parquet", ".csv": "csv", ".csv.gz": "csv"}


@dataclass(frozen=True)
class Source:
    """Where one table lies.

    Attributes
    ----------
    table
        Its name.
    sql
        What may stand behind FROM.
    origin
        Where it lies, for people: a file's or folder's name, or ``query``.
    keeping_rejects
        For CSV, `sql` in a form that makes DuckDB remember the lines it skips; None for others.
    files
        The files it is made of; none for a query.
    """

    table: str
    sql: str
    origin: str
    keeping_rejects: str | None = None
    files: tuple[Path, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether every value arrives as text, so that kinds have to be found out."""
        return self.keeping_rejects is not None


def find_sources(folder: Path, config: BankConfig) -> tuple[list[Source], list[Problem]]:
    """Return the sources of every table that is there, what is wrong with others, and the files that are no table.

    Parameters
    ----------
    folder
        Where paths begin.
    config
        What bank.toml says, or the defaults.
    """
    strangers = _strangers(folder, config)
    found = [_find(table, folder, config.of(table.name), strangers) for table in TABLES.values()]
    sources = [f for f in found if isinstance(f, Source)]
    problems = [f for f in found if isinstance(f, Problem)]
    return sources, problems + [_stranger(name) for name in strangers]


def _find(table: Table, folder: Path, said: TableConfig, strangers: list[str]) -> Source | Problem | None:
    """The table's source, or what is wrong with it, or nothing where it may be absent and is."""
    name = table.name
    if said.query is not None:
        return Source(name, f"({said.query.strip().rstrip(';')})", "query")
    places = _places(folder, name, said)
    if len(places) > 1:
        return fatal(name, None, "two_sources", f"both {' and '.join(p.name for p in places)} exist; keep one")
    if places:
        return _read(name, places[0], said)
    if said.path is not None:
        return fatal(name, None, "missing_table", f"bank.toml says it lies in '{said.path}', where nothing is")
    return fatal(name, None, "missing_table", _missing(name, strangers)) if table.required else None


def _places(folder: Path, table: str, said: TableConfig) -> list[Path]:
    """The files, folders or patterns that could be the table."""
    if said.path is not None:
        place = folder / said.path
        return [place] if place.exists() or _matching(place) else []
    names = [folder / f"{table}{ending}" for ending in _ENDINGS] + [folder / table]
    return [p for p in names if p.exists()]


def _read(table: str, place: Path, said: TableConfig) -> Source | Problem:
    files = _files(place)
    formats = {_format(f) for f in files}
    if not files:
        return fatal(table, None, "empty_folder", f"the folder {place.name}/ holds no .parquet or .csv file")
    if None in formats:
        bad = next(f.name for f in files if _format(f) is None)
        return fatal(
            table, None, "unknown_format", f"{bad} is neither Parquet nor CSV; endings are {', '.join(_ENDINGS)}"
        )
    if len(formats) > 1:
        return fatal(table, None, "two_formats", f"{place.name} mixes Parquet and CSV parts; keep one kind")
    origin = place.name + ("/" if place.is_dir() else "")
    try:
        return _READERS[str(formats.pop())](table, files, origin, said)
    except BankError as error:
        return fatal(table, None, "unreadable_file", str(error))


def _parquet(table: str, files: list[Path], origin: str, _said: TableConfig) -> Source:
    listed = ", ".join(literal(str(f)) for f in files)
    sql = f"read_parquet([{listed}]{', union_by_name = true' if len(files) > 1 else ''})"
    return Source(table, sql, origin, files=tuple(files))


def _csv(table: str, files: list[Path], origin: str, said: TableConfig) -> Source:
    return Source(table, csv_sql(files, said), origin, csv_sql(files, said, KEEP_REJECTS), tuple(files))


_READERS: dict[str, Callable[[str, list[Path], str, TableConfig], Source]] = {"parquet": _parquet, "csv": _csv}


def _files(place: Path) -> list[Path]:
    """The data files that a place stands for, without the marks that writers leave (``_SUCCESS``, ``.crc``)."""
    if place.is_file():
        return [place]
    found = place.rglob("*") if place.is_dir() else _matching(place)
    files = (f for f in found if f.is_file() and not f.name.startswith((".", "_")))
    return sorted(f for f in files if not place.is_dir() or _format(f) is not None)


def _matching(pattern: Path) -> list[Path]:
    root = Path(pattern.anchor)
    return list(root.glob(pattern.relative_to(root).as_posix()))


def _format(file: Path) -> str | None:
    name = file.name.lower()
    return next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), None)


def _strangers(folder: Path, config: BankConfig) -> list[str]:
    """Data files in the folder that are no table and that bank.toml does not name."""
    named = {file for said in config.tables.values() if said.path for file in _files(folder / said.path)}
    files = (f for f in sorted(folder.iterdir()) if f.is_file() and _format(f) is not None and f not in named)
    return [f.name for f in files if _stem(f.name) not in TABLES]


def _stem(name: str) -> str:
    return name.partition(".")[0]


def _missing(table: str, strangers: list[str]) -> str:
    nearest = did_you_mean(table, [_stem(name) for name in strangers])
    found = ", ".join(strangers) or "no other data file"
    return f"is required, but there is no {table}.parquet, {table}.csv or folder {table}/{nearest}; there is {found}"


def _stranger(name: str) -> Problem:
    return warning(
        name, None, "unknown_table", f"not a table of the contract, ignored{did_you_mean(_stem(name), TABLES)}"
    )
