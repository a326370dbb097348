"""How far offers move when what is known of customers is changed: figures of before and after, with intervals.

A change is judged by the customers whose values it really changes. *Mean change of propensity* is the mean of |after −
before| over products and customers, with Student's interval by customer; shares of customers have Wilson's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.intervals import Interval, mean_of_sums, rate
from nextoffer.tables.flow import Floats, Indices

Flags = npt.NDArray[np.bool_]

MOVED, FIRST, STOPPED, REORDERED, KEPT = (
    "mean |change of propensity|",
    "first offer changes",
    "first offer stopped by a rule",
    "first offer changes by the scores",
    "offers kept",
)
FEATURE, FAMILY, NOISE, REFIT = "feature", "family", "noise", "refit"
SENSITIVITY = pa.schema(
    [
        *((name, pa.string()) for name in ("kind", "feature", "label", "change", "metric")),
        *((name, pa.float64()) for name in ("estimate", "low", "high")),
        ("n", pa.int64()),
    ]
)
"""A figure for each change of each input: what was changed, how, and what came of it; n customers."""


@dataclass(frozen=True)
class Outcome:
    """What n customers are offered, and with which propensity.

    Attributes
    ----------
    propensity
        float64 (n, P).
    first
        intp (n,): the product offered first, −1 where nothing is offered.
    offered
        bool (n, P).
    stopped
        bool (n, P): stopped by a rule on who may have what, not by a limit on the number of offers.
    """

    propensity: Floats
    first: Indices
    offered: Flags
    stopped: Flags


@dataclass(frozen=True)
class Change:
    """What was changed: the kind of thing, its name and label, and how."""

    kind: str
    feature: str
    label: str
    change: str


def figures(before: Outcome, after: Outcome, changed: Flags) -> dict[str, Interval]:
    """Return what a change comes to, over the customers (n,) whose values it `changed`.

    `FIRST` is a share of those of them who are offered something before or after, `STOPPED` of those who were offered
    something before. `REORDERED` leaves those aside whom a rule took their first offer: what is left is the scores'
    doing. `KEPT` is the mean share of a customer's offers that is still made after.
    """
    rows = np.flatnonzero(changed)
    moved = np.abs(after.propensity[rows] - before.propensity[rows]).mean(axis=1) if len(rows) else np.zeros(0)
    someone = rows[(before.first[rows] >= 0) | (after.first[rows] >= 0)]
    had = rows[before.first[rows] >= 0]
    stopped = after.stopped[had, before.first[had]]
    open_ = someone[~(after.stopped[someone, before.first[someone]] & (before.first[someone] >= 0))]
    kept = (before.offered[had] & after.offered[had]).sum(axis=1) / np.maximum(before.offered[had].sum(axis=1), 1)
    return {
        MOVED: mean_of(moved),
        FIRST: rate(float((before.first[someone] != after.first[someone]).sum()), len(someone)),
        STOPPED: rate(float(stopped.sum()), len(had)),
        REORDERED: rate(float((before.first[open_] != after.first[open_]).sum()), len(open_)),
        KEPT: mean_of(kept),
    }


def mean_of(values: Floats) -> Interval:
    """Return the mean of one value per customer, with Student's interval.

    >>> mean_of(np.array([0.1, 0.1])).estimate
    0.1
    """
    return mean_of_sums(float(values.sum()), float((values * values).sum()), len(values))


def table_of(found: Sequence[tuple[Change, dict[str, Interval]]]) -> pa.Table:
    """Return changes and their figures as a tidy table (`SENSITIVITY`); a figure of nobody is left out."""
    rows: list[dict[str, Any]] = [
        vars(change) | {"metric": metric} | vars(value)
        for change, told in found
        for metric, value in told.items()
        if value.n
    ]
    return pa.Table.from_pylist(rows, schema=SENSITIVITY)


@dataclass(frozen=True)
class Course:
    """Which way a score goes as a number rises.

    Attributes
    ----------
    words
        ``rises``, ``falls``, ``flat``, or how often it turns.
    turns
        How often it turns; steps below a tenth of the whole swing do not count.
    swing
        Log-odds between the lowest and the highest bin.
    """

    words: str
    turns: int
    swing: float


def course(contributions: Sequence[float]) -> Course:
    """Return which way a shape goes.

    >>> course([0.0, 0.1, 0.5]).words, course([0.0, 1.0, 0.2]).words, course([0.0, 1.0, 0.98]).words
    ('rises', 'turns once', 'rises')
    """
    values = np.asarray(contributions, dtype=np.float64)
    swing = float(np.ptp(values)) if len(values) else 0.0
    if swing == 0:
        return Course("flat", 0, 0.0)
    ways = list(_ways(values, 0.1 * swing))
    turns = len(ways) - 1
    if turns < 1:
        return Course("rises" if not ways or ways[0] > 0 else "falls", 0, swing)
    return Course({1: "turns once", 2: "turns twice"}.get(turns, f"turns {turns} times"), turns, swing)


def _ways(values: Floats, least: float) -> Iterator[int]:
    """The ways the values go, +1 or −1, each once: a turn counts from `least` against the way gone so far."""
    way, extreme = 0, float(values[0])
    lowest = highest = extreme
    for value in map(float, values[1:]):
        lowest, highest = min(lowest, value), max(highest, value)
        if way == 0 and highest - lowest >= least:
            way = 1 if value == highest else -1
            extreme = value
            yield way
        elif way and (value - extreme) * way > 0:
            extreme = value
        elif way and (extreme - value) * way >= least:
            way, extreme = -way, value
            yield way
