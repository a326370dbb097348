"""A trial says what the engine then does: under both policies, in any chunks, for all or for a sample."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nextoffer.errors import BankError
from nextoffer.evaluate.policy_words import Figures
from nextoffer.policy.allowance import Limit
from nextoffer.policy.file import Arbitration, Contact, Eligibility, Policy
from nextoffer.run.engine import Engine
from nextoffer.run.what_if import Options, WhatIf, what_if
from nextoffer.simulate.profit import true_profit
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, RATES, altered, stored

OLD = Policy(contact=Contact(cap=9))
NEW = Policy(
    contact=Contact(cap=3, window_days=30, channels=("mobile", "web"), limit=(Limit(channel="phone", days=30, max=1),)),
    eligibility=Eligibility(min_income_factor=1.1),
    arbitration=Arbitration(top_n=2),
)


@pytest.fixture(scope="module")
def found(retail_engine: Engine, retail_bank: Bank) -> WhatIf:
    return what_if(retail_engine, retail_bank, NEW, old=OLD)


@pytest.fixture(scope="module")
def figures(found: WhatIf) -> Figures:
    return Figures.of(found.comparison)


def names(bank: Bank) -> dict[Any, str]:
    products = bank.table("products")
    return dict(zip(products.column("product_id").to_pylist(), products.column("name").to_pylist(), strict=True))


@pytest.mark.parametrize(("side", "policy"), [("old", OLD), ("new", NEW)])
def test_what_is_counted_is_what_the_engine_decides(
    retail_engine: Engine, retail_bank: Bank, figures: Figures, side: str, policy: Policy
) -> None:
    decided = retail_engine.with_policy(policy).recommend(retail_bank)
    offers = decided.decisions
    everybody = ("offers", side, "all", "all")
    assert figures.at(*everybody, "offers").estimate == offers.num_rows
    assert figures.at(*everybody, "customers").estimate == pc.count_distinct(offers.column("customer_id")).as_py()
    assert figures.at(*everybody, "expected_value").estimate == pytest.approx(
        pc.sum(offers.column("expected_value")).as_py()
    )
    name = names(retail_bank)
    by_product = Counter(name[product] for product in offers.column("product_id").to_pylist())
    assert {n: figures.at("offers", side, "product", n, "offers").estimate for n in by_product} == dict(by_product)
    for column, by in (("channel", "channel"), ("product_type", "product_type")):
        counted = Counter(offers.column(column).to_pylist())
        assert {n: figures.at("offers", side, by, n, "offers").estimate for n in counted} == dict(counted)
    rules = Counter(decided.refusals.column("rule").to_pylist())
    told = {rule: i.estimate for s, _, rule, m, i in figures.rows("refusals") if s == side and m == "pairs"}
    assert {rule: count for rule, count in told.items() if count} == dict(rules)


def test_flows_are_those_of_first_offers(retail_engine: Engine, retail_bank: Bank, figures: Figures) -> None:
    name, flows = names(retail_bank), Counter()
    tops: list[dict[Any, str]] = []
    for policy in (OLD, NEW):
        rows = retail_engine.with_policy(policy).recommend(retail_bank).decisions.to_pylist()
        tops.append({r["customer_id"]: name[r["product_id"]] for r in rows if r["rank"] == 1})
    for customer in retail_bank.table("customers").column("customer_id").to_pylist():
        flows[tuple(top.get(customer, "no offer") for top in tops)] += 1
    assert {(old, new): i.estimate for old, new, _, i in figures.rows("flows")} == dict(flows)


def test_the_funnel_ends_with_the_offers(found: WhatIf, figures: Figures) -> None:
    for side in ("old", "new"):
        for measure, same in (("pairs", "offers"), ("customers", "customers")):
            last = figures.at("funnel", side, "all", "all", "arbitration", measure)
            assert last.estimate == figures.at("offers", side, "all", "all", same).estimate
    assert figures.at("funnel", "new", "all", "all", "considered", "pairs").estimate == 120 * 24
    parts = [i.estimate for s, by, _, _, m, i in figures.rows("funnel") if (s, by, m) == ("new", "segment", "pairs")]
    assert sum(parts) == sum(
        i.estimate for s, by, _, _, m, i in figures.rows("funnel") if (s, by, m) == ("new", "all", "pairs")
    )
    assert found.about.by == ("segment",)


def test_true_profit_is_that_of_the_decisions(retail_engine: Engine, retail_bank: Bank, figures: Figures) -> None:
    truth = pq.read_table(retail_bank.path / "truth.parquet")
    old, new = (retail_engine.with_policy(policy).recommend(retail_bank).decisions for policy in (OLD, NEW))
    known = true_profit(truth, old, new, retail_bank)
    for ranks in ("top", "all"):
        mine, theirs = figures.at("profit", "difference", ranks, "true_profit"), known.difference[ranks]
        assert (mine.estimate, mine.low, mine.high) == pytest.approx((theirs.estimate, theirs.low, theirs.high))


def test_chunks_change_nothing(retail_engine: Engine, retail_bank: Bank, figures: Figures) -> None:
    done: list[int] = []
    parts = what_if(retail_engine, retail_bank, NEW, old=OLD, options=Options(chunk=35), progress=done.append)
    again = Figures.of(parts.comparison)
    assert done == [35, 35, 35, 15]
    for table, rows in figures.found.items():
        assert set(again.found[table]) == set(rows)
        for key, value in rows.items():
            assert again.at(table, *key).estimate == pytest.approx(value.estimate), (table, key)


def test_a_sample_is_keyed_and_comes_with_intervals(retail_engine: Engine, retail_bank: Bank) -> None:
    by = ("employment", "home_owner", "city_tier")
    one, other = (
        what_if(retail_engine, retail_bank, NEW, old=OLD, options=Options(customers=60, by=by, chunk=chunk))
        for chunk in (25, 1000)
    )
    assert one.to_dict()["looked_at"] == other.to_dict()["looked_at"] < 120
    reach = Figures.of(one.comparison).at("offers", "new", "all", "all", "customers")
    assert reach == Figures.of(other.comparison).at("offers", "new", "all", "all", "customers")
    assert reach.low < reach.estimate < reach.high
    assert reach.n == one.about.looked_at
    groups = Figures.of(one.comparison).groups("customers", "home_owner")
    assert set(groups) <= {"true", "false", "not known"}
    assert set(Figures.of(one.comparison).groups("customers", "city_tier")) <= {"1", "2", "3"}


def test_against_itself_nothing_changes(retail_engine: Engine, retail_bank: Bank) -> None:
    same = what_if(retail_engine, retail_bank, retail_engine.policy)
    assert same.about.same
    fates = {fate for by, _, fate, _, i in Figures.of(same.comparison).rows("customers") if by == "all" and i.estimate}
    assert fates <= {"keeps", "without"}


def test_nothing_is_written_to_the_bank_and_all_to_the_folder(
    found: WhatIf, retail_bank: Bank, retail_engine: Engine, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in retail_bank.path.iterdir()}
    what_if(retail_engine, retail_bank, NEW)
    written = found.write(tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in retail_bank.path.iterdir()} == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(written)
    told = json.loads((tmp_path / "out" / "figures.json").read_text(encoding="utf-8"))
    assert told["new"] == NEW.policy_id
    for name, rows in told["tables"].items():
        assert pq.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist() == rows


def test_a_bank_without_truth_segments_or_margins_is_tried_too(world: Path, tmp_path: Path) -> None:
    customers = stored(world, "customers").drop_columns(["segment"])
    plain = altered(world, tmp_path / "bank", {"customers": customers, "truth": None, "evaluation": None})
    fitted = Engine.fit(plain, as_of=AS_OF, ranker=RATES)
    found = what_if(fitted, plain, OLD)
    figures = Figures.of(found.comparison)
    assert found.about.by == ()
    assert not figures.has("profit")
    offers = figures.at("offers", "new", "all", "all", "offers").estimate
    assert figures.at("offers", "new", "all", "all", "offers_without_value").estimate == offers > 0
    found.write(tmp_path / "out")
    assert "have no expected value" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_groups_must_be_there(retail_engine: Engine, retail_bank: Bank) -> None:
    with pytest.raises(BankError, match=r"no groups by 'segmnt' [(]did you mean 'segment'[?][)]; there are age"):
        what_if(retail_engine, retail_bank, NEW, options=Options(by=("segmnt",)))


def test_groups_must_be_few(retail_engine: Engine, retail_bank: Bank) -> None:
    with pytest.raises(BankError, match=r"'income' has 1\d\d different values in one chunk of customers; groups need"):
        what_if(retail_engine, retail_bank, NEW, options=Options(by=("income",)))
