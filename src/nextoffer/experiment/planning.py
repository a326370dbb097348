"""How many customers a test needs, and for how long it has to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil, sqrt

from scipy.special import ndtri

from nextoffer.errors import ExperimentError
from nextoffer.experiment.file import Experiment, Metric
from nextoffer.experiment.sequential import cost


@dataclass(frozen=True)
class Terms:
    """What a test must keep to.

    Attributes
    ----------
    level, power, sides
        As in `nextoffer.experiment.file.Experiment`.
    shares
        Of the arms, the control first; they add up to 1.
    comparisons
        How many decide; each is planned at (1 - level) / comparisons (Bonferroni), with which Holm's procedure at the
        reading rejects at least as often.
    sequential
        Whether the test may be looked at any day.
    looks
        How often it is looked at.
    """

    level: float = 0.95
    power: float = 0.8
    sides: int = 2
    shares: tuple[float, ...] = (0.5, 0.5)
    comparisons: int = 1
    sequential: bool = False
    looks: int = 28

    @property
    def alpha(self) -> float:
        """Of one comparison."""
        return (1 - self.level) / self.comparisons


@dataclass(frozen=True)
class Needed:
    """Customers that one metric needs.

    Attributes
    ----------
    metric
        Its name.
    base, wished
        Of the control, and of an arm with the wished lift.
    arm
        The comparison that needs most: the arm with the smallest share.
    customers
        In all arms together.
    fixed
        The same where the test is read once, at the end.
    usual
        Mean number when a sequential test is decided, if the lift is just the wished one; None for a fixed one.
    """

    metric: str
    base: float
    wished: float
    arm: int
    customers: int
    fixed: int
    usual: int | None


@dataclass(frozen=True)
class Plan:
    """What a test needs.

    Attributes
    ----------
    arms
        Their names.
    per_arm
        Customers of each.
    customers
        In all.
    days
        How long it takes; None where nobody says how many come in each day.
    metrics
        What each metric needs; the largest need is the plan's.
    terms
        What the plan keeps to.
    expected
        Customers there will be, by what the file says of its end or their number; None where it says neither.
    """

    arms: tuple[str, ...]
    per_arm: tuple[int, ...]
    customers: int
    days: int | None
    metrics: tuple[Needed, ...]
    terms: Terms
    expected: int | None = None

    def to_dict(self) -> dict[str, object]:
        """Return all of it as plain values."""
        return asdict(self)


def plan(experiment: Experiment) -> Plan:
    """Return what the primary metrics and guardrails of an experiment need.

    A guardrail is planned to be shown safe where it does not change: the harm tolerated is what must be ruled out.

    Raises
    ------
    ExperimentError
        A metric has no base or lift (a value: no sd), or a lift leads to a rate outside of 0 to 1; all are named.
    """
    terms = Terms(
        experiment.level,
        experiment.power,
        experiment.sides,
        experiment.shares,
        experiment.comparisons,
        experiment.interval == "sequential",
    )
    asked = [metric for metric in experiment.metric if metric.role != "secondary"]
    problems = [problem for metric in asked for problem in _missing(metric)]
    if problems:
        raise ExperimentError(problems)
    needs = tuple(needed(metric, terms) for metric in asked)
    customers = max(need.customers for need in needs)
    per_arm = tuple(ceil(customers * share - 1e-9) for share in terms.shares)
    days = None if experiment.per_day is None else ceil(sum(per_arm) / experiment.per_day)
    known = experiment.ends is not None or experiment.customers is not None
    expected = experiment.planned if known else None
    return Plan(experiment.arms, per_arm, sum(per_arm), days, needs, terms, expected)


def needed(metric: Metric, terms: Terms) -> Needed:
    """Return what one metric needs.

    Rates: `customers_for_rates`; means: `customers_for_means`; both times the variance that covariates leave,
    ``1 - correlation²``. A sequential test takes so much more as `nextoffer.experiment.sequential.cost` works out.
    """
    assert metric.base is not None
    assert metric.lift is not None
    base, change = metric.base, metric.lift if metric.absolute else metric.lift * abs(metric.base)
    guard = metric.role == "guardrail"
    wished = base + change * metric.sign * (-1 if guard else 1)
    arm = min(range(1, len(terms.shares)), key=lambda a: terms.shares[a])
    alpha, sides = ((1 - terms.level), 2) if guard else (terms.alpha, terms.sides)
    pair = (terms.shares[0], terms.shares[arm])
    spread = sqrt(1 - metric.correlation**2)
    if metric.kind == "conversion":
        found = customers_for_rates((base, wished), pair, alpha / sides, terms.power) * spread**2
    else:
        assert metric.sd is not None
        found = customers_for_means(change, metric.sd * spread, pair, alpha / sides, terms.power)
    most, usual = cost(alpha, terms.power, looks=terms.looks, sides=sides) if terms.sequential else (1.0, None)
    return Needed(
        metric.name,
        base,
        wished,
        arm,
        ceil(found * most),
        ceil(found),
        None if usual is None else ceil(found * usual),
    )


def customers_for_rates(rates: tuple[float, float], shares: tuple[float, float], tail: float, power: float) -> float:
    """Return customers in all arms that tell two rates apart, given the two arms' shares and the probability of a tail.

    ``N = (z_tail sqrt(p q (1/s0 + 1/s1)) + z_power sqrt(p0 q0 / s0 + p1 q1 / s1))² / (p1 - p0)²``, p being the mean
    rate of both arms' customers (Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions, 3rd ed.,
    chapter 4, without continuity correction).

    >>> round(customers_for_rates((0.10, 0.11), (0.5, 0.5), 0.025, 0.8) / 2)
    14751
    """
    (p0, p1), (s0, s1) = rates, shares
    p = (p0 * s0 + p1 * s1) / (s0 + s1)
    pooled = sqrt(p * (1 - p) * (1 / s0 + 1 / s1))
    apart = sqrt(p0 * (1 - p0) / s0 + p1 * (1 - p1) / s1)
    return float((ndtri(1 - tail) * pooled + ndtri(power) * apart) ** 2 / (p1 - p0) ** 2)


def customers_for_means(change: float, sd: float, shares: tuple[float, float], tail: float, power: float) -> float:
    """Return customers in all arms that tell two means apart.

    The least N for which the t-test's power, by the noncentral t distribution, is reached; without the other tail.

    >>> round(customers_for_means(0.2, 1.0, (0.5, 0.5), 0.025, 0.8) / 2, 1)
    393.4
    """
    from scipy.optimize import brentq
    from scipy.special import nctdtr, stdtrit

    s0, s1 = shares
    effect = abs(change) / sd / sqrt(1 / s0 + 1 / s1)
    normal = ((ndtri(1 - tail) + ndtri(power)) / effect) ** 2

    def lacking(customers: float) -> float:
        freedom = max(customers * (s0 + s1) - 2, 1.0)
        return float(1 - nctdtr(freedom, effect * sqrt(customers), stdtrit(freedom, 1 - tail)) - power)

    if normal * (s0 + s1) > 1e5:  # the t distribution is the normal one
        return float(normal)
    return float(brentq(lacking, normal * 0.5, normal * 4 + 10 / (s0 + s1)))


def _missing(metric: Metric) -> list[str]:
    wanted: Sequence[str] = ("base", "lift") if metric.kind == "conversion" else ("base", "lift", "sd")
    missing = [name for name in wanted if getattr(metric, name) is None]
    if missing:
        return [f"metric '{metric.name}': to plan it, {' and '.join(missing)} must be given"]
    assert metric.base is not None
    assert metric.lift is not None
    if not metric.absolute and metric.base == 0:
        return [f"metric '{metric.name}': a share of a base of 0 is nothing; give lift with absolute = true"]
    change = metric.lift * (1 if metric.absolute else abs(metric.base))
    wished = metric.base + change * metric.sign * (-1 if metric.role == "guardrail" else 1)
    if metric.kind == "conversion" and not 0 < wished < 1:
        return [f"metric '{metric.name}': base {metric.base:g} and lift {metric.lift:g} lead to a rate of {wished:g}"]
    return []
