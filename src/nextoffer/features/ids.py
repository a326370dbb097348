"""Ids as callers hand them in, brought to the bank's own type."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.errors import FeatureError
from nextoffer.features.duck import connect
from nextoffer.keyed import Ids
from nextoffer.tables.bank import Bank


def as_ids(bank: Bank, column: str, ids: Ids) -> pa.Array:
    """Return the ids of `column` (``customer_id``) in the bank's type; ``"17"`` is 17 where ids are whole numbers.

    Raises
    ------
    FeatureError
        They are of another type and cannot be read as the bank's, or some are missing.
    """
    wanted = bank.id_type(column)
    try:
        given = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids)
        cast = one_array(given.cast(wanted))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        kind = "text" if wanted == pa.string() else "whole numbers"
        raise FeatureError(f"every {column} of this bank is given in {kind}: {error}") from error
    if cast.null_count:
        raise FeatureError(f"{cast.null_count:,} of {len(cast):,} {column}s are missing")
    return cast


def customer_ids(bank: Bank) -> pa.Array:
    """Return every customer's id, rising; text by its code points."""
    if bank.on_server:  # whose order of texts may be another
        return one_array(pa.Table.from_batches(bank.query("SELECT customer_id FROM customers")).column(0)).sort()
    ids = connect(bank).sql("SELECT customer_id FROM customers ORDER BY customer_id").to_arrow_table()
    return one_array(ids.column(0))


def with_households(bank: Bank, customers: pa.Array) -> pa.Array:
    """Return the customers and all members of their households, each once; the bank has ``household_id``."""
    theirs = "SELECT c.household_id FROM customers c JOIN nextoffer_asked USING (customer_id)"
    sql = f"SELECT k.customer_id FROM customers k WHERE k.household_id IN ({theirs})"
    asked = {"nextoffer_asked": pa.table({"customer_id": customers})}
    kin = one_array(pa.Table.from_batches(bank.query(sql, relations=asked)).column(0))
    return pc.unique(pa.concat_arrays([customers, kin.cast(customers.type)]))


def one_array(ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the ids in one piece."""
    return ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
