"""What every format is made from: the offers with what is to be said of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa

from nextoffer.deliver.settings import Settings
from nextoffer.deliver.wording import CustomerWordings

Row = Mapping[str, Any]

OPTIONAL = {
    "expected_value": pa.float64(), "value": pa.float64(), "arm": pa.string(), "rm": pa.string(),
    "customer_name": pa.string(), "first_name": pa.string(), "last_name": pa.string(), "email": pa.string(),
    "phone": pa.string(), "slot_day": pa.int32(), "consent_channel": pa.string(), "consent_recorded_on": pa.date32(),
}  # fmt: skip
"""Columns that offers may lack: they are then null."""

_ROWS_AT_ONCE = 8_192


@dataclass(frozen=True)
class CallingHours:
    """When customers may be called.

    Attributes
    ----------
    windows
        From and until as ``HH:MM``, in order, on each of the days.
    days
        ``mon`` to ``sun``.
    """

    windows: tuple[tuple[str, str], ...]
    days: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether there is any such time."""
        return bool(self.windows and self.days)

    @property
    def text(self) -> str:
        """The windows as text.

        >>> CallingHours((("09:00", "12:00"), ("14:00", "20:00")), ("mon",)).text
        '09:00-12:00 14:00-20:00'
        """
        return " ".join(f"{start}-{end}" for start, end in self.windows)


@dataclass(frozen=True)
class Material:
    """Offers of one file of decisions, ready to be handed over.

    Attributes
    ----------
    offers
        Those that consent allows on the day, by customer and rank: the columns of Decisions, ``product_name`` and
        `OPTIONAL`.
    every
        The same with those that consent no longer allows.
    day
        Of the delivery.
    bank, currency
        Its name, and what amounts are in (may be empty).
    settings
        Scripts and settings of the formats.
    wordings
        What customers may be told.
    hours
        When they may be called.
    outcomes
        What came of offers: ``decision_id, outcome`` (Accepted, Rejected, NoResponse) and ``on`` (date).
    """

    offers: pa.Table
    every: pa.Table
    day: date
    bank: str
    currency: str
    settings: Settings
    wordings: CustomerWordings
    hours: CallingHours
    outcomes: pa.Table


@dataclass(frozen=True)
class Told:
    """What a format has to say of itself.

    Attributes
    ----------
    offers
        How many were handed over.
    left_out
        Why → how many were not.
    """

    offers: int
    left_out: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values; what left nothing out is not named."""
        return {"offers": self.offers, "left_out": {why: n for why, n in self.left_out.items() if n}}


def rows(table: pa.Table, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield a table's rows with these columns, a few thousand read at a time."""
    for batch in table.select(list(dict.fromkeys(columns))).to_batches(max_chunksize=_ROWS_AT_ONCE):
        yield from batch.to_pylist()


def by_customer(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    """Yield each customer with the rows of the customer's offers, best first."""
    for customer, offers in groupby(rows(table, ["customer_id", *columns]), key=itemgetter("customer_id")):
        yield customer, list(offers)
