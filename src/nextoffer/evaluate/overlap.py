"""Whether a log can say anything about a new policy: how much of what it would do was ever tried.

A log in which the old policy seldom chose what the new one would rests on few decisions with great weights. How few is
the effective sample size, ``(Σ w)² / Σ w²`` (Kish 1965, Survey Sampling); if pscores are right and all was tried at
times, the mean weight is 1 (or the share of decisions in which the new policy acts at all).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from nextoffer.evaluate.off_policy import Log, mean_by_customer
from nextoffer.intervals import Interval

FEW = 200.0
"""Fewer effective decisions than that are told."""
THIN = 0.1
"""So is an effective share of the log below this,"""
HEAVY = 0.05
"""and one decision that carries more than this share of all weight."""
TELLING = 10.0
"""Fewer rewarded decisions than that, in effect, are told too: then no interval holds the truth as often as it says."""

_SURE = 3.29 / 1.96
"""The mean weight is only doubted beyond so many half-widths of its 95 % interval: of 1,000 sound logs in about one."""


@dataclass(frozen=True)
class Overlap:
    """How far a log bears on a new policy.

    Attributes
    ----------
    decisions, customers
        In the log.
    effective
        Effective sample size, in decisions.
    largest_weight, largest_share
        Of one decision; and its share of all weight.
    untouched
        Share of logged decisions that the new policy would never have made.
    expected_weight
        What the mean weight should be.
    mean_weight
        What it is, with its interval.
    rewarded
        Rewarded decisions in effect: (Σ w |r|)² / Σ (w r)².
    """

    decisions: int
    customers: int
    effective: float
    largest_weight: float
    largest_share: float
    untouched: float
    expected_weight: float
    mean_weight: Interval
    rewarded: float

    @classmethod
    def of(cls, log: Log) -> Overlap:
        """Return the overlap of a log with at least one decision."""
        w = log.weights
        total, squares = float(w.sum()), float((w**2).sum())
        earned = np.abs(w * log.rewards)
        return cls(
            len(log),
            int(log.places.max()) + 1,
            total**2 / squares if squares > 0 else 0.0,
            float(w.max()),
            float(w.max()) / total if total > 0 else 1.0,
            float((w == 0).mean()),
            1.0 if log.mass is None else float(log.mass.mean()),
            mean_by_customer(w, log.places),
            float(earned.sum()) ** 2 / float((earned**2).sum()) if earned.any() else 0.0,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the estimates doubtful, in plain words with numbers; empty if nothing does."""
        return tuple(words for holds, words in self._doubts() if holds)

    @property
    def poor(self) -> bool:
        """Whether anything does."""
        return bool(self.warnings)

    def _doubts(self) -> list[tuple[bool, str]]:
        share = self.effective / self.decisions
        mean = self.mean_weight
        low, high = (mean.estimate + _SURE * (bound - mean.estimate) for bound in (mean.low, mean.high))
        missing = 1 - self.mean_weight.estimate / self.expected_weight if self.expected_weight > 0 else 0.0
        return [
            (
                self.effective == 0,
                "the new policy would have made none of the logged offers: nothing can be said of it",
            ),
            (
                0 < self.effective < FEW or 0 < share < THIN,
                f"the {self.decisions:,} logged decisions say as much about the new policy as {self.effective:,.0f} "
                f"of its own would ({share:.1%}): it seldom does what was tried",
            ),
            (
                self.effective > 0 and self.largest_share > HEAVY,
                f"one decision carries {self.largest_share:.0%} of all weight (weight {self.largest_weight:,.0f})",
            ),
            (
                self.effective > 0 and self.rewarded < TELLING,
                f"what the new policy would earn rests on about {self.rewarded:,.0f} rewarded decisions: too few for "
                "an interval to be relied on",
            ),
            (
                bool(self.effective > 0 and high < self.expected_weight),
                f"the weights' mean is {self.mean_weight.estimate:.3f} where it should be {self.expected_weight:.3f}: "
                f"about {missing:.0%} of what the new policy would do was never tried, and is judged by the reward "
                "model alone or not at all",
            ),
            (
                bool(self.effective > 0 and low > self.expected_weight),
                f"the weights' mean is {self.mean_weight.estimate:.3f} where it should be {self.expected_weight:.3f}: "
                "the logged pscores are not the probabilities with which the offers were chosen",
            ),
        ]

    def to_dict(self) -> dict[str, object]:
        """Return all of it as plain values."""
        return {**asdict(self), "warnings": list(self.warnings)}
