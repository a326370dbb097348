"""The checks of a validation: each a figure with its interval against a stated limit, with a verdict that follows.

A verdict looks at the whole interval. *met*: all of it is within the limit; *missed*: all of it is outside;
*undecided*: the limit lies inside. A missed check is a finding of the check's severity, an undecided one of the next
lower, and what was not tested a low one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite, isnan
from typing import Any, Literal

import pyarrow as pa

from nextoffer.evaluate.findings import SEVERITIES, Finding, Severity
from nextoffer.evaluate.markdown import table
from nextoffer.evaluate.wording import UNKNOWN, Form, bounds, count, decimal
from nextoffer.intervals import Interval

Verdict = Literal["met", "missed", "undecided", "not tested"]
CHECKS = pa.schema(
    [
        *((name, pa.string()) for name in ("area", "tested")),
        *((name, pa.float64()) for name in ("estimate", "low", "high")),
        ("n", pa.int64()),
        *((name, pa.string()) for name in ("limit", "verdict", "severity")),
    ]
)


@dataclass(frozen=True)
class Check:
    """One thing tested.

    Attributes
    ----------
    area
        The section it stands in.
    tested
        What, in words that a figure can follow.
    found
        The figure with its interval; of a plain count both ends are the count. None where it was not tested.
    limit
        What it must keep, in words.
    verdict
        See the module.
    severity
        Of the finding where it is missed.
    form
        How the figure is written.
    note
        Which one it was, or why it was not tested.
    """

    area: str
    tested: str
    found: Interval | None
    limit: str
    verdict: Verdict
    severity: Severity
    form: Form = decimal
    note: str = ""

    @property
    def finding(self) -> Finding | None:
        """What a reviewer must know of it; None where it is met."""
        if self.verdict == "met":
            return None
        if self.found is None:
            return Finding("low", self.area, f"{self.tested}: not tested. {self.note}".strip(), "not tested: low")
        severity = self.severity if self.verdict == "missed" else lower(self.severity)
        word = {"missed": "the limit is missed", "undecided": "the limit lies within the interval"}[self.verdict]
        text = f"{self.tested}: {self.figure}; {word} ({self.limit}).{f' {self.note}' if self.note else ''}"
        rule = f"surely beyond the limit: {self.severity}; undecided: {lower(self.severity)}"
        return Finding(severity, self.area, text, rule)

    @property
    def figure(self) -> str:
        """The figure with its interval and n, in words."""
        if self.found is None:
            return UNKNOWN
        if self.found.low == self.found.high:
            return self.form(self.found.estimate)
        return f"{self.form(self.found.estimate)} ({bounds(self.found, self.form)}; n = {count(self.found.n)})"

    def row(self) -> dict[str, Any]:
        """Return it as a row of `CHECKS`."""
        value = self.found or Interval(float("nan"), float("nan"), float("nan"), 0)
        numbers = {n: None if isnan(v) else v for n, v in vars(value).items()}
        told = {"area": self.area, "tested": self.tested, "limit": self.limit}
        return {**told, **numbers, "verdict": self.verdict, "severity": self.severity}


def lower(severity: Severity) -> Severity:
    """Return the next lower severity.

    >>> lower("high"), lower("low")
    ('medium', 'low')
    """
    return SEVERITIES[min(SEVERITIES.index(severity) + 1, len(SEVERITIES) - 1)]


def exact(value: float, n: int) -> Interval:
    """Return a count, or a figure of all there are: known without error."""
    return Interval(float(value), float(value), float(value), n)


@dataclass(frozen=True)
class Examiner:
    """Makes the checks of one area."""

    area: str

    def at_least(
        self, tested: str, found: Interval, limit: float, *, severity: Severity, form: Form = decimal, note: str = ""
    ) -> Check:
        """Return the check that a figure is at least the limit."""
        verdict = _verdict(found.low >= limit, found.high < limit, found)
        return Check(self.area, tested, found, f"at least {form(limit)}", verdict, severity, form, note)

    def at_most(
        self, tested: str, found: Interval, limit: float, *, severity: Severity, form: Form = decimal, note: str = ""
    ) -> Check:
        """Return the check that a figure is at most the limit."""
        verdict = _verdict(found.high <= limit, found.low > limit, found)
        return Check(self.area, tested, found, f"at most {form(limit)}", verdict, severity, form, note)

    def within(
        self, tested: str, found: Interval, limits: tuple[float, float], *, severity: Severity, form: Form = decimal
    ) -> Check:
        """Return the check that a figure lies between two limits."""
        low, high = limits
        verdict = _verdict(low <= found.low and found.high <= high, found.high < low or found.low > high, found)
        return Check(self.area, tested, found, f"{form(low)} to {form(high)}", verdict, severity, form)

    def not_surely_below(
        self, tested: str, found: Interval, limit: float, *, severity: Severity, form: Form = decimal
    ) -> Check:
        """Return the check that a figure is not surely below the limit: what cannot be decided counts as met."""
        verdict: Verdict = "missed" if found.high < limit else "met"
        return Check(self.area, tested, found, f"not surely below {form(limit)}", verdict, severity, form)

    def none(self, tested: str, names: Sequence[str], of: int, *, severity: Severity) -> Check:
        """Return the check that there is none of something; `names` are those there are, out of `of`."""
        verdict: Verdict = "missed" if names else "met"
        note = f"{'; '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}." if names else ""
        return Check(self.area, tested, exact(len(names), of), "none", verdict, severity, count, note)

    def untested(self, tested: str, why: str) -> Check:
        """Return what was not tested, and why."""
        return Check(self.area, tested, None, UNKNOWN, "not tested", "low", note=why)


def _verdict(inside: bool, outside: bool, found: Interval) -> Verdict:
    if not (isfinite(found.low) and isfinite(found.high)):
        return "undecided"
    return "met" if inside else "missed" if outside else "undecided"


def findings_of(checks: Iterable[Check]) -> list[Finding]:
    """Return the findings of checks."""
    return [found for check in checks if (found := check.finding) is not None]


@dataclass(frozen=True)
class CheckTable:
    """Checks as a table with their verdicts."""

    checks: tuple[Check, ...]

    def draw(self) -> str:
        """Return the table as HTML."""
        head = "<th>Tested</th><th>Found</th><th>Limit</th><th>Verdict</th>"
        rows = "".join(
            f"<tr><td>{escape(c.tested)}{f'<small>{escape(c.note)}</small>' if c.note else ''}</td>"
            f"<td>{escape(_short(c))}<small>{escape(_beneath(c))}</small></td><td>{escape(c.limit)}</td>"
            f'<td><span class="verdict {c.verdict.replace(" ", "-")}">{c.verdict}</span></td></tr>'
            for c in self.checks
        )
        return f'<table class="data checks"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'

    def markdown(self) -> str:
        """Return the table as Markdown."""
        rows = [(f"{c.tested}\n{c.note}" if c.note else c.tested, c.figure, c.limit, c.verdict) for c in self.checks]
        return table(("Tested", "Found", "Limit", "Verdict"), rows)


def _short(check: Check) -> str:
    return UNKNOWN if check.found is None else check.form(check.found.estimate)


def _beneath(check: Check) -> str:
    found = check.found
    if found is None:
        return ""
    if found.low == found.high:
        return f"of {count(found.n)}"
    return f"{bounds(found, check.form)}; n = {count(found.n)}"
