"""The charts of a test: lifts with their intervals against no lift, and an interval as it narrows from day to day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from math import isfinite

from nextoffer.evaluate.page import DataTable
from nextoffer.evaluate.svg import (
    Scale,
    column_width,
    dot,
    drawing,
    line,
    path,
    polygon,
    round_ticks,
    shortened,
    text,
    whisker,
)
from nextoffer.evaluate.wording import Form, bounds, change, count, plain
from nextoffer.intervals import Interval

WIDTH = 660.0
_VALUES = 200.0
_ROW = 26.0


@dataclass(frozen=True)
class Lift:
    """One line of a forest; `kind` sets the dot's colour."""

    name: str
    value: Interval
    kind: str = "champion"


@dataclass(frozen=True)
class Forest:
    """Lifts below each other, each a dot in its interval, around the line of no lift.

    Attributes
    ----------
    title
        What is compared.
    lifts
        From top to bottom.
    form
        How a value is written.
    mark
        A level to read the intervals against, such as the harm tolerated.
    """

    title: str
    lifts: tuple[Lift, ...]
    form: Form = change
    mark: float | None = None

    def draw(self) -> str:
        """Return the chart as SVG."""
        left = column_width((lift.name for lift in self.lifts), least=90, most=210)
        scale = Scale(*_range(self.lifts, self.mark), left, WIDTH - _VALUES)
        top, bottom = 30.0, 30.0 + _ROW * len(self.lifts)
        shapes = [text(0, 14, self.title, kind="title"), *_grid(scale, top, bottom, self.form)]
        if self.mark is not None:
            shapes.append(line((scale(self.mark), top), (scale(self.mark), bottom), kind="mark"))
        for i, lift in enumerate(self.lifts):
            shapes += self._row(lift, top + _ROW * (i + 0.5), scale)
        told = "; ".join(f"{lift.name} {self.form(lift.value.estimate)}" for lift in self.lifts)
        return drawing(WIDTH, bottom + 24, shapes, label=f"{self.title}: {told}")

    def table(self) -> DataTable:
        """Return the same as a table."""
        rows = [
            (lift.name, self.form(lift.value.estimate), bounds(lift.value, self.form), count(lift.value.n))
            for lift in self.lifts
        ]
        columns = (self.title, "Figure", "95 % interval", "n")
        return DataTable(columns, rows, numeric=frozenset(columns[1:]))

    def _row(self, lift: Lift, y: float, scale: Scale) -> Iterator[str]:
        value = lift.value
        yield text(scale.start - 12, y + 4, shortened(lift.name, scale.start - 12), kind="name", anchor="end")
        if isfinite(value.low) and isfinite(value.high):
            low, high = scale(value.low), scale(value.high)
            yield whisker((low, y), (high, y))
            for end in (low, high):
                yield line((end, y - 4), (end, y + 4), kind="whisker")
        if isfinite(value.estimate):
            hint = f"{lift.name}: {self.form(value.estimate)} ({bounds(value, self.form)})"
            yield dot((scale(value.estimate), y), 5, kind=f"bar {lift.kind}", hint=hint)
        yield text(WIDTH - _VALUES + 14, y + 4, self.form(value.estimate), kind="value")
        known = bounds(value, self.form) if isfinite(value.low) else "not known"
        yield text(WIDTH, y + 4, known, kind="bounds", anchor="end")


@dataclass(frozen=True)
class Narrowing:
    """An estimate and its interval at the end of each day.

    Attributes
    ----------
    title
        What is estimated.
    days
        In order.
    values
        One for each; the days before the first known interval stay empty.
    form
        How a value is written.
    """

    title: str
    days: tuple[date, ...]
    values: tuple[Interval, ...]
    form: Form = change

    def draw(self) -> str:
        """Return the chart as SVG."""
        known = [(i, v) for i, v in enumerate(self.values) if isfinite(v.low) and isfinite(v.high)]
        label = f"{self.title}, {len(known)} days"
        if not known:
            return drawing(WIDTH, 40, [text(0, 14, self.title, kind="title"), text(0, 32, "Too early.")], label=label)
        top, bottom, left = 30.0, 200.0, 64.0
        across = Scale(0.0, float(max(len(self.days) - 1, 1)), left, WIDTH - 12)
        up = self._height([v for _, v in known], top, bottom)
        area = [(across(i), up(v.high)) for i, v in known] + [(across(i), up(v.low)) for i, v in reversed(known)]
        shapes = [text(0, 14, self.title, kind="title"), polygon(area, kind="for")]
        for tick in round_ticks(up.low, up.high):
            shapes.append(line((left, up(tick)), (WIDTH - 12, up(tick)), kind="grid"))
            shapes.append(text(left - 8, up(tick) + 4, plain(self.form(tick)), kind="tick", anchor="end"))
        shapes.append(line((left, up(0.0)), (WIDTH - 12, up(0.0)), kind="axis"))
        shapes.append(path([(across(i), up(v.estimate)) for i, v in known], kind="trace"))
        for i in _dates(len(self.days)):
            shapes.append(text(across(i), bottom + 18, f"{self.days[i]:%d %b}", kind="tick", anchor="middle"))
        last = known[-1][1]
        label += f"; at the end {self.form(last.estimate)} ({bounds(last, self.form)})"
        return drawing(WIDTH, bottom + 26, shapes, label=label)

    def _height(self, values: Sequence[Interval], top: float, bottom: float) -> Scale:
        """The scale of values; of the first days' wide intervals no more than what the later ones need thrice."""
        last = values[-1]
        far = 3 * max(abs(last.low), abs(last.high), last.high - last.low)
        low = max(min([0.0, *(v.low for v in values)]), -far)
        high = min(max([0.0, *(v.high for v in values)]), far)
        return Scale(low, high, bottom, top)


def _range(lifts: Sequence[Lift], mark: float | None) -> tuple[float, float]:
    """What is shown: every interval, but of very wide ones no more than four times the narrower half."""
    ends = [max(abs(v.low), abs(v.high)) for lift in lifts if isfinite((v := lift.value).low) and isfinite(v.high)]
    dots = [lift.value.estimate for lift in lifts if isfinite(lift.value.estimate)]
    most = 4 * sorted(ends)[len(ends) // 2] if ends else 1.0
    levels = [0.0, *dots, *([] if mark is None else [mark])]
    levels += [min(max(x, -most), most) for lift in lifts for x in (lift.value.low, lift.value.high) if isfinite(x)]
    margin = 0.05 * (max(levels) - min(levels)) or 0.1
    return min(levels) - margin, max(levels) + margin


def _grid(scale: Scale, top: float, bottom: float, form: Form) -> Iterator[str]:
    for tick in round_ticks(scale.low, scale.high):
        yield line((scale(tick), top), (scale(tick), bottom), kind="grid")
        yield text(scale(tick), bottom + 16, plain(form(tick)), kind="tick", anchor="middle")
    yield line((scale(0.0), top), (scale(0.0), bottom), kind="axis")


def _dates(days: int) -> list[int]:
    """Places of at most six dates."""
    step = max(-(-(days - 1) // 5), 1)
    return list(range(0, days, step))
