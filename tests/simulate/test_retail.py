from __future__ import annotations

import json
from calendar import monthrange
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.errors import BankError
from nextoffer.simulate import retail
from nextoffer.simulate.retail import catalogue
from nextoffer.simulate.retail.books import Books, books_before, eligible
from nextoffer.simulate.retail.campaigns import FIRST, Season, habits
from nextoffer.simulate.retail.wishes import attraction, wishes
from nextoffer.tables.bank import Bank
from nextoffer.tables.check import check
from tests.simulate.worlds import retail_tables, sorted_rows

TODAY = date(2025, 10, 25)


@settings(max_examples=4)
@given(st.integers(3, 170))
def test_the_world_does_not_depend_on_the_chunk(chunk: int) -> None:
    whole, pieces = retail_tables(customers=160), retail_tables(customers=160, chunk=chunk)
    assert whole.keys() == pieces.keys()
    for name in whole:
        assert sorted_rows(whole[name]).equals(sorted_rows(pieces[name])), name


def test_another_seed_is_another_world() -> None:
    one, other = retail_tables(customers=160), retail_tables(customers=160, seed=8)
    assert all(not one[name].equals(other[name]) for name in one.keys() - {"products", "merchants"})


def test_too_small_a_world_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="customers is 1; a world needs at least 2"):
        retail.generate(tmp_path / "w", customers=1)


# -- the bank


def test_a_clean_bank_has_nothing_wrong_with_it(tmp_path: Path) -> None:
    retail.generate(tmp_path / "bank", customers=200)
    result = check(tmp_path / "bank", TODAY)
    assert [p.message for p in result.problems if p.rule != "unknown_table"] == []
    bank = Bank.read(tmp_path / "bank")
    assert len(bank.tables) == 8
    assert bank.config.sensitive == ("gender",)


def test_a_dirty_bank_has_the_bad_rows_it_says(tmp_path: Path) -> None:
    retail.generate(tmp_path / "bank", customers=1500, dirty=True)
    told = json.loads((tmp_path / "bank" / "dirty.json").read_text())
    found = {(p.table, f"{p.column}: {p.rule}"): p.count for p in check(tmp_path / "bank", TODAY).problems if p.column}
    for table, rules in told.items():
        for rule, count in rules.items():
            assert count > 0, (table, rule)
            assert found.pop((table, rule)) == count, (table, rule)
    assert found == {("risk", "customer_id: unknown_customer"): told["risk"]["pd: out_of_range"]}


def test_a_dirty_bank_without_its_bad_rows_is_the_clean_bank(tmp_path: Path) -> None:
    retail.generate(tmp_path / "dirty", customers=400, dirty=True)
    retail.generate(tmp_path / "clean", customers=400)
    cleaned, clean = Bank.read(tmp_path / "dirty").connect(), Bank.read(tmp_path / "clean").connect()
    for table in ("customers", "holdings", "responses", "consents", "risk"):
        rows = [sorted_rows(c.sql(f"SELECT * FROM {table}").to_arrow_table()) for c in (cleaned, clean)]
        assert rows[0].equals(rows[1]), table


# -- people and money


def test_who_lives_together_lives_in_one_town() -> None:
    customers = retail_tables()["customers"]
    towns = customers.group_by("household_id").aggregate([("city_tier", "count_distinct"), ("customer_id", "count")])
    assert set(towns["city_tier_count_distinct"].to_pylist()) == {1}
    assert set(towns["customer_id_count"].to_pylist()) == {1, 2, 3, 4}


def test_a_salary_comes_each_month_on_the_salary_day() -> None:
    world = retail_tables()
    day = dict(zip(*(world["customers"][c].to_pylist() for c in ("customer_id", "salary_day")), strict=True))
    credits = world["transactions"].filter(pc.equal(world["transactions"]["direction"], "credit")).to_pylist()
    assert len(credits) == 6 * len(day)
    for row in credits:
        last = monthrange(row["date"].year, row["date"].month)[1]
        assert row["date"].day == min(day[row["customer_id"]], last)


def test_richer_customers_earn_and_spend_more() -> None:
    world = retail_tables()
    moved = world["transactions"].join(world["customers"].select(["customer_id", "segment"]), "customer_id")
    mean = moved.group_by(["direction", "segment"]).aggregate([("amount", "mean")]).to_pylist()
    by = {(m["direction"], m["segment"]): m["amount_mean"] for m in mean}
    for direction in ("credit", "debit"):
        assert by[direction, "Mass"] < by[direction, "Affluent"] < by[direction, "HNI"]


def test_nobody_holds_two_tiers_of_one_family_at_a_time() -> None:
    world = retail_tables()
    held = world["holdings"].filter(pc.is_null(world["holdings"]["closed_on"]))
    held = held.join(world["products"].select(["product_id", "family"]), "product_id")
    counts = held.group_by(["customer_id", "family"]).aggregate([("product_id", "count")])
    assert pc.max(counts["product_id_count"]).as_py() == 1
    accounts = held.filter(pc.equal(held["family"], "current account"))
    assert accounts.num_rows == world["customers"].num_rows


def test_a_new_tier_closes_the_lower_one() -> None:
    classic, gold = (catalogue.texts("name").index(name) for name in ("Classic Card", "Gold Card"))
    opened, closed = np.full((1, 24), -1), np.full((1, 24), -1)
    opened[0, classic] = 500
    taken = np.zeros((1, 24), dtype=bool)
    taken[0, gold] = True
    books = Books(opened, closed).with_new(taken, np.full((1, 24), 30))
    assert np.flatnonzero(books.held[0]).tolist() == [gold]
    assert (books.closed[0, classic], books.opened[0, gold]) == (30, 30)


# -- campaigns and truth


def _first_campaign(world: retail.World):
    people = world.people(np.arange(world.customers))
    truth = wishes(world, people)
    books = books_before(world, people, attraction(people), days_back=FIRST)
    season = Season(world, people, truth, books, np.zeros((world.customers, 1)))
    return people, truth, books, next(season.play())


def _said(world: dict[str, pa.Table]) -> dict[tuple[str, str | None], list[tuple[date, bool]]]:
    """What customers said to marketing, in general and of a channel."""
    said: dict[tuple[str, str | None], list[tuple[date, bool]]] = {}
    for row in world["consents"].to_pylist():
        if row["purpose"] == "marketing":
            key = row["customer_id"], row["channel"]
            said.setdefault(key, []).append((row["recorded_on"], row["granted"]))
    return said


def test_offers_keep_to_consent() -> None:
    world = retail_tables()
    said = _said(world)
    assert any(len(answers) == 2 for answers in said.values())
    for row in world["responses"].to_pylist():
        assert max(a for a in said[row["customer_id"], None] if a[0] <= row["offered_on"])[1]
        refused = said.get((row["customer_id"], row["channel"]), [])
        assert not any(on <= row["offered_on"] for on, _ in refused)


def test_a_channel_is_refused_after_consent_was_given() -> None:
    world = retail_tables(customers=6000)
    said = _said(world)
    refused = {key: answers for key, answers in said.items() if key[1] is not None}
    for (customer, _), answers in refused.items():
        assert len(answers) == 1
        assert not answers[0][1]
        assert min(said[customer, None])[1]
        assert min(said[customer, None])[0] < answers[0][0] < TODAY
    agreed = sum(min(answers)[1] for (_, channel), answers in said.items() if channel is None)
    shares = {c: sum(channel == c for _, channel in refused) / agreed for c in ("phone", "mobile", "web", "branch")}
    assert shares == pytest.approx({"phone": 0.06, "mobile": 0.02, "web": 0.01, "branch": 0.0}, abs=0.015)


def test_some_say_no_and_others_nothing() -> None:
    rows = retail_tables(customers=6000)["responses"].filter(pc.field("label") == 0)
    dated = rows.filter(pc.is_valid(rows["responded_on"])).to_pylist()
    assert {row["arm"] for row in dated} == {"treatment"}
    assert all(0 <= (row["responded_on"] - row["offered_on"]).days < 14 for row in dated)
    made = rows.filter(pc.field("arm") == "treatment").num_rows
    assert len(dated) / made == pytest.approx(0.2, abs=0.02)


def test_lending_pays_but_not_to_everybody() -> None:
    world = retail_tables(customers=6000)
    credit = world["products"].filter(pc.is_valid(world["products"]["exposure"]))
    assert credit["product_id"].to_pylist() == [f"P{k:02d}" for k in range(4, 13)]
    margin, lgd, exposure, least = (
        credit[c].cast(pa.float64()).to_numpy() for c in ("margin", "lgd", "exposure", "min_income")
    )
    people = world["customers"].join(world["risk"], "customer_id")
    value = margin - people["pd"].to_numpy()[:, None] * lgd * exposure
    allowed = people["income"].to_numpy()[:, None] >= 0.8 * least
    losing = (allowed & (value < 0)).sum(axis=0) / allowed.sum(axis=0)
    assert (losing > 0.0).all()
    assert (losing < 0.35).all()
    assert losing.mean() == pytest.approx(1 / 9, abs=0.03)


def test_a_benefit_costs_less_than_the_product_earns() -> None:
    products = retail_tables()["products"]
    some = products.filter(pc.is_valid(products["subsidy"])).to_pylist()
    assert len(some) == 4
    assert all(0 < row["subsidy"] < row["margin"] for row in some)


def test_what_is_taken_up_is_held_from_that_day() -> None:
    world = retail_tables()
    opened = set(
        zip(*(world["holdings"][c].to_pylist() for c in ("customer_id", "product_id", "opened_on")), strict=True)
    )
    taken = world["responses"].filter(pc.equal(world["responses"]["label"], 1)).to_pylist()
    assert len(taken) > 50
    assert all((row["customer_id"], row["product_id"], row["responded_on"]) in opened for row in taken)
    assert all(0 <= (row["responded_on"] - row["offered_on"]).days < 14 for row in taken)


def test_an_offer_is_drawn_with_the_probability_it_names() -> None:
    people, _, books, played = _first_campaign(retail.World(20_000))
    weights = eligible(people, books) * habits(people)
    some = weights.any(axis=1)
    chance = weights[some] / weights[some].sum(axis=1, keepdims=True)
    product, pscore = played.draw.product[some], played.draw.pscore[some]
    assert not played.draw.asked[~some].any()
    assert pscore == pytest.approx(chance[np.arange(len(product)), product])
    counts, expected = np.bincount(product, minlength=24), chance.sum(axis=0)
    spread = np.sqrt((chance * (1 - chance)).sum(axis=0))
    assert (np.abs(counts - expected) < 4.5 * np.maximum(spread, 1e-9)).all()


@pytest.mark.parametrize("arm", ["treatment", "control"])
def test_offers_are_answered_as_the_truth_says(arm: str) -> None:
    people, truth, _, played = _first_campaign(retail.World(30_000))
    draw = played.draw
    preferred = draw.channel == people.channel
    inside = draw.asked & (draw.control if arm == "control" else draw.contacted & preferred)
    chance = (truth.control if arm == "control" else truth.treated())[np.arange(30_000), draw.product][inside]
    error = (played.taken[inside].sum() - chance.sum()) / np.sqrt((chance * (1 - chance)).sum())
    assert abs(error) < 4


def test_offers_help_most_customers_and_put_some_off() -> None:
    truth = retail_tables()["truth"]
    worse = pc.mean(pc.less(truth["p_treated"], truth["p_control"]).cast(pa.int8())).as_py()
    assert worse == pytest.approx(0.12, abs=0.04)
    assert pc.mean(truth["p_treated"]).as_py() > 5 * pc.mean(truth["p_control"]).as_py()


def test_repeated_offers_do_less() -> None:
    truth = wishes(retail.World(500), retail.World(500).people(np.arange(500)))
    first, later = truth.treated(1.0) - truth.control, truth.treated(0.5) - truth.control
    assert (np.abs(later) < np.abs(first)).all()


def test_the_truth_names_every_pair_once() -> None:
    world = retail_tables()
    pairs = set(zip(*(world["truth"][c].to_pylist() for c in ("customer_id", "product_id")), strict=True))
    assert len(pairs) == world["truth"].num_rows == 24 * world["customers"].num_rows


def test_control_rows_are_a_known_share() -> None:
    arms = retail_tables(customers=6000)["responses"]["arm"]
    share = pc.mean(pc.equal(arms, "control").cast(pa.int8())).as_py()
    assert share == pytest.approx(0.15, abs=5 * 0.36 / len(arms) ** 0.5)
