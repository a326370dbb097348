"""What must hold of the bank's own rules, whatever they say, in any bank."""

from __future__ import annotations

from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.policy.applied import applied
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.decide import Decided, DecisionIds, decide
from nextoffer.policy.file import Arbitration, Contact, Policy
from nextoffer.policy.rules import LEVELS, STAGES, OwnRule
from tests.policy.worlds import AS_OF, FLAGS, NUMBERS, PAIRS, TEXTS, stats_of, take, world

IDS = DecisionIds(AS_OF, "model", 7)
EVERYTHING = 10**6

own_numbers = st.sampled_from([*NUMBERS, "income - age", "2 * income", "-age", "income / 2"])
numbers = st.one_of(
    own_numbers,
    st.sampled_from(["product.min_income", "product.tier", "product.margin", "product.product_id"]),
    st.sampled_from([f"pair.{name}" for name in PAIRS]),
    st.sampled_from(["0", "1", "2.5", "20", "30"]),
)
own_texts = st.sampled_from(list(TEXTS))
texts = st.one_of(
    own_texts,
    st.sampled_from(["product.segment_bias", "product.product_type", "product.family"]),
    st.sampled_from(["'Mass'", "'mobile'", "'north'", "'loan'", "''"]),
)
flags = st.sampled_from([*FLAGS, "product.is_premium", "product.active", "true", "false"])
comparisons = st.one_of(
    st.builds("{} {} {}".format, numbers, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), numbers),
    st.builds("{} {}between {} and {}".format, numbers, st.sampled_from(["", "not "]), numbers, numbers),
    st.builds("{} {} {}".format, texts, st.sampled_from(["=", "<>"]), texts),
    st.builds("{} {}in ({}, {})".format, own_texts, st.sampled_from(["", "not "]), texts, texts),
    st.builds("({}) is {}null".format, st.one_of(numbers, texts, flags), st.sampled_from(["", "not "])),
    st.builds("{} is {}".format, flags, st.sampled_from(["true", "not true", "false"])),
    st.builds("{} {} {}".format, flags, st.sampled_from(["=", "<>"]), flags),
    flags,
)
expressions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("(({}) {} ({}))".format, inner, st.sampled_from(["and", "or", "=", "<>"]), inner),
        st.builds("not ({})".format, inner),
        st.builds("(({}) is {})".format, inner, st.sampled_from(["true", "not false", "null", "not null"])),
    ),
    max_leaves=5,
)
rule = st.builds(
    OwnRule,
    id=st.just("own"),
    stage=st.sampled_from(STAGES),
    text=st.just("A rule"),
    require=expressions,
    where=st.none() | expressions,
    product_type=st.just(()) | st.just(("loan",)) | st.just(("card", "fund")),
    product=st.just(()) | st.just(("100",)) | st.just(("100", "101")),
    nulls=st.sampled_from(["stop", "pass"]),
    enabled=st.sampled_from([True, True, True, False]),
)
rules = st.lists(rule, max_size=4).map(
    lambda given: tuple(one.model_copy(update={"id": f"own_{i}"}) for i, one in enumerate(given))
)
worlds = st.builds(
    lambda seed, n, nulls: whole(world(seed, n=n, products=5, nulls=nulls)),
    st.integers(0, 2**32),
    st.integers(1, 25),
    st.sampled_from([0.0, 0.1, 0.5]),
)


def whole(batch: Batch) -> Batch:
    """Return a bank with products of every type, as rules may name them."""
    types = pa.array(["loan", "card", "fund", "loan", "card"])
    products = batch.products.set_column(batch.products.column_names.index("product_type"), "product_type", types)
    return Batch(batch.scores, batch.facts, batch.features, products)


def policy_of(given: tuple[OwnRule, ...], *, limited: bool = False) -> Policy:
    cap, top = (3, 2) if limited else (EVERYTHING, EVERYTHING)
    return Policy(rule=given, contact=Contact(cap=cap), arbitration=Arbitration(top_n=top))


def decided(batch: Batch, policy: Policy, catalogue=None) -> Decided:
    parts = (batch.scores, batch.facts, batch.features, batch.products)
    return decide(*parts, policy=policy, catalogue=catalogue or policy.catalogue, ids=IDS)


def offers(result: Decided) -> set[tuple[str, int]]:
    return {(row["customer_id"], row["product_id"]) for row in result.decisions.to_pylist()}


def stopped(batch: Batch, policy: Policy) -> np.ndarray:
    """Return the place of the first rule that stops each pair, or the number of rules, (n, P)."""
    masks = [np.broadcast_to(one.stops(batch), batch.shape) for one in Book(policy).rules]
    return np.array([*masks, np.ones(batch.shape, dtype=bool)]).argmax(axis=0)


@given(worlds, rules, rule)
@settings(max_examples=60)
def test_an_added_rule_never_adds_an_offer(batch, given, added):
    before, after = (policy_of(each) for each in (given, (*given, added)))
    assert offers(decided(batch, after)) <= offers(decided(batch, before))


@given(worlds, rules, rule)
@settings(max_examples=60)
def test_an_added_rule_never_opens_a_pair_even_where_offers_are_limited(batch, given, added):
    """It may let another offer move up into a place that it empties, but only one that was open before."""
    before, after = (policy_of(each, limited=True) for each in (given, (*given, added)))
    ids, products = batch.features.customer_ids.to_pylist(), batch.products.column("product_id").to_pylist()
    open_ = stopped(batch, before) == len(Book(before).rules)
    allowed = {(ids[i], products[j]) for i, j in np.argwhere(open_).tolist()}
    assert offers(decided(batch, after)) <= allowed


@given(worlds, rules)
@settings(max_examples=60)
def test_the_refusal_named_is_the_first_that_stops_the_pair(batch, given):
    policy = policy_of(given)
    book = Book(policy)
    order = [(STAGES.index(one.stage), LEVELS.index(one.level)) for one in policy.rule]
    assert order == sorted(order)
    first = stopped(batch, policy)
    named = {
        (row["customer_id"], row["product_id"]): row["rule"] for row in decided(batch, policy).refusals.to_pylist()
    }
    for i, customer in enumerate(batch.features.customer_ids.to_pylist()):
        for j, product in enumerate(batch.products.column("product_id").to_pylist()):
            expected = book.names[first[i, j]] if first[i, j] < len(book.rules) else None
            assert named.get((customer, product)) == expected


@given(worlds, rule)
@settings(max_examples=150)
def test_a_rule_means_what_a_database_means_and_fails_closed(batch, given):
    known = in_database(batch, given)
    asked = in_scope(batch, given) & ~known["where_false"]
    met = ~known["require_false"] if given.nulls == "pass" else known["require_true"]
    (one,) = applied([given], batch.kinds, batch.offering)
    found = np.broadcast_to(one.stops(batch.wide), batch.shape)
    assert np.array_equal(found, asked & ~met)
    assert np.array_equal(np.broadcast_to(one.asks(batch.wide), batch.shape), asked)


def in_scope(batch: Batch, given: OwnRule) -> np.ndarray:
    rows = batch.products.to_pylist()
    return np.array(
        [
            (not given.product or str(row["product_id"]) in given.product)
            and (not given.product_type or row["product_type"] in given.product_type)
            for row in rows
        ]
    )


DATABASE = duckdb.connect()


def in_database(batch: Batch, given: OwnRule) -> dict[str, np.ndarray]:
    """Return of each pair where DuckDB knows the expressions to be true or false, (n, P)."""
    n, count = batch.shape
    rows, cols = np.divmod(np.arange(n * count), count)
    values = batch.scores.pair_values(rows, cols)
    pairs = {name: pa.array(column, mask=np.isnan(column)) for name, column in values.items()}
    DATABASE.register("customers", batch.features.data.append_column("i", pa.array(range(n))))
    DATABASE.register("products", batch.products.append_column("j", pa.array(range(count))))
    DATABASE.register("pairs", pa.table({"i": rows, "j": cols, **pairs}))
    asked = {
        "require_true": f"coalesce(({given.require}), false)",
        "require_false": f"coalesce(not ({given.require}), false)",
        "where_false": f"coalesce(not ({given.where or 'true'}), false)",
    }
    found = DATABASE.sql(
        f"select {', '.join(asked.values())} from customers join products as product on true "
        "join pairs as pair on pair.i = customers.i and pair.j = product.j order by customers.i, product.j"
    ).to_arrow_table()
    return {
        name: column.to_numpy(zero_copy_only=False).reshape(n, count)
        for name, column in zip(asked, found.combine_chunks().columns, strict=True)
    }


@given(worlds, rules, st.booleans(), st.data())
@settings(max_examples=40)
def test_any_partition_gives_the_same_decisions(batch, given, limited, data):
    policy = policy_of(given, limited=limited)
    catalogue = policy.catalogue.with_stats(stats_of(batch))
    together = decided(batch, policy, catalogue)
    n = batch.shape[0]
    cuts = sorted(data.draw(st.sets(st.integers(0, n), max_size=3)) | {0, n})
    blocks = [np.arange(a, b) for a, b in pairwise(cuts)]
    for partition in (blocks, [np.array([i]) for i in range(n)]):
        parts = [decided(take(batch, rows), policy, catalogue) for rows in partition]
        assert pa.concat_tables([p.decisions for p in parts]).equals(together.decisions.combine_chunks())
        assert pa.concat_tables([p.refusals for p in parts]).equals(together.refusals.combine_chunks())
