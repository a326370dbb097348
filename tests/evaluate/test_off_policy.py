"""Off-policy estimators on logs whose answer is known: by hand, by construction, and over many simulated logs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nextoffer.evaluate.off_policy import (
    ESTIMATORS,
    Log,
    Modelled,
    best_threshold,
    difference,
    direct,
    doubly_robust,
    ips,
    mean_by_customer,
    on_policy,
    snips,
    switch,
)
from nextoffer.evaluate.overlap import Overlap
from tests.evaluate.logs import SHARPNESS, logged, true_value

HAND = Log(
    np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.5, 0.5, 0.25, 0.25]), np.array([0.5, 0.0, 0.5, 0.25]), np.arange(4)
)
MODEL = Modelled(np.array([0.5, 0.5, 0.5, 0.0]), np.array([0.4, 0.4, 0.6, 0.6]))


def test_by_hand() -> None:
    # weights 1, 0, 2, 1
    assert ips(HAND).estimate == pytest.approx(3 / 4)
    assert snips(HAND).estimate == pytest.approx(3 / 4)
    assert direct(HAND, MODEL).estimate == pytest.approx(0.5)
    assert doubly_robust(HAND, MODEL).estimate == pytest.approx((0.9 + 0.4 + 1.6 + 0.6) / 4)
    assert switch(HAND, MODEL, threshold=1.0).estimate == pytest.approx((0.9 + 0.4 + 0.6 + 0.6) / 4)
    assert switch(HAND, MODEL, threshold=np.inf) == doubly_robust(HAND, MODEL)
    assert switch(HAND, MODEL, threshold=-1.0).estimate == direct(HAND, MODEL).estimate


def test_a_policy_judged_by_its_own_log_earns_what_it_earned() -> None:
    log, modelled = logged(3, sharpness=0.0)
    own = replace(log, targets=log.pscores)
    assert ips(own).estimate == snips(own).estimate == on_policy(own).estimate == own.rewards.mean()
    assert difference(own, Modelled(modelled.chosen, modelled.chosen)).estimate == pytest.approx(0.0, abs=1e-12)


def test_a_perfect_model_leaves_nothing_to_correct() -> None:
    log, modelled = logged(4, sharpness=1.0)
    exact = replace(log, rewards=modelled.chosen)
    assert doubly_robust(exact, modelled) == direct(exact, modelled)


def test_snips_moves_with_the_rewards_and_counts_what_is_chosen_at_all() -> None:
    log, _ = logged(5, sharpness=1.0)
    assert snips(replace(log, rewards=log.rewards + 10)).estimate == pytest.approx(snips(log).estimate + 10)
    half = replace(log, mass=np.full(len(log), 0.5))
    assert snips(half).estimate == pytest.approx(snips(log).estimate / 2)


def test_customers_not_decisions_are_independent() -> None:
    values = np.random.default_rng(7).normal(size=50)
    once = mean_by_customer(values, np.arange(50))
    tenfold = mean_by_customer(np.repeat(values, 10), np.repeat(np.arange(50), 10))
    assert (tenfold.estimate, tenfold.low, tenfold.high) == pytest.approx((once.estimate, once.low, once.high))
    assert tenfold.n == 50


def test_the_order_of_rows_does_not_matter() -> None:
    log, modelled = logged(6, sharpness=1.0)
    turned = np.random.default_rng(1).permutation(len(log))
    other = Log(*(c[turned] for c in (log.rewards, log.pscores, log.targets, log.customers)))
    shuffled = Modelled(modelled.chosen[turned], modelled.target[turned])
    for name, estimate in ESTIMATORS.items():
        one, two = estimate(log, modelled), estimate(other, shuffled)
        assert (one.estimate, one.low, one.high) == pytest.approx((two.estimate, two.low, two.high)), name


@pytest.mark.parametrize("sharpness", SHARPNESS)
def test_intervals_hold_the_truth_and_the_model_helps(sharpness: float) -> None:
    truth, repetitions = true_value(sharpness), 200
    found: dict[str, list[tuple[float, bool]]] = {"ips": [], "dr": []}
    for seed in range(repetitions):
        log, modelled = logged(seed, sharpness=sharpness)
        for name, kept in found.items():
            interval = ESTIMATORS[name](log, modelled)
            kept.append((interval.estimate - truth, interval.low <= truth <= interval.high))
    held = {name: np.mean([h for _, h in kept]) for name, kept in found.items()}
    error = {name: np.sqrt(np.mean([e * e for e, _ in kept])) for name, kept in found.items()}
    assert held["dr"] >= 0.90  # 0.95 less three standard errors of 200 repetitions
    assert error["dr"] < error["ips"]


def test_the_threshold_trims_noise_and_keeps_knowledge() -> None:
    customers = np.arange(2000)
    heavy = customers < 20
    pscores, targets = np.where(heavy, 0.002, 0.5), np.where(heavy, 0.5, 0.25)
    rewards = np.where(heavy, customers % 2, 0.0)
    log = Log(rewards, pscores, targets, customers)
    right = Modelled(np.where(heavy, 0.5, 0.0), np.full(2000, 0.5))
    assert best_threshold(log, right) < 250  # the heavy decisions only add noise to a model that is right
    many = Log(np.tile([1.0, 0.0], 1000), np.full(2000, 0.01), np.full(2000, 0.9), customers)
    off = Modelled(np.zeros(2000), np.zeros(2000))
    assert best_threshold(many, off) >= 90.0  # without the corrections nothing of what is known would be left


def test_what_is_wrong_with_a_log_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="rewards: not all are numbers; pscores: all must be above 0") as told:
        Log(np.array([np.nan, 1.0]), np.array([0.0, 0.5]), np.array([0.5, 2.0]), np.arange(2))
    assert "targets" in str(told.value)
    with pytest.raises(ValueError, match="customers: 3 rows, rewards 2"):
        Log(np.zeros(2), np.ones(2), np.ones(2), np.arange(3))


def test_too_little_to_say() -> None:
    nobody = Log(np.ones(3), np.full(3, 0.5), np.zeros(3), np.arange(3))
    assert np.isnan(snips(nobody).estimate)
    assert Overlap.of(nobody).warnings[0].startswith("the new policy would have made none")
    one = Log(np.ones(2), np.full(2, 0.5), np.full(2, 0.5), np.zeros(2))
    assert np.isnan(ips(one).low)
    empty = Log(*(np.zeros(0) for _ in range(4)))
    assert ips(empty).n == 0


def test_overlap() -> None:
    log, _ = logged(9, sharpness=0.0)
    own = Overlap.of(replace(log, targets=log.pscores))
    assert (own.effective, own.largest_weight, own.untouched) == (len(log), 1.0, 0.0)
    assert not own.poor
    few = replace(log, targets=np.where(np.arange(len(log)) < 30, log.pscores, 0.0))
    told = " ".join(Overlap.of(few).warnings)
    assert "say as much about the new policy as 30 of its own" in told
    assert "was never tried" in told
    wrong = Overlap.of(replace(log, targets=np.minimum(1.0, 3 * log.pscores)))
    assert any("not the probabilities" in words for words in wrong.warnings)
    assert wrong.to_dict()["decisions"] == len(log)


def test_few_rewards_are_told_and_their_bounds_know_of_the_weights_without_any() -> None:
    log, modelled = logged(9, sharpness=0.6)
    seldom = replace(
        log, rewards=np.where(np.flatnonzero(log.rewards)[:4][:, None] == np.arange(len(log)), 1.0, 0.0).sum(axis=0)
    )
    told = Overlap.of(seldom)
    assert told.rewarded <= 4.0
    assert any("rewarded decisions: too few" in words for words in told.warnings)
    assert not any("rewarded decisions" in words for words in Overlap.of(log).warnings)
    found = ips(seldom)
    alone = mean_by_customer(seldom.weights * seldom.rewards, seldom.places)
    assert found.high > alone.high
    assert found.estimate == alone.estimate
    nothing = replace(log, rewards=np.zeros(len(log)))
    assert Overlap.of(nothing).rewarded == 0.0
    for name, estimate in ESTIMATORS.items():
        assert np.isnan(estimate(nothing, modelled).low) == (name != "dm"), name
