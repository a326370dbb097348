"""The little SVG that the report's charts are made of: scales, round tick marks, and shapes as text.

Charts are drawn by hand because a chart library took about 400 times as long for one page (measured side by side, see
docs/evaluation.md). Colours live in the page's style sheet; shapes only name a class.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

CHARACTER = 6.6  # mean width of a character of chart text, in pixels


@dataclass(frozen=True)
class Scale:
    """A straight line from data to pixels.

    >>> Scale(0.0, 10.0, start=100.0, stop=200.0)(2.5)
    125.0
    """

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; values beyond the ends are put there; without a range, all at the start."""
        if self.high <= self.low:
            return self.start
        inside = min(max(value, self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.stop - self.start)


def round_ticks(low: float, high: float, *, about: int = 4) -> list[float]:
    """Return round numbers in [low, high], about so many.

    >>> round_ticks(0.0, 0.68)
    [0.0, 0.2, 0.4, 0.6]
    """
    if not (isfinite(low) and isfinite(high) and high > low):
        return []
    rough = (high - low) / about
    power = 10.0 ** floor(log10(rough))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs(s - rough))
    return [round(i * step, 12) + 0.0 for i in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def drawing(width: float, height: float, shapes: Iterable[str], *, label: str) -> str:
    """Return a whole picture; `label` says in words what it shows."""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'aria-label="{escape(label)}">{"".join(shapes)}</svg>'
    )


def column_width(names: Iterable[str], *, least: float, most: float) -> float:
    """Return the pixels a column of names takes, within limits."""
    longest = max((len(name) for name in names), default=0)
    return min(max(longest * (CHARACTER + 0.6) + 14, least), most)


def text(x: float, y: float, words: str, *, kind: str = "label", anchor: str = "start") -> str:
    """Return words whose baseline is at y."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def whisker(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Return an interval's line, legible on a dark bar too."""
    return line(start, end, kind="halo") + line(start, end, kind="whisker")


def line(start: tuple[float, float], end: tuple[float, float], *, kind: str) -> str:
    """Return a straight line."""
    return f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" class="{kind}"/>'


def box(corner: tuple[float, float], size: tuple[float, float], *, kind: str, hint: str = "") -> str:
    """Return a rectangle, with a hint shown under the pointer."""
    shape = (
        f'<rect x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{max(size[0], 0):.1f}" height="{max(size[1], 0):.1f}"'
    )
    return _hinted(shape, "rect", kind, hint)


def dot(centre: tuple[float, float], radius: float, *, kind: str, hint: str = "") -> str:
    """Return a circle, with a hint shown under the pointer."""
    return _hinted(f'<circle cx="{centre[0]:.1f}" cy="{centre[1]:.1f}" r="{radius:.1f}"', "circle", kind, hint)


def path(points: Iterable[tuple[float, float]], *, kind: str) -> str:
    """Return a line through the points."""
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{steps}" class="{kind}"/>'


def polygon(points: Iterable[tuple[float, float]], *, kind: str) -> str:
    """Return the area that the points enclose."""
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polygon points="{corners}" class="{kind}"/>'


def _hinted(shape: str, tag: str, kind: str, hint: str) -> str:
    if not hint:
        return f'{shape} class="{kind}"/>'
    return f'{shape} class="{kind}"><title>{escape(hint)}</title></{tag}>'


def shortened(words: str, width: float) -> str:
    """Return the words, cut with an ellipsis to fit so many pixels.

    >>> shortened("Unsecured personal loan", 80)
    'Unsecured p…'
    """
    room = int(width / CHARACTER)
    return words if len(words) <= room else words[: room - 1].rstrip() + "…"
