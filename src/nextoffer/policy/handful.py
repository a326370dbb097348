"""Spells out what was decided about a handful of customers, row by row, in the very types of the schemas.

For a few rows plain lists are quicker than the dictionaries that `output` makes of many; what they say is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from nextoffer.policy.batch import Batch, Pairs
from nextoffer.policy.book import Book
from nextoffer.policy.choosing import chosen
from nextoffer.policy.contact import channels
from nextoffer.policy.file import ReasonLimits
from nextoffer.policy.offering import Offering
from nextoffer.policy.output import DecisionIds, Run, numbers, schema_of
from nextoffer.policy.ranking import OFFERED, Ranking
from nextoffer.policy.rule import stage_of
from nextoffer.policy.told import Told
from nextoffer.policy.wording import said
from nextoffer.policy.worth import worth_of
from nextoffer.tables.flow import HANDFUL

__all__ = ["HANDFUL", "RowWriter"]

_REASONS = pa.list_(pa.string())


class RowWriter:
    """Makes the plain tables of a handful of customers; parameters and outcome are those of `output.Writer`."""

    def __init__(self, offering: Offering, ids: DecisionIds, book: Book) -> None:
        policy_id = book.policy.policy_id
        self._rules = [(stage_of(name), name) for name in book.names]
        self._ids, self._types = offering.ids.to_pylist(), offering.types.to_pylist()
        self._id_type = offering.ids.type
        self._run = Run(ids, policy_id)
        self._endings = [f"{bits:08x}" for bits in self._run.of_products(offering).tolist()]
        self._same = (ids.as_of, ids.model_id, policy_id)
        self._constants: dict[int, list[pa.Array]] = {}

    def decisions(self, batch: Batch, ranking: Ranking, given: Told, limits: ReasonLimits) -> pa.Table:
        """Return the offers, with their reasons."""
        rows, cols = ranking.rows.tolist(), ranking.cols.tolist()
        customers = batch.features.customer_ids
        schema = schema_of(True, customers.type, self._id_type)
        if not rows:
            return schema.empty_table()
        who, pairs = customers.to_pylist(), Pairs(batch, ranking.rows, ranking.cols)
        places = [[k for k in each if k >= 0] for each in chosen(pairs, given, limits).tolist()]
        begins = [f"{high:08x}{low:08x}" for high, low in self._run.of_customers(batch)]
        as_of, model_id, policy_id = self._same_for(len(rows))
        worth = numbers(worth_of(batch, ranking))
        columns = {
            "customer_id": pa.array([who[i] for i in rows], customers.type),
            "rank": pa.array([at - rows.index(i) + 1 for at, i in enumerate(rows)], pa.int32()),
            "product_id": pa.array([self._ids[j] for j in cols], self._id_type),
            "product_type": pa.array([self._types[j] for j in cols], pa.string()),
            **worth,
            "channel": pa.array(_channels(batch, ranking), pa.string()),
            "reasons": pa.array(said(given, pairs, places), _REASONS),
            "reason_codes": pa.array([[given.speakers[k].code for k in each] for each in places], _REASONS),
            "decision_id": pa.array(
                [begins[i] + self._endings[j] for i, j in zip(rows, cols, strict=True)], pa.string()
            ),
            "as_of": as_of,
            "model_id": model_id,
            "policy_id": policy_id,
            "arm": worth["arm"].dictionary_decode(),
        }
        return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)

    def refusals(self, batch: Batch, ranking: Ranking) -> pa.Table:
        """Return every pair that is no offer."""
        customers = batch.features.customer_ids
        who = customers.to_pylist()
        refused = [
            (who[i], self._ids[j], *self._rules[rule])
            for i, line in enumerate(ranking.rule.tolist())
            for j, rule in enumerate(line)
            if rule != OFFERED
        ]
        schema = schema_of(False, customers.type, self._id_type)
        columns: Sequence[Sequence[Any]] = list(zip(*refused, strict=True)) or [()] * len(schema)
        return pa.Table.from_arrays(
            [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema
        )

    def _same_for(self, count: int) -> list[pa.Array]:
        """Return the columns in which all offers are the same: as_of, model_id, policy_id."""
        found = self._constants.get(count)
        if found is None:
            kinds = (pa.date32(), pa.string(), pa.string())
            found = [pa.array([value] * count, kind) for value, kind in zip(self._same, kinds, strict=True)]
            self._constants[count] = found
        return found


def _channels(batch: Batch, ranking: Ranking) -> list[str | None]:
    contact, rows = ranking.book.policy.contact, ranking.rows.tolist()
    if not contact.is_plain:
        ranks = np.array([at - rows.index(i) for at, i in enumerate(rows)], dtype=np.intp)
        return list(channels(batch, contact, ranking.rows, ranks).to_pylist())
    column = batch.features.names.get("channel_pref")
    if column is None or column.kind != "category":
        return [None] * len(rows)
    cells = batch.features.cells("channel_pref")
    return [cells[i] for i in rows]
