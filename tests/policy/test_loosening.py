"""The value finder against brute force: the rule is really dropped, and everybody is decided anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.policy.allowance import Limit
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.file import Arbitration, Contact, Eligibility, Policy
from nextoffer.policy.loosening import loosening, may_loosen
from nextoffer.policy.ranking import OFFERED, Ranking, ranked
from tests.policy.bank import NO, bank, with_facts
from tests.policy.worlds import world

SEED = 7
MANY = 10**6
CHANNELS = ("web", "phone")
HARD = Policy(
    eligibility=Eligibility(min_income_factor=2.5), contact=Contact(cap=2), arbitration=Arbitration(cutoff=0.15)
)


def dropped(batch: Batch, policy: Policy, rule: str) -> Ranking:
    """Return what is decided where a rule or limit stops nothing."""
    contact, facts, book = policy.contact, batch.facts, Book(policy)
    if rule == "contact.weekly_cap":
        contact = contact.model_copy(update={"cap": MANY})
    elif rule == "contact.no_channel":
        facts = replace(facts, channel_consent=None, preferred_consent=None)
    elif rule in [f"contact.{limit.name}" for limit in contact.limit]:
        allowed = (
            limit.model_copy(update={"max": MANY}) if f"contact.{limit.name}" == rule else limit
            for limit in contact.limit
        )
        contact = contact.model_copy(update={"limit": tuple(allowed)})
    else:
        book.__dict__["rules"] = tuple(each for each in book.rules if each.name != rule)
        return ranked(batch, book, SEED)
    changed = Batch(batch.scores, facts, batch.features, batch.products)
    return ranked(changed, Book(policy.model_copy(update={"contact": contact})), SEED)


def served(ranking: Ranking) -> np.ndarray:
    return (ranking.rule == OFFERED).any(axis=1)


def check(batch: Batch, policy: Policy) -> int:
    """Compare what is found with what dropping each rule does; return how many customers some rule would serve."""
    book = Book(policy)
    before = ranked(batch, book, SEED)
    found = loosening(batch, before)
    assert np.array_equal(found.rows, np.flatnonzero(~served(before)))
    worth = before.propensity * batch.product_column("margin") - np.nan_to_num(batch.product_column("cost"), nan=0.0)
    for place, rule in enumerate(book.names[:-1]):
        after = dropped(batch, policy, rule)
        mine = found.rules == place
        assert found.served[mine].tolist() == np.flatnonzero(served(after) & ~served(before)).tolist(), rule
        possible = (after.rule == OFFERED) | (after.rule >= after.book.first_limit)
        for at in np.flatnonzero(mine):
            row, col, value = found.served[at], found.cols[at], found.expected_value[at]
            known = worth[row, possible[row]]
            known = known[~np.isnan(known)]
            assert possible[row, col]
            assert (np.isnan(value) and not len(known)) or value == pytest.approx(known.max())
    return len(found.served)


def with_limits(seed: int, n: int) -> tuple[Batch, tuple[Limit, ...]]:
    """Return a bank whose customers have had offers and refused channels, and two limits that count them."""
    batch, rng = world(seed, n=n), np.random.default_rng(seed)
    facts = replace(
        batch.facts,
        contacts=rng.integers(0, 4, (n, 3)),
        preferred_consent=rng.random(n) < 0.6,
        channel_consent=rng.random((n, len(CHANNELS))) < 0.6,
    )
    limits = (Limit(channel="phone", days=9, max=2), Limit(channel="web", days=5, max=1))
    return Batch(batch.scores, facts, batch.features, batch.products), limits


@given(seed=st.integers(0, 10**6), cap=st.integers(0, 4), factor=st.sampled_from([0.0, 1.0, 4.0, 40.0]))
@settings(max_examples=25)
def test_dropping_the_rule_serves_exactly_these_customers(seed: int, cap: int, factor: float) -> None:
    policy = Policy(
        eligibility=Eligibility(min_income_factor=factor),
        contact=Contact(cap=cap),
        arbitration=Arbitration(cutoff=0.1),
    )
    check(world(seed, n=30), policy)


@given(seed=st.integers(0, 10**6), cap=st.integers(1, 4), channels=st.sampled_from([(), CHANNELS]))
@settings(max_examples=25)
def test_so_does_dropping_a_limit(seed: int, cap: int, channels: tuple[str, ...]) -> None:
    batch, limits = with_limits(seed, 40)
    if not channels:
        batch = with_facts(batch, channel_consent=np.zeros((40, 0), dtype=bool))
    check(batch, Policy(contact=Contact(cap=cap, limit=limits, channels=channels)))


@pytest.mark.parametrize("objective", ["value", "incremental_value"])
def test_so_it_is_where_value_counts(objective: str) -> None:
    policy = HARD.model_copy(update={"arbitration": Arbitration(objective=objective, min_value=20.0)})
    assert sum(check(world(seed, n=60), policy) for seed in range(3)) > 20


def test_the_comparison_does_meet_customers_that_one_rule_would_serve() -> None:
    assert sum(check(world(seed, n=60), HARD) for seed in range(3)) > 20
    batch, limits = with_limits(5, 60)
    assert check(batch, Policy(contact=Contact(limit=limits, channels=CHANNELS))) > 5


def test_of_two_closed_channels_either_may_be_opened() -> None:
    limits = (Limit(channel="web", days=9, max=1), Limit(channel="phone", days=9, max=1))
    batch = with_facts(
        bank(),
        contacts=np.array([[0, 1, 1], [0, 0, 0], [0, 0, 0]]),
        preferred_consent=np.ones(3, dtype=bool),
        channel_consent=np.ones((3, 1), dtype=bool),
    )
    policy = Policy(contact=Contact(cap=9, limit=limits, channels=("phone",)))
    found = loosening(batch, ranked(batch, Book(policy), SEED))
    names = Book(policy).names
    assert [(int(row), names[rule]) for row, rule in zip(found.served, found.rules, strict=True)] == [
        (0, "contact.web_9d"),
        (0, "contact.phone_9d"),
    ]


def test_the_best_pair_is_that_of_most_expected_value_and_brings_its_loss() -> None:
    batch = bank(margin=[10.0, 400.0, 100.0, None], cost=[1.0, 1.0, 1.0, None])
    batch = with_facts(batch, consent=np.array([False, True, True]))
    found = loosening(batch, ranked(batch, Book(Policy(contact=Contact(cap=9))), SEED))
    assert found.rows.tolist() == found.served.tolist() == [0]
    chance = found.propensity[0]
    assert found.expected_value[0] == (chance * np.array([10.0, 400.0, 100.0, np.nan]) - 1)[found.cols[0]]
    assert found.expected_loss.tolist() == [0.0]  # nothing is lent


def test_pairs_behind_two_rules_are_served_by_neither() -> None:
    batch = bank()
    held = NO.copy()
    held[0] = True
    batch = with_facts(batch, held=held, consent=np.array([False, True, True]))
    found = loosening(batch, ranked(batch, Book(Policy(contact=Contact(cap=9))), SEED))
    assert found.rows.tolist() == [0]
    assert found.served.tolist() == []


def test_law_and_duty_are_not_to_be_loosened() -> None:
    rules = (
        "consent.marketing",
        "suitability.credit_delinquent",
        "contact.no_channel",
        "eligibility.held",
        "contact.weekly_cap",
    )
    assert [may_loosen(rule) for rule in rules] == [False, False, False, True, True]
