"""The report on fairness as a page."""

from __future__ import annotations

from collections.abc import Iterator

from nextoffer.evaluate.disparity import LEAST, REFERENCE, TOO_FEW
from nextoffer.evaluate.fair_words import About, Told, headline, summary
from nextoffer.evaluate.fairness import (
    EXPOSURE,
    FIRST,
    OPPORTUNITY,
    SELECTION,
    Fairness,
    Groups,
    opened,
)
from nextoffer.evaluate.forest import Forest, Lift
from nextoffer.evaluate.funnel import STEPS
from nextoffer.evaluate.page import DataTable, Drawing, ReportPage, Section
from nextoffer.evaluate.wording import UNKNOWN, bounds, count, percent, signed
from nextoffer.intervals import Interval, rate

_WIDEST = 5.0  # ratios whose interval reaches beyond are left to the tables
_FORMS = (count, count, signed)
_STEPS = {"offered": "offered", "rank1": "first offer"}


def fairness_page(found: Fairness, about: About, remedy: Told | None = None) -> ReportPage:
    """Return the page; with a remedy, what was found of it comes first."""
    facts = (
        ("As of", about.as_of),
        ("Customers", count(about.customers)),
        ("Model", about.model),
        ("Policy", about.policy),
        ("Objective", about.objective),
        ("Line", f"{about.line:g}"),
    )
    sections = [section for groups in found.columns for section in _sections(groups, about)]
    return ReportPage(
        about.bank,
        facts,
        headline(found, about),
        tuple(summary(found, about)),
        (*(() if remedy is None else (_remedy(remedy, about),)), *sections, _reading(about)),
        mast="NextOffer fairness report",
    )


def _remedy(remedy: Told, about: About) -> Section:
    unit = f", {about.currency}" if about.currency else ""
    levers = DataTable(
        ("Lever on", "Weight"), [[f"{kind} {of}", f"{w:g}"] for kind, of, w in remedy.levers], frozenset(["Weight"])
    )
    columns = (f"Expected value{unit}", "Old", "New", "Difference")
    rows = [
        [name, *(f"{form(each.estimate)}\n{bounds(each, form)}" for each, form in zip(values, _FORMS, strict=True))]
        for name, values in remedy.prices.items()
    ]
    return Section(
        "The remedy",
        "\n\n".join(remedy.sentences),
        (levers, DataTable(columns, rows, numeric=frozenset(columns[1:]))) if remedy.levers else (),
        layout="below",
    )


def _sections(groups: Groups, about: About) -> Iterator[Section]:
    name = groups.by.replace("_", " ").capitalize()
    yield Section(
        f"{name}: who gets the first offer",
        "Each dot is how often a group gets the product as its first offer, against how often the reference group "
        f"does: 1 is equal, and the dashed line is {about.line:g}. The line through the dot is its 95 % interval. "
        "Only where all of it lies left of the dashed line does the group surely fare worse. Ratios known too badly "
        "to draw are in the table.",
        tuple(_forests(groups, SELECTION, about)),
        layout="below",
    )
    yield Section(
        f"{name}: stage by stage",
        "The share of each group's customers who have a product left after each stage, and beneath it the ratio to the "
        "reference group's.",
        (_funnel(groups),),
        layout="below",
    )
    yield Section(
        f"{name}: where the gap opens",
        "Of the customers whom the stage before let through, each stage lets pass so many of a group for one of the "
        "reference group. The stage where this ratio is lowest opens the gap. The rule is the one of that stage "
        "that stops the group's pairs most often beyond the reference's.",
        (_openings(groups),),
        layout="below",
    )
    yield Section(
        f"{name}: exposure",
        "An offer in second place is looked at less than one in the first: each counts 1 / log2(1 + rank). Compared "
        "is the mean over all customers of a group.",
        tuple(_forests(groups, EXPOSURE, about)),
        layout="below",
    )
    if about.later_acceptances:
        yield Section(
            f"{name}: opportunity",
            "Among the customers who accepted an offer later, the share who are offered what they then took. Only "
            "offers that were made could be accepted, so this inherits what was offered then.",
            (_opportunity(groups),),
        )
    if about.later_offers:
        yield Section(
            f"{name}: calibration",
            "Acceptances for each that the model expected, of later offers: 1 is right. Above 1 a group accepts "
            "more than the model believes, and comes later in the ranking than it should.",
            tuple(_calibration(groups)),
        )


def _forests(groups: Groups, measure: str, about: About) -> Iterator[Drawing]:
    for group in groups.judged:
        lifts = []
        for scope in groups.shown:
            found, words = groups.compared(scope, group, measure)
            if words not in (REFERENCE, TOO_FEW) and found.high <= _WIDEST:
                shifted = Interval(found.estimate - 1, found.low - 1, found.high - 1, found.n)
                lifts.append(Lift(_scope(groups, scope), shifted))
        if lifts:
            title = f"{groups.by.replace('_', ' ').capitalize()} {groups.names[group]}"
            yield Forest(title, tuple(lifts), form=lambda x: f"{1 + x:.2f}", mark=about.line - 1)


def _scope(groups: Groups, scope: int) -> str:
    return "any offer" if scope == 0 else groups.scopes.names[scope]


def _funnel(groups: Groups) -> DataTable:
    heads = tuple(_STEPS.get(step, step) for step in STEPS[1:])
    rows = []
    for group in groups.there:
        cells = []
        for step in STEPS[1:]:
            found, words = groups.compared(0, group, SELECTION, step)
            mean = groups.selection(0, step, group)
            told = words if words in (REFERENCE, TOO_FEW) else f"{found.estimate:.2f} ({bounds(found, _two)})"
            cells.append(f"{percent(mean.estimate)}\n{told}")
        rows.append([f"{groups.names[group]}\n{count(groups.size(group))} customers", *cells])
    return DataTable(("Group", *heads), rows, numeric=frozenset(heads))


def _openings(groups: Groups) -> DataTable:
    columns = ("Group", "Of", "First offer", "Verdict", "The gap opens at")
    rows = []
    for group in groups.judged:
        for scope in groups.shown:
            found, words = groups.compared(scope, group, SELECTION, FIRST)
            opening = groups.opening(scope, group)
            if words == REFERENCE or opening is None:
                continue
            where = opened(opening) if found.estimate < 1 else UNKNOWN
            rows.append([groups.names[group], _scope(groups, scope), _ratio(found), words, where])
    return DataTable(columns, rows, numeric=frozenset(["First offer"]))


def _opportunity(groups: Groups) -> DataTable:
    columns = ("Group", "Accepted later", "Offered what they took", "Ratio", "Verdict")
    rows = []
    for group in groups.there:
        mean = groups.opportunity(0, group)
        found, words = groups.compared(0, group, OPPORTUNITY)
        share = rate(mean.total, mean.n)
        told = f"{percent(share.estimate)}\n{bounds(share, percent)}" if mean.n else UNKNOWN
        rows.append([groups.names[group], count(mean.n), told, _ratio(found), words])
    return DataTable(columns, rows, numeric=frozenset(columns[1:4]))


def _calibration(groups: Groups) -> Iterator[Drawing]:
    found = [(g, each) for k, key, each in groups.rows() if k == "calibration" for g in [key]]
    lifts = tuple(
        Lift(key["group"], Interval(value.estimate - 1, value.low - 1, value.high - 1, value.n))
        for key, value in found
        if key["measure"] == "accepted / expected"
    )
    if lifts:
        yield Forest("Accepted for each expected", lifts, form=lambda x: f"{1 + x:.2f}")


def _ratio(found: Interval) -> str:
    return UNKNOWN if found.low != found.low else f"{found.estimate:.2f}\n{bounds(found, _two)}"


def _two(value: float) -> str:
    return f"{value:.2f}"


def _reading(about: About) -> Section:
    return Section(
        "How to read this",
        f"The four-fifths rule (EEOC 1978) takes a rate below {about.line:g} of the highest group's as a sign of "
        "adverse impact. It is a sign, not a proof: a gap may have a lawful reason, and a ratio above the line is "
        "no acquittal. Intervals are those of the log of the ratio (Katz et al. 1978), by customer; groups of fewer "
        f"than {LEAST} are named and not judged. Of many comparisons a few are below the line by chance: look at "
        "those that stand out, and again on other days.\n\nSensitive columns are read for these figures alone. No "
        "feature, rule or score sees them.",
        (),
    )
