"""True profit by hand, and its difference between two strategies with an interval that covers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextoffer.errors import BankError
from nextoffer.intervals import mean_of_sums
from nextoffer.simulate.profit import ALL, TOP, Earnings, Truth, earned, effects, in_words, true_profit
from nextoffer.tables.bank import Bank

PRODUCTS = pa.table(
    {
        "product_id": ["card", "loan", "fund"],
        "product_type": ["CC", "PL", "MF"],
        "margin": [50.0, 300.0, None],
        "cost": [1.0, 3.0, 2.0],
        "lgd": [None, 0.5, None],
        "exposure": [None, 1000.0, None],
        "subsidy": [10.0, None, None],
    }
)
CUSTOMERS = pa.table({"customer_id": ["a", "b", "c", "d"]})
RISK = pa.table({"customer_id": ["a", "b", "c"], "pd": [0.1, 0.8, None]})
TRUTH = pa.table(
    {
        "customer_id": [c for c in "dcba" for _ in range(3)],
        "product_id": ["card", "loan", "fund"] * 4,
        "p_treated": np.arange(12) / 40 + 0.1,
        "p_control": [0.05, 0.1, 0.0] * 4,
    }
)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    folder = tmp_path_factory.mktemp("profit") / "bank"
    folder.mkdir()
    nothing = pa.table({"customer_id": pa.array([], pa.string()), "product_id": pa.array([], pa.string())})
    tables = {"customers": CUSTOMERS, "products": PRODUCTS, "risk": RISK, "holdings": nothing, "truth": TRUTH}
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    (folder / "bank.toml").write_text('currency = "EUR"\n', encoding="utf-8")
    return Bank.read(folder)


def chance(customer: str, product: str) -> float:
    (row,) = (r for r in TRUTH.to_pylist() if (r["customer_id"], r["product_id"]) == (customer, product))
    return float(row["p_treated"] - row["p_control"])


def offers(*pairs: tuple[str, str], **more: list[object]) -> pa.Table:
    return pa.table({"customer_id": [c for c, _ in pairs], "product_id": [p for _, p in pairs], **more})


def test_an_offer_earns_what_it_adds_less_loss_benefit_and_contact(bank: Bank) -> None:
    old = offers(("a", "loan"), ("b", "loan"), ("c", "card"))
    new = offers(("a", "card"), ("a", "loan"), ("c", "fund"), ("d", "loan"), rank=[2, 1, 1, 1])
    found = true_profit(TRUTH, old, new, bank)
    of_old = [
        chance("a", "loan") * (300 - 0.1 * 500) - 3,
        chance("b", "loan") * (300 - 0.8 * 500) - 3,
        chance("c", "card") * (50 - 10) - 1,
        0.0,
    ]
    loan_of_d = chance("d", "loan") * 300 - 3  # no risk known
    of_new = [of_old[0], 0.0, -2.0, loan_of_d]
    card = chance("a", "card") * 40 - 1
    assert found.control[TOP].estimate == pytest.approx(250 * sum(of_old))
    assert found.treatment[TOP].estimate == pytest.approx(250 * sum(of_new))
    assert found.treatment[ALL].estimate == pytest.approx(250 * (sum(of_new) + card))
    assert found.difference[ALL].estimate == pytest.approx(250 * (sum(of_new) + card - sum(of_old)))
    assert found.difference[TOP].n == 4
    assert "EUR per 1,000 customers" in found.summary()
    assert found.to_dict()["currency"] == "EUR"


def test_the_difference_of_a_strategy_to_itself_is_nothing(bank: Bank) -> None:
    same = offers(("a", "loan"), ("b", "card"))
    difference = true_profit(TRUTH, same, same, bank).difference[ALL]
    assert (difference.estimate, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_the_paired_interval_covers_at_its_stated_rate() -> None:
    rng = np.random.default_rng(8)
    world = rng.exponential(2.0, (4000, 2)) + rng.normal(0, 3, (4000, 1))  # customers differ far more than strategies
    gap = world[:, 1].mean() - world[:, 0].mean()
    covered = 0
    for _ in range(300):
        drawn = world[rng.choice(4000, 200)]
        rows, first, second = np.arange(200), np.zeros(200, dtype=np.intp), np.ones(200, dtype=np.intp)
        both = [earned(drawn, rows, cols)[TOP] for cols in (first, second)]
        difference = both[1] - both[0]
        found = mean_of_sums(difference.sum(), difference @ difference, len(difference))
        covered += found.low <= gap <= found.high
    assert 0.915 < covered / 300 < 0.985


def test_truth_is_read_part_by_part(bank: Bank) -> None:
    truth = Truth.beside(bank.path)
    assert truth is not None
    found = truth.effects(pa.array(["b", "c", "zoe"]), PRODUCTS.column("product_id").combine_chunks())
    assert found[0, 1] == pytest.approx(chance("b", "loan"))
    assert np.isnan(found[2]).all()
    assert np.array_equal(found[:2], effects(TRUTH, pa.array(["b", "c"]), pa.array(["card", "loan", "fund"])))
    assert truth.effects(pa.array([], pa.string()), pa.array(["card"])).shape == (0, 1)


def test_without_a_chance_of_taking_up_unasked_there_is_no_true_profit(bank: Bank, tmp_path: Path) -> None:
    shutil.copytree(bank.path, tmp_path / "bank")
    pq.write_table(TRUTH.drop_columns(["p_control"]), tmp_path / "bank" / "truth.parquet")
    assert Truth.beside(tmp_path / "bank") is None
    assert Truth.beside(tmp_path) is None
    one = offers(("a", "loan"))
    with pytest.raises(BankError, match="no column p_control; true profit needs the chance without an offer too"):
        true_profit(TRUTH.drop_columns(["p_control"]), one, one, bank)


def test_what_is_wrong_is_told(bank: Bank) -> None:
    one = offers(("a", "loan"))
    with pytest.raises(BankError, match=r"treatment: 1 offered pairs are not in the truth, such as .*'zoe'"):
        true_profit(TRUTH, one, offers(("a", "card"), ("zoe", "card")), bank)
    with pytest.raises(BankError, match="control: no column product_id; there are customer_id"):
        true_profit(TRUTH, one.select(["customer_id"]), one, bank)
    with pytest.raises(BankError, match="products: no column margin"):
        Earnings.of(PRODUCTS.drop_columns(["margin"]))


def test_words_say_when_chance_is_not_ruled_out(bank: Bank) -> None:
    found = true_profit(TRUTH, offers(("a", "loan")), offers(("b", "loan")), bank)
    said = in_words(found.difference[TOP], "propensity", "value")
    assert said.startswith("value earns ")
    assert "less than propensity" in said
    assert said.endswith("chance is not ruled out")
