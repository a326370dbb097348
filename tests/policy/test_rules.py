"""What a ``[[rule]]`` may say, and how a policy puts the bank's own rules and the package's together."""

from __future__ import annotations

import pytest

from nextoffer.errors import PolicyError
from nextoffer.policy.file import Policy
from nextoffer.policy.rules import MOST, OwnRule, packaged, packaged_rules

PACKAGED = ["credit_delinquent", "credit_vulnerable"]


def rule(**changes):
    return OwnRule(
        **{"id": "adult", "stage": "suitability", "text": "Adults only", "require": "age >= 18", **changes},
    )


def read(tmp_path, text):
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return Policy.read(path)


ADULT = '[[rule]]\nid = "adult"\nstage = "suitability"\ntext = "Adults only"\nrequire = "age >= 18"\n'


def ids(policy):
    return [one.id for one in policy.rule]


def test_a_policy_holds_the_packages_rules_and_the_banks(tmp_path):
    assert ids(Policy()) == PACKAGED == list(packaged())
    policy = read(tmp_path, ADULT)
    assert ids(policy) == [*PACKAGED, "adult"]
    assert policy.rule[-1] == rule()
    assert policy == Policy(rule=(rule(),))
    assert policy.policy_id != Policy().policy_id


def test_rules_stand_by_stage_and_level_else_as_they_are_written():
    given = (
        rule(id="product", product=("P01",)),
        rule(id="second"),
        rule(id="type", product_type=("CC",)),
        rule(id="first", stage="eligibility"),
        rule(id="third"),
        rule(id="between", stage="applicability", product_type=("CC",)),
    )
    assert ids(Policy(rule=given)) == ["first", "between", *PACKAGED, "second", "third", "type", "product"]
    assert [one.level for one in Policy(rule=given).rule[-3:]] == ["global", "product type", "product"]


def test_a_rule_of_the_package_is_changed_by_its_id(tmp_path):
    changed = read(tmp_path, '[[rule]]\nid = "credit_delinquent"\nnulls = "pass"\n')
    assert ids(changed) == ["credit_vulnerable", "credit_delinquent"]
    was, now = packaged()["credit_delinquent"], changed.rule[-1]
    assert now == was.model_copy(update={"nulls": "pass"})
    off = read(tmp_path, '[[rule]]\nid = "credit_delinquent"\nenabled = false\n')
    assert not off.rule[-1].enabled
    assert "delinquent" not in off.reads
    assert "delinquent" in changed.reads


def test_text_and_content_are_one(tmp_path):
    odd = rule(
        id="odd",
        text='Says "no" to ärger\\',
        require="segment <> 'it''s' and\n\tage > 1",
        where="product.lgd > 0",
        product=("P01", "P02"),
        product_type=("CC",),
        nulls="pass",
        optional=True,
        enabled=False,
    )
    policy = Policy(rule=(odd, rule()))
    again = read(tmp_path, policy.to_toml())
    assert again == policy
    assert again.policy_id == policy.policy_id


def test_a_rule_is_made_again_of_its_parts():
    assert OwnRule.model_validate(rule().model_dump()) == rule()
    assert Policy.model_validate(Policy(rule=(rule(),)).model_dump()) == Policy(rule=(rule(),))


def test_ids_of_products_may_be_numbers(tmp_path):
    assert read(tmp_path, ADULT + 'product = [3, "P04"]\n').rule[-1].product == ("3", "P04")


def test_the_columns_of_rules_that_are_switched_on_are_read():
    named = {"age", "pair.coholding", "shoe size"}
    one = rule(require="age > 1 and pair.coholding > 0", where='"shoe size" > product.tier')
    assert Policy(rule=(one,)).reads >= named
    assert not Policy(rule=(one.model_copy(update={"enabled": False}),)).reads & named
    assert not any(name.startswith("product.") for name in Policy(rule=(one,)).reads)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "Adult"}, "id: found 'Adult'; string should match pattern"),
        ({"id": "a b"}, "rule.0.id: found 'a b'"),
        ({"id": "x" * 61}, "id: found 'x+'; string should have at most 60 characters"),
        ({"id": "held"}, "rule.held.id: a built-in rule has this id"),
        ({"stage": "contact"}, "rule.adult.stage: found 'contact'; input should be 'eligibility', 'applic"),
        ({"text": ""}, "rule.adult.text: found ''; string should have at least 1 character"),
        ({"text": "a\\nb"}, "rule.adult.text: must be one line"),
        ({"text": "\\u001b[2J"}, r"rule.adult.text: holds characters that cannot be seen: U\+001B"),
        ({"text": " a"}, "begins or ends with a space"),
        ({"require": "age >"}, "rule.adult.require: 'age >': this is not an expression that can be read"),
        ({"require": "now() > 1"}, r"rule.adult.require: 'now\(\) > 1': the function '.*' is not allowed"),
        ({"where": "a; b"}, "rule.adult.where: 'a; b': one expression only: ';' is not allowed"),
        ({"where": "a\\u200bge > 1"}, r"rule.adult.where: holds characters that cannot be seen: U\+200B"),
        ({"nulls": "maybe"}, "rule.adult.nulls: found 'maybe'; input should be 'stop' or 'pass'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, change, message):
    says = {"id": "adult", "stage": "suitability", "text": "Adults only", "require": "age >= 18", **change}
    with pytest.raises(PolicyError, match=message):
        read(tmp_path, "[[rule]]\n" + "".join(f'{key} = "{value}"\n' for key, value in says.items()))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("product = []\n", "rule.adult.product: is an empty list; leave it out where all are meant"),
        ("product_type = 'CC'\n", "rule.adult.product_type: found 'CC'"),
        ("product = [true]\n", "rule.adult.product.0: found True; input should be a valid string"),
        ("enabled = 1\n", "rule.adult.enabled: found 1; input should be a valid boolean"),
        ("wher = 'age > 1'\n", r"rule.adult.wher: unknown key \(did you mean 'where'\?\)"),
        (ADULT, "rule.adult.id: more than one rule has this id"),
    ],
)
def test_what_is_wrong_with_the_rest_is_said(tmp_path, more, message):
    with pytest.raises(PolicyError, match=message):
        read(tmp_path, ADULT + more)


def test_a_key_left_out_is_named(tmp_path):
    with pytest.raises(PolicyError, match=r"rule.short.stage: missing") as raised:
        read(tmp_path, '[[rule]]\nid = "short"\nrequire = "age >"\n')
    assert len(raised.value.problems) == 3


def test_everything_wrong_is_said_at_once(tmp_path):
    wrong = (
        ADULT.replace("age >= 18", "age >")
        + ADULT.replace("18", "19")
        + '[[rule]]\nid = "held"\n'
        + "[contact]\ncap = -1\n"
    )
    with pytest.raises(PolicyError, match=r"rule\.adult\.require: 'age >'") as raised:
        read(tmp_path, wrong)
    said = "\n".join(raised.value.problems)
    for part in (
        "more than one rule has this id",
        "a built-in rule has this id",
        "rule.held.text: missing",
        "contact.cap",
    ):
        assert part in said


def test_rules_are_numbered_by_one_byte():
    room = MOST - len(packaged_rules())
    assert len(Policy(rule=tuple(rule(id=f"r{i}") for i in range(room))).rule) == MOST
    with pytest.raises(ValueError, match="there are 101 rules, with those of the package; at most 100"):
        Policy(rule=tuple(rule(id=f"r{i}") for i in range(room + 1)))


def test_rules_that_are_no_array_are_refused(tmp_path):
    with pytest.raises(PolicyError, match=r"policy.toml: rule: found \{'id': 'adult'\}; input should be a list"):
        read(tmp_path, '[rule]\nid = "adult"\n')
    with pytest.raises(PolicyError, match=r"rule\.0: found 3; input should be a table"):
        read(tmp_path, "rule = [3]\n")
