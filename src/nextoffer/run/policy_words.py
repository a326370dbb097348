"""A policy's rules in plain words, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nextoffer.policy.file import Policy
from nextoffer.policy.rules import STAGES

_OBJECTIVES = {
    "propensity": "the propensity",
    "value": "the value: propensity × what an acceptance earns − what the offer costs",
    "incremental_value": "the incremental value: what an offer earns more than no offer would",
}


def policy_in_words(policy: Policy) -> Mapping[str, tuple[str, ...]]:
    """Return the rules of each stage, in the order in which they are asked.

    >>> policy_in_words(Policy())["consent"]
    ('Only customers whose latest marketing consent is granted; where nothing was recorded, none.',)
    """
    told: dict[str, tuple[str, ...]] = {
        "consent": tuple(_consent(policy)),
        **{stage: tuple(_own(policy, stage)) for stage in STAGES},
        "contact": tuple(_contact(policy)),
        "arbitration": tuple(_arbitration(policy)),
        "exploration": tuple(_exploration(policy)),
        "reasons": (
            f"At most {policy.reasons.max} reasons an offer, each true of the customer and worth at least "
            f"{policy.reasons.min_share:.0%} of what speaks for it.",
        ),
    }
    return {stage: rules for stage, rules in told.items() if rules}


def _consent(policy: Policy) -> Iterator[str]:
    if not policy.consent.marketing:
        yield "Marketing consent is not asked for."
        return
    absent = "none" if policy.consent.absent == "refuse" else "they may be offered something"
    yield f"Only customers whose latest marketing consent is granted; where nothing was recorded, {absent}."


def _own(policy: Policy, stage: str) -> Iterator[str]:
    if stage == "eligibility":
        rules = policy.eligibility
        if rules.active_only:
            yield "Only products that are active."
        yield "No product that the customer holds, nor another of its family" + (
            ", but a higher tier of it." if rules.upgrades else "."
        )
        if rules.min_income_factor:
            yield f"Income of at least {rules.min_income_factor:g} × the product's minimum; unknown income never is."
    for rule in policy.rule:
        if rule.stage == stage and rule.enabled:
            where = f" where {rule.where}" if rule.where else ""
            silent = "; silent where the bank lacks such a column" if rule.optional else ""
            yield f"{rule.text} (needs {rule.require}{where}{silent})."


def _contact(policy: Policy) -> Iterator[str]:
    contact = policy.contact
    yield f"At most {contact.cap} offers to a customer in any {contact.window_days} days, earlier ones included."
    for limit in contact.limit:
        over = f" over {limit.channel}" if limit.channel else ""
        yield f"At most {limit.max} offers{over} in any {limit.days} days to one {limit.per}."
    what = {"product": "the product", "family": "its family", "all": "everything"}
    pauses = (
        (contact.cool_down, "after an offer"),
        (contact.after_ignores, f"after {contact.after_ignores.count} offers without an answer"),
        (contact.after_reject, "after a no"),
    )
    for pause, when in pauses:
        if pause.days:
            yield f"For {pause.days} days {when}, {what[pause.scope]} rests."
    if contact.channels:
        yield f"Where the preferred channel is closed, these are tried in turn: {', '.join(contact.channels)}."
    if contact.quiet:
        yield f"{len(contact.quiet)} quiet times of channels."


def _arbitration(policy: Policy) -> Iterator[str]:
    rules = policy.arbitration
    yield f"Sorted by {_OBJECTIVES[rules.objective]}; at most {rules.top_n} offers a customer."
    if rules.cutoff:
        yield f"Only offers with a propensity of at least {rules.cutoff:.2%}."
    if rules.least_value is not None:
        yield f"Only offers whose expected value is at least {rules.least_value:g}."
    for context in rules.context:
        yield f"Weight {context.weight:g} where {context.when}."
    for lever in rules.lever:
        yield f"Weight {lever.weight:g} on {', '.join((*lever.product_type, *lever.product))}."


def _exploration(policy: Policy) -> Iterator[str]:
    if policy.exploration.method != "none":
        of = f" (share {policy.exploration.epsilon:g})" if policy.exploration.method == "epsilon" else ""
        yield f"The first {policy.exploration.slots} ranks are explored by {policy.exploration.method}{of}."
    for arm in policy.arm:
        yield f"{arm.share:.1%} of customers are in the arm {arm.name}."
