"""A validation as a page under the headings of SR 11-7 (Federal Reserve, OCC 2011): chapters of checks and evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from nextoffer.evaluate import validation_checks as checks_of
from nextoffer.evaluate.backtest import Backtest
from nextoffer.evaluate.card import Card
from nextoffer.evaluate.card_words import about_data, about_method, avoided, intended
from nextoffer.evaluate.curves import Deciles, Reliability, Shapes
from nextoffer.evaluate.fair_words import About
from nextoffer.evaluate.fairness import Fairness
from nextoffer.evaluate.fairness_page import fairness_page
from nextoffer.evaluate.findings import MEANING, SEVERITIES, Finding, FindingList, counted, gravest_first
from nextoffer.evaluate.markdown import Bullets
from nextoffer.evaluate.page import DataTable, Drawing, ReportPage, Section
from nextoffer.evaluate.sensitivity import FAMILY, FEATURE, FIRST, KEPT, MOVED, NOISE, STOPPED, course
from nextoffer.evaluate.story import Cast, figures_section, ranking_section
from nextoffer.evaluate.trial_story import trial_sections
from nextoffer.evaluate.validation import Check, CheckTable, findings_of
from nextoffer.evaluate.validation_words import assumptions, limitations, monitoring, scope
from nextoffer.evaluate.wording import UNKNOWN, bounds, count, percent
from nextoffer.intervals import Interval

DRAWN = 9
_OUTCOMES = ("significance", "calibration_by_product")


@dataclass(frozen=True)
class Evidence:
    """All that a validation found.

    Attributes
    ----------
    card
        Of the model that is validated.
    champion
        What its kind is called in the backtest.
    given
        Whether a saved model was given; else the recipe's refit is what is validated.
    split, day
        The backtest fits before `split`; explanations, sensitivity and fairness are of `day`.
    found
        The backtest.
    tables
        Every tidy table by name; those not made are missing.
    fairness
        The figures by group with what they are about; None where none were asked for or possible.
    checks
        All checks, in the order of the chapters.
    relation
        How the figures relate to the model, in sentences.
    recipe
        What it takes to do it again: pairs of name and value.
    notes
        What could not be done, in plain words.
    """

    card: Card
    champion: str
    given: bool
    split: str
    day: str
    found: Backtest
    tables: Mapping[str, pa.Table]
    fairness: tuple[Fairness, About] | None
    checks: tuple[Check, ...]
    relation: tuple[str, ...]
    recipe: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of the checks and of the card, the gravest first; what both know is told once."""
        measured = findings_of(self.checks)
        covered = {"Ethical considerations"} if self.fairness is not None else set()
        known = [f for f in self.card.findings if not (f.area in covered and "sensitive column" in f.text)]
        return gravest_first([*measured, *known])

    def of(self, area: str) -> tuple[Check, ...]:
        """Return the checks of a chapter."""
        return tuple(check for check in self.checks if check.area == area)


@dataclass(frozen=True)
class _Chapter:
    title: str
    words: str
    body: tuple[Drawing, ...] = ()
    parts: tuple[Section, ...] = ()


def validation_page(evidence: Evidence) -> ReportPage:
    """Return the report."""
    card, found = evidence.card, evidence.findings
    facts = (
        ("Model", card.model_id if evidence.given else f"{card.model_id} (refit)"),
        ("Kind", card.ranker),
        ("Policy", card.policy_id),
        ("Learned before", card.as_of),
        ("Backtest from", evidence.split),
        ("NextOffer", card.read_by),
    )
    sections = [s for number, chapter in enumerate(_chapters(evidence), start=1) for s in _numbered(number, chapter)]
    return ReportPage(
        f"Validation: {card.bank}" if card.bank else "Validation",
        facts,
        headline(found),
        tuple(_summary(evidence)),
        tuple(sections),
        mast="NextOffer validation pack",
        contents=True,
    )


def headline(found: tuple[Finding, ...]) -> str:
    """Return the verdict in one sentence.

    >>> headline(())
    'Nothing found stands in the way of use: no findings.'
    """
    told = counted(found)
    if any(f.severity == "high" for f in found):
        return f"Not to be used as it stands: {told}."
    if any(f.severity == "medium" for f in found):
        return f"To be used under watch only: {told}."
    return f"Nothing found stands in the way of use: {told}."


def _summary(evidence: Evidence) -> Iterator[str]:
    verdicts = [check.verdict for check in evidence.checks]
    parts = [f"{verdicts.count(v)} {v}" for v in ("met", "missed", "undecided", "not tested") if v in verdicts]
    yield f"{len(verdicts)} checks against stated limits: {', '.join(parts)}."
    yield from evidence.relation[:1]
    yield from (f"High: {f.text}" for f in evidence.findings if f.severity == "high")


def _numbered(number: int, chapter: _Chapter) -> Iterator[Section]:
    yield Section(f"{number} {chapter.title}", chapter.words, chapter.body, "below")
    for place, part in enumerate(chapter.parts, start=1):
        yield replace(part, heading=f"{number}.{place} {part.heading}")


def _chapters(evidence: Evidence) -> Iterator[_Chapter]:
    meaning = "; ".join(f"{name}: {MEANING[name]}" for name in SEVERITIES)
    yield _Chapter(
        "Findings",
        f"All of them, the gravest first ({meaning}). Each comes of a rule that is printed beneath it: a check whose "
        "whole interval lies beyond its limit is missed; where the limit lies inside the interval it is undecided and "
        "counts one grade less; what was not tested counts low. Nobody's judgement is in this list; it is for the "
        "validator to add theirs.",
        (FindingList(evidence.findings),),
    )
    yield _Chapter(
        "Scope",
        "\n\n".join((*scope(evidence.given, evidence.split, evidence.day), *evidence.relation)),
        (Bullets(tuple(intended(evidence.card))), Bullets(tuple(avoided(evidence.card)))),
    )
    yield _soundness(evidence)
    yield _data(evidence)
    yield _outcomes(evidence)
    yield _sensitivity(evidence)
    yield _stability(evidence)
    yield _fairness(evidence)
    yield _Chapter(
        checks_of.EXPLAINED,
        "A score must be the sum of the parts that its reasons are made of; a customer must get the same score alone "
        "and in a batch, and the same offers when asked twice; and no column that bank.toml closes may be named by a "
        "feature, a rule or a reason. Tested on a keyed sample of customers with all products. What is a count of all "
        "there is has no interval.",
        (CheckTable(evidence.of(checks_of.EXPLAINED)),),
    )
    yield _Chapter(
        "Limitations",
        "What this validation cannot show.",
        (Bullets(tuple(limitations(evidence.card, evidence.notes))),),
    )
    columns = ("Watch", "Limit", "Where it comes from", "How often")
    yield _Chapter(
        "Ongoing monitoring plan",
        "Limits follow from what was measured here. nextoffer monitor watches them; docs/monitoring.md of NextOffer "
        "says how. When a limit is broken, fit anew and validate again.",
        (DataTable(columns, list(monitoring(evidence.found, evidence.champion, evidence.tables))),),
    )
    yield _Chapter(
        "Reproducibility",
        "With the same files, versions and seeds every figure comes out the same: what is random is keyed by customer, "
        "or seeded. The checksums of the model's files stand in card.md.",
        (DataTable(("What", "Value"), evidence.recipe),),
        (replace(figures_section(evidence.found.report, Cast(evidence.champion, "")), layout="below"),),
    )


def _soundness(evidence: Evidence) -> _Chapter:
    card = evidence.card
    shapes = [term.shape for term in card.terms if term.shape is not None][:DRAWN]
    parts = [
        Section(
            "Assumptions",
            "What must be true for the scores to mean what they say, and what speaks for it.",
            (Bullets(tuple(assumptions(card))),),
        )
    ]
    if shapes:
        rows = [(shape.label, course(shape.contributions).words) for shape in shapes if len(shape.edges)]
        listing = DataTable(("Of the numbers", "As it rises the score"), rows)
        parts.append(
            Section(
                "Shapes",
                "The strongest terms, each for the product it moves most. Is each plausible to who knows the "
                "customers? A turn counts where it takes back more than a tenth of the whole swing.",
                (
                    Shapes(tuple(shapes)),
                    listing,
                ),
                "below",
            )
        )
    if "ablations" in evidence.tables:
        parts += trial_sections({"ablations": evidence.tables["ablations"]}, evidence.champion)
    return _Chapter(
        checks_of.SOUND,
        "\n\n".join(about_method(card)),
        (CheckTable(evidence.of(checks_of.SOUND)),),
        tuple(parts),
    )


def _data(evidence: Evidence) -> _Chapter:
    rows = [
        (r["table"], count(r["rows"]), count(r["set_aside"]), percent(r["set_aside"] / r["rows"] if r["rows"] else 0.0))
        for r in evidence.tables["data"].to_pylist()
    ]
    columns = ("Table", "Rows", "Set aside", "Share")
    problems = [
        (r["severity"], r["where"], count(r["count"]), r["message"]) for r in evidence.tables["problems"].to_pylist()
    ]
    body: list[Drawing] = [CheckTable(evidence.of(checks_of.DATA)), DataTable(columns, rows, frozenset(columns[1:]))]
    if problems:
        body.append(DataTable(("Severity", "Where", "Rows", "Problem"), problems, frozenset({"Rows"})))
    return _Chapter(checks_of.DATA, "\n\n".join(about_data(evidence.card)), tuple(body))


def _outcomes(evidence: Evidence) -> _Chapter:
    champion, found = evidence.champion, evidence.found
    cast = Cast(champion, checks_of.HEURISTIC)
    parts = [ranking_section(found.report, cast)]
    if champion in found.reliability:
        parts.append(
            Section(
                "Calibration",
                "Offers by the propensity stated of them, in tenths. On the dashed line the model kept its word.",
                (Reliability(found.reliability[champion]),),
            )
        )
    if champion in found.deciles:
        words = "Offers made, highest score first, in tenths: acceptances over the overall rate."
        parts.append(Section("Lift by tenth", words, (Deciles(found.deciles[champion]),)))
    told = {n: t for n, t in evidence.tables.items() if n in _OUTCOMES or n.startswith("uplift")}
    parts += trial_sections(told, champion, by=found.report)
    made = (
        "the offers really made" if evidence.card.labels == "responses" else "the same pairs, for there are no answers"
    )
    words = (
        f"A backtest out of time: everything is fitted on what was known before {evidence.split} and judged on what "
        "came from then on, on the same customers and pairs as the baselines and the challenger. Ranking is judged on "
        "every pair that consent and eligibility allow (accepted later or not), discrimination and calibration on "
        f"{made}. Intervals are 95 %, from resampling customers 1,000 times."
    )
    return _Chapter(
        checks_of.OUTCOMES,
        words,
        (CheckTable(evidence.of(checks_of.OUTCOMES)),),
        tuple(part for part in parts if part is not None),
    )


def _sensitivity(evidence: Evidence) -> _Chapter:
    rows = evidence.tables["sensitivity"].to_pylist()
    return _Chapter(
        checks_of.SENSITIVE,
        "One input is changed at a time for a keyed sample of customers, everything that hangs on it is computed anew, "
        "and the policy decides again. Numbers stay within the range that was seen. Figures are of the customers whose "
        "value the change really changes. First offers change for two causes: the order of scores, or a rule that "
        "looks at the same input; the latter are told beside.",
        (CheckTable(evidence.of(checks_of.SENSITIVE)),),
        tuple(
            Section(heading, words, (_changes([r for r in rows if r["kind"] == kind]),), "below")
            for kind, heading, words in (
                (FEATURE, "One input at a time", "The features with the greatest effect."),
                (FAMILY, "A source that does not deliver", "All features of a family are not known, for everybody."),
                (NOISE, "Noise in every number", "Each number times 1 + share × a standard normal number."),
            )
            if any(r["kind"] == kind for r in rows)
        ),
    )


def _changes(rows: list[dict[str, Any]]) -> DataTable:
    keys = dict.fromkeys((r["label"], r["change"]) for r in rows)
    cells = {(r["label"], r["change"], r["metric"]): r for r in rows}
    columns = ("Changed", "How", "Mean |change| of propensity", "First offer changes", "By a rule", "Offers kept")
    told = [
        (label, change, *(_cell(cells.get((label, change, metric))) for metric in (MOVED, FIRST, STOPPED, KEPT)))
        for label, change in keys
    ]
    return DataTable(columns, told, numeric=frozenset(columns[2:]))


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return UNKNOWN
    low, high = (float("nan") if row[name] is None else row[name] for name in ("low", "high"))
    form = _points if row["metric"] == MOVED else percent
    found = Interval(row["estimate"], low, high, row["n"])
    return f"{form(found.estimate)}\n{bounds(found, form)}; n = {count(found.n)}"


def _points(value: float) -> str:
    """A small share in percent to two places."""
    return f"{100 * value:.2f} %"


def _stability(evidence: Evidence) -> _Chapter:
    tables = {n: evidence.tables[n] for n in ("origins", "learning_curve") if n in evidence.tables}
    return _Chapter(
        checks_of.STABLE,
        "Would another day, other folds or fewer customers have made another model? The recipe is fitted anew each "
        "time, and what is offered to the same sample of customers is compared.",
        (CheckTable(evidence.of(checks_of.STABLE)), _changes(evidence.tables["refits"].to_pylist())),
        trial_sections(tables, evidence.champion),
    )


def _fairness(evidence: Evidence) -> _Chapter:
    words = (
        "Groups of customers are compared with the group that fares best, against the four-fifths line, as nextoffer "
        "fairness does. Sensitive columns are read for these figures alone."
    )
    parts: tuple[Section, ...] = ()
    if evidence.fairness is not None:
        found, about = evidence.fairness
        parts = fairness_page(found, about).sections
    return _Chapter(checks_of.FAIR, words, (CheckTable(evidence.of(checks_of.FAIR)),), tuple(parts))
