"""How readily customers accept moves with time; the level of the latest offers is the one that the next ones meet.

A shift of the log-odds on each of D days, measured on pairs that the model was not fitted to, is a random walk seen
through noise: ``z_d = level_d + e_d``, ``level_d = level_(d−1) + u_d`` with ``Var(u_d) = pace · (days between)``. The
pace is found by maximum likelihood and the latest level by the Kalman filter (local level model; Durbin & Koopman 2012,
*Time Series Analysis by State Space Methods*, ch. 2). Where rates are steady the pace is 0 and nothing is shifted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nextoffer.models.ranker import log_likelihood, sigmoid
from nextoffer.tables.flow import Floats, Indices

GAIN = 2.0
"""Log-likelihood that a moving level must gain over a steady one; as much as a further factor of the affinity must."""
_LEAST_DAYS = 4
_NEWTON_STEPS = 5
_LONGEST_STEP = 1.0
_PACES = np.r_[0.0, np.geomspace(1e-5, 1e-1, 25)]
"""Variance a day, tried."""


@dataclass(frozen=True)
class Level:
    """What was found.

    Attributes
    ----------
    shift
        To be added to the log-odds of the next offers; 0 where the level is steady.
    pace
        Variance of the level's random walk, a day.
    gain
        Log-likelihood of the moving level over that of a steady one.
    last_days_gain
        Log-likelihood that the shift made from the days before gains on the labels of the last day.
    """

    shift: float = 0.0
    pace: float = 0.0
    gain: float = 0.0
    last_days_gain: float = 0.0

    def summary(self) -> Mapping[str, Any]:
        """Return it in plain values."""
        return {
            "shift": round(self.shift, 4),
            "pace_per_day": float(f"{self.pace:.3g}"),
            "log_likelihood_gain": round(self.gain, 3),
            "log_likelihood_gain_on_the_last_day": round(self.last_days_gain, 3),
        }


def recent_level(log_odds: Floats, labels: Floats, weights: Floats, *, group: Indices, days: Sequence[float]) -> Level:
    """Return the level that the next offers meet.

    It is accepted if it is likelier than a steady one by `GAIN`, and if, made from the days before the last one, it
    lowers the log loss of the last.

    Parameters
    ----------
    log_odds, labels, weights
        (m,) of pairs, by parts that were fitted without their customers.
    group, days
        (m,) which day each pair is of, and when each of the days was, in days, rising.
    """
    there = [k for k in range(len(days)) if np.any(group == k)]
    if len(there) < _LEAST_DAYS:
        return Level()
    measured = np.array([_shift(log_odds[m], labels[m], weights[m]) for m in (group == k for k in there)])
    gaps = np.diff(np.array(days, dtype=np.float64)[there])
    pace, gain, shift = _fitted(measured, gaps)
    _, _, before = _fitted(measured[:-1], gaps[:-1])
    last = group == there[-1]
    told = log_likelihood(log_odds[last] + before, labels[last], weights[last])
    last_gain = told - log_likelihood(log_odds[last], labels[last], weights[last])
    accepted = gain >= GAIN and last_gain > 0
    return Level(shift if accepted else 0.0, pace, gain, last_gain)


def _shift(log_odds: Floats, labels: Floats, weights: Floats) -> tuple[float, float]:
    """The shift that fits a day best, drawn to 0 as by two pairs more, and its variance."""
    shift = 0.0
    for _ in range(_NEWTON_STEPS):
        p = sigmoid(log_odds + shift)
        information = float((weights * p * (1.0 - p)).sum()) + 0.5
        step = (float((weights * (labels - p)).sum()) - 0.5 * shift) / information
        shift += float(np.clip(step, -_LONGEST_STEP, _LONGEST_STEP))
    noise = float((weights**2 * p * (1.0 - p)).sum()) + 0.5
    return shift, noise / information**2


def _fitted(measured: Floats, gaps: Floats) -> tuple[float, float, float]:
    """The pace, its gain in log-likelihood over none, and the latest level (0 where the pace is)."""
    tried = [_filtered(measured, pace * gaps) for pace in _PACES]
    best = int(np.argmax([fit for fit, _ in tried]))
    return float(_PACES[best]), tried[best][0] - tried[0][0], tried[best][1] if best else 0.0


def _filtered(measured: Floats, moves: Floats) -> tuple[float, float]:
    """The log-likelihood of the days after the first, and the level of the last, by the Kalman filter.

    The first day's level is known as well as it was measured (a diffuse start).
    """
    (level, variance), fit = measured[0], 0.0
    for (z, noise), move in zip(measured[1:], moves, strict=True):
        variance = variance + move
        spread = variance + noise
        fit -= 0.5 * float(np.log(spread) + (z - level) ** 2 / spread)
        level, variance = level + variance / spread * (z - level), variance * noise / spread
    return fit, float(level)
