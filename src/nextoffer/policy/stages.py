"""The rules in the order of their stages, and which pairs each of them stops by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.special import expit

from nextoffer.policy.batch import Batch
from nextoffer.policy.file import Policy
from nextoffer.policy.logic import Mask
from nextoffer.policy.offering import Offering
from nextoffer.tables.flow import Floats

CONSENT = "consent.marketing"
INACTIVE = "eligibility.inactive"
HELD = "eligibility.held"
MIN_INCOME = "eligibility.min_income"
CUTOFF = "arbitration.cutoff"
WEEKLY_CAP = "contact.weekly_cap"
TOP_N = "arbitration.top_n"

_NONE = np.zeros((1, 1), dtype=np.bool_)

RULES = (CONSENT, INACTIVE, HELD, MIN_INCOME, CUTOFF, WEEKLY_CAP, TOP_N)
"""In the order in which they are blamed. The last two depend on the ranks, and so on all the others: the cap is named
only where a higher cap would have let the offer through."""


def stage_of(rule: str) -> str:
    """Return the stage of a rule.

    >>> stage_of("eligibility.held")
    'eligibility'
    """
    return rule.partition(".")[0]


def stops(rule: str, batch: Batch, policy: Policy) -> Mask:
    """Return which pairs a rule stops by itself, as bool that broadcasts to (n, P)."""
    return _STOPS[rule](batch, policy)


def least_income(batch: Batch, policy: Policy) -> Floats:
    """Return the income each product asks for, float64 (P,): 0 where it asks for none."""
    return _least_income(batch.offering, policy.eligibility.min_income_factor)


@lru_cache(maxsize=16)
def _least_income(offering: Offering, factor: float) -> Floats:
    # 0.8 × 6.0 comes out above 4.8, and must not stop 4.8
    return np.asarray(np.nan_to_num(factor * offering.column("min_income") * (1 - 1e-12), nan=0.0), dtype=np.float64)


def income(batch: Batch) -> Floats:
    """Return the customers' income, float64 (n,): NaN where it is not known."""
    known = "income" in batch.features.names
    return batch.customer_column("income") if known else np.full(batch.shape[0], np.nan)


def closed_by(batch: Batch, policy: Policy) -> Mask:
    """Return bool (P, P): holding product i closes product j, being the same, or of the same family and no upgrade."""
    return _closed_by(batch.offering, policy.eligibility.upgrades)


@lru_cache(maxsize=16)
def _closed_by(offering: Offering, upgrades: bool) -> Mask:
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
    return [(i, j) for i, j in np.argwhere(_closed_by(offering, upgrades)).tolist() if i != j]


def _no_consent(batch: Batch, policy: Policy) -> Mask:
    consent = batch.facts.consent
    if consent is None or not policy.consent.marketing:
        return _NONE
    return ~consent[:, None]


def _inactive(batch: Batch, policy: Policy) -> Mask:
    return np.asarray((batch.product_column("active") == 0) & policy.eligibility.active_only)[None, :]


def _held(batch: Batch, policy: Policy) -> Mask:
    held = batch.facts.held
    stopped = held.copy()
    for i, j in _closing(batch.offering, policy.eligibility.upgrades):
        stopped[:, j] |= held[:, i]
    return stopped


def _min_income(batch: Batch, policy: Policy) -> Mask:
    least = least_income(batch, policy)
    has = income(batch)
    # not known is never enough, but anything is enough where nothing is asked
    return np.where(np.isnan(has), -np.inf, has)[:, None] < np.where(least > 0, least, -np.inf)


def _cutoff(batch: Batch, policy: Policy) -> Mask:
    least = least_log_odds(policy.arbitration.cutoff)
    return _NONE if least == -np.inf else np.asarray(batch.scores.log_odds < least)


@lru_cache(maxsize=64)
def least_log_odds(propensity: float) -> np.float32:
    """Return the least float32 log-odds whose propensity is not below this one; infinite where there is none.

    >>> float(least_log_odds(0.0)), float(least_log_odds(0.5)) <= 0.0
    (-inf, True)
    """
    if expit(-np.inf) >= propensity:
        return np.float32(-np.inf)
    low, high = _place(np.float32(-np.inf)), _place(np.float32(np.inf))  # too little, and enough: expit(inf) is 1
    while high - low > 1:
        middle = (low + high) // 2
        if expit(np.float64(_at(middle))) >= propensity:
            high = middle
        else:
            low = middle
    return _at(high)


def _place(value: np.float32) -> int:
    """Return the place of a float32 among all of them, by size."""
    bits = int(value.view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def _at(place: int) -> np.float32:
    bits = np.int32(place) if place >= 0 else np.int32(-place - 2**31)
    return np.float32(bits.view(np.float32))


_STOPS: dict[str, Callable[[Batch, Policy], Mask]] = {
    CONSENT: _no_consent,
    INACTIVE: _inactive,
    HELD: _held,
    MIN_INCOME: _min_income,
    CUTOFF: _cutoff,
}

PAIR_RULES = tuple(_STOPS)
"""The rules that stop a pair whatever its rank."""
