"""``bank.toml``: where a bank's tables lie and how its words map onto ours. Every key may be left out.

>>> BankConfig.model_validate({"currency": "EUR", "sensitive": ["gender"]}).sensitive
('gender',)
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nextoffer.errors import BankError, did_you_mean
from nextoffer.tables.contract import TABLES

FILE_NAME = "bank.toml"
SCHEMES = ("postgresql", "postgres")
"""How the URL of a database server may begin."""


class TableConfig(BaseModel):
    """Where one table lies and how its columns are called.

    Attributes
    ----------
    path
        A file, a folder of parts or a pattern such as ``tx/2025-*.parquet``, relative to bank.toml.
    query
        Instead of `path`: a SELECT that DuckDB can run, file names in it relative to bank.toml; or one that the
        PostgreSQL server of `database` can run.
    columns
        Our name → the bank's name.
    units
        Column → the factor that turns the bank's number into currency units (``income = 1000`` where it is in
        thousands).
    date_format
        How dates are written where it is not ``2025-12-31``, in strptime codes (``%d.%m.%Y``).
    delimiter
        Of a CSV; if not given, that of ``, ; | tab`` which is most frequent in its first line.
    encoding
        Of a CSV; if not given, UTF-8.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None
    query: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    units: dict[str, float] = Field(default_factory=dict)
    date_format: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: Literal["utf-8", "utf-16", "latin-1"] | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> TableConfig:
        if self.path is not None and self.query is not None:
            raise ValueError("has both 'path' and 'query'; give one")
        return self


class BankConfig(BaseModel):
    """What bank.toml says.

    Attributes
    ----------
    name
        The bank's name; its folder's name if not given.
    currency
        ISO 4217 code that amounts are shown in, or None.
    database
        A DuckDB file that `query` entries may read from, relative to bank.toml; or the URL of a PostgreSQL server in
        which all tables lie (``postgresql://user@host/database``), which holds no password.
    database_schema
        Where the tables lie in PostgreSQL.
    exclude
        Columns that are never read: ``column`` in every table, or ``table.column``.
    sensitive
        Columns kept for measuring fairness only, never a feature: ``column`` or ``table.column``.
    tables
        What is to be said of single tables.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$")
    database: str | None = None
    database_schema: str = "public"
    exclude: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    tables: dict[str, TableConfig] = Field(default_factory=dict)

    @property
    def is_on_server(self) -> bool:
        """Whether the tables lie in a database server, not in files.

        >>> BankConfig(database="postgresql://reader@db.bank/crm").is_on_server
        True
        """
        return self.database is not None and urlsplit(self.database).scheme in SCHEMES

    def of(self, table: str) -> TableConfig:
        """Return what is said of a table, or the defaults."""
        return self.tables.get(table, TableConfig())

    def excludes(self, table: str, column: str) -> bool:
        """Whether the column is never to be read."""
        return _names(self.exclude, table, column)

    def is_sensitive(self, table: str, column: str) -> bool:
        """Whether the column is for fairness measurement only."""
        return _names(self.sensitive, table, column)


def _names(entries: tuple[str, ...], table: str, column: str) -> bool:
    return column in entries or f"{table}.{column}" in entries


def read_config(path: Path) -> BankConfig:
    """Return what the bank.toml at `path` says.

    Raises
    ------
    BankError
        It cannot be read, or has keys or values it should not have; every one is named.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BankError(f"{path.name}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BankError(f"{path.name}: is not TOML ({error})") from error
    try:
        config = BankConfig.model_validate(content)
    except ValidationError as error:
        raise BankError([f"{path.name}: {line}" for line in _explain(error)]) from error
    if problems := list(_contradictions(config)):
        raise BankError([f"{path.name}: {line}" for line in problems])
    return config


def _explain(error: ValidationError) -> Iterator[str]:
    """Each of pydantic's complaints as one line, with the nearest key where one is unknown."""
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            model: type[BaseModel] = TableConfig if len(item["loc"]) > 1 else BankConfig
            keys = list(model.model_fields)
            key = str(item["loc"][-1])
            yield f"unknown key '{place}'{did_you_mean(key, keys)}; there are {', '.join(keys)}"
        else:
            yield f"'{place}' {_lower_first(item['msg'].removeprefix('Value error, '))} (found {_shown(item['input'])})"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _contradictions(config: BankConfig) -> Iterator[str]:
    yield from _wrong_url(config.database or "")
    for name, said in config.tables.items():
        if name not in TABLES:
            yield f"'tables.{name}' is no table{did_you_mean(name, TABLES)}; there are {', '.join(TABLES)}"
            continue
        for column in said.units:
            known = TABLES[name].column(column)
            if known is not None and known.kind not in ("number", None):
                yield f"'tables.{name}.units.{column}': {column} is not a number, so it has no unit"
    for table in TABLES.values():
        for required in (c.name for c in table.columns if c.required):
            if config.excludes(table.name, required):
                yield f"'exclude' names {table.name}.{required}, which is required"


def _wrong_url(database: str) -> Iterator[str]:
    if "://" not in database:
        return
    url = urlsplit(database)
    if url.scheme not in SCHEMES:
        yield f"'database' is neither a DuckDB file nor a URL that begins with {SCHEMES[0]}:// (found {url.scheme}://)"
    if url.password or "password" in url.query:
        yield "'database' holds a password; leave it out and set PGPASSWORD, or keep it in ~/.pgpass"
