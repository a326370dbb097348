from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from nextoffer.errors import PolicyError
from nextoffer.policy import toml
from nextoffer.policy.arms import Arm
from nextoffer.policy.book import Book
from nextoffer.policy.catalogue import Reason
from nextoffer.policy.file import Arbitration, Contact, Eligibility, Policy
from nextoffer.policy.rules import OwnRule


def written(tmp_path, text):
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


OWN = """
[[reason]]
code = "loyal"
speaks_for = ["tenure_days"]
fact = "tenure_days > 3650"
rm = "With us for ten years"
customer = "Thank you for ten years"
audit = "tenure {tenure_days} > 3650"
"""


def test_the_default_is_the_reference():
    policy = Policy.read()
    assert policy == Policy()
    assert (policy.arbitration.top_n, policy.contact.cap, policy.contact.window_days) == (5, 3, 7)
    assert policy.eligibility.min_income_factor == 0.8
    assert not policy.eligibility.upgrades
    assert policy.arbitration.cutoff == 0


def test_the_packaged_file_holds_every_key():
    text = toml.packaged("default.toml")
    content = tomllib.loads(text)
    for name, field in Policy.model_fields.items():
        for key, of in getattr(field.annotation, "model_fields", {}).items():
            assert (key in content[name]) == (of.default is not None), f"{name}.{key}"
            assert of.default is not None or f"\n# {key} = " in text
    assert {"seed", "rule", "arm"} <= content.keys()
    assert Policy.read() == Policy()


def test_every_key_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    for name, field in Policy.model_fields.items():
        for key in getattr(field.annotation, "model_fields", {}):
            assert f"| `{name}.{key}` |" in text
    for name, shape in (("rule", OwnRule), ("arm", Arm)):
        for key in shape.model_fields:
            assert f"| `{name}.{key}` |" in text
    for rule in Book(Policy()).names:
        assert f"`{rule}`" in text


def test_a_file_holds_only_what_it_changes(tmp_path):
    policy = Policy.read(written(tmp_path, "[contact]\ncap = 1\n"))
    assert policy == Policy(contact=Contact(cap=1))
    assert policy.contact.window_days == 7


def test_whole_numbers_are_read_where_decimals_are_meant(tmp_path):
    policy = Policy.read(written(tmp_path, "[eligibility]\nmin_income_factor = 1\n"))
    assert policy.policy_id == Policy(eligibility=Eligibility(min_income_factor=1.0)).policy_id


def test_the_id_follows_the_content_not_the_spelling(tmp_path):
    plain = Policy.read(written(tmp_path, "[arbitration]\ntop_n = 3\n[contact]\ncap = 2\n"))
    other = Policy.read(written(tmp_path, "# two offers\n[contact]\ncap = 2\nwindow_days = 7\n[arbitration]\ntop_n=3"))
    assert plain.policy_id == other.policy_id
    assert len(plain.policy_id) == 12
    assert plain.policy_id != Policy().policy_id
    assert plain.policy_id != Policy(arbitration=Arbitration(top_n=3), contact=Contact(cap=2), seed=8).policy_id


def test_a_changed_copy_has_an_id_of_its_own():
    policy = Policy()
    before = policy.policy_id
    changed = policy.model_copy(update={"contact": Contact(cap=1)})
    assert changed.policy_id == Policy(contact=Contact(cap=1)).policy_id != before


def test_own_reasons_are_part_of_the_policy(tmp_path):
    policy = Policy.read(written(tmp_path, OWN))
    assert policy.policy_id != Policy().policy_id
    assert policy.catalogue.reasons[0].code == "loyal"
    assert policy.catalogue.own == {"loyal"}


@pytest.mark.parametrize("text", ["", OWN, "seed = 3\n[arbitration]\ncutoff = 0.0001\n"])
def test_written_and_read_back_it_is_the_same(tmp_path, text):
    policy = Policy.read(written(tmp_path, text))
    again = Policy.read(written(tmp_path, policy.to_toml()))
    assert again == policy
    assert again.policy_id == policy.policy_id


def test_text_survives_being_written(tmp_path):
    odd = 'a "quoted" \\ text\twith\n\x7f é 🎯'
    reason = Reason(code="odd", speaks_for=("x",), fact="x > 1", rm=odd, audit="x")
    again = Policy.read(written(tmp_path, Policy(reason=(reason,)).to_toml()))
    assert again.reason == (reason,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[contct]\ncap = 1\n", r"contct: unknown key \(did you mean 'contact'\?\)"),
        ("[contact]\ncp = 1\n", r"contact.cp: unknown key \(did you mean 'cap'\?\); there are cap, window_days"),
        ("[contact]\ncap = 'three'\n", "contact.cap: found 'three'; input should be a valid integer"),
        ("[contact]\ncap = -1\n", "contact.cap: found -1; input should be greater than or equal to 0"),
        ("[contact]\nwindow_days = 0\n", "contact.window_days: found 0"),
        ("[arbitration]\ntop_n = 2.5\n", "arbitration.top_n: found 2.5"),
        ("[arbitration]\ncutoff = 1.5\n", "arbitration.cutoff: found 1.5"),
        ("[arbitration]\ncutoff = nan\n", "arbitration.cutoff: found nan"),
        ("[eligibility]\nupgrades = 1\n", "eligibility.upgrades: found 1; input should be a valid boolean"),
        ("[eligibility]\nmin_income_factor = true\n", "eligibility.min_income_factor: found True"),
        ("contact = 3\n", "contact: found 3"),
        ("seed = \n", "not valid TOML"),
        (OWN.replace("fact =", "fct ="), r"reason.0.fct: unknown key \(did you mean 'fact'\?\)"),
        (OWN.replace("fact =", "fct ="), "reason.0.fact: missing"),
        (
            OWN.replace("tenure_days > 3650", "now() > 3"),
            r"reason.0: fact 'now\(\) > 3': the function '.*' is not allowed",
        ),
        (OWN.replace("tenure_days > 3650", "value > 3650"), "'value' has a meaning only with 'each'"),
        (OWN.replace("{tenure_days}", "{tenure}"), r"names '\{tenure\}', .* \(did you mean 'tenure_days'\?\)"),
        (OWN + OWN, "the code loyal is used more than once"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, message):
    with pytest.raises(PolicyError, match=message):
        Policy.read(written(tmp_path, text))


def test_everything_wrong_is_said_at_once(tmp_path):
    text = "sed = 1\n[contact]\ncap = -1\n[arbitration]\ntop_m = 3\n"
    with pytest.raises(PolicyError, match="sed") as raised:
        Policy.read(written(tmp_path, text))
    assert len(raised.value.problems) == 3
    assert all(problem.startswith(str(tmp_path / "policy.toml")) for problem in raised.value.problems)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PolicyError, match=r"nowhere\.toml: there is no such file"):
        Policy.read(tmp_path / "nowhere.toml")


def test_a_file_that_is_not_text_is_named(tmp_path):
    (tmp_path / "policy.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match="cannot be read"):
        Policy.read(tmp_path / "policy.toml")
