"""What is known of customers on a day: features and what the rules need to know, out of one query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.errors import FeatureError
from nextoffer.features.compile import plan_sql
from nextoffer.features.ids import as_ids, customer_ids, with_households
from nextoffer.features.plan import Facts, Plan
from nextoffer.features.query import Query
from nextoffer.features.remote import stream_remote
from nextoffer.features.spec import FeatureSpec, Key, Readable
from nextoffer.features.wide import split
from nextoffer.keyed import Ids
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Asked, Known
from nextoffer.tables.part import part_of


def known(
    spec: FeatureSpec,
    bank: Bank,
    as_of: date,
    *,
    customers: Ids | None = None,
    products: Ids,
    asked: Asked,
) -> Known:
    """Return features and rule facts, one row per customer.

    Parameters
    ----------
    spec, bank, as_of, customers
        As for `nextoffer.features.build`.
    products
        P ids, in the order of the facts' columns; one that the bank does not know is held by nobody.
    asked
        What the policy asks beside who holds what.

    Raises
    ------
    FeatureError
        A customer is not in the bank, or the bank lacks a table or column that the features are made of.
    """
    facts = facts_of(bank, products, asked)
    ids = customer_ids(bank) if customers is None else as_ids(bank, "customer_id", customers)
    if bank.on_server:
        bank = part_of(bank, with_households(bank, ids) if facts.of_households else ids)
    query = Query(Plan(spec, replace(facts, collated=False)), bank, as_of)
    return split(query.rows(ids, subset=customers is not None), spec, len(facts.products), asked, as_of)


def stream_known(  # noqa: PLR0913 (what is asked, of whom and in which pieces)
    spec: FeatureSpec,
    bank: Bank,
    as_of: date,
    *,
    products: Ids,
    asked: Asked,
    chunk: int = 65_536,
    after: int | str | None = None,
) -> Iterator[Known]:
    """Yield the rows of `known` of all customers by rising id, `chunk` at a time; values do not depend on `chunk`.

    Parameters
    ----------
    spec, bank, as_of, products, asked
        As for `known`.
    chunk
        Customers at a time; the last may have fewer.
    after
        Only customers with a greater id than this, to go on where an earlier stream ended.

    Raises
    ------
    FeatureError
        As `known`.
    """
    if chunk < 1:
        raise FeatureError(f"a chunk of {chunk} rows; it must have at least one")
    facts = facts_of(bank, products, asked)
    if bank.on_server:
        yield from stream_remote(Plan(spec, facts), bank, as_of, chunk=chunk, after=after)
        return
    query = Query(Plan(spec, facts), bank, as_of)
    ids = customer_ids(bank)
    if after is not None:
        ids = ids.filter(pc.greater(ids, as_ids(bank, "customer_id", [after])[0]))
    for rows in query.chunks(ids, chunk, whole=after is None):
        yield split(rows, spec, len(facts.products), asked, as_of)


def known_sql(  # noqa: PLR0913 (what is asked, and of which engine)
    spec: FeatureSpec,
    there: Readable,
    *,
    products: Ids,
    asked: Asked,
    dialect: str,
    subset: bool = False,
    profiling: bool = False,
) -> str:
    """Return the query of features and rule facts for another engine; `as_known` reads its answer.

    Its one parameter is the date ``as_of``. It reads the bank's tables by their names, typed and cleaned, and beside
    them ``nextoffer_mcc`` (`nextoffer.features.mcc.table`) and, with `subset`, ``nextoffer_wanted`` (customer_id).

    Parameters
    ----------
    spec, products, asked
        As for `known`; products in the type that the engine's tables have.
    there
        The columns of the bank's tables: `columns_of` a bank.
    dialect
        ``duckdb``, ``postgres``, ``spark`` or another that sqlglot writes.
    subset
        Only the customers in ``nextoffer_wanted``.
    profiling
        The bank keeps consents to profiling (what `profiling_sql` answers): customers without one are not profiled.
    """
    facts = Facts(_keys(products), asked, there)
    return plan_sql(Plan(spec, facts, profiling=profiling), dialect, subset=subset)


def columns_of(bank: Bank) -> Readable:
    """Return the columns of every table of a bank, by table."""
    return {table: frozenset(bank.columns(table)) for table in bank.tables}


def facts_of(bank: Bank, products: Ids, asked: Asked) -> Facts:
    """Return the facts asked about, with the products' ids in the bank's type."""
    collated = bank.on_server and pa.types.is_string(bank.id_type("customer_id"))
    return Facts(_keys(as_ids(bank, "product_id", products)), asked, columns_of(bank), collated=collated)


def _keys(products: Ids) -> tuple[Key, ...]:
    given = products if isinstance(products, pa.Array | pa.ChunkedArray) else pa.array(products)
    return tuple(given.to_pylist())
