"""What one query computes: the features of a spec and, beside them, what the rules need to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from nextoffer.features.consent import asked_words, preferred_words, words
from nextoffer.features.households import asked_of_households
from nextoffer.features.rows import SOURCES, Scope
from nextoffer.features.spec import Aggregate, FeatureSpec, Function, Key, Readable, Source, covers
from nextoffer.tables.flow import Asked

PROFILING = "profiling"


@dataclass(frozen=True)
class Facts:
    """What the rules need to know of each customer, as aggregates like those of features.

    Attributes
    ----------
    products
        The products asked about: P ids in the bank's type.
    asked
        What the policy asks beside.
    there
        The bank's columns by table, also those that features may not read: rules look at them all.
    collated
        Ids are texts and the engine has other orders of texts than by code points.
    """

    products: tuple[Key, ...]
    asked: Asked
    there: Readable
    collated: bool = False

    def __hash__(self) -> int:
        return hash((self.products, self.asked, self.collated, *sorted(self.there)))

    @property
    def held(self) -> tuple[Aggregate, ...] | None:
        """How often the customer holds each product now; None where no holdings are kept."""
        return self._per_product("holdings", "sum", "held_now")

    @property
    def contacts(self) -> tuple[Aggregate, ...] | None:
        """Offers made to the customer within each window; None where no offers are kept."""
        if not covers(self.there, "responses"):
            return None
        over = [None if w.channel is None else ("channel", w.channel) for w in self.asked.windows]
        days = [window.days - 1 for window in self.asked.windows]
        return tuple(Aggregate("responses", "sum", "contacted", d, w) for d, w in zip(days, over, strict=True))

    @property
    def since_offer(self) -> tuple[Aggregate, ...] | None:
        """Days since each product was last offered; None where not asked or no offers are kept."""
        return self._per_product("responses", "min", "contacted_ago") if self.asked.offers_days else None

    @property
    def ignored(self) -> tuple[Aggregate, ...] | None:
        """Offers of each product left without an answer; None as above."""
        days = self.asked.ignored_days
        return self._per_product("responses", "sum", "ignored", days - 1) if days else None

    @property
    def since_reject(self) -> tuple[Aggregate, ...] | None:
        """Days since the customer said no to each product; None as above."""
        return self._per_product("responses", "min", "rejected_ago") if self.asked.rejected_days else None

    @property
    def knows_consent(self) -> bool:
        """Whether consents are asked about and kept."""
        return self.asked.consents and covers(self.there, "consents")

    @property
    def consents_by_channel(self) -> bool:
        """Whether a consent may be about one channel."""
        return covers(self.there, "consents", "channel")

    @property
    def consent_words(self) -> tuple[Aggregate, ...]:
        """What was said of marketing, where consents are kept."""
        preferred = covers(self.there, "customers", "channel_pref")
        by_channel = self.consents_by_channel
        return tuple(asked_words(self.asked.channels, by_channel=by_channel, preferred=preferred))

    def words_over(self, channel: str | None) -> tuple[Aggregate, Aggregate] | None:
        """Return what was said of one channel alone, None for the preferred; None where nothing can be."""
        if channel is not None:
            return words(channel) if self.consents_by_channel else None
        found = preferred_words()
        return found if found[0] in self.consent_words else None

    @property
    def of_households(self) -> bool:
        """Whether households are looked at."""
        return asked_of_households(self.asked, self.there)

    @property
    def of_members(self) -> Facts:
        """What has to be known of the other members of a household: whether they allow marketing."""
        customers = self.there["customers"] - {"channel_pref"}
        asked = Asked(without_record=self.asked.without_record)
        return Facts((), asked, {**self.there, "customers": customers})

    def aggregates(self) -> Iterator[Aggregate]:
        """Yield all that is aggregated."""
        for found in (self.held, self.contacts, self.since_offer, self.ignored, self.since_reject):
            yield from found or ()
        if self.knows_consent:
            yield from self.consent_words

    def _per_product(
        self, rows: Source, function: Function, column: str, days: int | None = None
    ) -> tuple[Aggregate, ...] | None:
        if not covers(self.there, rows):
            return None
        return tuple(Aggregate(rows, function, column, days, ("product_id", p)) for p in self.products)


def last_words(purpose: str) -> tuple[Aggregate, Aggregate]:
    """Return how many days ago a customer last allowed and last refused a purpose."""
    said = ("granted_ago", "refused_ago")
    granted, refused = (Aggregate("consents", "min", word, where=("purpose", purpose)) for word in said)
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
        if self.facts is not None:
            yield from self.facts.aggregates()

    def scope(self, source: Source, *, subset: bool = False) -> Scope:
        """Return what the rows of one kind are needed for."""
        aggregates = self.aggregates[source]
        used = {a.column for a in aggregates} | {a.where[0] for a in aggregates if a.where}
        used |= {"days_ago" for a in aggregates if a.days is not None}
        there: Readable = {} if self.facts is None else self.facts.there
        return Scope(self.spec.readable, frozenset(used), subset=subset, there=there)
