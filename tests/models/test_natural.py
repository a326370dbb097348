from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nextoffer.models.coding import category_coding, flag_coding, number_coding
from nextoffer.models.natural import Effect, Natural
from tests.models import worlds

PEOPLE = worlds.customers(40, seed=5)
PRODUCTS = worlds.shelf()
OFFERED = np.random.default_rng(3).normal(-2.0, 1.0, (40, 6)).astype(np.float32)


@pytest.fixture
def natural() -> Natural:
    age = number_coding("age", PEOPLE.numbers("age"), max_bins=4)
    segment = category_coding("segment", PEOPLE.texts("segment"))
    effects = (
        Effect(age, np.linspace(-0.3, 0.3, age.bins).astype(np.float32)),
        Effect(segment, np.linspace(0.0, 0.2, segment.bins).astype(np.float32)),
    )
    return Natural(-1.5, 0.25, -2.0, {"11": 0.5, "16": -0.5}, effects, {"parts": ["shift"]})


def test_every_part_is_added(natural: Natural) -> None:
    found = natural.log_odds(OFFERED, PEOPLE, PRODUCTS)
    age, segment = (e.coding for e in natural.effects)
    of_age = natural.effects[0].table[age.codes(PEOPLE.numbers("age"))]
    of_segment = natural.effects[1].table[segment.codes(PEOPLE.texts("segment"))]
    offsets = np.array([0.5, 0.0, 0.0, 0.0, 0.0, -0.5])
    expected = OFFERED - 1.5 + 0.25 * (OFFERED + 2.0) + offsets + (of_age + of_segment)[:, None]
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=1e-5)


def test_nobody_depends_on_who_is_beside(natural: Natural) -> None:
    whole = natural.log_odds(OFFERED, PEOPLE, PRODUCTS)
    for part in (np.arange(3), np.arange(3, 40), np.array([7])):
        alone = natural.log_odds(OFFERED[part], PEOPLE.take(part), PRODUCTS)
        assert np.array_equal(alone, whole[part])


def test_it_reads_what_its_effects_look_at(natural: Natural) -> None:
    assert natural.reads == {"age", "segment"}
    part = PEOPLE.select(natural.reads)
    assert np.array_equal(natural.log_odds(OFFERED, part, PRODUCTS), natural.log_odds(OFFERED, PEOPLE, PRODUCTS))
    assert Natural(-1.0).reads == frozenset()


def test_a_product_never_held_back_has_no_offset(natural: Natural) -> None:
    new = worlds.shelf(("11", "99", "13", "14", "15", "16"))
    found, before = (natural.log_odds(OFFERED, PEOPLE, products) for products in (new, PRODUCTS))
    assert np.array_equal(found, before)  # product 12 had none either


def test_saved_and_loaded_it_answers_the_same(natural: Natural, tmp_path: Path) -> None:
    natural.save(tmp_path)
    loaded = Natural.load(tmp_path)
    assert loaded is not None
    assert np.array_equal(loaded.log_odds(OFFERED, PEOPLE, PRODUCTS), natural.log_odds(OFFERED, PEOPLE, PRODUCTS))
    assert loaded.summary() == natural.summary()


def test_where_nothing_was_saved_there_is_nothing(tmp_path: Path) -> None:
    assert Natural.load(tmp_path) is None


def test_a_flag_may_have_an_effect() -> None:
    effect = Effect(flag_coding("held_11"), np.array([0.0, -1.0, 1.0], dtype=np.float32))
    found = Natural(0.0, effects=(effect,)).log_odds(np.zeros((40, 6), dtype=np.float32), PEOPLE, PRODUCTS)
    held = PEOPLE.numbers("held_11")
    assert found[:, 0].tolist() == np.select([held == 1, held == 0], [1.0, -1.0], 0.0).tolist()
