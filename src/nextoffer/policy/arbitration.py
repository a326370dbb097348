"""Arbitration: which of the offers a customer may get are made."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.special import expit

from nextoffer.policy.batch import Batch
from nextoffer.policy.logic import Mask
from nextoffer.policy.rule import NONE, Case, Rule, percent
from nextoffer.policy.section import Section, Share

CUTOFF = "arbitration.cutoff"
TOP_N = "arbitration.top_n"


class Arbitration(Section):
    """Which of the allowed offers are made."""

    cutoff: Share = 0.0
    top_n: Annotated[int, Field(ge=1)] = 5


def arbitration_rules(arbitration: Arbitration) -> tuple[Rule, ...]:
    """Return the rules that say of an offer that it is not worth making."""
    cutoff = arbitration.cutoff
    return (Rule(CUTOFF, partial(_cutoff, cutoff), partial(_cutoff_line, cutoff)),)


def _cutoff(cutoff: float, batch: Batch) -> Mask:
    least = least_log_odds(cutoff)
    return NONE if least == -np.inf else np.asarray(batch.scores.log_odds < least)


def _cutoff_line(cutoff: float, case: Case) -> str:
    has = case.propensity
    return f"propensity {percent(has)} < cutoff {percent(cutoff)}: would need {percent(cutoff - has)} more"


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
