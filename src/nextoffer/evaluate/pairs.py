"""The customer-product pairs an evaluation rests on, with what happened, and the scores to be judged by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.errors import NextOfferError, did_you_mean

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

EVERYONE = "all"


@dataclass(frozen=True)
class Pairs:
    """N pairs by number instead of id.

    Attributes
    ----------
    customer, product
        intp (N,): numbers 0..customers-1 and 0..products-1 in the order of the ids, so that the order of rows is of no
        account.
    label
        float (N,): 1 = accepted, 0 = not.
    customers, products
        How many there are.
    """

    customer: Indices
    product: Indices
    label: Floats
    customers: int
    products: int

    def take(self, rows: Indices) -> Pairs:
        """Return some of the pairs, with their customers numbered anew; the catalogue of products stays."""
        who, customer = np.unique(self.customer[rows], return_inverse=True)
        return Pairs(customer, self.product[rows], self.label[rows], len(who), self.products)


@dataclass(frozen=True)
class Contender:
    """One model's answer for N pairs.

    Attributes
    ----------
    score
        float (N,): higher is offered earlier.
    probability
        The score is also P(accept), so its calibration may be judged.
    """

    score: Floats
    probability: bool = False

    def take(self, rows: Indices) -> Contender:
        """Return the answer for some of the pairs."""
        return Contender(np.asarray(self.score)[rows], self.probability)


@dataclass(frozen=True)
class Truth:
    """What only a simulated world can tell about N pairs.

    Attributes
    ----------
    response
        float (N,): true P(accept) of one contact. Ranking by it is the *oracle*.
    noiseless
        float (N,): score of what any model could know of it, without the world's noise. Ranking by it is the *noiseless
        ceiling*.
    """

    response: Floats
    noiseless: Floats

    def take(self, rows: Indices) -> Truth:
        """Return the truth about some of the pairs."""
        return Truth(np.asarray(self.response)[rows], np.asarray(self.noiseless)[rows])


def number_pairs(table: pa.Table) -> Pairs:
    """Return the pairs of a table with columns customer_id, product_id and label (1 = accepted, 0 = not).

    Raises
    ------
    NextOfferError
        A column is missing, or a label is neither 0 nor 1; all such problems at once.
    """
    problems = [
        f"the pairs to evaluate have no column '{name}'{did_you_mean(name, table.column_names)}"
        for name in ("customer_id", "product_id", "label")
        if name not in table.column_names
    ]
    if problems:
        raise NextOfferError(problems)
    label = np.asarray(table["label"].cast(pa.float64()).to_numpy(), dtype=np.float64)
    strange = ~((label == 0) | (label == 1))
    if strange.any():
        raise NextOfferError(f"{int(strange.sum())} of {len(label)} labels are neither 0 nor 1")
    customer, customers = _numbered(table["customer_id"])
    product, products = _numbered(table["product_id"])
    return Pairs(customer, product, label, customers, products)


def _numbered(ids: pa.ChunkedArray) -> tuple[Indices, int]:
    """Number ids by their sorted order."""
    encoded = ids.combine_chunks().dictionary_encode()
    order = np.asarray(pc.sort_indices(encoded.dictionary), dtype=np.intp)
    number = np.empty(len(order), dtype=np.intp)
    number[order] = np.arange(len(order))
    return number[np.asarray(encoded.indices, dtype=np.intp)], len(order)


def groups_of(table: pa.Table, by: Sequence[str]) -> Iterator[tuple[str, Indices]]:
    """Yield the name of each group, ``column=value``, with its rows, for each column in turn; nulls form no group.

    Raises
    ------
    NextOfferError
        There is no such column.
    """
    for name in by:
        if name not in table.column_names:
            near = did_you_mean(name, table.column_names)
            raise NextOfferError(f"cannot evaluate by '{name}'{near}; there are {', '.join(table.column_names)}")
        values = table[name]
        for value in sorted(pc.unique(values.drop_null()).to_pylist()):
            is_value = pc.fill_null(pc.equal(values, value), False).to_numpy()
            yield f"{name}={value}", np.flatnonzero(is_value)


def check_lengths(pairs: Pairs, contenders: Mapping[str, Contender], truth: Truth | None) -> None:
    """Make sure that every array speaks of the same pairs.

    Raises
    ------
    NextOfferError
        An array is shorter or longer, or holds NaN; all such problems at once.
    """
    arrays = {f"scores of '{name}'": contender.score for name, contender in contenders.items()}
    if truth is not None:
        arrays |= {"true responses": truth.response, "noiseless scores": truth.noiseless}
    n = len(pairs.label)
    problems = [f"{name}: {len(a)} for {n} pairs" for name, a in arrays.items() if len(a) != n]
    problems += [f"{name}: {int(np.isnan(a).sum())} are NaN" for name, a in arrays.items() if np.isnan(a).any()]
    if problems:
        raise NextOfferError(problems)
