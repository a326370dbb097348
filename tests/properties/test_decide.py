"""What must hold of decisions in any bank under any policy."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.decide import Decided, DecisionIds, decide
from nextoffer.policy.file import Arbitration, Contact, Eligibility, Policy
from tests.policy.worlds import AS_OF, stats_of, take, world

IDS = DecisionIds(AS_OF, "model", 7)

policies = st.builds(
    Policy,
    eligibility=st.builds(Eligibility, upgrades=st.booleans(), min_income_factor=st.sampled_from([0.0, 0.8, 1.0])),
    contact=st.builds(Contact, cap=st.integers(0, 6)),
    arbitration=st.builds(Arbitration, cutoff=st.sampled_from([0.0, 0.1, 0.3]), top_n=st.integers(1, 7)),
)
worlds = st.builds(
    world,
    st.integers(0, 2**32),
    n=st.integers(1, 25),
    products=st.integers(1, 9),
    nulls=st.sampled_from([0.0, 0.1, 0.5]),
    coarse=st.booleans(),
)


def decided(batch: Batch, policy: Policy, catalogue=None) -> Decided:
    parts = (batch.scores, batch.facts, batch.features, batch.products)
    return decide(*parts, policy=policy, catalogue=catalogue or policy.catalogue, ids=IDS)


def concatenated(parts: list[Decided]) -> tuple[pa.Table, pa.Table]:
    return pa.concat_tables([p.decisions for p in parts]), pa.concat_tables([p.refusals for p in parts])


def ranks(result: Decided) -> dict[tuple[str, int], int]:
    table = result.decisions.select(["customer_id", "product_id", "rank"]).to_pylist()
    return {(row["customer_id"], row["product_id"]): row["rank"] for row in table}


@given(worlds, policies, st.data())
@settings(max_examples=40)
def test_any_partition_gives_the_same_decisions(batch, policy, data):
    catalogue = policy.catalogue.with_stats(stats_of(batch))
    whole = decided(batch, policy, catalogue)
    n = batch.shape[0]
    cuts = sorted(data.draw(st.sets(st.integers(0, n), max_size=4)) | {0, n})
    blocks = [np.arange(a, b) for a, b in pairwise(cuts)]
    one_by_one = [np.array([i]) for i in range(n)]
    for partition in (blocks, one_by_one):
        parts = [decided(take(batch, rows), policy, catalogue) for rows in partition]
        decisions, refusals = concatenated(parts)
        assert decisions.equals(whole.decisions.combine_chunks())
        assert refusals.equals(whole.refusals.combine_chunks())


@given(worlds, policies, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_order_of_customers_changes_only_the_order(batch, policy, random):
    order = np.array(random.sample(range(batch.shape[0]), batch.shape[0]))
    catalogue = policy.catalogue.with_stats(stats_of(batch))
    shuffled = decided(take(batch, order), policy, catalogue).decisions
    back = [("customer_id", "ascending"), ("rank", "ascending")]
    assert shuffled.sort_by(back).equals(decided(batch, policy, catalogue).decisions.sort_by(back))


@given(worlds, policies)
@settings(max_examples=60)
def test_every_pair_is_offered_or_refused_once(batch, policy):
    result = decided(batch, policy)
    pairs = [
        (row["customer_id"], row["product_id"])
        for table in (result.decisions, result.refusals)
        for row in table.select(["customer_id", "product_id"]).to_pylist()
    ]
    assert len(pairs) == len(set(pairs)) == batch.shape[0] * batch.shape[1]


@given(worlds, policies)
@settings(max_examples=60)
def test_ranks_run_from_one_with_falling_scores_within_all_limits(batch, policy):
    table = decided(batch, policy).decisions
    room = dict(
        zip(
            batch.features.customer_ids.to_pylist(),
            (policy.contact.cap - batch.facts.contacts[:, 0]).tolist(),
            strict=True,
        )
    )
    by_customer: dict[str, list[dict[str, object]]] = {}
    for row in table.select(["customer_id", "rank", "score"]).to_pylist():
        by_customer.setdefault(row["customer_id"], []).append(row)
    order = {customer: i for i, customer in enumerate(room)}
    assert sorted(by_customer, key=order.get) == list(by_customer)
    for customer, rows in by_customer.items():
        assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
        scores = [row["score"] for row in rows]
        assert scores == sorted(scores, reverse=True)
        assert min(scores) >= policy.arbitration.cutoff
        assert len(rows) <= min(policy.arbitration.top_n, room[customer])


@given(worlds, policies)
@settings(max_examples=60)
def test_no_rule_is_broken_and_the_first_that_stops_is_named(batch, policy):
    result = decided(batch, policy)
    named = {(r["customer_id"], r["product_id"]): r["rule"] for r in result.refusals.to_pylist()}
    stages = {r["rule"]: r["stage"] for r in result.refusals.to_pylist()}
    assert all(rule.startswith(f"{stage}.") for rule, stage in stages.items())
    customers = batch.features.data.to_pylist()
    products = batch.products.to_pylist()
    for i, customer in enumerate(customers):
        for j, product in enumerate(products):
            stopping = _stopping(batch, policy, (i, j), customer, products)
            found = named.get((customer["customer_id"], product["product_id"]))
            if stopping:
                assert found == min(stopping, key=Book(policy).names.index)
            else:
                assert found in (None, "contact.weekly_cap", "arbitration.top_n")


def _stopping(batch, policy, pair, customer, products):
    """Return the rules on single pairs that stop this one, from the plain rows."""
    i, j = pair
    product, facts = products[j], batch.facts
    held = [p for p, has in zip(products, facts.held[i], strict=True) if has]
    family = [h for h in held if h is not product and h["family"] is not None and h["family"] == product["family"]]
    least = policy.eligibility.min_income_factor * (product["min_income"] or 0.0)
    income = customer["income"]
    propensity = 1 / (1 + np.exp(-float(batch.scores.log_odds[i, j])))
    return {
        rule
        for rule, stops in {
            "consent.marketing": facts.consent is not None and not facts.consent[i],
            "eligibility.inactive": product["active"] is False,
            "eligibility.held": product in held or any(not _upgrade(policy, h, product) for h in family),
            "eligibility.min_income": least > 0 and (income is None or income < least * (1 - 1e-9)),
            "arbitration.cutoff": propensity < policy.arbitration.cutoff,
        }.items()
        if stops
    }


def _upgrade(policy, held, product):
    known = held["tier"] is not None and product["tier"] is not None
    return policy.eligibility.upgrades and known and product["tier"] > held["tier"]


@given(worlds, policies, st.data())
@settings(max_examples=60)
def test_an_ineligible_product_changes_nothing(batch, policy, data):
    j = data.draw(st.integers(0, batch.shape[1] - 1))
    active = [False if i == j else bool(x) for i, x in enumerate(batch.products.column("active").to_pylist())]
    place = batch.products.column_names.index("active")
    products = batch.products.set_column(place, "active", pa.array(active))
    stopped = replace(batch, products=products)
    before = decided(stopped, policy).decisions
    scores = replace(batch.scores, tables=batch.scores.tables.copy())
    scores.tables[:, j] += data.draw(st.sampled_from([-9.0, 9.0]))
    assert decided(replace(stopped, scores=scores), policy).decisions.equals(before)


@given(worlds, policies, st.data())
@settings(max_examples=60)
def test_raising_a_score_never_lowers_its_rank(batch, policy, data):
    j = data.draw(st.integers(0, batch.shape[1] - 1))
    product = batch.products.column("product_id")[j].as_py()
    before = ranks(decided(batch, policy))
    scores = replace(batch.scores, tables=batch.scores.tables.copy())
    scores.tables[0, j] += np.float32(data.draw(st.sampled_from([0.01, 0.5, 3.0])))
    after = ranks(decided(replace(batch, scores=scores), policy))
    for (customer, offered), rank in before.items():
        if offered == product:
            assert after[customer, offered] <= rank


@given(worlds, policies)
@settings(max_examples=60)
def test_raising_the_cutoff_never_adds_an_offer(batch, policy):
    strict = policy.model_copy(update={"arbitration": Arbitration(cutoff=0.5, top_n=policy.arbitration.top_n)})
    assert ranks(decided(batch, strict)).keys() <= ranks(decided(batch, policy)).keys()
