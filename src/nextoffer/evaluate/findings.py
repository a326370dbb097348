"""Findings of a card or a validation: what a reviewer must know, how grave it is, and the rule that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from nextoffer.evaluate.markdown import table

Severity = Literal["high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low")
MEANING = {
    "high": "do not use before it is mended or accepted by name",
    "medium": "use under watch; mend at the next fit",
    "low": "know it",
}


@dataclass(frozen=True)
class Finding:
    """One thing a reviewer must know.

    Attributes
    ----------
    severity
        How grave it is; see `MEANING`.
    area
        The section it belongs to.
    text
        What was found, with its figure.
    rule
        The stated rule by which it is a finding of this severity.
    """

    severity: Severity
    area: str
    text: str
    rule: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return dict(vars(self))


def gravest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by severity, in their own order within it."""
    return tuple(sorted(findings, key=lambda each: SEVERITIES.index(each.severity)))


def counted(findings: Sequence[Finding]) -> str:
    """Return how many findings there are of each severity, in words.

    >>> counted([Finding("low", "a", "b", "c")]), counted([])
    ('1 low finding', 'no findings')
    """
    counts = Counter(each.severity for each in findings)
    parts = [f"{counts[s]} {s}" for s in SEVERITIES if counts[s]]
    if not parts:
        return "no findings"
    words = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"{words} finding{'' if len(findings) == 1 else 's'}"


@dataclass(frozen=True)
class FindingList:
    """Findings as a table."""

    findings: tuple[Finding, ...]

    def draw(self) -> str:
        """Return the table as HTML."""
        if not self.findings:
            return '<p class="none">No findings.</p>'
        rows = "".join(
            f'<tr><td><span class="severity {each.severity}">{each.severity}</span></td><td>{escape(each.area)}</td>'
            f"<td>{escape(each.text)}<small>{escape(each.rule)}</small></td></tr>"
            for each in self.findings
        )
        head = "<th>Severity</th><th>Of</th><th>Finding, and the rule that makes it one</th>"
        return f'<table class="data findings"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'

    def markdown(self) -> str:
        """Return the table as Markdown."""
        if not self.findings:
            return "No findings."
        rows = [(each.severity, each.area, f"{each.text}\n({each.rule})") for each in self.findings]
        return table(("Severity", "Of", "Finding, and the rule that makes it one"), rows)
