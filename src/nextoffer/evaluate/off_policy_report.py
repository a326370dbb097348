"""All that a log says of a new policy: figures as a table, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa

from nextoffer.evaluate.off_policy import ESTIMATORS, WITHOUT_MODEL, Log, Modelled, difference, on_policy
from nextoffer.evaluate.overlap import Overlap
from nextoffer.intervals import Interval
from nextoffer.tables.flow import REPORT

OLD = "logged"
NAMES: Mapping[str, str] = {
    OLD: "what the logged offers earned",
    "ips": "inverse propensity scores",
    "snips": "the same, self-normalised",
    "dm": "reward model alone (its error is not in the interval)",
    "dr": "doubly robust",
    "switch_dr": "doubly robust, great weights left to the model",
    "gain": "gain over the logged policy",
}

BANDS = pa.schema(
    [
        ("above", pa.float64()),
        ("up_to", pa.float64()),
        ("decisions", pa.int64()),
        ("share_of_decisions", pa.float64()),
        ("share_of_weight", pa.float64()),
    ]
)
"""The weights of a log in bands, from -inf (no weight at all) to inf."""
_EDGES = np.array([-np.inf, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, np.inf])


def bands(log: Log) -> pa.Table:
    """Return how many decisions have weights of each size, and how much of all weight those carry: `BANDS`."""
    band = np.searchsorted(_EDGES, log.weights, side="left") - 1
    counts = np.bincount(np.maximum(band, 0), minlength=len(_EDGES) - 1)
    weight = np.bincount(np.maximum(band, 0), log.weights, minlength=len(_EDGES) - 1)
    columns = (_EDGES[:-1], _EDGES[1:], counts, counts / max(len(log), 1), weight / max(float(weight.sum()), 1e-300))
    return pa.table(dict(zip(BANDS.names, columns, strict=True)), schema=BANDS)


@dataclass(frozen=True)
class Judged:
    """What a log says of a new policy.

    Attributes
    ----------
    found
        By the names of `NAMES`: an interval each.
    overlap
        How far the log bears on it.
    notes
        What else should be known of the log.
    weights
        `BANDS`.
    """

    found: Mapping[str, Interval]
    overlap: Overlap
    notes: tuple[str, ...] = ()
    weights: pa.Table = field(default_factory=BANDS.empty_table)

    @classmethod
    def of(cls, log: Log, modelled: Modelled | None, notes: tuple[str, ...] = ()) -> Judged:
        """Return all estimates; without a reward model those that need none."""
        found = {OLD: on_policy(log)}
        if modelled is None:
            nothing = Modelled(log.rewards * 0, log.rewards * 0)
            found |= {name: ESTIMATORS[name](log, nothing) for name in WITHOUT_MODEL}
            found["gain"] = difference(log, nothing)
        else:
            found |= {name: estimate(log, modelled) for name, estimate in ESTIMATORS.items()}
            found["gain"] = difference(log, modelled)
        return cls(found, Overlap.of(log), notes, bands(log))

    @property
    def table(self) -> pa.Table:
        """Columns of `nextoffer.tables.flow.REPORT`; n is customers."""
        rows = [
            {"metric": "value", "model": name, "split": "", "group": "", **vars(interval)}
            for name, interval in self.found.items()
        ]
        return pa.Table.from_pylist(rows, schema=REPORT)

    @property
    def best(self) -> str:
        """The estimator to go by: doubly robust where there is a reward model, else the self-normalised one."""
        return "dr" if "dr" in self.found else "snips"

    @property
    def headline(self) -> str:
        """One sentence for whoever decides."""
        gain = self.found["gain"]
        if not self.overlap.effective:
            return "The log says nothing of the new policy: it would have made none of the logged offers."
        if not (isfinite(gain.low) and isfinite(gain.high)):
            return "The log says too little to decide by. Test the new policy on some customers instead."
        said = f"{gain.estimate:+.4f} per decision ({gain.low:+.4f} to {gain.high:+.4f})"
        if self.overlap.poor:
            return f"The log says too little to decide by: {said}. Test the new policy on some customers instead."
        if gain.low > 0:
            return f"The new policy earns more than the logged one: {said}."
        if gain.high < 0:
            return f"The new policy earns less than the logged one: {said}."
        return f"The log does not tell the policies apart: {said}."

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values; what is not known is None."""
        told = {
            "headline": self.headline,
            "estimates": self.table.to_pylist(),
            "overlap": self.overlap.to_dict(),
            "notes": list(self.notes),
            "weights": self.weights.to_pylist(),
        }
        return {name: _plain(value) for name, value in told.items()}


def _plain(value: Any) -> Any:
    """The value as JSON wants it."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value
