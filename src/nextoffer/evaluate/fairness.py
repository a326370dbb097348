"""Whether groups of customers get on equally, stage by stage: rates, ratios, verdicts, and where a gap opens.

The figures of one column of groups are a `Groups`; `Fairness` puts those of all columns into tidy tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan, nan
from typing import Any

import numpy as np
import pyarrow as pa

from nextoffer.evaluate.disparity import (
    BELOW,
    FOUR_FIFTHS,
    LEAST,
    REFERENCE,
    TOO_FEW,
    UNDECIDED,
    Mean,
    Stated,
    accepted_over_expected,
    ratio,
    verdict,
)
from nextoffer.evaluate.funnel import CONSIDERED, FIRST, OFFERED, STEPS, Funnel, Scopes
from nextoffer.evaluate.outcome import NOBODY
from nextoffer.intervals import Interval, mean_of_sums, rate

BEST, LARGEST = "best", "largest"
SELECTION, CONDITIONAL, EXPOSURE, OPPORTUNITY = "selection", "of those before", "exposure", "opportunity"
MOST_PRODUCTS = 10
"""Products that are judged one by one: those offered most."""

_KEYS = ("by", "scope", "of", "step", "measure", "group")
TABLES: Mapping[str, tuple[str, ...]] = {
    "rates": _KEYS,
    "ratios": (*_KEYS, "reference", "verdict"),
    "openings": ("by", "scope", "of", "group", "reference", "step", "rule", "verdict"),
    "calibration": ("by", "group", "measure", "verdict"),
}
"""The tables and what their rows are about; each has ``estimate, low, high, n`` beside."""

_Row = dict[str, Any]


@dataclass(frozen=True)
class Judging:
    """How groups are compared.

    Attributes
    ----------
    line
        The ratio below which a group fares too badly.
    reference
        `BEST`: the group with the highest rate of first offers; `LARGEST`: with the most customers; or a group's name.
    """

    line: float = FOUR_FIFTHS
    reference: str = BEST


@dataclass(frozen=True)
class Groups:
    """One column's groups, and the sums over their customers.

    Attributes
    ----------
    by, names
        The column, and its K groups.
    funnel, scopes
        What was summed.
    rules, stages
        The policy's rules, and the stage of each.
    judging
        How groups are compared.
    """

    by: str
    names: tuple[str, ...]
    funnel: Funnel
    scopes: Scopes
    rules: tuple[str, ...]
    stages: tuple[str, ...]
    judging: Judging

    @cached_property
    def shown(self) -> tuple[int, ...]:
        """The scopes that figures are given for: all, types of several products, and the products offered most."""
        offered = self.funnel.left[STEPS.index(OFFERED)].sum(axis=1)
        products = [s for s, kind in enumerate(self.scopes.kinds) if kind == "product"]
        most = sorted(products, key=lambda s: -offered[s])[:MOST_PRODUCTS]
        several = self.scopes.member.sum(axis=0) > 1
        types = [s for s, kind in enumerate(self.scopes.kinds) if kind == "product_type" and several[s]]
        return (0, *types, *most)

    @cached_property
    def there(self) -> tuple[int, ...]:
        """The groups that have customers."""
        return tuple(int(g) for g in np.flatnonzero(self.funnel.size > 0))

    @cached_property
    def judged(self) -> tuple[int, ...]:
        """The groups that have enough of them."""
        return tuple(g for g in self.there if self.funnel.size[g] >= LEAST)

    def size(self, group: int) -> int:
        """Return the customers of a group."""
        return int(self.funnel.size[group])

    def selection(self, scope: int, step: str, group: int) -> Mean:
        """Return the share of a group's customers with a product of the scope left after a step."""
        return Mean.of_rate(float(self.funnel.left[STEPS.index(step), scope, group]), self.size(group))

    def conditional(self, scope: int, step: str, group: int) -> Mean:
        """Return the same share of those who had one left before the step."""
        place = STEPS.index(step)
        before, left = (float(self.funnel.left[k, scope, group]) for k in (place - 1, place))
        return Mean.of_rate(left, int(before))

    def exposure(self, scope: int, group: int) -> Mean:
        """Return the mean exposure of the scope's products to a group's customers."""
        sums = self.funnel
        return Mean(
            float(sums.exposure[scope, group]), float(sums.exposure2[scope, group]), self.size(group), counted=False
        )

    def opportunity(self, scope: int, group: int) -> Mean:
        """Return the share of those who took up a product of the scope later, to whom it is offered."""
        return Mean.of_rate(float(self.funnel.served[scope, group]), int(self.funnel.takers[scope, group]))

    def reference(self, scope: int) -> int | None:
        """Return the group that the others are compared with; None where no group has enough customers."""
        wanted = self.judging.reference
        if wanted in self.names:
            return self.names.index(wanted)
        known = [g for g in self.judged if self.names[g] != NOBODY]
        if not known:
            return None
        if wanted == LARGEST:
            return max(known, key=self.size)
        return max(known, key=lambda g: (self.selection(scope, FIRST, g).estimate, self.size(g)))

    def compared(self, scope: int, group: int, measure: str, step: str = FIRST) -> tuple[Interval, str]:
        """Return a group's ratio to the reference, and the verdict."""
        reference = self.reference(scope)
        if reference is None:
            return Interval(nan, nan, nan, self.size(group)), TOO_FEW
        mine, theirs = (self._mean(scope, g, measure, step) for g in (group, reference))
        found = ratio(mine, theirs)
        if group == reference:
            return Interval(found.estimate, nan, nan, mine.n), REFERENCE
        return found, verdict(found, customers=min(mine.n, theirs.n), line=self.judging.line)

    def _mean(self, scope: int, group: int, measure: str, step: str) -> Mean:
        if measure == EXPOSURE:
            return self.exposure(scope, group)
        if measure == OPPORTUNITY:
            return self.opportunity(scope, group)
        return (self.selection if measure == SELECTION else self.conditional)(scope, step, group)

    def opening(self, scope: int, group: int) -> tuple[str, str, Interval] | None:
        """Return the step whose conditional ratio is lowest, its rule that stops the group most beyond the reference's.

        None where no step has enough customers of both groups; the rule is empty where better offers stand before.
        """
        reference = self.reference(scope)
        if reference is None:
            return None
        found = []
        for step in STEPS[1:]:
            mine, theirs = (self.conditional(scope, step, g) for g in (group, reference))
            value = ratio(mine, theirs)
            if min(mine.n, theirs.n) >= LEAST and not isnan(value.estimate):
                found.append((value.estimate, step, value))
        if not found:
            return None
        _, step, value = min(found, key=lambda each: each[0])
        return step, self._rule(scope, step, group, reference), value

    def _rule(self, scope: int, step: str, group: int, reference: int) -> str:
        """Return the rule of a step that stops more of the group's pairs than of the reference's, by the most."""
        pairs = self.funnel.stopped[:, self.scopes.member[:, scope]].sum(axis=1)
        more = pairs[:, group] / self.size(group) - pairs[:, reference] / self.size(reference)
        mine = [r for r, stage in enumerate(self.stages) if self._step_of(r, stage) == step and more[r] > 0]
        return self.rules[max(mine, key=lambda r: more[r])] if mine else ""

    def _step_of(self, rule: int, stage: str) -> str:
        return OFFERED if rule == len(self.rules) - 1 else stage

    def stated(self, group: int) -> Stated:
        """Return what was stated of the group's later offers, and what happened."""
        return Stated(*(int(x) for x in self.funnel.answers[:2, group]), *map(float, self.funnel.answers[2:, group]))

    def rows(self) -> Iterator[tuple[str, _Row, Interval]]:
        """Yield table, key and value of each figure."""
        for scope in self.shown:
            key = {"by": self.by, "scope": self.scopes.kinds[scope], "of": self.scopes.names[scope]}
            for measure, step in self._measures():
                for group in self.there:
                    yield from self._figure({**key, "step": step, "measure": measure}, scope, group)
            yield from self._openings(key, scope)
        yield from self._calibration()

    def _measures(self) -> Iterator[tuple[str, str]]:
        yield from ((SELECTION, step) for step in STEPS[1:])
        yield from ((CONDITIONAL, step) for step in STEPS[1:])
        yield EXPOSURE, ""
        if self.funnel.takers.sum():
            yield OPPORTUNITY, ""

    def _figure(self, key: _Row, scope: int, group: int) -> Iterator[tuple[str, _Row, Interval]]:
        measure, step = key["measure"], key["step"]
        mean = self._mean(scope, group, measure, step)
        told = {**key, "group": self.names[group]}
        yield "rates", told, _interval(mean)
        reference = self.reference(scope)
        found, words = self.compared(scope, group, measure, step)
        yield (
            "ratios",
            {**told, "reference": "" if reference is None else self.names[reference], "verdict": words},
            found,
        )

    def _openings(self, key: _Row, scope: int) -> Iterator[tuple[str, _Row, Interval]]:
        reference = self.reference(scope)
        for group in self.judged:
            opening = self.opening(scope, group)
            if opening is None or group == reference or reference is None:
                continue
            step, rule, value = opening
            words = self.compared(scope, group, SELECTION)[1]
            told = {"group": self.names[group], "reference": self.names[reference], "step": step, "rule": rule}
            yield "openings", {**key, **told, "verdict": words}, value

    def _calibration(self) -> Iterator[tuple[str, _Row, Interval]]:
        for group in self.there:
            stated = self.stated(group)
            if not stated.offers:
                continue
            found = accepted_over_expected(stated)
            words = TOO_FEW if stated.customers < LEAST else _calibrated(found)
            key = {"by": self.by, "group": self.names[group], "verdict": words}
            level = stated.accepted / stated.offers
            expects = stated.expected / stated.offers
            per_offer = Interval(level, found.low * expects, found.high * expects, found.n)
            yield "calibration", {**key, "measure": "accepted"}, per_offer
            expected = Interval(expects, nan, nan, stated.customers)
            yield "calibration", {**key, "measure": "expected"}, expected
            yield "calibration", {**key, "measure": "accepted / expected"}, found


@dataclass(frozen=True)
class Disparity:
    """A group that gets on worse than the reference: which, at what, how much, and where that comes from."""

    groups: Groups
    scope: int
    group: int
    step: str
    value: Interval

    @property
    def told(self) -> str:
        """It in one sentence."""
        groups, reference = self.groups, self.groups.reference(self.scope)
        what = "an offer" if self.scope == 0 else groups.scopes.names[self.scope]
        how = {FIRST: "first offered", OFFERED: "offered"}.get(self.step, f"left after {self.step}")
        told = (
            f"{groups.by} '{groups.names[self.group]}' is {how} {what} {self.value.estimate:.2f} times as often as "
            f"'{groups.names[reference] if reference is not None else ''}' "
            f"({self.value.low:.2f} to {self.value.high:.2f})"
        )
        opening = groups.opening(self.scope, self.group)
        return told if opening is None else f"{told}; the gap opens at {opened(opening)}"


def opened(opening: tuple[str, str, Interval]) -> str:
    """Return in words where a gap opens."""
    step, rule, value = opening
    why = rule or ("better offers come first" if step in (OFFERED, FIRST) else "")
    return f"{step} ({f'{why}, ' if why else ''}ratio {value.estimate:.2f} there)"


@dataclass(frozen=True)
class Fairness:
    """What was found of all columns."""

    columns: tuple[Groups, ...]

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """Every table of `TABLES`."""
        found: dict[str, list[tuple[_Row, Interval]]] = {name: [] for name in TABLES}
        for groups in self.columns:
            for name, key, value in groups.rows():
                found[name].append((key, value))
        return {name: _table(columns, found[name]) for name, columns in TABLES.items()}

    def disparities(self, step: str = FIRST, scopes: Sequence[int] | None = None) -> list[Disparity]:
        """Return what is surely below the line at a step, the lowest ratio first; of the scopes shown, or of others."""
        found = [
            Disparity(groups, scope, group, step, value)
            for groups in self.columns
            for scope in (groups.shown if scopes is None else scopes)
            for group in groups.judged
            for value, words in [groups.compared(scope, group, SELECTION, step)]
            if words == BELOW
        ]
        return sorted(found, key=lambda each: each.value.estimate)

    @property
    def judged(self) -> tuple[int, int]:
        """How many ratios of first offers there are to judge, and how many of them cannot be decided."""
        words = [
            g.compared(scope, group, SELECTION)[1] for g in self.columns for scope in g.shown for group in g.judged
        ]
        return sum(w != REFERENCE for w in words), sum(w == UNDECIDED for w in words)


def _interval(mean: Mean) -> Interval:
    if mean.counted:
        return rate(mean.total, mean.n)
    return mean_of_sums(mean.total, mean.squares, mean.n)


def _calibrated(found: Interval) -> str:
    if isnan(found.low):
        return UNDECIDED
    if found.low > 1:
        return "accepts more than expected"
    return "accepts less than expected" if found.high < 1 else "as expected"


def _table(columns: Sequence[str], rows: Sequence[tuple[_Row, Interval]]) -> pa.Table:
    texts = {name: pa.array([key[name] for key, _ in rows], pa.string()) for name in columns}
    numbers = {
        name: pa.array([None if isnan(x) else x for _, v in rows for x in [getattr(v, name)]], pa.float64())
        for name in ("estimate", "low", "high")
    }
    return pa.table({**texts, **numbers, "n": pa.array([v.n for _, v in rows], pa.int64())})


__all__ = ["BEST", "CONSIDERED", "FIRST", "LARGEST", "OFFERED", "Disparity", "Fairness", "Groups", "Judging", "opened"]
