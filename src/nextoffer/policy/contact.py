"""The contact policy: how often, and over which channel, a customer may be offered something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nextoffer.policy.batch import Batch
from nextoffer.policy.rule import Rule
from nextoffer.policy.section import Count, Section

WEEKLY_CAP = "contact.weekly_cap"
NO_CHANNEL = "contact.no_channel"

Counts = npt.NDArray[np.int64]
Rules = npt.NDArray[np.int8]


class Contact(Section):
    """How often a customer may be offered something."""

    cap: Count = 3
    window_days: Annotated[int, Field(ge=1)] = 7


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


def contact_rules(_: Contact) -> tuple[Rule, ...]:
    """Return the rules that close single products to a customer, whatever their ranks."""
    return ()


def limits(_: Contact) -> tuple[str, ...]:
    """Return the names of the limits on the number of offers."""
    return (WEEKLY_CAP, NO_CHANNEL)


def room(batch: Batch, contact: Contact) -> Room:
    """Return how many more offers the limits allow each customer, and which of them binds."""
    left = np.maximum(0, contact.cap - batch.facts.contacts[:, 0])
    limit = np.zeros(len(left), dtype=np.int8)
    preferred = batch.facts.preferred_consent
    if preferred is not None:
        left, limit = np.where(preferred, left, 0), np.where(preferred, limit, np.int8(1))
    return Room(np.asarray(left, dtype=np.int64), limit)


def limit_line(batch: Batch, row: int, limit: int, contact: Contact) -> str:
    """Return which limit a customer's offers have come up to; `limit` is its place in `limits`."""
    if limit:
        return "no marketing over the preferred channel: the customer would have to allow it"
    made = int(batch.facts.contacts[row, 0])
    left = int(room(batch, contact).left[row])
    return f"{made} offers in the last {contact.window_days} days, at most {contact.cap} are allowed: {left} may follow"
