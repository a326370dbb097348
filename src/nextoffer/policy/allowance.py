"""What ``[contact]`` of a policy file says: how often, over which channels and how soon again something is offered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from nextoffer.policy.quiet import WEEKDAYS, Quiet
from nextoffer.policy.section import Count, Section
from nextoffer.tables.flow import Window

Scope = Literal["product", "family", "all"]
"""What is not offered again: the product, its family, or anything at all."""

Days = Annotated[int, Field(ge=1, le=3660)]
_Channel = Annotated[str, Field(min_length=1)]

MOST = 10
"""So many limits and channels: rules are numbered by one byte."""

_TAKEN = frozenset({"weekly_cap", "no_channel", "cool_down", "after_ignores", "after_reject"})


class Limit(Section):
    """At most so many offers in any so many days.

    Attributes
    ----------
    id
        What refusals name it by; made from the rest where left out: ``phone_30d``.
    channel
        Only offers over this channel; None for all.
    days, max
        At most `max` offers on any `days` days in a row.
    per
        To one customer, or to all members of a household together.
    """

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)] | None = None
    channel: _Channel | None = None
    days: Days
    max: Count
    per: Literal["customer", "household"] = "customer"

    @property
    def name(self) -> str:
        """What refusals name it by, without the stage.

        >>> Limit(channel="phone", days=30, max=2).name, Limit(days=7, max=4, per="household").name
        ('phone_30d', 'household_7d')
        """
        if self.id is not None:
            return self.id
        words = [self.channel] if self.channel else []
        words += ["household"] if self.per == "household" else []
        return re.sub(r"[^a-z0-9]+", "_", f"{'_'.join(words) or 'all'}_{self.days}d".lower())

    @property
    def window(self) -> Window:
        """The offers that count."""
        return Window(self.days, self.channel, self.per == "household")


class CoolDown(Section):
    """How long a product, its family or anything rests after an offer: `days` from the day of the offer, 0 for none."""

    days: Annotated[int, Field(ge=0, le=3660)] = 0
    scope: Scope = "product"


class AfterIgnores(Section):
    """Silence after `count` offers of the last `days` days that have no answer; 0 days for none."""

    count: Annotated[int, Field(ge=1)] = 3
    days: Annotated[int, Field(ge=0, le=3660)] = 0
    scope: Scope = "product"


class AfterReject(Section):
    """Silence for `days` days from the day on which the customer said no; 0 for none."""

    days: Annotated[int, Field(ge=0, le=3660)] = 0
    scope: Scope = "product"


class Contact(Section):
    """How often, over which channels and how soon again a customer may be offered something.

    Attributes
    ----------
    cap, window_days
        At most so many offers to a customer on any so many days in a row.
    channels
        Tried in this order after the preferred one; empty: only the preferred one.
    limit
        Further limits.
    cool_down, after_ignores, after_reject
        When what was offered before may be offered again.
    quiet
        When channels are closed.
    """

    cap: Count = 3
    window_days: Annotated[int, Field(ge=1)] = 7
    channels: Annotated[tuple[_Channel, ...], Field(strict=False, max_length=MOST)] = ()
    limit: Annotated[tuple[Limit, ...], Field(strict=False, max_length=MOST)] = ()
    cool_down: CoolDown = CoolDown()
    after_ignores: AfterIgnores = AfterIgnores()
    after_reject: AfterReject = AfterReject()
    quiet: Annotated[tuple[Quiet, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _without_contradiction(self) -> Contact:
        if wrong := [*_repeated(self), *_closed_for_good(self)]:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def windows(self) -> tuple[Window, ...]:
        """What has to be counted: the cap's window, then each limit's."""
        return (Window(self.window_days), *(limit.window for limit in self.limit))

    @property
    def is_plain(self) -> bool:
        """Whether there is only the cap, and only the preferred channel."""
        return not (self.channels or self.limit or self.quiet)


def _repeated(contact: Contact) -> Iterator[str]:
    """What is said twice."""
    for name, count in Counter(contact.channels).items():
        if count > 1:
            yield f"channels name '{name}' {count} times"
    for name, count in Counter(limit.name for limit in contact.limit).items():
        if count > 1:
            yield f"{count} limits are called '{name}': give each an id of its own"
        if name in _TAKEN:
            yield f"a limit may not be called '{name}', which is another rule's name"
    for window, count in Counter(limit.window for limit in contact.limit).items():
        if count > 1:
            names = [f"'{limit.name}'" for limit in contact.limit if limit.window == window]
            yield f"limits {' and '.join(names)} count the same offers, so that only the smaller could ever bind"


def _closed_for_good(contact: Contact) -> Iterator[str]:
    """Channels that are to be tried and can never be open."""
    for channel in dict.fromkeys(contact.channels):
        days = {day for quiet in contact.quiet if quiet.channel == channel for day in quiet.days}
        if days >= set(WEEKDAYS):
            yield f"channels name '{channel}', which is quiet on every day of the week"
        for limit in contact.limit:
            if limit.channel == channel and limit.max == 0:
                yield f"channels name '{channel}', which limit '{limit.name}' with max = 0 closes"
