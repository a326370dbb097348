"""Machine code and numpy come to the same decisions, to the last bit; shortcuts come to what they cut short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from nextoffer import compiled
from nextoffer.errors import PolicyError
from nextoffer.policy.arbitration import least_log_odds
from nextoffer.policy.batch import Batch, Pairs
from nextoffer.policy.book import Book
from nextoffer.policy.bounds import bounds
from nextoffer.policy.catalogue import Catalogue, Reason
from nextoffer.policy.choosing import chosen
from nextoffer.policy.decide import Decided, Decider, decide
from nextoffer.policy.expression import parsed
from nextoffer.policy.file import Arbitration, Contact, Eligibility, Policy, ReasonLimits
from nextoffer.policy.ranking import OFFERED, ranked
from nextoffer.policy.rules import OwnRule
from nextoffer.policy.told import told
from tests.policy.bank import IDS, FlatScores, bank
from tests.policy.worlds import stats_of, take, world

OWN = (
    Reason(code="own_or", speaks_for=("income", "age"), fact="income > 20 or age < 40", rm="either", audit="a"),
    Reason(code="own_text", speaks_for=("region",), fact="region = 'north'", rm="in the {region}", audit="a"),
    Reason(
        code="own_never", speaks_for=("shoe_size", "income"), fact="shoe_size < low.product.tier", rm="x", audit="a"
    ),
)


@contextmanager
def kernels() -> Iterator[None]:
    """Use machine code within, as after `compiled.warm_up`, and numpy again afterwards."""
    if not compiled.warm_up():
        pytest.skip("numba is not installed")
    try:
        yield
    finally:
        compiled.cool_down()


def both(batch: Batch, policy: Policy, catalogue: Catalogue) -> tuple[Decided, Decided]:
    """Return what numpy decides, and machine code."""
    decider = Decider(batch.products, policy=policy, catalogue=catalogue, ids=IDS)
    parts = (batch.scores, batch.facts, batch.features)
    compiled.cool_down()
    slow = decider.decide(*parts)
    with kernels():
        return slow, decider.decide(*parts)


policies = st.builds(
    Policy,
    contact=st.builds(Contact, cap=st.integers(0, 6)),
    eligibility=st.builds(Eligibility, upgrades=st.booleans(), active_only=st.booleans()),
    arbitration=st.builds(Arbitration, cutoff=st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]), top_n=st.integers(1, 8)),
    reasons=st.builds(
        ReasonLimits,
        max=st.integers(0, 6),
        min_share=st.sampled_from([0.0, 0.05, 0.3]),
        min_log_odds=st.sampled_from([0.0, 0.01, 0.2]),
    ),
)


@given(
    st.integers(0, 2**32),
    st.integers(0, 30),
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from([0.0, 0.2, 1.0]),
    policies,
)
@settings(max_examples=80)
def test_kernels_decide_as_numpy_does(
    seed: int, count: int, products: int, coarse: bool, nulls: float, policy: Policy
) -> None:
    batch = world(seed, n=max(count, 1), products=products, coarse=coarse, nulls=nulls)
    catalogue = Catalogue.packaged().with_own(OWN).with_stats(stats_of(batch))
    slow, fast = both(take(batch, np.arange(count)), policy, catalogue)
    assert fast.decisions.equals(slow.decisions)
    assert fast.refusals.equals(slow.refusals)
    assert fast.decisions.schema == slow.decisions.schema


def test_kernels_keep_to_rules_of_a_banks_own_as_numpy_does() -> None:
    rules = (
        OwnRule(id="a", stage="eligibility", text="A", require="segment = 'HNI' or income > 20"),
        OwnRule(
            id="b", stage="suitability", text="B", require="pair.coholding > 0.2 and age > product.tier", nulls="pass"
        ),
        OwnRule(id="c", stage="applicability", text="C", require="product.is_premium", where="expat"),
    )
    slow, fast = both(world(3, n=300, products=7), Policy(rule=rules), Catalogue.packaged())
    assert fast.decisions.equals(slow.decisions)
    assert fast.refusals.equals(slow.refusals)
    named = set(slow.refusals.column("rule").to_pylist())
    assert named >= {"eligibility.a", "suitability.b", "applicability.c"}


@pytest.mark.parametrize("side", ["for", "against"])
@pytest.mark.parametrize("audience", ["rm", "customer", "audit"])
def test_kernels_choose_the_reasons_numpy_chooses(side: str, audience: str) -> None:
    batch = world(3, n=1200, products=7)
    rows, cols = np.divmod(np.arange(8400), 7)
    catalogue = Catalogue.packaged().with_own(OWN).with_stats(stats_of(batch))
    for at in (np.arange(8400), np.array([8300, 3, 3, 8399, 0])):  # more than one block; few, far apart, out of order
        pairs = Pairs(batch, rows[at], cols[at])
        given_ = told(catalogue, batch, side, audience)
        compiled.cool_down()
        slow = chosen(pairs, given_, ReasonLimits(max=4))
        with kernels():
            assert np.array_equal(chosen(pairs, given_, ReasonLimits(max=4)), slow)
        assert (slow >= 0).any()


def test_a_pair_feature_is_looked_up_for_the_pairs_that_ask_for_it() -> None:
    batch = world(3, n=200, products=7)
    rows, cols = np.divmod(np.arange(1400), 7)
    pairs, at = Pairs(batch, rows, cols), np.array([1399, 4, 4, 700])
    for name in batch.pair_names:
        assert np.array_equal(
            pairs.pair_values(f"pair.{name}", at), pairs.pair_column(f"pair.{name}")[at], equal_nan=True
        )


def test_a_packaged_reason_on_columns_not_there_is_left_out() -> None:
    batch = world(3, n=20)
    reasons = (Reason(code="stray", speaks_for=("income",), fact="hat_size > 40", rm="x", audit="a"),)
    assert "stray" not in [s.code for s in told(Catalogue(reasons), batch, "for", "rm").speakers]
    with pytest.raises(PolicyError, match="hat_size"):
        told(Catalogue(reasons, frozenset({"stray"})), batch, "for", "rm")


@given(st.integers(0, 2**32))
@settings(max_examples=20)
def test_one_decider_decides_one_by_one_as_all_at_once(seed: int) -> None:
    batch = world(seed, n=9, products=5)
    catalogue = Catalogue.packaged().with_stats(stats_of(batch))
    decider = Decider(batch.products, policy=Policy(), catalogue=catalogue, ids=IDS)
    parts = [take(batch, np.array([row])) for row in range(9)]
    with kernels():
        single = [decider.decide(p.scores, p.facts, p.features).plain() for p in parts]
        whole = decider.decide(batch.scores, batch.facts, batch.features).plain()
    assert pa.concat_tables([d.decisions for d in single]).equals(whole.decisions)
    assert pa.concat_tables([d.refusals for d in single]).equals(whole.refusals)


def test_encoded_tables_are_the_plain_ones() -> None:
    batch = world(11, n=50)
    catalogue = Catalogue.packaged().with_stats(stats_of(batch))
    decider = Decider(batch.products, policy=Policy(), catalogue=catalogue, ids=IDS)
    encoded = decider.decide(batch.scores, batch.facts, batch.features)
    parts = (batch.scores, batch.facts, batch.features, batch.products)
    plain = decide(*parts, policy=Policy(), catalogue=catalogue, ids=IDS)
    assert pa.types.is_dictionary(encoded.refusals.schema.field("customer_id").type)
    assert encoded.decisions.to_pylist() == plain.decisions.to_pylist()
    assert encoded.refusals.to_pylist() == plain.refusals.to_pylist()


@pytest.mark.parametrize("value", [20.0, 40.0, -800.0, 1e-30, np.inf, -np.inf])
def test_log_odds_too_close_to_tell_apart_are_ordered_as_ties(value: float) -> None:
    near = np.float32(value) + np.zeros((3, 4), dtype=np.float32)
    near[:, 2] = np.nextafter(near[:, 2], np.float32(np.inf))
    batch = replace(bank(), scores=FlatScores(near))
    policy = Policy(contact=Contact(cap=9))
    slow = ranked(batch, Book(policy), 7)
    with kernels():
        fast = ranked(batch, Book(policy), 7)
    assert np.array_equal(fast.cols, slow.cols)
    score = expit(near.astype(np.float64))
    for row in range(3):
        mine = slow.cols[slow.rows == row]
        assert (np.diff(score[row, mine]) <= 0).all()
    assert np.array_equal(slow.propensity, score)


def test_a_score_that_is_no_number_is_refused_by_kernels_too() -> None:
    batch = replace(bank(), scores=FlatScores([[0.0, np.nan, 0.0, np.nan]] * 3))
    with kernels(), pytest.raises(PolicyError, match="6 of 12 scores are not numbers"):
        ranked(batch, Book(Policy()), 7)


shares = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0, 1e-300, 1e-12, 1 - 1e-16]))


@given(shares, st.data())
@settings(max_examples=300)
def test_a_cutoff_in_log_odds_stops_what_the_propensity_would(cutoff: float, data: st.DataObject) -> None:
    least = least_log_odds(cutoff)
    near = least
    with np.errstate(over="ignore"):
        for _ in range(data.draw(st.integers(0, 40))):
            near = np.nextafter(near, np.float32(data.draw(st.sampled_from([-np.inf, np.inf]))))
    for log_odds in (near, np.float32(data.draw(st.floats(-100, 100, width=32)))):
        assert (log_odds < least) == (expit(np.float64(log_odds)) < cutoff)


def test_every_rule_but_the_first_is_hidden() -> None:
    batch = world(5, n=200, products=6)
    policy = Policy(arbitration=Arbitration(cutoff=0.2))
    rule = ranked(batch, Book(policy), 7).rule
    assert set(np.unique(rule)) >= {OFFERED, 0, 1, 2, 3, Book(policy).names.index("arbitration.cutoff")}
    if batch.facts.consent is not None:
        assert (rule[~batch.facts.consent] == 0).all()


FACTS = [
    "income >= 10 and income > 12.5",
    "10 < income and age between 20 and 60",
    "income = 12.5",
    "not (vip)",
    "vip and not gone and -3 <= age",
    "segment is not null and (income is not null)",
    "income >= high.income and income > typical.income",
    "income < low.income",
    "age between low.age and 60",
]
OTHERS = ["income > age", "income > 3 or age > 3", "segment = 'a'", "vip is true", "income + 1 > 3", "not income > 3"]
KINDS = {
    "income": "number",
    "age": "number",
    "vip": "flag",
    "gone": "flag",
    "segment": "category",
    **dict.fromkeys(("high.income", "typical.income", "low.income", "low.age"), "number"),
}
CONSTANTS = {
    "high.income": np.array(12.5),
    "typical.income": np.array(12.5),
    "low.income": np.array(-np.inf),
    "low.age": np.array(np.nan),
}
VALUES = np.array([np.nan, -np.inf, -3.0, 3.0, 12.5, np.nextafter(12.5, 13), 20.0, 60.0, np.inf])


@pytest.mark.parametrize("fact", FACTS)
def test_bounds_are_the_fact(fact: str) -> None:
    found = bounds(parsed(fact).tree, KINDS, CONSTANTS)
    assert found is not None
    count = len(VALUES)
    numbers = {"income": np.repeat(VALUES, count), "age": np.tile(VALUES, count)}
    flags = np.array([0.0, 1.0, np.nan])
    columns = {
        **numbers,
        **CONSTANTS,
        "vip": np.resize(flags, count * count),
        "gone": np.resize(flags[::-1], count * count),
        "segment": np.resize(np.array(["a", None], dtype=object), count * count),
    }
    seen = {**columns, "segment": np.where(np.equal(columns["segment"], None), np.nan, 0.0)}
    within = np.all([(seen[b.column] >= b.low) & (seen[b.column] <= b.high) for b in found], axis=0)
    assert np.array_equal(within, np.broadcast_to(parsed(fact).typed(KINDS).holds(columns), within.shape))
    assert len({b.column for b in found}) == len(found)


@pytest.mark.parametrize("fact", OTHERS)
def test_other_facts_have_no_bounds(fact: str) -> None:
    assert bounds(parsed(fact).tree, KINDS, CONSTANTS) is None
