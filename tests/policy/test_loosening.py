"""The value finder against brute force: the rule is really dropped, and everybody is decided anew."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.file import Arbitration, Contact, Eligibility, Policy
from nextoffer.policy.loosening import loosening, may_loosen
from nextoffer.policy.ranking import OFFERED, Ranking, ranked
from tests.policy.bank import NO, bank, with_facts
from tests.policy.worlds import world

SEED = 7
HARD = Policy(
    eligibility=Eligibility(min_income_factor=2.5), contact=Contact(cap=2), arbitration=Arbitration(cutoff=0.15)
)


def without(book: Book, rule: str) -> Book:
    """Return the book with one rule dropped: one of those on single pairs."""
    out = Book(book.policy)
    out.__dict__["rules"] = tuple(each for each in book.rules if each.name != rule)
    return out


def dropped(policy: Policy, rule: str) -> Book:
    """Return the book in which a rule or limit stops nothing."""
    if rule == "contact.weekly_cap":
        return Book(policy.model_copy(update={"contact": policy.contact.model_copy(update={"cap": 99})}))
    return without(Book(policy), rule)


def served(ranking: Ranking) -> np.ndarray:
    return (ranking.rule == OFFERED).any(axis=1)


def check(batch: Batch, policy: Policy) -> int:
    """Compare what is found with what dropping each rule does; return how many customers some rule would serve."""
    book = Book(policy)
    before = ranked(batch, book, SEED)
    found = loosening(batch, before)
    assert np.array_equal(found.rows, np.flatnonzero(~served(before)))
    for place, rule in enumerate(book.names[:-1]):
        after = ranked(batch, dropped(policy, rule), SEED)
        mine = found.rules == place
        assert found.served[mine].tolist() == np.flatnonzero(served(after) & ~served(before)).tolist(), rule
        limit = len(after.book.names) - 1 - after.book.first_limit
        possible = (after.rule == OFFERED) | (after.rule >= after.book.first_limit)
        assert limit >= 0
        assert possible[found.served[mine], found.cols[mine]].all()
        for row, col, value in zip(found.served[mine], found.cols[mine], found.expected_value[mine], strict=True):
            opened = np.flatnonzero(possible[row])
            worths = after.propensity[row] * batch.product_column("margin") - np.nan_to_num(
                batch.product_column("cost"), nan=0.0
            )
            known = worths[opened][~np.isnan(worths[opened])]
            assert (np.isnan(value) and not len(known)) or value == pytest.approx(known.max())
            assert col in opened
    return len(found.served)


@given(seed=st.integers(0, 10**6), cap=st.integers(0, 4), factor=st.sampled_from([0.0, 1.0, 4.0, 40.0]))
@settings(max_examples=25)
def test_dropping_the_rule_serves_exactly_these_customers(seed: int, cap: int, factor: float) -> None:
    policy = Policy(
        eligibility=Eligibility(min_income_factor=factor),
        contact=Contact(cap=cap),
        arbitration=Arbitration(cutoff=0.1),
    )
    check(world(seed, n=30), policy)


def test_the_comparison_does_meet_customers_that_one_rule_would_serve() -> None:
    assert sum(check(world(seed, n=60), HARD) for seed in range(3)) > 20


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
    rules = ("consent.marketing", "suitability.credit_delinquent", "eligibility.held", "contact.weekly_cap")
    assert [may_loosen(rule) for rule in rules] == [False, False, True, True]
