"""Exploration: what is chosen is chosen as often as its pscore says, and every rule holds as always."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import chi2

from nextoffer.errors import PolicyError
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.distribution import rank_chances
from nextoffer.policy.exploration import Exploration
from nextoffer.policy.file import Contact, Policy
from nextoffer.policy.objective import Arbitration, Context
from nextoffer.policy.ranking import Ranking, ranked
from nextoffer.tables.flow import FeatureTable, RuleFacts
from tests.policy.bank import AS_OF, FlatScores, bank

WIDE = Contact(cap=99)
LOG_ODDS = [0.4, 0.2, 0.0, -0.6, -2.0]
SD = [0.3, 0.5, 0.2, 0.8, 0.9]


def crowd(n: int, *, unseen: tuple[int, ...] = (), sd: object = SD, day: int = 0) -> Batch:
    """Return n customers who are alike in all but their ids, and five products that are open to all of them."""
    one = bank()
    ids = pa.array([f"customer {i}" for i in range(n)])
    rest = [pa.repeat(one.features.data.column(name)[0], n) for name in one.features.data.column_names[1:]]
    data = pa.table([ids, *rest], names=one.features.data.column_names)
    features = FeatureTable(data, one.features.columns, AS_OF.replace(day=AS_OF.day + day))
    scores = FlatScores(np.tile(np.array(LOG_ODDS, dtype=np.float32), (n, 1)))
    scores.uncertainty = None if sd is None else np.tile(np.array(sd, dtype=np.float32), (n, 1))
    scores.unseen = np.isin(np.arange(5), unseen)
    facts = RuleFacts(held=np.zeros((n, 5), dtype=bool), consent=None, contacts=np.zeros((n, 1), dtype=np.int64))
    products = pa.table(
        {
            "product_id": list(range(10, 15)),
            "product_type": ["loan", "loan", "card", "card", "fund"],
            "margin": [100.0, 120.0, 140.0, 200.0, 900.0],
        }
    )
    return Batch(scores, facts, features, products)


def exploring(method: str = "epsilon", **more: object) -> Policy:
    arbitration = more.pop("arbitration", Arbitration(top_n=3))
    return Policy(contact=WIDE, arbitration=arbitration, exploration=Exploration(method=method, **more))


def of(batch: Batch, policy: Policy, seed: int = 7) -> Ranking:
    return ranked(batch, Book(policy), seed)


def by_rank(ranking: Ranking, top: int = 3) -> np.ndarray:
    """Return the products (n, top) of customers who all have as many offers."""
    return ranking.cols.reshape(-1, top)


def distribution(batch: Batch, policy: Policy, before: np.ndarray) -> np.ndarray:
    return rank_chances(batch, Book(policy), 7, before=before)


WEIGHED = Arbitration(objective="value", top_n=3, context=(Context(when="income > 4", weight=2.0),))
POLICIES = {
    "epsilon": exploring(epsilon=0.4, slots=2),
    "epsilon by value": exploring(epsilon=0.3, slots=1, arbitration=Arbitration(objective="value", top_n=3)),
    "thompson": exploring("thompson", slots=2),
    "thompson by value": exploring("thompson", slots=1, arbitration=WEIGHED),
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("unseen", [(), (1, 4)])
def test_offers_are_chosen_as_often_as_their_pscore_says(policy: Policy, unseen: tuple[int, ...]):
    n = 20_000
    batch = crowd(n, unseen=unseen)
    found = of(batch, policy)
    chosen, pscore = by_rank(found), found.pscore(found.rows, found.cols).reshape(n, 3)
    one = crowd(1, unseen=unseen)
    first = distribution(one, policy, np.empty((1, 0), dtype=np.int16))[0]
    assert_frequencies(np.bincount(chosen[:, 0], minlength=5), first)
    np.testing.assert_allclose(pscore[:, 0], first[chosen[:, 0]], rtol=1e-12)
    for taken in range(5) if policy.exploration.slots > 1 else ():
        rows = chosen[:, 0] == taken
        second = distribution(one, policy, np.array([[taken]], dtype=np.int16))[0]
        assert second[taken] == 0
        assert_frequencies(np.bincount(chosen[rows, 1], minlength=5), second)
        np.testing.assert_allclose(pscore[rows, 1], second[chosen[rows, 1]], rtol=1e-12)
    assert (pscore[:, policy.exploration.slots :] == 1).all()


def assert_frequencies(counts: np.ndarray, chance: np.ndarray) -> None:
    assert chance.sum() == pytest.approx(1.0, abs=1e-9)
    expected = counts.sum() * chance
    some = expected >= 5
    assert counts[~some].sum() <= 12
    statistic = ((counts[some] - expected[some]) ** 2 / expected[some]).sum()
    assert statistic < chi2.ppf(1 - 1e-4, max(int(some.sum()) - 1, 1))


def test_epsilon_has_its_formula():
    policy = exploring(epsilon=0.2, new_product_share=0.25)
    none = np.empty((1, 0), dtype=np.int16)
    np.testing.assert_allclose(distribution(crowd(1), policy, none)[0], [0.84, 0.04, 0.04, 0.04, 0.04])
    found = distribution(crowd(1, unseen=(0, 3)), policy, none)[0]
    old, new = 0.2 * (0.25 / 5 + 0.75 / 3), 0.2 * 0.25 / 5
    np.testing.assert_allclose(found, [0.8 + new, old, old, new, old])
    found = distribution(crowd(1, unseen=(0, 1, 2, 3, 4)), policy, none)[0]
    np.testing.assert_allclose(found, [0.8 + 0.15 + 0.01, 0.01, 0.01, 0.01, 0.01])


@pytest.mark.parametrize(
    "policy",
    [exploring(epsilon=0.0, slots=3), exploring("thompson", slots=3), exploring("none", slots=3)],
    ids=["epsilon", "thompson", "none"],
)
def test_without_chance_the_best_come_first(policy: Policy):
    batch = crowd(50, sd=[0.0] * 5)
    plain = of(batch, Policy(contact=WIDE, arbitration=policy.arbitration))
    found = of(batch, policy)
    assert np.array_equal(found.cols, plain.cols)
    assert np.array_equal(found.rule, plain.rule)
    assert (found.pscore(found.rows, found.cols) == 1).all()


def test_new_products_are_tried_in_no_more_than_their_share():
    batch = crowd(8_000, unseen=(4,), sd=[0.3, 0.5, 0.2, 0.8, 6.0])
    chosen = {
        share: by_rank(of(batch, exploring("thompson", new_product_share=share)))[:, 0] for share in (0.0, 0.1, 1.0)
    }
    tried = {share: float((first == 4).mean()) for share, first in chosen.items()}
    assert tried[0.0] == 0
    assert 0.01 < tried[0.1] < 0.1
    assert tried[1.0] > 0.3


def test_chance_is_drawn_anew_each_day_and_the_same_on_one():
    policy = exploring(epsilon=0.5)
    first, again, later = (by_rank(of(crowd(2_000, day=day), policy))[:, 0] for day in (0, 0, 1))
    assert np.array_equal(first, again)
    assert 0.3 < (first != later).mean() < 0.7
    assert not np.array_equal(first, by_rank(of(crowd(2_000), policy, seed=8))[:, 0])


def test_what_may_not_be_offered_is_not_explored():
    batch = crowd(500)
    held = np.zeros((500, 5), dtype=bool)
    held[:, [0, 3]] = True
    batch = replace(batch, facts=replace(batch.facts, held=held))
    for policy in (exploring(epsilon=1.0, slots=3), exploring("thompson", slots=3)):
        found = of(batch, policy)
        assert set(found.cols.tolist()) == {1, 2, 4}
        assert (np.bincount(found.rows) == 3).all()
        last = found.pscore(found.rows, found.cols).reshape(-1, 3)[:, 2]
        np.testing.assert_allclose(last, 1.0, atol=1e-12)  # one is left


def test_a_model_that_is_never_unsure_cannot_be_explored_by_what_it_knows():
    with pytest.raises(PolicyError, match=r"needs to know how uncertain the scores are.*--ranker glassbox.*'epsilon'"):
        of(crowd(3, sd=None), exploring("thompson"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method = 'bayes'", "exploration.method: found 'bayes'"),
        ("epsilon = 1.5", "exploration.epsilon: found 1.5"),
        ("slots = 0", "exploration.slots: found 0"),
        ("temperature = 1", "exploration.temperature: unknown key"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path, text: str, message: str):
    (tmp_path / "policy.toml").write_text(f"[exploration]\n{text}\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=message):
        Policy.read(tmp_path / "policy.toml")
