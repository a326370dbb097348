"""Control arms: who is in them, how they choose, and what holds in all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from nextoffer.errors import PolicyError
from nextoffer.policy.arms import Arm, dealt, names, popularity
from nextoffer.policy.book import Book
from nextoffer.policy.decide import Decider
from nextoffer.policy.exploration import Exploration
from nextoffer.policy.file import Policy
from nextoffer.policy.objective import Arbitration, Lever
from nextoffer.policy.ranking import ranked
from nextoffer.policy.why_not import why_not
from tests.policy.bank import IDS, FlatScores, bank, offers, refusals
from tests.policy.test_exploration import WIDE, by_rank, crowd

THREE = (Arm(name="random", share=0.1), Arm(name="popularity", share=0.2), Arm(name="no_value", share=0.3))
ALL = {name: (Arm(name=name, share=1 - 1e-12),) for name in ("random", "popularity", "no_value")}


def policy(*arms: Arm, **more: object) -> Policy:
    return Policy(contact=WIDE, arm=arms, **{"arbitration": Arbitration(top_n=3), **more})


def test_every_arm_has_its_share():
    n = 40_000
    found = np.bincount(dealt(crowd(n), THREE, 7), minlength=4) / n
    assert names(THREE) == ("champion", "random", "popularity", "no_value")
    np.testing.assert_allclose(found, [0.4, 0.1, 0.2, 0.3], atol=4 * np.sqrt(0.25 / n))


def test_a_customer_stays_in_an_arm():
    one, other = crowd(500), crowd(500, day=3, sd=None)
    later = replace(other, scores=FlatScores(np.random.default_rng(0).normal(size=(500, 5))))
    before = ranked(one, Book(policy(*THREE)), 7)
    after = ranked(later, Book(policy(*THREE, arbitration=Arbitration(objective="value"))), 99)
    assert np.array_equal(before.arm, after.arm)
    assert not np.array_equal(before.arm, dealt(one, THREE, 8))


def test_the_random_arm_offers_any_open_product_as_often():
    n = 20_000
    found = ranked(crowd(n), Book(policy(*ALL["random"])), 7)
    chosen = by_rank(found)
    for rank in range(3):
        np.testing.assert_allclose(np.bincount(chosen[:, rank], minlength=5) / n, 0.2, atol=4 * np.sqrt(0.16 / n))
    pairs = np.bincount(chosen[:, 0] * 5 + chosen[:, 1], minlength=25).reshape(5, 5) / n
    np.testing.assert_allclose(pairs[~np.eye(5, dtype=bool)], 0.05, atol=4 * np.sqrt(0.05 / n))
    np.testing.assert_allclose(found.pscore(found.rows, found.cols).reshape(n, 3), [[1 / 5, 1 / 4, 1 / 3]] * n)


def test_the_popularity_arm_offers_what_is_popular():
    batch = bank(popularity=[0.1, 0.4, None, 0.2])
    decider = Decider(batch.products, policy=policy(*ALL["popularity"]), catalogue=Policy().catalogue, ids=IDS)
    found = decider.of(batch)
    assert list(offers(found).values()) == [[11, 13, 10]] * 3
    first = found.decisions.to_pylist()[0]
    assert (first["arm"], first["score"], first["pscore"]) == ("popularity", 0.4, 1.0)
    assert first["propensity"] == expit(1.0)


def test_without_a_popularity_the_average_customer_stands_in():
    scores = FlatScores([[2.0, 1.0, 0.0, -1.0]] * 3)
    scores.intercept, scores.average = np.float32(-1.0), np.array([[0.5], [1.5], [-1.0], [0.0]], dtype=np.float32)
    np.testing.assert_allclose(popularity(replace(bank(), scores=scores)), expit([-0.5, 0.5, -2.0, -1.0]))


def test_without_value_propensity_decides_and_nothing_is_too_cheap():
    batch = bank(margin=[-5.0, 100.0, 1.0, None])
    by_value = Arbitration(objective="value", lever=(Lever(product=("12",), weight=99.0),))
    champion, control = (
        Decider(batch.products, policy=each, catalogue=each.catalogue, ids=IDS).of(batch)
        for each in (policy(arbitration=by_value), policy(*ALL["no_value"], arbitration=by_value))
    )
    assert offers(champion)["ann"] == [11, 12] or offers(champion)["ann"] == [12, 11]
    assert refusals(champion)["ann", 10] == "arbitration.value"
    assert refusals(champion)["ann", 13] == "arbitration.no_value"
    assert offers(control)["ann"] == [10, 11, 12, 13]
    assert control.decisions.column("score").to_pylist() == control.decisions.column("propensity").to_pylist()
    assert control.plain().decisions.to_pylist() == control.decisions.to_pylist()


@pytest.mark.parametrize("name", ALL)
def test_hard_rules_hold_in_every_arm(name: str):
    batch = bank(active=[True, False, True, True], min_income=[6.0, 1.0, 1.0, 1.0])
    batch = replace(batch, facts=replace(batch.facts, consent=np.array([True, False, True])))
    plain, control = (
        ranked(batch, Book(policy(*arms, arbitration=Arbitration(cutoff=0.4))), 7) for arms in ((), ALL[name])
    )
    assert control.arm.all()
    assert np.array_equal(np.sort(control.rule, axis=1), np.sort(plain.rule, axis=1))
    assert set(zip(control.rows, control.cols, strict=True)) == set(zip(plain.rows, plain.cols, strict=True))


def test_only_the_champion_explores():
    batch = crowd(3_000)
    batch = replace(batch, products=batch.products.append_column("popularity", [[0.1, 0.5, 0.3, 0.2, 0.4]]))
    arms = (Arm(name="popularity", share=0.5),)
    found = ranked(batch, Book(policy(*arms, exploration=Exploration(method="epsilon", epsilon=1.0))), 7)
    first, chance = by_rank(found)[:, 0], found.pscore(found.rows, found.cols).reshape(-1, 3)[:, 0]
    assert len(np.unique(first[found.arm == 0])) == 5
    assert len(np.unique(first[found.arm == 1])) == 1
    assert (chance[found.arm == 1] == 1).all()
    np.testing.assert_allclose(chance[found.arm == 0], 0.2)


def test_why_not_owns_up_to_chance():
    book = Book(policy(*ALL["random"], arbitration=Arbitration(top_n=1)))
    told = [why_not(bank(), 0, col, book=book, seed=7) for col in range(4)]
    assert sum(not lines for lines in told) == 1
    assert {lines[0].split(", and ")[1] for lines in told if lines} == {"the first ranks are left to chance"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'control'\nshare = 0.1\n", "arm.0.name: found 'control'"),
        ("name = 'random'\nshare = 0.0\n", "arm.0.share: found 0.0"),
        ("name = 'random'\nshare = 0.1\n[[arm]]\nname = 'random'\nshare = 0.1\n", "more than one arm is named random"),
        ("name = 'random'\nshare = 0.6\n[[arm]]\nname = 'no_value'\nshare = 0.4\n", "the shares add up to 1"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path, text: str, message: str):
    (tmp_path / "policy.toml").write_text(f"[[arm]]\n{text}", encoding="utf-8")
    with pytest.raises(PolicyError, match=message):
        Policy.read(tmp_path / "policy.toml")
