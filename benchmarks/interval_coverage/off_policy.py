"""How often intervals of off-policy values hold the truth, for new policies near to the old one and far from it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from nextoffer.evaluate.off_policy import ESTIMATORS
from tests.evaluate.logs import SHARPNESS, logged, true_value

DECISIONS = 1000


def held(seed: int, repetitions: int, *, estimator: str, sharpness: float) -> float:
    """Return the share of logs in which the interval held the truth."""
    truth, hits = true_value(sharpness), []
    for k in range(repetitions):
        log, modelled = logged(seed * 100_000 + k, sharpness=sharpness, decisions=DECISIONS)
        found = ESTIMATORS[estimator](log, modelled)
        hits.append(found.low <= truth <= found.high)
    return float(np.mean(hits))


def _row(estimator: str, sharpness: float) -> tuple[str, float, str, Callable[[int, int], float]]:
    play = partial(held, estimator=estimator, sharpness=sharpness)
    return (
        f"off-policy {estimator}, sharpness {sharpness:g}",
        0.95,
        "at least" if estimator == "switch_dr" else "covers",
        play,
    )


ROWS = tuple(_row(estimator, sharpness) for estimator in ("ips", "snips", "dr", "switch_dr") for sharpness in SHARPNESS)
"""Name, nominal share, how it is to be read, and the function of seed and repetitions."""
