"""Builds features from a bank's tables as they stood when a day began: all at once, or as a stream of chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.errors import FeatureError, did_you_mean
from nextoffer.features import mcc
from nextoffer.features.compile import compile_sql
from nextoffer.features.duck import connect, run
from nextoffer.features.ids import as_ids, one_array
from nextoffer.features.rows import MCC_TABLE, WANTED_TABLE
from nextoffer.features.spec import Attribute, Feature, FeatureSpec, Reads
from nextoffer.keyed import Ids
from nextoffer.tables.bank import Bank
from nextoffer.tables.contract import Kind as TableKind
from nextoffer.tables.flow import FeatureTable, Kind

SLAB = 131_072
"""Customers aggregated by one query of a stream: what bounds its memory."""

_KINDS: Mapping[TableKind, Kind] = {"number": "number", "text": "category", "flag": "flag"}
_TYPES: Mapping[Kind, pa.DataType] = {"number": pa.float64(), "category": pa.string(), "flag": pa.bool_()}


def build(spec: FeatureSpec, bank: Bank, as_of: date, *, customers: Ids | None = None) -> FeatureTable:
    """Return the features of `spec`, one row per customer.

    Parameters
    ----------
    spec
        Which features; from `discover`, of this bank or of an earlier state of it.
    bank
        Whose tables.
    as_of
        Rows dated on this day or later are not seen.
    customers
        m ids: rows come in their order. None: every customer, by rising id.

    Raises
    ------
    FeatureError
        A customer is not in the bank, or the bank lacks a table or column that the features are made of.
    """
    query = _Query(spec, bank, as_of)
    ids = query.all_customers() if customers is None else as_ids(bank, "customer_id", customers)
    return query.rows(ids, subset=customers is not None)


def stream(
    spec: FeatureSpec, bank: Bank, as_of: date, *, chunk: int = 65_536, customers: Ids | None = None
) -> Iterator[FeatureTable]:
    """Yield the rows of `build` by rising customer id, `chunk` at a time; values do not depend on `chunk`.

    Memory holds one slab of customers, about 130,000 rows, however large the bank is.

    Raises
    ------
    FeatureError
        As `build`.
    """
    if chunk < 1:
        raise FeatureError(f"a chunk of {chunk} rows; it must have at least one")
    query = _Query(spec, bank, as_of)
    ids = query.all_customers() if customers is None else pc.unique(as_ids(bank, "customer_id", customers)).sort()
    slab = chunk * max(1, SLAB // chunk)
    whole = customers is None and len(ids) <= slab
    for start in range(0, len(ids), slab):
        rows = query.rows(ids.slice(start, slab), subset=not whole)
        for first in range(0, len(rows), chunk):
            yield FeatureTable(rows.data.slice(first, chunk), rows.columns, rows.as_of)


class _Query:
    """A spec, ready to run on one bank and day, on a connection of its own."""

    def __init__(self, spec: FeatureSpec, bank: Bank, as_of: date) -> None:
        _check(spec, bank)
        self.spec, self.bank, self.as_of = spec, bank, as_of
        self.con = connect(bank)
        self.con.register(MCC_TABLE, mcc.table())
        self.profiling = _asks_for_profiling(self.con, bank, as_of)
        self.schema = pa.schema(
            [("customer_id", bank.id_type("customer_id"))] + [(c.name, _TYPES[c.kind]) for c in spec.columns]
        )

    def all_customers(self) -> pa.Array:
        """Every customer id, rising."""
        ids = self.con.sql("SELECT customer_id FROM customers ORDER BY customer_id").to_arrow_table()
        return one_array(ids.column(0))

    def rows(self, ids: pa.Array, *, subset: bool) -> FeatureTable:
        """The features of `ids`, in their order."""
        if subset:
            self.con.register(WANTED_TABLE, pa.table({"customer_id": pc.unique(ids)}))
        sql = compile_sql(self.spec, subset=subset, profiling=self.profiling)
        found = run(self.con, sql, self.as_of)
        found = found.rename_columns(self.schema.names).cast(self.schema)
        places = pc.index_in(ids, one_array(found.column(0)))
        if places.null_count:
            raise FeatureError(_strangers(ids.filter(places.is_null())))
        return FeatureTable(found.take(places), self.spec.columns, self.as_of)


def _check(spec: FeatureSpec, bank: Bank) -> None:
    """Raise with everything that the bank lacks."""
    problems = [line for reads in spec.reads for line in _lacks(reads, bank)]
    problems += [line for feature in spec.features for line in _misfits(feature, bank)]
    if problems:
        raise FeatureError(problems)


def _lacks(reads: Reads, bank: Bank) -> Iterator[str]:
    if not bank.has(reads.table):
        yield f"the features need the table '{reads.table}', which this bank does not have"
        return
    there = bank.columns(reads.table)
    for name in reads.columns:
        if name not in there:
            found = did_you_mean(name, there)
            yield f"the features need {reads.table}.{name}, which this bank does not have{found}"


def _misfits(feature: Feature, bank: Bank) -> Iterator[str]:
    match feature.formula:
        case Attribute(table, name) if bank.has(table):
            found = bank.columns(table).get(name)
            if found is not None and _KINDS.get(found) != feature.column.kind:
                yield f"{table}.{name} holds a {found}, but the features need a {feature.column.kind}"


def _asks_for_profiling(con: duckdb.DuckDBPyConnection, bank: Bank, as_of: date) -> bool:
    """Whether the bank keeps consents to profiling, so that customers without one are not profiled."""
    if not bank.has("consents"):
        return False
    asked = "SELECT count(*) > 0 FROM consents WHERE purpose = 'profiling' AND recorded_on <= $as_of"
    return bool(con.execute(asked, {"as_of": as_of}).fetchall()[0][0])


def _strangers(ids: pa.Array) -> str:
    names = [str(i) for i in pc.unique(ids).to_pylist()]
    more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
    return f"{len(names):,} customers are not in the bank: {', '.join(names[:10])}{more}"
