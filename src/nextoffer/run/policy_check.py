"""Checks a policy against a bank: whether its rules fit the columns, and what each of them does to the customers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np

from nextoffer.features import FeatureSpec, discover, stream_known
from nextoffer.models.plain import PlainScores
from nextoffer.models.products import Products
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.effect import Effects, PolicyEffect
from nextoffer.policy.file import Policy
from nextoffer.policy.offering import Offering
from nextoffer.run.engine import CHUNK, Engine
from nextoffer.run.namable import closed_columns, kinds_of
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Known, Scores

Progress = Callable[[int], None]


def check_policy(
    policy: Policy,
    bank: Bank,
    *,
    as_of: date,
    model: Engine | None = None,
    progress: Progress = lambda _: None,
) -> PolicyEffect:
    """Return what a policy's rules do to every customer of a bank, once they are known to fit its columns.

    Parameters
    ----------
    as_of
        The day that customers are looked at.
    model
        Whose features and pair features rules may name. Without one they may name the bank's features, and rules that
        name a pair feature are left out.
    progress
        Called with the number of customers just done.

    Raises
    ------
    PolicyError
        A rule or weight does not fit the columns or products; all problems are named, before a customer is read.
    """
    products = bank.table("products")
    offering = Offering(products)
    spec = discover(bank, as_of) if model is None else model.spec
    ranker = None if model is None else model.ranker
    kinds = {**offering.kinds, **kinds_of(spec, policy.reads, ranker=ranker, products=products)}
    if model is None:  # then nobody knows which pair features there are, only that they are numbers
        kinds |= {name: "number" for name in policy.reads if name.startswith("pair.")}
    book = Book(policy)
    book.check(kinds, offering, closed_columns(bank.config))
    effects = Effects(book, pairs=model is not None)
    for known in _stream(policy, bank, spec, model, as_of):
        effects.add(Batch.over(offering, _scores(known, model, Products.of(products)), known.facts, known.features))
        progress(len(known.features))
    return effects.found()


def _stream(policy: Policy, bank: Bank, spec: FeatureSpec, model: Engine | None, as_of: date) -> Iterator[Known]:
    """Yield what is known of all customers: what the policy names, and with a model what it scores by."""
    if model is not None:
        return model.with_policy(policy).stream(bank, as_of=as_of)
    named = spec.only({column.name for column in spec.columns} & policy.reads)
    ids = bank.table("products").column("product_id")
    return stream_known(named, bank, as_of, products=ids, asked=policy.asked, chunk=CHUNK)


def _scores(known: Known, model: Engine | None, products: Products) -> Scores:
    """Return the model's scores, which pair features come with; without one, nothing but their shape."""
    if model is not None:
        return model.ranker.score(known.features, products)
    return PlainScores(np.zeros(known.facts.held.shape, dtype=np.float32), "none")
