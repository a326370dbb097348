"""Writes what was decided into Arrow tables.

Texts that repeat are kept once, with a number per row: customers, products, rules and reasons are built and written as
such dictionaries, which a Parquet file holds anyway. `plain` spells them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer import compiled, keyed
from nextoffer.policy import kernels
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.contact import channels
from nextoffer.policy.offering import Offering
from nextoffer.policy.ordering import Rules
from nextoffer.policy.ranking import OFFERED, Ranking
from nextoffer.policy.reasons import Reasons
from nextoffer.policy.worth import Worth, worth_of
from nextoffer.tables.flow import Indices, decisions_schema, refusals_schema

Places = npt.NDArray[np.int32]
Bits = npt.NDArray[np.uint32]

_DECISION = decisions_schema(pa.null(), pa.null()).names
_FEW = 64  # offers: a customer's, or a handful's

_NOWHERE = pa.array([None], type=pa.string()).dictionary_encode()


@dataclass(frozen=True)
class DecisionIds:
    """What is written on every decision of a run.

    Attributes
    ----------
    as_of
        The day decided for.
    model_id
        The model that scored.
    seed
        Of all that is left to chance.
    """

    as_of: date
    model_id: str
    seed: int


class Run:
    """The numbers that decision ids are made of, keyed by day, model, policy and seed: repeating a run repeats its ids.

    A customer's offers of one run share the beginning of their ids.
    """

    def __init__(self, ids: DecisionIds, policy_id: str) -> None:
        run = f"{ids.as_of.isoformat()} {ids.model_id} {policy_id} {ids.seed}"
        self._key = int.from_bytes(sha256(run.encode()).digest()[:8])

    def of_products(self, offering: Offering) -> Bits:
        """Return 32 bits of each product, (P,)."""
        return _bits32(self._key, "product", offering.keys)

    def of_customers(self, batch: Batch) -> Bits:
        """Return twice 32 bits of each customer, (n, 2)."""
        return np.stack([_bits32(self._key, purpose, batch.customer_keys) for purpose in ("high", "low")], axis=1)


class Writer:
    """Makes the tables of any number of batches over the same products, for one run.

    Parameters
    ----------
    offering
        The products.
    ids
        What is written on every decision.
    book
        The rules.
    """

    def __init__(self, offering: Offering, ids: DecisionIds, book: Book) -> None:
        policy_id = book.policy.policy_id
        self._stages, self._rules = pa.array(book.stages), pa.array(book.names)
        self._as_of = pa.scalar(ids.as_of, pa.date32())
        self._model_id, self._policy_id = pa.array([ids.model_id]), pa.array([policy_id])
        self._ids, self._types = _Column(offering.ids), _Column(offering.types)
        self._few: dict[int, dict[str, pa.Array]] = {}
        self._run = Run(ids, policy_id)
        self._product_bits = self._run.of_products(offering)

    def decisions(self, batch: Batch, ranking: Ranking, reasons: Reasons) -> pa.Table:
        """Return the offers: customers in the order they came, each with ranks 1..k."""
        rows, cols = ranking.rows, ranking.cols
        customers = _Column(batch.customer_ids, unique=True)
        columns = {
            "customer_id": customers.take(rows.astype(np.int32)),
            "rank": pa.array(_ranks(rows)),
            "product_id": self._ids.take(cols),
            "product_type": self._types.take(cols),
            **numbers(worth_of(batch, ranking)),
            "channel": _channel(batch, ranking),
            "reasons": reasons.texts,
            "reason_codes": reasons.codes,
            "decision_id": self._decision_ids(batch, rows, cols),
            **self._constants(len(rows)),
        }
        return pa.Table.from_arrays([columns[name] for name in _DECISION], names=_DECISION)

    def refusals(self, batch: Batch, ranking: Ranking) -> pa.Table:
        """Return every pair that is no offer: customers and products in the order they came."""
        rows, cols, rules, stages = (_refused if compiled.ready() else _refused_by_numpy)(ranking)
        columns = {
            "customer_id": _Column(batch.customer_ids, unique=True).take(rows),
            "product_id": self._ids.take(cols),
            "stage": encoded(stages, self._stages),
            "rule": encoded(rules, self._rules),
        }
        return pa.Table.from_arrays(list(columns.values()), names=list(columns))

    def _constants(self, count: int) -> dict[str, pa.Array]:
        """Return the columns in which all offers are the same."""
        found = self._few.get(count)
        if found is None:
            nought = np.zeros(count, dtype=np.int8)
            found = {
                "as_of": pa.repeat(self._as_of, count),
                "model_id": encoded(nought, self._model_id),
                "policy_id": encoded(nought, self._policy_id),
            }
            if count <= _FEW:
                self._few[count] = found
        return found

    def _decision_ids(self, batch: Batch, rows: Indices, cols: Indices) -> pa.Array:
        """Return 24 hexadecimal digits per offer: 16 for the customer, 8 for the product; see `Run`."""
        words = np.empty((len(rows), 3), dtype=">u4")
        words[:, :2] = self._run.of_customers(batch)[rows]
        words[:, 2] = self._product_bits[cols]
        return _hexadecimal(words)


def numbers(worth: Worth) -> dict[str, pa.Array]:
    """Return the columns of what offers are worth: null where a number is not known, the arm as a dictionary."""
    sure = {name: pa.array(getattr(worth, name)) for name in ("propensity", "context_weight", "lever", "pscore")}
    score = sure["propensity"] if worth.score is worth.propensity else pa.array(worth.score)
    open_ = {name: getattr(worth, name) for name in ("uplift", "value", "expected_value")}
    unsure = {name: pa.array(values, mask=np.isnan(values)) for name, values in open_.items()}
    return {"score": score, "arm": encoded(worth.arm, pa.array(worth.arms)), **sure, **unsure}


class _Column:
    """A column to take rows from; texts come as numbers into the distinct ones, anything else as it is.

    Parameters
    ----------
    values
        What there is to take.
    unique
        No two are the same, so that they need not be looked through.
    """

    def __init__(self, values: pa.Array, *, unique: bool = False) -> None:
        self._values = values
        self._place: npt.NDArray[np.integer] | None = None
        self._numbers = None if pa.types.is_string(values.type) or values.null_count else values.to_numpy()
        if pa.types.is_string(values.type) and not unique:
            distinct = self._values.dictionary_encode()
            self._values, place = distinct.dictionary, distinct.indices
            self._place = place.fill_null(0).to_numpy().astype(_small(len(self._values)))
            self._null = place.is_null().to_numpy(zero_copy_only=False) if place.null_count else None

    def take(self, at: npt.NDArray[np.integer]) -> pa.Array:
        """Return the values at these places."""
        if self._numbers is not None:
            return pa.array(self._numbers[at])
        if not pa.types.is_string(self._values.type):
            return self._values.take(pa.array(at))
        if self._place is None:
            return encoded(at, self._values)
        return encoded(self._place[at], self._values, None if self._null is None else self._null[at])


def _refused(ranking: Ranking) -> tuple[Places, Places, Rules, Rules]:
    """Return rows, columns, rules and stages of all pairs that are no offers."""
    count = ranking.rule.size - len(ranking.rows)
    rows, cols = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32)
    rules, stages = np.empty(count, dtype=np.int8), np.empty(count, dtype=np.int8)
    kernels.refusals(ranking.rule, ranking.book.stage_places, rows, cols, rules, stages)
    return rows, cols, rules, stages


def _refused_by_numpy(ranking: Ranking) -> tuple[Places, Places, Rules, Rules]:
    rows, cols = (at.astype(np.int32) for at in np.nonzero(ranking.rule != OFFERED))
    rules = ranking.rule[rows, cols]
    return rows, cols, rules, ranking.book.stage_places[rules]


def encoded(
    place: npt.NDArray[np.integer], texts: pa.Array, null: npt.NDArray[np.bool_] | None = None
) -> pa.DictionaryArray:
    """Return the texts at these places of `texts`, in which each stands once."""
    return pa.DictionaryArray.from_arrays(pa.array(place, mask=null), texts, safe=False)


def plain(table: pa.Table) -> pa.Table:
    """Return decisions or refusals with every text spelt out: the columns of their schemas."""
    ids = (_spelt(table.schema.field(name).type) for name in ("customer_id", "product_id"))
    schema = schema_of("rank" in table.column_names, *ids)
    if any(column.num_chunks != 1 for column in table.columns):
        return table.cast(schema)
    columns = [_plain(column.chunk(0), kind) for column, kind in zip(table.columns, schema.types, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


@lru_cache(maxsize=16)
def schema_of(decided: bool, customer_id: pa.DataType, product_id: pa.DataType) -> pa.Schema:
    """Return the schema of decisions, or of refusals."""
    return (decisions_schema if decided else refusals_schema)(customer_id, product_id)


def _plain(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if values.type == kind:
        return values
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    elif pa.types.is_list(values.type) and pa.types.is_dictionary(values.type.value_type):
        values = pa.ListArray.from_arrays(values.offsets, values.values.dictionary_decode())
    return values if values.type == kind else values.cast(kind)


def _spelt(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _small(count: int) -> type[np.signedinteger]:
    """Return the smallest whole numbers that count so far."""
    return np.int8 if count <= 128 else np.int16 if count <= 2**15 else np.int32


def _ranks(rows: Indices) -> npt.NDArray[np.int32]:
    """Return 1, 2, … within each run of equal rows."""
    new = np.ones(len(rows), dtype=np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=new[1:])
    place = np.arange(1, len(rows) + 1, dtype=np.int32)
    return place - np.maximum.accumulate(np.where(new, place - 1, 0), dtype=np.int32)


def _channel(batch: Batch, ranking: Ranking) -> pa.Array:
    """Return the channel of each offer, null where none is known; with a plain policy that is the preferred one."""
    contact, rows = ranking.book.policy.contact, ranking.rows
    if not contact.is_plain:
        return channels(batch, contact, rows, _ranks(rows).astype(np.intp) - 1)
    column = batch.features.names.get("channel_pref")
    if column is None or column.kind != "category":
        return _NOWHERE.take(pa.array(np.zeros(len(rows), dtype=np.int8)))
    found = batch.features.array("channel_pref")
    return (found if pa.types.is_dictionary(found.type) else found.dictionary_encode()).take(pa.array(rows))


def _bits32(key: int, purpose: str, ids: keyed.Ids) -> Bits:
    return (keyed.uniform(key, purpose, ids) * 2.0**32).astype(np.uint32)


def _hexadecimal(words: npt.NDArray[np.uint32]) -> pa.Array:
    """Return each row of k words, highest byte first, as a text of 8 k digits."""
    count, width = len(words), 8 * words.shape[1]
    digits = words.tobytes().hex().encode()
    offsets = np.arange(0, count * width + 1, width, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(digits))
