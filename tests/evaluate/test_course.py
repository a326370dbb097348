"""The chart of figures along an axis."""

from __future__ import annotations

import re

from nextoffer.evaluate.course import Course, Trace
from nextoffer.intervals import Interval

KNOWN, UNKNOWN = Interval(0.4, 0.3, 0.5, 10), Interval(float("nan"), float("nan"), float("nan"), 0)


def test_each_known_value_has_a_dot_and_each_trace_a_name() -> None:
    traces = (Trace("ours", (KNOWN, KNOWN), "champion"), Trace("theirs", (UNKNOWN, KNOWN)))
    drawn = Course("NDCG@5", ("1 May", "1 June"), traces).draw()
    assert drawn.count("<circle") == 3
    assert "nan" not in drawn
    for words in ("NDCG@5", "1 May", "1 June", "ours", "theirs"):
        assert f">{words}<" in drawn


def test_names_do_not_overlap() -> None:
    traces = tuple(Trace(f"model {i}", (KNOWN,)) for i in range(5))
    drawn = Course("Same", ("now",), traces).draw()
    heights = [float(y) for y in re.findall(r'y="([\d.]+)" class="name', drawn)]
    assert all(b - a >= 14.9 for a, b in zip(sorted(heights), sorted(heights)[1:], strict=False))
