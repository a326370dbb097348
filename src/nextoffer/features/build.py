"""Builds features from a bank's tables as they stood when a day began: all at once, or as a stream of chunks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pyarrow.compute as pc

from nextoffer.errors import FeatureError
from nextoffer.features.ids import as_ids, customer_ids
from nextoffer.features.plan import Plan
from nextoffer.features.query import Query
from nextoffer.features.spec import FeatureSpec
from nextoffer.keyed import Ids
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import FeatureTable


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
    query = Query(Plan(spec), bank, as_of)
    ids = customer_ids(bank) if customers is None else as_ids(bank, "customer_id", customers)
    return FeatureTable(query.rows(ids, subset=customers is not None), spec.columns, as_of)


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
    query = Query(Plan(spec), bank, as_of)
    ids = customer_ids(bank) if customers is None else pc.unique(as_ids(bank, "customer_id", customers)).sort()
    for rows in query.chunks(ids, chunk, whole=customers is None):
        yield FeatureTable(rows, spec.columns, as_of)
