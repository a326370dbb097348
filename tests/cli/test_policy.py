"""``nextoffer policy``: what people see of a policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nextoffer.policy.file import Policy
from tests.cli.conftest import Command
from tests.run.worlds import AS_OF, altered

RULES = """
[[rule]]
id = "min_age"
stage = "suitability"
text = "Credit only from 21 years on"
where = "product.lgd is not null and product.lgd > 0"
require = "age >= 21"

[[rule]]
id = "open"
stage = "eligibility"
text = "Looks strict and is not"
require = "income > 1000 or 1 = 1"

[[rule]]
id = "together"
stage = "applicability"
text = "Goes with what is held"
require = "pair.coholding > 0.01"
nulls = "pass"
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(RULES, encoding="utf-8")
    return path


def test_a_form_is_checked_without_a_bank(policy: Path, nextoffer: Command) -> None:
    ran = nextoffer("policy", "check", policy)
    policy_id = Policy.read(policy).policy_id
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{policy}: policy {policy_id}, 5 rules of its own; its form is right\n"
    told = json.loads(nextoffer("policy", "check", policy, "--json").out)
    assert told == {"policy_id": policy_id, "rules": 5}


def test_a_wrong_form_stops(policy: Path, nextoffer: Command) -> None:
    policy.write_text(RULES.replace("age >= 21", "age >="), encoding="utf-8")
    told = "rule.min_age.require: 'age >=': this is not an expression that can be read"
    assert nextoffer("policy", "check", policy).failed(2, told)


def test_a_bank_shows_what_rules_do(
    policy: Path, retail: Path, nextoffer: Command, golden: Callable[[str, str], None]
) -> None:
    ran = nextoffer("policy", "check", policy, retail, "--as-of", AS_OF)
    assert ran.code == 0, ran.err
    said = ran.out.replace(str(policy), "policy.toml").replace(Policy.read(policy).policy_id, "<policy_id>")
    golden("policy/check_retail.txt", said)


def test_the_same_as_json(policy: Path, retail: Path, nextoffer: Command) -> None:
    told = json.loads(nextoffer("policy", "check", policy, retail, "--as-of", AS_OF, "--json").out)
    assert (told["customers"], told["products"]) == (120, 24)
    found = {effect["rule"]: effect for effect in told["effects"]}
    assert found["applicability.together"]["state"] == "unchecked"
    assert found["suitability.min_age"]["pairs"] == 120 * 9
    assert found["eligibility.open"]["pairs_kept"] == 120 * 24
    assert [c["text"] for c in found["eligibility.open"]["clauses"]] == ["income > 1000", "1 = 1"]
    assert "eligibility.open: keeps everybody: of the pairs that it asks it stops none" in told["warnings"]


def test_a_model_brings_its_pair_features(policy: Path, world: Path, model: Path, nextoffer: Command) -> None:
    policy.write_text(RULES.partition('[[rule]]\nid = "open"')[2].join(['[[rule]]\nid = "open"', ""]), encoding="utf-8")
    told = json.loads(nextoffer("policy", "check", policy, world, "--model", model, "--json").out)
    found = {effect["rule"]: effect for effect in told["effects"]}["applicability.together"]
    assert found["state"] == "on"
    assert 0 < found["pairs_kept"] < found["pairs"]


def test_a_rule_that_does_not_fit_stops(policy: Path, retail: Path, tmp_path: Path, nextoffer: Command) -> None:
    toml = 'sensitive = ["gender"]\nexclude = ["customers.children"]\n'
    bank = altered(retail, tmp_path / "bank", {}, toml).path
    policy.write_text(
        RULES.replace("age >= 21", "gender = 'f'").replace("income > 1000", "incme > 1000 and children > 1"),
        encoding="utf-8",
    )
    ran = nextoffer("policy", "check", policy, bank, "--as-of", AS_OF)
    assert ran.failed(2, "column 'gender' may not be used: bank.toml lists it under 'sensitive'")
    assert ran.failed(
        2,
        "rule open: require 'incme > 1000 and children > 1 or 1 = 1': unknown column 'incme' (did you mean 'income'?)",
    )
    assert ran.failed(2, "column 'children' may not be used: bank.toml lists it under 'exclude'")


def test_a_model_without_a_bank_is_no_use(policy: Path, model: Path, nextoffer: Command) -> None:
    assert nextoffer("policy", "check", policy, "--model", model).failed(2, "name the bank too")


def test_differences_are_told(policy: Path, tmp_path: Path, nextoffer: Command) -> None:
    other = tmp_path / "other.toml"
    other.write_text(RULES.replace("21", "25") + "[contact]\ncap = 1\n", encoding="utf-8")
    ran = nextoffer("policy", "diff", policy, other)
    ids = [Policy.read(path).policy_id for path in (policy, other)]
    assert (ran.code, ran.err) == (4, "")
    assert ran.out.splitlines() == [
        f"policy {ids[0]} → {ids[1]}",
        "  contact.cap: 3 → 1",
        "  suitability.min_age: text: 'Credit only from 21 years on' → 'Credit only from 25 years on'",
        "  suitability.min_age: require: 'age >= 21' → 'age >= 25'",
    ]
    told = json.loads(nextoffer("policy", "diff", policy, other, "--json").out)
    assert (told["same"], told["policy_ids"], len(told["differences"])) == (False, ids, 3)


def test_the_same_policy_in_other_words_is_the_same(policy: Path, tmp_path: Path, nextoffer: Command) -> None:
    shown = nextoffer("policy", "show", policy)
    whole = tmp_path / "whole.toml"
    whole.write_text(shown.out, encoding="utf-8")
    ran = nextoffer("policy", "diff", policy, whole)
    assert (ran.code, ran.out) == (0, f"The policies are the same: {Policy.read(policy).policy_id}\n")
    assert nextoffer("policy", "diff", policy, tmp_path / "none.toml").failed(2, "there is no such file")


def test_a_policy_is_shown_whole(policy: Path, nextoffer: Command) -> None:
    shown = nextoffer("policy", "show", policy).out
    assert shown.splitlines()[0] == f"# policy_id {Policy.read(policy).policy_id}"
    assert shown.partition("\n")[2] == Policy.read(policy).to_toml()
    assert nextoffer("policy", "show").out.partition("\n")[2] == Policy().to_toml()
    told = json.loads(nextoffer("policy", "show", "--json").out)
    assert told["policy_id"] == Policy().policy_id
    assert told["policy"]["contact"]["cap"] == 3


def test_weights_that_do_not_fit_stop(retail: Path, tmp_path: Path, nextoffer: Command) -> None:
    path = tmp_path / "weights.toml"
    path.write_text(
        "[[arbitration.context]]\nwhen = 'agee > 30'\nweight = 2\n"
        "[[arbitration.context]]\nwhen = 'pair.coholding > 0.5'\nweight = 2\n"
        "[[arbitration.lever]]\nproduct = ['P999']\nweight = 2\n",
        encoding="utf-8",
    )
    ran = nextoffer("policy", "check", path, retail, "--as-of", AS_OF)
    assert ran.failed(2, "arbitration.context.0: when 'agee > 30': unknown column 'agee' (did you mean 'age'?)")
    assert ran.failed(2, "arbitration.lever.0: product names 'P999', which the bank does not have")
    assert "coholding" not in ran.err


def test_what_the_model_does_not_know_is_told(world: Path, model: Path, tmp_path: Path, nextoffer: Command) -> None:
    path = tmp_path / "incremental.toml"
    path.write_text("[arbitration]\nobjective = 'incremental_value'\n", encoding="utf-8")
    told = json.loads(nextoffer("policy", "check", path, world, "--model", model, "--json").out)
    assert "the model does not know the propensity without an offer" in told["notes"][0]
    assert "value is used instead" in nextoffer("policy", "check", path, world, "--model", model).out
