"""The rules in the order of their stages, and which pairs each of them stops by itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nextoffer.policy.batch import Batch
from nextoffer.policy.file import Policy
from nextoffer.policy.logic import Mask
from nextoffer.tables.flow import Floats

CONSENT = "consent.marketing"
INACTIVE = "eligibility.inactive"
HELD = "eligibility.held"
MIN_INCOME = "eligibility.min_income"
CUTOFF = "arbitration.cutoff"
WEEKLY_CAP = "contact.weekly_cap"
TOP_N = "arbitration.top_n"

RULES = (CONSENT, INACTIVE, HELD, MIN_INCOME, CUTOFF, WEEKLY_CAP, TOP_N)
"""In the order in which they are blamed. The last two depend on the ranks, and so on all the others: the cap is named
only where a higher cap would have let the offer through."""


def stage_of(rule: str) -> str:
    """Return the stage of a rule.

    >>> stage_of("eligibility.held")
    'eligibility'
    """
    return rule.partition(".")[0]


def stops(rule: str, batch: Batch, policy: Policy, propensity: Floats) -> Mask:
    """Return which pairs a rule stops by itself, as bool that broadcasts to (n, P). `propensity` is float64 (n, P)."""
    return _STOPS[rule](batch, policy, propensity)


def least_income(batch: Batch, policy: Policy) -> Floats:
    """Return the income each product asks for, float64 (P,): 0 where it asks for none."""
    least = policy.eligibility.min_income_factor * batch.product_column("min_income")
    return np.nan_to_num(least * (1 - 1e-12), nan=0.0)  # 0.8 × 6.0 comes out above 4.8, and must not stop 4.8


def income(batch: Batch) -> Floats:
    """Return the customers' income, float64 (n,): NaN where it is not known."""
    known = any(column.name == "income" for column in batch.features.columns)
    return batch.customer_column("income") if known else np.full(batch.shape[0], np.nan)


def closed_by(batch: Batch, policy: Policy) -> Mask:
    """Return bool (P, P): holding product i closes product j, being the same, or of the same family and no upgrade."""
    count = batch.shape[1]
    closed = np.eye(count, dtype=np.bool_)
    if "family" in batch.products.column_names:
        family = batch.product_column("family")
        related = (family[:, None] == family[None, :]) & (family != np.array(None, dtype=object))
        tier = batch.product_column("tier")
        higher = tier[None, :] > tier[:, None]  # an unknown tier is never higher
        closed |= related & ~(higher & policy.eligibility.upgrades)
    return closed


def _no_consent(batch: Batch, policy: Policy, _: Floats) -> Mask:
    consent = batch.facts.consent
    if consent is None or not policy.consent.marketing:
        return np.zeros((1, 1), dtype=np.bool_)
    return ~consent[:, None]


def _inactive(batch: Batch, policy: Policy, _: Floats) -> Mask:
    return np.asarray((batch.product_column("active") == 0) & policy.eligibility.active_only)[None, :]


def _held(batch: Batch, policy: Policy, _: Floats) -> Mask:
    held = batch.facts.held
    closed = closed_by(batch, policy)
    stopped = held.copy()
    for i in np.flatnonzero(closed.sum(axis=1) > 1):
        stopped |= held[:, [i]] & closed[i]
    return stopped


def _min_income(batch: Batch, policy: Policy, _: Floats) -> Mask:
    least = least_income(batch, policy)
    enough = income(batch)[:, None] >= least  # not known is never enough
    return ~enough & (least > 0)


def _cutoff(_: Batch, policy: Policy, propensity: Floats) -> Mask:
    return propensity < policy.arbitration.cutoff


_STOPS: dict[str, Callable[[Batch, Policy, Floats], npt.NDArray[np.bool_]]] = {
    CONSENT: _no_consent,
    INACTIVE: _inactive,
    HELD: _held,
    MIN_INCOME: _min_income,
    CUTOFF: _cutoff,
}

PAIR_RULES = tuple(_STOPS)
"""The rules that stop a pair whatever its rank."""
