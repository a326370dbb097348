"""Reward models of logged decisions."""

from __future__ import annotations

import numpy as np
import pytest

from nextoffer.models.reward import cross_fitted_rewards, recalibrated


def test_without_columns_each_action_has_its_mean() -> None:
    chosen = np.arange(4000) % 2
    rewards = (chosen == 1).astype(float)
    found = cross_fitted_rewards(np.zeros((4000, 0)), chosen, rewards, np.arange(4000), actions=3)
    assert found[:, 1].min() > 0.98
    assert found[:, 0].max() < 0.02
    assert found[:, 2] == pytest.approx(0.5, abs=0.05)  # never chosen: the mean of all


@pytest.mark.parametrize("base", ["trees", "line"])
def test_columns_tell(base: str) -> None:
    draw = np.random.default_rng(2)
    x, chosen = draw.normal(size=(4000, 1)), draw.integers(0, 2, 4000)
    rewards = (draw.random(4000) < np.where(x[:, 0] > 0, 0.8, 0.2)).astype(float)
    found = cross_fitted_rewards(x, chosen, rewards, np.arange(4000), actions=2, base=base)
    assert found[x[:, 0] > 0.3].mean() > found[x[:, 0] < -0.3].mean() + 0.4


def test_nobody_is_told_his_own_answer() -> None:
    chosen, rewards, customers = np.zeros(400, dtype=np.intp), np.zeros(400), np.arange(400)
    first = cross_fitted_rewards(np.zeros((400, 0)), chosen, rewards, customers, actions=1)
    rewards[7] = 1.0
    second = cross_fitted_rewards(np.zeros((400, 0)), chosen, rewards, customers, actions=1)
    assert second[7] == first[7]
    assert not np.array_equal(first, second)


def test_propensities_that_are_too_high_are_brought_down() -> None:
    draw = np.random.default_rng(3)
    truth = draw.uniform(0.02, 0.3, size=(6000, 2))
    chosen = draw.integers(0, 2, 6000)
    rewards = (draw.random(6000) < truth[np.arange(6000), chosen]).astype(float)
    found = recalibrated(np.minimum(3 * truth, 0.95), chosen, rewards, np.arange(6000))
    assert found.mean() == pytest.approx(truth.mean(), abs=0.02)
    none = recalibrated(truth, chosen, np.zeros(6000), np.arange(6000))
    assert np.array_equal(none, truth)
