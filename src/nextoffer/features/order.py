"""Whether a bank's transactions lie in the order of customers, and how many customers to take at once therefore."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import duckdb

from nextoffer.tables.bank import Bank
from nextoffer.tables.sql import literal

SLAB = 131_072
"""Customers aggregated at once where their rows lie together: each row is read once, and little memory is taken."""

SLAB_OF_ALL = 524_288
"""Customers at once where rows lie anywhere, so that every slab reads all of them: few slabs, more memory."""

_OUT_OF_ORDER = 0.2


def slab_of(bank: Bank, con: duckdb.DuckDBPyConnection) -> int:
    """Return how many customers to aggregate at once; only time and memory depend on it."""
    return SLAB if not bank.has("transactions") or _in_order(bank, con) else SLAB_OF_ALL


def _in_order(bank: Bank, con: duckdb.DuckDBPyConnection) -> bool:
    """Whether most row groups of the transactions begin where the one before ended, by what Parquet tells of them."""
    layout = bank.layouts["transactions"]
    stored = layout.column("customer_id")
    files = layout.source.files
    if stored is None or not files or any(file.suffix != ".parquet" for file in files):
        return False
    listed = ", ".join(literal(str(file)) for file in files)
    found = con.sql(
        f"SELECT coalesce(stats_min_value, stats_min), coalesce(stats_max_value, stats_max) "
        f"FROM parquet_metadata([{listed}]) WHERE path_in_schema = {literal(stored.stored.name)}"
    ).fetchall()
    if any(low is None or high is None for low, high in found):
        return len(found) == 1
    whole = stored.stored.family == "integer"
    return share_out_of_order([(int(a), int(b)) if whole else (a, b) for a, b in found]) <= _OUT_OF_ORDER


def share_out_of_order(ranges: Sequence[tuple[Any, Any]]) -> float:
    """Return the share of ranges that begin before one with a smaller beginning has ended.

    >>> share_out_of_order([(5, 9), (0, 5), (9, 12)]), share_out_of_order([(0, 9), (1, 9), (0, 8)])
    (0.0, 1.0)
    """
    ordered = sorted(ranges)
    begun = 0
    for (low, _), before in zip(ordered[1:], accumulate((high for _, high in ordered), max), strict=False):
        begun += low < before
    return begun / max(len(ordered) - 1, 1)
