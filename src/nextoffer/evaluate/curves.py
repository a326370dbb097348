"""The report's curves: reliability, lift by decile, and the shapes of a model's strongest terms.

Each chart is a value with a `draw` method that returns SVG; none computes anything but positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

from nextoffer.evaluate.calibration import ReliabilityBin
from nextoffer.evaluate.page import DataTable
from nextoffer.evaluate.svg import Scale, box, dot, drawing, line, path, round_ticks, shortened, text, whisker
from nextoffer.evaluate.wording import bounds, count, odds, percent, plain, times, whole_percent
from nextoffer.intervals import Interval

WIDTH = 660.0
_WIDE = 954.0  # a chart over the page's whole width


@dataclass(frozen=True)
class Reliability:
    """Stated probability against what happened; on the diagonal a model keeps its word."""

    bins: tuple[ReliabilityBin, ...]

    def draw(self) -> str:
        """Return the chart as SVG."""
        ends = [v for b in self.bins for v in (b.stated, b.observed.high, b.observed.estimate) if isfinite(v)]
        high = max(ends, default=1.0) * 1.06 or 1.0
        across, up = Scale(0.0, high, 56.0, WIDTH - 16), Scale(0.0, high, 318.0, 14.0)
        shapes = [*self._frame(across, up, high), line((across(0), up(0)), (across(high), up(high)), kind="mark")]
        shapes.append(text(across(high), up(high) + 52, "as stated", kind="mark-name", anchor="end"))
        shapes.append(path([(across(b.stated), up(b.observed.estimate)) for b in self.bins], kind="trace"))
        for b in self.bins:
            shapes += self._point(b, across, up)
        return drawing(WIDTH, 366.0, shapes, label="Reliability curve: stated probability against acceptance rate")

    def table(self) -> DataTable:
        """Return the same as a table."""
        rows = [
            (percent(b.stated), percent(b.observed.estimate), bounds(b.observed, percent), count(b.observed.n))
            for b in self.bins
        ]
        columns = ("Stated", "Accepted", "95 % interval", "Pairs")
        return DataTable(columns, rows, numeric=frozenset(columns))

    def _frame(self, across: Scale, up: Scale, high: float) -> Iterator[str]:
        for tick in round_ticks(0.0, high):
            yield line((across(0), up(tick)), (across(high), up(tick)), kind="grid")
            yield text(across(0) - 8, up(tick) + 4, whole_percent(tick), kind="tick", anchor="end")
            yield text(across(tick), up(0) + 18, whole_percent(tick), kind="tick", anchor="middle")
        yield line((across(0), up(0)), (across(high), up(0)), kind="axis")
        yield text((across(0) + across(high)) / 2, up(0) + 40, "probability the model states", anchor="middle")
        yield text(across(0) + 6, up(high) + 10, "acceptances that followed")

    def _point(self, b: ReliabilityBin, across: Scale, up: Scale) -> Iterator[str]:
        x, observed = across(b.stated), b.observed
        if isfinite(observed.low):
            yield whisker((x, up(observed.low)), (x, up(observed.high)))
        hint = f"stated {percent(b.stated)}, observed {percent(observed.estimate)} ({bounds(observed, percent)})"
        yield dot((x, up(observed.estimate)), 4.5, kind="bar champion", hint=f"{hint}, {count(observed.n)} pairs")


@dataclass(frozen=True)
class Deciles:
    """Acceptance rate of each tenth of the pairs, best scores first, over the overall rate."""

    lifts: tuple[Interval, ...]

    def draw(self) -> str:
        """Return the chart as SVG."""
        ends = [v for lift in self.lifts for v in (lift.estimate, lift.high) if isfinite(v)]
        high = max([*ends, 1.2]) * 1.05
        up = Scale(0.0, high, 226.0, 14.0)
        step = (WIDTH - 72) / max(len(self.lifts), 1)
        shapes = []
        for tick in round_ticks(0.0, high):
            shapes.append(line((56, up(tick)), (WIDTH - 16, up(tick)), kind="grid"))
            shapes.append(text(48, up(tick) + 4, times(tick), kind="tick", anchor="end"))
        for i, lift in enumerate(self.lifts):
            shapes += self._column(i, lift, 56 + step * i, step, up=up)
        shapes.append(line((56, up(1)), (WIDTH - 16, up(1)), kind="mark"))
        shapes.append(text(WIDTH - 18, up(1) - 6, "overall rate", kind="mark-name", anchor="end"))
        below = "tenths of all customer–product pairs, highest scores first"
        shapes.append(text(WIDTH / 2 + 20, 268, below, anchor="middle"))
        words = ", ".join(times(lift.estimate) for lift in self.lifts)
        return drawing(WIDTH, 280.0, shapes, label=f"Lift by decile, best first: {words}")

    def table(self) -> DataTable:
        """Return the same as a table."""
        rows = [
            (str(i), times(lift.estimate), bounds(lift, times), count(lift.n))
            for i, lift in enumerate(self.lifts, start=1)
        ]
        columns = ("Tenth, highest scores first", "Over the overall rate", "95 % interval", "Customers")
        return DataTable(columns, rows, numeric=frozenset(columns[1:]))

    def _column(self, i: int, lift: Interval, x: float, step: float, *, up: Scale) -> Iterator[str]:
        middle, level = x + step / 2, lift.estimate if isfinite(lift.estimate) else 0.0
        kind = "bar champion" if level >= 1 else "bar other"
        hint = f"tenth {i + 1}: {times(lift.estimate)} the overall rate ({bounds(lift, times)})"
        yield box((x + step * 0.16, up(level)), (step * 0.68, up(0) - up(level)), kind=kind, hint=hint)
        if isfinite(lift.low):
            yield whisker((middle, up(lift.low)), (middle, up(lift.high)))
        yield text(middle, up(0) + 18, str(i + 1), kind="tick", anchor="middle")


@dataclass(frozen=True)
class Shape:
    """How one term of a scorecard moves the log-odds.

    Attributes
    ----------
    label
        The feature in plain words.
    contributions
        What each bin adds to the log-odds.
    edges
        For numbers: the bins' borders, one more than contributions, finite, rising.
    names
        For categories: the bins' names, as many as contributions. Either `edges` or `names` is given.
    """

    label: str
    contributions: Sequence[float]
    edges: Sequence[float] = ()
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check that the bins are told one way or the other."""
        bins = len(self.contributions)
        if (len(self.edges), len(self.names)) not in ((bins + 1, 0), (0, bins)):
            found = f"{len(self.edges)} edges and {len(self.names)} names"
            raise ValueError(
                f"shape '{self.label}' of {bins} bins needs {bins + 1} edges or {bins} names; found {found}"
            )

    @property
    def ends(self) -> tuple[int, int]:
        """The bins of the lowest and of the highest contribution."""
        places = range(len(self.contributions))
        return min(places, key=self.contributions.__getitem__), max(places, key=self.contributions.__getitem__)

    def bin(self, place: int) -> str:
        """Return a bin in words."""
        return self.names[place] if self.names else f"{self.edges[place]:,.4g} to {self.edges[place + 1]:,.4g}"


@dataclass(frozen=True)
class Shapes:
    """Score shapes side by side on one common scale of odds: above the line speaks for an offer, below against it."""

    shapes: tuple[Shape, ...]
    columns: int = 3

    def draw(self) -> str:
        """Return the charts as SVG."""
        reach = max((abs(v) for shape in self.shapes for v in shape.contributions), default=1.0) * 1.1 or 1.0
        width, height = _WIDE / self.columns, 168.0
        parts: list[str] = []
        for i, shape in enumerate(self.shapes):
            left, top = width * (i % self.columns), height * (i // self.columns)
            parts += self._panel(shape, (left, top), width, reach)
        rows = -(-len(self.shapes) // self.columns)
        words = ", ".join(shape.label for shape in self.shapes)
        return drawing(_WIDE, height * rows, parts, label=f"Score shapes of {words}")

    def table(self) -> DataTable:
        """Return where each shape is lowest and highest."""
        rows = [
            (shape.label, *(f"{odds(shape.contributions[i])} ({shape.bin(i)})" for i in shape.ends))
            for shape in self.shapes
        ]
        return DataTable(("Term", "Odds at the least", "Odds at the most"), rows)

    def _panel(self, shape: Shape, corner: tuple[float, float], width: float, reach: float) -> Iterator[str]:
        left, top = corner
        up = Scale(-reach, reach, top + 128.0, top + 30.0)
        start, stop = left + 38.0, left + width - 14.0
        yield text(left + 2, top + 16, shortened(shape.label, width - 10), kind="name champion")
        for level in (-reach / 1.1, 0.0, reach / 1.1):
            yield line((start, up(level)), (stop, up(level)), kind="grid" if level else "axis")
            yield text(start - 6, up(level) + 4, odds(level), kind="tick", anchor="end")
        yield from _steps(shape, start, stop, up) if len(shape.edges) else _columns(shape, start, stop, up)


def _steps(shape: Shape, start: float, stop: float, up: Scale) -> Iterator[str]:
    places, ticks = _borders(shape.edges, start, stop)
    corners: list[tuple[float, float]] = []
    for i, value in enumerate(shape.contributions):
        (left, right), (low, high) = places[i : i + 2], shape.edges[i : i + 2]
        kind = "for" if value >= 0 else "against"
        hint = f"{low:.4g} to {high:.4g}: {odds(value)}"
        yield box((left, min(up(value), up(0))), (right - left, abs(up(value) - up(0))), kind=kind, hint=hint)
        corners += [(left, up(value)), (right, up(value))]
    yield path(corners, kind="trace")
    for x, value in ticks:
        yield text(x, up.start + 16, plain(f"{value:,.4g}"), kind="tick", anchor="middle")


def _borders(edges: Sequence[float], start: float, stop: float) -> tuple[list[float], list[tuple[float, float]]]:
    """Pixels of the bins' borders, and tick marks (pixel, value).

    Where one bin takes more than half the range, a true scale would crush the others: all get the same width, and the
    marks name borders.
    """
    across = Scale(edges[0], edges[-1], start, stop)
    widest = max(high - low for low, high in pairwise(edges))
    if len(edges) < 4 or widest <= 0.5 * (edges[-1] - edges[0]):
        return [across(edge) for edge in edges], [(across(t), t) for t in round_ticks(edges[0], edges[-1], about=3)]
    bins = len(edges) - 1
    places = [start + (stop - start) * i / bins for i in range(bins + 1)]
    return places, [(places[i], edges[i]) for i in sorted({bins // 4, bins // 2, 3 * bins // 4})]


def _columns(shape: Shape, start: float, stop: float, up: Scale) -> Iterator[str]:
    step = (stop - start) / len(shape.names)
    for i, (name, value) in enumerate(zip(shape.names, shape.contributions, strict=True)):
        left, kind = start + step * i, "for whole" if value >= 0 else "against whole"
        corner, size = (left + step * 0.15, min(up(value), up(0))), (step * 0.7, abs(up(value) - up(0)))
        yield box(corner, size, kind=kind, hint=f"{name}: {odds(value)}")
        yield text(left + step / 2, up.start + 16, shortened(name, step), kind="tick", anchor="middle")
