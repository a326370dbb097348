"""What is known of n customers and P products at the moment of decision, under the names that rules and facts use.

``income`` is a customer's column, ``product.tier`` a product's, ``pair.coholding`` a pair's.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer import keyed
from nextoffer.errors import PolicyError
from nextoffer.policy.logic import Values
from nextoffer.policy.offering import Offering
from nextoffer.policy.wide import Wide
from nextoffer.tables.flow import FeatureTable, Floats, Indices, Kind, RuleFacts, Scores

_HANDFUL = 4  # customers, of whom plain values are quicker to get than arrays


@dataclass(frozen=True)
class Batch:
    """n customers × P products, with what is known of them.

    Attributes
    ----------
    scores
        Log-odds (n, P) and their parts.
    facts
        Who holds what, consents and earlier contacts.
    features
        n customers, in the rows of `scores`.
    products
        P products, in the columns of `scores`.
    natural
        float32 (n, P): the propensity without an offer; None where no model says.

    Raises
    ------
    PolicyError
        The four do not describe the same customers and products.
    """

    scores: Scores
    facts: RuleFacts
    features: FeatureTable
    products: pa.Table
    natural: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.features), self.products.num_rows)
        found = {"scores": self.scores.log_odds.shape, "held": self.facts.held.shape}
        wrong = [f"{name} are for {s[0]} × {s[1]}" for name, s in found.items() if s != shape]
        if wrong:
            raise PolicyError(f"there are {shape[0]} customers × {shape[1]} products, but {' and '.join(wrong)}")

    @classmethod
    def over(
        cls,
        offering: Offering,
        scores: Scores,
        facts: RuleFacts,
        features: FeatureTable,
        *,
        natural: npt.NDArray[np.float32] | None = None,
    ) -> Batch:
        """Return n customers with products of which everything has been worked out."""
        batch = cls(scores, facts, features, offering.table, natural)
        batch.__dict__["offering"] = offering
        return batch

    @property
    def shape(self) -> tuple[int, int]:
        """(n, P)."""
        return self.facts.held.shape[0], self.facts.held.shape[1]

    @cached_property
    def offering(self) -> Offering:
        """The products, with all that depends on them alone."""
        return Offering(self.products)

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The kind of every column that a rule or fact can name."""
        kinds: dict[str, Kind] = {column.name: column.kind for column in self.features.columns}
        return kinds | self.offering.kinds | {f"pair.{name}": "number" for name in self.pair_names}

    @cached_property
    def pair_names(self) -> tuple[str, ...]:
        """The pair features there are, without ``pair.``."""
        nobody = np.empty(0, dtype=np.intp)
        return tuple(self.scores.pair_values(nobody, nobody))

    @cached_property
    def wide(self) -> Wide:
        """The columns by name, each as an array that broadcasts to (n, P)."""
        return Wide(self.lent)

    @property
    def lent(self) -> Batch:
        """The batch, for what it keeps itself: not held by it, so that a batch done with is gone at once."""
        return cast(Batch, weakref.proxy(self))

    @cached_property
    def kept(self) -> dict[object, object]:
        """What was worked out for the whole batch, under a key of whoever did, to be had again."""
        return {}

    @cached_property
    def customer_keys(self) -> npt.NDArray[np.uint64]:
        """A 64-bit key for each customer."""
        return keyed.hash64(self.customer_ids)

    @property
    def keys(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """A 64-bit key for each customer (n,) and product (P,)."""
        return self.customer_keys, self.offering.keys

    @property
    def product_names(self) -> list[str]:
        """What people call the products: their name, else their type and id."""
        return self.offering.names

    @cached_property
    def customer_ids(self) -> pa.Array:
        """The customers, in the bank's own ids."""
        return self.features.customer_ids.combine_chunks()

    def customer_column(self, name: str) -> Values:
        """Return a customer column, of shape (n,)."""
        found = self._customer_columns.get(name)
        if found is None:
            found = (_cells if len(self.features) <= _HANDFUL else _column)(self.features, name)
            self._customer_columns[name] = found
        return found

    def coded(self, name: str) -> tuple[Indices, list[str | None]]:
        """Return a customer column of texts as places (n,) in the distinct ones, of which the last is None."""
        found = self._coded.get(name)
        if found is None:
            column = self.features.array(name)
            column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
            texts = column.dictionary.to_pylist()
            places = column.indices.fill_null(len(texts)).to_numpy().astype(np.intp)
            found = self._coded[name] = (places, [*texts, None])
        return found

    def bounded(self, name: str) -> Floats:
        """Return a customer column as float64 of shape (n,) to put bounds to: of a text, 0 where known, else NaN."""
        if self.features.column(name).kind != "category":
            return self.customer_column(name)
        found = self._known.get(name)
        if found is None:
            found = _known(self.features, name)
            self._known[name] = found
        return found

    def product_column(self, name: str) -> Values:
        """Return a product column (its name without ``product.``), of shape (P,): NaN or None where null or absent."""
        return self.offering.column(name)

    @cached_property
    def _customer_columns(self) -> dict[str, Values]:
        return {}

    @cached_property
    def _coded(self) -> dict[str, tuple[Indices, list[str | None]]]:
        return {}

    @cached_property
    def _known(self) -> dict[str, Floats]:
        return {}


def _column(features: FeatureTable, name: str) -> Values:
    return features.texts(name) if features.column(name).kind == "category" else features.numbers(name)


def _cells(features: FeatureTable, name: str) -> Values:
    """Return what `_column` returns, of a handful of customers."""
    cells = features.cells(name)
    if features.column(name).kind == "category":
        return np.array(cells, dtype=object)
    return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)


def _known(features: FeatureTable, name: str) -> Floats:
    """Return 0 where a text is known, else NaN."""
    if len(features) <= _HANDFUL:
        return np.array([np.nan if cell is None else 0.0 for cell in features.cells(name)])
    return np.where(features.array(name).is_valid().to_numpy(zero_copy_only=False), 0.0, np.nan)


@dataclass(frozen=True)
class Pairs:
    """m chosen customer–product pairs of a batch: customer `rows[i]` with product `cols[i]`.

    If they are a part of other pairs, `whole` are these and `start` is where among them they begin.
    """

    batch: Batch
    rows: Indices
    cols: Indices
    whole: Pairs | None = None
    start: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, start: int, stop: int) -> Pairs:
        """Return the pairs from `start` up to `stop`."""
        return Pairs(self.batch, self.rows[start:stop], self.cols[start:stop], self, start)

    def texts(self, name: str) -> bool:
        """Return whether `name` is a customer column of texts, with rows enough to look at each distinct text once."""
        column = self.batch.features.names.get(name)
        return column is not None and column.kind == "category" and len(self.batch.features) > _HANDFUL

    def column(self, name: str, at: Indices) -> Values:
        """Return the column called `name` for the pairs `at`."""
        if name.startswith("product."):
            return self.batch.product_column(name.removeprefix("product."))[self.cols[at]]
        if name.startswith("pair."):
            return self.pair_column(name)[at]
        return self.batch.customer_column(name)[self.rows[at]]

    def pair_column(self, name: str) -> Floats:
        """Return ``pair.<name>`` of all pairs, float64 (m,); of a part it is cut from the whole's."""
        if self.whole is not None:
            return self.whole.pair_column(name)[self.start : self.start + len(self)]
        found = self._pair_columns.get(name)
        if found is None:
            found = self._pair_columns[name] = self._pair_values[name.removeprefix("pair.")]
        return found

    def pair_values(self, name: str, at: Indices) -> Floats:
        """Return ``pair.<name>`` of the pairs `at` alone, float64."""
        return self.batch.scores.pair_values(self.rows[at], self.cols[at])[name.removeprefix("pair.")]

    @cached_property
    def _pair_values(self) -> Mapping[str, Floats]:
        return self.batch.scores.pair_values(self.rows, self.cols)

    @cached_property
    def _pair_columns(self) -> dict[str, Floats]:
        return {}
