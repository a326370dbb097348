"""Ids as callers hand them in, brought to the bank's own type."""

from __future__ import annotations

import pyarrow as pa

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


def one_array(ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the ids in one piece."""
    return ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
