from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextoffer.models.collaborative import Collaborative, default_spend_map, fit_collaborative
from nextoffer.tables.flow import FeatureTable, Floats
from tests.models import worlds

BLOCKS = np.array([0, 0, 0, 1, 1, 1])
holdings = st.lists(st.booleans(), min_size=6, max_size=6)


def checkerboard(count: int = 200) -> Floats:
    """Return holdings (count, 6): every customer lives in one block and holds two of its three products."""
    draw = np.random.default_rng(8)
    mine = draw.integers(0, 2, count)
    left_out = draw.integers(0, 3, count) + 3 * mine
    return ((mine[:, None] == BLOCKS) & (np.arange(6) != left_out[:, None])).astype(float)


def learned(held: Floats) -> Collaborative:
    return fit_collaborative(worlds.holders(held > 0), held, worlds.TYPES)


def spenders(**spent: list[float | None]) -> FeatureTable:
    columns = [worlds.number(f"mcc_spend_{name}", "spend") for name in spent]
    return worlds.feature_table(columns, [pa.array(v, pa.float64()) for v in spent.values()])


@pytest.fixture(scope="module")
def board() -> Collaborative:
    return learned(checkerboard())


@pytest.mark.parametrize("product", range(6))
def test_who_holds_of_one_block_is_led_to_that_block(board: Collaborative, product: int) -> None:
    """A holder of two products of a block is scored highest for the block's third, and not at all for the others."""
    held = ((BLOCKS[product] == BLOCKS) & (np.arange(6) != product)).astype(float)[None, :]
    score = board.coholding_affinity(held)[0]
    assert score[product] > 0.3
    assert score[BLOCKS[product] != BLOCKS] == pytest.approx(0, abs=0.05)


@given(holdings, st.integers(0, 5))
def test_an_own_holding_never_scores_its_product(board: Collaborative, held: list[bool], product: int) -> None:
    without, within = np.array([held, held], dtype=float)
    without[product], within[product] = 0, 1
    scores = board.coholding_affinity(np.array([without, within]))
    assert scores[0, product] == scores[1, product]


def test_the_weights_solve_ease(board: Collaborative) -> None:
    """Steck (2019): with zero diagonal, G W + λ W differs from G by a multiple of each column's own unit vector."""
    held = checkerboard()
    gram = held.T @ held
    ridge = max(1.0, 0.05 * len(held) ** 0.5 * np.diag(gram).mean() ** 0.5)
    residual = gram - (gram + ridge * np.eye(6)) @ board.coholding
    assert np.diag(board.coholding).tolist() == [0.0] * 6
    assert residual - np.diag(np.diag(residual)) == pytest.approx(0, abs=1e-9)


def test_who_holds_nothing_or_spends_nothing_has_no_signal(board: Collaborative) -> None:
    assert not board.coholding_affinity(np.zeros((2, 6))).any()
    features = spenders(travel=[0.0, None, -5.0, 10.0], dining=[None, None, 0.0, 10.0])
    found = fit_collaborative(features, np.zeros((4, 6)), worlds.TYPES).spend_interest(features)
    assert not found[:3].any()
    assert found[3].any()


def test_nobody_holding_anything_is_no_signal() -> None:
    assert not learned(np.zeros((5, 6))).coholding.any()


def test_of_few_products_interest_is_the_mapped_spend() -> None:
    features = spenders(travel=[100.0, 0.0, 50.0], utilities=[0.0, 20.0, 70.0], pets=[9.0, 9.0, 9.0])
    found = fit_collaborative(features, np.zeros((3, 6)), worlds.TYPES).spend_interest(features)
    travel, utilities = np.log1p([100, 0, 50]), np.log1p([0, 20, 70])
    nothing = np.zeros(3)  # no map speaks of pets, and nothing speaks for electronics loans
    assert found == pytest.approx(np.column_stack([travel, travel, utilities, utilities, utilities, nothing]), abs=1e-9)


def test_many_products_are_reduced_to_eight_components() -> None:
    types = [f"T{i}" for i in range(10)]
    categories = {f"c{i}": list(np.random.default_rng(i).lognormal(2, 1, 40)) for i in range(10)}
    features, spend_map = spenders(**categories), {f"c{i}": {f"T{i}": 1.0} for i in range(10)}
    fitted = fit_collaborative(features, np.zeros((40, 10)), types, spend_map=spend_map)
    whole = np.log1p(np.column_stack(list(categories.values())))
    left, values, right = np.linalg.svd(whole, full_matrices=False)
    assert fitted.spend_interest(features) == pytest.approx((left[:, :8] * values[:8]) @ right[:8], abs=1e-6)


def test_a_customers_signals_are_the_same_to_the_last_bit_beside_any_others() -> None:
    categories = {f"c{i}": list(np.random.default_rng(i).lognormal(2, 1, 40)) for i in range(12)}
    features, spend_map = spenders(**categories), {f"c{i}": {"CC": 0.3 * i, "PL": 1 / (1 + i)} for i in range(12)}
    held = np.random.default_rng(1).random((40, 6)) < 0.4
    fitted = fit_collaborative(features, held.astype(float), worlds.TYPES, spend_map=spend_map)
    interest, coholding = fitted.spend_interest(features), fitted.coholding_affinity(held.astype(float))
    for i in range(40):
        assert np.array_equal(fitted.spend_interest(features.take(np.array([i])))[0], interest[i])
        assert np.array_equal(fitted.coholding_affinity(held[[i]].astype(float))[0], coholding[i])


def test_a_bank_gives_its_own_map() -> None:
    features = spenders(pets=[9.0])
    fitted = fit_collaborative(features, np.zeros((1, 6)), worlds.TYPES, spend_map={"pets": {"EL": 2.0}})
    assert fitted.spend_interest(features)[0] == pytest.approx([0, 0, 0, 0, 0, 2 * np.log(10)])


def test_the_default_map_is_the_references() -> None:
    found = default_spend_map()
    assert found["electronics"] == {"CC": 1, "EL": 1}
    assert len(found) == 8


def test_a_new_product_borrows_and_speaks_for_no_other(board: Collaborative) -> None:
    """Columns: product 2, a new product like 0 and 1, product 0."""
    share = np.zeros((6, 3))
    share[2, 0] = share[0, 2] = 1.0
    share[[0, 1], 1] = 0.5
    mixed = board.mixed(share, np.array([2, -1, 0]))
    mean = board.coholding[:, [0, 1]].mean(axis=1)
    assert not mixed.coholding[1].any()
    assert mixed.coholding[0] == pytest.approx([0, mean[2], board.coholding[2, 0]])
    assert mixed.coholding[2] == pytest.approx([board.coholding[0, 2], mean[0], 0])
