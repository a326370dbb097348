"""When customers may be called: what is left of a week when the quiet times are taken away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import time
from itertools import groupby

from nextoffer.deliver.settings import DAYS

_DAY = 24 * 60


@dataclass(frozen=True)
class Quiet:
    """A time in which a channel is closed.

    Attributes
    ----------
    start, end
        From and to on every day, over midnight where `end` is not after `start`; None for none.
    days
        Days that are closed wholly, ``mon`` to ``sun``.
    """

    start: time | None = None
    end: time | None = None
    days: tuple[str, ...] = ()


@dataclass(frozen=True)
class CallingHours:
    """When customers may be called.

    Attributes
    ----------
    windows
        From and until, in order, on each of the days; until midnight is ``time(0)``.
    days
        ``mon`` to ``sun``.
    """

    windows: tuple[tuple[time, time], ...]
    days: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether there is any such time."""
        return bool(self.windows and self.days)

    @property
    def text(self) -> str:
        """The windows as text.

        >>> CallingHours(((time(9), time(12)), (time(14), time(20))), ("mon",)).text
        '09:00-12:00 14:00-20:00'
        """
        return " ".join(f"{start:%H:%M}-{end:%H:%M}" for start, end in self.windows)


def left_over(quiet: Iterable[Quiet]) -> CallingHours:
    """Return the hours outside all quiet times.

    >>> left_over([Quiet(time(20), time(9), ("sun",))]).text
    '09:00-20:00'
    """
    closed, off = [False] * _DAY, set()
    for each in quiet:
        off |= set(each.days)
        for minute in _minutes(each):
            closed[minute] = True
    windows = []
    for shut, run in groupby(range(_DAY), key=closed.__getitem__):
        if not shut:
            minutes = list(run)
            windows.append((_time(minutes[0]), _time(minutes[-1] + 1)))
    return CallingHours(tuple(windows), tuple(day for day in DAYS if day not in off))


def _minutes(quiet: Quiet) -> Iterable[int]:
    if quiet.start is None or quiet.end is None:
        return ()
    start, end = (60 * t.hour + t.minute for t in (quiet.start, quiet.end))
    return range(start, end) if start < end else (*range(start, _DAY), *range(end))


def _time(minute: int) -> time:
    return time(*divmod(minute % _DAY, 60))
