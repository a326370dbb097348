from __future__ import annotations

from dataclasses import replace

import numpy as np

from nextoffer.policy.book import Book
from nextoffer.policy.file import Arbitration, Contact, Eligibility, Policy
from nextoffer.policy.why_not import why_not
from tests.policy.bank import NO, FlatScores, bank, decided, offers, with_facts

ANN, BOB, CID = range(3)


def lines(batch, row, col, policy=None):
    return why_not(batch, row, col, book=Book(policy or Policy(contact=Contact(cap=9))), seed=7)


def holding(batch, row, col):
    held = NO.copy()
    held[row, col] = True
    return with_facts(batch, held=held)


def test_an_offer_needs_no_excuse():
    assert lines(bank(), ANN, 0) == []


def test_missing_income_is_put_in_numbers():
    batch = bank(min_income=[6.0, 1.0, 1.0, 1.0])
    assert lines(batch, ANN, 0) == [
        "eligibility.min_income: income 4.2 < 0.8 × 6 = 4.8: would need 0.6 more",
        "would then rank 1 of 4, with propensity 88.1 %",
    ]
    assert lines(batch, CID, 0)[0] == (
        "eligibility.min_income: income is not known, and 0.8 × 6 = 4.8 is needed: it would have to be recorded"
    )


def test_every_obstacle_is_named():
    batch = bank(active=[False, True, True, True], min_income=[6.0, None, None, None], name=["Gold", None, None, None])
    batch = with_facts(holding(batch, ANN, 0), consent=np.array([False, True, True]))
    policy = Policy(arbitration=Arbitration(cutoff=0.9))
    found = lines(batch, ANN, 0, policy)
    assert found[:3] == [
        "consent.marketing: no marketing consent: the customer would have to give it",
        "eligibility.inactive: Gold is not sold at present: it would have to be made active",
        "eligibility.held: the customer already holds Gold",
    ]
    assert found[3].startswith("eligibility.min_income: income 4.2")
    assert found[4] == "arbitration.cutoff: propensity 88.1 % < cutoff 90 %: would need 1.92 % more"
    assert len(found) == 6


def test_a_family_is_named_with_the_tier_that_is_needed():
    batch = holding(bank(family=["a", "a", "b", "b"], tier=[2.0, 1.0, 1.0, None]), ANN, 0)
    assert lines(batch, ANN, 1)[0] == (
        "eligibility.held: the customer already holds loan 10 of the same family 'a': "
        "the policy would have to allow upgrades"
    )
    policy = Policy(eligibility=Eligibility(upgrades=True))
    assert lines(batch, ANN, 1, policy)[0] == (
        "eligibility.held: the customer already holds loan 10 of the same family 'a': "
        "only a tier above 2 may follow, and this has 1"
    )
    assert lines(holding(batch, ANN, 2), ANN, 3, policy)[0].endswith("above 1 may follow, and this has an unknown one")


def test_the_cap_says_how_many_may_follow():
    batch = with_facts(bank(), contacts=np.array([[2], [0], [0]]))
    assert lines(batch, ANN, 1, Policy()) == [
        "contact.weekly_cap: 2 offers in the last 7 days, at most 3 are allowed: 1 may follow, and this ranks 2, "
        "so it would have to wait"
    ]


def test_the_rank_named_is_the_one_that_was_given():
    batch = replace(bank(), scores=FlatScores(np.zeros((3, 4))))
    policy = Policy(arbitration=Arbitration(top_n=1))
    given = {who: products[0] for who, products in offers(decided(batch, policy)).items()}
    for row, who in enumerate(["ann", "bob", "cid"]):
        found = {lines(batch, row, col, policy)[0] for col in range(4) if col + 10 != given[who]}
        assert {line.partition(" ranks ")[2][:6] for line in found} == {"2 of 4", "3 of 4", "4 of 4"}


def test_a_low_rank_says_what_it_would_take():
    assert lines(bank(), ANN, 3, Policy(arbitration=Arbitration(top_n=2))) == [
        "arbitration.top_n: ranks 4 of 4, the first 2 are offered: propensity 26.9 % would have to rise above 73.1 %"
    ]
