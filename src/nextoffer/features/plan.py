"""What one query computes: the features of a spec and, beside them, what the rules need to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from nextoffer.features.rows import SOURCES, Scope
from nextoffer.features.spec import Aggregate, FeatureSpec, Key, Readable, Source, covers

MARKETING = "marketing"
PROFILING = "profiling"


@dataclass(frozen=True)
class Facts:
    """What the rules need to know of each customer, as aggregates like those of features.

    Attributes
    ----------
    products
        The products asked about: P ids in the bank's type.
    contact_window_days
        Offers made on the days from ``as_of - contact_window_days + 1`` to the day before ``as_of`` are counted.
    there
        The bank's columns by table, also those that features may not read: rules look at them all.
    """

    products: tuple[Key, ...]
    contact_window_days: int
    there: Readable

    def __hash__(self) -> int:
        return hash((self.products, self.contact_window_days, *sorted(self.there)))

    @property
    def held(self) -> tuple[Aggregate, ...] | None:
        """How often the customer holds each product now; None where no holdings are kept."""
        if not covers(self.there, "holdings"):
            return None
        return tuple(Aggregate("holdings", "sum", "held_now", where=("product_id", p)) for p in self.products)

    @property
    def contacts(self) -> Aggregate | None:
        """Offers made within the window; None where no offers are kept."""
        if not covers(self.there, "responses"):
            return None
        return Aggregate("responses", "sum", "contacted", days=self.contact_window_days - 1)

    @property
    def knows_consent(self) -> bool:
        """Whether the bank keeps consents."""
        return covers(self.there, "consents")


def last_words(purpose: str) -> tuple[Aggregate, Aggregate]:
    """Return how many days ago a customer last allowed and last refused a purpose."""
    words = ("granted_ago", "refused_ago")
    granted, refused = (Aggregate("consents", "min", word, where=("purpose", purpose)) for word in words)
    return granted, refused


@dataclass(frozen=True)
class Plan:
    """What one query computes, one row per customer.

    Attributes
    ----------
    spec
        The features.
    facts
        What the rules need to know, after the features; None for features alone.
    profiling
        Null the profiling features of customers who have not consented to ``profiling``.
    """

    spec: FeatureSpec
    facts: Facts | None = None
    profiling: bool = False

    @cached_property
    def aggregates(self) -> Mapping[Source, tuple[Aggregate, ...]]:
        """The distinct aggregates over each kind of rows, in the order of first use; kinds without any are left out."""
        wanted = dict.fromkeys((*(a for s in SOURCES for a in self.spec.aggregates(s)), *self._hidden()))
        by_source = {s: tuple(a for a in wanted if a.rows == s) for s in SOURCES}
        return {source: found for source, found in by_source.items() if found}

    def _hidden(self) -> Iterator[Aggregate]:
        if self.profiling:
            yield from last_words(PROFILING)
        if self.facts is None:
            return
        yield from self.facts.held or ()
        if self.facts.contacts is not None:
            yield self.facts.contacts
        if self.facts.knows_consent:
            yield from last_words(MARKETING)

    def scope(self, source: Source, *, subset: bool = False) -> Scope:
        """Return what the rows of one kind are needed for."""
        aggregates = self.aggregates[source]
        used = {a.column for a in aggregates} | {a.where[0] for a in aggregates if a.where}
        used |= {"days_ago" for a in aggregates if a.days is not None}
        there: Readable = {} if self.facts is None else self.facts.there
        return Scope(self.spec.readable, frozenset(used), subset=subset, there=there)
