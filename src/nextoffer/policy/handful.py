"""Spells out what was decided about a handful of customers, row by row, in the very types of the schemas.

For a few rows plain lists are quicker than the dictionaries that `output` makes of many; what they say is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from nextoffer.policy.batch import Batch, Pairs
from nextoffer.policy.choosing import chosen
from nextoffer.policy.file import ReasonLimits
from nextoffer.policy.offering import Offering
from nextoffer.policy.output import DecisionIds, Run, schema_of
from nextoffer.policy.ranking import OFFERED, Ranking
from nextoffer.policy.stages import RULES, stage_of
from nextoffer.policy.told import Told
from nextoffer.policy.wording import said
from nextoffer.tables.flow import HANDFUL

__all__ = ["HANDFUL", "RowWriter"]

_STAGES = [stage_of(rule) for rule in RULES]
_REASONS = pa.list_(pa.string())


class RowWriter:
    """Makes the plain tables of a handful of customers; parameters and outcome are those of `output.Writer`."""

    def __init__(self, offering: Offering, ids: DecisionIds, policy_id: str) -> None:
        self._ids, self._types = offering.ids.to_pylist(), offering.types.to_pylist()
        self._id_type = offering.ids.type
        self._margin = offering.column("margin").tolist()
        self._cost = np.nan_to_num(offering.column("cost"), nan=0.0).tolist()
        self._run = Run(ids, policy_id)
        self._endings = [f"{bits:08x}" for bits in self._run.of_products(offering).tolist()]
        self._same = (1.0, ids.as_of, ids.model_id, policy_id)
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
        propensity = pa.array(ranking.offered_propensity)
        pscore, as_of, model_id, policy_id = self._same_for(len(rows))
        columns = [
            pa.array([who[i] for i in rows], customers.type),
            pa.array([at - rows.index(i) + 1 for at, i in enumerate(rows)], pa.int32()),
            pa.array([self._ids[j] for j in cols], self._id_type),
            pa.array([self._types[j] for j in cols], pa.string()),
            propensity,
            propensity,
            pa.array(self._expected(ranking.offered_propensity.tolist(), cols), pa.float64()),
            pa.array(_channels(batch, rows), pa.string()),
            pa.array(said(given, pairs, places), _REASONS),
            pa.array([[given.speakers[k].code for k in each] for each in places], _REASONS),
            pscore,
            pa.array([begins[i] + self._endings[j] for i, j in zip(rows, cols, strict=True)], pa.string()),
            as_of,
            model_id,
            policy_id,
        ]
        return pa.Table.from_arrays(columns, schema=schema)

    def refusals(self, batch: Batch, ranking: Ranking) -> pa.Table:
        """Return every pair that is no offer."""
        customers = batch.features.customer_ids
        who = customers.to_pylist()
        refused = [
            (who[i], self._ids[j], _STAGES[rule], RULES[rule])
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
        """Return the columns in which all offers are the same: pscore, as_of, model_id, policy_id."""
        found = self._constants.get(count)
        if found is None:
            kinds = (pa.float64(), pa.date32(), pa.string(), pa.string())
            found = [pa.array([value] * count, kind) for value, kind in zip(self._same, kinds, strict=True)]
            self._constants[count] = found
        return found

    def _expected(self, propensity: list[float], cols: list[int]) -> list[float | None]:
        """Return what `Writer` calls the expected value, None where it is not known."""
        values = [p * self._margin[j] - self._cost[j] for p, j in zip(propensity, cols, strict=True)]
        return [None if value != value else value for value in values]  # noqa: PLR0124  NaN alone


def _channels(batch: Batch, rows: list[int]) -> list[str | None]:
    column = batch.features.names.get("channel_pref")
    if column is None or column.kind != "category":
        return [None] * len(rows)
    cells = batch.features.cells("channel_pref")
    return [cells[i] for i in rows]
