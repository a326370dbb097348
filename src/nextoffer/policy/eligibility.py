"""Consent and eligibility: what the customer allows, what is sold, held, and asked for."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from nextoffer.policy.batch import Batch
from nextoffer.policy.logic import Mask
from nextoffer.policy.offering import Offering
from nextoffer.policy.rule import NONE, Case, Rule
from nextoffer.policy.section import Section
from nextoffer.policy.wording import number
from nextoffer.tables.flow import Floats

CONSENT = "consent.marketing"
INACTIVE = "eligibility.inactive"
HELD = "eligibility.held"
MIN_INCOME = "eligibility.min_income"


class Consent(Section):
    """What the customer must have agreed to, and what it means where nothing was recorded."""

    marketing: bool = True
    absent: Literal["refuse", "allow"] = "refuse"


class Eligibility(Section):
    """Who may have which product at all."""

    active_only: bool = True
    upgrades: bool = False
    min_income_factor: Annotated[float, Field(ge=0)] = 0.8


def consent_rules(consent: Consent) -> tuple[Rule, ...]:
    """Return the rules on what the customer allows."""
    return (Rule(CONSENT, partial(_no_consent, consent.marketing), _consent_line),)


def eligibility_rules(eligibility: Eligibility) -> tuple[Rule, ...]:
    """Return the rules on what may be sold to whom."""
    factor, upgrades = eligibility.min_income_factor, eligibility.upgrades
    return (
        Rule(INACTIVE, partial(_inactive, eligibility.active_only), _inactive_line),
        Rule(HELD, partial(_held, upgrades), partial(_held_line, upgrades)),
        Rule(MIN_INCOME, partial(_min_income, factor), partial(_min_income_line, factor)),
    )


@lru_cache(maxsize=16)
def least_income(offering: Offering, factor: float) -> Floats:
    """Return the income each product asks for, float64 (P,): 0 where it asks for none."""
    # 0.8 × 6.0 comes out above 4.8, and must not stop 4.8
    return np.asarray(np.nan_to_num(factor * offering.column("min_income") * (1 - 1e-12), nan=0.0), dtype=np.float64)


@lru_cache(maxsize=16)
def closed_by(offering: Offering, upgrades: bool) -> Mask:
    """Return bool (P, P): holding product i closes product j, being the same, or of the same family and no upgrade."""
    closed = np.eye(len(offering), dtype=np.bool_)
    if "family" in offering.table.column_names:
        family, tier = offering.column("family"), offering.column("tier")
        related = (family[:, None] == family[None, :]) & (family != np.array(None, dtype=object))
        higher = tier[None, :] > tier[:, None]  # an unknown tier is never higher
        closed |= related & ~(higher & upgrades)
    return closed


@lru_cache(maxsize=16)
def _closing(offering: Offering, upgrades: bool) -> list[tuple[int, int]]:
    """Return each product that closes another, and the other."""
    return [(i, j) for i, j in np.argwhere(closed_by(offering, upgrades)).tolist() if i != j]


def _income(batch: Batch) -> Floats:
    """Return the customers' income, float64 (n,): NaN where it is not known."""
    known = "income" in batch.features.names
    return batch.customer_column("income") if known else np.full(batch.shape[0], np.nan)


def _no_consent(asked: bool, batch: Batch) -> Mask:
    consent = batch.facts.consent
    return NONE if consent is None or not asked else ~consent[:, None]


def _inactive(active_only: bool, batch: Batch) -> Mask:
    return np.asarray((batch.product_column("active") == 0) & active_only)[None, :]


def _held(upgrades: bool, batch: Batch) -> Mask:
    held = batch.facts.held
    stopped = held.copy()
    for i, j in _closing(batch.offering, upgrades):
        stopped[:, j] |= held[:, i]
    return stopped


def _min_income(factor: float, batch: Batch) -> Mask:
    least, has = least_income(batch.offering, factor), _income(batch)
    # not known is never enough, but anything is enough where nothing is asked
    return np.where(np.isnan(has), -np.inf, has)[:, None] < np.where(least > 0, least, -np.inf)


def _consent_line(_: Case) -> str:
    return "no marketing consent: the customer would have to give it"


def _inactive_line(case: Case) -> str:
    return f"{case.product} is not sold at present: it would have to be made active"


def _held_line(upgrades: bool, case: Case) -> str:
    batch = case.batch
    held = batch.facts.held[case.row]
    if held[case.col]:
        return f"the customer already holds {case.product}"
    closing = np.flatnonzero(held & closed_by(batch.offering, upgrades)[:, case.col])
    names = " and ".join(batch.product_names[i] for i in closing)
    family = batch.product_column("family")[case.col]
    found = f"the customer already holds {names} of the same family '{family}'"
    if not upgrades:
        return f"{found}: the policy would have to allow upgrades"
    tier = batch.product_column("tier")
    above, this = _tier(tier[closing].max()), _tier(tier[case.col])
    return f"{found}: only a tier above {above} may follow, and this has {this}"


def _min_income_line(factor: float, case: Case) -> str:
    least = least_income(case.batch.offering, factor)[case.col]
    has = _income(case.batch)[case.row]
    needed = f"{number(factor)} × {number(case.batch.product_column('min_income')[case.col])} = {number(least)}"
    if np.isnan(has):
        return f"income is not known, and {needed} is needed: it would have to be recorded"
    return f"income {number(has)} < {needed}: would need {number(least - has)} more"


def _tier(tier: float) -> str:
    return "an unknown one" if np.isnan(tier) else number(tier)
