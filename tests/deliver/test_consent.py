"""Consent over a channel, as it stands on the day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextoffer.deliver.consent import LATEST, consented

DAY = date(2025, 1, 1)
Said = tuple[str | None, int, bool]

_SCHEMA = pa.schema(
    [("customer_id", pa.int64()), ("channel", pa.string()), ("recorded_on", pa.date32()), ("granted", pa.bool_())]
)


def latest(*said: Said, customer: int = 1) -> pa.Table:
    rows = [(customer, channel, DAY + timedelta(days=day), granted) for channel, day, granted in said]
    return pa.Table.from_pylist([dict(zip(LATEST, row, strict=True)) for row in rows], schema=_SCHEMA)


def asked(channel: str | None, records: pa.Table | None, *, absent: bool = False) -> dict[str, Any]:
    offers = pa.table({"customer_id": pa.array([1], pa.int64()), "channel": pa.array([channel], pa.string())})
    (row,) = consented(offers, records, absent=absent).to_pylist()
    return dict(row)


CASES: dict[str, tuple[str | None, tuple[Said, ...], bool, str | None]] = {
    "granted for all": ("phone", ((None, 1, True),), True, "all"),
    "refused for all": ("phone", ((None, 1, False),), False, "all"),
    "the channel later": ("phone", ((None, 1, False), ("phone", 2, True)), True, "phone"),
    "the channel earlier": ("phone", ((None, 2, False), ("phone", 1, True)), False, "all"),
    "the channel refused later": ("phone", ((None, 1, True), ("phone", 2, False)), False, "phone"),
    "both on one day, the channel refused": ("phone", ((None, 1, True), ("phone", 1, False)), False, "phone"),
    "both on one day, all refused": ("phone", ((None, 1, False), ("phone", 1, True)), False, "all"),
    "another channel says nothing": ("phone", (("mail", 1, True),), False, None),
    "no channel, granted": (None, ((None, 1, True), ("mail", 2, False)), True, "all"),
    "no channel, some channel granted": (None, (("mail", 1, True), ("phone", 2, False)), True, "all"),
    "no channel, every channel refused": (None, (("mail", 1, False), ("phone", 2, False)), False, "all"),
    "nothing said": ("phone", (), False, None),
}


@pytest.mark.parametrize("case", CASES)
def test_the_last_word_counts(case: str) -> None:
    channel, said, allowed, deciding = CASES[case]
    found = asked(channel, latest(*said))
    assert (found["allowed"], found["consent_channel"]) == (allowed, deciding)
    assert (found["consent_recorded_on"] is None) == (deciding is None)


def test_without_a_record_the_policy_decides_and_without_a_table_all_is_allowed() -> None:
    assert asked("phone", latest(), absent=True)["allowed"] is True
    assert asked("phone", latest((None, 1, False)), absent=True)["allowed"] is False
    assert asked("phone", None) == {"allowed": True, "consent_channel": None, "consent_recorded_on": None}


_WORDS = st.dictionaries(st.sampled_from([None, "phone", "mail"]), st.tuples(st.integers(0, 3), st.booleans()))


@given(st.lists(_WORDS, min_size=1, max_size=5), st.sampled_from([None, "phone", "mail", "web"]), st.booleans())
def test_many_customers_are_decided_like_one(
    said: list[dict[str | None, Any]], channel: str | None, absent: bool
) -> None:
    tables = [latest(*((c, *word) for c, word in words.items()), customer=k) for k, words in enumerate(said)]
    offers = pa.table(
        {"customer_id": pa.array(range(len(said)), pa.int64()), "channel": pa.array([channel] * len(said))}
    )
    together = consented(
        offers.cast(offers.schema.set(1, pa.field("channel", pa.string()))), pa.concat_tables(tables), absent=absent
    )
    for k, words in enumerate(said):
        own = latest(*((c, *word) for c, word in words.items()))
        assert together.slice(k, 1).to_pylist() == [asked(channel, own, absent=absent)]
