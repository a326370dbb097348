from __future__ import annotations

from nextoffer.policy.catalogue import Reason
from nextoffer.policy.differences import differences
from nextoffer.policy.file import Arbitration, Contact, Policy
from nextoffer.policy.rules import OwnRule

ADULT = OwnRule(id="adult", stage="suitability", text="Adults only", require="age >= 18")


def told(before, after):
    return [f"{one.place}: {one.says}" for one in differences(before, after)]


def changed(**changes):
    return told(Policy(rule=(ADULT,)), Policy(rule=(ADULT.model_copy(update=changes),)))


def test_equal_policies_have_none():
    assert told(Policy(), Policy()) == []
    assert told(Policy(rule=(ADULT,)), Policy(rule=(ADULT,))) == []


def test_keys_are_told_by_their_place():
    after = Policy(seed=8, contact=Contact(cap=2), arbitration=Arbitration(top_n=1))
    assert told(Policy(), after) == ["seed: 7 → 8", "contact.cap: 3 → 2", "arbitration.top_n: 5 → 1"]


def test_reasons_are_told_by_their_code():
    reason = Reason(code="loyal", speaks_for=("age",), fact="age > 1", rm="Loyal", audit="Loyal")
    assert told(Policy(), Policy(reason=(reason,)))[0].startswith("reason.loyal: now code = 'loyal', side = 'for', ")
    other = reason.model_copy(update={"rm": "True"})
    assert told(Policy(reason=(reason,)), Policy(reason=(other,))) == ["reason.loyal.rm: 'Loyal' → 'True'"]
    assert told(Policy(reason=(reason,)), Policy())[0].startswith("reason.loyal: no longer code = 'loyal'")


def test_rules_come_and_go():
    narrow = ADULT.model_copy(update={"where": "product.lgd > 0", "product_type": ("CC", "PL"), "nulls": "pass"})
    assert told(Policy(), Policy(rule=(ADULT,))) == ["suitability.adult: new: Adults only: requires that age >= 18"]
    assert told(Policy(rule=(narrow,)), Policy()) == [
        "suitability.adult: gone: Adults only: requires of types CC, PL and pairs where product.lgd > 0 "
        "that age >= 18, or that this is not known"
    ]


def test_rules_change():
    assert changed(text="Grown-ups only") == ["suitability.adult: text: 'Adults only' → 'Grown-ups only'"]
    assert changed(require="age >= 21") == ["suitability.adult: require: 'age >= 18' → 'age >= 21'"]
    assert changed(where="age < 99") == ["suitability.adult: where: nothing → 'age < 99'"]
    assert changed(stage="eligibility") == ["eligibility.adult: stage: 'suitability' → 'eligibility'"]
    assert changed(enabled=False) == ["suitability.adult: switched off: Adults only: requires that age >= 18"]
    assert changed(product=("P01",)) == [
        "suitability.adult: asked as a rule on all products → on single products",
        "suitability.adult: product: nothing → ['P01']",
    ]
    assert told(
        Policy(rule=(ADULT.model_copy(update={"enabled": False}),)), Policy(rule=(ADULT,))
    ) == ["suitability.adult: switched on: Adults only: requires that age >= 18"]  # fmt: skip


def test_another_order_is_told():
    other = ADULT.model_copy(update={"id": "other"})
    (said,) = told(Policy(rule=(ADULT, other)), Policy(rule=(other, ADULT)))
    assert said.startswith("rule: asked in another order: suitability.credit_delinquent, ")
    assert said.endswith("suitability.other, suitability.adult; refusals name the first that stops")


def test_whatever_makes_another_id_is_told():
    before = Policy(rule=(ADULT,))
    for change in ({"optional": True}, {"nulls": "pass"}, {"product_type": ("CC",)}, {"enabled": False}):
        after = Policy(rule=(ADULT.model_copy(update=change),))
        assert before.policy_id != after.policy_id
        assert differences(before, after)
        assert differences(before, after)[0].to_dict()["place"] == "suitability.adult"
