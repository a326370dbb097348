"""Peers: EASE against the definition it solves, and both on holdings with an answer."""

from __future__ import annotations

import numpy as np
import pytest

from nextoffer.errors import ModelError
from nextoffer.models.peers import PEERS, RIDGES, Ease, ImplicitALS, ease, interactions
from tests.models import worlds


def test_ease_minimises_what_it_says() -> None:
    """Each column is ridge regression on the other products, solved here one by one."""
    x = (np.random.default_rng(3).random((200, 6)) < 0.3).astype(float)
    weights = ease(x.T @ x, 4.0)
    for j in range(6):
        others = [k for k in range(6) if k != j]
        a = x[:, others]
        expected = np.linalg.solve(a.T @ a + 4.0 * np.eye(5), a.T @ x[:, j])
        assert weights[others, j] == pytest.approx(expected)
        assert weights[j, j] == 0.0


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_scores_every_pair_and_the_order_of_rows_changes_nothing(name: str) -> None:
    if (why := PEERS[name].wanting()) is not None:
        pytest.skip(why)
    training = worlds.offers(worlds.customers(60), law=worlds.age_and_taste)
    features = training.snapshots[-1]
    fitted = PEERS[name]().fit(training)
    scores = fitted.score(features, training.products).log_odds
    assert scores.shape == (len(features), len(training.products))
    assert np.isfinite(scores).all()
    some = features.data.slice(3, 5)
    part = type(features)(some, features.columns, features.as_of)
    assert fitted.score(part, training.products).log_odds == pytest.approx(scores[3:8], abs=1e-5)


def test_ease_chooses_one_of_its_ridges() -> None:
    training = worlds.offers(worlds.customers(60), law=worlds.age_and_taste)
    fitted = Ease().fit(training)
    assert fitted.ridge_ in RIDGES
    known = interactions(training.snapshots[-1], training.products)
    assert set(np.unique(known)) <= {0.0, 1.0}


def test_an_unfitted_peer_says_so() -> None:
    training = worlds.offers(worlds.customers(60), law=worlds.age_and_taste)
    with pytest.raises(ModelError, match="call fit first"):
        Ease().score(training.snapshots[-1], training.products)
    with pytest.raises(ModelError, match="not fitted: call fit first"):
        ImplicitALS().score(training.snapshots[-1], training.products)
