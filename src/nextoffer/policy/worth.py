"""What an offer is worth: the numbers that stand beside it in the decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nextoffer.policy.batch import Batch
from nextoffer.policy.ranking import Ranking
from nextoffer.tables.flow import Floats

CHAMPION = "champion"


@dataclass(frozen=True)
class Worth:
    """The numbers of m offers, float64 (m,); NaN where not known.

    Attributes
    ----------
    score
        What is sorted.
    propensity, uplift
        P(accept), and how much of it the offer adds.
    value, expected_value
        What an acceptance earns, and what the offer earns on average, in the bank's currency.
    context_weight, lever
        What the policy weighs the offer with.
    pscore
        P(the policy chooses this offer for this rank, given the ranks before).
    arm
        int8: places in `arms`.
    arms
        Names of the policy's arms.
    """

    score: Floats
    propensity: Floats
    uplift: Floats
    value: Floats
    expected_value: Floats
    context_weight: Floats
    lever: Floats
    pscore: Floats
    arm: npt.NDArray[np.int8]
    arms: tuple[str, ...] = (CHAMPION,)


def worth_of(batch: Batch, ranking: Ranking) -> Worth:
    """Return the numbers of a batch's offers.

    The expected value is propensity × margin − cost: not known without a margin; a cost not known is 0.
    """
    propensity, cols = ranking.offered_propensity, ranking.cols
    count, one = len(cols), np.ones(len(cols))
    value = batch.product_column("margin")[cols]
    cost = np.nan_to_num(batch.product_column("cost"), nan=0.0)[cols]
    return Worth(
        score=propensity,
        propensity=propensity,
        uplift=np.full(count, np.nan),
        value=value,
        expected_value=propensity * value - cost,
        context_weight=one,
        lever=one,
        pscore=one,
        arm=np.zeros(count, dtype=np.int8),
    )
