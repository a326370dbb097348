"""Uplift learners on trials whose effects are known."""

from __future__ import annotations

import numpy as np
import pytest

from nextoffer.errors import ModelError
from nextoffer.models.uplift import LEARNERS, Trial, cross_fitted, pseudo_outcomes
from nextoffer.models.uplift_base import BASES
from nextoffer.tables.flow import Floats


def known(n: int = 4000, seed: int = 1, *, binary: bool = True) -> tuple[Trial, Floats]:
    """Treatment 1 helps where the first column is positive, treatment 2 where the second is; and the true uplift."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, 4))
    treatment = draw.integers(0, 3, n)
    effects = np.stack([0.3 * (x[:, 0] > 0), 0.2 * (x[:, 1] > 0)], axis=1)
    mean = (
        0.2 + 0.1 * np.tanh(x[:, 2]) + np.where(treatment > 0, effects[np.arange(n), np.maximum(treatment - 1, 0)], 0)
    )
    outcomes = (draw.random(n) < mean).astype(float) if binary else mean + draw.normal(scale=0.2, size=n)
    return Trial(x, treatment, outcomes), effects


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("binary", [True, False])
def test_each_finds_whom_each_treatment_helps(learner: str, base: str, binary: bool) -> None:
    trial, effects = known(binary=binary)
    found = cross_fitted(trial, np.arange(len(trial)), learner=learner, base=base)
    assert found.shape == effects.shape
    for k in range(2):
        assert np.corrcoef(found[:, k], effects[:, k])[0, 1] > 0.5
        assert found[:, k].mean() == pytest.approx(effects[:, k].mean(), abs=0.06)


def test_pseudo_outcomes_have_the_effect_as_their_mean_whatever_is_expected() -> None:
    trial, effects = known(40_000)
    nonsense = np.tile([0.9, 0.1, 0.5], (len(trial), 1))
    assert pseudo_outcomes(trial, nonsense).mean(axis=0) == pytest.approx(effects.mean(axis=0), abs=0.03)


def test_chances_that_depend_on_the_customer_are_allowed_for() -> None:
    draw = np.random.default_rng(4)
    x = draw.normal(size=(20_000, 1))
    chance = 1 / (1 + np.exp(-x[:, 0]))
    treatment = (draw.random(len(x)) < chance).astype(np.intp)
    outcomes = x[:, 0] + 0.5 * treatment + draw.normal(size=len(x))
    trial = Trial(x, treatment, outcomes, np.stack([1 - chance, chance], axis=1))
    wrong = np.zeros((len(x), 2))
    assert pseudo_outcomes(trial, wrong).mean() == pytest.approx(0.5, abs=0.1)
    assert cross_fitted(trial, np.arange(len(x)), base="line").mean() == pytest.approx(0.5, abs=0.06)


def test_nobody_is_told_what_was_learned_from_him() -> None:
    trial, _ = known(800)
    customers = np.arange(len(trial))
    first = cross_fitted(trial, customers, base="line", learner="t")
    turned = trial.outcomes.copy()
    turned[0] = 1 - turned[0]
    second = cross_fitted(Trial(trial.x, trial.treatment, turned), customers, base="line", learner="t")
    assert second[0] == pytest.approx(first[0], abs=1e-12)
    assert not np.allclose(second, first)


def test_what_is_not_known_may_be_nan() -> None:
    trial, _ = known(800)
    x = trial.x.copy()
    x[::7, 0] = np.nan
    for base in BASES:
        assert np.isfinite(cross_fitted(Trial(x, trial.treatment, trial.outcomes), np.arange(800), base=base)).all()


def test_what_is_wrong_is_told() -> None:
    trial, _ = known(800)
    with pytest.raises(ModelError, match="no 'trees2'"):
        cross_fitted(trial, np.arange(800), base="trees2")
    with pytest.raises(ModelError, match="too few to learn uplift from"):
        cross_fitted(trial.take(np.arange(800) < 60), np.arange(60))
