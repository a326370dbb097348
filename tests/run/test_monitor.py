"""A bank is held against the day of its model's fit: nothing changed is green, and each planted fault is found."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nextoffer.errors import NextOfferError
from nextoffer.evaluate.alarm import MONITORING, Check
from nextoffer.evaluate.monitoring import KINDS
from nextoffer.policy.file import Arbitration, Policy
from nextoffer.run.engine import Engine
from nextoffer.run.monitor import Monitored, Options, monitored
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, DAY, QuickRanker, altered, stored, with_column

FITTED = AS_OF - 14 * DAY
LATER = AS_OF + 14 * DAY


@pytest.fixture(scope="module")
def early(bank: Bank) -> Engine:
    """An engine with some campaigns still to come."""
    return Engine.fit(bank, as_of=FITTED, ranker=QuickRanker())


@pytest.fixture(scope="module")
def found(early: Engine, bank: Bank) -> Monitored:
    return monitored(early, bank, options=Options(LATER))


def of(found: Monitored, kind: str, subject: str | None = None) -> Check:
    return next(c for c in found.checks if c.check == kind and subject in (None, c.subject))


def test_on_the_day_of_the_fit_nothing_has_moved(early: Engine, bank: Bank) -> None:
    same = monitored(early, bank, options=Options(FITTED))
    assert same.status == "green"
    assert {c.now.estimate for c in same.checks if c.check == "propensity"} == {0.0}
    assert max(c.now.estimate for c in same.checks if c.check == "drift" and c.now.n) == 0.0
    assert {of(same, kind).status() for kind in ("calibration", "auc", "acceptance")} == {"unknown"}
    assert of(same, "without_offers").now.estimate == of(same, "without_offers").then


def test_every_kind_is_told(found: Monitored) -> None:
    assert {c.check for c in found.checks} == set(KINDS) - {"consent"}  # the reference world keeps no consents


def test_offers_since_the_fit_are_those_of_the_bank(found: Monitored, bank: Bank) -> None:
    settled = LATER - timedelta(days=14)
    (row,) = (
        bank.connect()
        .execute(
            "select count(*), avg(label) from responses where offered_on >= ? and offered_on < ?", [FITTED, settled]
        )
        .fetchall()
    )
    calibration = of(found, "calibration", "all")
    assert calibration.now.n == row[0] > 1000
    assert of(found, "acceptance").now.n == row[0]
    assert sum(c.now.n for c in found.checks if c.check == "calibration" and c.subject != "all") == row[0]
    assert sum(each.observed.n for each in found.curve) == row[0]
    observed = sum(each.observed.estimate * each.observed.n for each in found.curve) / row[0]
    assert observed == pytest.approx(row[1])


def test_whom_the_policy_reaches_is_what_it_decides(found: Monitored, early: Engine, bank: Bank) -> None:
    kept = early.details["noted"]["reached"]
    at_fit = early.recommend(bank)
    served = len(pc.unique(at_fit.decisions.column("customer_id")))
    assert kept["customers"] - kept["without"] - kept["resting"] == served
    contact = at_fit.refusals.filter(pc.equal(at_fit.refusals.column("stage"), "contact"))
    assert sum(kept["reached"].values()) == at_fit.decisions.num_rows + contact.num_rows
    assert of(found, "without_offers").then == kept["without"] / kept["customers"]


def test_a_day_after_a_campaign_is_no_fault(early: Engine, bank: Bank) -> None:
    after = monitored(early, bank, options=Options(FITTED + DAY))
    assert "Contact rules keep further" in of(after, "without_offers").text
    assert {of(after, kind).status() for kind in ("without_offers", "coverage")} == {"green"}


def test_chunks_change_nothing(found: Monitored, early: Engine, bank: Bank) -> None:
    parts = monitored(early, bank, options=Options(LATER, chunk=50))
    assert parts.tables["spreads"].equals(found.tables["spreads"])
    assert parts.to_dict() == found.to_dict()


def test_rows_from_the_day_on_are_not_seen(early: Engine, bank: Bank, tmp_path: Path) -> None:
    day = FITTED + 8 * DAY
    tables = {}
    for name, column in (("transactions", "date"), ("responses", "offered_on")):
        table = stored(bank.path, name)
        tables[name] = table.filter(pc.less(table.column(column), pa.scalar(day, table.schema.field(column).type)))
    cut = altered(bank.path, tmp_path / "bank", tables)
    one, other = (monitored(early, each, options=Options(day)).to_dict() for each in (bank, cut))
    assert one["checks"] == other["checks"]


def test_an_income_in_another_unit_and_a_segment_renamed(early: Engine, bank: Bank, tmp_path: Path) -> None:
    customers = stored(bank.path, "customers")
    most = customers.column("segment").value_counts()[0]["values"].as_py()
    renamed = ["Renamed" if s == most else s for s in customers.column("segment").to_pylist()]
    tenfold = with_column(customers, "income", pc.multiply(customers.column("income"), 10))
    wrong = altered(bank.path, tmp_path / "bank", {"customers": with_column(tenfold, "segment", renamed)})
    checks = monitored(early, wrong, options=Options(LATER))
    income = of(checks, "drift", "income")
    assert income.now.low > 0.25
    assert income.status() == ("told" if income.importance < 0.005 else "red")
    assert "'Renamed'" in of(checks, "drift", "segment").text


def test_transactions_that_stop(early: Engine, bank: Bank, tmp_path: Path) -> None:
    table = stored(bank.path, "transactions")
    before = pa.scalar(LATER - 30 * DAY, table.schema.field("date").type)
    silent = altered(
        bank.path, tmp_path / "bank", {"transactions": table.filter(pc.less(table.column("date"), before))}
    )
    checks = monitored(early, silent, options=Options(LATER))
    assert of(checks, "silent").status() == "red"
    assert {c.status() for c in checks.checks if c.check == "volume"} == {"red"}
    assert checks.status == "red"


def test_amounts_in_another_currency_and_offers_that_nobody_accepts(early: Engine, bank: Bank, tmp_path: Path) -> None:
    transactions, responses = (stored(bank.path, name) for name in ("transactions", "responses"))
    amounts = pc.if_else(
        since_fit(transactions, "date"), pc.multiply(transactions.column("amount"), 80), transactions.column("amount")
    )
    none = pa.scalar(0, responses.schema.field("label").type)
    labels = pc.if_else(since_fit(responses, "offered_on"), none, responses.column("label"))
    tables = {
        "transactions": with_column(transactions, "amount", amounts),
        "responses": with_column(responses, "label", labels),
    }
    checks = monitored(early, altered(bank.path, tmp_path / "bank", tables), options=Options(LATER))
    assert of(checks, "volume", "amounts").status() == "red"
    assert of(checks, "volume", "transactions").status() == "green"
    assert of(checks, "calibration", "all").status() == "red"
    assert of(checks, "acceptance").status() == "red"
    assert of(checks, "auc").status() == "unknown"


def since_fit(table: pa.Table, column: str) -> pa.ChunkedArray:
    return pc.greater_equal(table.column(column), pa.scalar(FITTED, table.schema.field(column).type))


def test_responses_and_half_the_customers_are_gone(early: Engine, bank: Bank, tmp_path: Path) -> None:
    tables = {
        "responses": stored(bank.path, "responses").slice(0, 0),
        "customers": stored(bank.path, "customers")[:100],
    }
    checks = monitored(early, altered(bank.path, tmp_path / "bank", tables), options=Options(LATER))
    assert of(checks, "offers_silent").status() == "red"
    assert "the model learned from the table responses" in of(checks, "offers_silent").text
    assert {of(checks, kind).status() for kind in ("calibration", "auc", "acceptance")} == {"unknown"}
    assert of(checks, "customers").status() == "red"


def test_consents_and_what_is_kept_with_the_model(retail_engine: Engine, retail_bank: Bank, tmp_path: Path) -> None:
    engine = Engine.load(retail_engine.save(tmp_path / "model"))
    assert engine.model_id == retail_engine.model_id
    assert of(monitored(engine, retail_bank), "consent").status() == "green"
    none = stored(retail_bank.path, "consents").slice(0, 0)
    checks = monitored(engine, altered(retail_bank.path, tmp_path / "bank", {"consents": none}))
    assert {of(checks, kind).status() for kind in ("consent", "without_offers", "coverage")} == {"red"}


def test_another_policy_is_compared_with_itself_on_the_day_of_the_fit(early: Engine, bank: Bank) -> None:
    strict = Policy(arbitration=Arbitration(cutoff=0.9))
    checks = monitored(early, bank, strict, options=Options(LATER))
    assert any("not the one kept with the model" in note for note in checks.about.notes)
    without = of(checks, "without_offers")
    assert without.then > 0.9
    assert without.status() == "green"


def test_a_model_without_a_reference_says_what_cannot_be_told(early: Engine, bank: Bank, found: Monitored) -> None:
    details = {name: value for name, value in early.details.items() if name != "noted"} | {"labels": "adoptions"}
    old = replace(early, reference=None, details=details)
    checks = monitored(old, bank, options=Options(LATER))
    assert "`nextoffer fit` makes one that can" in checks.about.notes[0]
    assert not checks.features
    assert of(checks, "without_offers").then == of(found, "without_offers").then
    assert of(checks, "calibration", "all").status() == "told"  # what is taken up without an offer is no answer
    assert of(checks, "auc").status() == "told"


def test_a_day_before_the_fit_is_refused(early: Engine, bank: Bank) -> None:
    with pytest.raises(NextOfferError, match="cannot be monitored on"):
        monitored(early, bank, options=Options(FITTED - DAY))


def test_files(found: Monitored, tmp_path: Path) -> None:
    assert set(found.write(tmp_path)) == {path.name for path in tmp_path.iterdir()}
    told = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert told["status"] == found.status
    assert {row["check"] for row in told["checks"]} == {c.check for c in found.checks}
    table = pq.read_table(tmp_path / "monitoring.parquet")
    assert table.schema.names == MONITORING.names
    with (tmp_path / "monitoring.csv").open(encoding="utf-8") as file:
        assert sum(1 for _ in csv.DictReader(file)) == table.num_rows == len(found.checks)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "NextOffer monitoring report" in page
    assert "http" not in page
