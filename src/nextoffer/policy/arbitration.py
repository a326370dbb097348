"""Arbitration: which of the offers a customer may get are worth making."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
from scipy.special import expit

from nextoffer.policy.arms import NO_VALUE, Arm, within
from nextoffer.policy.batch import Batch
from nextoffer.policy.logic import Mask
from nextoffer.policy.priority import Priority, Terms
from nextoffer.policy.rule import NONE, Case, Rule, percent
from nextoffer.policy.wording import number

CUTOFF = "arbitration.cutoff"
UNVALUED = "arbitration.no_value"
WORTHLESS = "arbitration.value"
TOP_N = "arbitration.top_n"


def arbitration_rules(terms: Terms, arms: tuple[Arm, ...], seed: int) -> tuple[Rule, ...]:
    """Return the rules that say of an offer that it is not worth making; `arms` and `seed` tell who is spared some."""
    cutoff = terms.arbitration.cutoff
    spared = partial(within, arms=arms, seed=seed, name=NO_VALUE)
    return (
        Rule(CUTOFF, partial(_cutoff, cutoff), partial(_cutoff_line, cutoff)),
        Rule(UNVALUED, lambda batch: _except(spared(batch), _unvalued(terms, batch)), partial(_unvalued_line, terms)),
        Rule(WORTHLESS, lambda batch: _except(spared(batch), _worthless(terms, batch)), partial(_value_line, terms)),
    )


def _except(customers: Mask, stopped: Mask) -> Mask:
    return stopped & ~customers[:, None] if customers.any() else stopped


def _cutoff(cutoff: float, batch: Batch) -> Mask:
    least = least_log_odds(cutoff)
    return NONE if least == -np.inf else np.asarray(batch.scores.log_odds < least)


def _cutoff_line(cutoff: float, case: Case) -> str:
    has = case.propensity
    return f"propensity {percent(has)} < cutoff {percent(cutoff)}: would need {percent(cutoff - has)} more"


def _unvalued(terms: Terms, batch: Batch) -> Mask:
    """Return the pairs whose value would have to be known, and is not."""
    return NONE if terms.arbitration.least_value is None else np.isnan(Priority.of(batch, terms).value)


def _worthless(terms: Terms, batch: Batch) -> Mask:
    least = terms.arbitration.least_value
    return NONE if least is None else np.asarray(Priority.of(batch, terms).expected_value < least)


def _unvalued_line(_: Terms, case: Case) -> str:
    if np.isnan(case.batch.product_column("margin")[case.col]):
        return f"what an acceptance earns is not known: {case.product} would need a margin"
    return (
        f"what an acceptance earns is not known: {case.product} can make a loss, so that the customer's probability of "
        "default would have to be recorded, or the policy would need a value.pd"
    )


def _value_line(terms: Terms, case: Case) -> str:
    pair = Priority.of(case.batch, terms).pairs(np.array([case.row]), np.array([case.col]))
    least = terms.arbitration.least_value or 0.0
    value, cost, expected = (float(v[0]) for v in (pair.value, pair.cost, pair.expected_value))
    natural = pair.unaided
    caused = case.propensity - (0.0 if natural is None else float(natural[0]))
    told = f"expected value {number(expected)} < least {number(least)}"
    ways = []
    if value > 0 and (needed := (least + cost) / value + case.propensity - caused) <= 1:
        ways.append(f"the propensity would have to rise from {percent(case.propensity)} to {percent(needed)}")
    if caused > 0:
        ways.append(f"an acceptance would have to earn {number((least + cost) / caused)} instead of {number(value)}")
    return f"{told}: {', or '.join(ways) or 'it would have to cost less'}"


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
