"""What a saved model says of itself: the facts of a model card, as plain values, and the findings they imply.

Headings follow Mitchell et al. (2019), Model Cards for Model Reporting, FAT*; `card_page` puts the facts under them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nextoffer.evaluate.curves import Shape
from nextoffer.evaluate.findings import Finding, gravest_first
from nextoffer.intervals import Interval

FEW_ACCEPTED = (50, 200)
"""Below so many acceptances in all: high, medium. A rate from k acceptances has a relative standard error of 1 / √k."""
FEW_OF_PRODUCT = 10
"""A product with fewer acceptances has a rate known to about a third at best."""
FEW_DAYS = 4
COVERED = 0.5
"""A collaborative signal that fewer customers have is a finding."""
PROTECTED = (
    *("age", "gender", "sex", "race", "ethnic", "colour", "color", "religion", "nationality", "citizen", "birth"),
    *("marital", "married", "children", "pregnan", "disab", "health", "orientation", "language"),
)
"""Parts of names of attributes that law protects in many places (ECOA and Regulation B; EU Charter, article 21)."""


@dataclass(frozen=True)
class ProductFacts:
    """One product as the model knows it.

    Attributes
    ----------
    product_id, name, product_type
        As in the bank's table of products; the name is empty where it was not noted.
    offers, accepted
        Labelled pairs learned from, in the bank's numbers; None where the model does not tell.
    propensity
        That of the average customer of the fit; None for a model without a scorecard.
    unseen
        The fit was shown no offer of it; None where that was not noted.
    """

    product_id: str
    name: str
    product_type: str
    offers: int | None = None
    accepted: int | None = None
    propensity: float | None = None
    unseen: bool | None = None

    @property
    def called(self) -> str:
        """Its name; without one its id and type."""
        return self.name or (f"{self.product_id} ({self.product_type})" if self.product_type else self.product_id)


@dataclass(frozen=True)
class FamilyFacts:
    """Features that come from the same place.

    Attributes
    ----------
    name, purpose
        Such as ``spend``, and what they may be used for.
    features, weighing
        How many there are, and how many of them the score looks at.
    importance
        Share of the mean absolute effect of all features.
    """

    name: str
    purpose: str
    features: int
    weighing: int
    importance: float


@dataclass(frozen=True)
class TermFacts:
    """One feature that the score looks at.

    Attributes
    ----------
    name, label, family
        The feature.
    importance
        Mean |log-odds| by which it moves a score away from the average customer's.
    product
        The product whose score it moves most, where there is a shape.
    shape
        How it moves that product's log-odds; None for a model without a scorecard.
    """

    name: str
    label: str
    family: str
    importance: float
    product: str = ""
    shape: Shape | None = None


@dataclass(frozen=True)
class Card:
    """All that a model card is made of.

    Attributes
    ----------
    bank, ranker, glass_box, model_id, policy_id, as_of, seed
        Who the model is. `as_of`: it learned from what was known before that day.
    version, read_by
        The NextOffer that fitted it, None where that was not noted; and the one that made this card.
    objective, top_n
        What its policy sorts offers by, and how many it makes.
    labels, first_day, last_day, days
        ``responses`` or ``adoptions``, and when they were; None where not noted.
    customers, customers_in_bank, pairs, accepted, refusals_share
        What was learned from.
    tables, closed
        The bank's tables; and columns kept out, with the reason. None where not noted.
    natural
        What was learned of the propensity without an offer, or ``not_learned``.
    products, families, terms
        Terms: the most important first.
    measured_terms
        Whether importances were measured on customers of the fit, or only from the scorecard's tables.
    method
        What the fit chose, in plain values.
    held_out
        Figures on customers whom the parts of the model were not fitted to.
    spread
        Of the standard deviation of log-odds over pairs: ``median`` and ``p90``; empty where not stated.
    policy
        The policy's rules in words, by section.
    files
        SHA-256 by file name.
    notes
        What was left out of the features.
    explores, consents_needed
        Whether the policy leaves something to chance, and whether it asks for marketing consent.
    missing
        What later versions keep with a model and this one lacks.
    offers_before
        Offers from this day on were too young to learn from; None where none was left out for that.
    """

    bank: str
    ranker: str
    glass_box: bool
    model_id: str
    policy_id: str
    as_of: str
    seed: int
    version: str | None
    read_by: str
    objective: str
    top_n: int
    labels: str
    first_day: str | None
    last_day: str | None
    days: int | None
    customers: int
    customers_in_bank: int
    pairs: int
    accepted: float | None
    refusals_share: float
    tables: tuple[str, ...] | None
    closed: Mapping[str, str] | None
    natural: Mapping[str, Any]
    products: tuple[ProductFacts, ...]
    families: tuple[FamilyFacts, ...]
    terms: tuple[TermFacts, ...]
    measured_terms: bool
    method: Mapping[str, Any]
    held_out: Mapping[str, Interval]
    spread: Mapping[str, float]
    policy: Mapping[str, tuple[str, ...]]
    files: Mapping[str, str]
    notes: tuple[str, ...] = ()
    explores: bool = False
    consents_needed: bool = True
    missing: tuple[str, ...] = field(default=())
    offers_before: str | None = None

    @property
    def product_names(self) -> Mapping[str, str]:
        """What each product is called, by its id."""
        return {p.product_id: p.called for p in self.products}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What follows from the facts, the gravest first."""
        return gravest_first([*_of_data(self), *_of_products(self), *_of_use(self), *_of_fairness(self)])

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {**asdict(self), "findings": [each.to_dict() for each in self.findings]}


def _of_data(card: Card) -> Iterator[Finding]:
    few, fewer = FEW_ACCEPTED[1], FEW_ACCEPTED[0]
    if card.accepted is not None and card.accepted < few:
        grave = card.accepted < fewer
        yield Finding(
            "high" if grave else "medium",
            "Training data",
            f"Learned from {card.accepted:,.0f} acceptances: rates are known to within about "
            f"{1 / max(card.accepted, 1) ** 0.5:.0%} of themselves at best.",
            f"fewer than {fewer} acceptances: high; fewer than {few}: medium",
        )
    if card.labels == "adoptions":
        yield Finding(
            "medium",
            "Training data",
            "Labels are products that customers took up by themselves, not answers to offers: a propensity is that of "
            "taking up, which an offer may change.",
            "labels are adoptions: medium",
        )
    if card.days is not None and card.days < FEW_DAYS and card.labels == "responses":
        yield Finding(
            "medium",
            "Training data",
            f"Offers were made on {card.days} day{'s' * (card.days != 1)} only: nothing is known of how answers change "
            "over time.",
            f"offers on fewer than {FEW_DAYS} days: medium",
        )
    for signal, share in card.method.get("collaborative_coverage_scoring", {}).items():
        if share < COVERED:
            yield Finding(
                "low",
                "Factors",
                f"The signal {signal} is known of {share:.0%} of customers only.",
                f"a collaborative signal known of less than {COVERED:.0%}: low",
            )


def _of_products(card: Card) -> Iterator[Finding]:
    unseen = [p.called for p in card.products if p.unseen]
    if unseen:
        yield Finding(
            "medium",
            "Training data",
            f"No offer of {_listed(unseen)} was seen: their propensities are {_lent(card)}.",
            "a product without any offer in training: medium",
        )
    thin = [p.called for p in card.products if not p.unseen and (p.accepted or 0) < FEW_OF_PRODUCT]
    if thin and any(p.accepted is not None for p in card.products):
        yield Finding(
            "low" if 2 * len(thin) < len(card.products) else "medium",
            "Training data",
            f"{len(thin)} of {len(card.products)} products have fewer than {FEW_OF_PRODUCT} acceptances: "
            f"{_listed(thin)}. Their levels lean on the others'.",
            f"fewer than {FEW_OF_PRODUCT} acceptances of a product: low; of half of the products or more: medium",
        )


def _lent(card: Card) -> str:
    if card.glass_box:
        return "borrowed from other products, first from those of the same type"
    return "what the answers to other products say"


def _of_use(card: Card) -> Iterator[Finding]:
    why = card.natural.get("not_learned")
    if why is not None:
        wanted = card.objective == "incremental_value"
        yield Finding(
            "high" if wanted else "low",
            "Intended use",
            f"The propensity without an offer is not known ({why}): scores say who accepts, not whom an offer changes"
            + ("; the policy asks for incremental_value, and value is used instead." if wanted else "."),
            "no uplift learned: low; high where the policy's objective is incremental_value",
        )
    if not card.glass_box:
        yield Finding(
            "medium",
            "Model details",
            f"{card.ranker} is no glass box: its reasons are attributions of trees, not parts of an additive score.",
            "not an additive scorecard: medium",
        )
    if not card.explores:
        yield Finding(
            "low",
            "Intended use",
            "The policy leaves nothing to chance: what other offers would have brought cannot be judged later from the "
            "answers to these.",
            "neither exploration nor control arms in the policy: low",
        )
    if card.tables is not None and "consents" not in card.tables and card.consents_needed:
        yield Finding(
            "medium",
            "Ethical considerations",
            "The bank kept no consents on the day of the fit: the consent rule of the policy stops nobody.",
            "the policy asks for consent and there is no table of consents: medium",
        )
    if card.missing:
        yield Finding(
            "low",
            "Model details",
            f"The model was saved before these were kept: {', '.join(card.missing)}. Fit it anew to have them.",
            "something a card tells is missing from the files: low",
        )


def _of_fairness(card: Card) -> Iterator[Finding]:
    if card.closed is not None and not any("sensitive" in why for why in card.closed.values()):
        yield Finding(
            "medium",
            "Ethical considerations",
            "bank.toml names no sensitive column: nothing could be kept out, and fairness cannot be measured.",
            "no sensitive column is named: medium",
        )
    used = [t.label for t in card.terms if t.importance > 0 and _protected(t.name)]
    if used:
        yield Finding(
            "medium",
            "Ethical considerations",
            f"Attributes that law protects in many places carry weight: {_listed(used)}. Whether they may be used here "
            "is for the bank's lawyers to say; sensitive in bank.toml keeps a column out.",
            "a feature with weight that is named like a protected attribute: medium",
        )


def _protected(name: str) -> bool:
    words = name.lower().removeprefix("pair.").split("_")
    return any(word.startswith(part) if len(part) > 3 else word == part for part in PROTECTED for word in words)


def _listed(names: list[str], most: int = 8) -> str:
    """Names in a row, the first few of many.

    >>> _listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    if len(names) <= most:
        return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
    return f"{', '.join(names[:most])} and {len(names) - most} more"
