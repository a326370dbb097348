"""Two figures of different days: their difference with an interval, and the chance of it if nothing had changed."""

from __future__ import annotations

from math import erfc, nan, sqrt

from nextoffer.intervals import Interval


def difference(now: Interval, then: Interval) -> Interval:
    """Return now - then, out of the intervals of both (MOVER: Zou & Donner 2008, Statistics in Medicine 27).

    Each interval tells how far its figure may be off on either side, and the distances add up as squares. Of two of
    Wilson's intervals it is method 10 of Newcombe (1998), Statistics in Medicine 17.

    >>> from nextoffer.intervals import rate
    >>> i = difference(rate(56, 70), rate(48, 80))
    >>> round(i.estimate, 4), round(i.low, 4), round(i.high, 4)
    (0.2, 0.0524, 0.3339)
    """
    gap = now.estimate - then.estimate
    low = gap - sqrt((now.estimate - now.low) ** 2 + (then.high - then.estimate) ** 2)
    high = gap + sqrt((now.high - now.estimate) ** 2 + (then.estimate - then.low) ** 2)
    return Interval(gap, low, high, now.n)


def two_rates(x1: float, n1: float, x0: float, n0: float) -> float:
    """Return the chance of two shares differing as much if they were the same: the pooled z test.

    Fleiss, Levin & Paik (2003), Statistical Methods for Rates and Proportions, 3rd ed., 3.2, without correction.

    >>> round(two_rates(130, 1000, 100, 1000), 4), two_rates(0, 10, 0, 10)
    (0.0355, 1.0)
    """
    if not n1 or not n0:
        return nan
    p = (x1 + x0) / (n1 + n0)
    error = sqrt(p * (1 - p) * (1 / n1 + 1 / n0))
    return erfc(abs(x1 / n1 - x0 / n0) / error / sqrt(2)) if error > 0 else 1.0
