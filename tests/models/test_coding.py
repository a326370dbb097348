from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextoffer.models.coding import (
    Coding,
    category_coding,
    code_table,
    flag_coding,
    learn_codings,
    number_coding,
)
from tests.models import worlds

values = st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6), st.integers(-3, 3).map(float))
texts = st.text("abc", min_size=1, max_size=2)


@given(st.lists(values, min_size=1, max_size=60), st.integers(2, 8))
def test_every_number_falls_into_the_bin_whose_edges_hold_it(seen: list[float], max_bins: int) -> None:
    column = np.array(seen)
    coding = number_coding("x", column, max_bins=max_bins)
    codes = coding.codes(column)
    edges = np.array([-np.inf, *coding.cuts, np.inf])
    known = ~np.isnan(column)
    assert (codes[~known] == 0).all()
    assert (edges[codes[known] - 1] <= column[known]).all()
    assert (column[known] < edges[codes[known]]).all()
    assert coding.bins == len(coding.cuts) + 2
    assert coding.bins <= max_bins + 1
    assert list(coding.cuts) == sorted(set(coding.cuts))


@given(st.sets(st.integers(-1000, 1000), min_size=1, max_size=64))
def test_few_values_have_a_bin_each(seen: set[int]) -> None:
    column = np.array(sorted(seen), dtype=float)
    assert number_coding("x", column).codes(column).tolist() == list(range(1, len(seen) + 1))


@given(st.lists(st.integers(-10_000, 10_000), min_size=1, max_size=300))
def test_the_last_digit_of_a_sum_carries_no_value_over_a_cut(seen: list[int]) -> None:
    column = np.array(seen) / 10.0
    coding = number_coding("x", column)
    assert np.array_equal(coding.codes(np.nextafter(column, -np.inf)), coding.codes(column))
    assert np.array_equal(coding.codes(np.nextafter(column, np.inf)), coding.codes(column))


def test_many_values_share_bins_of_equal_counts() -> None:
    column = np.random.default_rng(1).normal(size=6400)
    counts = np.bincount(number_coding("x", column).codes(column))
    assert counts[0] == 0
    assert len(counts) == 65
    assert counts[1:] == pytest.approx(100, abs=1)


def test_a_value_on_a_cut_belongs_to_the_bin_above() -> None:
    assert Coding("x", "number", cuts=(1.5, 3.0)).codes(np.array([1.4, 1.5, 3.0])).tolist() == [1, 2, 3]


def test_values_beyond_those_seen_fall_into_the_outer_bins() -> None:
    coding = number_coding("x", np.array([1.0, 2.0, 3.0]))
    assert coding.codes(np.array([-np.inf, -9.0, 9.0, np.inf])).tolist() == [1, 1, 3, 3]


@given(st.lists(st.none() | texts, max_size=50), st.lists(st.none() | texts, max_size=10))
def test_a_category_has_its_own_bin_and_an_unseen_one_is_not_known(seen: list[str | None], new: list[str]) -> None:
    coding = category_coding("x", np.array(seen, dtype=object))
    for value, code in zip(seen + new, coding.codes(np.array(seen + new, dtype=object)), strict=True):
        if value in seen and value is not None:
            assert coding.label(int(code)) == value
        else:
            assert code == 0


def test_of_too_many_categories_the_commonest_are_kept() -> None:
    column = np.array([f"c{i:02}" for i in range(80) for _ in range(80 - i)], dtype=object)
    assert category_coding("x", column).categories == tuple(f"c{i:02}" for i in range(60))


def test_a_flag_is_no_yes_or_not_known() -> None:
    coding = flag_coding("x")
    codes = coding.codes(np.array([0.0, 1.0, np.nan]))
    assert [coding.label(int(c)) for c in codes] == ["no", "yes", "not known"]


def test_bins_in_words() -> None:
    number = Coding("x", "number", cuts=(1.5, 3.0))
    assert [number.label(c) for c in range(4)] == ["not known", "below 1.5", "1.5 to 3", "3 or more"]
    assert Coding("x", "number").label(1) == "any"
    assert Coding("x", "category", categories=("Mass",)).label(1) == "Mass"


@pytest.mark.parametrize(
    "coding",
    [
        number_coding("x", np.array([0.1, 1 / 3, 1e9])),
        category_coding("x", np.array(["é", None, "b"], dtype=object)),
        flag_coding("x"),
    ],
    ids=lambda c: c.kind,
)
def test_a_coding_survives_being_written_as_json(coding: Coding) -> None:
    assert Coding.from_json(json.loads(json.dumps(coding.to_json()))) == coding


def test_codings_are_learned_over_all_tables() -> None:
    first, second = worlds.numbers(x=np.array([1.0, 2.0])), worlds.numbers(x=np.array([3.0, np.nan]))
    codings = learn_codings([first, second], ["x"])
    assert code_table(codings, second).tolist() == [[3], [0]]
    assert code_table(codings, first).tolist() == [[1], [2]]


def test_each_kind_of_column_gets_its_coding() -> None:
    columns = [worlds.number("n"), worlds.category("c"), worlds.of_product("held", "11")]
    arrays = [pa.array([1.0, None]), pa.array([None, "a"]), pa.array([True, None])]
    features = worlds.feature_table(columns, arrays)
    codings = learn_codings([features], ["held_11", "c", "n"])
    assert [c.kind for c in codings] == ["flag", "category", "number"]
    codes = code_table(codings, features)
    assert codes.dtype == np.uint16
    assert codes.tolist() == [[2, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("common", [0.0, 500.0, 1000.0])
@pytest.mark.parametrize("share", [0.5, 0.97, 0.98, 0.995])
def test_a_value_that_most_customers_have_is_told_from_all_others(common: float, share: float) -> None:
    others = np.linspace(0.0, 1000.0, 301)
    others = others[others != common]
    values = np.concatenate([np.full(int(len(others) * share / (1 - share)), common), others])
    coding = number_coding("x", values)
    mine, theirs = coding.codes(np.array([common])), coding.codes(others)
    assert mine[0] not in theirs
