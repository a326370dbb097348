from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.natural import Natural
from nextoffer.models.natural_fit import LEAST, learned_natural, why_not_learned
from nextoffer.models.ranker import sigmoid
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable, Floats
from tests.models import worlds

PEOPLE = worlds.customers(2500, seed=3)
LAW = worlds.age_and_taste
MADE = worlds.offers(PEOPLE, law=LAW, each=3)
RANKER = GlassboxRanker(boosting=None, folds=3, max_rank=1).fit(MADE)
ACCEPTANCES = float(MADE.labels.sum())


def held_back(law: worlds.Law, *, count: int = 2500, seed: int = 8, each: int = 1) -> Training:
    return worlds.offers(worlds.customers(count, seed=20, first=90_000), law=law, each=each, seed=seed)


def learned(training: Training) -> Natural:
    return learned_natural(training, RANKER, acceptances=ACCEPTANCES, seed=7)


def less(features: FeatureTable, by: Floats | float) -> Floats:
    return LAW(features) - by


def test_a_constant_effect_is_found_and_nothing_else() -> None:
    natural = learned(held_back(lambda f: less(f, 1.2)))
    assert natural.summary()["parts"] == ["shift"]
    assert natural.shift == pytest.approx(-1.2, abs=0.25)
    truth = sigmoid(LAW(PEOPLE) - 1.2)
    offered = RANKER.score(PEOPLE, MADE.products).log_odds
    assert sigmoid(natural.log_odds(offered, PEOPLE, MADE.products)).mean() == pytest.approx(truth.mean(), abs=0.02)


def test_what_is_taken_up_anyway_is_told_by_product() -> None:
    anyway = np.array([0.0, 0.0, 2.5, 2.5, 2.5, 2.5])
    natural = learned(held_back(lambda f: less(f, anyway)))
    assert "products" in natural.summary()["parts"]
    offsets = np.array([natural.offsets[p] for p in worlds.IDS])
    assert offsets[:2].min() > offsets[2:].max() + 0.5


def test_the_more_likely_need_an_offer_less() -> None:
    natural = learned(held_back(lambda f: 1.6 * LAW(f), each=3))
    assert natural.summary()["parts"][:2] == ["shift", "slope"]
    assert natural.slope == pytest.approx(0.6, abs=0.25)


def test_customers_who_do_not_like_to_be_asked_are_found() -> None:
    def dislike(features: FeatureTable) -> Floats:
        busy = np.nan_to_num(features.numbers("txn_count")) > 8
        return less(features, np.where(busy, -0.8, 1.2)[:, None])

    training = held_back(dislike, each=3)
    natural = learned(training)
    assert "customers" in natural.summary()["parts"]
    assert "txn_count" in natural.reads
    features = training.snapshots[0]
    unaided = natural.log_odds(np.zeros((len(features), 6), dtype=np.float32), features, training.products)[:, 0]
    busy = np.nan_to_num(features.numbers("txn_count")) > 8
    assert unaided[busy].mean() > unaided[~busy].mean() + 0.7


def test_the_interval_of_the_average_uplift_holds_the_truth() -> None:
    inside = 0
    for seed in range(20):
        offers = held_back(LAW, seed=seed, count=1200)  # no effect at all
        uplift = learned(offers).summary()["average_uplift"]
        inside += uplift["low"] <= 0.0 <= uplift["high"]
    assert inside >= 16


def test_an_offer_of_weight_two_is_the_offer_twice() -> None:
    training = held_back(lambda f: less(f, 1.0), count=600)
    twice = Training(
        training.snapshots,
        training.products,
        *(
            np.tile(getattr(training, name), 2)
            for name in ("snapshot", "rows", "cols", "labels", "weights", "customers")
        ),
    )
    double = replace(training, weights=2 * training.weights)
    assert learned(double).shift == pytest.approx(learned(twice).shift, abs=1e-6)
    one, two = (learned(t).summary()["average_uplift"] for t in (training, double))
    assert one["estimate"] == pytest.approx(two["estimate"], abs=1e-6)


def test_the_same_offers_teach_the_same() -> None:
    training = held_back(lambda f: less(f, 1.0), count=600)
    assert learned(training).summary() == learned(training).summary()


@pytest.mark.parametrize("fewest", [0.0, 1.0])
def test_too_few_of_either_answer_is_said(fewest: float) -> None:
    training = held_back(LAW, count=400)
    at = np.flatnonzero(training.labels == fewest)
    keep = np.ones(len(training), dtype=bool)
    keep[at[LEAST - 1 :]] = False
    few = training.take(keep)
    which = "taken up all the same" if fewest else "not taken up"
    assert why_not_learned(few) == (f"of {len(few)} offers held back only {LEAST - 1} were {which}; {LEAST} are needed")
    keep[at[LEAST - 1]] = True
    assert why_not_learned(training.take(keep)) is None


def test_no_offers_held_back_is_said() -> None:
    assert why_not_learned(None) == "no offers were held back (responses with arm = 'control')"
    nothing = held_back(LAW, count=50).take(np.zeros(50, dtype=bool))
    assert why_not_learned(nothing) == "no offers were held back (responses with arm = 'control')"
