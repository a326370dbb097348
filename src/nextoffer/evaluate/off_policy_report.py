"""All that a log says of a new policy: figures as a table, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    """

    found: Mapping[str, Interval]
    overlap: Overlap
    notes: tuple[str, ...] = ()

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
        return cls(found, Overlap.of(log), notes)

    @property
    def table(self) -> pa.Table:
        """Columns of `nextoffer.tables.flow.REPORT`; n is customers."""
        rows = [
            {"metric": "value", "model": name, "split": "", "group": "", **vars(interval)}
            for name, interval in self.found.items()
        ]
        return pa.Table.from_pylist(rows, schema=REPORT)

    @property
    def headline(self) -> str:
        """One sentence for whoever decides."""
        gain = self.found["gain"]
        said = f"{gain.estimate:+.4f} per decision ({gain.low:+.4f} to {gain.high:+.4f})"
        if self.overlap.poor:
            return f"The log says too little to decide by: {said}. Test the new policy on some customers instead."
        if gain.low > 0:
            return f"The new policy earns more than the logged one: {said}."
        if gain.high < 0:
            return f"The new policy earns less than the logged one: {said}."
        return f"The log does not tell the policies apart: {said}."

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "headline": self.headline,
            "estimates": self.table.to_pylist(),
            "overlap": self.overlap.to_dict(),
            "notes": list(self.notes),
        }
