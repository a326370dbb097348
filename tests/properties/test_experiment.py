"""What must hold of tests whatever the customers, their order and the day they are looked at."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nextoffer.experiment.assigning import assign
from nextoffer.experiment.comparing import Terms, anytime, fixed
from nextoffer.experiment.means import Means, ratio_bounds
from nextoffer.experiment.sums import Sums, sums_of
from tests.experiment.toys import experiment

THREE = "".join(f'[[arm]]\nname = "{n}"\nshare = {s}\n' for n, s in (("old", 0.5), ("new", 0.3), ("other", 0.2)))
BLOCKED = '[assignment]\nmethod = "blocked"\nstrata = ["segment"]\n[[metric]]\nname = "m"\n'
DAY = date(2026, 3, 1)

ids = st.lists(st.integers(0, 10**9), min_size=1, max_size=60, unique=True)
numbers = st.floats(-1e3, 1e3)


@given(ids, st.randoms(use_true_random=False), st.booleans())
def test_an_arm_is_the_customers_own(customers: list[int], chance: object, as_text: bool) -> None:
    test = experiment(arms=THREE)
    whole = assign(pa.table({"customer_id": customers}), test, on=DAY).table
    some = customers[::2]
    chance.shuffle(some)
    written = pa.array([str(c) for c in some]) if as_text else pa.array(some)
    part = assign(pa.table({"customer_id": written}), test, on=DAY).table
    arms = dict(zip(map(str, whole["customer_id"].to_pylist()), whole["arm"].to_pylist(), strict=True))
    assert all(arms[str(r["customer_id"])] == r["arm"] for r in part.to_pylist())


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=80))
def test_blocked_shares_are_exact_to_one_customer(segments: list[str]) -> None:
    test = experiment(arms=THREE, metrics=BLOCKED)
    rows = assign(pa.table({"customer_id": range(len(segments)), "segment": segments}), test, on=DAY).table.to_pylist()
    for segment in set(segments):
        for arm in test.arm:
            here = sum(r["arm"] == arm.name and r["stratum"] == segment for r in rows)
            assert abs(here - arm.share * segments.count(segment)) <= 1 + 1e-9


@given(st.lists(st.tuples(numbers, numbers, st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=50))
def test_sums_add_up_over_days(rows: list[tuple[float, float, int, int]]) -> None:
    table = np.array(rows)
    values, arm, day = table[:, :2], table[:, 2].astype(int), table[:, 3].astype(int)
    whole = sums_of(values, arm, 2)
    each = sums_of(values, day * 2 + arm, 8)
    days = Sums(each.n.reshape(4, 2), each.totals.reshape(4, 2, 2), each.products.reshape(4, 2, 2, 2), each.centre)
    last = days.over_days().at(-1)
    assert last.n == pytest.approx(whole.n)
    assert last.totals == pytest.approx(whole.totals, abs=1e-6)
    assert last.products == pytest.approx(whole.products, abs=1e-4)


rates = st.tuples(st.integers(60, 5000), st.integers(60, 5000), st.floats(0, 1), st.floats(0, 1))


@given(rates, st.floats(0.01, 3), st.sampled_from([1, 2]), st.sampled_from([1, -1]))
def test_a_sequential_test_says_what_its_interval_says(
    arms: tuple[int, int, float, float], share: float, sides: int, better: int
) -> None:
    n0, n1, p0, p1 = arms
    x0, x1 = round(n0 * p0), round(n1 * p1)
    sums = Sums(
        np.array([n0, n1], float), np.array([[x0], [x1]], float), np.array([[[x0]], [[x1]]], float), np.zeros(1)
    )
    found = anytime(sums, 1, Terms(0.05, sides, better), share=share, conversion=True)
    low, high = found.absolute.low, found.absolute.high
    assume(min(abs(low), abs(high)) > 1e-9)
    away = low > 0 or high < 0 if sides == 2 else (low > 0 if better > 0 else high < 0)
    assert (found.p_value <= 0.05) == away
    once = fixed(sums, 1, Terms(0.05, sides, better), conversion=True)
    assert once.absolute.estimate == found.absolute.estimate


@given(st.floats(-5, 5), st.floats(0.5, 5), st.floats(0.001, 0.02), st.floats(0.001, 0.02), st.floats(-3, 3))
def test_a_ratio_is_inside_just_if_it_is_not_rejected(m1: float, m0: float, v1: float, v0: float, ratio: float) -> None:
    means = Means(np.array([m0, m1]), np.diag([v0, v1]), np.array([100.0, 100.0]))
    low, high = ratio_bounds(means, 1, 0, 2.5)
    assume(np.isfinite(low))
    rejected = abs(m1 - ratio * m0) > 2.5 * np.sqrt(v1 + ratio**2 * v0)
    assume(min(abs(ratio - 1 - low), abs(ratio - 1 - high)) > 1e-9)
    assert rejected == (not low <= ratio - 1 <= high)
