from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nextoffer.models.scorecard import Scorecard
from nextoffer.models.spread import Spread, between_products

CODES = np.array([[0, 1, 2, 1], [1, 0, 1, 1]], dtype=np.uint8)
"""Two features of four customers."""
PAIR_CODES = (np.array([[0, 1], [1, 1], [0, 0], [1, 0]], dtype=np.uint8),)


@pytest.fixture
def spread() -> Spread:
    """Two products, two factors, three directions: two of the first factor, one of the second."""
    draw = np.random.default_rng(1)
    half = draw.normal(size=(2, 3, 3))
    return Spread(
        coordinates=tuple(draw.normal(size=(bins, 5)).astype(np.float32) for bins in (3, 2)),
        owner=np.array([0, 0, 1]),
        weights=draw.normal(size=(2, 2)).astype(np.float32),
        products=(half @ half.transpose(0, 2, 1)).astype(np.float32),
        variances={1: draw.random((2, 2)).astype(np.float32)},
        pair_variances={0: draw.random((2, 2)).astype(np.float32)},
    )


def test_the_variance_is_the_sum_of_its_three_parts(spread: Spread) -> None:
    found = spread.deviations(CODES, PAIR_CODES)
    for c in range(4):
        at = spread.coordinates[0][CODES[0, c]] + spread.coordinates[1][CODES[1, c]]
        for j in range(2):
            z = np.r_[1.0, at[:2]]
            product = z @ spread.products[j] @ z
            customer = spread.weights[j, 0] ** 2 * (at[2:4] ** 2).sum() + spread.weights[j, 1] ** 2 * at[4] ** 2
            terms = spread.variances[1][CODES[1, c], j] + spread.pair_variances[0][PAIR_CODES[0][c, j], j]
            assert found[c, j] ** 2 == pytest.approx(product + customer + terms, rel=1e-5)


def test_variances_of_products_alone_are_the_same_for_everybody() -> None:
    found = Spread.of_products(np.array([4.0, 0.25])).deviations(CODES, ())
    assert found.tolist() == [[2.0, 0.5]] * 4


def test_a_product_taken_over_keeps_its_deviations(spread: Spread) -> None:
    swapped = spread.mixed(np.array([[0.0, 1.0], [1.0, 0.0]]), np.zeros((2, 3)))
    before = spread.deviations(CODES, PAIR_CODES)
    after = swapped.deviations(CODES, (PAIR_CODES[0][:, ::-1],))
    assert after[:, ::-1] == pytest.approx(before, rel=1e-6)


def test_a_borrowed_product_has_the_variance_between_products_added(spread: Spread) -> None:
    bare = replace(spread, variances={}, pair_variances={})
    share = np.array([[0.5], [0.5]])
    without, with_spare = (bare.mixed(share, np.array([spare])) for spare in ([0.0] * 3, [2.0, 0.0, 0.0]))
    added = with_spare.deviations(CODES, ()) ** 2 - without.deviations(CODES, ()) ** 2
    assert added == pytest.approx(np.full((4, 1), 2.0), rel=1e-4)


def test_a_type_of_one_has_the_variance_between_all() -> None:
    levels = np.array([[0.0], [4.0], [2.0]])
    one, two, new = between_products(levels, ["a", "a", "b"], ["b", "a", "c"])[:, 0]
    assert one == pytest.approx(4.0 * 2)  # the variance between all, and the same for the one it is borrowed from
    assert two == pytest.approx((8.0 + 4.0) / 2 * 1.5)
    assert new == pytest.approx(4.0 * (1 + 1 / 3))
    assert between_products(levels[:1], ["a"], ["a"])[0, 0] == 2.0


def test_a_card_keeps_its_spread_when_written(spread: Spread) -> None:
    codings, tables, none = (), (), np.zeros((2, 0), dtype=np.float32)
    card = Scorecard(codings, tables, (), (), (), np.zeros(2, dtype=np.float32), none, spread)
    restored = Scorecard.restore(json.loads(json.dumps(card.to_json())), card.arrays())
    assert restored.spread is not None
    assert np.array_equal(restored.spread.deviations(CODES, PAIR_CODES), spread.deviations(CODES, PAIR_CODES))


def test_a_card_written_before_there_was_a_spread_states_none(spread: Spread) -> None:
    none = np.zeros((2, 0), dtype=np.float32)
    card = Scorecard((), (), (), (), (), np.zeros(2, dtype=np.float32), none)
    plain = card.to_json()
    del plain["spread"]
    assert Scorecard.restore(plain, card.arrays()).spread is None
