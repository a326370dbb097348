"""A product without offers borrows as the best linear predictor says, and a fit states it by its type."""

import numpy as np
import pytest

from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.lending import Lending, information_of
from nextoffer.models.ranker import sigmoid
from tests.models import worlds

TYPES = ("a", "a", "a", "b", "b", "c")


def dense(lending: Lending, kind: str) -> np.ndarray:
    """The mixture by the textbook: generalised least squares for the mean, then the type's part, all as matrices."""
    seen = lending.information > 0
    z = np.array([[t == u for u in "abc"] for t in TYPES], dtype=float)[seen]
    noise = lending.within + 1.0 / lending.information[seen]
    inverse = np.linalg.inv(np.diag(noise) + lending.between * z @ z.T)
    ones = np.ones(len(z))
    mean = ones @ inverse / (ones @ inverse @ ones)
    alike = np.array([kind == u for u in "abc"], dtype=float)
    part = lending.between * alike @ z.T @ inverse
    out = np.zeros(len(seen))
    out[seen] = part + (1.0 - part @ ones) * mean
    return out


@pytest.mark.parametrize("kind", ["a", "b", "c", "new"])
@pytest.mark.parametrize(("within", "between"), [(0.1, 0.5), (0.5, 0.01), (0.2, 0.0)])
def test_what_is_borrowed_is_the_best_linear_predictor(kind: str, within: float, between: float) -> None:
    lending = Lending(np.array([40.0, 3.0, 0.0, 12.0, 100.0, 7.0]), within, between)
    (found,) = lending.shares(TYPES, np.array([-1]), (kind,)).T
    assert found == pytest.approx(dense(lending, kind), abs=1e-12)
    assert found.sum() == pytest.approx(1.0)
    assert found[2] == 0


def test_a_product_with_offers_is_itself() -> None:
    lending = Lending(np.array([40.0, 3.0, 0.0, 12.0, 100.0, 7.0]), 0.1, 0.1)
    found = lending.shares(TYPES, np.arange(6), TYPES)
    assert np.flatnonzero(found[:, 1]).tolist() == [1]
    assert len(np.flatnonzero(found[:, 2])) == 5


def levels(seed: int, *, within: float, between: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    types = [str(t) for t in rng.integers(0, 12, 60)]
    of_type = {t: rng.normal(0, between) for t in sorted(set(types))}
    information = rng.uniform(5, 200, 60)
    y = np.array([-2.0 + of_type[t] for t in types]) + rng.normal(0, np.sqrt(within**2 + 1 / information))
    return y, information, types


def test_variances_tell_whether_types_matter() -> None:
    matters, hardly = [], []
    for seed in range(12):
        known = Lending.learned(*levels(seed, within=0.2, between=0.8))
        matters.append(known.between / (known.between + known.within))
        known = Lending.learned(*levels(seed, within=0.8, between=0.0))
        hardly.append(known.between / (known.between + known.within))
    assert np.mean(matters) > 0.8
    assert np.mean(hardly) < 0.2


def test_two_products_say_nothing_of_how_products_differ() -> None:
    lending = Lending.learned(np.array([-2.0, -1.0, 0.0]), np.array([5.0, 5.0, 0.0]), ("a", "b", "b"))
    (found,) = lending.shares(("a", "b", "b"), np.array([2]), ("b",)).T
    assert found == pytest.approx([0.0, 1.0, 0.0], abs=1e-4)


def test_nothing_at_all_to_borrow_from_is_shared_alike() -> None:
    found = Lending(np.zeros(2)).shares(("a", "b"), np.array([-1]), ("a",))
    assert found[:, 0].tolist() == [0.5, 0.5]


def test_information_is_that_of_a_proportion() -> None:
    assert information_of(np.array([1000.0, 0.0]), np.array([100.0, 0.0])).round(0).tolist() == [90.0, 0.0]


def test_a_lending_is_kept_with_the_model() -> None:
    lending = Lending(np.array([40.0, 0.0]), 0.1, 0.2)
    again = Lending.from_json(lending.to_json())
    assert again.to_json() == lending.to_json()


def test_a_fit_states_a_product_without_offers_by_those_of_its_type() -> None:
    """Of two kinds of products, with rates of 5 and 30 %, one of each was never offered."""
    training, rates = worlds.two_kinds(seed=3)
    ranker = GlassboxRanker(seed=7, boosting=None).fit(training)
    stated = sigmoid(ranker.score(training.snapshots[0], training.products).log_odds).mean(axis=0)
    unseen = np.flatnonzero(training.unseen)
    assert unseen.tolist() == [4, 9]
    assert stated[unseen] == pytest.approx(rates[unseen], rel=0.35)
    scores = ranker.score(training.snapshots[0], training.products)
    rows = np.arange(50)
    parts = scores.contributions(rows, np.full(50, 4)).sum(axis=1) + scores.intercept[4]
    assert parts == pytest.approx(scores.log_odds[:50, 4], abs=1e-5)
    assert scores.unseen.tolist() == training.unseen.tolist()
