from __future__ import annotations

import gc
import weakref

from nextoffer.models.prepared import prepare
from tests.models import worlds


def test_champion_and_challenger_are_given_the_same() -> None:
    training = worlds.offers(worlds.customers(60), law=worlds.age_and_taste)
    ready = prepare(training, folds=4, seed=7, max_rank=1)
    assert prepare(training, folds=4, seed=7, max_rank=1) is ready
    assert prepare(training, folds=4, seed=8, max_rank=1).folds.tolist() != ready.folds.tolist()
    alike = worlds.offers(worlds.customers(60), law=worlds.age_and_taste)
    assert prepare(alike, folds=4, seed=7, max_rank=1) is not ready


def test_what_was_made_ready_goes_with_its_training_set() -> None:
    training = worlds.offers(worlds.customers(60), law=worlds.age_and_taste)
    ready = weakref.ref(prepare(training, folds=4, seed=7, max_rank=1))
    assert ready() is not None
    del training
    gc.collect()
    assert ready() is None
