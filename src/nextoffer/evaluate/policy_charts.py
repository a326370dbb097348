"""The charts of a policy report: old beside new, parts of a whole, and who took whose place.

Each chart is a value with a `draw` method that returns SVG; none computes anything but positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

from nextoffer.evaluate.svg import (
    CHARACTER,
    Scale,
    box,
    column_width,
    drawing,
    line,
    round_ticks,
    shortened,
    text,
    whisker,
)
from nextoffer.evaluate.wording import Form, bounds, count, plain, whole_percent
from nextoffer.intervals import Interval

WIDTH, WIDE = 660.0, 956.0
_VALUES = 190.0  # column right of the bars
_ROW = 34.0


@dataclass(frozen=True)
class Pair:
    """One figure under the old and the new policy; without `old` there is nothing to compare with."""

    name: str
    new: Interval
    old: Interval | None = None


@dataclass(frozen=True)
class Pairs:
    """Old and new side by side: two bars per row from zero, intervals where only a sample was looked at.

    Attributes
    ----------
    title
        What is counted.
    form
        How a value is written.
    most
        Rows shown; the others are counted beneath.
    width
        Pixels; `WIDE` where it has the whole page's.
    """

    title: str
    pairs: tuple[Pair, ...]
    form: Form = count
    most: int = 30
    width: float = WIDTH

    def draw(self) -> str:
        """Return the chart as SVG."""
        shown = self.pairs[: self.most]
        left = column_width((pair.name for pair in shown), least=70, most=260)
        ends = [end for pair in shown for end in _ends(pair)]
        scale = Scale(min([0.0, *ends]), max([0.0, *ends], default=1.0), left, self.width - _VALUES)
        compares = any(pair.old is not None for pair in shown)
        top = 44.0 if compares else 26.0
        bottom = top + _ROW * len(shown)
        shapes = [text(0, 14, self.title, kind="title"), *(_legend(22.0) if compares else ())]
        for tick in round_ticks(scale.low, scale.high):
            shapes.append(line((scale(tick), top), (scale(tick), bottom), kind="grid"))
            shapes.append(text(scale(tick), bottom + 16, plain(self.form(tick)), kind="tick", anchor="middle"))
        shapes.append(line((scale(0.0), top), (scale(0.0), bottom), kind="axis"))
        for i, pair in enumerate(shown):
            shapes += self._row(pair, top + _ROW * i, scale)
        hidden = len(self.pairs) - len(shown)
        if hidden:
            shapes.append(text(0, bottom + 32, f"and {hidden} more with less", kind="tick"))
        words = ", ".join(self._words(pair) for pair in shown)
        return drawing(self.width, bottom + (38 if hidden else 24), shapes, label=f"{self.title}: {words}")

    def _row(self, pair: Pair, y: float, scale: Scale) -> Iterator[str]:
        yield text(
            scale.start - 12, y + _ROW / 2 + 4, shortened(pair.name, scale.start - 12), kind="name", anchor="end"
        )
        sides = [("old", pair.old), ("new", pair.new)] if pair.old is not None else [("new", pair.new)]
        height = (_ROW - 10) / len(sides)
        for i, (kind, value) in enumerate(sides):
            if not isfinite(value.estimate):
                continue
            at, (zero, end) = y + 5 + i * height, (scale(0.0), scale(value.estimate))
            hint = f"{pair.name}, {kind}: {self._told(value)}, n = {count(value.n)}"
            yield box((min(zero, end), at), (abs(end - zero), height - 1), kind=kind, hint=hint)
            if isfinite(value.low):
                yield whisker((scale(value.low), at + height / 2), (scale(value.high), at + height / 2))
        yield text(self.width, y + _ROW / 2 + 4, self._words(pair, named=False), kind="value", anchor="end")

    def _told(self, value: Interval) -> str:
        inside = f" ({bounds(value, self.form)})" if isfinite(value.low) else ""
        return f"{self.form(value.estimate)}{inside}"

    def _words(self, pair: Pair, *, named: bool = True) -> str:
        name = f"{pair.name} " if named else ""
        before = "" if pair.old is None else f"{self.form(pair.old.estimate)} → "
        return f"{name}{before}{self.form(pair.new.estimate)}"


def _ends(pair: Pair) -> Iterator[float]:
    for value in (pair.old, pair.new):
        if value is not None:
            yield from (v for v in (value.estimate, value.low, value.high) if isfinite(v))


def _legend(y: float) -> Iterator[str]:
    for x, kind in ((0.0, "old"), (58.0, "new")):
        yield box((x, y), (11, 11), kind=kind)
        yield text(x + 16, y + 10, kind, kind="tick")


@dataclass(frozen=True)
class Whole:
    """One bar of parts that make up a whole."""

    name: str
    parts: Mapping[str, float]


@dataclass(frozen=True)
class Shares:
    """Wholes cut into parts, all bars equally long.

    Attributes
    ----------
    title
        What is parted.
    parts
        Name of each part and its colour, in order.
    """

    title: str
    wholes: tuple[Whole, ...]
    parts: Mapping[str, str]

    def draw(self) -> str:
        """Return the chart as SVG."""
        left = column_width((whole.name for whole in self.wholes), least=70, most=200)
        scale = Scale(0.0, 1.0, left, WIDTH - 110)
        top, row = 48.0, 28.0
        shapes = [text(0, 14, self.title, kind="title")]
        x = 0.0
        for name, kind in self.parts.items():
            shapes += [box((x, 22), (11, 11), kind=kind), text(x + 16, 32, name, kind="tick")]
            x += 28 + 0.9 * CHARACTER * len(name)
        for i, whole in enumerate(self.wholes):
            shapes += self._row(whole, top + row * i, scale)
        told = "; ".join(f"{w.name}: " + ", ".join(f"{p} {count(v)}" for p, v in w.parts.items()) for w in self.wholes)
        return drawing(WIDTH, top + row * len(self.wholes) + 4, shapes, label=f"{self.title}. {told}")

    def _row(self, whole: Whole, y: float, scale: Scale) -> Iterator[str]:
        total = sum(whole.parts.values())
        yield text(scale.start - 12, y + 15, shortened(whole.name, scale.start - 12), kind="name", anchor="end")
        so_far = 0.0
        for name, kind in self.parts.items():
            share = whole.parts.get(name, 0.0) / total if total else 0.0
            start, stop = scale(so_far), scale(so_far + share)
            hint = f"{whole.name}, {name}: {count(whole.parts.get(name, 0.0))} ({whole_percent(share)})"
            yield box((start, y + 3), (stop - start, 18), kind=kind, hint=hint)
            so_far += share
        yield text(WIDTH, y + 15, count(total), kind="value", anchor="end")


@dataclass(frozen=True)
class Matrix:
    """Who took whose place: rows and columns of names, the darker a cell the more.

    Attributes
    ----------
    title, rows_are, columns_are
        What is counted, and what rows and columns stand for.
    names
        Of rows and of columns.
    cells
        By row and column; what is left out is nothing.
    """

    title: str
    rows_are: str
    columns_are: str
    names: tuple[tuple[str, ...], tuple[str, ...]]
    cells: Mapping[tuple[str, str], float]

    def draw(self) -> str:
        """Return the chart as SVG."""
        rows, columns = self.names
        left = column_width(rows, least=90, most=190)
        head = 54.0 + 0.72 * column_width(columns, least=40, most=150)
        size = min((WIDE - left - 46) / max(len(columns), 1), 62.0)
        tall = min(size, 26.0)
        shapes = [
            text(0, 14, self.title, kind="title"),
            text(left - 10, head - 8, self.rows_are, kind="mark-name", anchor="end"),
            text(left, 34, self.columns_are, kind="mark-name"),
        ]
        for j, name in enumerate(columns):
            x = left + size * (j + 0.5)
            words = shortened(name, 150)
            shapes.append(
                f'<g transform="translate({x:.1f} {head - 8:.1f}) rotate(-45)">{text(0, 0, words, kind="tick")}</g>'
            )
        for i, name in enumerate(rows):
            shapes += self._row(name, (left, head + tall * i), (size, tall))
        told = ", ".join(f"{a} to {b} {count(v)}" for (a, b), v in self._largest(12))
        return drawing(WIDE, head + tall * len(rows) + 6, shapes, label=f"{self.title}. Most: {told}")

    def _row(self, name: str, corner: tuple[float, float], size: tuple[float, float]) -> Iterator[str]:
        (left, y), (wide, tall) = corner, size
        most = max(self.cells.values(), default=0.0) or 1.0
        yield text(left - 10, y + tall / 2 + 4, shortened(name, left - 12), kind="name", anchor="end")
        for j, column in enumerate(self.names[1]):
            x, amount = left + wide * j, self.cells.get((name, column), 0.0)
            yield box((x, y), (wide - 1, tall - 1), kind="empty")
            if amount:
                shade = box(
                    (x, y),
                    (wide - 1, tall - 1),
                    kind="own" if name == column else "shade",
                    hint=(f"{name} / {column}: {count(amount)}"),
                )
                strength = 0.12 + 0.88 * (amount / most) ** 0.5
                yield f'<g opacity="{strength:.2f}">{shade}</g>'
                kind = "cell dark" if strength > 0.62 else "cell"
                yield text(x + wide / 2 - 0.5, y + tall / 2 + 3.5, _short(amount), kind=kind, anchor="middle")

    def _largest(self, most: int) -> list[tuple[tuple[str, str], float]]:
        return sorted(self.cells.items(), key=lambda cell: -cell[1])[:most]


def _short(amount: float) -> str:
    """Return a count in at most four characters.

    >>> _short(950), _short(12_345), _short(2_500_000)
    ('950', '12k', '2.5M')
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if amount >= size:
            return (
                f"{amount / size:.3g}"[:4].rstrip(".") + letter
                if amount < 10 * size
                else f"{amount / size:.0f}{letter}"
            )
    return f"{amount:.0f}"
