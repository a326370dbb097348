from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from nextoffer.models.boosting import BoostSettings, Term
from nextoffer.models.design import Design
from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.products import Products
from nextoffer.models.ranker import sigmoid
from nextoffer.models.training import Training
from nextoffer.tables.flow import Floats
from tests.models import worlds

SNAPSHOT = worlds.customers(700, seed=3)
ASKED = SNAPSHOT.take(np.arange(300))
QUICK = GlassboxRanker(boosting=None, folds=3, max_rank=1)
REFITS = 24


def few_offers_of_the_last(law: worlds.Law) -> Training:
    """Return offers of which the last product has a tenth."""
    training = worlds.offers(SNAPSHOT, law=law, each=4)
    last = training.cols == 5
    return training.take(~last | (np.cumsum(last) % 10 == 0))


def answers(training: Training, law: worlds.Law) -> Callable[[int], Floats]:
    chance = sigmoid(law(SNAPSHOT)[training.rows, training.cols])
    return lambda seed: (np.random.default_rng(seed).random(len(chance)) < chance).astype(float)


@pytest.mark.parametrize("law", [worlds.age_and_taste, worlds.nothing_matters])
def test_refits_to_other_answers_scatter_as_far_as_is_stated(law: worlds.Law) -> None:
    training = few_offers_of_the_last(law)
    draw = answers(training, law)
    scored, stated = [], []
    for seed in range(REFITS):
        scores = QUICK.fit(worlds.answered(training, draw(seed))).score(ASKED, training.products)
        scored.append(scores.log_odds)
        stated.append(scores.uncertainty)
    scatter = np.std(scored, axis=0, ddof=1)
    overall = np.sqrt((scatter**2).mean() / np.mean(np.square(stated)))
    assert 0.7 < overall < 1.4
    error = (np.array(scored) - np.mean(scored, axis=0)) / np.array(stated)
    assert 0.7 < error.std() < 1.4


def test_fewer_offers_of_a_product_leave_more_open() -> None:
    training = few_offers_of_the_last(worlds.age_and_taste)
    stated = QUICK.fit(training).score(ASKED, training.products).uncertainty.mean(axis=0)
    assert stated[5] > 1.3 * stated[:5].mean()


def test_more_offers_leave_less_open() -> None:
    laws = worlds.age_and_taste
    few, many = (worlds.offers(SNAPSHOT, law=laws, each=each) for each in (1, 5))
    stated = [QUICK.fit(t).score(ASKED, t.products).uncertainty for t in (few, many)]
    assert np.mean(stated[0]) > 1.5 * np.mean(stated[1])


def test_a_boosted_term_adds_where_it_stands() -> None:
    training = worlds.offers(SNAPSHOT, worlds.customers(700, seed=4), law=worlds.curved_and_crossed)
    ranker = GlassboxRanker(boosting=BoostSettings(max_rounds=150), folds=3).fit(training)
    assert ranker.summary()["terms_kept"]
    spread = ranker.card_.spread
    assert spread.variances or spread.pair_variances
    for feature, table in spread.variances.items():
        assert table.shape == ranker.card_.tables[feature].shape
        assert (table >= 0).all()


def test_a_term_whose_bags_cancel_out_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    training = worlds.offers(SNAPSHOT, law=worlds.age_and_taste)
    monkeypatch.setattr("nextoffer.models.glassbox.stack", lambda parts, *_: np.ones(parts.shape[1] + 1))
    ranker = replace(QUICK, max_rank=0)

    def cancelling(_: object, design: Design, *__: object) -> list[Term]:
        bins = design.columns[0].bins
        table = np.zeros((2, bins))
        table[0, 1:], table[1, 1:] = 1.0, -1.0
        return [Term((0,), table, np.ones(2))]

    monkeypatch.setattr(GlassboxRanker, "_boosted", cancelling)
    monkeypatch.setattr(Term, "held_out", lambda _, codes, *__: np.zeros(len(codes)))
    card = ranker.fit(training).card_
    assert card.codings == ()
    assert card.spread.variances == {}


def test_a_new_product_is_less_certain_than_any_of_its_type() -> None:
    training = worlds.offers(SNAPSHOT, law=worlds.age_and_taste)
    ranker = QUICK.fit(training)
    known = training.products
    more = Products(
        (*known.ids, "17", "18"),
        (*known.types, "CC", "other"),
        np.r_[known.min_income, np.nan, np.nan],
        (*known.segment_bias, None, None),
    )
    stated = ranker.score(ASKED, more).uncertainty
    assert np.array_equal(stated[:, :6], ranker.score(ASKED, known).uncertainty)
    mean = stated.mean(axis=0)
    assert mean[6] > 1.2 * mean[:2].max()
    assert mean[7] > 1.2 * mean[:6].max()


def test_uncertainty_is_computed_only_when_asked_for() -> None:
    training = worlds.offers(SNAPSHOT, law=worlds.age_and_taste)
    scores = QUICK.fit(training).score(ASKED, training.products)
    _ = scores.log_odds
    assert "uncertainty" not in vars(scores)
    assert scores.uncertainty is scores.uncertainty
