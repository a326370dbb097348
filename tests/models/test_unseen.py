"""Products of which a ranker was shown no offer are told from the others, also where they came after the fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nextoffer.models.choice import ChoiceRanker
from nextoffer.models.compiled import CompiledRanker
from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.training import Training
from tests.models import worlds

SNAPSHOT = worlds.customers(400, seed=3)
RANKERS = [GlassboxRanker(boosting=None, folds=3, max_rank=1), ChoiceRanker(iterations=20, folds=2)]


@pytest.fixture(scope="module")
def training() -> Training:
    """Return offers of all products but the third."""
    whole = worlds.offers(SNAPSHOT, law=worlds.age_and_taste, each=4)
    return whole.take(whole.cols != 2)


@pytest.mark.parametrize("ranker", RANKERS, ids=lambda r: r.name)
def test_what_was_never_offered_is_unseen(ranker: CompiledRanker, training: Training, tmp_path: Path) -> None:
    fitted = ranker.fit(training)
    count = len(training.products)
    assert fitted.score(SNAPSHOT, training.products).unseen.tolist() == [j == 2 for j in range(count)]
    fitted.save(tmp_path)
    again = type(ranker).load(tmp_path)
    assert again.score(SNAPSHOT, training.products).unseen.tolist() == [j == 2 for j in range(count)]


def test_a_product_that_came_later_is_unseen(training: Training) -> None:
    fitted = RANKERS[0].fit(training)
    known = training.products
    later = replace(known, ids=(*known.ids[:-1], "brand new"))
    expected = [j in (2, len(known) - 1) for j in range(len(known))]
    assert fitted.score(SNAPSHOT, later).unseen.tolist() == expected


def test_a_card_that_does_not_say_leaves_it_open(training: Training) -> None:
    fitted = RANKERS[0].fit(training)
    silent = replace(fitted, card_=replace(fitted.card_, unseen=None))
    known = training.products
    assert silent.score(SNAPSHOT, known).unseen is None
    assert silent.score(SNAPSHOT, replace(known, ids=tuple(np.roll(known.ids, 1)))).unseen is None
