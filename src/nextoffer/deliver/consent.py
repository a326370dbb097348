"""Whether a customer may still be offered something over a channel on the day of the delivery.

The latest record on marketing counts; on one day a refusal counts. A record without a channel speaks for all channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.deliver.runs import first_of_each

LATEST = ("customer_id", "channel", "recorded_on", "granted")
"""Columns of the latest record of each customer and channel (null: all channels)."""

ALL = "all"
_NEVER = np.int64(-(2**31))


@dataclass(frozen=True)
class _Word:
    """What each of n offers' customers said last: the day (`_NEVER`: nothing), and whether it was a yes."""

    day: npt.NDArray[np.int64]
    granted: npt.NDArray[np.bool_]


def consented(offers: pa.Table, latest: pa.Table | None, *, absent: bool) -> pa.Table:
    """Return for each offer ``allowed``, and the record that says so: ``consent_channel``, ``consent_recorded_on``.

    Parameters
    ----------
    offers
        ``customer_id`` and ``channel``; an offer without a channel goes by the records without one, and where there are
        none, by whether any channel is granted.
    latest
        Columns `LATEST`; None where the bank keeps no consents: then all is allowed.
    absent
        Whether a customer without any record that speaks for the channel may be offered something.
    """
    count = offers.num_rows
    if latest is None:
        nothing = {"consent_channel": pa.nulls(count, pa.string()), "consent_recorded_on": pa.nulls(count, pa.date32())}
        return pa.table({"allowed": pa.repeat(pa.scalar(True), count), **nothing})
    for_all = _said(offers, latest.filter(latest.column("channel").is_null()))
    own = _Word(np.full(count, _NEVER), np.zeros(count, dtype=np.bool_))
    channel = offers.column("channel")
    for name in pc.unique(channel).to_pylist():
        here = (channel.is_null() if name is None else pc.equal(channel, name)).fill_null(False).to_numpy()
        said = _any_channel(offers, latest) if name is None else _said(offers, latest.filter(_is(latest, name)))
        own.day[here], own.granted[here] = said.day[here], said.granted[here]
    without = np.asarray(channel.is_null().to_numpy())
    own.day[without & (for_all.day > _NEVER)] = _NEVER
    return _decided(for_all, own, channel, absent=absent)


def _decided(for_all: _Word, own: _Word, channel: pa.ChunkedArray, *, absent: bool) -> pa.Table:
    by_own = (own.day > for_all.day) | ((own.day == for_all.day) & ~own.granted)
    day = np.where(by_own, own.day, for_all.day)
    known = day > _NEVER
    granted = np.where(by_own, own.granted, for_all.granted)
    names = pc.if_else(pa.array(by_own), pc.fill_null(channel.combine_chunks(), ALL), ALL)
    return pa.table(
        {
            "allowed": np.where(known, granted, absent),
            "consent_channel": pc.if_else(pa.array(known), names, pa.scalar(None, pa.string())),
            "consent_recorded_on": pa.array(day.astype(np.int32), mask=~known).cast(pa.date32()),
        }
    )


def _is(latest: pa.Table, name: str) -> pa.ChunkedArray:
    return pc.equal(latest.column("channel"), name).fill_null(False)


def _any_channel(offers: pa.Table, latest: pa.Table) -> _Word:
    """Return the last yes to any one channel, else the last no."""
    single = latest.filter(latest.column("channel").is_valid())
    order = single.sort_by([("customer_id", "ascending"), ("granted", "descending"), ("recorded_on", "descending")])
    return _said(offers, order.filter(first_of_each(order.column("customer_id"))))


def _said(offers: pa.Table, records: pa.Table) -> _Word:
    if not records.num_rows:
        return _Word(np.full(offers.num_rows, _NEVER), np.zeros(offers.num_rows, dtype=np.bool_))
    known = records.column("customer_id").combine_chunks()
    at = pc.index_in(offers.column("customer_id"), value_set=known).fill_null(-1).to_numpy()
    day = np.asarray(records.column("recorded_on").cast(pa.int32()).to_numpy(), dtype=np.int64)
    granted = np.asarray(records.column("granted").to_numpy(), dtype=np.bool_)
    return _Word(np.where(at >= 0, day[at], _NEVER), (at >= 0) & granted[at])
