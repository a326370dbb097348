"""The wide table that every engine answers with: ``customer_id``, the features, then what the rules need to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.errors import FeatureError
from nextoffer.features.plan import Plan
from nextoffer.features.spec import FeatureSpec
from nextoffer.keyed import Ids
from nextoffer.tables.flow import Asked, FeatureTable, Kind, Known, RuleFacts

_TYPES: Mapping[Kind, pa.DataType] = {"number": pa.float64(), "category": pa.string(), "flag": pa.bool_()}
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class _Fact:
    """One of the facts: how many columns it takes, of which type, and whether a customer has one value or a row."""

    name: str
    width: int
    type: pa.DataType
    flat: bool = False


def wide_schema(plan: Plan, id_type: pa.DataType) -> pa.Schema:
    """Return names and types of the wide table of a plan."""
    facts = plan.facts
    hidden = [] if facts is None else _columns(len(facts.products), facts.asked, consents=facts.knows_consent)
    return pa.schema([("customer_id", id_type), *_features(plan.spec), *hidden])


def _features(spec: FeatureSpec) -> list[tuple[str, pa.DataType]]:
    return [(c.name, _TYPES[c.kind]) for c in spec.columns]


def _facts(products: int, asked: Asked, *, consents: bool) -> Iterator[_Fact]:
    """The facts in the order of their columns; where no consents are kept there are none of these."""
    yield _Fact("held", products, pa.bool_())
    yield _Fact("contacts", len(asked.windows), pa.int64())
    if consents:
        yield _Fact("consent", 1, pa.bool_(), flat=True)
        yield _Fact("preferred_consent", 1, pa.bool_(), flat=True)
        yield _Fact("channel_consent", len(asked.channels), pa.bool_())
    if asked.offers_days:
        yield _Fact("since_offer", products, pa.float64())
    if asked.ignored_days:
        yield _Fact("ignored", products, pa.int64())
    if asked.rejected_days:
        yield _Fact("since_reject", products, pa.float64())
    if asked.households:
        yield _Fact("members", 1, pa.int64(), flat=True)
        yield _Fact("turn", 1, pa.int64(), flat=True)


def _columns(products: int, asked: Asked, *, consents: bool) -> list[tuple[str, pa.DataType]]:
    facts = _facts(products, asked, consents=consents)
    return [(f"nextoffer_{fact.name}_{place}", fact.type) for fact in facts for place in range(fact.width)]


def split(rows: pa.Table, spec: FeatureSpec, products: int, asked: Asked, as_of: date) -> Known:
    """Return features and facts of a wide table that has `wide_schema`.

    Parameters
    ----------
    rows
        n customers.
    spec
        The features in it.
    products
        How many products are asked about.
    asked
        What is asked beside.
    as_of
        The day it stands for.
    """
    first = place = 1 + len(spec.columns)
    consents = rows.num_columns - first > len(_columns(products, asked, consents=False))
    found: dict[str, npt.NDArray[Any]] = {}
    for fact in _facts(products, asked, consents=consents):
        values = np.empty((len(rows), fact.width), dtype=fact.type.to_pandas_dtype())
        for i in range(fact.width):
            values[:, i] = rows.column(place + i).to_numpy()
        place += fact.width
        found[fact.name] = values[:, 0].copy() if fact.flat else values
    if "turn" in found:
        found["place"] = (found.pop("turn") - 1 + (as_of - _EPOCH).days) % found["members"]
    features = FeatureTable(rows.select(range(first)), spec.columns, as_of)
    return Known(features, RuleFacts.of(found))


def as_known(table: pa.Table, spec: FeatureSpec, products: Ids, as_of: date, *, asked: Asked) -> Known:
    """Return what a wide table tells that another engine made of `known_sql`, in the table's order of rows.

    Columns are told by their place, so that it does not matter how the engine writes their names.

    Parameters
    ----------
    table
        The answer of the whole query or any rows of it.
    spec, products, asked
        The features, the P products and the policy's questions that the query was made for.
    as_of
        The day that was given to it.

    Raises
    ------
    FeatureError
        It has not the columns of such a query, or holds something else in them.
    """
    without, within = (_features(spec) + _columns(len(products), asked, consents=kept) for kept in (False, True))
    fields = {len(fields) + 1: fields for fields in (without, within)}.get(table.num_columns)
    if fields is None:
        found = f"{table.num_columns} columns; {len(without) + 1} or {len(within) + 1} are needed"
        raise FeatureError(f"the answer of the engine has {found}")
    try:
        arrays = [c.cast(kind) for c, (_, kind) in zip(table.columns[1:], fields, strict=True)]
    except pa.ArrowInvalid as error:
        raise FeatureError(f"the answer of the engine is not what was asked for: {error}") from error
    ids = table.column(0)
    ids = ids.cast(pa.int64() if pa.types.is_integer(ids.type) else pa.string())
    names = ["customer_id", *(name for name, _ in fields)]
    return split(pa.Table.from_arrays([ids, *arrays], names=names), spec, len(products), asked, as_of)
