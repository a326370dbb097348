"""What must hold of arbitration by value, exploration and control arms, in any bank under any policy."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nextoffer import compiled
from nextoffer.policy.arms import Arm
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.decide import Decided, Decider, DecisionIds
from nextoffer.policy.distribution import rank_chances
from nextoffer.policy.exploration import Exploration
from nextoffer.policy.file import Contact, Policy
from nextoffer.policy.objective import Arbitration, Context, Lever
from nextoffer.policy.ranking import OFFERED, ranked
from nextoffer.policy.value import Value
from tests.policy.worlds import AS_OF, take, world

IDS = DecisionIds(AS_OF, "model", 7)

CONTEXTS = (
    Context(when="channel_pref = 'mobile' and product.product_type = 'card'", weight=1.7),
    Context(when="pair.coholding > 0.5 or age > 30", weight=0.6),
)
ARMS = (Arm(name="random", share=0.2), Arm(name="popularity", share=0.2), Arm(name="no_value", share=0.2))
arbitrations = st.builds(
    Arbitration,
    objective=st.sampled_from(["propensity", "value", "incremental_value"]),
    cutoff=st.sampled_from([0.0, 0.1]),
    top_n=st.integers(1, 7),
    min_value=st.sampled_from([None, -10.0, 5.0]),
    context=st.sampled_from([(), CONTEXTS]),
    lever=st.sampled_from([(), (Lever(product=("100",), weight=1.4),)]),
)
values = st.builds(
    Value,
    exposure=st.sampled_from([0.0, 500.0]),
    pd=st.sampled_from([None, 0.05]),
    contact_cost=st.sampled_from([{}, {"mobile": 0.1, "phone": 6.0}]),
)
explorations = st.builds(
    Exploration,
    method=st.sampled_from(["epsilon", "thompson"]),
    epsilon=st.sampled_from([0.0, 0.3, 1.0]),
    slots=st.integers(1, 3),
    new_product_share=st.sampled_from([0.0, 0.3, 1.0]),
)
contacts = st.builds(Contact, cap=st.integers(0, 6))
sure = st.builds(Policy, contact=contacts, arbitration=arbitrations, value=values)
policies = st.builds(
    Policy,
    contact=contacts,
    arbitration=arbitrations,
    value=values,
    exploration=explorations,
    arm=st.sampled_from([(), ARMS]),
)


def bank_of(seed: int, n: int, products: int, coarse: bool) -> Batch:
    """Return a world with credit, subsidies and propensities without an offer."""
    batch, rng = world(seed, n=n, products=products, coarse=coarse), np.random.default_rng(seed + 1)
    credit = {
        "lgd": pa.array(rng.random(products), mask=rng.random(products) < 0.5),
        "exposure": pa.array(rng.gamma(2.0, 100.0, products), mask=rng.random(products) < 0.2),
        "subsidy": pa.array(rng.gamma(1.0, 5.0, products), mask=rng.random(products) < 0.5),
    }
    table = batch.products
    for name, column in credit.items():
        table = table.append_column(name, column)
    natural = None if rng.random() < 0.3 else (rng.random((n, products)) * 0.2).astype(np.float32)
    return replace(batch, products=table, natural=natural)


banks = st.builds(bank_of, st.integers(0, 2**31), st.integers(1, 20), st.integers(1, 8), st.booleans())


def part(batch: Batch, rows: np.ndarray) -> Batch:
    return replace(take(batch, rows), natural=None if batch.natural is None else batch.natural[rows])


def decided(batch: Batch, policy: Policy) -> Decided:
    return Decider(batch.products, policy=policy, catalogue=policy.catalogue, ids=IDS).of(batch).plain()


@given(banks, policies, st.data())
@settings(max_examples=40)
def test_any_partition_gives_the_same_decisions(batch, policy, data):
    whole, n = decided(batch, policy), batch.shape[0]
    cuts = sorted(data.draw(st.sets(st.integers(0, n), max_size=3)) | {0, n})
    for partition in ([np.arange(a, b) for a, b in pairwise(cuts)], [np.array([i]) for i in range(n)]):
        parts = [decided(part(batch, rows), policy) for rows in partition]
        assert pa.concat_tables([p.decisions for p in parts]).equals(whole.decisions)
        assert pa.concat_tables([p.refusals for p in parts]).equals(whole.refusals)


@given(banks, policies)
@settings(max_examples=40)
def test_machine_code_decides_as_numpy_does(batch, policy):
    compiled.cool_down()
    slow = decided(batch, policy)
    if not compiled.warm_up():
        pytest.skip("numba is not installed")
    try:
        fast = decided(batch, policy)
    finally:
        compiled.cool_down()
    assert fast.decisions.equals(slow.decisions)
    assert fast.refusals.equals(slow.refusals)


@given(banks, policies)
@settings(max_examples=60)
def test_the_chances_of_a_rank_add_up_to_one_and_hold_the_pscore(batch, policy):
    book = Book(policy)
    ranking = ranked(batch, book, 7)
    pscore = ranking.pscore(ranking.rows, ranking.cols)
    order = ranking.order.cols
    for rank in range(min(order.shape[1], 4)):
        chance = rank_chances(batch, book, 7, before=order[:, :rank])
        left = order[:, rank] >= 0
        np.testing.assert_allclose(chance.sum(axis=1), left, atol=1e-9)
        assert (chance >= 0).all()
        here = np.flatnonzero(_places(ranking.rows) == rank)
        np.testing.assert_allclose(pscore[here], chance[ranking.rows[here], ranking.cols[here]], rtol=1e-9, atol=1e-15)
    assert ((pscore > 0) & (pscore <= 1 + 1e-12)).all()


@given(banks, policies)
@settings(max_examples=60)
def test_only_the_order_is_left_to_chance(batch, policy):
    """Which pairs the rules stop, and how many offers each customer gets, is the same with and without it."""
    plain = policy.model_copy(update={"exploration": Exploration()})
    with_, without = (ranked(batch, Book(each), 7) for each in (policy, plain))
    limit = with_.book.first_limit
    assert np.array_equal(with_.rule[(with_.rule >= 0) & (with_.rule < limit)], without.rule[
        (without.rule >= 0) & (without.rule < limit)
    ])  # fmt: skip
    assert np.array_equal(with_.rows, without.rows)


@given(banks, policies)
@settings(max_examples=60)
def test_scores_fall_with_the_rank_where_nothing_is_explored(batch, policy):
    policy = policy.model_copy(update={"exploration": Exploration()})
    table = decided(batch, policy).decisions
    scores, ranks = table.column("score").to_numpy(), table.column("rank").to_numpy()
    assert (np.diff(scores)[ranks[1:] > 1] <= 0).all()
    if policy.arbitration.least_value is not None:
        spared = table.column("arm").to_numpy(zero_copy_only=False) == "no_value"
        assert (table.column("expected_value").to_numpy()[~spared] >= policy.arbitration.least_value).all()


@given(banks, sure, st.data())
@settings(max_examples=80)
def test_raising_a_products_value_never_lowers_its_rank(batch, policy, data):
    j = data.draw(st.integers(0, batch.shape[1] - 1))
    margins = batch.products.column("margin").to_pylist()
    assume(margins[j] is not None)
    if batch.natural is not None:  # else more value may mean a greater loss, by an offer that does harm
        batch = replace(batch, natural=np.minimum(batch.natural, _propensity(batch)))
    margins[j] += data.draw(st.sampled_from([0.5, 30.0, 5000.0]))
    place = batch.products.column_names.index("margin")
    raised = replace(batch, products=batch.products.set_column(place, "margin", pa.array(margins, pa.float64())))
    before, after = (_rank_of(j, ranked(each, Book(policy), 7)) for each in (batch, raised))
    assert (after <= before).all()


@given(banks, sure)
@settings(max_examples=40)
def test_the_numbers_of_a_decision_make_its_score(batch, policy):
    for row in decided(batch, policy).decisions.to_pylist():
        caused = row["propensity"]
        if policy.arbitration.objective == "incremental_value" and row["uplift"] is not None:
            caused = row["uplift"]
        counted = row["propensity"] if policy.arbitration.objective == "propensity" else row["expected_value"]
        assert row["score"] == pytest.approx(counted * row["context_weight"] * row["lever"])
        if row["value"] is not None:
            assert row["expected_value"] <= caused * row["value"] + 1e-9
        assert (row["value"] is None) == (row["expected_value"] is None)


def _propensity(batch: Batch) -> np.ndarray:
    return (0.999 / (1 + np.exp(-batch.scores.log_odds.astype(np.float64)))).astype(np.float32)


def _places(rows: np.ndarray) -> np.ndarray:
    """Return 0, 1, … within each run of equal rows."""
    begin = np.r_[True, rows[1:] != rows[:-1]] if len(rows) else np.zeros(0, dtype=bool)
    at = np.arange(len(rows))
    return at - np.maximum.accumulate(np.where(begin, at, 0)) if len(rows) else at


def _rank_of(product: int, ranking) -> np.ndarray:
    """Return the product's rank for each customer, a large number where it is not offered."""
    rank = np.full(len(ranking.rule), 99)
    places = _places(ranking.rows)
    mine = ranking.cols == product
    rank[ranking.rows[mine]] = places[mine]
    assert ((rank == 99) == (ranking.rule[:, product] != OFFERED)).all()
    return rank
