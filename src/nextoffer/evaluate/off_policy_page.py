"""Puts what a log says of a new policy on a page: for whoever decides, and for whoever checks the figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from nextoffer.evaluate.forest import Forest, Lift
from nextoffer.evaluate.off_policy_report import NAMES, OLD, Judged
from nextoffer.evaluate.page import DataTable, ReportPage, Section
from nextoffer.evaluate.svg import Scale, box, drawing, line, round_ticks, text
from nextoffer.evaluate.wording import UNKNOWN, bounds, count, decimal, percent, whole_percent
from nextoffer.intervals import Interval

_ROW = 38.0
_FORMULAS: tuple[tuple[str, str, str], ...] = (
    ("ips", "mean of w·r", "Horvitz & Thompson 1952, JASA 47"),
    ("snips", "Σ w·r / Σ w", "Swaminathan & Joachims 2015, NeurIPS"),
    ("dm", "mean of Σₐ π(a|x) q(x, a)", "the reward model q alone"),
    ("dr", "mean of Σₐ π(a|x) q(x, a) + w (r − q(x, chosen))", "Dudík et al. 2014, Statistical Science 29"),
    ("switch_dr", "dr without the second part where w > τ", "Wang, Agarwal & Dudík 2017, ICML"),
    ("gain", "mean of dr less r", "as dr"),
    ("effective decisions", "(Σ w)² / Σ w²", "Kish 1965, Survey Sampling"),
)


def value(number: float) -> str:
    """Return a value per decision.

    >>> value(0.03714), value(-12.5)
    ('0.0371', '−12.50')
    """
    places = 4 if abs(number) < 1 else 2
    return f"{number:,.{places}f}".replace("-", "−") if isfinite(number) else UNKNOWN


def signed(number: float) -> str:
    """Return a difference of values with its sign.

    >>> signed(0.03714), signed(-0.2)
    ('+0.0371', '−0.2000')
    """
    return f"{'+' if number > 0 else ''}{value(number)}" if isfinite(number) else UNKNOWN


@dataclass(frozen=True)
class Weights:
    """Decisions by the size of their weight: the share of decisions, and the share of all weight they carry."""

    bands: Sequence[Mapping[str, Any]]
    width: float = 660.0

    def draw(self) -> str:
        """Return the chart as SVG."""
        shown = self._shown()
        scale = Scale(0.0, max((max(_shares(b)) for b in shown), default=1.0) or 1.0, 130.0, self.width - 70)
        top, bottom = 44.0, 44.0 + _ROW * len(shown)
        shapes = [text(0, 14, "How much the log's decisions count for the new policy", kind="title"), *_legend()]
        for tick in round_ticks(0.0, scale.high):
            shapes.append(line((scale(tick), top), (scale(tick), bottom), kind="grid"))
            shapes.append(text(scale(tick), bottom + 16, whole_percent(tick), kind="tick", anchor="middle"))
        for i, band in enumerate(shown):
            shapes += self._row(band, top + _ROW * i, scale)
        told = "; ".join(f"{_band(b)}: {percent(_shares(b)[0])} of decisions" for b in shown)
        return drawing(self.width, bottom + 24, shapes, label=f"Decisions by weight: {told}")

    def _shown(self) -> list[Mapping[str, Any]]:
        """The bands from the first to the last in which there is a decision."""
        there = [i for i, band in enumerate(self.bands) if band["decisions"]]
        return list(self.bands[there[0] : there[-1] + 1]) if there else []

    def _row(self, band: Mapping[str, Any], y: float, scale: Scale) -> Iterator[str]:
        yield text(scale.start - 12, y + _ROW / 2 + 4, _band(band), kind="name", anchor="end")
        for k, (kind, share) in enumerate(zip(("old", "new"), _shares(band), strict=True)):
            at = y + 5 + 14 * k
            hint = f"{_band(band)}: {count(band['decisions'])} decisions, {percent(share)}"
            yield box((scale(0), at), (scale(share) - scale(0), 11), kind=kind, hint=hint)
            yield text(scale(share) + 6, at + 9, percent(share), kind="tick")


def _shares(band: Mapping[str, Any]) -> tuple[float, float]:
    return float(band["share_of_decisions"]), float(band["share_of_weight"])


def _legend() -> Iterator[str]:
    for x, kind, words in ((0.0, "old", "share of the decisions"), (170.0, "new", "share of all weight")):
        yield box((x, 24), (11, 11), kind=kind)
        yield text(x + 16, 34, words, kind="tick")


def _band(band: Mapping[str, Any]) -> str:
    if band["up_to"] <= 0:
        return "weight 0"
    if not isfinite(band["up_to"]):
        return f"above {band['above']:g}"
    return f"{band['above']:g} to {band['up_to']:g}"


def off_policy_page(found: Judged, *, title: str, facts: Sequence[tuple[str, str]] = ()) -> ReportPage:
    """Return the page; `facts` tell what log and which policy."""
    overlap = found.overlap
    rests = (
        ("Decisions", count(overlap.decisions)),
        ("Customers", count(overlap.customers)),
        ("Effective decisions", count(overlap.effective)),
    )
    sections = (_values(found), _gain(found), _trust(found), _formulas(), _figures(found))
    return ReportPage(title, (*facts, *rests), found.headline, _summary(found), sections, "NextOffer policy evaluation")


def _summary(found: Judged) -> tuple[str, ...]:
    old, new = found.found[OLD], found.found[found.best]
    told = (
        f"The logged offers earned {value(old.estimate)} each ({bounds(old, value)}); the new policy would earn "
        f"{value(new.estimate)} ({bounds(new, value)}; {NAMES[found.best]}).",
    )
    doubts = tuple(f"Poor overlap: {words}." for words in found.overlap.warnings)
    notes = tuple(f"{words[0].upper()}{words[1:]}." for words in found.notes)
    return (*told, *doubts, *notes)


def _values(found: Judged) -> Section:
    names = [n for n in found.found if n != "gain"]
    kinds = {OLD: "part", found.best: "champion"}
    lifts = tuple(Lift(_named(n), found.found[n], kinds.get(n, "other")) for n in names)
    return Section(
        "What would the new policy earn?",
        "Per decision, by different ways of reading the same log. The dashed line is what the logged offers really "
        f"earned. Go by {found.best}; where the others lie far from it, the log is thin or a model is wrong.\n\nWhere "
        "the old policy left an offer to chance and the new one would have made it too, the customer's answer speaks "
        "for the new policy, and counts the more the seldomer the old policy made it.",
        (Forest("Value per decision", lifts, value, found.found[OLD].estimate),),
        "below",
    )


def _named(name: str) -> str:
    return {OLD: "logged policy", "dm": "dm, model alone"}.get(name, name)


def _gain(found: Judged) -> Section:
    return Section(
        "Is it better?",
        "What it would earn more per decision than the logged policy did, on the same customers. An interval across 0 "
        "says that this log cannot tell them apart.",
        (Forest("New less logged policy, per decision", (Lift("gain", found.found["gain"]),), signed),),
        "below",
    )


def _trust(found: Judged) -> Section:
    overlap = found.overlap
    verdict = (
        "Nothing here speaks against it." if not overlap.poor else "Do not decide by it: test the new policy instead."
    )
    mean = overlap.mean_weight
    rows = (
        ("Logged decisions", count(overlap.decisions), "those of one customer count together in all intervals"),
        ("Effective decisions", count(overlap.effective), "so many of the new policy's own would say as much"),
        ("Rewarded decisions in effect", count(overlap.rewarded), "fewer than 10: no interval can be relied on"),
        ("Never made by the new policy", percent(overlap.untouched), "they say nothing of it"),
        ("Largest weight", f"{overlap.largest_weight:,.1f}", f"{percent(overlap.largest_share)} of all weight"),
        (
            "Mean weight",
            f"{decimal(mean.estimate)}\n{bounds(mean, decimal)}",
            f"should be {decimal(overlap.expected_weight)}: below, something was never tried; above, pscores are wrong",
        ),
    )
    warned = "".join(f"\n\nPoor overlap: {words}." for words in overlap.warnings)
    return Section(
        "Can the log say this?",
        "A decision's weight is the new policy's chance of the offer over the old one's. If a few decisions carry most "
        f"of the weight, the figures above rest on those few. {verdict}{warned}",
        (Weights(found.weights.to_pylist()), DataTable(("Overlap", "Figure", "How to read it"), rows, frozenset())),
        "below",
    )


def _formulas() -> Section:
    return Section(
        "How it is reckoned",
        "w = π(chosen) / pscore, π the new policy's chances, r the reward, q(x, a) a reward model that did not see the "
        "customer. Intervals are by customer, from each customer's influence on the estimate, with Student's quantile "
        "at the degrees of freedom that the influences' kurtosis leaves and the end towards the longer tail moved out "
        "(after Hall 1992). dm's interval leaves out that the model may be wrong.",
        (DataTable(("Name", "Formula", "Source"), _FORMULAS),),
        "below",
    )


def _figures(found: Judged) -> Section:
    rows = [(name, NAMES[name], _form(name, i.estimate), _ends(name, i), count(i.n)) for name, i in found.found.items()]
    columns = ("Name", "What it is", "Estimate", "95 % interval", "Customers")
    return Section("All figures", "", (DataTable(columns, rows, frozenset(columns[2:]), strong=found.best),), "below")


def _form(name: str, number: float) -> str:
    return signed(number) if name == "gain" else value(number)


def _ends(name: str, interval: Interval) -> str:
    return bounds(interval, signed if name == "gain" else value)
