"""What an offer is worth, and what it is sorted by, in numbers that can be followed by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit

from nextoffer.errors import PolicyError
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.decide import Decided, Decider
from nextoffer.policy.file import Contact, Policy
from nextoffer.policy.objective import Arbitration, Context, Lever
from nextoffer.policy.priority import Priority, Terms
from nextoffer.policy.quiet import Quiet
from nextoffer.policy.value import Value
from nextoffer.policy.why_not import why_not
from nextoffer.tables.flow import FeatureColumn
from tests.policy.bank import AS_OF, IDS, bank, offers, refusals

P = expit(np.array([2.0, 1.0, 0.0, -1.0]))
WIDE = Contact(cap=9)


def by(objective: str, **more: object) -> Policy:
    value = more.pop("value", Value())
    return Policy(contact=WIDE, value=value, arbitration=Arbitration(objective=objective, **more))


def with_pd(batch: Batch, *pd: float | None) -> Batch:
    column = FeatureColumn("pd", "Probability of default", "risk", "rule", "number")
    data = batch.features.data.append_column("pd", pa.array(pd, type=pa.float64()))
    return replace(batch, features=replace(batch.features, data=data, columns=(*batch.features.columns, column)))


def decided(batch: Batch, policy: Policy) -> Decided:
    return Decider(batch.products, policy=policy, catalogue=policy.catalogue, ids=IDS).of(batch)


def rows(batch: Batch, policy: Policy) -> dict[tuple[str, int], dict[str, object]]:
    return {(r["customer_id"], r["product_id"]): r for r in decided(batch, policy).decisions.to_pylist()}


def of_all(batch: Batch, value: Value | None = None, **arbitration: object) -> Priority:
    return Priority(batch, Terms(Arbitration(**arbitration), value or Value(), WIDE))


def test_value_is_margin_less_expected_loss_and_subsidy():
    batch = bank(
        margin=[400.0, 100.0, 60.0, None],
        lgd=[0.5, None, 0.0, 0.4],
        exposure=[2000.0, 5000.0, 900.0, 100.0],
        subsidy=[30.0, 5.0, None, None],
    )
    found = of_all(with_pd(batch, 0.1, 0.02, None)).value
    np.testing.assert_allclose(
        found, [[270.0, 95.0, 60.0, np.nan], [350.0, 95.0, 60.0, np.nan], [np.nan, 95.0, 60.0, np.nan]]
    )


def test_what_a_bank_does_not_say_the_policy_does():
    batch = with_pd(
        bank(margin=[400.0] * 4, lgd=[0.5, 0.5, None, 0.5], exposure=[2000.0, None, 10.0, 0.0]), 0.1, None, 1
    )
    found = of_all(batch, Value(exposure=1000.0, subsidy=7.0, pd=0.2)).value
    np.testing.assert_allclose(
        found, [[293.0, 343.0, 393.0, 393.0], [193.0, 293.0, 393.0, 393.0], [-607.0, -107.0, 393.0, 393.0]]
    )
    np.testing.assert_allclose(
        of_all(bank(margin=[400.0] * 4, lgd=[0.5] * 4), Value(pd=0.1, exposure=100.0)).value, 395
    )
    assert np.isnan(of_all(bank(margin=[400.0] * 4, lgd=[0.5] * 4), Value(exposure=100.0)).value).all()


def test_a_contact_costs_what_its_channel_costs():
    batch = bank(margin=[100.0] * 4, cost=[1.0, None, 0.0, 2.0])
    found = of_all(
        batch, Value(contact_cost={"web": 0.5, "branch": 20.0})
    ).cost  # ann: web, bob: not known, cid: branch
    np.testing.assert_allclose(found, [[1.5, 0.5, 0.5, 2.5], [1.0, 0.0, 0.0, 2.0], [21.0, 20.0, 20.0, 22.0]])


def test_offers_are_sorted_by_what_they_earn():
    batch = bank(margin=[10.0, 100.0, 50.0, 400.0], cost=[1.0, 1.0, 1.0, 1.0])
    found = decided(batch, by("value"))
    assert offers(found)["ann"] == [13, 11, 12, 10]
    first = found.decisions.to_pylist()[0]
    assert first["score"] == first["expected_value"] == P[3] * 400 - 1
    assert (first["propensity"], first["value"], first["context_weight"], first["lever"]) == (P[3], 400.0, 1.0, 1.0)
    assert first["uplift"] is None


def test_what_an_offer_adds_may_rank_otherwise():
    natural = np.array([[0.8, 0.1, 0.49, 0.2]] * 3, dtype=np.float32)
    batch = replace(bank(margin=[100.0] * 4), natural=natural)
    assert offers(decided(batch, by("value")))["ann"] == [10, 11, 12, 13]
    found = rows(batch, by("incremental_value"))
    assert [product for who, product in found if who == "ann"] == [11, 10, 13, 12]
    row = found["ann", 10]
    assert row["uplift"] == P[0] - np.float64(np.float32(0.8))
    assert row["score"] == row["expected_value"] == row["uplift"] * 100.0
    assert rows(batch, by("propensity"))["ann", 10]["uplift"] == row["uplift"]


def test_without_a_model_of_no_offer_value_stands_in_for_what_is_added():
    batch = bank(margin=[10.0, 100.0, 50.0, 400.0])
    assert offers(decided(batch, by("incremental_value"))) == offers(decided(batch, by("value")))
    assert set(decided(batch, by("incremental_value")).decisions.column("uplift").to_pylist()) == {None}


def test_weights_multiply_what_counts():
    arbitration = {
        "context": (
            Context(when="channel_pref = 'web' and product.product_type = 'card'", weight=3.0),
            Context(when="income >= 4", weight=2.0),
        ),
        "lever": (
            Lever(product_type=("loan",), weight=0.5),
            Lever(product=("10", "11"), product_type=("loan",), weight=4),
        ),
    }
    found = rows(bank(), by("propensity", **arbitration))
    assert (found["ann", 12]["context_weight"], found["bob", 12]["context_weight"]) == (6.0, 2.0)
    assert found["cid", 12]["context_weight"] == 1.0  # neither income nor the web are known
    assert (found["ann", 10]["lever"], found["ann", 12]["lever"]) == (2.0, 1.0)
    assert found["ann", 12]["score"] == P[2] * 6.0
    assert found["ann", 10]["score"] == P[0] * 2.0 * 2.0
    assert found["ann", 10]["propensity"] == P[0]
    valued = rows(bank(margin=[100.0] * 4, cost=[2.0] * 4), by("value", **arbitration))
    assert valued["ann", 10]["score"] == (P[0] * 100 - 2) * 2.0 * 2.0
    assert valued["ann", 10]["expected_value"] == P[0] * 100 - 2


def test_an_offer_must_earn_what_the_policy_asks():
    batch = bank(margin=[10.0, 100.0, None, -5.0], cost=[1.0] * 4)
    found = decided(batch, by("value"))
    assert offers(found)["ann"] == [11, 10]
    assert refusals(found)["ann", 12] == "arbitration.no_value"
    assert refusals(found)["ann", 13] == "arbitration.value"
    assert offers(decided(batch, by("value", min_value=20.0)))["ann"] == [11]
    assert offers(decided(batch, by("value", min_value=-9.0)))["ann"] == [11, 10, 13]
    assert offers(decided(batch, by("propensity")))["ann"] == [10, 11, 12, 13]
    assert offers(decided(batch, by("propensity", min_value=0.0)))["ann"] == [10, 11]


def test_what_would_have_to_change_is_said_in_amounts():
    batch = with_pd(
        bank(margin=[10.0, None, 100.0, 100.0], cost=[9.0, 0.0, 0.0, 0.0], lgd=[None, None, 0.5, None]), 0, 0, None
    )
    book = Book(by("value", value=Value(exposure=100.0)))

    def lines(row: int, col: int) -> list[str]:
        return why_not(batch, row, col, book=book, seed=7)

    assert lines(0, 0) == [
        "arbitration.value: expected value -0.192 < least 0: the propensity would have to rise from 88.1 % to 90 %, "
        "or an acceptance would have to earn 10.22 instead of 10",
        "would then rank 3 of 3, with propensity 88.1 % and priority -0.192",
    ]
    assert lines(0, 1)[0] == "arbitration.no_value: what an acceptance earns is not known: loan 11 would need a margin"
    assert "probability of default would have to be recorded" in lines(2, 2)[0]
    top = Book(by("value", top_n=1))
    assert why_not(batch, 0, 3, book=top, seed=7) == [
        "arbitration.top_n: ranks 2 of 2, the first 1 are offered: priority 26.89 would have to rise above 50"
    ]


def test_the_expected_value_counts_losses_under_any_objective():
    batch = with_pd(bank(margin=[100.0] * 4, lgd=[0.5, None, None, None], exposure=[100.0] * 4), 0.1, 0.1, 0.1)
    found = rows(batch, by("propensity"))
    assert found["ann", 10]["value"] == 95.0
    assert found["ann", 10]["expected_value"] == P[0] * 95.0
    assert found["ann", 10]["score"] == P[0]


def test_a_handful_is_written_as_many_are():
    batch = replace(bank(margin=[10.0, 100.0, None, -5.0]), natural=np.full((3, 4), 0.3, dtype=np.float32))
    policy = by(
        "propensity", context=(Context(when="income > 5", weight=1.3),), lever=(Lever(product=("12",), weight=2),)
    )
    made = decided(batch, policy)
    assert made.decisions.num_rows == 12
    assert made.plain().decisions.to_pylist() == made.decisions.to_pylist()
    assert set(made.decisions.column("context_weight").to_pylist()) == {1.0, 1.3}


@pytest.mark.parametrize(
    ("arbitration", "message"),
    [
        ({"context": (Context(when="incme > 5", weight=2.0),)}, r"context.0: when 'incme > 5': unknown column 'incme'"),
        ({"lever": (Lever(product=("99",), weight=2.0),)}, "lever.0: product names '99', which the bank does not have"),
        ({"lever": (Lever(product_type=("lone",), weight=2.0),)}, r"names 'lone'.*did you mean 'loan'"),
    ],
)
def test_weights_on_what_is_not_there_are_refused(arbitration: dict[str, object], message: str):
    with pytest.raises(PolicyError, match=message):
        decided(bank(), by("propensity", **arbitration))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[arbitration]\nobjective = 'profit'\n", "arbitration.objective: found 'profit'"),
        ("[[arbitration.context]]\nwhen = 'now() > 1'\nweight = 2\n", r"context.0.when: 'now\(\) > 1': the function"),
        ("[[arbitration.context]]\nwhen = 'a > 1'\nweight = 0\n", "context.0.weight: found 0"),
        ("[[arbitration.lever]]\nweight = 2\n", "lever.0: names neither a product_type nor a product"),
        ("[value]\ncontact_cost = { phone = -1.0 }\n", "value.contact_cost.phone: found -1.0"),
        ("[value]\npd = 1.5\n", "value.pd: found 1.5"),
        ("[value]\nmargin = 1.5\n", "value.margin: unknown key"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path, text: str, message: str):
    (tmp_path / "policy.toml").write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError, match=message):
        Policy.read(tmp_path / "policy.toml")


def test_a_policy_with_all_of_it_is_written_and_read_back(tmp_path):
    policy = by(
        "incremental_value",
        value=Value(pd=0.02, contact_cost={"rm": 25, "e mail": 0.1}),
        min_value=-1.0,
        context=(Context(when="income > 5", weight=2.0), Context(when="income > 6", weight=2.0)),
        lever=(Lever(product=("P1",), weight=3.0),),
    )
    (tmp_path / "policy.toml").write_text(policy.to_toml(), encoding="utf-8")
    again = Policy.read(tmp_path / "policy.toml")
    assert again == policy
    assert again.policy_id == policy.policy_id
    assert policy.reads >= {"pd", "channel_pref", "income"}
    assert by("value", value=Value(contact_cost={"b": 1.0, "a": 2.0})).policy_id == (
        by("value", value=Value(contact_cost={"a": 2.0, "b": 1.0})).policy_id
    )


def test_a_closed_channel_costs_what_the_next_one_does():
    costs = {"web": 0.5, "branch": 20.0, "phone": 4.0}
    contact = Contact(cap=9, channels=("phone",), quiet=(Quiet(channel="web", days=(f"{AS_OF:%a}".lower(),)),))
    terms = Terms(Arbitration(), Value(contact_cost=costs), contact)
    assert Priority(bank(), terms).cost.tolist() == [[4.0] * 4, [4.0] * 4, [20.0] * 4]
    policy = Policy(contact=contact, value=Value(contact_cost=costs))
    found = {row["customer_id"]: row for row in decided(bank(margin=[100.0] * 4), policy).decisions.to_pylist()}
    assert {who: row["channel"] for who, row in found.items()} == {"ann": "phone", "bob": "phone", "cid": "branch"}
    for row in found.values():
        assert row["expected_value"] == row["propensity"] * 100.0 - costs[row["channel"]]
