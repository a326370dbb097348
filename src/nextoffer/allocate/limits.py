"""The limits file: what there is of each resource, how much of it an offer takes, and how many offers are wanted.

Every key is checked and every problem named at once. What the keys mean to a campaign manager: ``docs/allocation.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nextoffer import toml
from nextoffer.errors import AllocationError

Scalar = bool | int | str
Where = dict[str, Scalar | tuple[Scalar, ...]]
"""Offers whose columns have these values (any of several); an empty one means every offer."""

_Amount = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Amount(_Part):
    """How much the offers of one kind take.

    Attributes
    ----------
    where
        Which offers.
    amount
        Units of the resource (of `Advisers`: minutes) for one offer.
    """

    where: Where
    amount: _Amount


class Resource(_Part):
    """Something there is so much of: mails, money, call minutes.

    Attributes
    ----------
    name
        Shown in results and refusals.
    capacity
        Units there are.
    use
        Units one offer takes: a number, or the name of a column of the offers.
    amounts
        Exceptions to `use`; the first that fits an offer counts.
    where
        Which offers take it.
    """

    name: str
    capacity: _Amount
    use: _Amount | str = 1.0
    amounts: tuple[Amount, ...] = ()
    where: Where = {}


class Slots(_Part):
    """Places on days, pooled over everyone who works them; each offer takes one, and is told its day.

    Attributes
    ----------
    name
        Shown in results and refusals.
    per_day
        Places on the first day, the second and so on.
    where
        Which offers take a place.
    """

    name: str = "call slots"
    per_day: Annotated[tuple[_Count, ...], Field(min_length=1)]
    where: Where = {"channel": "call"}


class Adviser(_Part):
    """One relationship manager (RM).

    Attributes
    ----------
    rm_id
        As in the offers' column ``rm_id``.
    hours
        Working time there is for offers.
    skills
        Product types the RM may sell; none given means all.
    """

    rm_id: int | str
    hours: _Amount
    skills: tuple[str, ...] | None = None


class Advisers(_Part):
    """The relationship managers and what an offer takes of their time.

    Attributes
    ----------
    channel
        Offers of this channel need an RM.
    minutes
        Minutes one offer takes: a number, or the name of a column of the offers.
    amounts
        Exceptions to `minutes`; the first that fits an offer counts.
    hours
        Of each RM not listed in `person`; without it they have none.
    anyone
        False: an offer goes to the customer's own RM. True: to any listed RM with the skill, the own one if possible.
    person
        The RMs.
    """

    channel: str = "rm"
    minutes: _Amount | str
    amounts: tuple[Amount, ...] = ()
    hours: _Amount | None = None
    anyone: bool = False
    person: tuple[Adviser, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Advisers:
        twice = [name for name, n in Counter(str(p.rm_id) for p in self.person).items() if n > 1]
        if twice:
            raise ValueError(f"listed more than once: {', '.join(twice)}")
        if self.anyone and not self.person:
            raise ValueError("anyone = true needs the RMs listed as [[rm.person]]")
        return self


class Volume(_Part):
    """How many offers of one kind are made, at least and at most.

    Attributes
    ----------
    column, value
        The offers whose `column` (product_id, segment, any) is `value`.
    min, max
        Numbers of offers; no `max` means any number.
    """

    column: str
    value: Scalar
    min: _Count = 0
    max: _Count | None = None

    @model_validator(mode="after")
    def _sound(self) -> Volume:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max {self.max} is less than min {self.min}")
        return self

    @property
    def name(self) -> str:
        """How results and refusals call it."""
        return f"{self.column} = {plain(self.value)}"


class Limits(_Part):
    """Everything that limits the offers made; `Limits()` limits nothing but one offer per customer.

    Attributes
    ----------
    per_customer
        Most offers a customer gets.
    resource, slots, rm, volume
        See `Resource`, `Slots`, `Advisers`, `Volume`.

    >>> limits = Limits(resource=[Resource(name="mails", capacity=100, where={"channel": "mail"})])
    >>> limits.resource[0].use
    1.0
    """

    per_customer: Annotated[int, Field(ge=1)] = 1
    resource: tuple[Resource, ...] = ()
    slots: tuple[Slots, ...] = ()
    rm: Advisers | None = None
    volume: tuple[Volume, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Limits:
        names = [r.name for r in self.resource] + [s.name for s in self.slots] + [v.name for v in self.volume]
        twice = [name for name, n in Counter(names).items() if n > 1]
        if twice:
            raise ValueError(f"named more than once: {', '.join(twice)}")
        return self

    @property
    def columns(self) -> dict[str, str]:
        """The columns of the offers that are looked at, and where each is first named (``resource 'budget': use``).

        >>> Limits.parse('resource = [{name = "budget", capacity = 9, use = "cost"}]').columns
        {'cost': "resource 'budget': use"}
        """
        out: dict[str, str] = {}
        for place, names in self._named():
            for name in names:
                out.setdefault(name, place)
        return out

    def _named(self) -> Iterator[tuple[str, Iterable[str]]]:
        for each in self.resource:
            yield from _of_amounts(f"resource '{each.name}'", ("use", each.use), each.amounts)
            yield f"resource '{each.name}': where", each.where
        for slots in self.slots:
            yield f"slots '{slots.name}': where", slots.where
        if self.rm is not None:
            yield "rm", ("channel", "rm_id")
            yield from _of_amounts("rm", ("minutes", self.rm.minutes), self.rm.amounts)
            if any(person.skills is not None for person in self.rm.person):
                yield "rm: skills", ("product_type",)
        for volume in self.volume:
            yield "volume: column", (volume.column,)

    @classmethod
    def read(cls, path: str | Path) -> Limits:
        """Return the limits of a TOML file.

        Raises
        ------
        AllocationError
            The file cannot be read, is not TOML, or holds unknown keys or wrong values; all of them are named.
        """
        return cls.parse(toml.read_text(path, error=AllocationError), where=str(path))

    @classmethod
    def parse(cls, text: str, *, where: str = "limits") -> Limits:
        """Return the limits that a TOML `text` says; `where` opens each message.

        Raises
        ------
        AllocationError
            As `read`.
        """
        return toml.parse(text, cls, where=where, error=AllocationError)


def _of_amounts(
    place: str, use: tuple[str, float | str], exceptions: Iterable[Amount]
) -> Iterator[tuple[str, Iterable[str]]]:
    key, column = use
    if isinstance(column, str):
        yield f"{place}: {key}", (column,)
    for entry in exceptions:
        yield f"{place}: amounts.where", entry.where


def plain(value: object) -> str:
    """Return a value as it is compared and shown: TOML's spelling of true and false, else its text."""
    return str(value).lower() if isinstance(value, bool) else str(value)
