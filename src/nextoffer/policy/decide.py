"""The one path from scores to offers: a pure function over a batch of customers.

The same customer gets the same decisions alone, in a batch of a million, and in any partition: nothing here adds up
over customers, and chance is keyed by seed, customer and product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.policy.batch import Batch, Pairs
from nextoffer.policy.book import Book
from nextoffer.policy.catalogue import Catalogue
from nextoffer.policy.file import Policy
from nextoffer.policy.handful import HANDFUL, RowWriter
from nextoffer.policy.offering import Offering
from nextoffer.policy.output import DecisionIds, Writer, plain
from nextoffer.policy.ranking import Ranking, ranked
from nextoffer.policy.reasons import reasons_told
from nextoffer.policy.told import Telling, Told
from nextoffer.tables.flow import FeatureTable, Kind, RuleFacts, Scores

__all__ = ["Decided", "Decider", "DecisionIds", "decide"]


@dataclass(frozen=True)
class Decided:
    """Every pair of a batch exactly once: offered, or refused.

    Attributes
    ----------
    decisions
        Customers in the order they came, each with ranks 1..k; columns of `decisions_schema`.
    refusals
        Every other pair, customers and products in the order they came; columns of `refusals_schema`.

    Texts that repeat may be kept as Arrow dictionaries; `plain` spells them out. Files show no difference.
    """

    decisions: pa.Table
    refusals: pa.Table

    def plain(self) -> Decided:
        """Return the same in the very types of the schemas."""
        return Decided(plain(self.decisions), plain(self.refusals))


class _Handful(Decided):
    """A few customers' offers and refusals, of which only the tables asked for are written."""

    _batch: Batch
    _ranking: Ranking
    _given: Told
    _by: Decider

    def __init__(self, batch: Batch, ranking: Ranking, given: Told, by: Decider) -> None:
        vars(self).update(_batch=batch, _ranking=ranking, _given=given, _by=by)

    if not TYPE_CHECKING:  # to whoever reads them, fields like those of any other

        @cached_property
        def decisions(self) -> pa.Table:
            return self._tables.decisions

        @cached_property
        def refusals(self) -> pa.Table:
            return self._tables.refusals

    @cached_property
    def _tables(self) -> Decided:
        return self._by.written(self._batch, self._ranking, self._given)

    def __reduce__(self) -> tuple[Any, ...]:
        return Decided, (self.decisions, self.refusals)

    def plain(self) -> Decided:
        return self._by.spelt(self._batch, self._ranking, self._given)


class Decider:
    """Decides for batch after batch of customers: one or a million, by the same path.

    What depends on products, policy, reasons and run alone is worked out once. Safe to use from several threads.

    Parameters
    ----------
    products
        P products: product_id, product_type, and whatever else there is of the contract.
    policy, catalogue
        Which offers are allowed, and what may be said of them.
    ids
        What is written on every decision.
    """

    def __init__(self, products: pa.Table, *, policy: Policy, catalogue: Catalogue, ids: DecisionIds) -> None:
        self.policy, self.seed = policy, ids.seed
        self.book = Book(policy)
        self._telling = Telling(catalogue)
        self.offering = Offering(products)
        self._writer = Writer(self.offering, ids, self.book)
        self._rows = RowWriter(self.offering, ids, self.book)

    def check(self, kinds: Mapping[str, Kind], closed: Mapping[str, str] | None = None) -> None:
        """Find out before any customer is read whether the policy's rules fit columns of these kinds, and the products.

        Parameters
        ----------
        closed
            Why columns that the bank has may not be used.

        Raises
        ------
        PolicyError
            They do not; all problems are named.
        """
        self.book.check({**self.offering.kinds, **kinds}, self.offering, closed)

    def batch(
        self,
        scores: Scores,
        facts: RuleFacts,
        features: FeatureTable,
        *,
        natural: npt.NDArray[np.float32] | None = None,
    ) -> Batch:
        """Return n customers with the products; `natural`, float32 (n, P), are the propensities without an offer.

        Raises
        ------
        PolicyError
            The inputs do not describe the same customers and products.
        """
        return Batch.over(self.offering, scores, facts, features, natural=natural)

    def decide(self, scores: Scores, facts: RuleFacts, features: FeatureTable) -> Decided:
        """Return the offers to n customers, with their reasons, and why every other pair is refused.

        Parameters, columns and errors are those of the function `decide`; repeating texts come as dictionaries.
        """
        return self.of(self.batch(scores, facts, features))

    def of(self, batch: Batch) -> Decided:
        """Return what `decide` returns, for a batch that `batch` made."""
        ranking, given = self.ranked(batch), self._telling.of(batch)
        if batch.shape[0] <= HANDFUL:
            return _Handful(batch, ranking, given, self)
        return self.written(batch, ranking, given)

    def ranked(self, batch: Batch) -> Ranking:
        """Return the offers of a batch, and the rule that stopped each other pair."""
        return ranked(batch, self.book, self.seed)

    def written(self, batch: Batch, ranking: Ranking, given: Told) -> Decided:
        """Return the tables of a ranked batch and the reasons for its offers; repeating texts come as dictionaries."""
        reasons = reasons_told(Pairs(batch, ranking.rows, ranking.cols), given, self.policy.reasons)
        return Decided(self._writer.decisions(batch, ranking, reasons), self._writer.refusals(batch, ranking))

    def spelt(self, batch: Batch, ranking: Ranking, given: Told) -> Decided:
        """Return the same for a handful of customers, with every text spelt out."""
        rows = self._rows
        return Decided(rows.decisions(batch, ranking, given, self.policy.reasons), rows.refusals(batch, ranking))


def decide(  # noqa: PLR0913  the four tables a decision rests on, and the three things it is made with
    scores: Scores,
    facts: RuleFacts,
    features: FeatureTable,
    products: pa.Table,
    *,
    policy: Policy,
    catalogue: Catalogue,
    ids: DecisionIds,
) -> Decided:
    """Return the offers to n customers out of P products, with their reasons, and why every other pair is refused.

    Parameters
    ----------
    scores
        Log-odds (n, P) and their parts.
    facts
        Who holds what, consents and earlier contacts: held (n, P), consent (n,), contacts (n,).
    features
        n customers, in the rows of `scores`.
    products
        P products, in the columns of `scores`: product_id, product_type, and whatever else there is of the contract.
    policy, catalogue
        Which offers are allowed, and what may be said of them.
    ids
        What is written on every decision.

    Raises
    ------
    PolicyError
        The inputs do not describe the same customers and products, a score is not a number, or a reason of the bank's
        own does not fit its columns.
    """
    return Decider(products, policy=policy, catalogue=catalogue, ids=ids).decide(scores, facts, features).plain()
