"""Calling hours: what quiet times leave over."""

from __future__ import annotations

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextoffer.deliver.hours import CallingHours, Quiet, left_over

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@pytest.mark.parametrize(
    ("quiet", "text", "days"),
    [
        ([], "00:00-00:00", WEEK),
        ([Quiet(time(20), time(9))], "09:00-20:00", WEEK),
        ([Quiet(time(20), time(9), ("sat", "sun"))], "09:00-20:00", WEEK[:5]),
        ([Quiet(time(20), time(9)), Quiet(time(12), time(13, 30), ("sun",))], "09:00-12:00 13:30-20:00", WEEK[:6]),
        ([Quiet(days=("mon",))], "00:00-00:00", WEEK[1:]),
        ([Quiet(time(0), time(9))], "09:00-00:00", WEEK),
        ([Quiet(time(8), time(8))], "", WEEK),
        ([Quiet(time(8), time(20)), Quiet(time(20), time(8))], "", WEEK),
    ],
)
def test_what_is_left_over(quiet: list[Quiet], text: str, days: tuple[str, ...]) -> None:
    found = left_over(quiet)
    assert (found.text, found.days) == (text, days)
    assert bool(found) == bool(text)


def test_no_day_is_no_time() -> None:
    assert not CallingHours(((time(9), time(10)),), ())


_TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))


@given(st.lists(st.builds(Quiet, _TIMES, _TIMES), max_size=4), _TIMES)
def test_a_minute_is_either_quiet_or_a_time_for_calls(quiet: list[Quiet], at: time) -> None:
    def within(start: time, end: time) -> bool:
        return start <= at < end if start < end else at >= start or at < end

    closed = any(within(q.start, q.end) for q in quiet if q.start is not None and q.end is not None)
    opened = any(within(start, end) for start, end in left_over(quiet).windows)
    assert closed != opened
