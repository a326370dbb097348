"""A bank whose tables lie in a database: they are read, typed and cleaned there, by the rules that hold for files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from nextoffer.errors import BankError, did_you_mean
from nextoffer.tables.config import BankConfig
from nextoffer.tables.contract import TABLES, Table
from nextoffer.tables.layout import Described, Layout, home_types, lay_out, told_apart, unknown_names
from nextoffer.tables.postgres import Postgres
from nextoffer.tables.problem import Problem, fatal
from nextoffer.tables.rules import Rule, rules_of
from nextoffer.tables.source import Source
from nextoffer.tables.sql import quoted
from nextoffer.tables.translate import clean_tables, translated, with_tables

_ARRAYS = {pa.int64(): "bigint", pa.int32(): "int", pa.string(): "text"}


@dataclass(frozen=True)
class Database:
    """The clean tables of a bank in PostgreSQL, as SELECTs that stand in front of every query.

    Attributes
    ----------
    server
        Where they lie.
    tables
        What makes each clean, by name; see `nextoffer.tables.translate.clean_tables`.
    """

    server: Postgres
    tables: Mapping[str, str]
    dialect = "postgres"

    def query(
        self, sql: str, parameters: Mapping[str, Any], relations: Mapping[str, pa.Table]
    ) -> Iterator[pa.RecordBatch]:
        """Yield the answer to a query over the clean tables and small tables of ours, by name.

        The query is in PostgreSQL's words, its parameters written ``%(name)s``.
        """
        ours = {name: _unnested(name, table) for name, table in relations.items()}
        bound = {f"{n}_{i}": c.to_pylist() for n, table in relations.items() for i, c in enumerate(table.columns)}
        text = with_tables({**self.tables, **ours}, sql).replace("%", "%%")
        for name in (*parameters, *bound):
            text = text.replace(f"%%({name})s", f"%({name})s")
        return self.server.answer(text, {**parameters, **bound})


def _unnested(name: str, table: pa.Table) -> str:
    arrays = ", ".join(f"CAST(%({name}_{i})s AS {_ARRAYS[field.type]}[])" for i, field in enumerate(table.schema))
    return f"SELECT * FROM unnest({arrays}) AS t ({', '.join(map(quoted, table.column_names))})"


@dataclass(frozen=True)
class Surveyed:
    """What a survey of a database found; as the attributes of `nextoffer.tables.bank.Bank`."""

    layouts: Mapping[str, Layout]
    rules: Mapping[str, tuple[Rule, ...]]
    id_types: Mapping[str, str]
    database: Database
    problems: list[Problem]


def survey_database(config: BankConfig) -> Surveyed:
    """Return a bank in the database of its bank.toml as far as it can be read, and all that is to be said of it.

    Raises
    ------
    BankError
        The server cannot be reached.
    """
    assert config.database is not None
    server = Postgres(config.database)
    there = server.relations(config.database_schema)
    described: list[Described] = []
    problems: list[Problem] = []
    for table in TABLES.values():
        found = _described(server, table, config, there)
        if isinstance(found, Problem):
            problems.append(found)
        elif found is not None:
            described.append(found[0])
            problems += found[1]
    problems += unknown_names(config, described)
    id_types = home_types(described, {})
    layouts: dict[str, Layout] = {}
    for one in described:
        layout, wrong = lay_out(one, config, {}, id_types)
        problems += wrong
        if not any(p.table == one.table.name and p.severity == "fatal" for p in problems):
            layouts[one.table.name] = layout
    rules, tables = _cleaned(server, layouts)
    database = Database(server, tables)
    problems += [p for layout in layouts.values() for p in _if_empty(database, layout)]
    return Surveyed(layouts, {name: rules[name] for name in layouts}, id_types, database, problems)


def _described(
    server: Postgres, table: Table, config: BankConfig, there: Mapping[str, bool]
) -> tuple[Described, list[Problem]] | Problem | None:
    said = config.of(table.name)
    if said.path is not None:
        return fatal(table.name, None, "no_file", "has a 'path', but the bank lies in a database; say 'query' instead")
    if said.date_format is not None:
        message = "has a 'date_format', which is for files; say to_date(...) in its 'query'"
        return fatal(table.name, None, "no_format", message)
    if said.query is None and table.name not in there:
        near = f"there is none in the schema '{config.database_schema}'{did_you_mean(table.name, there)}"
        return fatal(table.name, None, "missing_table", f"is required, but {near}") if table.required else None
    name = f"{quoted(config.database_schema)}.{quoted(table.name)}"
    relation = name if said.query is None else f"({said.query.strip().rstrip(';')})"
    try:
        columns = server.stored(relation)
    except BankError as error:
        return fatal(table.name, None, "unreadable_table", str(error))
    order = "ctid" if said.query is None and there[table.name] else None
    source = Source(table.name, _in_order(relation, [c for _, c in columns], order, table.key), "database")
    return told_apart(source, [stored for stored, _ in columns], config)


def _in_order(relation: str, columns: list[str], order: str | None, key: str | None) -> str:
    """What reads a relation, in its stored order where its first row of a key may matter, and there is an order."""
    if key is None:
        return f"(SELECT {', '.join(columns)} FROM {relation}) AS stored"
    by = order or "CAST(held AS text)"
    return f"(SELECT {', '.join(columns)} FROM {relation} AS held ORDER BY {by}) AS stored"


def _cleaned(server: Postgres, layouts: Mapping[str, Layout]) -> tuple[dict[str, tuple[Rule, ...]], dict[str, str]]:
    """The rules by table, and what makes the tables clean."""
    rules: dict[str, tuple[Rule, ...]] = {}
    for name in sorted(layouts, key=lambda table: len(layouts[table].table.refers)):
        repeated = _repeats(server, layouts[name])
        rules[name] = rules_of(layouts[name], list(rules), duplicates=repeated)
    sources = {name: layout.source.sql for name, layout in layouts.items()}
    return rules, clean_tables(layouts, rules, "postgres", sources)


def _repeats(server: Postgres, layout: Layout) -> bool:
    """Whether a key occurs twice."""
    if layout.table.key is None:
        return False
    key = quoted(layout.table.key)
    typed = translated(layout.typed_sql("nextoffer_stored"), "postgres")
    asked = f"SELECT count({key}) > count(DISTINCT {key}) AS repeats FROM typed"
    tables = {"nextoffer_stored": f"SELECT * FROM {layout.source.sql}", "typed": typed}
    (row,) = [r for batch in server.answer(with_tables(tables, asked)) for r in batch.to_pylist()]
    return bool(row["repeats"])


def _if_empty(database: Database, layout: Layout) -> list[Problem]:
    name = layout.table.name
    if not (layout.table.required and layout.table.key is not None):
        return []
    if any(batch.num_rows for batch in database.query(f"SELECT 1 AS one FROM {name} LIMIT 1", {}, {})):
        return []
    return [fatal(name, None, "empty_table", "has no usable row; at least one is needed")]
