"""The tables that flow from room to room, each defined once.

``FeatureTable`` (features → models, policy) · ``Asked`` (policy → features) · ``RuleFacts`` (features → policy) ·
``Scores`` (models → policy) · ``DECISIONS``, ``REFUSALS`` (policy → files, pages) ·
``REPORT`` (evaluate → files, pages).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.errors import FeatureError, did_you_mean

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

Group = Literal["profile", "activity", "channel", "salary", "spend", "holdings", "history", "risk"]
Purpose = Literal["relationship", "profiling", "rule"]
Kind = Literal["number", "category", "flag"]


@dataclass(frozen=True)
class FeatureColumn:
    """What one feature means.

    Attributes
    ----------
    name, label
        Column name, and the same in plain words for people ("Share of spend on travel").
    group, purpose
        Where it comes from; and what it may be used for: ``relationship`` (needed to serve the customer), ``profiling``
        (behaviour, needs consent where consents are kept), ``rule`` (for rules and facts only, never learned from).
    kind
        ``number``, ``category`` (text) or ``flag``.
    sign
        +1 or -1 where more of it can only raise or lower the wish to buy, else 0.
    measure, product_id
        For a column kept once per product (``held_3``): the measure (``held``) and the product's id as text; else None.
    """

    name: str
    label: str
    group: Group
    purpose: Purpose
    kind: Kind
    sign: int = 0
    measure: str | None = None
    product_id: str | None = None


@dataclass(frozen=True)
class FeatureTable:
    """One row per customer as of a date.

    Attributes
    ----------
    data
        ``customer_id`` and one column per entry of `columns`, in that order. Numbers are float64, flags bool,
        categories text; null = not known.
    columns
        What each column means.
    as_of
        The date the rows stand for.
    """

    data: pa.Table
    columns: tuple[FeatureColumn, ...]
    as_of: date

    def __len__(self) -> int:
        return int(self.data.num_rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return FeatureTable, (self.data, self.columns, self.as_of)  # without what was kept on the way

    @property
    def customer_ids(self) -> pa.ChunkedArray:
        """The customers, in row order, in the bank's own ids."""
        return self.data.column("customer_id")

    @property
    def names(self) -> Mapping[str, FeatureColumn]:
        """What each column means, by its name, in order."""
        return self._found.by_name

    @property
    def measures(self) -> Mapping[str, Mapping[str, str]]:
        """Of each measure that is kept once per product: product id → column name."""
        return self._found.by_measure

    def column(self, name: str) -> FeatureColumn:
        """Return what `name` means.

        Raises
        ------
        FeatureError
            There is no such column.
        """
        found = self._found.by_name.get(name)
        if found is None:
            names = list(self._found.by_name)
            raise FeatureError(f"no feature '{name}'{did_you_mean(name, names)}; there are {', '.join(names)}")
        return found

    def array(self, name: str) -> pa.Array:
        """Return a column as it is, in one piece; the column is not copied where it is in one piece already."""
        self.column(name)
        found: pa.Array | None = self._arrays.get(name)
        if found is None:
            column = self.data.column(name)
            whole = column.num_chunks == 1
            found = column.chunk(0) if whole else column.combine_chunks()
            if whole:
                self._arrays[name] = found
        return found

    def numbers(self, name: str) -> Floats:
        """Return a number or flag column as float64 of shape (n,); null is NaN. Not to be written to."""
        found = self._numbers.get(name)
        if found is None:
            found = _numbers(self.array(name))
            if len(self) <= _CHUNK:
                self._numbers[name] = found
        return found

    def texts(self, name: str) -> npt.NDArray[np.object_]:
        """Return a category column as text of shape (n,); null is None."""
        return np.asarray(self.array(name).cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)

    def cells(self, name: str) -> list[Any]:
        """Return a column as plain values, None for null: the quickest form of a handful of rows. Not to be changed."""
        return list(self.array(name).to_pylist())

    def reader(self, name: str) -> Callable[[int], Any]:
        """Return what gives the plain value of a row of a column, None for null."""
        found = self._readers.get(name)
        if found is None:
            self.column(name)
            values = self.data.column(name)
            found = self._readers[name] = _reader(values.chunk(0) if values.num_chunks == 1 else values)
        return found

    def per_product(self, measure: str, product_ids: Sequence[str]) -> Floats:
        """Return float64 of shape (n, P): the measure's column of each product, NaN where a product has none."""
        by_product = self.measures.get(measure, {})
        out = np.full((len(self), len(product_ids)), np.nan)
        for j, product in enumerate(product_ids):
            if product in by_product:
                out[:, j] = self.numbers(by_product[product])
        return out

    def take(self, rows: Indices) -> FeatureTable:
        """Return the given rows, in the given order. A handful is looked up in this table when it is asked for."""
        if len(rows) <= HANDFUL:
            return _Handful(self, [int(r) for r in rows])
        return FeatureTable(self.data.take(pa.array(rows)), self.columns, self.as_of)

    def select(self, names: Collection[str]) -> FeatureTable:
        """Return the same customers with only the named columns, in the order of this table."""
        kept = tuple(c for c in self.columns if c.name in names)
        return FeatureTable(self.data.select(["customer_id", *(c.name for c in kept)]), kept, self.as_of)

    @cached_property
    def _found(self) -> _Columns:
        return _columns(self.columns)

    @cached_property
    def _arrays(self) -> dict[str, pa.Array]:
        return {}

    @cached_property
    def _readers(self) -> dict[str, Callable[[int], Any]]:
        return {}

    @cached_property
    def _numbers(self) -> dict[str, Floats]:
        return {}


def _numbers(values: pa.Array) -> Floats:
    """Return numbers or flags as float64, NaN for null; without nulls, numbers are not copied."""
    if not len(values):
        return np.empty(0)
    if values.type == pa.bool_():
        numbers = _bits(values, 1).astype(np.float64)
    else:
        values = values if values.type == pa.float64() else values.cast(pa.float64())
        numbers = np.frombuffer(values.buffers()[1], dtype=np.float64, count=values.offset + len(values))
        numbers = numbers[values.offset :]
    return np.where(_bits(values, 0), numbers, np.nan) if values.null_count else numbers


def _bits(values: pa.Array, buffer: int) -> npt.NDArray[np.bool_]:
    """Return the bits that an array keeps of its values: 0 says which are known, 1 which flags are set."""
    packed = np.frombuffer(values.buffers()[buffer], dtype=np.uint8)
    return np.unpackbits(packed, count=values.offset + len(values), bitorder="little")[values.offset :].view(np.bool_)


HANDFUL = 8
"""So many rows of a table are looked up cell by cell: to take them of every column would cost a hundred times more."""


_CHUNK = 2**17
"""Up to so many rows, numbers are kept as they were read: scores, rules and reasons ask for the same ones."""


class _Handful(FeatureTable):
    """A few rows of another table."""

    _whole: FeatureTable
    _rows: list[int]
    _kept: dict[str, list[Any]]

    def __init__(self, whole: FeatureTable, rows: list[int]) -> None:
        vars(self).update(_whole=whole, _rows=rows, _kept={})
        vars(self).update(columns=whole.columns, as_of=whole.as_of, _found=whole._found)

    if not TYPE_CHECKING:  # to whoever reads it, a field like any table's

        @cached_property
        def data(self) -> pa.Table:
            whole, rows = self._whole.data, self._rows
            return whole.slice(rows[0], 1) if len(rows) == 1 else whole.take(pa.array(rows, pa.int64()))

    def __len__(self) -> int:
        return len(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        rows = self._whole.data.take(pa.array(self._rows, pa.int64()))  # a slice would travel with the whole table
        return FeatureTable, (rows, self.columns, self.as_of)

    @property
    def customer_ids(self) -> pa.ChunkedArray:
        whole, rows = self._whole.customer_ids, self._rows
        return whole.slice(rows[0], 1) if len(rows) == 1 else whole.take(pa.array(rows, pa.int64()))

    def array(self, name: str) -> pa.Array:
        return self._whole.array(name).take(pa.array(self._rows, pa.int64()))

    def numbers(self, name: str) -> Floats:
        return np.array([np.nan if v is None else v for v in self.cells(name)], dtype=np.float64)

    def cells(self, name: str) -> list[Any]:
        found: list[Any] | None = self._kept.get(name)
        if found is None:
            read = self._whole._readers.get(name) or self._whole.reader(name)
            found = self._kept[name] = [read(row) for row in self._rows]
        return found


def _reader(values: pa.Array | pa.ChunkedArray) -> Callable[[int], Any]:
    """Return what gives the value of a row, None for null; numbers and flags straight from memory."""
    if isinstance(values, pa.ChunkedArray) or values.type not in {pa.float64(), pa.bool_()} or not len(values):
        return lambda row: values[row].as_py()
    bits, data = values.buffers()
    known = memoryview(bits).cast("B") if values.null_count else None
    start = values.offset

    def flag(row: int) -> bool | None:
        at = start + row
        return None if known and not known[at >> 3] >> (at & 7) & 1 else bool(memory[at >> 3] >> (at & 7) & 1)

    def number(row: int) -> float | None:
        at = start + row
        return None if known and not known[at >> 3] >> (at & 7) & 1 else memory[at]

    if values.type == pa.bool_():
        memory: memoryview[Any] = memoryview(data).cast("B")
        return flag
    memory = memoryview(data)[: 8 * (start + len(values))].cast("B").cast("d")
    return number


class _Columns:
    """The columns of a table by name, and by measure and product."""

    def __init__(self, columns: tuple[FeatureColumn, ...]) -> None:
        self.columns = columns
        self.by_name = {c.name: c for c in columns}
        self.by_measure: dict[str, dict[str, str]] = {}
        for c in columns:
            if c.measure is not None and c.product_id is not None:
                self.by_measure.setdefault(c.measure, {})[c.product_id] = c.name


_FOUND: dict[int, _Columns] = {}
"""By the identity of the tuple of columns, which every chunk of a stream shares; each keeps its tuple alive."""
_FOUND_MOST = 64


def _columns(columns: tuple[FeatureColumn, ...]) -> _Columns:
    found = _FOUND.get(id(columns))
    if found is None:
        if len(_FOUND) >= _FOUND_MOST:
            _FOUND.clear()
        found = _FOUND[id(columns)] = _Columns(columns)
    return found


def ids_as_text(ids: pa.Array | pa.ChunkedArray) -> list[str]:
    """Return ids as text, the form in which per-product columns name their product."""
    return [str(v) for v in pc.cast(ids, pa.string()).to_pylist()]


@dataclass(frozen=True)
class Window:
    """The days in which offers are counted.

    Attributes
    ----------
    days
        The day of decision and the ``days - 1`` before it; of the day itself there are none to count yet.
    channel
        Only offers over this channel; None for all offers.
    household
        Offers made to any member of the customer's household, rather than to the customer alone.
    """

    days: int
    channel: str | None = None
    household: bool = False


@dataclass(frozen=True)
class Asked:
    """What a policy asks of a bank's tables, beside who holds what.

    Attributes
    ----------
    windows
        W windows to count earlier offers in.
    channels
        C channels over which offers may go where the preferred one is closed.
    consents
        Whether a customer allows marketing matters.
    without_record
        A customer without any record of a marketing consent counts as allowing.
    offers_days, ignored_days, rejected_days
        So many days a customer's last offer of each product, offers left unanswered, and offers answered with a no,
        matter; 0 where they do not.
    """

    windows: tuple[Window, ...] = ()
    channels: tuple[str, ...] = ()
    consents: bool = True
    without_record: bool = False
    offers_days: int = 0
    ignored_days: int = 0
    rejected_days: int = 0

    @property
    def households(self) -> bool:
        """Whether anything is asked about households."""
        return any(window.household for window in self.windows)


@dataclass(frozen=True)
class RuleFacts:
    """What the rules need to know of n customers and P products on the day, as far as a policy asks (see `Asked`).

    Offers are those made before the day; one held back for a control arm was not made. What customers say counts up to
    the end of the day.

    Attributes
    ----------
    held
        bool (n, P): the customer holds the product now.
    consent
        bool (n,): marketing is allowed; None where not asked or the bank keeps no consents.
    contacts
        int64 (n, W): offers already made within each window.
    channel_consent
        bool (n, C): marketing is allowed over each channel; None as above.
    preferred_consent
        bool (n,): marketing is allowed over the customer's preferred channel, if none is known over all; None as above.
    since_offer
        float64 (n, P): days since the product was last offered, NaN where it never was; None where not asked.
    ignored
        int64 (n, P): offers of the product made within ``ignored_days`` that have no answer; None where not asked.
    since_reject
        float64 (n, P): days since the customer last said no to the product, NaN for never; None where not asked.
    members, place
        int64 (n,): how many members of the household allow marketing (where consents are not asked: how many there
        are), at least 1, and the customer's place among them, 0 to members - 1, which moves on by one each day; None
        where no window is a household's.
    """

    held: npt.NDArray[np.bool_]
    consent: npt.NDArray[np.bool_] | None
    contacts: npt.NDArray[np.int64]
    channel_consent: npt.NDArray[np.bool_] | None = None
    preferred_consent: npt.NDArray[np.bool_] | None = None
    since_offer: Floats | None = None
    ignored: npt.NDArray[np.int64] | None = None
    since_reject: Floats | None = None
    members: npt.NDArray[np.int64] | None = None
    place: npt.NDArray[np.int64] | None = None

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> RuleFacts:
        """Return facts from what `arrays` gives."""
        return cls(**{name: arrays.get(name) for name in cls.__dataclass_fields__})  # type: ignore[arg-type]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what is known, by name; each array has a row per customer."""
        return {name: values for name, values in vars(self).items() if values is not None}

    def take(self, rows: Indices | slice) -> RuleFacts:
        """Return the facts of some customers."""
        return RuleFacts.of({name: values[rows] for name, values in self.arrays().items()})

    @classmethod
    def joined(cls, parts: Sequence[RuleFacts]) -> RuleFacts:
        """Return the facts of the customers of all parts, of which there must be one, about the same questions."""
        every = [part.arrays() for part in parts]
        return cls.of({name: np.concatenate([e[name] for e in every]) for name in every[0]})


@dataclass(frozen=True)
class Known:
    """What is known of n customers on a day: their features, and what the rules need to know.

    Attributes
    ----------
    features
        One row per customer.
    facts
        The same customers, in the same order.
    """

    features: FeatureTable
    facts: RuleFacts


class Scores(Protocol):
    """A ranker's answer for n customers × P products, with its exact parts.

    Attributes
    ----------
    log_odds
        float32 (n, P): calibrated log-odds that the customer accepts the product.
    features
        F names that contributions are given for: customer features, product features as ``product.<column>`` and pair
        features as ``pair.<name>``.
    intercept
        float (P,)-broadcastable constant: ``intercept + contributions.sum(axis=1) == log_odds`` for each pair.
    average
        float32 (P, F): the mean contribution of each feature over the training customers, per product.
    uncertainty
        float32 (n, P): standard deviation of the log-odds given the data learned from; computed when it is asked for.
        None where a ranker does not state it.
    unseen
        bool (P,): products of which the ranker was shown no offer, so that it guesses by others; None where it does not
        say.
    """

    @property
    def log_odds(self) -> npt.NDArray[np.float32]:
        """See above."""
        ...

    @property
    def features(self) -> tuple[str, ...]:
        """See above."""
        ...

    @property
    def intercept(self) -> npt.NDArray[np.float32]:
        """See above."""
        ...

    @property
    def average(self) -> npt.NDArray[np.float32]:
        """See above."""
        ...

    @property
    def uncertainty(self) -> npt.NDArray[np.float32] | None:
        """See above."""
        ...

    @property
    def unseen(self) -> npt.NDArray[np.bool_] | None:
        """See above."""
        ...

    def contributions(self, rows: Indices, cols: Indices) -> npt.NDArray[np.float32]:
        """Return float32 (m, F): what each feature adds to the log-odds of the m pairs (rows[i], cols[i])."""
        ...

    def pair_values(self, rows: Indices, cols: Indices) -> Mapping[str, Floats]:
        """Return each pair feature (name without ``pair.``) as float64 (m,), NaN where not known."""
        ...


def decisions_schema(customer_id: pa.DataType, product_id: pa.DataType) -> pa.Schema:
    """Return the columns of Decisions, one row per customer and rank, best first."""
    return pa.schema(
        [
            ("customer_id", customer_id),
            ("rank", pa.int32()),
            ("product_id", product_id),
            ("product_type", pa.string()),
            ("score", pa.float64()),
            ("propensity", pa.float64()),
            ("expected_value", pa.float64()),
            ("channel", pa.string()),
            ("reasons", pa.list_(pa.string())),
            ("reason_codes", pa.list_(pa.string())),
            ("pscore", pa.float64()),
            ("decision_id", pa.string()),
            ("as_of", pa.date32()),
            ("model_id", pa.string()),
            ("policy_id", pa.string()),
            ("arm", pa.string()),
            ("uplift", pa.float64()),
            ("context_weight", pa.float64()),
            ("value", pa.float64()),
            ("lever", pa.float64()),
        ]
    )


def refusals_schema(customer_id: pa.DataType, product_id: pa.DataType) -> pa.Schema:
    """Return the columns of Refusals, one row per customer and product not offered."""
    return pa.schema(
        [("customer_id", customer_id), ("product_id", product_id), ("stage", pa.string()), ("rule", pa.string())]
    )


REPORT = pa.schema(
    [
        ("metric", pa.string()),
        ("model", pa.string()),
        ("split", pa.string()),
        ("group", pa.string()),
        ("estimate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n", pa.int64()),
    ]
)
