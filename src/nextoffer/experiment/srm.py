"""Sample ratio mismatch: whether the arms hold as many customers as they should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from scipy.special import chdtrc

THRESHOLD = 0.001
"""A p-value below it says that the assignment is broken (Fabijan et al. 2019, KDD): one false alarm in 1,000 tests."""


@dataclass(frozen=True)
class RatioCheck:
    """Customers per arm beside what the shares make one expect.

    Attributes
    ----------
    arms
        Their names.
    found, expected
        Customers.
    p_value
        Of Pearson's chi-square test; NaN without customers.
    """

    arms: tuple[str, ...]
    found: tuple[int, ...]
    expected: tuple[float, ...]
    p_value: float

    @property
    def broken(self) -> bool:
        """Whether chance does not explain the numbers."""
        return self.p_value < THRESHOLD

    @property
    def verdict(self) -> str:
        """What it means, in words."""
        if not sum(self.found):
            return "There are no customers."
        told = ", ".join(
            f"{arm} {n:,} ({wanted:,.0f} expected)"
            for arm, n, wanted in zip(self.arms, self.found, self.expected, strict=True)
        )
        if self.broken:
            return (
                f"The arms do not hold the customers they should: {told}; chance does it with p = {self.p_value:.2g}."
            )
        return f"The arms hold the customers they should: {told}; p = {self.p_value:.2g}."


def ratio_check(arms: Sequence[str], found: Sequence[int], shares: Sequence[float]) -> RatioCheck:
    """Return whether customers per arm agree with the arms' shares, by Pearson's chi-square test.

    ``sum((found - expected)² / expected)`` on (arms - 1) degrees of freedom (Pearson 1900).

    >>> [ratio_check(["a", "b"], [n, 10_000 - n], [0.5, 0.5]).broken for n in (5000, 5300)]
    [False, True]
    """
    counts, parts = np.asarray(found, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    expected = counts.sum() * parts / parts.sum()
    p = nan
    if counts.sum() > 0:
        p = float(chdtrc(len(counts) - 1, ((counts - expected) ** 2 / expected).sum()))
    return RatioCheck(tuple(arms), tuple(int(n) for n in found), tuple(expected.tolist()), p)
