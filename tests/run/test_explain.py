"""Explanations say what the decisions did, and their parts add up."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nextoffer.errors import FeatureError
from nextoffer.models.ranker import sigmoid
from nextoffer.policy.decide import Decided
from nextoffer.run.engine import Engine
from nextoffer.run.explain import explained
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, PRODUCTS, of_customer

CUSTOMER = 42


def test_explanations_say_what_was_decided(engine: Engine, bank: Bank, decided: Decided) -> None:
    found = explained(engine, bank, CUSTOMER)
    offers = of_customer(decided.decisions, CUSTOMER).to_pylist()
    assert [(e.rank, e.product_id, e.propensity, list(e.reasons)) for e in found if e.rank] == [
        (o["rank"], o["product_id"], o["propensity"], o["reasons"]) for o in offers
    ]
    refusals = of_customer(decided.refusals, CUSTOMER).to_pylist()
    assert {(e.product_id, e.stage, e.rule) for e in found if not e.rank} == {
        (r["product_id"], r["stage"], r["rule"]) for r in refusals
    }
    assert len(found) == PRODUCTS


def test_offers_come_by_rank_then_the_others_by_propensity(engine: Engine, bank: Bank) -> None:
    found = explained(engine, bank, CUSTOMER)
    ranks = [e.rank for e in found if e.rank]
    others = [e.propensity for e in found if not e.rank]
    assert ranks == list(range(1, len(ranks) + 1))
    assert [e.rank for e in found[len(ranks) :]] == [None] * len(others)
    assert others == sorted(others, reverse=True)


def test_contributions_are_against_the_average_customer(engine: Engine, bank: Bank) -> None:
    batch = engine.desk(bank.table("products")).batch(next(engine.stream(bank)))
    average = batch.scores.intercept + batch.scores.average.sum(axis=1)
    for explanation in explained(engine, bank, CUSTOMER):
        log_odds = float(average[explanation.product_id]) + sum(v for _, v in explanation.contributions)
        assert float(sigmoid(np.array(log_odds))) == pytest.approx(explanation.propensity, abs=1e-4)
        sizes = [abs(value) for _, value in explanation.contributions]
        assert sizes == sorted(sizes, reverse=True)


def test_what_would_have_to_change_is_told_of_what_is_refused(engine: Engine, bank: Bank) -> None:
    found = explained(engine, bank, CUSTOMER)
    assert all(e.changes for e in found if e.rank is None)
    assert not any(e.changes for e in found if e.rank)


def test_one_product_is_explained_as_among_all(engine: Engine, bank: Bank) -> None:
    every = {e.product_id: e for e in explained(engine, bank, CUSTOMER)}
    for product in (0, "7", PRODUCTS - 1):
        assert explained(engine, bank, CUSTOMER, product=product) == [every[int(product)]]


def test_ids_given_as_text_are_the_banks_own(engine: Engine, bank: Bank) -> None:
    assert explained(engine, bank, str(CUSTOMER)) == explained(engine, bank, CUSTOMER)


def test_text_ids(retail_engine: Engine, retail_bank: Bank) -> None:
    customer = retail_bank.table("customers").column("customer_id")[3].as_py()
    product = retail_bank.table("products").column("product_id")[2].as_py()
    (found,) = explained(retail_engine, retail_bank, customer, product=product)
    assert found.product_id == product
    assert found.name == retail_bank.table("products").column("name")[2].as_py()


def test_plain_values_are_plain(engine: Engine, bank: Bank) -> None:
    for explanation in explained(engine, bank, CUSTOMER, as_of=AS_OF):
        plain = json.loads(json.dumps(explanation.to_dict()))
        assert plain["rank"] == explanation.rank
        assert plain["reasons"] == list(explanation.reasons)


@pytest.mark.parametrize(
    ("customer", "product", "message"),
    [
        (999_999, None, "1 customers are not in the bank: 999999"),
        ("C17", None, "no customer 'C17': this bank's customer ids are whole numbers"),
        (CUSTOMER, "99", "no product '99'.*; there are 0, 1, 2"),
        (CUSTOMER, "card", "no product 'card'; there are 0, 1, 2"),
    ],
)
def test_who_and_what_is_not_there_is_named(
    engine: Engine, bank: Bank, customer: object, product: str | None, message: str
) -> None:
    with pytest.raises(FeatureError, match=message):
        explained(engine, bank, customer, product=product)
