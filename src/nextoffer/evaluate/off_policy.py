"""What a new policy would earn, estimated from the log of an old one whose choices were partly left to chance.

A log has m decisions. In each the old policy chose one action with a known probability (`pscores`) and saw its reward;
the new policy would have chosen that action with another (`targets`). With w = target / pscore, and a reward model
q(x, a) that was not fitted on the customers it is asked about::

    IPS    mean of w·r                                       Horvitz & Thompson 1952, JASA 47
    SNIPS  Σ w·r / Σ w                                       Swaminathan & Joachims 2015, NeurIPS
    DM     mean of Σ_a π(a|x) q(x, a)                        the reward model alone
    DR     mean of Σ_a π(a|x) q(x, a) + w (r − q(x, chosen))   Dudík, Langford & Li 2011, ICML; 2014, Stat. Sci. 29
    switch DR without the second part where w > τ            Wang, Agarwal & Dudík 2017, ICML

IPS and DR are without bias if the pscores are right and the old policy could choose all that the new one does; DR is
also if only q is right. Intervals rest on each customer's influence on the estimate (decisions of one customer are not
independent): ``Σ_c (Σ_{i in c} ψ_i − V)² · C/(C − 1) / m²``. Student's quantile t has the degrees of freedom f that the
spread's own kurtosis leaves (Satterthwaite 1946, Biometrics Bull. 2); the end on the longer tail's side is moved out by
|skewness| · (2 t² + 1) / (6 √C) standard errors, the first term of Hall 1992 (JRSS B 54): great weights are rare, and
a log without them shows too low a value and too small a spread. Moving both ends held the truth less often.

Where few decisions decide (f small), their own squares say little of the spread. It is then drawn, by 50 / (f + 50),
towards what it would be if every decision's error were as the log's errors on the whole, which has the weights of all
decisions in it, not only of those that were rewarded: ``mean of w² · (Σ w e² + w̄ e_max²) / (Σ w + w̄)`` with e the part
that the weight multiplies; one error of the greatest size is added. So with the skewness. Never to less. A log in which
nothing was earned has no bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from nextoffer.intervals import Interval
from nextoffer.tables.flow import Floats, Indices

_QUANTILES = (0.999, 0.995, 0.99, 0.98, 0.95, 0.9)
_TWO_ERRORS = 0.9545
_PRIOR = 50.0
"""Degrees of freedom that the errors of all decisions count for, beside those of the spread itself."""


@dataclass(frozen=True, eq=False)
class Log:
    """m logged decisions, and how likely the new policy would have made them.

    Attributes
    ----------
    rewards
        float64 (m,): 1 = accepted, or an amount.
    pscores, targets
        float64 (m,): probability of the chosen action under the policy that chose it, > 0; and under the new one.
    customers
        (m,): whose decision it was, in any ids.
    mass
        float64 (m,): probability with which the new policy chooses any action at all; 1 if left out. What is missing to
        1 is no action, with reward 0.

    Raises
    ------
    ValueError
        Lengths differ, a value is not a number, or a probability is not one.
    """

    rewards: Floats
    pscores: Floats
    targets: Floats
    customers: npt.NDArray[np.generic]
    mass: Floats | None = None

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))

    def _problems(self) -> list[str]:
        columns = {"pscores": self.pscores, "targets": self.targets, "customers": self.customers}
        if self.mass is not None:
            columns["mass"] = self.mass
        out = [f"{name}: {len(c)} rows, rewards {len(self)}" for name, c in columns.items() if len(c) != len(self)]
        if not np.isfinite(self.rewards).all():
            out.append("rewards: not all are numbers")
        if not ((self.pscores > 0) & (self.pscores <= 1)).all():
            out.append("pscores: all must be above 0 and at most 1")
        if not ((self.targets >= 0) & (self.targets <= 1 + 1e-9)).all():
            out.append("targets: all must lie between 0 and 1")
        return out

    def __len__(self) -> int:
        return len(self.rewards)

    @cached_property
    def weights(self) -> Floats:
        """Float64 (m,): target / pscore."""
        return np.asarray(self.targets / self.pscores)

    @cached_property
    def places(self) -> Indices:
        """Int (m,): which customer, from 0 on."""
        _, places = np.unique(self.customers, return_inverse=True)
        return np.asarray(places.ravel(), dtype=np.intp)


@dataclass(frozen=True, eq=False)
class Modelled:
    """What a reward model says of the logged decisions, fitted on other customers or earlier days.

    Attributes
    ----------
    chosen
        float64 (m,): expected reward of the chosen action.
    target
        float64 (m,): Σ_a π(a|x) q(x, a), the expected reward of the new policy's choice.
    """

    chosen: Floats
    target: Floats

    @classmethod
    def of(cls, rewards: Floats, chosen: Indices, chances: Floats) -> Modelled:
        """Return it from expected rewards (m, A), the chosen action's column (m,), the new policy's chances (m, A)."""
        rows = np.arange(len(rewards))
        return cls(rewards[rows, chosen], np.asarray((rewards * chances).sum(axis=1)))


def ips(log: Log, *, level: float = 0.95) -> Interval:
    """Return the value by inverse propensity scores (Horvitz & Thompson 1952): the mean of w·r.

    >>> log = Log(np.array([1.0, 0.0] * 50), np.full(100, 0.5), np.array([1.0, 0.0] * 50), np.arange(100))
    >>> ips(log).estimate, snips(log).estimate
    (1.0, 1.0)
    """
    return _earned(log, 0.0, log.weights, log.rewards, level)


def snips(log: Log, *, level: float = 0.95) -> Interval:
    """Return the self-normalised value (Swaminathan & Joachims 2015): Σ w·r / Σ w, times what is chosen at all.

    Its influence is ``(w (r − V) + V_mass)`` by the delta method; NaN where all weights are 0.
    """
    total = float(log.weights.sum())
    if total <= 0:
        return Interval(float("nan"), float("nan"), float("nan"), int(log.places.max(initial=-1)) + 1)
    mass = np.ones(len(log)) if log.mass is None else log.mass
    rate = float(log.weights @ log.rewards) / total
    scale = mass.mean() * len(log) / total * log.weights
    return _earned(log, rate * mass, scale, log.rewards - rate, level)


def direct(log: Log, modelled: Modelled, *, level: float = 0.95) -> Interval:
    """Return the reward model's own value. Its interval knows nothing of the model's error: that can be any size."""
    return mean_by_customer(modelled.target, log.places, level=level)


def doubly_robust(log: Log, modelled: Modelled, *, level: float = 0.95) -> Interval:
    """Return the doubly robust value (Dudík et al. 2014): the model's, corrected by weighted errors."""
    return _earned(log, modelled.target, log.weights, log.rewards - modelled.chosen, level)


def switch(log: Log, modelled: Modelled, *, threshold: float | None = None, level: float = 0.95) -> Interval:
    """Return the doubly robust value without corrections whose weight exceeds `threshold` (None: `best_threshold`).

    Less noise for some bias. Its own interval would know nothing of the bias, so it is joined to the doubly robust one.
    """
    chosen = best_threshold(log, modelled) if threshold is None else threshold
    kept = np.where(log.weights <= chosen, log.weights, 0.0)
    own = _earned(log, modelled.target, kept, log.rewards - modelled.chosen, level)
    wider = doubly_robust(log, modelled, level=level)
    return Interval(own.estimate, float(np.fmin(own.low, wider.low)), float(np.fmax(own.high, wider.high)), own.n)


def best_threshold(log: Log, modelled: Modelled) -> float:
    """Return the weight beyond which corrections are noise rather than knowledge.

    From no threshold downwards through the weights' quantiles, as long as the intervals of two standard errors of all
    thresholds so far have a point in common (Su, Srinath & Krishnamurthy 2020, Adaptive Estimator Selection, ICML).
    """
    least, most, best = -np.inf, np.inf, np.inf
    quantiles = np.quantile(log.weights, _QUANTILES) if len(log) else np.zeros(0)
    for threshold in (np.inf, *quantiles.tolist()):
        found = mean_by_customer(_corrected(log, modelled, threshold), log.places, level=_TWO_ERRORS)
        least, most = max(least, found.low), min(most, found.high)
        if not least <= most:
            break
        best = threshold
    return best


def _corrected(log: Log, modelled: Modelled, threshold: float) -> Floats:
    kept = np.where(log.weights <= threshold, log.weights, 0.0)
    return np.asarray(modelled.target + kept * (log.rewards - modelled.chosen))


ESTIMATORS: Mapping[str, Callable[[Log, Modelled], Interval]] = {
    "ips": lambda log, _: ips(log),
    "snips": lambda log, _: snips(log),
    "dm": direct,
    "dr": doubly_robust,
    "switch_dr": switch,
}
"""All by name; the first two need no reward model."""

WITHOUT_MODEL = ("ips", "snips")


def on_policy(log: Log, *, level: float = 0.95) -> Interval:
    """Return what the old policy earned: the mean reward, by customer."""
    return _earned(log, 0.0, np.ones(len(log)), log.rewards, level)


def difference(log: Log, modelled: Modelled, *, level: float = 0.95) -> Interval:
    """Return how much more per decision the new policy would earn than the old one did, by the doubly robust value."""
    fixed = modelled.target - modelled.chosen
    return _earned(log, fixed, log.weights - 1, log.rewards - modelled.chosen, level, counts=log.weights)


def mean_by_customer(values: Floats, places: Indices, *, level: float = 0.95) -> Interval:
    """Return the mean of one value per decision, its interval by customer; `n` is customers.

    Parameters
    ----------
    values, places
        float64 (m,), int (m,): the value, and whose it is, from 0 on.

    >>> i = mean_by_customer(np.array([0.0, 1.0, 1.0, 0.0]), np.array([0, 0, 1, 1]))
    >>> i.estimate, i.low, i.high, i.n
    (0.5, 0.5, 0.5, 2)
    """
    none = np.zeros(len(values))
    return _weighted(values, _Errors(none, none, none), places, level=level)


def _earned(
    log: Log, fixed: Floats | float, scale: Floats, errors: Floats, level: float, *, counts: Floats | None = None
) -> Interval:
    alike = _Errors(scale, errors, np.abs(scale) if counts is None else counts)
    found = _weighted(fixed, alike, log.places, level=level)
    return found if log.rewards.any() else Interval(found.estimate, float("nan"), float("nan"), found.n)


@dataclass(frozen=True, eq=False)
class _Errors:
    """What is multiplied by weights, each (m,): `scale` · `errors`, and how much an error `counts` for what all are."""

    scale: Floats
    errors: Floats
    counts: Floats

    @property
    def values(self) -> Floats:
        return np.asarray(self.scale * self.errors)

    def moments(self, rest: Floats) -> _Moments:
        """Return the moments if all errors were alike; `rest` (C,) is what customers differ in beside them."""
        total = float(self.counts.sum())
        if total <= 0:
            return _Moments(float((rest**2).sum()), 0.0)
        one = total / len(self.counts)
        greatest = float(self.errors[np.abs(self.errors).argmax()])
        squared, cubed = (
            float(self.counts @ self.errors**power + one * greatest**power) / (total + one) for power in (2, 3)
        )
        level = float(self.values.sum()) ** 2 / len(self.counts)
        squares = float((rest**2).sum()) + squared * float((self.scale**2).sum()) - level
        return _Moments(squares, cubed * float((self.scale**3).sum()))


def _weighted(fixed: Floats | float, errors: _Errors, places: Indices, *, level: float) -> Interval:
    """Return the mean of fixed + scale · errors, each (m,), with the interval that the head of this file tells."""
    values = np.asarray(fixed + errors.values)
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    estimate = float(values.mean())
    influence = np.bincount(places, weights=values - estimate).astype(np.float64)
    count = len(influence)
    if count < 2:
        return Interval(estimate, float("nan"), float("nan"), count)
    rest = values - errors.values
    own = _Moments(float((influence**2).sum()) * count / (count - 1), float((influence**3).sum()))
    freedom = _freedom(influence)
    others = errors.moments(np.bincount(places, weights=rest - rest.mean()).astype(np.float64))
    found = own.drawn(others, _PRIOR / (freedom + _PRIOR))
    quantile = float(stdtrit(freedom, (1 + level) / 2))
    moved = float(np.clip(found.skewness * (2 * quantile**2 + 1) / 6, -quantile, quantile))
    error = sqrt(found.squares) / len(values)
    return Interval(
        estimate,
        estimate + (min(moved, 0.0) - quantile) * error,
        estimate + (max(moved, 0.0) + quantile) * error,
        count,
    )


@dataclass(frozen=True)
class _Moments:
    """Sums of the squares and of the cubes of influences; `skewness` is that of their mean."""

    squares: float
    cubes: float

    @property
    def skewness(self) -> float:
        return self.cubes / self.squares**1.5 if self.squares > 0 else 0.0

    def drawn(self, to: _Moments, share: float) -> _Moments:
        """Return the moments drawn by this share towards others that are wider, or more skewed to the same side."""
        squares = self.squares + share * max(to.squares - self.squares, 0.0)
        skewness, other = self.skewness, to.cubes / max(to.squares, self.squares) ** 1.5 if squares > 0 else 0.0
        if skewness * other > 0 and abs(other) > abs(skewness):
            skewness += share * (other - skewness)
        return _Moments(squares, skewness * squares**1.5)


def _freedom(influence: Floats) -> float:
    """Return the degrees of freedom of the spread of influences (C,)."""
    count, squares = len(influence), influence**2
    mean = float(squares.mean())
    kurtosis = float((squares**2).mean()) / mean**2 if mean > 0 else 0.0
    return float(np.clip(2 * count / max(kurtosis - 1, 1e-9), 1.0, count - 1))
