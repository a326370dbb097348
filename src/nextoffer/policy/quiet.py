"""When a channel is closed: hours of every day, and whole days of the week."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from nextoffer.errors import did_you_mean
from nextoffer.policy.section import Section

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60

Windows = list[tuple[str, str]]


def _clock(text: str) -> str:
    if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text) is None:
        raise ValueError(f"found '{text}'; a time of day is needed, 00:00 to 23:59")
    return text


def _weekdays(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in WEEKDAYS:
            raise ValueError(f"no day '{name}'{did_you_mean(name, WEEKDAYS)}; there are {', '.join(WEEKDAYS)}")
    return names


Clock = Annotated[str, AfterValidator(_clock)]


class Quiet(Section):
    """When a channel is closed.

    Attributes
    ----------
    channel
        Which.
    from_, to
        ``HH:MM``, of every day; over midnight where the second is the earlier. ``from`` in a file.
    days
        Days of the week on which it is closed from morning to night; nothing is offered over it on them.
    """

    model_config = ConfigDict(populate_by_name=True)

    channel: Annotated[str, Field(min_length=1)]
    from_: Annotated[Clock | None, Field(alias="from")] = None
    to: Clock | None = None
    days: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_weekdays)] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Quiet:
        if (self.from_ is None) != (self.to is None):
            raise ValueError("'from' and 'to' go together")
        if self.from_ is None and not self.days:
            raise ValueError("says nothing: 'from' and 'to' are needed, or 'days'")
        if self.from_ is not None and self.from_ == self.to:
            raise ValueError(f"'from' and 'to' are both {self.from_}: to close whole days name them in 'days'")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"from" if key == "from_" else key: value for key, value in handler(self).items()}


def closed_channels(quiet: Iterable[Quiet], day: date) -> frozenset[str]:
    """Return the channels that are closed all day."""
    return frozenset(each.channel for each in quiet if not open_hours(quiet, each.channel, day))


def open_hours(quiet: Iterable[Quiet], channel: str, day: date) -> Windows:
    """Return the hours of a day, from and until, in which a channel is open.

    >>> open_hours([Quiet(channel="phone", from_="20:00", to="09:00", days=("sun",))], "phone", date(2025, 10, 11))
    [('09:00', '20:00')]
    """
    shut = [False] * DAY
    for each in quiet:
        if each.channel == channel:
            for minute in _minutes(each, WEEKDAYS[day.weekday()]):
                shut[minute] = True
    edges = [minute for minute in range(DAY + 1) if _is_shut(shut, minute - 1) != _is_shut(shut, minute)]
    return [(_text(opens), _text(closes)) for opens, closes in zip(edges[::2], edges[1::2], strict=True)]


def _minutes(quiet: Quiet, weekday: str) -> Iterable[int]:
    if weekday in quiet.days:
        return range(DAY)
    if quiet.from_ is None or quiet.to is None:
        return ()
    begins, ends = _minute(quiet.from_), _minute(quiet.to)
    return range(begins, ends) if begins < ends else (*range(begins, DAY), *range(ends))


def _is_shut(shut: list[bool], minute: int) -> bool:
    """Whether a channel is closed; outside the day it is."""
    return not 0 <= minute < DAY or shut[minute]


def _minute(clock: str) -> int:
    return 60 * int(clock[:2]) + int(clock[3:])


def _text(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
