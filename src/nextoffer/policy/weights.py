"""How much each feature matters to each offer, against the average customer for the same product.

Kept feature by feature, and always added up in the order of the features: numpy's own sums pick their order by the
shape of the array, and a customer's reasons must not depend on who else is in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nextoffer.policy.batch import Pairs
from nextoffer.policy.catalogue import Side
from nextoffer.policy.file import ReasonLimits
from nextoffer.tables.flow import Indices

Weight = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Weights:
    """What m pairs owe to each of F features.

    Attributes
    ----------
    relative
        float32 (F, m): contribution less the average customer's; its negative on the side against an offer.
    least
        float32 (m,): a reason must carry at least this much; always above 0.
    single
        For every feature, the pairs to which it is material by itself.
    """

    relative: Weight
    least: Weight
    single: tuple[Indices, ...]

    @classmethod
    def of(cls, pairs: Pairs, side: Side, limits: ReasonLimits) -> Weights:
        """Return the weights of the pairs' features on one side, with the limits of what matters."""
        scores = pairs.batch.scores
        average = np.ascontiguousarray(scores.average.T, dtype=np.float32)
        relative = np.array(scores.contributions(pairs.rows, pairs.cols).T, dtype=np.float32, order="C")
        relative -= average[:, pairs.cols]
        if side == "against":
            np.negative(relative, out=relative)
        least = _least(relative, limits)
        feature, at = np.nonzero(relative >= least)
        bounds = np.searchsorted(feature, np.arange(len(relative) + 1))
        return cls(relative, least, tuple(at[a:b] for a, b in pairwise(bounds)))

    def material(self, members: tuple[int, ...]) -> tuple[Weight, Indices]:
        """Return the summed weight (m,) of some features, and the pairs to which the sum is material."""
        if len(members) == 1:
            return self.relative[members[0]], self.single[members[0]]
        together = self.relative[members[0]].copy()
        for feature in members[1:]:
            together += self.relative[feature]
        return together, np.flatnonzero(together >= self.least)


def floor(limits: ReasonLimits) -> np.float32:
    """Return the least log-odds that any reason must carry: above 0."""
    return np.float32(max(np.float32(limits.min_log_odds), np.finfo(np.float32).tiny))


def _least(relative: Weight, limits: ReasonLimits) -> Weight:
    """Return max(share × all that is positive, log-odds) for each pair, or the smallest number above 0."""
    positive = np.zeros(relative.shape[1], dtype=np.float32)
    for feature in relative:
        positive += np.maximum(feature, 0)
    return np.asarray(np.maximum(np.float32(limits.min_share) * positive, floor(limits)), dtype=np.float32)
