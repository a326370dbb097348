"""The contact policy: how often, and over which channel, a customer may be offered something."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.policy.allowance import Contact
from nextoffer.policy.batch import Batch
from nextoffer.policy.logic import Mask
from nextoffer.policy.pauses import pauses
from nextoffer.policy.quiet import Windows, closed_channels, open_hours
from nextoffer.policy.reach import Reach
from nextoffer.policy.rule import Rule
from nextoffer.tables.flow import Indices

__all__ = [
    "NO_CHANNEL",
    "WEEKLY_CAP",
    "Contact",
    "Room",
    "calling_windows",
    "channels",
    "contact_rules",
    "limit_line",
    "limits",
    "room",
    "spent",
]

WEEKLY_CAP = "contact.weekly_cap"
NO_CHANNEL = "contact.no_channel"

Counts = npt.NDArray[np.int64]
Rules = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Room:
    """How many more offers may be made to each of n customers.

    Attributes
    ----------
    left
        int64 (n,): so many.
    limit
        int8 (n,): the place in `limits` of the one that allows no more.
    """

    left: Counts
    limit: Rules


def contact_rules(contact: Contact) -> tuple[Rule, ...]:
    """Return the rules that close single products to a customer, whatever their ranks."""
    return tuple(pauses(contact))


def limits(contact: Contact) -> tuple[str, ...]:
    """Return the names of the limits on the number of offers; of those that allow no more the first is blamed."""
    return (WEEKLY_CAP, *(f"contact.{limit.name}" for limit in contact.limit), NO_CHANNEL)


def room(batch: Batch, contact: Contact) -> Room:
    """Return how many more offers the limits allow each customer, and which of them binds.

    Raises
    ------
    PolicyError
        The facts were made for a policy that asks for other ones.
    """
    if not contact.is_plain:
        reach = Reach(contact, batch)
        return Room(reach.filled[:, -1], reach.binding)
    left = np.maximum(0, contact.cap - batch.facts.contacts[:, 0])
    limit = np.zeros(len(left), dtype=np.int8)
    preferred, consent = batch.facts.preferred_consent, batch.facts.consent
    if preferred is not None:
        # who allows nothing at all is stopped by that, not by want of a channel
        allowed = preferred if consent is None else preferred | ~consent
        left, limit = np.where(allowed, left, 0), np.where(allowed, limit, np.int8(1))
    return Room(np.asarray(left, dtype=np.int64), limit)


def spent(batch: Batch, contact: Contact) -> Mask:
    """Return bool (n, limits): what by itself leaves a customer no further offer."""
    reach = Reach(contact, batch)
    out = np.zeros((batch.shape[0], len(limits(contact))), dtype=np.bool_)
    out[:, : reach.left.shape[1]] = reach.over_all <= 0
    by_channel = reach.by_slot.sum(axis=1) <= 0
    places = np.where(reach.open.any(axis=1), reach.binding, out.shape[1] - 1)
    rows = np.flatnonzero(by_channel)
    out[rows, places[rows]] = True
    return out


def channels(batch: Batch, contact: Contact, rows: Indices, ranks: Indices) -> pa.Array:
    """Return the channel of each offer, as texts of a dictionary; null where none is known.

    Parameters
    ----------
    rows, ranks
        Whose offer it is, and its rank among the customer's, from 0.
    """
    reach = Reach(contact, batch)
    places = reach.channels(rows, ranks).astype(np.int32)
    nowhere = np.array([name is None for name in reach.names])[places]
    # Parquet takes no dictionary with a null in it
    names = pa.array([name or "" for name in reach.names], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(places, mask=nowhere), names)


def calling_windows(contact: Contact, channel: str, day: date) -> Windows:
    """Return the hours of a day, from and until as ``HH:MM``, in which customers may be reached over a channel.

    >>> calling_windows(Contact(), "phone", date(2025, 10, 11))
    [('00:00', '24:00')]
    """
    return open_hours(contact.quiet, channel, day)


def limit_line(batch: Batch, row: int, limit: int, contact: Contact) -> str:
    """Return which limit a customer's offers have come up to; `limit` is its place in `limits`."""
    if limit == len(contact.limit) + 1:
        return f"no channel is open: {'; '.join(_closed(Reach(contact, batch), row))}"
    made = int(batch.facts.contacts[row, limit])
    if limit == 0:
        left = int(room(batch, contact).left[row])
        told = f"{made} offers in the last {contact.window_days} days, at most {contact.cap} are allowed"
        return f"{told}: {left} may follow"
    bound = contact.limit[limit - 1]
    left, over = int(Reach(contact, batch).left[row, limit]), f" over {bound.channel}" if bound.channel else ""
    told = f"offers{over} in the last {bound.days} days, at most {bound.max} are allowed"
    if bound.per == "household":
        return f"{made} {told} to the whole household: {left} may follow to this customer today"
    return f"{made} {told}: {left} may follow"


def _closed(reach: Reach, row: int) -> Iterator[str]:
    """Yield why each channel is closed to a customer."""
    weekday = f"{reach.batch.features.as_of:%A}"
    closed = closed_channels(reach.contact.quiet, reach.batch.features.as_of)
    for slot, place in enumerate(reach.slots[row].tolist()):
        if place < 0:
            continue
        name = reach.names[place]
        if not reach.consented[row, slot]:
            yield "the customer would have to allow marketing over " + (f"'{name}'" if name else "all channels")
        elif name in closed:
            yield f"'{name}' is quiet on a {weekday}"
