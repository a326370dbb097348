"""The charts of a test show what they are given."""

from __future__ import annotations

from datetime import date, timedelta
from math import nan
from xml.etree import ElementTree

from nextoffer.evaluate.forest import Forest, Lift, Narrowing
from nextoffer.intervals import Interval

NOTHING = Interval(nan, nan, nan, 0)


def positions(svg: str, kind: str, name: str) -> list[float]:
    return [
        float(e.attrib[name]) for e in ElementTree.fromstring(svg).iter() if kind in e.attrib.get("class", "").split()
    ]


def test_a_forest_has_a_dot_for_each_lift_in_the_order_of_the_lifts() -> None:
    lifts = (Lift("a", Interval(0.1, 0.0, 0.2, 9)), Lift("b", Interval(0.3, 0.2, 0.4, 9)), Lift("c", NOTHING))
    svg = Forest("accepted", lifts, mark=-0.05).draw()
    assert len(positions(svg, "bar", "cx")) == 2
    first, second = positions(svg, "bar", "cx")
    (zero,) = positions(svg, "axis", "x1")
    (mark,) = positions(svg, "mark", "x1")
    assert mark < zero < first < second
    assert "not known" in svg


def test_one_wide_interval_does_not_squeeze_the_others() -> None:
    lifts = (
        Lift("a", Interval(0.1, 0.0, 0.2, 9)),
        Lift("b", Interval(0.1, 0.0, 0.2, 9)),
        Lift("c", Interval(0.1, -90, 90, 9)),
    )
    first, second, third = positions(Forest("accepted", lifts).draw(), "bar", "cx")
    (zero,) = positions(Forest("accepted", lifts).draw(), "axis", "x1")
    assert first == second == third
    assert first - zero > 20


def test_an_interval_narrows_from_day_to_day() -> None:
    days = tuple(date(2026, 3, 1) + timedelta(days=i) for i in range(10))
    values = (NOTHING, *(Interval(0.1, 0.1 - 1 / i, 0.1 + 1 / i, 9) for i in range(1, 10)))
    svg = Narrowing("accepted", days, values).draw()
    area = [
        tuple(map(float, p.split(",")))
        for e in ElementTree.fromstring(svg).iter("polygon")
        for p in e.attrib["points"].split()
    ]
    assert len(area) == 18
    assert area[8][0] > area[0][0]
    assert area[8][1] > area[0][1]
    assert "01 Mar" in svg
    assert "Too early." in Narrowing("accepted", days[:1], (NOTHING,)).draw()
