"""Over which channels, and how often, each customer of a batch may be offered something on the day.

A customer's ranks are filled channel by channel: the preferred one first, then those of the policy, each up to its
limits, all together up to the limits over all channels. Where a limit is a household's, each member has a share of what
is left: so nobody's offers depend on who else is decided for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nextoffer.errors import PolicyError
from nextoffer.policy.allowance import Contact, Limit
from nextoffer.policy.batch import Batch
from nextoffer.policy.logic import Mask
from nextoffer.policy.quiet import closed_channels
from nextoffer.tables.flow import Indices

Counts = npt.NDArray[np.int64]

PLENTY = 1_000_000
"""As much as no limit."""


@dataclass(frozen=True)
class Reach:
    """Where n customers may be reached.

    Attributes
    ----------
    contact
        What the policy says.
    batch
        The customers.
    """

    contact: Contact
    batch: Batch

    def __post_init__(self) -> None:
        found, wanted = self.batch.facts.contacts.shape[1], len(self.contact.windows)
        if found != wanted:
            raise PolicyError(f"the facts count offers in {found} windows, but the policy asks for {wanted}")

    @cached_property
    def names(self) -> list[str | None]:
        """The channels there are; None stands for an offer without one."""
        known = self._preferred[1]
        return [*known, *(c for c in self.contact.channels if c not in known)]

    @cached_property
    def slots(self) -> Indices:
        """The channels in the order in which they are tried, int (n, 1 + C): places in `names`, −1 for none."""
        places, known = self._preferred
        listed = np.array([self.names.index(channel) for channel in self.contact.channels], dtype=np.intp)
        others = np.broadcast_to(listed, (len(places), len(listed)))
        others = np.where(others == places[:, None], -1, others)
        nowhere = len(known) - 1
        first = np.where((places == nowhere) & bool(self.contact.channels), -1, places)
        return np.column_stack([first, others])

    @cached_property
    def consented(self) -> Mask:
        """Whether marketing is allowed over the channel of each slot, bool (n, 1 + C).

        Who allows none at all is stopped by that, not by want of a channel.
        """
        facts = self.batch.facts
        everywhere = np.ones(self.slots.shape, dtype=np.bool_)
        if facts.preferred_consent is None or facts.channel_consent is None:
            return everywhere
        by_slot = np.column_stack([facts.preferred_consent, facts.channel_consent])
        return by_slot if facts.consent is None else by_slot | ~facts.consent[:, None]

    @cached_property
    def quiet(self) -> Mask:
        """Whether the channel of each slot is closed all day, bool (n, 1 + C)."""
        closed = closed_channels(self.contact.quiet, self.batch.features.as_of)
        return self._of_slots(np.array([name in closed for name in self.names]), otherwise=False)

    @cached_property
    def open(self) -> Mask:
        """Whether there is a channel in the slot, allowed and not quiet, bool (n, 1 + C); limits are not looked at."""
        return np.asarray((self.slots >= 0) & self.consented & ~self.quiet)

    @cached_property
    def left(self) -> Counts:
        """int64 (n, limits): what the cap and each limit leave the customer."""
        facts = self.batch.facts
        most = np.array([self.contact.cap, *(limit.max for limit in self.contact.limit)], dtype=np.int64)
        left = np.maximum(0, most - facts.contacts)
        for place, limit in enumerate(self.contact.limit, start=1):
            if limit.per == "household":
                if facts.members is None or facts.place is None:
                    raise PolicyError("the facts were made for a policy that does not ask about households")
                share, over = np.divmod(left[:, place], facts.members)
                left[:, place] = share + (facts.place < over)
        return np.asarray(left, dtype=np.int64)

    @cached_property
    def over_all(self) -> Counts:
        """int64 (n, limits): `left` of the limits over all channels, `PLENTY` of others."""
        of_one = np.array([False, *(limit.channel is not None for limit in self.contact.limit)])
        return np.asarray(np.where(of_one, PLENTY, self.left), dtype=np.int64)

    @cached_property
    def by_slot(self) -> Counts:
        """int64 (n, 1 + C): offers that may go over the channel of each slot, if it were the only one."""
        room = np.where(self.open, PLENTY, 0)
        for place, limit in enumerate(self.contact.limit, start=1):
            if limit.channel is not None:
                room = np.where(self._is(limit), np.minimum(room, self.left[:, [place]]), room)
        return np.asarray(room, dtype=np.int64)

    @cached_property
    def filled(self) -> Counts:
        """int64 (n, 1 + C): how many ranks there are up to each slot."""
        ranks = np.minimum(np.cumsum(self.by_slot, axis=1), self.over_all.min(axis=1)[:, None])
        return np.asarray(ranks, dtype=np.int64)

    @cached_property
    def binding(self) -> npt.NDArray[np.int8]:
        """int8 (n,): what allows no more: a limit's place, or one past the last where no channel is open.

        The limits over all channels come first, then the one that closes the first channel that is open otherwise.
        """
        tightest = np.argmin(self.over_all, axis=1)
        first = np.argmax(self.open, axis=1)
        rows = np.arange(len(first))
        none = np.int8(1 + len(self.contact.limit))
        theirs = np.full(len(first), none, dtype=np.int8)
        least = np.full(len(first), PLENTY, dtype=np.int64)
        for place, limit in enumerate(self.contact.limit, start=1):
            if limit.channel is not None:
                tighter = self._is(limit)[rows, first] & self.open[rows, first] & (self.left[:, place] < least)
                theirs, least = np.where(tighter, np.int8(place), theirs), np.where(tighter, self.left[:, place], least)
        by_all = self.over_all.min(axis=1) <= self.by_slot.sum(axis=1)
        found = np.where(by_all, tightest, theirs)
        return np.asarray(np.where(self.open.any(axis=1), found, none), dtype=np.int8)

    def channels(self, rows: Indices, ranks: Indices) -> Indices:
        """Return the channel of each of m offers, as a place in `names`; `ranks` begin with 0."""
        slot = (self.filled[rows] <= ranks[:, None]).sum(axis=1)
        return np.asarray(self.slots[rows, np.minimum(slot, self.slots.shape[1] - 1)], dtype=np.intp)

    @cached_property
    def _preferred(self) -> tuple[Indices, list[str | None]]:
        """The preferred channels as places in the distinct ones, of which the last is None."""
        column = self.batch.features.names.get("channel_pref")
        if column is None or column.kind != "category":
            return np.zeros(self.batch.shape[0], dtype=np.intp), [None]
        return self.batch.coded("channel_pref")

    def _is(self, limit: Limit) -> Mask:
        """Whether the channel of each slot is that of a limit, bool (n, 1 + C)."""
        return self._of_slots(np.array([name == limit.channel for name in self.names]), otherwise=False)

    def _of_slots(self, of_names: Mask, *, otherwise: bool) -> Mask:
        return np.where(self.slots >= 0, of_names[self.slots], otherwise)
