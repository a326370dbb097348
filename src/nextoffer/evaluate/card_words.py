"""The sentences of a model card, each out of a fact."""

from __future__ import annotations

from collections.abc import Iterator

from nextoffer.evaluate.card import Card
from nextoffer.evaluate.wording import count, percent

_SORTED = {
    "propensity": "the propensity: how likely the customer is to accept",
    "value": "value: what an offer earns on average",
    "incremental_value": "incremental value: what an offer earns more than no offer would",
}


def about_method(card: Card) -> Iterator[str]:
    """Yield what the model is and how it came about, in paragraphs."""
    method = card.method
    if card.ranker == "glassbox":
        yield (
            "An additive model of customer, product and pair features, compiled into a scorecard: the log-odds of a "
            "pair are a sum of table look-ups, so every part of a score is exact. It has two layers: a response "
            "affinity (a low-rank linear model of who says yes to what; its rank is chosen on held-out customers) and "
            "an Explainable Boosting Machine on top of it. Each part gets a weight of at least 0 that is learned on "
            "customers whom it was not fitted to; noise gets 0. These weights also calibrate the propensities."
        )
    elif card.ranker == "choice":
        yield (
            "An additive conditional logit over the products that compete for one customer, compiled into a "
            "scorecard: the log-odds are a sum of table look-ups, so every part of a score is exact. Its propensities "
            "are right on average, not customer by customer: it is made to rank."
        )
    else:
        yield (
            "Boosted trees on the same features. Reasons come from TreeSHAP. It is the challenger: where it does no "
            "better than the glass box, the glass box is to be preferred."
        )
    if "affinity_rank" in method:
        kept, boosted = method.get("terms_kept", {}), method.get("terms_boosted", 0)
        told = ", ".join(f"{name} ({weight:g})" for name, weight in list(kept.items())[:8])
        more = f" and {len(kept) - 8} more" if len(kept) > 8 else ""
        tried = ", ".join(f"{r}: {v:,.1f}" for r, v in method.get("held_out_log_likelihood_by_rank", {}).items())
        yield (
            f"Chosen by this fit: a response affinity of rank {method['affinity_rank']} with weight "
            f"{method.get('affinity_multiplier', 0):g} (held-out log-likelihood by rank {tried}); {len(kept)} of "
            f"{boosted} boosted terms kept weight" + (f": {told}{more}." if kept else ".")
        )
    elif "ridge" in method:
        yield (
            f"Chosen by this fit: ridge {method['ridge']:g} on {method.get('indicators', 0):,} indicators, from "
            f"{method.get('choice_sets', 0):,} choice sets."
        )
    elif "rounds" in method:
        yield f"Chosen by this fit: {method['rounds']} rounds of boosting."


def about_data(card: Card) -> Iterator[str]:
    """Yield what the model learned from, in paragraphs."""
    outcome = (
        "An answer counts as accepted where the response's label is 1 and, if it is dated, was given before the day of "
        "the fit. Offers held back for a control arm are left out."
        if card.labels == "responses"
        else "A pair counts as accepted where the customer opened the product within 30 days from the start of a "
        "window; pairs of products already held are left out."
    )
    sampled = (
        f"a keyed sample of {count(card.customers)} of the bank's {count(card.customers_in_bank)} customers"
        if card.customers < card.customers_in_bank
        else f"all {count(card.customers)} customers of the bank"
    )
    when = f", from {card.first_day} to {card.last_day} ({count(card.days or 0)} days)" if card.first_day else ""
    yes = ""
    if card.accepted is not None and card.pairs:
        whole = card.accepted + (card.pairs - card.accepted) / card.refusals_share
        yes = f", {count(card.accepted)} of them accepted ({percent(card.accepted / whole)})"
    yield f"{count(card.pairs)} labelled pairs of {sampled}{when}{yes}. {outcome}"
    if card.offers_before is not None:
        yield (
            f"Offers from {card.offers_before} on were left out: they were too young, as many who will accept them had "
            "not yet answered."
        )
    if card.refusals_share < 1:
        yield (
            f"Of the pairs not accepted {percent(card.refusals_share)} were kept, by key, each weighing "
            f"{1 / card.refusals_share:.1f} pairs, so that rates stay unbiased."
        )
    yield (
        "Each pair meets the customer as known when the day of its offer began; nothing dated on or after the day of "
        "the fit is used."
    )
    if card.tables:
        yield f"Tables of the bank: {', '.join(card.tables)}."


def intended(card: Card) -> Iterator[str]:
    """Yield what the model is for."""
    names = ", ".join(p.called for p in card.products[:24])
    more = f" and {len(card.products) - 24} more" if len(card.products) > 24 else ""
    yield f"For: choosing and ordering offers of {names}{more} to customers of {card.bank or 'the bank'}."
    yield f"For: at most {card.top_n} offers a customer, sorted by {_SORTED.get(card.objective, card.objective)}."
    if "not_learned" not in card.natural:
        uplift = card.natural.get("average_uplift", {})
        if uplift:
            yield (
                "For: incremental value too. What customers do without an offer was learned from "
                f"{count(card.natural.get('pairs', 0))} offers held back; an offer adds "
                f"{percent(uplift['estimate'])} on average ({percent(uplift['low'])} to {percent(uplift['high'])})."
            )
    yield (
        "For: propensities that can be multiplied by money."
        if card.ranker != "choice"
        else "For: order. Its propensities are right on average only: not to be multiplied by money for one customer."
    )


def avoided(card: Card) -> Iterator[str]:
    """Yield what the model is not for, and what it refuses."""
    if "not_learned" in card.natural:
        yield (
            "Not for: saying whom an offer changes. What customers do without one was not learned "
            f"({card.natural['not_learned']}); the objective incremental_value falls back to value, and says so."
        )
    yield (
        "Not for: credit decisions, prices, limits or anything a customer is denied for. A low score means that other "
        "offers come first."
    )
    yield "Not for: customers of another bank, or products unlike these."
    if card.ranker == "lightgbm":
        yield "Refuses: products that it was not fitted on."
    else:
        yield (
            "A product that is new, or that had no offers, borrows from the others, first from those of its type; how "
            "unlike products are counts into how sure it is."
        )
    yield "Refuses: unknown customers, columns it was fitted with that are gone, and files that were changed."
