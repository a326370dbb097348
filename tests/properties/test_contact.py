"""Contact limits, whatever the bank, the policy, the order of customers and the days before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nextoffer import compiled
from nextoffer.features import known
from nextoffer.features.spec import Attribute, Feature, FeatureSpec, Reads
from nextoffer.policy.allowance import AfterIgnores, AfterReject, CoolDown, Limit
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.catalogue import Catalogue
from nextoffer.policy.contact import room
from nextoffer.policy.decide import Decider
from nextoffer.policy.eligibility import Consent
from nextoffer.policy.file import Arbitration, Contact, Policy
from nextoffer.policy.quiet import Quiet
from nextoffer.policy.reach import Reach
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import FeatureColumn
from tests.features.banks import SCHEMAS, bank_of
from tests.policy.bank import IDS, FlatScores
from tests.policy.worlds import world

FIRST = date(2025, 5, 1)
DAYS = 6
CHANNELS = ("web", "phone", "email")
PRODUCTS = ("A", "B", "C", "D")
FAMILIES = ("x", "x", None, "y")

PREFERENCE = FeatureColumn("channel_pref", "Preferred channel", "profile", "relationship", "category")
SPEC = FeatureSpec(
    (Feature(PREFERENCE, Attribute("customers", "channel_pref")),),
    (Reads("customers", ("customer_id", "channel_pref")),),
)

limits = st.builds(
    Limit,
    channel=st.sampled_from([None, *CHANNELS]),
    days=st.integers(1, 5),
    max=st.integers(0, 4),
    per=st.sampled_from(["customer", "household"]),
)


def of_windows(found: list[Limit]) -> tuple[Limit, ...]:
    """Return the limits with a name each, one for each window."""
    one = {limit.window: limit for limit in found}
    return tuple(limit.model_copy(update={"id": f"limit_{i}"}) for i, limit in enumerate(one.values()))


def reachable(contact: dict[str, Any]) -> dict[str, Any]:
    """Leave out channels that could never be open."""
    shut = {limit.channel for limit in contact["limit"] if limit.max == 0}
    return contact | {"channels": tuple(c for c in contact["channels"] if c not in shut)}


policies = st.builds(
    lambda contact, absent, top: Policy(
        contact=Contact(**reachable(contact)), consent=Consent(absent=absent), arbitration=Arbitration(top_n=top)
    ),
    st.fixed_dictionaries(
        {
            "cap": st.integers(0, 4),
            "window_days": st.integers(1, 4),
            "channels": st.sampled_from([(), ("email",), ("phone", "email")]),
            "limit": st.lists(limits, max_size=4).map(of_windows),
            "cool_down": st.builds(
                CoolDown, days=st.sampled_from([0, 2, 4]), scope=st.sampled_from(["product", "family", "all"])
            ),
            "after_ignores": st.builds(AfterIgnores, count=st.integers(1, 3), days=st.sampled_from([0, 3])),
            "after_reject": st.builds(
                AfterReject, days=st.sampled_from([0, 3]), scope=st.sampled_from(["product", "family"])
            ),
            "quiet": st.sampled_from([(), (Quiet(channel="phone", days=("sat", "sun")),)]),
        }
    ),
    absent=st.sampled_from(["refuse", "allow", "allow"]),
    top=st.integers(1, 4),
)


@dataclass(frozen=True)
class Town:
    """Customers, what they allow, and the offers made so far."""

    customers: list[dict[str, Any]]
    consents: list[dict[str, Any]]
    responses: list[dict[str, Any]]

    @classmethod
    def of(cls, seed: int) -> Town:
        draw = np.random.default_rng(seed)
        count = int(draw.integers(1, 8))

        def any_of(*values: Any) -> Any:
            return values[draw.integers(len(values))]

        customers = [
            {"customer_id": i, "household_id": any_of(None, 1, 1, 1, 2), "channel_pref": any_of(None, *CHANNELS)}
            for i in range(count)
        ]
        consents = [
            {
                "customer_id": int(draw.integers(count)),
                "purpose": "marketing",
                "channel": any_of(None, None, *CHANNELS),
                "granted": bool(draw.random() < 0.7),
                "recorded_on": FIRST + timedelta(days=int(draw.integers(-9, DAYS))),
            }
            for _ in range(draw.integers(2 * count + 1))
        ]
        earlier = [
            {
                "customer_id": int(draw.integers(count)),
                "product_id": any_of(*PRODUCTS),
                "offered_on": FIRST - timedelta(days=int(draw.integers(1, 6))),
                "label": 0,
                "channel": any_of(None, *CHANNELS),
            }
            for _ in range(draw.integers(6))
        ]
        return cls(customers, consents, earlier)

    def write(self, folder: Any) -> Bank:
        more = {"customers": {"channel_pref": pa.string()}, "responses": {"channel": pa.string()}}
        rows = {"customers": self.customers, "consents": self.consents, "responses": self.responses, "holdings": []}
        tables = {
            name: pa.Table.from_pylist(found, schema=pa.schema(list({**SCHEMAS[name], **more.get(name, {})}.items())))
            for name, found in rows.items()
        }
        products = {"product_id": PRODUCTS, "product_type": ["t"] * len(PRODUCTS), "family": FAMILIES}
        return bank_of(folder, {**tables, "products": pa.table(products)})


def decided_on(bank: Bank, policy: Policy, day: date, parts: list[list[int]]) -> list[dict[str, Any]]:
    """Return the decisions of a day, customers taken in these parts."""
    products = bank.table("products")
    decider = Decider(products, policy=policy, catalogue=Catalogue.packaged(), ids=replace(IDS, as_of=day))
    made: list[dict[str, Any]] = []
    for part in parts:
        found = known(SPEC, bank, day, customers=part, products=PRODUCTS, asked=policy.asked)
        scores = FlatScores([[0.4, 0.3, 0.2, 0.1]] * len(part))
        made += decider.of(Batch(scores, found.facts, found.features, products)).plain().decisions.to_pylist()
    return made


def parts_of(count: int, draw: np.random.Generator) -> list[list[int]]:
    """Return the customers in any order and partition."""
    order = draw.permutation(count).tolist()
    cuts = sorted(draw.integers(0, count + 1, 2).tolist())
    return [part for part in (order[: cuts[0]], order[cuts[0] : cuts[1]], order[cuts[1] :]) if part]


def counted(town: Town, responses: list[dict[str, Any]], window: Any, last: date) -> Iterator[tuple[Any, int]]:
    """Yield how many offers of a window that ends with a day each customer or household was made."""
    home = {c["customer_id"]: c["household_id"] for c in town.customers}

    def whose(customer: int) -> Any:
        shared = window.household and home[customer] is not None
        return ("household", home[customer]) if shared else ("customer", customer)

    yield from Counter(
        whose(r["customer_id"])
        for r in responses
        if 0 <= (last - r["offered_on"]).days < window.days and window.channel in (None, r["channel"])
    ).items()


shared = st.builds(
    lambda most, days, channel, cap: Policy(
        contact=Contact(cap=cap, limit=(Limit(channel=channel, days=days, max=most, per="household"),)),
        consent=Consent(absent="allow"),
    ),
    most=st.integers(1, 6),
    days=st.integers(1, 4),
    channel=st.sampled_from([None, None, *CHANNELS]),
    cap=st.integers(2, 6),
)
"""Hardly anything but a household's limit."""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6), policy=policies | shared)
def test_no_limit_is_exceeded_on_any_day_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, seed: int, policy: Policy
) -> None:
    compiled.cool_down()
    town, draw = Town.of(seed), np.random.default_rng(seed)
    responses, contact = list(town.responses), policy.contact
    most = [contact.cap, *(limit.max for limit in contact.limit)]
    folder = tmp_path_factory.mktemp("town")
    for day in (FIRST + timedelta(days=i) for i in range(DAYS)):
        bank = replace(town, responses=responses).write(folder)
        made = decided_on(bank, policy, day, parts_of(len(town.customers), draw))
        assert_pauses(responses, made, contact, day)
        before = responses
        responses = [*responses, *answered(made, day, draw)]
        for window, limit in zip(contact.windows, most, strict=True):
            had = dict(counted(town, before, window, day))
            for whose, count in counted(town, responses, window, day):
                assert count <= max(limit, had.get(whose, 0)), (window, whose, count, day)
        shut = {q.channel for q in contact.quiet if day.strftime("%a").lower() in q.days}
        assert not shut & {row["channel"] for row in made}


def answered(made: list[dict[str, Any]], day: date, draw: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield decisions as responses: some ignored, some answered with a no."""
    for row in made:
        replied = day + timedelta(days=int(draw.integers(3))) if draw.random() < 0.5 else None
        names = ("customer_id", "product_id", "channel")
        yield {**{n: row[n] for n in names}, "offered_on": day, "label": 0, "responded_on": replied}


def assert_pauses(earlier: list[dict[str, Any]], made: list[dict[str, Any]], contact: Contact, day: date) -> None:
    """Hold decisions to cool-down and silence."""
    family = dict(zip(PRODUCTS, FAMILIES, strict=True))

    def related(one: str, other: str, scope: str) -> bool:
        return scope == "all" or one == other or (scope == "family" and family[one] == family[other] is not None)

    for row in made:
        mine = [r for r in earlier if r["customer_id"] == row["customer_id"]]

        def of(scope: str, row: dict[str, Any] = row, mine: list[dict[str, Any]] = mine) -> list[dict[str, Any]]:
            return [r for r in mine if related(row["product_id"], r["product_id"], scope)]

        cool, ignores, reject = contact.cool_down, contact.after_ignores, contact.after_reject
        assert all((day - r["offered_on"]).days >= cool.days for r in of(cool.scope))
        said_no = [r["responded_on"] for r in of(reject.scope) if r.get("responded_on") and r["responded_on"] <= day]
        assert not reject.days or all((day - on).days >= reject.days for on in said_no)
        silent = [r for r in of(ignores.scope) if r.get("responded_on") is None or r["responded_on"] > day]
        recent = sum((day - r["offered_on"]).days < ignores.days for r in silent)
        assert not ignores.days or recent < ignores.count


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), policy=policies, lower=st.integers(0, 4), which=st.integers(0, 4))
def test_a_tighter_limit_leaves_a_customer_no_more_offers_that_day(
    tmp_path_factory: pytest.TempPathFactory, seed: int, policy: Policy, lower: int, which: int
) -> None:
    """Over several days it may: an offer that is not made today leaves room for tomorrow's."""
    contact = policy.contact
    if which < len(contact.limit):
        limit = contact.limit[which]
        tight = limit.model_copy(update={"max": min(limit.max, lower)})
        changed = {"limit": (*contact.limit[:which], tight, *contact.limit[which + 1 :])}
    else:
        changed = {"cap": min(contact.cap, lower)}
    tighter = policy.model_copy(update={"contact": contact.model_copy(update=changed)})
    town = Town.of(seed)
    bank, everybody = town.write(tmp_path_factory.mktemp("town")), [[c["customer_id"] for c in town.customers]]
    loose, tight_ = (decided_on(bank, one, FIRST, everybody) for one in (policy, tighter))
    pairs = {(row["customer_id"], row["product_id"]) for row in loose}
    assert {(row["customer_id"], row["product_id"]) for row in tight_} <= pairs


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), policy=policies)
def test_one_by_one_is_all_at_once(tmp_path_factory: pytest.TempPathFactory, seed: int, policy: Policy) -> None:
    town = Town.of(seed)
    bank, ids = town.write(tmp_path_factory.mktemp("town")), [c["customer_id"] for c in town.customers]
    assert decided_on(bank, policy, FIRST, [[i] for i in ids]) == decided_on(bank, policy, FIRST, [ids])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), cap=st.integers(0, 6), refused=st.booleans())
def test_a_plain_policy_has_the_room_that_the_general_way_finds(seed: int, cap: int, refused: bool) -> None:
    batch, contact = world(seed), Contact(cap=cap)
    if refused:
        open_ = np.random.default_rng(seed).random(batch.shape[0]) < 0.5
        nothing = np.empty((batch.shape[0], 0), dtype=np.bool_)
        batch = replace(batch, facts=replace(batch.facts, preferred_consent=open_, channel_consent=nothing))
    plain, reach = room(batch, contact), Reach(contact, batch)
    assert np.array_equal(plain.left, reach.filled[:, -1])
    assert np.array_equal(plain.limit, reach.binding)
    if not refused:
        assert np.array_equal(plain.left, np.maximum(0, cap - batch.facts.contacts[:, 0]))
    assert Book(Policy(contact=contact)).names[-3:] == ("contact.weekly_cap", "contact.no_channel", "arbitration.top_n")
