from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.models.attributes import Attributes, learn_attributes
from nextoffer.models.coding import Codes, code_table, learn_codings
from nextoffer.tables.flow import FeatureTable
from tests.models import worlds


def learned(*tables: FeatureTable) -> tuple[Attributes, Codes]:
    """Return the attributes of all columns of the tables, and the codes of all their rows."""
    codings = learn_codings(tables, [c.name for c in tables[0].columns])
    codes = np.concatenate([code_table(codings, t) for t in tables])
    return learn_attributes(codings, tables, codes), codes


def test_known_values_have_mean_nought_and_spread_one_and_unknown_ones_are_nought() -> None:
    attributes, codes = learned(worlds.customers(400, seed=1), worlds.customers(300, seed=2))
    for i, table in enumerate(attributes.tables):
        values = table[codes[:, i]]
        known = codes[:, i] > 0
        assert (values[~known] == 0).all()
        assert values[known].mean(axis=0) == pytest.approx(0, abs=1e-9)
        assert values[known].std(axis=0) == pytest.approx(1, abs=1e-9)


def test_a_number_is_linear_in_its_value_or_in_its_logarithm_where_its_tail_is_long() -> None:
    short, long = np.arange(50.0), np.r_[np.arange(40.0), 10.0 ** np.arange(3, 13)]
    attributes, codes = learned(worlds.numbers(short=short, long=long))
    values = attributes.values(codes)
    assert np.corrcoef(values[1:-1, 0], short[1:-1])[0, 1] == pytest.approx(1, abs=1e-9)
    assert np.corrcoef(values[1:-1, 1], np.log1p(long[1:-1]))[0, 1] == pytest.approx(1, abs=1e-9)


def test_a_category_gives_one_attribute_for_each_value_that_is_not_rare() -> None:
    column = pa.array(["a"] * 500 + ["b"] * 499 + ["rare"])
    attributes, codes = learned(worlds.feature_table([worlds.category("c")], [column]))
    assert attributes.tables[0].shape == (4, 2)
    values = attributes.values(codes)
    assert (values[:500, 0] > 0).all()
    assert (values[500:, 0] < 0).all()


@pytest.mark.parametrize("column", [np.full(9, 4.0), np.full(9, np.nan), np.r_[np.full(8, np.nan), 4.0]])
def test_what_does_not_vary_gives_no_attribute(column: np.ndarray) -> None:
    attributes, codes = learned(worlds.numbers(x=column))
    assert attributes.values(codes).shape == (9, 0)


def test_without_columns_there_are_no_attributes() -> None:
    assert Attributes((), np.zeros(0, dtype=np.intp)).values(np.zeros((3, 0), dtype=np.uint16)).shape == (3, 0)


def test_columns_of_one_group_share_a_prior() -> None:
    attributes, _ = learned(worlds.customers(400))
    groups = [attributes.groups[start] for start in np.cumsum([0, *(t.shape[1] for t in attributes.tables[:-1])])]
    names = [c.group for c in worlds.customers(1).columns]
    assert [(a == b) for a in groups for b in groups] == [(a == b) for a in names for b in names]
    assert len(attributes.groups) == sum(t.shape[1] for t in attributes.tables)


def test_linear_weights_split_into_the_features() -> None:
    attributes, codes = learned(worlds.customers(200))
    weights = np.random.default_rng(5).normal(size=(len(attributes.groups), 3))
    parts = attributes.per_feature(weights)
    total = sum(part[codes[:, i]] for i, part in enumerate(parts))
    assert total == pytest.approx(attributes.values(codes) @ weights, abs=1e-9)
