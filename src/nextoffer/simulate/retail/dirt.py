"""Bad rows, of every kind that a check should find, in known numbers.

Each is a *further* row, a spoilt copy of a good one: with its bad rows set aside, the bank is the clean bank again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.keyed import uniform
from nextoffer.simulate.draws import Whole
from nextoffer.simulate.retail.world import TODAY

RATE = 0.004
Spoil = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class Stain:
    """One kind of bad row: in which table, the rule that should catch it, and what is done to which columns."""

    table: str
    rule: str
    spoil: dict[str, Spoil] = field(default_factory=dict)


def _always(value: object) -> Spoil:
    return lambda column: pa.array([value] * len(column), type=column.type)


def _stranger(column: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise("X", column, "")


def _negative(column: pa.Array) -> pa.Array:
    return pc.negate(column)


STAINS: tuple[Stain, ...] = (
    Stain("customers", "customer_id: duplicate_key"),
    Stain("customers", "customer_id: null_key", {"customer_id": _always(None)}),
    Stain("customers", "income: negative", {"customer_id": _stranger, "income": _negative}),
    Stain("transactions", "customer_id: unknown_customer", {"customer_id": _stranger}),
    Stain("transactions", "customer_id: null_key", {"customer_id": _always(None)}),
    Stain("transactions", "amount: missing_value", {"amount": _always(None)}),
    Stain("transactions", "date: after_as_of", {"date": _always(TODAY + timedelta(days=20))}),
    Stain("holdings", "product_id: unknown_product", {"product_id": _stranger}),
    Stain("holdings", "closed_on: closed_before_opened", {"closed_on": _always(TODAY - timedelta(days=30_000))}),
    Stain("responses", "label: bad_label", {"label": _always(2)}),
    Stain("responses", "customer_id: unknown_customer", {"customer_id": _stranger}),
    Stain("responses", "offered_on: missing_value", {"offered_on": _always(None)}),
    Stain("consents", "granted: missing_value", {"granted": _always(None)}),
    Stain("risk", "pd: out_of_range", {"customer_id": _stranger, "pd": _always(1.7)}),
)


@dataclass(frozen=True)
class Dirt:
    """Adds bad rows to tables as they are written, and counts them by table and rule."""

    seed: int
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def soiled(self, table: str, rows: pa.Table, keys: Whole) -> pa.Table:
        """Return the rows with bad ones behind them; `keys`, one a row, decide which rows are copied and spoilt."""
        parts = [rows]
        for stain in (s for s in STAINS if s.table == table):
            chosen = np.flatnonzero(uniform(self.seed, f"dirt {table} {stain.rule}", keys) < RATE)
            self.counts[table, stain.rule] += len(chosen)
            parts.append(_spoilt(rows.take(pa.array(chosen)), stain))
        return pa.concat_tables(parts)

    def report(self) -> dict[str, dict[str, int]]:
        """Return how many bad rows there are, by table and rule."""
        out: dict[str, dict[str, int]] = {}
        for (table, rule), count in sorted(self.counts.items()):
            out.setdefault(table, {})[rule] = count
        return out


def _spoilt(rows: pa.Table, stain: Stain) -> pa.Table:
    for name, spoil in stain.spoil.items():
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, rows.schema.field(index), spoil(rows.column(index).combine_chunks()))
    return rows
