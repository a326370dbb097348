"""Bins and counts that a model remembers."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa

from nextoffer.evaluate.reference import HIGHEST, Reference, of_numbers, pooled
from nextoffer.tables.flow import FeatureColumn, FeatureTable, Kind


def features(**columns: list[object]) -> FeatureTable:
    kinds: dict[str, Kind] = {"age": "number", "segment": "category", "owner": "flag"}
    meant = tuple(FeatureColumn(n, n.capitalize(), "profile", "relationship", kinds[n]) for n in columns)
    types = {"number": pa.float64(), "category": pa.string(), "flag": pa.bool_()}
    data = {n: pa.array(v, types[kinds[n]]) for n, v in columns.items()}
    count = len(next(iter(columns.values())))
    return FeatureTable(pa.table({"customer_id": list(range(count)), **data}), meant, date(2025, 1, 1))


def then() -> FeatureTable:
    return features(
        age=[*map(float, range(400)), None],
        segment=[*["Mass"] * 300, *["HNI"] * 98, "one", "two", None],
        owner=[*[True] * 100, *[False] * 300, None],
    )


def test_the_same_customers_are_in_the_same_bins() -> None:
    table = then()
    reference = Reference.measure(table, np.full((401, 2), 0.1), ["a", "b"])
    for shape in reference.features:
        now = shape.of_table(table)
        assert tuple(now.counts) == shape.counts
        assert (now.missing, now.customers) == (1, 401)
    assert [shape.name for shape in reference.propensities] == ["a", "b", HIGHEST]


def test_numbers_lie_in_tenths() -> None:
    assert Reference.measure(then(), np.empty((401, 0)), []).by_name["age"].counts == (40,) * 10


def test_a_rare_word_is_not_kept_by_name() -> None:
    shape = Reference.measure(then(), np.empty((401, 0)), []).by_name["segment"]
    assert shape.words == ("Mass", "HNI")
    assert shape.counts == (300, 98, 2)


def test_words_not_seen_before_are_counted() -> None:
    shape = Reference.measure(then(), np.empty((401, 0)), []).by_name["segment"]
    now = shape.of_table(features(segment=["Mass", "Youth", "Youth", None]))
    both = now + now
    assert dict(both.strange) == {"Youth": 4}
    assert both.counts.tolist() == [2, 0, 4]
    before, after, names = pooled(shape, both.counts)
    assert (before.tolist(), after.tolist(), list(names)) == ([300, 98, 2], [2, 0, 4], ["Mass", "HNI", "other"])


def test_a_number_that_never_varied_is_seen_to_move_either_way() -> None:
    shape = of_numbers("age", "Age", np.full(50, 7.0))
    assert shape.counts == (0, 50, 0)
    assert shape.of_numbers(np.array([6.0, 7.0, 8.0, np.nan])).counts.tolist() == [1, 1, 1]


def test_a_number_that_is_mostly_nothing_keeps_its_tail() -> None:
    shape = of_numbers("spend", "Spend", np.r_[np.zeros(950), np.arange(1, 51)])
    assert shape.counts == (950, 50)


def test_nobody_of_whom_it_is_known() -> None:
    shape = of_numbers("age", "Age", np.full(30, np.nan))
    assert (shape.known, shape.missing) == (0, 30)
    assert shape.of_numbers(np.array([1.0])).known == 1


def test_small_banks_have_fewer_bins() -> None:
    assert len(of_numbers("age", "Age", np.arange(60.0)).counts) == 3
    assert len(of_numbers("age", "Age", np.arange(1000.0)).counts) == 10


def test_written_and_read_again() -> None:
    reference = Reference.measure(then(), np.random.default_rng(1).random((401, 2)), ["a", "b"])
    assert Reference.from_json(reference.to_json()) == reference
