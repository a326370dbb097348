"""Finds where each table of a bank lies and says how DuckDB reads it. Opens no file."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from nextoffer.errors import did_you_mean
from nextoffer.tables.config import BankConfig, TableConfig
from nextoffer.tables.contract import TABLES, Table
from nextoffer.tables.problem import Problem, fatal
from nextoffer.tables.sql import literal

_ENDINGS = {".parquet": "parquet", ".csv": "csv", ".csv.gz": "csv", ".tsv": "csv"}


@dataclass(frozen=True)
class Source:
    """Where one table lies.

    Attributes
    ----------
    table
        Its name.
    sql
        What may stand behind FROM.
    is_text
        Every value arrives as text (CSV), so that kinds have to be found out.
    origin
        The same for people: a file's or folder's name, or ``query``.
    files
        The files it is made of; none for a query.
    """

    table: str
    sql: str
    is_text: bool
    origin: str
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Found:
    """Every source of a bank, with what is wrong and what was left aside."""

    sources: tuple[Source, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def find_sources(folder: Path, config: BankConfig) -> Found:
    """Return the sources of every table that is there.

    Parameters
    ----------
    folder
        Where paths begin.
    config
        What bank.toml says, or the defaults.
    """
    strangers = _strangers(folder, config)
    found = [_find(table, folder, config.of(table.name), strangers) for table in TABLES.values()]
    sources = tuple(f for f in found if isinstance(f, Source))
    problems = tuple(f for f in found if isinstance(f, Problem))
    return Found(sources, problems, _notes(strangers))


def _find(table: Table, folder: Path, said: TableConfig, strangers: list[str]) -> Source | Problem | None:
    """The table's source, or what is wrong with it, or nothing where it may be absent and is."""
    name = table.name
    if said.query is not None:
        return Source(name, f"({said.query.strip().rstrip(';')})", False, "query")
    places = _places(folder, name, said)
    if len(places) > 1:
        return fatal(name, None, "two_sources", f"both {' and '.join(p.name for p in places)} exist; keep one")
    if places:
        return _read(name, places[0], folder, said)
    if said.path is not None:
        return fatal(name, None, "missing_table", f"there is no '{said.path}' in {folder.name or '.'}")
    return fatal(name, None, "missing_table", _missing(name, strangers)) if table.required else None


def _places(folder: Path, table: str, said: TableConfig) -> list[Path]:
    """The files or folders that could be the table."""
    if said.path is not None:
        place = folder / said.path
        return [place] if place.exists() or _matches(place) else []
    names = [folder / f"{table}{ending}" for ending in _ENDINGS] + [folder / table]
    return [p for p in names if p.exists()]


def _matches(pattern: Path) -> list[Path]:
    if not any(sign in str(pattern) for sign in "*?["):
        return []
    return sorted(Path(p) for p in glob.glob(str(pattern), recursive=True))


def _read(table: str, place: Path, folder: Path, said: TableConfig) -> Source | Problem:
    files = _parts(place) if place.is_dir() else _matches(place) or [place]
    formats = {_format(f) for f in files}
    if not files:
        return fatal(table, None, "empty_folder", f"the folder {place.name}/ holds no .parquet or .csv file")
    if None in formats:
        bad = next(f.name for f in files if _format(f) is None)
        return fatal(
            table, None, "unknown_format", f"{bad} is neither Parquet nor CSV; there are {', '.join(_ENDINGS)}"
        )
    if len(formats) > 1:
        return fatal(table, None, "two_formats", f"{place.name} mixes Parquet and CSV parts; keep one kind")
    is_text = formats == {"csv"}
    reader = _csv(files, said) if is_text else _parquet(files)
    shown = place.relative_to(folder) if place.is_relative_to(folder) else place
    return Source(table, reader, is_text, shown.as_posix() + ("/" if place.is_dir() else ""), tuple(files))


def _parts(folder: Path) -> list[Path]:
    """Data files below a folder, without the marks that writers of parts leave (``_SUCCESS``, ``.crc``)."""
    files = (f for f in folder.rglob("*") if f.is_file() and not f.name.startswith((".", "_")))
    return sorted(f for f in files if _format(f) is not None)


def _format(file: Path) -> str | None:
    name = file.name.lower()
    return next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), None)


def _parquet(files: list[Path]) -> str:
    return f"read_parquet({_list(files)}{', union_by_name = true' if len(files) > 1 else ''})"


def _csv(files: list[Path], said: TableConfig) -> str:
    options = ["all_varchar = true", "header = true"]
    if len(files) > 1:
        options.append("union_by_name = true")
    if said.delimiter is not None:
        options.append(f"delim = {literal(said.delimiter)}")
    if said.encoding is not None:
        options.append(f"encoding = {literal(said.encoding)}")
    return f"read_csv({_list(files)}, {', '.join(options)})"


def _list(files: list[Path]) -> str:
    return "[" + ", ".join(literal(str(f)) for f in files) + "]"


def _strangers(folder: Path, config: BankConfig) -> list[str]:
    """Data files in the folder that are no table and that bank.toml does not name."""
    named = {Path(said.path).parts[0] for said in config.tables.values() if said.path}
    files = (f for f in sorted(folder.iterdir()) if f.is_file() and _format(f) is not None and f.name not in named)
    return [f.name for f in files if _stem(f.name) not in TABLES]


def _stem(name: str) -> str:
    return name.split(".")[0]


def _missing(table: str, strangers: list[str]) -> str:
    nearest = did_you_mean(table, [_stem(name) for name in strangers])
    found = f"found {', '.join(strangers)}" if strangers else "found nothing else"
    return f"is required, but there is no {table}.parquet, {table}.csv or folder {table}; {found}{nearest}"


def _notes(strangers: list[str]) -> tuple[str, ...]:
    return tuple(
        f"{name} is not a table of the contract and is ignored{did_you_mean(_stem(name), TABLES)}" for name in strangers
    )
