"""A test read off a bank's tables: everybody assigned counts, from the day of assignment on."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextoffer.errors import ExperimentError
from nextoffer.experiment.bank import gather_bank
from nextoffer.experiment.file import Experiment
from nextoffer.experiment.gather import check_assignment
from nextoffer.tables.bank import Bank
from tests.experiment.toys import experiment

START, END = date(2026, 3, 1), date(2026, 3, 20)
METRICS = """
[[metric]]
name = "accepted"
covariates = ["pre_accepted", "age"]
[[metric]]
name = "margin"
kind = "value"
covariates = ["pre_spend"]
[[metric]]
name = "spend"
kind = "value"
[[metric]]
name = "said no"
column = "rejected"
[[metric]]
name = "offers"
kind = "value"
"""
CUSTOMERS = 300

Own = dict[str, dict[int, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def rows() -> dict[str, pa.Table]:
    draw = np.random.default_rng(7)
    n = 3000
    day = [START + timedelta(days=int(d)) for d in draw.integers(-60, 25, n)]
    label = (draw.random(n) < 0.3).astype(int)
    answered = [
        d + timedelta(days=2) if y or no else None for d, y, no in zip(day, label, draw.random(n) < 0.2, strict=True)
    ]
    transactions = 2000
    return {
        "customers": pa.table({"customer_id": np.arange(CUSTOMERS), "age": draw.integers(20, 80, CUSTOMERS)}),
        "products": pa.table({"product_id": ["card", "loan"], "product_type": ["CC", "PL"], "margin": [30.0, 200.0]}),
        "holdings": pa.table({"customer_id": [0], "product_id": ["card"]}),
        "responses": pa.table(
            {
                "customer_id": draw.integers(0, CUSTOMERS, n),
                "product_id": np.array(["card", "loan"])[draw.integers(0, 2, n)],
                "offered_on": pa.array(day),
                "label": label,
                "responded_on": pa.array(answered, pa.date32()),
                "arm": np.array(["treatment", "control"])[(draw.random(n) < 0.1).astype(int)],
            }
        ),
        "transactions": pa.table(
            {
                "customer_id": draw.integers(0, CUSTOMERS, transactions),
                "date": pa.array([START + timedelta(days=int(d)) for d in draw.integers(-60, 25, transactions)]),
                "amount": draw.gamma(1.0, 30.0, transactions).round(2),
                "direction": np.array(["debit", "credit"])[(draw.random(transactions) < 0.2).astype(int)],
            }
        ),
    }


@pytest.fixture(scope="module")
def bank(rows: dict[str, pa.Table], tmp_path_factory: pytest.TempPathFactory) -> Bank:
    folder = tmp_path_factory.mktemp("bank")
    for name, table in rows.items():
        pq.write_table(table, folder / f"{name}.parquet")
    return Bank.read(folder)


def assignment(test: Experiment) -> pa.Table:
    ids = np.arange(CUSTOMERS - 20)
    on = [START + timedelta(days=int(c % 3)) for c in ids]
    return check_assignment(
        pa.table({"customer_id": ids, "arm": np.array(test.arms)[ids % 2], "assigned_on": pa.array(on)}), test, "a"
    )


@pytest.fixture(scope="module")
def own(rows: dict[str, pa.Table]) -> Own:
    """Responses and transactions of each customer, row by row."""
    out: Own = {name: {c: [] for c in range(CUSTOMERS)} for name in ("responses", "transactions")}
    for name, by_customer in out.items():
        for row in rows[name].to_pylist():
            by_customer[row["customer_id"]].append(row)
    return out


def by_hand(own: Own, metric: str, customer: int, until: date) -> float:
    """What one customer did from the day of assignment on."""
    since = START + timedelta(days=customer % 3)
    if metric == "spend":
        return sum(
            r["amount"]
            for r in own["transactions"][customer]
            if since <= r["date"] <= until and r["direction"] == "debit"
        )
    total = 0.0
    for r in own["responses"][customer]:
        day = r["offered_on"] if metric == "offers" else r["responded_on"] or r["offered_on"]
        if r["offered_on"] < START or not since <= day <= until:
            continue
        made = r["arm"] != "control"
        total += {
            "accepted": float(r["label"]),
            "margin": r["label"] * (30.0 if r["product_id"] == "card" else 200.0),
            "said no": float(made and not r["label"] and r["responded_on"] is not None),
            "offers": float(made),
        }[metric]
    return min(total, 1.0) if metric in ("accepted", "said no") else total


@pytest.mark.parametrize("metric", ["accepted", "margin", "spend", "said no", "offers"])
def test_sums_are_what_customers_did_so_far(bank: Bank, own: Own, metric: str) -> None:
    test = experiment(metrics=METRICS)
    found = gather_bank(bank, test, assignment(test), until=END)
    sums = found.sums[metric]
    for day in (0, 1, 7, 19):
        today = found.days[day]
        for arm in (0, 1):
            inside = [c for c in range(CUSTOMERS - 20) if c % 2 == arm and c % 3 <= day]
            values = np.array([by_hand(own, metric, c, today) for c in inside])
            at = sums.at(day)
            assert at.n[arm] == len(inside)
            assert at.totals[arm, 0] == pytest.approx(values.sum())
            assert at.products[arm, 0, 0] == pytest.approx((values**2).sum())


def test_covariates_look_at_the_time_before(bank: Bank, own: Own) -> None:
    test = experiment(metrics=METRICS, top="pre_days = 30\n")
    sums = gather_bank(bank, test, assignment(test), until=END).sums["margin"].at(-1)
    first = START - timedelta(days=30)
    spent = {
        c: sum(r["amount"] for r in mine if first <= r["date"] < START and r["direction"] == "debit")
        for c, mine in own["transactions"].items()
    }
    inside = [c for c in range(CUSTOMERS - 20) if c % 2 == 1]
    values = np.array([by_hand(own, "margin", c, END) for c in inside])
    before = np.array([spent[c] for c in inside])
    assert sums.means()[1] + sums.centre == pytest.approx([values.mean(), before.mean()])
    assert sums.scatter()[1][0, 1] == pytest.approx(np.cov(values, before)[0, 1] * (len(inside) - 1))


def test_only_offers_that_count(bank: Bank) -> None:
    everything, cards = (
        gather_bank(bank, test, assignment(test), until=END).sums["accepted"].at(-1).successes().sum()
        for test in (experiment(), experiment(top='offers = { product_type = "CC" }\n'))
    )
    assert 0 < cards < everything


def test_the_share_is_of_customer_days(bank: Bank) -> None:
    test = experiment()
    found = gather_bank(bank, test, assignment(test), until=END)
    days = [20 - c % 3 for c in range(CUSTOMERS - 20)]
    planned = [28 - c % 3 for c in range(CUSTOMERS - 20)]
    assert found.shares[-1] == pytest.approx(sum(days) / sum(planned))


def test_customers_who_are_gone_are_told(bank: Bank) -> None:
    given = check_assignment(pa.table({"customer_id": [1, 2, 900], "arm": ["old", "new", "new"]}), experiment(), "a")
    found = gather_bank(bank, experiment(), given, until=END)
    assert found.notes == ("1 assigned customers are not in the bank, and are left out.",)
    assert found.counts == (1, 1)


def test_the_last_day_is_that_of_the_tables_or_of_the_test(bank: Bank) -> None:
    test = experiment()
    assert gather_bank(bank, test, assignment(test)).days[-1] == date(2026, 3, 27)
    short = test.model_copy(update={"ends": date(2026, 3, 10)})
    assert gather_bank(bank, short, assignment(test)).days[-1] == date(2026, 3, 10)
    with pytest.raises(ExperimentError, match="starts on 2027-01-01, but the bank's tables end on 2026-03-2"):
        gather_bank(bank, test.model_copy(update={"starts": date(2027, 1, 1), "ends": None}), assignment(test))


def test_what_a_bank_cannot_tell_is_named(bank: Bank) -> None:
    metrics = '[[metric]]\nname = "acepted"\n[[metric]]\nname = "accepted"\ncovariates = ["pre_spnd", "agee"]\n'
    test = experiment(metrics=metrics, top='offers = { product_tipe = "CC" }\n')
    with pytest.raises(ExperimentError, match="a bank has no 'acepted'") as error:
        gather_bank(bank, test, assignment(test))
    told = "\n".join(error.value.problems)
    assert "(did you mean 'accepted'?); there are accepted, offers, rejected, margin, spend" in told
    assert "no covariate 'pre_spnd' (did you mean 'pre_spend'?)" in told
    assert "no covariate 'agee' (did you mean 'age'?)" in told
    assert "products have no column 'product_tipe' (did you mean 'product_type'?)" in told
