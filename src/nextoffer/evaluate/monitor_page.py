"""The monitoring report as a page: the lights, then what moved, with pictures of then and now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from math import isnan
from typing import Any

from nextoffer.evaluate import monitoring
from nextoffer.evaluate.alarm import Check, Status
from nextoffer.evaluate.calibration import ReliabilityBin
from nextoffer.evaluate.curves import Reliability
from nextoffer.evaluate.monitoring import ADVICE, CHANGES, DAYS, KINDS, Moved, form_of
from nextoffer.evaluate.page import Drawing, ReportPage, Section
from nextoffer.evaluate.svg import box, drawing, line, shortened, text
from nextoffer.evaluate.wording import UNKNOWN, bounds, change, count, decimal, percent

_WIDE = 780.0
_PICTURES = 6
_ROWS = 25
_PLOT = 84.0
_NAMED = 5  # bins of which each is named; of more the first and the last


@dataclass(frozen=True)
class About:
    """What a monitoring report is about.

    Attributes
    ----------
    bank, as_of, fitted, model, policy
        Name, day looked at, day of the fit, ids.
    customers, there
        Looked at, and in the bank.
    notes
        What could not be judged, and other things a reader must know, in sentences.
    """

    bank: str
    as_of: str
    fitted: str
    model: str
    policy: str
    customers: int
    there: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self) | {"notes": list(self.notes)}


@dataclass(frozen=True)
class Lights:
    """Every kind of figure with its light."""

    rows: Sequence[tuple[str, Status, Check, int]]

    def draw(self) -> str:
        """Return the table as HTML."""
        head = "".join(f"<th>{name}</th>" for name in ("", "What", "Deciding figure", "What to do"))
        body = "".join(self._row(*row) for row in self.rows)
        return f'<table class="data lights"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'

    def _row(self, kind: str, status: Status, check: Check, figures: int) -> str:
        many = f"<small>{figures} figures</small>" if figures > 1 else ""
        subject = f"{escape(check.label)}: " if figures > 1 else ""
        advice = escape(ADVICE[kind]) if status in ("amber", "red") else ""
        lines = f"<small>{escape(_lines(check))}</small>"
        return (
            f"<tr><td>{_light(status)}</td><td>{escape(KINDS[kind])}{many}</td>"
            f"<td>{subject}{escape(check.text)}{lines}</td><td>{advice}</td></tr>"
        )


_WORDS = {"green": "green", "amber": "amber", "red": "red", "unknown": "not known", "told": "not judged"}


def _light(status: Status) -> str:
    kind = "unknown" if status == "told" else status
    return f'<span class="light {kind}">{_WORDS[status]}</span>'


def _lines(check: Check) -> str:
    """The interval of a figure, and its limits."""
    form = form_of(check)
    known = f"95 %: {bounds(check.now, form)} · " if not isnan(check.now.low) else ""
    if check.line is None:
        return known.removesuffix(" · ")
    amber, red = (_level(check.check, level) for level in vars(check.line).values())
    return f"{known}amber from {amber}, red from {red}"


def _level(kind: str, level: float) -> str:
    if kind in DAYS:
        return f"{level:g} days"
    if kind in ("drift", "propensity"):
        return f"{level:g}"
    if kind in CHANGES:
        return f"±{level:.0%}"
    if kind == "coverage":
        return f"{level:.0%}"
    return f"{100 * level:g} points lost" if kind == "auc" else f"±{100 * level:g} points"


@dataclass(frozen=True)
class LightTable:
    """Rows of text, each with its light; what follows a line break in a cell is set small beneath."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Status, Sequence[str]]]
    numeric: frozenset[str] = frozenset()

    def draw(self) -> str:
        """Return the table as HTML."""
        sides = [' class="number"' if name in self.numeric else "" for name in self.columns]
        head = "".join(f"<th{side}>{escape(name)}</th>" for name, side in zip(self.columns, sides, strict=True))
        body = "".join(
            f"<tr><td>{_light(status)}</td>"
            + "".join(f"<td{side}>{_cell(cell)}</td>" for cell, side in zip(cells, sides, strict=True))
            + "</tr>"
            for status, cells in self.rows
        )
        return f'<table class="data"><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(words: str) -> str:
    first, _, second = words.partition("\n")
    return f"{escape(first)}<small>{escape(second)}</small>" if second else escape(first)


@dataclass(frozen=True)
class ThenNow:
    """The shares of customers in each bin of columns, then and now, side by side."""

    moved: tuple[Moved, ...]
    columns: int = 2

    def draw(self) -> str:
        """Return the charts as SVG."""
        width, height = _WIDE / self.columns, _PLOT + 66.0
        shapes: list[str] = []
        for i, moved in enumerate(self.moved):
            corner = (width * (i % self.columns), height * (i // self.columns))
            shapes += _panel(moved, corner, width - 28.0)
        rows = -(-len(self.moved) // self.columns)
        told = "; ".join(f"{m.shape.label} PSI {decimal(m.apart.psi.estimate)}" for m in self.moved)
        return drawing(_WIDE, height * rows, shapes, label=f"Shares of customers then and now: {told}")


def _panel(moved: Moved, corner: tuple[float, float], width: float) -> Iterator[str]:
    shares = [[c / max(sum(each), 1) for c in each] for each in moved.counts]
    left, top = corner[0], corner[1] + 28.0
    bottom = top + _PLOT
    highest = max(max(each, default=0.0) for each in shares) or 1.0
    step = width / max(len(moved.bins), 1)
    yield text(left, corner[1] + 14, shortened(moved.shape.label, width - 90), kind="title")
    index = f"PSI {decimal(moved.apart.psi.estimate)}"
    yield text(left + width, corner[1] + 14, index, kind="bounds", anchor="end")
    for place, (name, then, now) in enumerate(zip(moved.bins, *shares, strict=True)):
        start = left + (place + 0.12) * step
        hint = f"{name}: then {percent(then)}, now {percent(now)}"
        for shift, share, kind in ((0.0, then, "old"), (0.38 * step, now, "new")):
            tall = (bottom - top) * share / highest
            yield box((start + shift, bottom - tall), (0.36 * step, tall), kind=kind, hint=hint)
        if len(moved.bins) <= _NAMED or place in (0, len(moved.bins) - 1):
            room = step + 2 if len(moved.bins) <= _NAMED else width / 2
            yield text(
                start + 0.38 * step, bottom + 15, shortened(name, room), kind="tick", anchor=_anchor(place, moved)
            )
    yield line((left, bottom), (left + width, bottom), kind="axis")


def _anchor(place: int, moved: Moved) -> str:
    if len(moved.bins) <= _NAMED:
        return "middle"
    return "start" if place == 0 else "end"


def monitor_page(
    checks: Sequence[Check],
    features: Sequence[Moved],
    propensities: Sequence[Moved],
    curve: Sequence[ReliabilityBin],
    *,
    about: About,
) -> ReportPage:
    """Return the page."""
    facts = (
        ("Bank", about.bank),
        ("As of", about.as_of),
        ("Fitted", about.fitted),
        ("Model", about.model),
        ("Policy", about.policy),
        ("Customers", count(about.customers)),
    )
    rows = monitoring.kind_rows(checks)
    guilty = [f"{c.label}: {c.text} {ADVICE[kind]}" for kind, status, c, _ in rows if status in ("amber", "red")]
    sections = [
        Section(
            "The lights",
            "A light is amber or red where a figure is surely beyond its limit and chance does not explain the "
            "change; a small bank needs a larger change for that than a large one. Where a kind has several figures "
            "the worst is shown, and their number is allowed for. Features that hardly move scores are told and not "
            "judged.",
            (Lights(rows),),
            layout="below",
        ),
        *_drift_sections(checks, features, propensities),
        *_answers_section(checks, curve),
        _reading(),
    ]
    title = f"{about.bank}: monitoring"
    return ReportPage(
        title,
        facts,
        monitoring.headline(checks),
        (*guilty, *about.notes),
        tuple(sections),
        mast="NextOffer monitoring report",
    )


def _drift_sections(
    checks: Sequence[Check], features: Sequence[Moved], propensities: Sequence[Moved]
) -> Iterator[Section]:
    for kind, moved, heading, words in (
        (
            "drift",
            features,
            "Have customers changed?",
            "Grey is the day of the fit, colour is now: the share of customers in each bin. The population stability "
            "index (PSI) adds up how far the two are apart: below 0.1 is little, above 0.25 is a lot. The share of "
            "effect is how much of all that features do to the scores is this one's.",
        ),
        (
            "propensity",
            propensities,
            "Have the model's answers changed?",
            "The same for the probability of acceptance that the model states of each product, whatever the rules say.",
        ),
    ):
        found = [c for c in checks if c.check == kind]
        if not found:
            continue
        by_name = {m.shape.name: m for m in moved}
        pictures = tuple(by_name[c.subject] for c in found[:_PICTURES] if c.now.estimate > 0)
        drawn = (ThenNow(pictures),) if pictures else ()
        yield Section(heading, words, (*drawn, _drift_table(found, by_name)), layout="below")


def _drift_table(checks: Sequence[Check], moved: dict[str, Moved]) -> Drawing:
    weighed = any(not isnan(c.importance) for c in checks)
    columns = (
        "Column",
        *(("Share of effect",) if weighed else ()),
        "PSI",
        "By chance",
        "JS, bits",
        "Missing then",
        "now",
    )
    rows = []
    for c in checks[:_ROWS]:
        m = moved[c.subject]
        shares = [
            percent(part / whole) if whole else UNKNOWN
            for part, whole in ((m.shape.missing, m.shape.customers), (m.now.missing, m.now.customers))
        ]
        index = f"{decimal(c.now.estimate)}\n{bounds(c.now, decimal)}"
        weight = [percent(c.importance)] if weighed else []
        cells = (c.label, *weight, index, decimal(m.apart.noise), decimal(m.apart.js.estimate), *shares)
        rows.append((c.status(), cells))
    return LightTable(columns, rows, numeric=frozenset(columns[1:]))


def _answers_section(checks: Sequence[Check], curve: Sequence[ReliabilityBin]) -> Iterator[Section]:
    found = [c for c in checks if c.check == "calibration" and c.now.n]
    if not found:
        return
    columns = ("Product", "Accepted against expected", "Offers", "In words")
    rows = [
        (c.status(), (c.label, f"{change(c.now.estimate)}\n{bounds(c.now, change)}", count(c.now.n), c.text))
        for c in found
    ]
    picture: tuple[Drawing, ...] = (Reliability(tuple(curve)),) if len(curve) > 1 else ()
    yield Section(
        "Are its probabilities still right?",
        "Offers made since the fit, by what the model says of their customers as they were before the offers. On the "
        "dashed line it kept its word; above it customers accepted more often than stated, below it less often.",
        (*picture, LightTable(columns, rows, numeric=frozenset(columns[1:3]))),
        layout="below",
    )


def _reading() -> Section:
    return Section(
        "How each figure is made",
        "PSI = Σ (now − then) · ln(now / then) over bins of equal size at the fit (Siddiqi 2006); JS is the Jensen–"
        "Shannon divergence (Lin 1991). Times n₀n₁/(n₀+n₁), PSI of samples of one distribution follows chi-square with "
        "bins − 1 degrees of freedom (Yurdakul & Naranjo 2020), which gives what chance alone reaches in 5 of 100 "
        "comparisons.\n\nShares of offers are compared as ratios; their variance is that between customers, because a "
        "customer's offers are alike (Cochran 1977, 6.5). Chances of figures of one kind are corrected for their "
        "number (Holm 1979).",
        (),
        layout="below",
    )
