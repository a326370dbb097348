from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextoffer.models.pairs import PairFeatures, coverage, fit_pair_features, held_flags
from nextoffer.models.products import Products
from nextoffer.policy.stats import PAIR_LABELS
from nextoffer.tables.flow import FeatureColumn, FeatureTable
from tests.models import worlds

NAN = float("nan")
SHELF = Products(("11", "12", "13"), ("CC", "CC", "PL"), np.array([50.0, 0.0, NAN]), ("Mass", None, "HNI"))


def three() -> FeatureTable:
    """Return three customers, of the last of whom little is known."""
    columns = [worlds.number("income"), worlds.category("segment")]
    arrays = [pa.array([100.0, 25.0, None]), pa.array(["Mass", "HNI", None])]
    for product, held, offers in [("11", [True, False, None], [2, 0, None]), ("12", [True, True, None], [1, 1, None])]:
        columns += [worlds.of_product("held", product), worlds.of_product("offers", product)]
        arrays += [pa.array(held), pa.array(offers, pa.float64())]
    return worlds.feature_table(columns, arrays)


def test_pair_features_by_hand() -> None:
    found = fit_pair_features(three(), SHELF).values(three())
    expected = {
        "income_ratio": [[2.0, NAN, NAN], [0.5, NAN, NAN], [NAN, NAN, NAN]],
        "segment_match": [[1.0, NAN, 0.0], [0.0, NAN, 1.0], [NAN, NAN, NAN]],
        "type_held": [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        "offers": [[2.0, 1.0, NAN], [0.0, 1.0, NAN], [NAN, NAN, NAN]],
    }
    assert set(found) == {*expected, "coholding"}
    for name, values in expected.items():
        assert found[name] == pytest.approx(np.array(values), nan_ok=True), name


def test_what_the_tables_do_not_hold_is_absent() -> None:
    features = worlds.numbers(age=np.array([30.0]))
    assert fit_pair_features(features, SHELF).values(features) == {}


def test_every_pair_feature_has_plain_words() -> None:
    features = worlds.customers(5)
    assert set(fit_pair_features(features, worlds.shelf()).values(features)) <= set(PAIR_LABELS)


@given(st.lists(st.booleans(), min_size=6, max_size=6), st.integers(0, 5))
def test_an_own_holding_changes_no_pair_feature_of_its_product(held: list[bool], product: int) -> None:
    others = np.random.default_rng(1).random((50, 6)) < 0.4
    pairs = fit_pair_features(worlds.holders(others), worlds.shelf())
    two = np.array([held, held])
    two[:, product] = [False, True]
    values = pairs.values(worlds.holders(two))
    assert set(values) == {"coholding", "type_held"}
    for value in values.values():
        assert value[0, product] == value[1, product]


def test_coverage_is_the_share_of_customers_with_a_signal() -> None:
    held = np.zeros((4, 6), dtype=bool)
    held[:3, :2] = True
    fitted = fit_pair_features(worlds.holders(held), worlds.shelf())
    assert coverage(fitted, worlds.holders(held)) == {"coholding": 0.75}
    assert coverage(fitted, worlds.holders(held[:0])) == {"coholding": 0.0}


def test_not_known_to_hold_is_not_held() -> None:
    assert held_flags(three(), SHELF).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_pair_features_survive_being_written() -> None:
    features = worlds.customers(30)
    fitted = fit_pair_features(features, worlds.shelf())
    restored = PairFeatures.restore(json.loads(json.dumps(fitted.to_json())), fitted.collaborative.arrays())
    assert restored.products.ids == fitted.products.ids
    assert restored.products.segment_bias == fitted.products.segment_bias
    before, after = fitted.values(features), restored.values(features)
    assert list(before) == list(after)
    for name, values in before.items():
        assert np.array_equal(values, after[name], equal_nan=True), name


def test_products_read_from_the_banks_table() -> None:
    table = pa.table(
        {
            "product_id": [3, 1, 2],
            "product_type": ["CC", None, "PL"],
            "min_income": [None, 10.0, 0.0],
            "segment_bias": ["All", "Mass", None],
        }
    )
    found = Products.of(table)
    assert found.ids == ("3", "1", "2")
    assert found.types == ("CC", "", "PL")
    assert found.min_income == pytest.approx(np.array([NAN, 10.0, 0.0]), nan_ok=True)
    assert found.segment_bias == (None, "Mass", None)
    assert found.positions(["1", "9", "3"]).tolist() == [2, 0, -1]


def test_a_table_of_products_may_hold_ids_and_types_only() -> None:
    found = Products.of(pa.table({"product_id": ["a"], "product_type": ["CC"]}))
    assert np.isnan(found.min_income).all()
    assert found.segment_bias == (None,)


def test_own_product_columns_name_their_product_not_a_prefix() -> None:
    column = FeatureColumn("held_1", "", "holdings", "relationship", "flag", measure="held", product_id="1")
    features = worlds.feature_table([column], [pa.array([True])])
    assert held_flags(features, SHELF).tolist() == [[0, 0, 0]]
