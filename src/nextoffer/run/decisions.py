"""Reads decisions that `nextoffer recommend` wrote, and puts columns of the bank beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from nextoffer.errors import NextOfferError, did_you_mean
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import decisions_schema
from nextoffer.tables.sql import quoted
from nextoffer.tables.write import LIST_SEPARATOR

_SHOWN = 5  # example ids in a message
_BLOCK = 2**26  # bytes of a CSV read at once: lines with many reasons are long


def read_decisions(path: str | Path, bank: Bank, *, needed: Sequence[str] = ()) -> pa.Table:
    """Return a ``.parquet`` or ``.csv`` file of decisions, its ids as the bank spells them.

    The columns of Decisions have their types, further ones are kept as they are, and their order is the file's.

    Raises
    ------
    NextOfferError
        There is no such file, it has another ending or cannot be read; it lacks an id or a `needed` column; or an id is
        null or not in the bank. All of it is told at once.
    """
    path = Path(path)
    known = decisions_schema(bank.id_type("customer_id"), bank.id_type("product_id"))
    table = _typed(_read(path, known), known, path)
    missing = [n for n in dict.fromkeys(("customer_id", "product_id", *needed)) if n not in table.column_names]
    if missing:
        there = ", ".join(table.column_names)
        raise NextOfferError(
            [f"{path}: no column '{n}'{did_you_mean(n, table.column_names)}; there are {there}" for n in missing]
        )
    strange = [line for home in ("customers", "products") for line in _strangers(table, bank, home)]
    if strange:
        raise NextOfferError([f"{path}: {line}" for line in strange])
    return table


def refusals_path(out: Path) -> Path:
    """Return where refusals go beside the decisions: ``offers.parquet`` → ``offers.refusals.parquet``."""
    return out.with_name(f"{out.stem}.refusals{out.suffix}")


def customer_columns(bank: Bank, names: Iterable[str]) -> pa.Table:
    """Return customer_id and columns of the bank's customers, in any order of rows."""
    wanted = ", ".join(quoted(name) for name in dict.fromkeys(("customer_id", *names)))
    return pa.Table.from_batches(list(bank.query(f"SELECT {wanted} FROM customers")))


def beside(table: pa.Table, other: pa.Table, key: str) -> pa.Table:
    """Return the columns of `other` but its `key`, a row for each row of `table`; null where `other` has none.

    >>> offers = pa.table({"product_id": ["b", "a", "b"]})
    >>> beside(offers, pa.table({"product_id": ["a", "b"], "cost": [1.0, 2.0]}), "product_id")["cost"].to_pylist()
    [2.0, 1.0, 2.0]
    """
    at = pc.index_in(table.column(key), value_set=other.column(key).combine_chunks())
    return other.drop_columns([key]).take(at)


def _read(path: Path, known: pa.Schema) -> pa.Table:
    if path.suffix not in (".parquet", ".csv") and not path.is_dir():
        raise NextOfferError(f"{path} ends in '{path.suffix}'; decisions are read from .parquet or .csv")
    if not path.exists():
        raise NextOfferError(f"{path} does not exist; `nextoffer recommend` writes decisions")
    try:
        return _csv(path, known) if path.suffix == ".csv" else pyarrow.parquet.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise NextOfferError(f"{path} cannot be read: {error}") from error


def _csv(path: Path, known: pa.Schema) -> pa.Table:
    types = {f.name: pa.string() if pa.types.is_list(f.type) else f.type for f in known}
    options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False)
    reading = pyarrow.csv.ReadOptions(block_size=_BLOCK)
    return pyarrow.csv.read_csv(path, read_options=reading, convert_options=options)


def _typed(table: pa.Table, known: pa.Schema, path: Path) -> pa.Table:
    """Return the table with the types of Decisions; lists of a CSV are taken apart."""
    problems = []
    for place, name in enumerate(table.column_names):
        if name not in known.names:
            continue
        column, wanted = table.column(place), known.field(name).type
        try:
            column = _split(column) if pa.types.is_list(wanted) and _is_text(column.type) else column.cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            problems.append(f"{path}: column '{name}' is {column.type}; it must be {wanted}")
            continue
        table = table.set_column(place, name, column)
    if problems:
        raise NextOfferError(problems)
    return table


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def _split(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts joined by ` | ` as lists; what is null or empty is an empty list."""
    texts = pc.fill_null(column.cast(pa.string()), "")
    nothing = pa.scalar([], pa.list_(pa.string()))
    return pc.if_else(pc.equal(texts, ""), nothing, pc.split_pattern(texts, LIST_SEPARATOR))


def _strangers(table: pa.Table, bank: Bank, home: str) -> list[str]:
    key = f"{home.removesuffix('s')}_id"
    known = bank.table(home).column(key) if home == "products" else customer_columns(bank, ()).column(key)
    column = table.column(key)
    out = []
    if column.null_count:
        out.append(f"'{key}' is null in {column.null_count:,} rows")
    strange = pc.unique(column.filter(pc.and_(column.is_valid(), pc.invert(pc.is_in(column, known.combine_chunks())))))
    if len(strange):
        shown = ", ".join(str(v) for v in strange[:_SHOWN].to_pylist())
        more = f" and {len(strange) - _SHOWN:,} more" if len(strange) > _SHOWN else ""
        out.append(f"{len(strange):,} {home} that the bank does not know: {shown}{more}; is it the bank decided for?")
    return out
