from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.errors import BankError
from nextoffer.simulate import reference
from nextoffer.simulate.reference.rows import TYPES_OF_CATEGORY
from nextoffer.tables.bank import Bank
from tests.simulate.worlds import pairs, reference_tables, sorted_rows

SHAPE = (1500, 12)


@settings(max_examples=5)
@given(st.integers(3, 170))
def test_the_world_does_not_depend_on_the_chunk(chunk: int) -> None:
    whole, pieces = reference_tables(customers=160), reference_tables(customers=160, chunk=chunk)
    assert whole.keys() == pieces.keys()
    for name in whole:
        assert sorted_rows(whole[name]).equals(sorted_rows(pieces[name])), name


def test_worlds_of_one_seed_share_the_customers_they_both_have() -> None:
    small, large = reference_tables(customers=160), reference_tables()
    for name in ("customers", "transactions", "holdings"):
        first = large[name].filter(pc.less(large[name]["customer_id"], 160))
        assert sorted_rows(first).equals(sorted_rows(small[name])), name


def test_another_seed_is_another_world() -> None:
    one, other = reference_tables(customers=160), reference_tables(customers=160, seed=8)
    assert all(not one[name].equals(other[name]) for name in one)


def test_customers_are_drawn_as_the_recipe_says() -> None:
    customers = reference_tables(customers=20_000)["customers"].to_pydict()
    n = 20_000
    assert (min(customers["age"]), max(customers["age"])) == (21, 69)
    assert (min(customers["salary_day"]), max(customers["salary_day"])) == (25, 30)
    assert min(customers["income"]) == 2.0
    assert np.median(customers["income"]) == pytest.approx(8.0, abs=5 * 1.2533 * 3 / n**0.5)
    expected = {
        "segment": {"Mass": 0.6, "Affluent": 0.3, "HNI": 0.1},
        "channel_pref": {"mobile": 0.5, "web": 0.25, "branch": 0.2, "phone": 0.05},
        "city_tier": {1: 0.35, 2: 0.45, 3: 0.2},
    }
    for column, shares in expected.items():
        counts = Counter(customers[column])
        assert {k: counts[k] / n for k in shares} == pytest.approx(shares, abs=5 * 0.5 / n**0.5), column


def test_transactions_are_drawn_as_the_recipe_says() -> None:
    made = reference_tables()["transactions"]
    counts = np.bincount(made["customer_id"].to_numpy())
    days = made["date"].to_numpy()
    assert (counts.min(), counts.max()) == (15, 59)
    assert (str(days.min()), str(days.max())) == ("2025-04-29", "2025-10-24")
    assert made["amount"].to_numpy().mean() == pytest.approx(1620, abs=5 * 950 / made.num_rows**0.5)
    assert made["amount"].to_numpy().min() >= 0


def test_holdings_are_one_to_three_and_a_product_only_once() -> None:
    held = reference_tables()["holdings"]
    counts = np.bincount(held["customer_id"].to_numpy())
    shares = np.bincount(counts, minlength=4)[1:] / len(counts)
    assert len(set(zip(*held.to_pydict().values(), strict=True))) == held.num_rows
    assert shares == pytest.approx([0.3634, 0.3819, 0.2546], abs=5 * 0.5 / len(counts) ** 0.5)


def test_the_noiseless_truth_is_one_standardised_number_per_customer_times_one_per_product() -> None:
    truth = pairs(reference_tables()["truth"], "noiseless_score", SHAPE)
    left, strength, right = np.linalg.svd(truth)
    assert strength[0] == pytest.approx((1500 * 12) ** 0.5)
    assert strength[1] < 1e-9
    assert abs(left[:, 0].mean()) < 1e-9
    assert abs(right[0].mean()) < 1e-9


def test_taste_is_half_as_wide_as_the_noiseless_truth() -> None:
    truth = reference_tables()["truth"]
    taste = truth["true_score"].to_numpy() - truth["noiseless_score"].to_numpy()
    assert taste.std() == pytest.approx(0.5, abs=0.02)
    assert taste.mean() == pytest.approx(0.0, abs=0.02)
    assert abs(np.corrcoef(taste, truth["noiseless_score"].to_numpy())[0, 1]) < 0.04


def _eligible(world: dict) -> np.ndarray:
    income = world["customers"]["income"].to_numpy()[:, None]
    able = income >= 0.8 * world["products"]["min_income"].to_numpy()[None, :]
    held = world["holdings"]
    able[held["customer_id"].to_numpy(), held["product_id"].to_numpy()] = False
    return able


def test_each_campaign_contacts_six_eligible_products_or_all_there_are() -> None:
    world = reference_tables()
    eligible, responses = _eligible(world), world["responses"]
    for k in range(6):
        rows = responses.filter(pc.equal(responses["campaign_ix"], k))
        offered = np.zeros(SHAPE, dtype=int)
        np.add.at(offered, (rows["customer_id"].to_numpy(), rows["product_id"].to_numpy()), 1)
        assert offered.max() == 1
        assert not (offered[~eligible]).any()
        assert (offered.sum(axis=1) == np.minimum(eligible.sum(axis=1), 6)).all()
        assert {str(day) for day in rows["offered_on"].to_pylist()} == {str(np.datetime64("2025-09-13") + 7 * k)}


def test_contacts_are_accepted_with_their_true_probability() -> None:
    world = reference_tables(customers=6000)
    chance = 0.25 / (1 + np.exp(-pairs(world["truth"], "true_score", (6000, 12))))
    rows = world["responses"]
    p = chance[rows["customer_id"].to_numpy(), rows["product_id"].to_numpy()]
    label = rows["label"].to_numpy()
    for band in np.array_split(np.argsort(p), 5):
        error = (label[band] - p[band]).sum() / np.sqrt((p[band] * (1 - p[band])).sum())
        assert abs(error) < 4


def test_evaluation_holds_the_validation_labels_of_every_eligible_pair() -> None:
    world = reference_tables()
    label = pairs(world["evaluation"], "label", SHAPE)
    assert (np.isfinite(label) == _eligible(world)).all()
    seen = np.full(SHAPE, np.nan)
    for row in world["responses"].to_pylist():
        if row["campaign_ix"] >= 4:
            at = row["customer_id"], row["product_id"]
            seen[at] = np.fmax(seen[at], row["label"])
    asked = np.isfinite(seen)
    assert (label[asked] == seen[asked]).all()
    assert label[~asked & np.isfinite(label)].mean() == pytest.approx(0.02, abs=0.015)


def test_popularity_is_learned_from_the_training_campaigns_only() -> None:
    world = reference_tables()
    training = world["responses"].filter(pc.less(world["responses"]["campaign_ix"], 4))
    rates = {
        r["product_id"]: r["label_mean"]
        for r in training.group_by("product_id").aggregate([("label", "mean")]).to_pylist()
    }
    for product, popularity in zip(
        *world["evaluation"].select(["product_id", "popularity"]).to_pydict().values(), strict=True
    ):
        assert popularity == pytest.approx(rates[product])


def test_the_heuristic_is_the_one_of_the_notebook() -> None:
    world = reference_tables(customers=160)
    customers, products = world["customers"].to_pylist(), world["products"].to_pylist()
    shops: dict[int, Counter[str]] = {c["customer_id"]: Counter() for c in customers}
    for row in world["transactions"].to_pylist():
        shops[row["customer_id"]][row["mcc"]] += 1
    for row in world["evaluation"].to_pylist():
        product, count = products[row["product_id"]], shops[row["customer_id"]]
        favourite = min(count, key=lambda name: (-count[name], name))
        expected = 0.4 * row["popularity"] + 0.2 * (customers[row["customer_id"]]["income"] >= product["min_income"])
        expected += 0.4 * (product["product_type"] in TYPES_OF_CATEGORY[favourite])
        assert row["heuristic"] == pytest.approx(expected)


def test_progress_ends_with_the_last_step(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    reference.write(
        reference.World(50), tmp_path / "w", chunk=20, progress=lambda done, total: steps.append((done, total))
    )
    assert steps == [(k, 9) for k in range(1, 10)]


def test_the_folder_is_a_bank(tmp_path: Path) -> None:
    reference.generate(tmp_path / "w", customers=50, products=5, seed=3)
    bank = Bank.read(tmp_path / "w")
    assert set(bank.tables) == {"customers", "products", "merchants", "transactions", "holdings", "responses"}
    assert bank.connect().sql("SELECT count(*) FROM responses").fetchall()[0][0] > 0


def test_too_small_a_world_names_all_that_is_too_small(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="customers is 1; a world needs at least 2\nproducts is 0"):
        reference.generate(tmp_path / "w", customers=1, products=0)
