"""The contact policy on a bank of three customers: limits, channels, pauses, and what people are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from nextoffer.errors import PolicyError
from nextoffer.policy import toml
from nextoffer.policy.allowance import AfterIgnores, AfterReject, CoolDown, Limit
from nextoffer.policy.book import Book
from nextoffer.policy.contact import calling_windows, room
from nextoffer.policy.eligibility import Consent
from nextoffer.policy.file import Contact, Policy
from nextoffer.policy.quiet import Quiet
from nextoffer.policy.why_not import why_not
from nextoffer.tables.flow import Asked, Window
from tests.policy.bank import AS_OF, bank, decided, offers, refusals, with_facts

NAN = np.nan
YES, NO = np.ones(3, dtype=bool), np.zeros(3, dtype=bool)


def policy_of(**contact: object) -> Policy:
    return Policy(contact=Contact(**contact))


def channels(batch: object, policy: Policy) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    for row in decided(batch, policy).decisions.select(["customer_id", "channel"]).to_pylist():
        found.setdefault(row["customer_id"], []).append(row["channel"])
    return found


def windows(*columns: list[int]) -> np.ndarray:
    return np.array(columns, dtype=np.int64).T.copy()


def rules_of(batch: object, policy: Policy, customer: str) -> set[str]:
    return {rule for (who, _), rule in refusals(decided(batch, policy)).items() if who == customer}


def told(batch: object, policy: Policy, row: int, col: int) -> str:
    (line, *_) = why_not(batch, row, col, book=Book(policy), seed=policy.seed)
    return line


def limit(**keys: object) -> Limit:
    return Limit(**keys)


def test_what_a_policy_asks() -> None:
    policy = Policy(
        consent=Consent(absent="allow"),
        contact=Contact(
            channels=("email",),
            limit=(limit(channel="phone", days=30, max=2), limit(days=7, max=4, per="household")),
            cool_down=CoolDown(days=3),
            after_ignores=AfterIgnores(days=4),
            after_reject=AfterReject(days=5),
        ),
    )
    asked = (Window(7), Window(30, "phone"), Window(7, household=True))
    assert policy.asked == Asked(asked, ("email",), True, True, 3, 4, 5)
    assert Policy(consent=Consent(marketing=False)).asked == Asked((Window(7),), consents=False)
    names = Book(policy).names
    assert names[-5:] == (
        "contact.weekly_cap",
        "contact.phone_30d",
        "contact.household_7d",
        "contact.no_channel",
        "arbitration.top_n",
    )


def test_a_limit_over_all_channels_binds_where_it_is_the_smaller() -> None:
    policy = policy_of(limit=(limit(days=30, max=4),))
    batch = with_facts(bank(), contacts=windows([0, 2, 3], [0, 2, 3]))
    assert {who: len(found) for who, found in offers(decided(batch, policy)).items()} == {"ann": 3, "bob": 1}
    assert rules_of(batch, policy, "ann") == {"contact.weekly_cap"}
    assert rules_of(with_facts(bank(), contacts=windows([0, 0, 0], [2, 3, 4])), policy, "cid") == {"contact.all_30d"}
    assert told(batch, policy, 0, 3).startswith("contact.weekly_cap: 0 offers in the last 7 days")
    late = with_facts(bank(), contacts=windows([0, 0, 0], [2, 3, 4]))
    assert told(late, policy, 2, 0) == (
        "contact.all_30d: 4 offers in the last 30 days, at most 4 are allowed: 0 may follow, "
        "and this ranks 1, so it would have to wait"
    )


def test_ranks_go_over_the_preferred_channel_then_over_the_others() -> None:
    policy = policy_of(channels=("email", "web"), limit=(limit(channel="web", days=7, max=2),), cap=4)
    batch = with_facts(bank(), contacts=windows([0, 0, 0], [1, 0, 0]))
    assert channels(batch, policy) == {
        "ann": ["web", "email", "email", "email"],
        "bob": ["email"] * 4,
        "cid": ["branch"] * 4,
    }


def test_a_channel_without_consent_is_not_used() -> None:
    policy = policy_of(channels=("email",))
    over = np.array([[True], [False], [True]])
    batch = with_facts(bank(), consent=YES, preferred_consent=~YES, channel_consent=over)
    assert channels(batch, policy) == {"ann": ["email"] * 3, "cid": ["email"] * 3}
    assert rules_of(batch, policy, "bob") == {"contact.no_channel"}
    assert told(batch, policy, 1, 0) == (
        "contact.no_channel: no channel is open: the customer would have to allow marketing over 'email', "
        "and this ranks 1, so it would have to wait"
    )
    alone = with_facts(bank(), consent=YES, preferred_consent=~YES, channel_consent=np.empty((3, 0), dtype=bool))
    assert rules_of(alone, Policy(), "ann") == {"contact.no_channel"}
    assert "allow marketing over 'web'" in told(alone, Policy(), 0, 0)
    assert "allow marketing over all channels" in told(alone, Policy(), 1, 0)


def test_a_channel_whose_limit_is_reached_names_it() -> None:
    policy = policy_of(limit=(limit(channel="web", days=30, max=2),))
    batch = with_facts(bank(), contacts=windows([0, 0, 0], [1, 5, 5]))
    assert channels(batch, policy) == {"ann": ["web"], "bob": [None] * 3, "cid": ["branch"] * 3}
    assert rules_of(batch, policy, "ann") == {"contact.web_30d"}
    assert "1 offers over web in the last 30 days, at most 2 are allowed: 1 may follow" in told(batch, policy, 0, 1)


@pytest.mark.parametrize(("day", "found"), [("sat", {"bob", "cid"}), ("sun", {"ann", "bob", "cid"})])
def test_a_quiet_day_closes_a_channel(day: str, found: set[str]) -> None:
    assert AS_OF.strftime("%a").lower() == "sat"
    policy = policy_of(quiet=(Quiet(channel="web", days=(day,)),))
    assert set(offers(decided(bank(), policy))) == found
    if day == "sat":
        assert "'web' is quiet on a Saturday" in told(bank(), policy, 0, 0)


def test_a_household_shares_what_is_left() -> None:
    policy = policy_of(cap=9, limit=(limit(days=7, max=6, per="household"),))
    batch = with_facts(
        bank(),
        contacts=windows([0, 0, 0], [1, 1, 1]),
        members=np.array([3, 3, 3]),
        place=np.array([2, 0, 1]),
    )
    assert {who: len(found) for who, found in offers(decided(batch, policy)).items()} == {"ann": 1, "bob": 2, "cid": 2}
    assert rules_of(batch, policy, "ann") == {"contact.household_7d"}
    assert "to the whole household: 1 may follow to this customer today" in told(batch, policy, 0, 1)
    with pytest.raises(PolicyError, match="does not ask about households"):
        decided(with_facts(batch, members=None), policy)


@pytest.mark.parametrize(
    ("scope", "stopped"),
    [("product", {10}), ("family", {10, 12}), ("all", {10, 11, 12, 13})],
)
def test_what_was_offered_rests(scope: str, stopped: set[int]) -> None:
    since = np.array([[12.0, NAN, NAN, NAN], [14.0, NAN, NAN, NAN], [NAN] * 4])
    batch = with_facts(bank(family=["x", None, "x", None]), since_offer=since)
    policy = policy_of(cap=9, cool_down=CoolDown(days=14, scope=scope))
    found = refusals(decided(batch, policy))
    assert {(who, product) for who, product in found if found[who, product] == "contact.cool_down"} == {
        ("ann", product) for product in stopped
    }
    again = "offered 12 days ago; may be offered again from 2025-10-13"
    assert told(batch, policy, 0, 0).endswith(again)


def test_after_a_no_there_is_silence() -> None:
    since = np.array([[1.0, NAN, 89.0, 90.0], [NAN] * 4, [0.0, NAN, NAN, NAN]])
    batch = with_facts(bank(), since_reject=since)
    policy = policy_of(cap=9, after_reject=AfterReject(days=90))
    found = refusals(decided(batch, policy))
    assert found == dict.fromkeys((("ann", 10), ("ann", 12), ("cid", 10)), "contact.after_reject")
    assert told(batch, policy, 0, 2) == (
        "contact.after_reject: the customer said no to it 89 days ago; may be offered again from 2025-10-12"
    )


def test_ignored_offers_add_up_over_their_scope() -> None:
    ignored = np.array([[2, 1, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0]])
    batch = with_facts(bank(family=["x", "x", None, None]), ignored=ignored)
    alone = policy_of(cap=9, after_ignores=AfterIgnores(days=60))
    assert set(refusals(decided(batch, alone))) == {("bob", 10)}
    together = policy_of(cap=9, after_ignores=AfterIgnores(days=60, scope="family"))
    assert set(refusals(decided(batch, together))) == {("ann", 10), ("ann", 11), ("bob", 10), ("bob", 11)}
    assert told(batch, together, 0, 1) == (
        "contact.after_ignores: 3 offers of its family in the last 60 days have no answer: "
        "may be offered again once fewer than 3 are that recent, or one is answered"
    )


def test_facts_of_another_policy_are_refused() -> None:
    with pytest.raises(PolicyError, match="count offers in 1 windows, but the policy asks for 2"):
        decided(bank(), policy_of(limit=(limit(days=30, max=4),)))
    with pytest.raises(PolicyError, match=r"contact\.cool_down: the facts were made for a policy that does not ask"):
        decided(bank(), policy_of(cool_down=CoolDown(days=14)))


def test_without_channel_preferences_offers_have_no_channel() -> None:
    batch = bank()
    features = replace(batch.features, columns=batch.features.columns[:1])
    batch = replace(batch, features=replace(features, data=features.data.drop_columns(["channel_pref"])))
    policy = policy_of(limit=(limit(channel="web", days=7, max=0),))
    batch = with_facts(batch, contacts=windows([0, 0, 0], [0, 0, 0]))
    assert channels(batch, policy) == {who: [None] * 3 for who in ("ann", "bob", "cid")}
    assert room(batch, policy.contact).left.tolist() == [3, 3, 3]


def test_hours_in_which_customers_may_be_called() -> None:
    text = """
        [[contact.quiet]]
        channel = "phone"
        from = "20:00"
        to = "09:00"
        days = ["sun"]
        [[contact.quiet]]
        channel = "phone"
        from = "12:00"
        to = "13:30"
    """
    policy = toml.parse(text, Policy, where="policy.toml")
    assert calling_windows(policy.contact, "phone", date(2025, 10, 11)) == [("09:00", "12:00"), ("13:30", "20:00")]
    assert calling_windows(policy.contact, "phone", date(2025, 10, 12)) == []
    assert calling_windows(policy.contact, "email", date(2025, 10, 12)) == [("00:00", "24:00")]
    again = toml.parse(policy.to_toml(), Policy, where="policy.toml")
    assert (again, again.policy_id) == (policy, policy.policy_id)


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ('channels = ["sms", "sms"]', "contact: channels name 'sms' 2 times"),
        (
            'channels = ["sms"]\n[[contact.limit]]\nchannel = "sms"\ndays = 7\nmax = 0',
            "channels name 'sms', which limit 'sms_7d' with max = 0 closes",
        ),
        (
            'channels = ["sms"]\n[[contact.quiet]]\nchannel = "sms"\n'
            'days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]',
            "channels name 'sms', which is quiet on every day of the week",
        ),
        (
            "[[contact.limit]]\ndays = 7\nmax = 1\n[[contact.limit]]\ndays = 7\nmax = 2\nid = 'b'",
            "limits 'all_7d' and 'b' count the same offers",
        ),
        (
            "[[contact.limit]]\ndays = 7\nmax = 1\nid = 'b'\n[[contact.limit]]\ndays = 8\nmax = 2\nid = 'b'",
            "2 limits are called 'b': give each an id of its own",
        ),
        ("[[contact.limit]]\ndays = 7\nmax = 1\nid = 'no_channel'", "may not be called 'no_channel'"),
        ("[[contact.limit]]\ndays = 0\nmax = 1", r"contact\.limit\.0\.days: found 0; "),
        ("[[contact.limit]]\ndays = 7", r"contact\.limit\.0\.max: missing"),
        ('[[contact.limit]]\ndays = 7\nmax = 1\nper = "house"', r"contact\.limit\.0\.per: found 'house'"),
        ('[[contact.quiet]]\nchannel = "sms"', r"contact\.quiet\.0: says nothing"),
        ('[[contact.quiet]]\nchannel = "sms"\nfrom = "20:00"', r"contact\.quiet\.0: 'from' and 'to' go together"),
        ('[[contact.quiet]]\nchannel = "sms"\nfrom = "8:00"\nto = "09:00"', "found '8:00'; a time of day is needed"),
        ('[[contact.quiet]]\nchannel = "sms"\nfrom = "08:00"\nto = "08:00"', "'from' and 'to' are both 08:00"),
        ('[[contact.quiet]]\nchannel = "sms"\ndays = ["sunn"]', r"no day 'sunn' \(did you mean 'sun'\?\)"),
        ('[[contact.quiet]]\nchannel = "sms"\nform = "08:00"', r"unknown key \(did you mean 'from'\?\)"),
        ('[contact.cool_down]\nscope = "house"', r"contact\.cool_down\.scope: found 'house'"),
        ("[contact.after_ignores]\ncount = 0", r"contact\.after_ignores\.count: found 0"),
    ],
)
def test_what_is_wrong_is_said(said: str, complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        toml.parse(f"[contact]\n{said}", Policy, where="policy.toml")
