"""Numbers in words, the same way throughout a report."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import exp, isnan

from nextoffer.intervals import Interval

Form = Callable[[float], str]

UNKNOWN = "–"
_NARROW = "\N{NARROW NO-BREAK SPACE}"


def decimal(value: float) -> str:
    """Return a number to three places.

    >>> decimal(0.37564)
    '0.376'
    """
    return UNKNOWN if isnan(value) else f"{value:.3f}".replace("-", "−")


def percent(value: float) -> str:
    """Return a share in percent.

    >>> percent(0.2551).replace(chr(0x202F), " ")
    '25.5 %'
    """
    return UNKNOWN if isnan(value) else f"{100 * value:.1f}{_NARROW}%".replace("-", "−")


def whole_percent(value: float) -> str:
    """Return a share in whole percent.

    >>> whole_percent(0.883).replace(chr(0x202F), " ")
    '88 %'
    """
    return UNKNOWN if isnan(value) else f"{100 * value:.0f}{_NARROW}%".replace("-", "−")


def change(value: float) -> str:
    """Return a relative change with its sign.

    >>> change(0.302).replace(chr(0x202F), " ")
    '+30.2 %'
    """
    return UNKNOWN if isnan(value) else f"{100 * value:{'+' if value else ''}.1f}{_NARROW}%".replace("-", "−")


def times(value: float) -> str:
    """Return a factor.

    >>> times(1.386)
    '×1.4'
    """
    return UNKNOWN if isnan(value) else f"×{value:.2g}"


def odds(log_odds: float) -> str:
    """Return what a contribution to the log-odds does to the odds of acceptance.

    >>> odds(0.0), odds(0.6931), odds(-0.6931)
    ('×1', '×2', '×0.5')
    """
    return times(exp(log_odds))


def count(value: float) -> str:
    """Return a number of things.

    >>> count(44450).replace(chr(0x202F), " "), count(-3)
    ('44 450', '−3')
    """
    return f"{value:,.0f}".replace(",", _NARROW).replace("-", "−")


def signed(value: float) -> str:
    """Return a change in a number of things, with its sign.

    >>> signed(120.4), signed(-3.0), signed(0.0)
    ('+120', '−3', '0')
    """
    if isnan(value):
        return UNKNOWN
    whole = round(value)
    return f"{'+' if whole > 0 else '−' if whole < 0 else ''}{count(abs(whole))}"


def plain(written: str) -> str:
    """Return a written number without the zeros behind its point, as tick marks are written.

    >>> plain("0.200"), plain("5.0 %"), plain("100 %"), plain("×1")
    ('0.2', '5 %', '100 %', '×1')
    """
    return re.sub(r"\.?0*(\D*)$", r"\1", written) if "." in written else written


def stage(name: str) -> str:
    """Return why an offer is not made, in a customer manager's words.

    >>> stage("eligibility"), stage("arbitration"), stage("capacity")
    ('not eligible', 'others come first', 'capacity')
    """
    return _STAGES.get(name, name)


_STAGES = {
    "consent": "no consent",
    "eligibility": "not eligible",
    "applicability": "not applicable",
    "suitability": "not suitable",
    "contact": "contacted enough",
    "arbitration": "others come first",
}


def bounds(interval: Interval, form: Form) -> str:
    """Return where the truth may lie.

    >>> bounds(Interval(0.4, 0.3, 0.5, 10), decimal)
    '0.300 to 0.500'
    """
    if isnan(interval.low):
        return f"too few to say (n = {interval.n})"
    return f"{form(interval.low)} to {form(interval.high)}"
