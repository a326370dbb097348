"""Compiled or not, a value falls into the same bin and adds up to the same sum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextoffer import compiled
from nextoffer.models.coding import Coder, Coding, category_coding, code_columns, flag_coding, number_coding
from nextoffer.models.pair_columns import Amounts, Lookup, Own, PairColumn, Ratio, Sums
from nextoffer.models.scorecard import Cross, Scorecard, ScorecardScores
from nextoffer.tables.flow import FeatureTable
from tests.models import worlds

values = st.one_of(st.just(float("nan")), st.just(float("inf")), st.floats(), st.integers(-3, 3).map(float))
counts = st.sampled_from([1, 2, 5, 7, 8, 15, 16, 31, 32, 63, 64, 100, 127, 128, 200, 253])
DRAW = np.random.default_rng(1)


@pytest.fixture(autouse=True, scope="module")
def kernels() -> Iterator[None]:
    assert compiled.warm_up()
    yield
    compiled.cool_down()


def plainly(work: Any) -> Any:
    """Return what `work` gives without kernels."""
    compiled.cool_down()
    try:
        return work()
    finally:
        compiled.warm_up()


@given(st.lists(values, min_size=9, max_size=40), counts, st.integers(0, 9))
def test_numbers_fall_into_the_same_bins(seen: list[float], cuts: int, first: int) -> None:
    edges = sorted({float(v) for v in seen if np.isfinite(v)} | {0.5 + i for i in range(cuts)})[:cuts]
    coding = Coding("x", "number", cuts=tuple(edges))
    column = pa.array([*seen, *edges, None, *seen], from_pandas=False).slice(first)
    features = worlds.feature_table([worlds.number("x")], [column])
    found = code_columns([coding], features, dtype=np.uint8)[0]
    assert found.tolist() == [coding.code(v) for v in column.to_pylist()]
    assert np.array_equal(found, coding.codes(features.numbers("x")))


@given(st.lists(values, min_size=1, max_size=8), counts)
def test_a_handful_falls_into_the_same_bins(seen: list[float], cuts: int) -> None:
    number = Coding("x", "number", cuts=tuple(0.5 + i for i in range(cuts)))
    text = Coding("t", "category", categories=("a", "b"))
    columns = [worlds.number("x"), worlds.category("t")]
    cells = [pa.array([None, *seen[1:]], pa.float64()), pa.array(["b", None, "c", "a", *"bbbb"][: len(seen)])]
    coder, features = Coder((number, text)), worlds.feature_table(columns, cells)
    found = coder.codes(features, np.uint8)
    assert np.array_equal(found, plainly(lambda: coder.codes(features, np.uint8)))
    assert found[0].tolist() == [number.code(v) for v in cells[0].to_pylist()]


@given(st.lists(st.none() | st.booleans(), min_size=20, max_size=60), st.integers(0, 9))
def test_flags_fall_into_the_same_bins(seen: list[bool | None], first: int) -> None:
    column = pa.array(seen, pa.bool_()).slice(first)
    features = worlds.feature_table([worlds.of_product("held", "11")], [column])
    found = code_columns([flag_coding("held_11")], features, dtype=np.uint8)[0]
    assert found.tolist() == [0 if v is None else 1 + v for v in column.to_pylist()]


@given(st.lists(st.none() | st.text("abc", max_size=2), min_size=9, max_size=60))
def test_categories_may_come_as_text_or_as_a_dictionary(seen: list[str | None]) -> None:
    texts = pa.array(seen, pa.string())
    coding = category_coding("c", np.array([*seen[::2], "a"], dtype=object))
    for column in (texts, texts.dictionary_encode()):
        features = worlds.feature_table([worlds.category("c")], [column])
        assert code_columns([coding], features)[0].tolist() == coding.codes(features.texts("c")).tolist()


def pair_columns(count: int, products: int) -> dict[str, PairColumn]:
    """Return a pair feature of each kind; one in five values is not known."""
    numbers = np.where(DRAW.random(count) < 0.2, np.nan, DRAW.normal(size=count))
    over = np.where(np.arange(products) % 3 == 0, np.nan, 1.0 + np.arange(products) % 4)
    kinds, table = DRAW.integers(0, 3, count), DRAW.normal(size=(3, products))
    held = (DRAW.random((count, products)) < 0.3).astype(np.uint8)
    weights = DRAW.normal(size=(products, products))
    spend = DRAW.normal(size=(count, 5)) * (DRAW.random((count, 5)) < 0.5)
    return {
        "ratio": Ratio(lambda: numbers, over),
        "lookup": Lookup(lambda: kinds, table),
        "held": Sums(Amounts(lambda rows: held[rows]), weights),
        "spend": Sums(Amounts(lambda rows: spend[rows]), weights[:5]),
        "own": Own(worlds.customers(count, seed=count), tuple(f"offers_{p}" for p in worlds.IDS[:products])),
    }


@pytest.mark.parametrize("count", [0, 3, 2100])
@pytest.mark.parametrize("name", ["ratio", "lookup", "held", "spend", "own"])
def test_a_pair_feature_is_the_same_whole_in_part_and_in_bins(name: str, count: int) -> None:
    column = pair_columns(count, 6)[name]
    whole = column.matrix()
    assert whole.shape == (count, 6)
    assert np.array_equal(plainly(column.matrix), whole, equal_nan=True)
    rows, cols = DRAW.integers(0, max(count, 1), (2, 50 * (count > 0)))
    cols = cols % 6
    assert np.array_equal(column.at(rows, cols), whole[rows, cols], equal_nan=True)
    coding = number_coding("x", np.append(whole.ravel(), 0.0), max_bins=40)
    for dtype in (np.uint8, np.uint16):
        codes = column.codes(coding, dtype)
        assert codes.dtype == dtype
        assert np.array_equal(codes, coding.codes(whole))
        assert np.array_equal(plainly(lambda dtype=dtype: column.codes(coding, dtype)), codes)


def test_more_products_than_a_word_has_bits_are_told_apart_too() -> None:
    held = (DRAW.random((500, 70)) < 0.1).astype(np.uint8)
    column = Sums(Amounts(lambda rows: held[rows]), DRAW.normal(size=(70, 70)))
    coding = number_coding("x", column.matrix())
    assert np.array_equal(column.codes(coding, np.uint8), coding.codes(plainly(column.matrix)))


def card(features: int, pairs: int, products: int, *, bins: int = 9, of_pairs: bool = False) -> Scorecard:
    """Return a card of random tables, three of whose features meet in pairs, mostly in cells of 0."""
    cuts = tuple(float(c) for c in np.linspace(-1, 1, bins - 2))

    def table(*shape: int) -> Any:
        return DRAW.normal(size=(*shape, products)).astype(np.float32)

    crosses = [
        Cross(f"x{a}", f"x{b}", table(bins, bins) * (DRAW.random((bins, bins, 1)) < 0.2).astype(np.float32))
        for a, b in ((0, 1), (1, 2), (0, 2))
        if b < features
    ]
    if of_pairs:
        crosses.insert(1, Cross("x0", "pair.p0", table(bins, bins)))
    return Scorecard(
        tuple(Coding(f"x{i}", "number", cuts) for i in range(features)),
        tuple(table(bins) for _ in range(features)),
        tuple(Coding(f"p{i}", "number", cuts) for i in range(pairs)),
        tuple(table(bins) for _ in range(pairs)),
        tuple(crosses),
        DRAW.normal(size=products).astype(np.float32),
        np.zeros((products, features + pairs), dtype=np.float32),
    )


def scores(made: Scorecard, count: int) -> ScorecardScores:
    bins = 9 if not made.codings else made.codings[0].bins
    codes = DRAW.integers(0, bins, (len(made.codings), count)).astype(made.code_type)
    pair = tuple(DRAW.integers(0, bins, (count, len(made.intercept))).astype(made.code_type) for _ in made.pair_codings)
    return ScorecardScores(made, codes, pair, {})


@pytest.mark.parametrize("of_pairs", [False, True], ids=["", "crossed with a pair feature"])
@pytest.mark.parametrize("bins", [9, 400], ids=["few bins", "more than a byte holds"])
@pytest.mark.parametrize(("features", "pairs", "products", "count"), [(0, 0, 3, 5), (3, 1, 1, 1), (19, 3, 24, 300)])
def test_a_card_adds_up_the_same(
    features: int, pairs: int, products: int, count: int, bins: int, of_pairs: bool
) -> None:
    made = card(features, pairs, products, bins=bins, of_pairs=of_pairs and pairs > 0)
    scored = scores(made, count)
    expected = plainly(lambda: replace(scored).log_odds)
    assert np.array_equal(scored.log_odds, expected)
    rows, cols = DRAW.integers(0, count, 700), DRAW.integers(0, products, 700)
    parts = scored.contributions(rows, cols)
    assert np.array_equal(parts, plainly(lambda: scored.contributions(rows, cols)))
    assert made.intercept[cols] + parts.sum(axis=1, dtype=float) == pytest.approx(expected[rows, cols], abs=1e-4)


def test_a_handful_adds_up_in_the_same_order() -> None:
    made = card(40, 2, 24)
    many = scores(made, 500)
    for rows in (slice(0, 1), slice(7, 15), slice(20, 29)):
        few = ScorecardScores(made, many.codes[:, rows], tuple(c[rows] for c in many.pair_codes), {})
        assert np.array_equal(plainly(lambda few=few: few.log_odds), many.log_odds[rows])


def test_bins_are_kept_in_a_byte_where_they_fit() -> None:
    assert card(2, 1, 3, bins=255).code_type is np.uint8
    assert card(2, 1, 3, bins=256).code_type is np.uint16


def test_a_column_in_pieces_and_a_slice_have_the_bins_of_the_whole() -> None:
    features = worlds.customers(200, seed=8)
    coding = number_coding("income", features.numbers("income"))
    whole = code_columns([coding], features, dtype=np.uint8)
    pieces = pa.concat_tables([features.data.slice(0, 77), features.data.slice(77)])
    for table in (pieces, features.data.slice(3, 100)):
        found = code_columns([coding], FeatureTable(table, features.columns, features.as_of), dtype=np.uint8)
        first = 0 if table is pieces else 3
        assert np.array_equal(found, whole[:, first : first + len(table)])
