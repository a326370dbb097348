from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit

from nextoffer.errors import PolicyError
from nextoffer.policy.catalogue import Catalogue
from nextoffer.policy.decide import decide
from nextoffer.policy.file import Arbitration, Consent, Contact, Eligibility, Policy
from nextoffer.tables.flow import decisions_schema, refusals_schema
from tests.policy.bank import AS_OF, IDS, NO, FlatScores, bank, decided, offers, refusals, with_facts

FREE = Policy(contact=Contact(cap=9))


def held(*pairs):
    out = NO.copy()
    for row, col in pairs:
        out[row, col] = True
    return out


def test_everything_is_offered_where_nothing_stops_it():
    result = decided(bank(), FREE)
    assert offers(result) == {"ann": [10, 11, 12, 13], "bob": [10, 11, 12, 13], "cid": [10, 11, 12, 13]}
    assert result.refusals.num_rows == 0


def test_a_decision_says_all_there_is_to_say():
    batch = bank(margin=[100.0, None, 50.0, 1.0], cost=[1.0, 1.0, None, 1.0])
    table = decided(batch, FREE).decisions
    assert table.schema == decisions_schema(pa.string(), pa.int64())
    first, second, third, _ = table.slice(0, 4).to_pylist()
    assert first["rank"] == 1
    assert first["product_type"] == "loan"
    assert first["score"] == first["propensity"] == expit(2.0)
    assert first["expected_value"] == expit(2.0) * 100 - 1
    assert second["expected_value"] is None
    assert third["expected_value"] == expit(0.0) * 50
    assert first["pscore"] == 1.0
    assert (first["as_of"], first["model_id"], first["policy_id"]) == (AS_OF, "model", FREE.policy_id)
    assert first["reasons"] == []
    assert table.column("channel").to_pylist()[::4] == ["web", None, "branch"]


def test_without_margins_there_is_no_expected_value():
    assert set(decided(bank()).decisions.column("expected_value").to_pylist()) == {None}


def test_decision_ids_name_the_decision_and_the_run():
    ids = decided(bank(), FREE).decisions.column("decision_id").to_pylist()
    assert len(set(ids)) == len(ids) == 12
    assert all(len(i) == 24 and set(i) <= set("0123456789abcdef") for i in ids)
    assert ids == decided(bank(), FREE).decisions.column("decision_id").to_pylist()
    assert not set(ids) & set(decided(bank(), Policy()).decisions.column("decision_id").to_pylist())


def test_without_consent_nothing_is_offered():
    result = decided(with_facts(bank(), consent=np.array([True, False, True])))
    assert "bob" not in offers(result)
    assert {rule for (who, _), rule in refusals(result).items() if who == "bob"} == {"consent.marketing"}


def test_a_policy_may_leave_consent_to_others():
    policy = Policy(consent=Consent(marketing=False))
    assert "bob" in offers(decided(with_facts(bank(), consent=np.array([True, False, True])), policy))


def test_a_product_no_longer_sold_is_not_offered():
    batch = bank(active=[True, False, None, True])
    assert offers(decided(batch, FREE))["ann"] == [10, 12, 13]
    assert refusals(decided(batch, FREE))["ann", 11] == "eligibility.inactive"
    policy = Policy(eligibility=Eligibility(active_only=False))
    assert 11 in offers(decided(batch, policy))["ann"]


def test_what_is_held_is_not_offered():
    result = decided(with_facts(bank(), held=held((0, 0), (1, 3))), FREE)
    assert offers(result) == {"ann": [11, 12, 13], "bob": [10, 11, 12], "cid": [10, 11, 12, 13]}
    assert set(refusals(result).values()) == {"eligibility.held"}


def test_a_held_product_closes_its_family():
    batch = with_facts(
        bank(family=["a", "a", "a", None], tier=[1.0, 2.0, None, 3.0]), held=held((0, 0), (1, 1), (2, 3))
    )
    result = decided(batch, FREE)
    assert offers(result) == {"ann": [13], "bob": [13], "cid": [10, 11, 12]}


def test_an_upgrade_is_a_higher_tier_of_the_same_family():
    batch = with_facts(bank(family=["a", "a", "a", "b"], tier=[1.0, 2.0, None, 3.0]), held=held((0, 0), (1, 1), (2, 2)))
    policy = FREE.model_copy(update={"eligibility": Eligibility(upgrades=True)})
    assert offers(decided(batch, policy)) == {"ann": [11, 13], "bob": [13], "cid": [13]}


def test_the_highest_tier_held_counts():
    batch = with_facts(bank(family=["a"] * 4, tier=[1.0, 2.0, 2.0, 3.0]), held=held((0, 0), (0, 1)))
    policy = FREE.model_copy(update={"eligibility": Eligibility(upgrades=True)})
    assert offers(decided(batch, policy))["ann"] == [13]


def test_income_must_reach_a_share_of_what_is_asked():
    batch = bank(min_income=[6.0, 5.25, None, 0.0])  # 0.8 of them: 4.8, 4.2
    result = decided(batch, FREE)
    assert offers(result) == {"ann": [11, 12, 13], "bob": [10, 11, 12, 13], "cid": [12, 13]}
    assert refusals(result)["cid", 10] == "eligibility.min_income"
    easy = FREE.model_copy(update={"eligibility": Eligibility(min_income_factor=0.0)})
    assert offers(decided(batch, easy))["cid"] == [10, 11, 12, 13]


def test_a_bank_that_keeps_no_income_cannot_show_it_is_enough():
    batch = bank(min_income=[6.0, None, None, None])
    features = replace(batch.features, data=batch.features.data.drop(["income"]), columns=batch.features.columns[1:])
    assert offers(decided(replace(batch, features=features), FREE))["bob"] == [11, 12, 13]


def test_below_the_cutoff_nothing_is_offered():
    policy = Policy(arbitration=Arbitration(cutoff=0.5))
    result = decided(bank(), policy)
    assert offers(result)["ann"] == [10, 11, 12]
    assert refusals(result)["ann", 13] == "arbitration.cutoff"


def test_no_more_than_top_n_are_offered():
    result = decided(bank(), Policy(arbitration=Arbitration(top_n=2)))
    assert offers(result)["ann"] == [10, 11]
    assert refusals(result)["ann", 12] == refusals(result)["ann", 13] == "arbitration.top_n"


def test_earlier_offers_use_up_the_cap():
    batch = with_facts(bank(), contacts=np.array([[0], [2], [5]]))
    result = decided(batch)
    assert offers(result) == {"ann": [10, 11, 12], "bob": [10]}
    assert refusals(result)["ann", 13] == refusals(result)["cid", 10] == "contact.weekly_cap"


def test_the_cap_is_named_only_where_a_higher_cap_would_help():
    batch = with_facts(bank(), contacts=np.array([[2], [2], [2]]))
    policy = Policy(arbitration=Arbitration(top_n=2, cutoff=0.3))
    rules = refusals(decided(batch, policy))
    assert rules["ann", 11] == "contact.weekly_cap"
    assert rules["ann", 12] == "arbitration.top_n"
    assert rules["ann", 13] == "arbitration.cutoff"


def test_the_first_stage_that_stops_a_pair_is_named():
    batch = with_facts(
        bank(active=[False, True, True, True], min_income=[99.0, 99.0, 99.0, None]),
        held=held((0, 0), (0, 1)),
        consent=np.array([True, False, True]),
    )
    policy = Policy(arbitration=Arbitration(cutoff=0.99))
    rules = refusals(decided(batch, policy))
    assert [rules["ann", product] for product in (10, 11, 12, 13)] == [
        "eligibility.inactive",
        "eligibility.held",
        "eligibility.min_income",
        "arbitration.cutoff",
    ]
    assert rules["bob", 10] == "consent.marketing"


def test_refusals_name_stage_and_rule():
    table = decided(bank(), Policy(arbitration=Arbitration(top_n=1))).refusals
    assert table.schema == refusals_schema(pa.string(), pa.int64())
    assert set(table.column("stage").to_pylist()) == {"arbitration"}


def test_ties_are_broken_by_customer_and_product_not_by_place():
    batch = replace(bank(), scores=FlatScores(np.zeros((3, 4))))
    result = offers(decided(batch, FREE))
    assert len({tuple(order) for order in result.values()}) > 1
    turned = replace(batch, products=batch.products.take(pa.array([3, 2, 1, 0])))
    assert offers(decided(turned, FREE)) == result


def test_a_score_that_is_no_number_is_refused():
    scores = FlatScores([[0.0, 0.0, 0.0, np.nan]] * 3)
    with pytest.raises(PolicyError, match="3 of 12 scores are not numbers"):
        decided(replace(bank(), scores=scores))


def test_inputs_of_different_size_are_refused():
    batch = bank()
    with pytest.raises(PolicyError, match=r"there are 3 customers × 2 products, but scores are for 3 × 4 and held are"):
        decide(
            batch.scores,
            batch.facts,
            batch.features,
            batch.products.slice(0, 2),
            policy=Policy(),
            catalogue=Catalogue.packaged(),
            ids=IDS,
        )


@pytest.mark.parametrize("count", [0, 3])
def test_nobody_and_nothing_are_no_special_case(count):
    batch = bank()
    products = batch.products.slice(0, 0 if count else 4)
    features = batch.features.take(np.arange(count))
    shape = (count, products.num_rows)
    batch = replace(
        batch,
        scores=FlatScores(np.zeros(shape)),
        features=features,
        products=products,
        facts=replace(batch.facts, held=np.zeros(shape, dtype=bool), contacts=np.zeros((count, 1), dtype=np.int64)),
    )
    result = decided(batch)
    assert result.decisions.num_rows == result.refusals.num_rows == 0
