"""The wide table that every engine answers with: ``customer_id``, the features, then what the rules need to know."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.errors import FeatureError
from nextoffer.features.plan import Plan
from nextoffer.features.spec import FeatureSpec
from nextoffer.keyed import Ids
from nextoffer.tables.flow import FeatureTable, Kind, Known, RuleFacts

_TYPES: Mapping[Kind, pa.DataType] = {"number": pa.float64(), "category": pa.string(), "flag": pa.bool_()}


def wide_schema(plan: Plan, id_type: pa.DataType) -> pa.Schema:
    """Return names and types of the wide table of a plan."""
    facts = plan.facts
    hidden: list[tuple[str, pa.DataType]] = []
    if facts is not None:
        hidden += [(f"nextoffer_held_{place}", pa.bool_()) for place in range(len(facts.products))]
        hidden.append(("nextoffer_contacts", pa.int64()))
        hidden += [("nextoffer_consent", pa.bool_())] if facts.knows_consent else []
    return pa.schema([("customer_id", id_type), *_features(plan.spec), *hidden])


def _features(spec: FeatureSpec) -> list[tuple[str, pa.DataType]]:
    return [(c.name, _TYPES[c.kind]) for c in spec.columns]


def split(rows: pa.Table, spec: FeatureSpec, products: int, as_of: date) -> Known:
    """Return features and facts of a wide table that has `wide_schema`.

    Parameters
    ----------
    rows
        n customers.
    spec
        The features in it.
    products
        How many products are asked about.
    as_of
        The day it stands for.
    """
    first = 1 + len(spec.columns)
    held = np.empty((len(rows), products), dtype=np.bool_)
    for place in range(products):
        held[:, place] = _flags(rows.column(first + place))
    contacts = np.asarray(rows.column(first + products).to_numpy(), dtype=np.int64)
    knows = rows.num_columns > first + products + 1
    consent = _flags(rows.column(first + products + 1)) if knows else None
    features = FeatureTable(rows.select(range(first)), spec.columns, as_of)
    return Known(features, RuleFacts(held, consent, contacts))


def as_known(table: pa.Table, spec: FeatureSpec, products: Ids, as_of: date) -> Known:
    """Return what a wide table tells that another engine made of `known_sql`, in the table's order of rows.

    Columns are told by their place, so that it does not matter how the engine writes their names.

    Parameters
    ----------
    table
        The answer of the whole query or any rows of it.
    spec, products
        The features and the P products that the query was made for.
    as_of
        The day that was given to it.

    Raises
    ------
    FeatureError
        It has not the columns of such a query, or holds something else in them.
    """
    fields = _features(spec) + [("nextoffer_held", pa.bool_())] * len(products) + [("nextoffer_contacts", pa.int64())]
    fields += [("nextoffer_consent", pa.bool_())] * (table.num_columns == len(fields) + 2)
    if table.num_columns != len(fields) + 1:
        found = f"{table.num_columns} columns; {len(fields) + 1} or {len(fields) + 2} are needed"
        raise FeatureError(f"the answer of the engine has {found}")
    try:
        arrays = [c.cast(kind) for c, (_, kind) in zip(table.columns[1:], fields, strict=True)]
    except pa.ArrowInvalid as error:
        raise FeatureError(f"the answer of the engine is not what was asked for: {error}") from error
    ids = table.column(0)
    ids = ids.cast(pa.int64() if pa.types.is_integer(ids.type) else pa.string())
    names = ["customer_id", *(name for name, _ in fields)]
    return split(pa.Table.from_arrays([ids, *arrays], names=names), spec, len(products), as_of)


def _flags(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(values.to_numpy(), dtype=np.bool_)
