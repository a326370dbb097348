"""One arm against the control: differences and ratios, each with an interval and a p-value.

`fixed` holds at one moment chosen beforehand, `anytime` at every moment at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite, nan, sqrt

from scipy.special import ndtr, stdtr, stdtrit

from nextoffer.experiment.means import Means, adjusted_means, can_adjust, plain_means, rate_means, ratio_bounds
from nextoffer.experiment.sequential import LEAST_CUSTOMERS, p_value, reach
from nextoffer.experiment.sums import Sums
from nextoffer.intervals import Interval, lift_of_rates, mean_of_sums, rate


@dataclass(frozen=True)
class Terms:
    """On what terms arms are compared.

    Attributes
    ----------
    alpha
        Probability of missing the truth, of one comparison.
    sides
        1: the bad end of the interval alone is a bound, the other is infinite in truth and shown as for two sides.
    better
        1 where higher is better, -1 where lower is.
    """

    alpha: float
    sides: int = 2
    better: int = 1


@dataclass(frozen=True)
class Comparison:
    """One arm against the control.

    Attributes
    ----------
    absolute
        Arm minus control, in the metric's unit.
    relative
        Arm ÷ control - 1.
    p_value
        Of no difference (one-sided: of no improvement); NaN where it is not known.
    z
        Difference in standard errors.
    reach
        How many of them the interval reaches.
    """

    absolute: Interval
    relative: Interval
    p_value: float
    z: float
    reach: float


def arm_mean(sums: Sums, arm: int, *, conversion: bool, level: float) -> Interval:
    """Return an arm's rate with Wilson's interval, or its mean with Student's."""
    n = int(sums.n[arm])
    if conversion:
        return rate(float(sums.successes()[arm]), n, level=level)
    found = mean_of_sums(float(sums.totals[arm, 0]), float(sums.products[arm, 0, 0]), n, level=level)
    c = float(sums.centre[0])
    return Interval(found.estimate + c, found.low + c, found.high + c, n)


def fixed(sums: Sums, arm: int, terms: Terms, *, conversion: bool, adjust: bool = False) -> Comparison:
    """Return the comparison that holds at one moment chosen beforehand.

    Conversions: `rate_difference`, and the log of the ratio (`nextoffer.intervals.lift_of_rates`). Values, and all that
    is adjusted: Welch's t for the difference, Fieller's theorem for the ratio.
    """
    if _too_few(sums, arm, least=2):
        return _unknown(sums, arm)
    level = 1 - 2 * terms.alpha / terms.sides
    if conversion and not adjust:
        return _rates(sums, arm, terms, level)
    means = adjusted_means(sums) if adjust and can_adjust(sums) else plain_means(sums.metric())
    freedom = means.freedom(arm)
    difference, error = means.difference(arm)
    z = _ratio(difference, error)
    tail = float(stdtr(freedom, -abs(z) if terms.sides == 2 else -z * terms.better)) if isfinite(z) else nan
    return _compared(
        means, arm, float(stdtrit(freedom, (1 + level) / 2)), min(terms.sides * tail, 1.0) if isfinite(z) else nan
    )


def anytime(sums: Sums, arm: int, terms: Terms, *, share: float, conversion: bool, adjust: bool = False) -> Comparison:
    """Return the comparison that holds at every moment at once (`nextoffer.experiment.sequential`).

    Parameters
    ----------
    share
        Of the planned customers, or customer-days, that is in.
    """
    if _too_few(sums, arm, least=LEAST_CUSTOMERS):
        return _unknown(sums, arm)
    if adjust and can_adjust(sums):
        means = adjusted_means(sums)
    else:
        means = rate_means(sums.metric()) if conversion else plain_means(sums.metric())
    difference, error = means.difference(arm)
    if not error > 0:
        return _unknown(sums, arm)
    far = reach(share, terms.alpha, sides=terms.sides)
    z = difference / error
    found = _compared(
        means, arm, far, p_value(z if terms.sides == 2 else z * terms.better, share, terms.alpha, sides=terms.sides)
    )
    if conversion:
        kept = Interval(
            found.absolute.estimate, max(found.absolute.low, -1.0), min(found.absolute.high, 1.0), found.absolute.n
        )
        return replace(found, absolute=kept)
    return found


def rate_difference(x1: float, n1: int, x0: float, n0: int, *, level: float = 0.95) -> Interval:
    """Return the difference of two rates with Newcombe's interval from Wilson's of each.

    ``low = d - sqrt((p1 - l1)² + (u0 - p0)²)``, ``high = d + sqrt((u1 - p1)² + (p0 - l0)²)``: method 10 of Newcombe
    (1998), Statistics in Medicine 17.

    >>> i = rate_difference(56, 70, 48, 80)
    >>> round(i.estimate, 4), round(i.low, 4), round(i.high, 4), i.n
    (0.2, 0.0524, 0.3339, 150)
    """
    one, zero = rate(x1, n1, level=level), rate(x0, n0, level=level)
    d = one.estimate - zero.estimate
    low = d - sqrt((one.estimate - one.low) ** 2 + (zero.high - zero.estimate) ** 2)
    high = d + sqrt((one.high - one.estimate) ** 2 + (zero.estimate - zero.low) ** 2)
    return Interval(d, low, high, n1 + n0)


def _rates(sums: Sums, arm: int, terms: Terms, level: float) -> Comparison:
    x, n = sums.successes(), sums.n
    x1, n1, x0, n0 = float(x[arm]), int(n[arm]), float(x[0]), int(n[0])
    absolute = rate_difference(x1, n1, x0, n0, level=level)
    relative = lift_of_rates(x1, n1, x0, n0, level=level)
    pooled = (x1 + x0) / (n1 + n0)
    error = sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n0))
    z = _ratio(absolute.estimate, error)
    # the test of two proportions with the pooled rate; answers that are all the same say nothing against chance
    p = 1.0 if not error > 0 else float(ndtr(-abs(z)) * 2 if terms.sides == 2 else ndtr(-z * terms.better))
    return Comparison(
        absolute, relative, p, z if error > 0 else 0.0, (absolute.estimate - absolute.low) / error if error else nan
    )


def _compared(means: Means, arm: int, far: float, p: float) -> Comparison:
    n = int(means.n[arm] + means.n[0])
    difference, error = means.difference(arm)
    low, high = ratio_bounds(means, arm, 0, far)
    with_control = means.estimates[0] != 0
    ratio = float(means.estimates[arm] / means.estimates[0] - 1) if with_control else nan
    absolute = Interval(difference, difference - far * error, difference + far * error, n)
    return Comparison(absolute, Interval(ratio, low, high, n), p, _ratio(difference, error), far)


def _ratio(difference: float, error: float) -> float:
    return difference / error if error > 0 else 0.0 if difference == 0 else nan


def _too_few(sums: Sums, arm: int, *, least: int) -> bool:
    return bool(min(sums.n[arm], sums.n[0]) < least)


def _unknown(sums: Sums, arm: int) -> Comparison:
    nothing = Interval(nan, nan, nan, int(sums.n[arm] + sums.n[0]))
    return Comparison(nothing, nothing, nan, nan, nan)


def holm(p_values: list[float]) -> list[float]:
    """Return Holm's adjusted p-values: the smallest of m times m, the next times m - 1, never falling; NaN stays NaN.

    Holm (1979), Scandinavian Journal of Statistics 6. Valid for anytime-valid p-values too.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if isfinite(p))
    out, so_far, m = [nan] * len(p_values), 0.0, len(p_values)
    for rank, (p, i) in enumerate(order):
        so_far = max(so_far, min(p * (m - rank), 1.0))
        out[i] = so_far
    return out
