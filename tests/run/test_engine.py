"""From a bank to decisions, whatever the bank has and however customers are asked for."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nextoffer.errors import FeatureError, ModelError, PolicyError
from nextoffer.models.ranker import sigmoid
from nextoffer.policy.decide import Decided
from nextoffer.policy.file import Contact, Policy
from nextoffer.policy.rules import OwnRule
from nextoffer.run.artefact import MANIFEST
from nextoffer.run.engine import Engine
from nextoffer.run.labels import customer_count
from nextoffer.tables.bank import Bank
from tests.run.worlds import (
    AS_OF,
    CUSTOMERS,
    DAY,
    PRODUCTS,
    RATES,
    altered,
    dated_holdings,
    equal,
    more,
    of_customer,
    pairs_of,
    stored,
    with_column,
)


def test_every_pair_is_offered_or_refused_once(decided: Decided, bank: Bank) -> None:
    assert set(Counter(pairs_of(decided)).values()) == {1}
    assert len(pairs_of(decided)) == customer_count(bank) * PRODUCTS == CUSTOMERS * PRODUCTS


def test_one_by_one_is_the_same_as_all_at_once(engine: Engine, bank: Bank, decided: Decided) -> None:
    for customer in (0, 7, 100, CUSTOMERS - 1):
        alone = engine.recommend(bank, [customer])
        assert alone.decisions.equals(of_customer(decided.decisions, customer).combine_chunks())
        assert alone.refusals.equals(of_customer(decided.refusals, customer).combine_chunks())


@pytest.mark.parametrize("chunk", [50, CUSTOMERS - 1, 1000])
def test_any_chunk_gives_the_same(engine: Engine, bank: Bank, decided: Decided, chunk: int) -> None:
    desk = engine.desk(bank.table("products"))
    parts = [desk.decide(known).plain() for known in engine.stream(bank, chunk=chunk)]
    tables = zip(*((part.decisions, part.refusals) for part in parts), strict=True)
    assert len(parts) == -(-CUSTOMERS // chunk)
    assert equal(Decided(*(pa.concat_tables(some) for some in tables)), decided)


@pytest.mark.parametrize("name", ["reference", "retail"])
def test_features_that_no_decision_looks_at_change_none(
    name: str, engine: Engine, bank: Bank, retail_engine: Engine, retail_bank: Bank
) -> None:
    used, there = (engine, bank) if name == "reference" else (retail_engine, retail_bank)
    customers = there.table("customers").column("customer_id")
    desk = used.desk(there.table("products"))
    few, every = (used.known(there, customers, every_feature=whole) for whole in (False, True))
    assert len(few.features.columns) < len(every.features.columns) == len(used.spec.columns)
    assert desk.decide(few).plain().decisions.equals(desk.decide(every).plain().decisions)
    assert desk.decide(few).plain().refusals.equals(desk.decide(every).plain().refusals)
    assert any(desk.decide(few).decisions.column("reasons").to_pylist()) == (name == "reference")


def test_customers_come_in_the_order_asked_for(engine: Engine, bank: Bank) -> None:
    wanted = [31, 4, 15]
    assert engine.recommend(bank, wanted).refusals.column("customer_id").unique().to_pylist() == wanted


def test_a_rule_that_does_not_fit_stops_before_a_customer_is_read(retail_engine: Engine, retail_bank: Bank) -> None:
    odd = OwnRule(id="odd", stage="suitability", text="Odd", require="gender = 'female' and pair.coholdin > 0")
    engine = retail_engine.with_policy(Policy(rule=(odd,)))
    said = r"column 'gender' may not be used: bank\.toml lists it under 'sensitive'\n.*'pair\.coholdin' \(did you mean"
    with pytest.raises(PolicyError, match=said):
        engine.recommend(retail_bank, ["not even a customer"])


def test_a_customer_unknown_is_named(engine: Engine, bank: Bank) -> None:
    with pytest.raises(FeatureError, match="1 customers are not in the bank: 987654"):
        engine.recommend(bank, [1, 987654])


def test_the_engine_says_what_it_learned_from(engine: Engine) -> None:
    assert engine.details["bank"] == "reference"
    assert engine.details["labels"] == "responses"
    assert engine.details["fit"] == engine.ranker.summary()


def test_another_policy_decides_otherwise_with_the_same_scores(engine: Engine, bank: Bank, decided: Decided) -> None:
    one = engine.with_policy(Policy(contact=Contact(cap=1))).recommend(bank)
    first = decided.decisions.filter(pc.equal(decided.decisions.column("rank"), 1))
    shared = ["customer_id", "rank", "product_id", "score", "propensity", "reasons", "model_id"]
    assert one.decisions.select(shared).equals(first.select(shared))
    assert not set(one.decisions.column("policy_id").to_pylist()) & set(first.column("policy_id").to_pylist())


def test_earlier_offers_count_towards_the_contact_cap(
    engine: Engine, world: Path, decided: Decided, tmp_path: Path
) -> None:
    counts = Counter(decided.decisions.column("customer_id").to_pylist())
    full = sorted(customer for customer, count in counts.items() if count == 3)[:6]
    made = dict(zip(full, (0, 1, 2, 3, 5, 2), strict=True))
    offer = {"product_id": 0, "label": 0, "campaign_ix": 9}
    rows = [offer | {"customer_id": c, "offered_on": AS_OF - DAY} for c, times in made.items() for _ in range(times)]
    too_long_ago, too_late = AS_OF - 7 * DAY, AS_OF
    rows += [offer | {"customer_id": full[0], "offered_on": day} for day in (too_long_ago, too_late)]
    bank = altered(world, tmp_path / "bank", {"responses": more(stored(world, "responses"), rows)})
    found = Counter(engine.recommend(bank, full).decisions.column("customer_id").to_pylist())
    assert {c: found[c] for c in full} == {c: max(0, 3 - times) for c, times in made.items()}
    refused = engine.recommend(bank, [full[3]]).refusals.column("rule").to_pylist()
    assert "contact.weekly_cap" in refused


def test_offers_of_a_control_arm_neither_teach_nor_count(small: Path, tmp_path: Path) -> None:
    responses = stored(small, "responses")
    responses = with_column(responses, "arm", pa.repeat("treatment", responses.num_rows))
    never_made = [
        {"customer_id": c, "product_id": c % 6, "offered_on": day, "label": 1, "campaign_ix": 9, "arm": arm}
        for c in range(80)
        for day in (date(2025, 9, 20), AS_OF - DAY)
        for arm in ("control", "Control")
    ]
    without = altered(small, tmp_path / "without", {"responses": responses})
    together = altered(small, tmp_path / "with", {"responses": more(responses, never_made)})
    engines = [Engine.fit(bank, as_of=AS_OF, ranker=RATES) for bank in (without, together)]
    assert engines[0].ranker.summary()["pairs"] == engines[1].ranker.summary()["pairs"]
    assert engines[0].model_id == engines[1].model_id
    assert equal(engines[0].recommend(without), engines[1].recommend(together))


def test_a_product_new_since_the_fit_borrows_from_its_type(
    engine: Engine, bank: Bank, world: Path, tmp_path: Path
) -> None:
    known = stored(world, "products")
    kind = known.column("product_type")[0].as_py()
    new = {"min_income": 0.0, "segment_bias": "All", "is_premium": 0}
    products = more(
        known, [new | {"product_id": 50, "product_type": kind}, new | {"product_id": 51, "product_type": "crypto"}]
    )
    grown = altered(world, tmp_path / "bank", {"products": products})
    decided = engine.recommend(grown)
    assert len(set(pairs_of(decided))) == len(pairs_of(decided)) == CUSTOMERS * (PRODUCTS + 2)
    before, after = (
        engine.desk(b.table("products")).batch(next(engine.stream(b))).scores.log_odds for b in (bank, grown)
    )
    assert np.array_equal(before, after[:, :PRODUCTS])
    assert np.isfinite(after).all()
    alike = np.flatnonzero([t == kind for t in known.column("product_type").to_pylist()])
    rates = sigmoid(before).mean(axis=0)
    margin = 0.25 * np.ptp(rates)
    assert rates[alike].min() - margin <= sigmoid(after[:, PRODUCTS]).mean() <= rates[alike].max() + margin
    assert rates.min() <= sigmoid(after[:, PRODUCTS + 1]).mean() <= rates.max()


def test_a_product_withdrawn_since_the_fit_is_not_missed(
    engine: Engine, world: Path, decided: Decided, tmp_path: Path
) -> None:
    fewer = stored(world, "products").slice(1)
    holdings = stored(world, "holdings")
    holdings = holdings.filter(pc.not_equal(holdings.column("product_id"), 0))
    responses = stored(world, "responses")
    responses = responses.filter(pc.not_equal(responses.column("product_id"), 0))
    tables = {"products": fewer, "holdings": holdings, "responses": responses}
    found = engine.recommend(altered(world, tmp_path / "bank", tables))
    assert 0 not in found.decisions.column("product_id").to_pylist()
    assert len(pairs_of(found)) == CUSTOMERS * (PRODUCTS - 1)


def test_a_bank_without_transactions_is_enough(small: Path, tmp_path: Path) -> None:
    bank = altered(small, tmp_path / "bank", {"transactions": None, "merchants": None})
    engine = Engine.fit(bank, as_of=AS_OF, ranker=RATES)
    assert not {c.group for c in engine.spec.columns} & {"activity", "channel", "salary", "spend"}
    assert engine.recommend(bank).decisions.num_rows > 80


def test_a_bank_that_has_made_no_offers_yet_learns_from_adoptions(small: Path, tmp_path: Path) -> None:
    tables = {"responses": stored(small, "responses").slice(0, 0), "holdings": dated_holdings(small)}
    bank = altered(small, tmp_path / "bank", tables)
    engine = Engine.fit(bank, as_of=AS_OF, ranker=RATES)
    assert engine.details["labels"] == "adoptions"
    assert engine.recommend(bank).decisions.num_rows > 0


def test_a_bank_with_nothing_to_learn_from_says_so(small: Path, tmp_path: Path) -> None:
    bank = altered(small, tmp_path / "bank", {"responses": None})
    with pytest.raises(ModelError, match="nothing to learn from before 2025-10-11: needed are rows in responses"):
        Engine.fit(bank, as_of=AS_OF, ranker=RATES)


def test_labels_that_are_all_alike_teach_nothing(small: Path, tmp_path: Path) -> None:
    responses = stored(small, "responses")
    refused = with_column(responses, "label", np.zeros(responses.num_rows, dtype=np.int64))
    bank = altered(small, tmp_path / "bank", {"responses": refused})
    with pytest.raises(ModelError, match="of which 0 accepted; both yes and no are needed"):
        Engine.fit(bank, as_of=AS_OF, ranker=RATES)


def test_text_ids_come_back_as_they_came(retail_engine: Engine, retail_bank: Bank) -> None:
    found = retail_engine.recommend(retail_bank)
    customers = retail_bank.connect().sql("select customer_id from customers order by 1").fetchall()
    products = retail_bank.table("products").column("product_id").to_pylist()
    assert {type(p) for p in products} == {str}
    assert {pair[0] for pair in pairs_of(found)} == {c for (c,) in customers}
    assert Counter(pairs_of(found)) == Counter((c, p) for (c,) in customers for p in products)
    some = customers[5][0]
    assert retail_engine.recommend(retail_bank, [some]).decisions.equals(
        of_customer(found.decisions, some).combine_chunks()
    )


def test_without_consent_nothing_is_offered(retail_engine: Engine, retail_bank: Bank) -> None:
    found = retail_engine.recommend(retail_bank)
    latest = """select customer_id from consents
                where purpose = 'marketing' and recorded_on <= $day and coalesce(channel, $channel) = $channel
                group by 1 having arg_max(granted, recorded_on)"""
    made = found.decisions.select(["customer_id", "channel"]).to_pylist()
    channels = {row["channel"] for row in made}
    assert len(channels) > 1
    for channel in (*channels, ""):
        asked = {"day": AS_OF, "channel": channel}
        agreed = {c for (c,) in retail_bank.connect().sql(latest, params=asked).fetchall()}
        offered = {row["customer_id"] for row in made if row["channel"] == channel}
        assert offered <= agreed, channel
    silent = set(found.refusals.column("customer_id").to_pylist()) - agreed  # who never agreed, or took all back
    rows = found.refusals.filter(pc.is_in(found.refusals.column("customer_id"), pa.array(sorted(silent))))
    assert silent
    assert set(rows.column("rule").to_pylist()) == {"consent.marketing"}


def test_sensitive_and_excluded_columns_are_never_learned_from(small: Path, tmp_path: Path) -> None:
    customers = stored(small, "customers")
    faiths = pa.array(np.random.default_rng(3).choice(["one", "two"], customers.num_rows))
    toml = 'sensitive = ["faith"]\nexclude = ["age"]\n'
    bank = altered(small, tmp_path / "bank", {"customers": with_column(customers, "faith", faiths)}, toml)
    engine = Engine.fit(bank, as_of=AS_OF, ranker=RATES)
    names = {column.name for column in engine.spec.columns}
    assert "income" in names
    assert not names & {"faith", "age"}
    saved = engine.save(tmp_path / "model")
    named = [p.name for p in saved.iterdir() if b"faith" in p.read_bytes() or b'"age"' in p.read_bytes()]
    assert named == [MANIFEST]  # which names them for one thing alone: that they were kept out
    noted = engine.details["noted"]
    assert noted["closed"] == {"faith": "sensitive", "age": "excluded"}
    others = json.dumps({**engine.details, "noted": {**noted, "closed": {}}})
    assert "faith" not in others
    assert '"age"' not in others


def test_the_day_decided_for_may_be_another(engine: Engine, bank: Bank, decided: Decided) -> None:
    later = engine.recommend(bank, as_of=AS_OF + timedelta(days=60))
    assert len(pairs_of(later)) == len(pairs_of(decided))
    assert set(later.decisions.column("as_of").to_pylist()) == {AS_OF + timedelta(days=60)}
    assert not set(later.decisions.column("decision_id").to_pylist()) & set(
        decided.decisions.column("decision_id").to_pylist()
    )


def test_stored_customers_get_the_same_decisions(
    engine: Engine, bank: Bank, decided: Decided, world: Path, tmp_path: Path
) -> None:
    stored_ones = engine.store(bank, tmp_path / "known.arrow")
    desk = engine.desk(bank.table("products"))
    customers = bank.table("customers").column("customer_id").sort()
    assert equal(desk.recommend(stored_ones, customers), decided)
    assert desk.recommend(stored_ones, [17]).decisions.equals(of_customer(decided.decisions, 17).combine_chunks())
    with pytest.raises(FeatureError, match="about other products than the bank has now"):
        engine.desk(bank.table("products").slice(1)).recommend(stored_ones, [17])
    with pytest.raises(FeatureError, match="the features are as of 2025-10-11, the decisions as of 2025-10-12"):
        engine.desk(bank.table("products"), AS_OF + DAY).recommend(stored_ones, [17])
