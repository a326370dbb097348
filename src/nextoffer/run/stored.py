"""What is known of all customers, computed once and kept in a file, so that one customer is answered in milliseconds.

A file holds features and rule facts of one day, as an Arrow file of record batches that is mapped into memory: opening
it reads the ids, answering reads the rows asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer import keyed
from nextoffer.errors import FeatureError, NextOfferError
from nextoffer.keyed import Ids
from nextoffer.tables.flow import FeatureColumn, FeatureTable, Indices, Known, RuleFacts, ids_as_text
from nextoffer.tables.write import atomic_path

_FACT = "rule."
_ABOUT = b"nextoffer"


@dataclass(frozen=True)
class Stored:
    """What was known of n customers on a day, found by their ids. Safe to read from several threads.

    Attributes
    ----------
    parts
        The customers, some ten thousand to a part.
    products
        The ids of the products in the columns of the facts.

    Examples
    --------
    >>> products = bank.table("products")                                             # doctest: +SKIP
    >>> Stored.write("known.arrow", engine.stream(bank), products.column("product_id"))      # doctest: +SKIP
    >>> stored = Stored.load("known.arrow")                                           # doctest: +SKIP
    >>> engine.desk(products).decide(stored.known(["C00017"]))                        # doctest: +SKIP
    """

    parts: tuple[Known, ...]
    products: pa.Array
    _index: _Index = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.parts:
            raise FeatureError("there are no customers to store")
        vars(self)["_index"] = _Index.of([part.features.customer_ids for part in self.parts])

    def __len__(self) -> int:
        return int(self._index.starts[-1])

    @cached_property
    def product_ids(self) -> tuple[str, ...]:
        """The ids of the products, as text."""
        return tuple(ids_as_text(self.products))

    @property
    def as_of(self) -> date:
        """The day."""
        return self.parts[0].features.as_of

    @classmethod
    def of(cls, stream: Iterable[Known], products: Ids) -> Stored:
        """Return customers, as `Engine.stream` yields them, kept in memory.

        Raises
        ------
        FeatureError
            There are none.
        """
        return cls(tuple(stream), _ids(products))

    @classmethod
    def write(cls, path: str | Path, stream: Iterable[Known], products: Ids) -> int:
        """Write customers to a file as they come and return how many; the file appears when it is whole.

        Raises
        ------
        FeatureError
            There are none.
        """
        ids, count, file = _ids(products), 0, None
        with atomic_path(path) as temporary:
            try:
                for part in stream:
                    batch = _packed(part, ids)
                    file = file or pa.ipc.new_file(str(temporary), batch.schema)
                    file.write_batch(batch)
                    count += batch.num_rows
                if file is None:
                    raise FeatureError("there are no customers to store")
            finally:
                if file is not None:
                    file.close()
        return count

    def save(self, path: str | Path) -> None:
        """Write the customers to a file, which appears when it is whole."""
        self.write(path, self.parts, self.products)

    @classmethod
    def load(cls, path: str | Path) -> Stored:
        """Return the customers of a file, which stays open and must not be changed, but may be replaced.

        Raises
        ------
        NextOfferError
            There is no such file, or it holds something else.
        """
        try:
            file = pa.ipc.open_file(pa.memory_map(str(path)))
            about = json.loads((file.schema.metadata or {})[_ABOUT])
        except (OSError, pa.ArrowInvalid, KeyError) as error:
            raise NextOfferError(f"{path} holds no stored customers: {error}") from error
        columns = tuple(FeatureColumn(**column) for column in about["columns"])
        parts = (file.get_batch(i) for i in range(file.num_record_batches))
        return cls(tuple(_unpacked(part, about, columns) for part in parts), pa.array(about["products"]))

    def known(self, customers: Ids) -> Known:
        """Return what is known of these customers, in this order.

        Raises
        ------
        FeatureError
            One of them is not stored.
        """
        part, rows = self._index.find(_ids(customers))
        if len(rows) and (part == part[0]).all():
            return _taken(self.parts[part[0]], rows)
        every = [_taken(self.parts[p], rows[i : i + 1]) for i, p in enumerate(part.tolist())]
        return _joined(every or [_taken(self.parts[0], rows)])


@dataclass(frozen=True)
class _Index:
    """Where each customer is: keys in rising order, and the customer of each, counted over all parts.

    Different texts may, if hardly ever, have the same key, so the ids themselves are compared as well.
    """

    ids: tuple[pa.Array, ...]
    starts: Indices
    keys: npt.NDArray[np.uint64]
    places: Indices

    @classmethod
    def of(cls, ids: Iterable[pa.Array | pa.ChunkedArray]) -> _Index:
        """Return the index of the customers of all parts."""
        whole = tuple(_ids(part) for part in ids)
        keys = np.concatenate([keyed.hash64(part) for part in whole])
        order = np.argsort(keys, kind="stable")
        return cls(whole, np.cumsum([0, *map(len, whole)]), keys[order], order)

    def find(self, customers: pa.Array) -> tuple[Indices, Indices]:
        """Return the part that each customer is in, and the row of it. Raises `FeatureError` where there is none."""
        keys = keyed.hash64(customers)
        first, stop = (np.searchsorted(self.keys, keys, side=side).tolist() for side in ("left", "right"))
        part, row = np.empty(len(keys), dtype=np.intp), np.empty(len(keys), dtype=np.intp)
        for i, customer in enumerate(customers.to_pylist()):
            for place in self.places[first[i] : stop[i]].tolist():
                part[i] = np.searchsorted(self.starts, place, side="right") - 1
                row[i] = place - self.starts[part[i]]
                if self.ids[part[i]][int(row[i])].as_py() == customer:
                    break
            else:
                raise FeatureError(f"no customer '{customer}' among the {len(self.keys):,} stored")
        return part, row


def _ids(ids: Ids) -> pa.Array:
    if isinstance(ids, pa.ChunkedArray):
        return ids.combine_chunks()
    return ids if isinstance(ids, pa.Array) else pa.array(ids)


def _packed(part: Known, products: pa.Array) -> pa.RecordBatch:
    """Return features and facts as one batch, with what the columns mean."""
    features, facts = part.features, part.facts
    about = {
        "as_of": features.as_of.isoformat(),
        "columns": [asdict(column) for column in features.columns],
        "products": products.to_pylist(),
        "facts": {name: (a.dtype.str, a.shape[1:]) for name, a in facts.arrays().items()},
    }
    if facts.held.shape != (len(features), len(products)):
        raise FeatureError(f"facts of {facts.held.shape[1]} products, but ids of {len(products)}")
    table = features.data
    for name, values in facts.arrays().items():
        table = table.append_column(_FACT + name, _bytes(values))
    whole = table.replace_schema_metadata({_ABOUT: json.dumps(about).encode()}).combine_chunks()
    return pa.RecordBatch.from_arrays([_ids(column) for column in whole.columns], schema=whole.schema)


def _unpacked(batch: pa.RecordBatch, about: Mapping[str, Any], columns: tuple[FeatureColumn, ...]) -> Known:
    """Return what `_packed` was given, without copying it."""
    found = {name: _array(batch.column(_FACT + name), *kind) for name, kind in about["facts"].items()}
    table = pa.Table.from_batches([batch]).select(["customer_id", *(column.name for column in columns)])
    day = date.fromisoformat(about["as_of"])
    return Known(FeatureTable(table.replace_schema_metadata(None), columns, day), RuleFacts.of(found))


def _bytes(values: npt.NDArray[Any]) -> pa.Array:
    """Return an array of n rows as n values of so many bytes."""
    kind = pa.binary(values[:1].nbytes if len(values) else values.itemsize * int(np.prod(values.shape[1:])))
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _array(values: pa.Array, dtype: str, shape: Sequence[int]) -> npt.NDArray[Any]:
    """Return what `_bytes` was given, of a type and of rows of a shape."""
    width = values.type.byte_width
    flat = np.frombuffer(values.buffers()[1] or b"", dtype=np.uint8)[values.offset * width :][: len(values) * width]
    return flat.view(dtype).reshape(len(values), *shape)


def _taken(part: Known, rows: Indices) -> Known:
    return Known(part.features.take(rows), part.facts.take(rows))


def _joined(parts: list[Known]) -> Known:
    """Return customers of several parts as one table."""
    features = parts[0].features
    return Known(
        FeatureTable(pa.concat_tables([p.features.data for p in parts]), features.columns, features.as_of),
        RuleFacts.joined([part.facts for part in parts]),
    )
