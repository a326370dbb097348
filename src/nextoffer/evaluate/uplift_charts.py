"""The charts of uplift: what offers bring as more of them are made, and the effect in each tenth of offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

from nextoffer.evaluate.svg import Scale, box, drawing, line, path, round_ticks, text, whisker
from nextoffer.evaluate.wording import Form, bounds, percent, plain, whole_percent
from nextoffer.intervals import Interval
from nextoffer.tables.flow import Floats

WIDTH = 660.0
_NAMES = 150.0


@dataclass(frozen=True, eq=False)
class GainCurves:
    """What making the best share of offers brings, by each order; the straight line is an order by lot.

    Attributes
    ----------
    title
        What is gained.
    curves
        Order → shares of offers made from 0 to 1, and what they bring.
    champion
        The order set apart by colour.
    form
        How a gain is written.
    """

    title: str
    curves: Mapping[str, tuple[Floats, Floats]]
    champion: str
    form: Form = percent

    def draw(self) -> str:
        """Return the chart as SVG."""
        levels = [float(v) for _, gains in self.curves.values() for v in (gains.min(), gains.max())]
        margin = 0.05 * (max(levels) - min(levels)) or 0.01
        up = Scale(min(levels) - margin, max(levels) + margin, 250.0, 30.0)
        across = Scale(0.0, 1.0, 62.0, WIDTH - _NAMES)
        shapes = [text(0, 14, self.title, kind="title")]
        for tick in round_ticks(up.low, up.high):
            shapes.append(line((across.start, up(tick)), (across.stop, up(tick)), kind="grid"))
            shapes.append(text(across.start - 8, up(tick) + 4, plain(self.form(tick)), kind="tick", anchor="end"))
        for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
            shapes.append(text(across(tick), up.start + 18, whole_percent(tick), kind="tick", anchor="middle"))
        shapes.append(line((across(0), up(0)), (across(1), up(0)), kind="axis"))
        end = float(next(iter(self.curves.values()))[1][-1])
        shapes.append(line((across(0), up(0)), (across(1), up(end)), kind="mark"))
        for name, (shares, gains) in self.curves.items():
            points = [(across(float(x)), up(float(y))) for x, y in zip(shares, gains, strict=True)]
            shapes.append(path(points, kind="trace" if name == self.champion else "course"))
        shapes += self._names(up(end))
        shapes.append(
            text((across.start + across.stop) / 2, up.start + 38, "share of offers made, best first", anchor="middle")
        )
        told = "; ".join(f"{n}: half of the offers bring {self.form(_at_half(*c))}" for n, c in self.curves.items())
        return drawing(WIDTH, up.start + 46, shapes, label=f"{self.title}; {told}; all bring {self.form(end)}")

    def _names(self, end: float) -> Iterator[str]:
        """The names of the lines beside their common end."""
        x = WIDTH - _NAMES + 12
        for i, name in enumerate(self.curves):
            y = end - 8 + 18 * i
            mine = name == self.champion
            yield path([(x, y - 4), (x + 16, y - 4)], kind="trace" if mine else "course")
            yield text(x + 22, y, f"by {name}", kind="name champion" if mine else "name")
        y = end - 8 + 18 * len(self.curves)
        yield line((x, y - 4), (x + 16, y - 4), kind="mark")
        yield text(x + 22, y, "by lot", kind="mark-name")


def _at_half(shares: Floats, gains: Floats) -> float:
    return float(gains[int((shares <= 0.5).sum()) - 1])


@dataclass(frozen=True)
class Tenths:
    """The effect observed in each tenth of offers with its interval, beside the one predicted where it is known."""

    title: str
    observed: tuple[Interval, ...]
    predicted: tuple[float, ...]
    form: Form = percent

    def draw(self) -> str:
        """Return the chart as SVG."""
        levels = [v for i in self.observed for v in (i.estimate, i.low, i.high) if isfinite(v)]
        levels += [v for v in self.predicted if isfinite(v)]
        low, high = min([0.0, *levels]), max([0.0, *levels])
        margin = 0.05 * (high - low) or 0.01
        up = Scale(low - margin, high + margin, 236.0, 44.0)
        step = (WIDTH - 78) / max(len(self.observed), 1)
        shapes = [text(0, 14, self.title, kind="title")]
        for tick in round_ticks(up.low, up.high):
            shapes.append(line((62, up(tick)), (WIDTH - 16, up(tick)), kind="grid"))
            shapes.append(text(54, up(tick) + 4, plain(self.form(tick)), kind="tick", anchor="end"))
        for i, (seen, said) in enumerate(zip(self.observed, self.predicted, strict=True)):
            shapes += self._column(i, seen, said, (62 + step * i, step), up=up)
        shapes.append(line((62, up(0)), (WIDTH - 16, up(0)), kind="axis"))
        shapes.append(text(WIDTH / 2 + 20, up.start + 40, "tenths of offers, best first", anchor="middle"))
        words = ", ".join(self.form(i.estimate) for i in self.observed)
        return drawing(WIDTH, up.start + 48, [*shapes, *self._legend()], label=f"{self.title}: {words}")

    def _column(self, i: int, seen: Interval, said: float, where: tuple[float, float], *, up: Scale) -> Iterator[str]:
        left, step = where
        middle, level = left + step / 2, seen.estimate if isfinite(seen.estimate) else 0.0
        hint = f"tenth {i + 1}: {self.form(seen.estimate)} observed ({bounds(seen, self.form)}), {self.form(said)} said"
        corner, size = (left + step * 0.2, min(up(level), up(0))), (step * 0.6, abs(up(level) - up(0)))
        yield box(corner, size, kind="bar part", hint=hint)
        if isfinite(seen.low):
            yield whisker((middle, up(seen.low)), (middle, up(seen.high)))
        if isfinite(said):
            yield line((left + step * 0.1, up(said)), (left + step * 0.9, up(said)), kind="mark")
        yield text(middle, up.start + 18, str(i + 1), kind="tick", anchor="middle")

    def _legend(self) -> Iterator[str]:
        yield box((62, 24), (11, 11), kind="bar part")
        yield text(78, 34, "observed", kind="tick")
        if any(isfinite(v) for v in self.predicted):
            yield line((146, 30), (164, 30), kind="mark")
            yield text(170, 34, "predicted", kind="tick")
