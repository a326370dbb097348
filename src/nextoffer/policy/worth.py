"""What an offer is worth: the numbers that stand beside it in the decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nextoffer.policy.arms import CHAMPION
from nextoffer.policy.batch import Batch
from nextoffer.policy.priority import Priority
from nextoffer.policy.ranking import Ranking
from nextoffer.tables.flow import Floats


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

    What is said of value is NaN without a margin.
    """
    rows, cols = ranking.rows, ranking.cols
    pairs = Priority.of(batch, ranking.book.terms).pairs(rows, cols)
    return Worth(
        score=pairs.propensity if ranking.sorted is None else ranking.sorted[rows, cols],
        propensity=pairs.propensity,
        uplift=pairs.uplift,
        value=pairs.value,
        expected_value=pairs.expected_value,
        context_weight=pairs.context_weight,
        lever=pairs.lever,
        pscore=ranking.pscore(rows, cols),
        arm=ranking.arm[rows],
        arms=ranking.book.arms,
    )
