"""A chart of figures along an ordered axis, such as days or sizes: lines with an interval at each place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from nextoffer.evaluate.page import DataTable
from nextoffer.evaluate.svg import Scale, dot, drawing, line, path, round_ticks, text, whisker
from nextoffer.evaluate.wording import Form, bounds, decimal, plain
from nextoffer.intervals import Interval

WIDTH = 660.0
_NAMES = 130.0
_APART = 15.0


@dataclass(frozen=True)
class Trace:
    """One line: a value at each place. `kind` sets the dots' colour."""

    name: str
    values: tuple[Interval, ...]
    kind: str = "other"


@dataclass(frozen=True)
class Course:
    """Lines over the same places, evenly spaced, with whiskers.

    Attributes
    ----------
    title
        What is measured.
    places
        Names below the axis, from left to right.
    traces
        Drawn in order; each has a value at every place.
    form
        How a value is written.
    """

    title: str
    places: tuple[str, ...]
    traces: tuple[Trace, ...]
    form: Form = decimal

    def draw(self) -> str:
        """Return the chart as SVG."""
        top, bottom, left = 30.0, 210.0, 58.0
        up = self._height(bottom, top)
        across = Scale(-0.5, len(self.places) - 0.5, left, WIDTH - _NAMES)
        shapes = [text(0, 14, self.title, kind="title")]
        for tick in round_ticks(up.low, up.high):
            shapes.append(line((left, up(tick)), (across.stop, up(tick)), kind="grid"))
            shapes.append(text(left - 8, up(tick) + 4, plain(self.form(tick)), kind="tick", anchor="end"))
        for i, place in enumerate(self.places):
            shapes.append(text(across(i), bottom + 18, place, kind="tick", anchor="middle"))
        heights = _apart([up(t.values[-1].estimate) for t in self.traces])
        for k, (trace, height) in enumerate(zip(self.traces, heights, strict=True)):
            shift = 8.0 * (k - (len(self.traces) - 1) / 2)
            points = [(across(i) + shift, v) for i, v in enumerate(trace.values)]
            shapes += _trace(trace, points, up, self.form)
            shapes.append(text(across.stop + 8, height + 4, trace.name, kind=f"name {trace.kind}"))
        told = "; ".join(f"{t.name} {', '.join(self.form(v.estimate) for v in t.values)}" for t in self.traces)
        return drawing(WIDTH, bottom + 26, shapes, label=f"{self.title}: {told}")

    def table(self) -> DataTable:
        """Return the same as a table."""
        rows = [
            (trace.name, *(f"{self.form(v.estimate)}\n{bounds(v, self.form)}" for v in trace.values))
            for trace in self.traces
        ]
        return DataTable((self.title, *self.places), rows, numeric=frozenset(self.places))

    def _height(self, bottom: float, top: float) -> Scale:
        known = [x for t in self.traces for v in t.values for x in (v.estimate, v.low, v.high) if isfinite(x)]
        low, high = min(known, default=0.0), max(known, default=1.0)
        margin = 0.06 * (high - low) or 0.1
        return Scale(low - margin, high + margin, bottom, top)


def _trace(trace: Trace, points: Sequence[tuple[float, Interval]], up: Scale, form: Form) -> Iterator[str]:
    known = [(x, v) for x, v in points if isfinite(v.estimate)]
    yield path([(x, up(v.estimate)) for x, v in known], kind="trace" if trace.kind == "champion" else "course")
    for x, value in known:
        if isfinite(value.low) and isfinite(value.high):
            yield whisker((x, up(value.low)), (x, up(value.high)))
        hint = f"{trace.name}: {form(value.estimate)} ({bounds(value, form)})"
        yield dot((x, up(value.estimate)), 4, kind=f"bar {trace.kind}", hint=hint)


def _apart(heights: Sequence[float]) -> list[float]:
    """Heights of names in the order given, moved down where they would overlap."""
    out = list(heights)
    last = float("-inf")
    for i in sorted(range(len(out)), key=lambda i: heights[i]):
        out[i] = last = max(out[i], last + _APART)
    return out
