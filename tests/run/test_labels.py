"""What there is to learn from: responses, or else adoptions, each with the customer as known on its day."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nextoffer.errors import ModelError
from nextoffer.features import discover
from nextoffer.run.labels import ADOPTION_WINDOW, ADOPTION_WINDOWS, MAX_SNAPSHOTS, Labelled, Sample, labelled
from nextoffer.tables.bank import Bank
from tests.features.banks import Rows, bank_of

TODAY = date(2025, 7, 1)
PEOPLE: Rows = [(i, 30.0 + i, 50.0, "Mass", 1.0, None, None, True) for i in range(1, 5)]
GOODS: Rows = [("A", "card", None), ("B", "loan", None), ("C", "savings", None)]
Pair = tuple[int, str, date, float]


def days(count: int) -> date:
    """The day so many days before today."""
    return TODAY - timedelta(days=count)


def toy(folder: Path, *, holdings: Rows = (), responses: Rows | pa.Table | None = None) -> Bank:
    tables: dict[str, Rows | pa.Table] = {"customers": PEOPLE, "products": GOODS, "holdings": holdings}
    return bank_of(folder, tables if responses is None else {**tables, "responses": responses})


def labels_of(bank: Bank, as_of: date = TODAY) -> Labelled:
    return labelled(bank, discover(bank, as_of), as_of, seed=7)


def rows_of(found: Labelled) -> set[Pair]:
    """Customer, product, day of the snapshot and label of every pair."""
    training = found.training
    return {
        (
            training.snapshots[s].customer_ids[int(row)].as_py(),
            training.products.ids[col],
            training.snapshots[s].as_of,
            float(label),
        )
        for s, row, col, label in zip(training.snapshot, training.rows, training.cols, training.labels, strict=True)
    }


def test_responses_before_the_day_are_the_labels(tmp_path: Path) -> None:
    responses: Rows = [
        (1, "A", days(20), 1, days(18)),
        (1, "B", days(20), 0, None),
        (2, "A", days(9), 1, TODAY),
        (3, "C", days(9), 1, None),
        (4, "C", TODAY, 1, TODAY),
    ]
    found = labels_of(toy(tmp_path, responses=responses))
    assert found.source == "responses"
    assert rows_of(found) == {
        (1, "A", days(20), 1.0),
        (1, "B", days(20), 0.0),
        (2, "A", days(9), 0.0),  # had not answered by then
        (3, "C", days(9), 1.0),
    }
    assert found.training.weights.tolist() == [1.0] * 4


def test_the_last_snapshot_is_of_every_customer_on_the_day_of_the_fit(tmp_path: Path) -> None:
    found = labels_of(toy(tmp_path, responses=[(2, "A", days(9), 1, None), (2, "B", days(9), 0, None)]))
    assert [(s.as_of, s.customer_ids.to_pylist()) for s in found.training.snapshots] == [
        (days(9), [2]),
        (TODAY, [1, 2, 3, 4]),
    ]


def test_many_days_share_few_snapshots_none_of_them_later_than_the_offer(tmp_path: Path) -> None:
    offered = [days(3 * k + 1) for k in range(40)]
    rows: Rows = [(1 + k % 4, "ABC"[k % 3], day, k % 2, None) for k, day in enumerate(offered)]
    training = labels_of(toy(tmp_path, responses=rows)).training
    dates = [s.as_of for s in training.snapshots]
    assert len(dates) == MAX_SNAPSHOTS + 1
    assert dates == sorted(dates)
    assert (dates[0], dates[-1]) == (min(offered), TODAY)
    for snapshot, day in zip(training.snapshot, sorted(offered), strict=True):
        assert dates[snapshot] == max(d for d in dates[:-1] if d <= day)


def test_pairs_of_one_customer_have_one_key(tmp_path: Path) -> None:
    rows: Rows = [(c, p, days(9), int(p == "A"), None) for c in (1, 2, 3) for p in "ABC"]
    training = labels_of(toy(tmp_path, responses=rows)).training
    people = training.snapshots[0].customer_ids.to_numpy()[training.rows]
    keys = {(int(c), int(k)) for c, k in zip(people, training.customers, strict=True)}
    assert len(keys) == len({k for _, k in keys}) == 3


def test_adoptions_are_products_opened_within_a_window(tmp_path: Path) -> None:
    window = ADOPTION_WINDOW.days
    holdings: Rows = [
        (1, "A", days(400), None),  # held all along
        (1, "B", days(2 * window), None),  # the first day of a window
        (2, "A", days(window + 1), None),  # the last day of that window
        (2, "B", days(400), days(2 * window + 5)),  # closed before it
        (2, "C", None, None),  # held, since when is not known
        (3, "C", days(1), days(1)),  # opened and closed within a window
        (3, "B", TODAY, None),  # today is not known yet
        (4, "A", days(2 * window + 40), days(window)),  # held until the last window began
    ]
    found = labels_of(toy(tmp_path, holdings=holdings))
    assert found.source == "adoptions"
    starts = [days(window * k) for k in range(ADOPTION_WINDOWS, 0, -1)]
    assert [s.as_of for s in found.training.snapshots] == [*starts, TODAY]
    seen = rows_of(found)
    assert {row for row in seen if row[3] == 1.0} == {
        (1, "B", days(2 * window), 1.0),
        (2, "A", days(2 * window), 1.0),
        (3, "C", days(window), 1.0),
        (4, "A", days(4 * window), 1.0),
    }
    last = {row[:2] for row in seen if row[2] == days(window)}
    assert last == {(1, "C"), (2, "B"), (3, "A"), (3, "B"), (3, "C"), (4, "B"), (4, "C")}


def test_adoption_windows_begin_when_the_bank_knows_of_openings(tmp_path: Path) -> None:
    found = labels_of(toy(tmp_path, holdings=[(1, "A", days(70), None), (2, "B", days(10), None)]))
    assert [s.as_of for s in found.training.snapshots] == [days(60), days(30), TODAY]


def test_refusals_left_out_are_carried_by_those_kept(tmp_path: Path) -> None:
    people = 2800
    customers = pa.table({"customer_id": np.arange(people)})
    products = pa.table({"product_id": [f"P{i}" for i in range(20)], "product_type": ["card"] * 20})
    opened = [days(1 + (7 * i) % 170) for i in range(900)]
    holdings = pa.table(
        {
            "customer_id": np.arange(900) * 3,
            "product_id": [f"P{i % 20}" for i in range(900)],
            "opened_on": pa.array(opened, pa.date32()),
        }
    )
    bank = bank_of(tmp_path, {"customers": customers, "products": products, "holdings": holdings})
    training = labels_of(bank).training
    accepted = training.labels > 0
    windows = [days(30 * k) for k in range(5, 0, -1)]
    adopted = [day for day in opened if day >= windows[0]]
    assert int(accepted.sum()) == len(adopted)
    assert set(training.weights[accepted]) == {1.0}
    held = sum(sum(day < w for w in windows) for day in opened)
    refused = len(windows) * people * 20 - held - len(adopted)
    (weight,) = set(training.weights[~accepted])
    assert weight > 1.2
    spread = weight * np.sqrt(refused * (1 / weight) * (1 - 1 / weight))
    assert training.weights[~accepted].sum() == pytest.approx(refused, abs=5 * spread)


def test_what_is_kept_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    holdings: Rows = [(c, "ABC"[c % 3], days(5 * c), None) for c in (1, 2, 3, 4)]
    first, second = (
        labels_of(toy(tmp_path / name, holdings=rows)).training
        for name, rows in (("a", holdings), ("b", holdings[::-1]))
    )
    for mine, theirs in ((first.labels, second.labels), (first.cols, second.cols), (first.rows, second.rows)):
        assert np.array_equal(mine, theirs)


def test_a_small_bank_is_learned_from_as_it_is(tmp_path: Path) -> None:
    bank = toy(tmp_path, responses=[(1, "A", days(9), 1, None)])
    assert Sample.of(bank, most=4, seed=7) == Sample(bank, 4, 4)


PEOPLE_OF_A_LARGE_BANK = 4_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """Every customer got two offers; every tenth said yes to the first, every fourth to the second."""
    ids = np.arange(PEOPLE_OF_A_LARGE_BANK)
    responses = pa.concat_tables(
        pa.table(
            {
                "customer_id": ids,
                "product_id": [product] * len(ids),
                "offered_on": [day] * len(ids),
                "label": (ids % every == 0).astype(np.int64),
                "responded_on": pa.nulls(len(ids), pa.date32()),
            }
        )
        for product, day, every in (("A", days(20), 10), ("B", days(9), 4))
    )
    tables = {
        "customers": pa.table({"customer_id": ids}),
        "products": GOODS,
        "holdings": [(i, "C", None, None) for i in range(0, 4000, 5)],
    }
    return bank_of(tmp_path_factory.mktemp("large"), {**tables, "responses": responses})


def rate(found: Labelled, product: int) -> float:
    mine = found.training.cols == product
    return float(np.average(found.training.labels[mine], weights=found.training.weights[mine]))


def test_a_large_bank_is_sampled_by_customer_with_all_their_rows(large: Bank) -> None:
    sample = Sample.of(large, most=800, seed=7)
    assert sample.customers_in_bank == PEOPLE_OF_A_LARGE_BANK
    assert sample.customers == pytest.approx(800, abs=5 * np.sqrt(800 * 0.8))
    chosen = set(sample.bank.table("customers").column("customer_id").to_pylist())
    assert len(chosen) == sample.customers
    assert chosen == set(Sample.of(large, most=800, seed=7).bank.table("customers").column("customer_id").to_pylist())
    for table in ("holdings", "responses"):
        every = large.table(table)
        kept = every.filter(pc.is_in(every.column("customer_id"), value_set=pa.array(sorted(chosen))))
        order = [("customer_id", "ascending"), ("product_id", "ascending")]
        assert sample.bank.table(table).sort_by(order).equals(kept.sort_by(order))
    assert sample.bank.table("products").equals(large.table("products"))


def test_rates_learned_from_samples_are_unbiased_after_weighting(large: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many keys their mean is the bank's rate, although customers and refusals were both thinned out."""
    monkeypatch.setattr("nextoffer.run.labels.NEGATIVES_AT_LEAST", 0.0)
    monkeypatch.setattr("nextoffer.run.labels.NEGATIVES_PER_POSITIVE", 2.0)
    rates = []
    for seed in range(30):
        sample = Sample.of(large, most=500, seed=seed)
        found = labelled(sample.bank, discover(sample.bank, TODAY), TODAY, seed=seed)
        assert 0.2 < found.refusals_share < 0.9
        rates.append([rate(found, 0), rate(found, 1)])
    error = np.std(rates, axis=0, ddof=1) / np.sqrt(len(rates))
    assert np.all(error < 0.01)
    assert np.all(np.abs(np.mean(rates, axis=0) - [0.1, 0.25]) < 3.5 * error)


NOTHING: dict[str, dict[str, Rows]] = {
    "no responses and no openings": {},
    "empty responses": {"responses": []},
    "responses from the day on": {"responses": [(1, "A", TODAY, 1, None)]},
    "openings long ago": {"holdings": [(1, "A", days(1000), None)]},
    "openings from the day on": {"holdings": [(1, "A", TODAY, None)]},
    "openings not dated": {"holdings": [(1, "A", None, None)]},
}


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_to_learn_from_is_an_error_that_says_what_is_needed(tmp_path: Path, case: str) -> None:
    bank = toy(tmp_path, **NOTHING[case])
    present = ", ".join(bank.tables)
    with pytest.raises(ModelError, match="nothing to learn from before 2025-07-01: needed are rows in") as caught:
        labels_of(bank)
    assert str(caught.value).endswith(f"holdings with opened_on in the 6 months before it; tables present: {present}")


def test_holdings_without_dates_are_not_adoptions(tmp_path: Path) -> None:
    holdings = pa.table({"customer_id": [1], "product_id": ["A"]})
    bank = bank_of(tmp_path, {"customers": PEOPLE, "products": GOODS, "holdings": holdings})
    with pytest.raises(ModelError, match="nothing to learn from"):
        labels_of(bank)
