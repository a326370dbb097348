"""What retail customers allow the bank to do: said on joining, and taken back since by some, or for a channel."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from nextoffer.keyed import uniform
from nextoffer.simulate.draws import Flags, Whole, whole
from nextoffer.simulate.retail.spending import dates
from nextoffer.simulate.retail.world import CHANNELS, Customers, World

GRANTED = {"marketing": 0.88, "profiling": 0.82}
WITHDRAWN = 0.07
REFUSED = {"phone": 0.06, "mobile": 0.02, "web": 0.01}  # over that channel alone, by those who agreed to marketing
REFUSED_WITHIN = 1500  # days before today
NOT_WITHDRAWN = -1


def granted(world: World, people: Customers, purpose: str) -> Flags:
    """Return bool (n,): the customer agreed when he joined."""
    return np.asarray(uniform(world.seed, f"consent {purpose}", people.ids) < GRANTED[purpose])


def withdrawn(world: World, people: Customers) -> Whole:
    """Return int64 (n,): days before today on which marketing consent was taken back, or `NOT_WITHDRAWN`."""
    some = granted(world, people, "marketing") & (uniform(world.seed, "withdrawn", people.ids) < WITHDRAWN)
    return np.where(some, whole(world.seed, "withdrawn on", people.ids, low=1, high=199), NOT_WITHDRAWN)


def may_contact(world: World, people: Customers, days_back: int) -> Flags:
    """Return bool (n,): marketing consent is in force on that day, and was not taken back on it."""
    return granted(world, people, "marketing") & (withdrawn(world, people) < days_back)


def channel_refused(world: World, people: Customers, channel: str) -> Whole:
    """Return int64 (n,): days before today on which marketing over a channel was refused, or `NOT_WITHDRAWN`."""
    some = uniform(world.seed, f"refuses {channel}", people.ids) < REFUSED.get(channel, 0.0)
    latest = np.minimum(people.since, REFUSED_WITHIN) - 1
    on = 1 + (uniform(world.seed, f"refused {channel} on", people.ids) * latest).astype(np.int64)
    return np.where(some & granted(world, people, "marketing"), on, NOT_WITHDRAWN)


def open_channels(world: World, people: Customers, days_back: int) -> Flags:
    """Return bool (n, 4): over which of the `CHANNELS` customers who agree to marketing may be reached on that day."""
    return np.stack([channel_refused(world, people, channel) < days_back for channel in CHANNELS], axis=1)


def consents_table(world: World, people: Customers, ids: pa.Array) -> tuple[pa.Table, Whole]:
    """Return all that was ever said, and the row of the customer of each; `ids` are the customers' ids as text."""
    n, ended = len(ids), withdrawn(world, people)
    said = [
        _said(ids, purpose, np.arange(n), answer=granted(world, people, purpose), on=people.since)
        for purpose in GRANTED
    ]
    owners = [np.arange(n)] * len(said)
    refusals = [(None, ended), *((channel, channel_refused(world, people, channel)) for channel in REFUSED)]
    for channel, on in refusals:
        rows = np.flatnonzero(on != NOT_WITHDRAWN)
        owners.append(rows)
        refused = np.zeros(len(rows), dtype=np.bool_)
        said.append(_said(ids, "marketing", rows, answer=refused, on=on[rows], channel=channel))
    return pa.concat_tables(said), np.concatenate(owners)


def _said(
    ids: pa.Array, purpose: str, rows: Whole, *, answer: Flags, on: Whole, channel: str | None = None
) -> pa.Table:
    return pa.table(
        {
            "customer_id": ids.take(pa.array(rows)),
            "purpose": pa.repeat(purpose, len(rows)),
            "channel": pa.nulls(len(rows), pa.string()) if channel is None else pa.repeat(channel, len(rows)),
            "granted": answer,
            "recorded_on": dates(on),
        }
    )
