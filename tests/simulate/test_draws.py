from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextoffer.simulate.draws import category, whole, within


@given(st.lists(st.integers(0, 5), max_size=20))
def test_positions_count_up_within_each_group(sizes: list[int]) -> None:
    expected = [position for size in sizes for position in range(size)]
    assert within(np.array(sizes, dtype=np.int64)).tolist() == expected


@given(st.permutations(range(30)))
def test_a_draw_belongs_to_its_id_and_not_to_its_place(order: list[int]) -> None:
    ids = np.array(order)
    straight = whole(7, "x", np.arange(30), low=0, high=9)
    assert (whole(7, "x", ids, low=0, high=9) == straight[ids]).all()


@pytest.mark.parametrize("shares", [(0.5, 0.25, 0.2, 0.05), (5, 2.5, 2, 0.5)])
def test_categories_come_with_their_shares(shares: tuple[float, ...]) -> None:
    drawn = np.bincount(category(7, "x", np.arange(100_000), shares), minlength=4) / 100_000
    assert drawn == pytest.approx([0.5, 0.25, 0.2, 0.05], abs=0.007)


def test_each_row_may_have_its_own_shares() -> None:
    shares = np.tile([[1.0, 0.0], [0.0, 1.0]], (500, 1))
    assert (category(7, "x", np.arange(1000), shares) == np.tile([0, 1], 500)).all()


def test_whole_numbers_reach_both_ends() -> None:
    drawn = whole(7, "x", np.arange(10_000), low=25, high=30)
    assert sorted(set(drawn.tolist())) == [25, 26, 27, 28, 29, 30]
