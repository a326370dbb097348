"""The bank's own rules on a bank that can be followed by hand: ann (income 4.2, web), bob (10, ?), cid (?, branch)."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.errors import PolicyError
from nextoffer.policy.applied import applied
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.file import Contact, Policy
from nextoffer.policy.rules import OwnRule
from nextoffer.policy.why_not import why_not
from tests.policy.bank import NO, FlatScores, bank, decided, offers, refusals, with_facts

ALL = {who: {10, 11, 12, 13} for who in ("ann", "bob", "cid")}


def rule(require, **more):
    return OwnRule(**{"id": "own", "stage": "suitability", "text": "Own rule", "require": require, **more})


def policy(*rules):
    return Policy(rule=rules, contact=Contact(cap=9))


def left(*rules, batch=None):
    """Return the products each customer is offered."""
    found = offers(decided(batch or bank(lgd=[0.4, None, 0.0, 0.0]), policy(*rules)))
    return {who: set(found.get(who, [])) for who in ALL}


def test_what_is_required_must_be_known_to_be_true():
    assert left(rule("income >= 5")) == {"ann": set(), "bob": ALL["bob"], "cid": set()}
    assert left(rule("income >= 5", nulls="pass")) == {"ann": set(), "bob": ALL["bob"], "cid": ALL["cid"]}
    assert left(rule("income >= 5", enabled=False)) == ALL


def test_a_pair_of_which_where_is_not_known_is_asked():
    assert left(rule("false", where="product.lgd > 0"))["bob"] == {12, 13}
    assert left(rule("false", where="product.lgd is not null and product.lgd > 0"))["bob"] == {11, 12, 13}
    assert left(rule("false", where="income < 5")) == {"ann": set(), "bob": ALL["bob"], "cid": set()}
    assert left(rule("income > 5", where="income < product.product_id - 5"))["ann"] == set()


def test_levels_narrow_which_products_are_asked():
    assert left(rule("false", product_type=("card",)))["ann"] == {10, 11}
    assert left(rule("false", product=("12",)))["ann"] == {10, 11, 13}
    assert left(rule("false", product_type=("card",), product=("10", "12")))["ann"] == {10, 11, 13}
    assert left(rule("income > 5", product_type=("card",))) == {"ann": {10, 11}, "bob": ALL["bob"], "cid": {10, 11}}


def test_texts_flags_and_products_together():
    assert left(rule("channel_pref = 'web' and product.product_type = 'loan'"))["ann"] == {10, 11}
    assert left(rule("channel_pref in ('branch', 'x')")) == {"ann": set(), "bob": set(), "cid": ALL["cid"]}
    assert left(rule("channel_pref is null")) == {"ann": set(), "bob": ALL["bob"], "cid": set()}
    assert left(rule("true")) == ALL


def test_the_first_rule_by_stage_and_level_is_named():
    late = rule("false", id="late")
    early = rule("income > 5", id="early", stage="applicability", product=("10",))
    batch = with_facts(bank(), held=np.eye(3, 4, dtype=bool))
    named = refusals(decided(batch, policy(late, early, rule("false", id="one", product=("13",)))))
    assert named["ann", 10] == "eligibility.held"
    assert named["bob", 10] == "suitability.late"
    assert named["cid", 10] == "applicability.early"
    assert named["ann", 13] == "suitability.late"


def test_a_rule_with_columns_the_bank_lacks_is_an_error_unless_it_is_optional():
    assert left(rule("not delinquent", optional=True)) == ALL
    with pytest.raises(
        PolicyError, match=r"rule own: require 'incme > 5': unknown column 'incme' \(did you mean 'income'"
    ):
        left(rule("incme > 5"))


def test_every_misfit_is_named_at_once():
    rules = [
        rule("income = 'a'", id="one", where="shoes > 1"),
        rule("true", id="two", product=("14",), product_type=("laon", "card")),
    ]
    with pytest.raises(PolicyError, match="rule one: where 'shoes > 1': unknown column 'shoes'") as raised:
        left(*rules)
    assert raised.value.problems[1:] == (
        "rule one: require 'income = 'a'': ''a'' is a text, but 'income = 'a'' needs a number",
        "rule two: product names '14', which the bank does not have; there are 10, 11, 12, 13",
        "rule two: product_type names 'laon', which the bank does not have (did you mean 'loan'?); "
        "there are loan, card",
    )


def test_a_closed_column_may_not_be_used_even_optionally():
    batch = bank()
    with pytest.raises(PolicyError, match=r"column 'gender' may not be used: bank\.toml lists it"):
        applied(
            [rule("gender = 'x'", optional=True)],
            batch.kinds,
            batch.offering,
            {"gender": "bank.toml lists it as sensitive"},
        )


def test_masks_are_no_wider_than_they_must_be():
    batch = bank(lgd=[0.4, None, 0.0, 0.0])
    shapes = {
        "income > 5": (3, 4),
        "product.lgd > 0": (1, 4),
        "income > product.lgd": (3, 4),
    }
    for text, shape in shapes.items():
        (one,) = applied([rule(text)], batch.kinds, batch.offering)
        assert one.stops(batch.wide).shape == shape
        assert (one.fixed is not None) == (shape[0] == 1)
    (nobody,) = applied(
        [rule("income > 5", where="product.lgd > 9 or false", product=("10",))], batch.kinds, batch.offering
    )
    assert not nobody.asks(batch.wide).any()


def test_text_comparisons_of_many_customers_are_those_of_one():
    count = 50
    batch = bank()
    words = [None, "a", "b", "card"]
    data = pa.table(
        {
            "customer_id": [str(i) for i in range(count)],
            "income": [float(i) for i in range(count)],
            "channel_pref": pa.array([words[i % 4] for i in range(count)]),
        }
    )
    features = replace(batch.features, data=data)
    facts = replace(batch.facts, held=np.zeros((count, 4), dtype=bool), contacts=np.zeros((count, 1), dtype=np.int64))
    many = Batch(FlatScores(np.zeros((count, 4))), facts, features, batch.products)
    for text in (
        "channel_pref = 'a' or income > 40",
        "channel_pref = product.product_type",
        "channel_pref not in ('a', product.product_type)",
        "channel_pref is not null and not (channel_pref <> 'b')",
        "(channel_pref = 'a') is null",
    ):
        (one,) = applied([rule(text)], many.kinds, many.offering)
        whole = np.broadcast_to(one.stops(many.wide), many.shape)
        for i in range(0, count, 7):
            few = Batch(
                FlatScores(np.zeros((1, 4))),
                replace(facts, held=facts.held[:1]),
                features.take(np.array([i])),
                batch.products,
            )
            assert np.array_equal(np.broadcast_to(one.stops(few.wide), (1, 4))[0], whole[i]), text


def test_why_not_says_the_rule_the_expression_and_the_values():
    one = rule("income >= 5 and product.product_type <> 'x'", id="rich", text="Only from 5 on")
    batch = bank(lgd=[0.4, None, 0.0, 0.0])
    told = [why_not(batch, row, 0, book=Book(policy(one)), seed=7) for row in (0, 2)]
    assert told[0] == [
        "suitability.rich: Only from 5 on: needs income >= 5 and product.product_type <> 'x', and income is 4.2, "
        "product.product_type is 'loan'",
        "would then rank 1 of 1, with propensity 88.1 %",
    ]
    assert "income is not known, product.product_type is 'loan'" in told[1][0]
    unsure = rule("income < 0", where="channel_pref = 'web'")
    assert why_not(batch, 1, 0, book=Book(policy(unsure)), seed=7)[0] == (
        "suitability.own: Own rule: needs income < 0, and income is 10, "
        "whether it applies (channel_pref = 'web') is not known"
    )


def test_rules_and_limits_are_numbered_by_one_byte():
    book = Book(Policy())
    book.__dict__["rules"] = book.rules * 20
    with pytest.raises(PolicyError, match="rules and limits; at most 127 can be told apart"):
        book.names  # noqa: B018


def test_a_book_travels_without_what_was_made_of_it():
    book = Book(policy(rule("income >= 5")))
    assert len(book.rules) > 5
    again = pickle.loads(pickle.dumps(book))
    assert again == book
    assert again.names == book.names
    own = again.rules[again.names.index("suitability.own")]
    assert not np.array_equal(NO, np.broadcast_to(own.stops(bank()), (3, 4)))
