"""What is counted of rules on a bank of three that can be followed by hand.

They are ann (income 4.2, web), bob (10, ?) and cid (?, branch).
"""

from __future__ import annotations

import numpy as np
import pytest

from nextoffer.errors import PolicyError
from nextoffer.policy.book import Book
from nextoffer.policy.effect import Effects
from nextoffer.policy.file import Policy
from nextoffer.policy.rules import OwnRule
from tests.policy.bank import bank, with_facts


def rule(key, require, **more):
    return OwnRule(**{"id": key, "stage": "suitability", "text": "Own rule", "require": require, **more})


def effect(*rules, batch=None, pairs=True, times=1):
    counted = Effects(Book(Policy(rule=rules)), pairs=pairs)
    for _ in range(times):
        counted.add(batch or bank(lgd=[0.4, None, 0.0, 0.0]))
    return counted.found()


def one(*rules, **more):
    return next(e for e in effect(*rules, **more).effects if e.rule == "suitability.own")


def test_whom_a_rule_asks_and_whom_it_keeps():
    found = one(rule("own", "income > 5", where="product.lgd > 0"))
    assert (found.customers, found.pairs) == (3, 6)  # the product without an lgd is asked too
    assert (found.customers_kept, found.pairs_kept, found.unknown, found.first) == (1, 2, 2, 4)
    assert (found.state, found.level, found.text) == ("on", "global", "Own rule")


def test_batches_add_up():
    rules = rule("own", "income > 5 or channel_pref = 'branch'", product_type=("card",))
    once, twice = one(rules), one(rules, times=2)
    counts = ("customers", "pairs", "customers_kept", "pairs_kept", "unknown", "first")
    assert [getattr(twice, name) for name in counts] == [2 * getattr(once, name) for name in counts]
    assert once.clauses == twice.clauses
    assert (once.customers, once.pairs, once.pairs_kept) == (3, 6, 4)


def test_rules_before_count_first():
    batch = with_facts(bank(), held=np.eye(3, 4, dtype=bool), consent=np.array([False, True, True]))
    found = effect(rule("own", "product.product_id > 11"), batch=batch)
    first = {e.rule: e.first for e in found.effects if e.first}
    assert first == {"consent.marketing": 4, "eligibility.held": 2, "suitability.own": 3}
    assert (found.customers, found.products, found.customers_open, found.pairs_open) == (3, 4, 2, 3)


def test_parts_of_an_expression_are_counted_by_themselves():
    found = one(rule("own", "income > 5 or 1 = 1", where="product.lgd > 0 and income is not null"))
    told = [(c.key, c.joined, c.text, c.true) for c in found.clauses]
    assert told == [
        ("where", "and", "product.lgd > 0", 0.25),
        ("where", "and", "income is not null", pytest.approx(2 / 3)),
        ("require", "or", "income > 5", 0.5),
        ("require", "or", "1 = 1", 1.0),
    ]
    assert "require: '1 = 1' is true of every pair here, so the other parts change nothing" in found.warnings


@pytest.mark.parametrize(
    ("own", "warning"),
    [
        (rule("own", "income > 99"), "stops everybody: of the pairs that it asks it keeps none"),
        (rule("own", "income > 0 or income is null"), "keeps everybody: of the pairs that it asks it stops none"),
        (
            rule("own", "income > 5", where="false"),
            "never applies: there is no pair of customer and product that it asks",
        ),
        (
            rule("own", "income > 5"),
            "require: not known of 33.3 % of the pairs that it asks, which it therefore stops",
        ),
        (
            rule("own", "income > 5", nulls="pass"),
            "require: not known of 33.3 % of the pairs that it asks, which it therefore keeps",
        ),
        (
            rule("own", "income > 5", where="product.lgd > 0"),
            "where: not known of 25 % of the pairs, which it therefore asks",
        ),
        (
            rule("own", "income > 5 or income > 99"),
            "require: 'income > 99' is true of no pair here, so it changes nothing",
        ),
        (
            rule("own", "income > 5 and true"),
            "require: 'true' is true of every pair here, so it changes nothing",
        ),
    ],
)
def test_what_is_odd_is_said(own, warning):
    assert warning in one(own).warnings
    assert f"suitability.own: {warning}" in effect(own).warnings


def test_a_good_rule_is_not_odd():
    batch = bank(lgd=[0.4, 0.0, 0.0, 0.0])
    own = rule("own", "channel_pref = 'web' or channel_pref is null", where="product.lgd > 0")
    assert one(own, batch=batch).warnings == ()


def test_two_rules_that_leave_nothing_together():
    low, high = rule("own", "income < 5"), rule("high", "income > 5")
    told = "together with suitability.high it leaves nothing, though each alone does"
    assert told in one(low, high).warnings
    assert told not in one(low, rule("high", "income > 5", where="income > 7")).warnings, "they ask different customers"
    assert told not in one(low, rule("high", "income > 4")).warnings
    found = effect(low, high)
    assert found.warnings[0] == "the rules together leave no product open to anybody"


def test_rules_that_say_nothing():
    found = effect(
        rule("own", "not shoes", optional=True),
        rule("off", "income > 5", enabled=False),
        rule("pairs", "pair.coholding > 0"),
        pairs=False,
    )
    states = {e.rule: e.state for e in found.effects if e.state != "on"}
    assert states == {
        "suitability.credit_delinquent": "silent",
        "suitability.credit_vulnerable": "silent",
        "suitability.own": "silent",
        "suitability.off": "off",
        "suitability.pairs": "unchecked",
    }
    assert found.warnings == []
    with pytest.raises(PolicyError, match=r"unknown column 'pair\.coholding'"):
        effect(rule("pairs", "pair.coholding > 0"))
