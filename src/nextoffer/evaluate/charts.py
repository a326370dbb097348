"""The report's bar-like charts: models with intervals against marks, offers per product, an A/B test.

Each chart is a value with a `draw` method that returns SVG; none computes anything but positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from nextoffer.evaluate.page import DataTable
from nextoffer.evaluate.svg import (
    CHARACTER,
    Scale,
    box,
    column_width,
    dot,
    drawing,
    line,
    round_ticks,
    shortened,
    text,
    whisker,
)
from nextoffer.evaluate.wording import Form, bounds, change, count, decimal, plain, stage
from nextoffer.intervals import Interval

WIDTH = 660.0
_VALUES = 176.0  # column right of the bars
_ROW = 30.0


@dataclass(frozen=True)
class Bar:
    """One model's figure; `kind` sets the colour."""

    name: str
    value: Interval
    kind: Literal["champion", "other", "part"] = "other"


@dataclass(frozen=True)
class Mark:
    """A level to read the bars against, such as the ceiling or the gate."""

    name: str
    at: float


@dataclass(frozen=True)
class Bars:
    """Models side by side: bars from zero with their intervals, and marks to read them against.

    Attributes
    ----------
    title
        What is measured.
    form
        How a value is written.
    """

    title: str
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...] = ()
    form: Form = decimal

    def draw(self) -> str:
        """Return the chart as SVG."""
        left = column_width((bar.name for bar in self.bars), least=70, most=190)
        scale = self._scale(left)
        top = 30.0 + 16.0 * len(self.marks)
        bottom = top + _ROW * len(self.bars)
        rows = (shape for i, bar in enumerate(self.bars) for shape in self._row(bar, top + _ROW * i, scale))
        marks = (
            shape
            for i, mark in enumerate(self.marks)
            for shape in _mark(mark.name, scale(mark.at), 36.0 + 16.0 * i, bottom)
        )
        axis = _axis(scale, bottom, self.form, top)
        title = text(0, 14, self.title, kind="title")
        return drawing(WIDTH, bottom + 26, [title, *axis, *rows, *marks], label=self._words())

    def table(self) -> DataTable:
        """Return the same as a table."""
        rows = [(b.name, self.form(b.value.estimate), bounds(b.value, self.form), count(b.value.n)) for b in self.bars]
        marks = [(mark.name, self.form(mark.at), "", "") for mark in self.marks]
        columns = (self.title, "Figure", "95 % interval", "Customers")
        return DataTable(columns, [*rows, *marks], numeric=frozenset(columns[1:]))

    def _scale(self, left: float) -> Scale:
        levels = [v for bar in self.bars for v in (bar.value.estimate, bar.value.high) if isfinite(v)]
        lows = [bar.value.low for bar in self.bars if isfinite(bar.value.low)]
        high = max([*levels, *(mark.at for mark in self.marks)], default=1.0)
        return Scale(min([0.0, *lows]), high * 1.02 or 1.0, left, WIDTH - _VALUES)

    def _row(self, bar: Bar, y: float, scale: Scale) -> Iterator[str]:
        middle, value = y + _ROW / 2, bar.value
        name = shortened(bar.name, scale.start - 12)
        yield text(scale.start - 12, middle + 4, name, kind=f"name {bar.kind}", anchor="end")
        if isfinite(value.estimate):
            zero, end = scale(0.0), scale(value.estimate)
            hint = f"{bar.name}: {self.form(value.estimate)} ({bounds(value, self.form)}), n = {count(value.n)}"
            yield box((min(zero, end), y + 6), (abs(end - zero), _ROW - 12), kind=f"bar {bar.kind}", hint=hint)
        yield from _whisker(value, scale, middle)
        yield text(WIDTH - _VALUES + 14, middle + 4, self.form(value.estimate), kind=f"value {bar.kind}")
        yield text(WIDTH, middle + 4, bounds(value, self.form), kind="bounds", anchor="end")

    def _words(self) -> str:
        return f"{self.title}: " + ", ".join(f"{bar.name} {self.form(bar.value.estimate)}" for bar in self.bars)


def _whisker(value: Interval, scale: Scale, y: float) -> Iterator[str]:
    if isfinite(value.low) and isfinite(value.high):
        low, high = scale(value.low), scale(value.high)
        yield whisker((low, y), (high, y))
        for end in (low, high):
            yield line((end, y - 4), (end, y + 4), kind="whisker")


def _mark(name: str, x: float, y: float, bottom: float) -> Iterator[str]:
    yield line((x, y + 4), (x, bottom), kind="mark")
    yield text(x, y, name, kind="mark-name", anchor="end" if x > WIDTH / 2 else "start")


def _axis(scale: Scale, y: float, form: Form, top: float) -> Iterator[str]:
    for tick in round_ticks(scale.low, scale.high):
        yield line((scale(tick), top), (scale(tick), y), kind="grid")
        yield text(scale(tick), y + 16, plain(form(tick)), kind="tick", anchor="middle")
    yield line((scale(0.0), top), (scale(0.0), y), kind="axis")


@dataclass(frozen=True)
class ProductOffers:
    """What became of one product: customers it was offered to, and customers refused it, by stage."""

    product: str
    offered: int
    refused: Mapping[str, int]


@dataclass(frozen=True)
class Offers:
    """What became of every product for every customer: offered, or at which stage not. Most offered first."""

    products: tuple[ProductOffers, ...]
    most: int = 30

    def draw(self) -> str:
        """Return the chart as SVG."""
        shown = sorted(self.products, key=lambda product: -product.offered)[: self.most]
        stages = list(dict.fromkeys(name for product in shown for name in product.refused))
        customers = max((product.offered + sum(product.refused.values()) for product in shown), default=1)
        left = column_width((product.product for product in shown), least=70, most=190)
        scale = Scale(0.0, float(customers or 1), left, WIDTH - 90)
        top, row = 34.0, 26.0
        bottom = top + row * len(shown)
        shapes = [*_legend(stages)]
        for i, product in enumerate(shown):
            shapes += _offers_row(product, stages, top + row * i, scale)
        left_out = len(self.products) - len(shown)
        if left_out:
            shapes.append(text(left, bottom + 14, f"and {left_out} more products", kind="tick"))
        words = ", ".join(f"{product.product} {product.offered}" for product in shown)
        return drawing(WIDTH, bottom + (24 if left_out else 6), shapes, label=f"Offers per product: {words}")


def _legend(stages: list[str]) -> Iterator[str]:
    x = 0.0
    for kind, name in [("offered", "offered"), *((f"stage{i}", stage(s)) for i, s in enumerate(stages))]:
        yield box((x, 4), (11, 11), kind=kind)
        yield text(x + 16, 14, name, kind="tick")
        x += 16 + CHARACTER * len(name) + 14


def _offers_row(product: ProductOffers, stages: list[str], y: float, scale: Scale) -> Iterator[str]:
    name = shortened(product.product, scale.start - 12)
    yield text(scale.start - 12, y + 15, name, kind="name other", anchor="end")
    parts = [("offered", "offered", product.offered)]
    parts += [(f"stage{i}", stage(name), product.refused.get(name, 0)) for i, name in enumerate(stages)]
    so_far = 0.0
    for kind, fate, customers in parts:
        left, right = scale(so_far), scale(so_far + customers)
        hint = f"{product.product}, {fate}: {count(customers)} customers"
        yield box((left, y + 3), (right - left, 17), kind=kind, hint=hint)
        so_far += customers
    yield text(WIDTH, y + 15, f"{count(product.offered)} offers", kind="value other", anchor="end")


@dataclass(frozen=True)
class AbTest:
    """A simulated A/B test: the lift it estimated, and the lift that is true.

    Attributes
    ----------
    estimated
        Relative lift of treatment over control as the test saw it.
    true_lift
        As the simulated world knows it.
    """

    estimated: Interval
    true_lift: float

    def draw(self) -> str:
        """Return the chart as SVG."""
        ends = [v for v in (self.estimated.low, self.estimated.high, self.true_lift, 0.0) if isfinite(v)]
        margin = 0.08 * (max(ends) - min(ends)) or 0.1
        scale = Scale(min(ends) - margin, max(ends) + margin, 20.0, WIDTH - 20)
        top, y, bottom = 44.0, 64.0, 96.0
        found_x, found = scale(self.estimated.estimate), f"estimated {change(self.estimated.estimate)}"
        shapes = [
            text(0, 14, "Lift of the acceptance rate", kind="title"),
            *_axis(scale, bottom, change, top),
            *_whisker(self.estimated, scale, y),
            dot((found_x, y), 6, kind="bar champion", hint=found),
            text(found_x, y + 22, found, kind="value", anchor="middle"),
        ]
        if isfinite(self.true_lift):
            shapes += _mark(f"true {change(self.true_lift)}", scale(self.true_lift), top - 10, bottom)
        return drawing(WIDTH, bottom + 26, shapes, label=f"A/B test: {found}, true {change(self.true_lift)}")
