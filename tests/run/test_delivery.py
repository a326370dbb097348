"""Offers of a bank handed over: what is joined, scrubbed, worded, and refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextoffer.deliver.formats import FORMATS
from nextoffer.errors import DeliveryError, NextOfferError
from nextoffer.policy.allowance import Contact
from nextoffer.policy.catalogue import Reason
from nextoffer.policy.file import Consent, Policy
from nextoffer.policy.quiet import Quiet
from nextoffer.run.delivery import export_file
from nextoffer.run.engine import Engine
from nextoffer.run.handover import Order, customer_wordings, material
from nextoffer.tables.bank import Bank
from nextoffer.tables.write import write_table
from tests.run.worlds import AS_OF, altered, more, retail_world, stored, with_column

LATER = AS_OF + timedelta(days=10)


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return retail_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def offers(retail_engine: Engine, retail_bank: Bank) -> pa.Table:
    return retail_engine.recommend(retail_bank).decisions


def order(*formats: str, day: date = LATER, **more: Any) -> Order:
    return Order(formats or ("leads",), day, **more)


def own_reason(code: str, fact: str, customer: str = "Because", speaks_for: Sequence[str] = ("income",)) -> Reason:
    return Reason(code=code, speaks_for=tuple(speaks_for), fact=fact, rm="r", customer=customer, audit="a")


def test_names_rms_and_numbers_are_joined(retail: Path, offers: pa.Table, tmp_path: Path) -> None:
    customers = stored(retail, "customers")
    ids = customers.column("customer_id").to_pylist()
    columns = {
        "first_name": [f"Ann {i}" for i in ids],
        "last_name": ["B"] * len(ids),
        "phone": [f"+49{i[1:]}" for i in ids],
    }
    for name, values in columns.items():
        customers = with_column(customers, name, values)
    bank = altered(retail, tmp_path / "b", {"customers": customers})
    found = material(offers, bank, Policy(), order()).offers
    rms = dict(zip(ids, customers.column("rm_id").to_pylist(), strict=True))
    names = dict(zip(*bank.table("products").select(["product_id", "name"]).to_pydict().values(), strict=True))
    for row in found.to_pylist():
        assert row["customer_name"] == f"Ann {row['customer_id']} B"
        assert row["phone"] == f"+49{row['customer_id'][1:]}"
        assert row["rm"] == rms[row["customer_id"]]
        assert row["product_name"] == names[row["product_id"]]


def test_the_assigned_rm_comes_before_the_customers_own(offers: pa.Table, retail_bank: Bank) -> None:
    assigned = ["substitute" if k % 2 else None for k in range(offers.num_rows)]
    found = material(
        with_column(offers, "assigned_rm", pa.array(assigned, pa.string())), retail_bank, Policy(), order()
    )
    own = material(offers, retail_bank, Policy(), order()).offers.column("rm").to_pylist()
    for rm, was, given in zip(
        found.offers.column("rm").to_pylist(), own, found.offers.column("assigned_rm").to_pylist(), strict=True
    ):
        assert rm == (given or was)


def test_who_withdrew_consent_is_scrubbed_from_that_day_on(retail: Path, offers: pa.Table, tmp_path: Path) -> None:
    first, second = offers.column("customer_id").unique().to_pylist()[:2]
    said = [
        {"customer_id": customer, "purpose": "marketing", "granted": True, "recorded_on": date(2020, 1, 1)}
        for customer in offers.column("customer_id").unique().to_pylist()
    ]
    said += [
        {"customer_id": first, "purpose": "marketing", "granted": False, "recorded_on": LATER},
        {"customer_id": second, "purpose": "marketing", "channel": "phone", "granted": False, "recorded_on": LATER},
        {"customer_id": second, "purpose": "profiling", "granted": False, "recorded_on": LATER},
    ]
    consents = more(stored(retail, "consents").slice(0, 0), said)
    bank = altered(retail, tmp_path / "b", {"consents": consents})
    table = with_column(offers, "channel", pa.array(["phone"] * offers.num_rows))
    before, after = (material(table, bank, Policy(), order(day=LATER - k * timedelta(days=1))) for k in (1, 0))
    mail = material(with_column(offers, "channel", ["mail"] * offers.num_rows), bank, Policy(), order())
    assert before.offers.num_rows == offers.num_rows
    everyone = set(offers.column("customer_id").to_pylist())
    assert set(after.offers.column("customer_id").to_pylist()) == everyone - {first, second}
    assert set(mail.offers.column("customer_id").to_pylist()) == everyone - {first}
    assert after.every.num_rows == offers.num_rows
    unchecked = material(table, bank, Policy(consent=Consent(marketing=False)), order())
    assert unchecked.offers.num_rows == offers.num_rows


def test_a_bank_without_consents_responses_and_names(retail: Path, offers: pa.Table, tmp_path: Path) -> None:
    products = stored(retail, "products").drop_columns(["name"])
    customers = stored(retail, "customers").drop_columns(["rm_id"])
    tables = {"products": products, "customers": customers, "consents": None, "responses": None}
    bank = altered(retail, tmp_path / "b", tables)
    found = material(offers, bank, Policy(), order())
    assert found.offers.num_rows == offers.num_rows
    assert found.offers.column("product_name").to_pylist() == found.offers.column("product_id").to_pylist()
    write_table(offers, tmp_path / "o.parquet")
    manifest = export_file(tmp_path / "o.parquet", bank, Policy(), order(*FORMATS), tmp_path / "out")
    assert manifest["consents"] == "the bank keeps none"
    assert "leads/no_RM.csv" in {file["file"] for file in manifest["files"]}


def test_answers_are_those_to_the_same_product_within_a_month(retail: Path, offers: pa.Table, tmp_path: Path) -> None:
    rows = offers.slice(0, 5).to_pylist()
    said = [(1, 1, 3), (1, 0, None), (5, 0, 9), (40, 1, 41), (-1, 1, 2)]
    answers = [
        {
            "customer_id": row["customer_id"], "product_id": row["product_id"], "label": label,
            "offered_on": AS_OF + timedelta(days=after), "arm": "treatment",
            "responded_on": None if answered is None else AS_OF + timedelta(days=answered),
        }
        for row, (after, label, answered) in zip(rows, said, strict=True)
    ]  # fmt: skip
    answers.append({**answers[1], "label": 1, "offered_on": AS_OF, "arm": "control"})
    table = more(stored(retail, "responses").slice(0, 0), answers)
    bank = altered(retail, tmp_path / "b", {"responses": table})
    found = material(offers, bank, Policy(), order(day=AS_OF + timedelta(days=60))).outcomes.to_pylist()
    ids = [row["decision_id"] for row in rows]
    assert sorted((ids.index(o["decision_id"]), o["outcome"], (o["on"] - AS_OF).days) for o in found) == [
        (0, "Accepted", 3), (1, "NoResponse", 1), (2, "Rejected", 9),
    ]  # fmt: skip
    assert material(offers, bank, Policy(), order(day=AS_OF)).outcomes.num_rows == 0


def test_reasons_that_rest_on_private_columns_have_no_customer_wording(retail_bank: Bank) -> None:
    reasons = (
        own_reason("pd", "pd < 0.01"),
        own_reason("gender", "gender = 'female'"),
        own_reason("of_risk", "income > 0", speaks_for=("income", "delinq*")),
        own_reason("fine", "income > 0"),
    )
    told = customer_wordings(Policy(reason=reasons), retail_bank)
    assert told.keys() & {r.code for r in reasons} == {"fine"}
    assert "income_met" in told
    assert not {"high", "low", "is", "yes", "no"} & told.keys()


def test_an_export_can_be_made_again_byte_by_byte(offers: pa.Table, retail_bank: Bank, tmp_path: Path) -> None:
    write_table(offers, tmp_path / "o.parquet")
    said: list[str] = []
    for name in ("a", "b"):
        export_file(tmp_path / "o.parquet", retail_bank, Policy(), order(*FORMATS), tmp_path / name, step=said.append)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) > 8
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["as_of"] == [AS_OF.isoformat()]
    assert manifest["made_from"]["file"] == "o.parquet"
    assert len(said) == 2 * (1 + len(FORMATS))


def test_columns_that_come_later_are_tolerated_and_used(offers: pa.Table, retail_bank: Bank) -> None:
    old = offers.drop_columns(
        [n for n in ("arm", "uplift", "context_weight", "value", "lever") if n in offers.column_names]
    )
    assert set(material(old, retail_bank, Policy(), order()).offers.column("value").to_pylist()) == {None}
    new = with_column(with_column(old, "value", [7.0] * offers.num_rows), "novel", ["x"] * offers.num_rows)
    assert set(material(new, retail_bank, Policy(), order()).offers.column("value").to_pylist()) == {7.0}


def test_what_is_wrong_with_decisions_is_told(offers: pa.Table, retail_bank: Bank, tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="the decisions hold no offers"):
        material(offers.slice(0, 0), retail_bank, Policy(), order())
    nulls = with_column(offers, "decision_id", pa.nulls(offers.num_rows, pa.string()))
    with pytest.raises(DeliveryError, match=r"the decisions' column 'decision_id' is null in [0-9,]+ rows"):
        material(nulls, retail_bank, Policy(), order())
    with pytest.raises(DeliveryError, match="the same decision_id more than once: 1 rows too many"):
        material(pa.concat_tables([offers, offers.slice(0, 1)]), retail_bank, Policy(), order())
    pq.write_table(offers.drop_columns(["channel"]), tmp_path / "o.parquet")
    with pytest.raises(NextOfferError, match="no column 'channel'"):
        export_file(tmp_path / "o.parquet", retail_bank, Policy(), order(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_with_the_order_is_told_at_once(offers: pa.Table, retail_bank: Bank, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('[script.CCX]\nlines = ["x"]\n', encoding="utf-8")
    wrong = order("leads", name_column="gender", phone_column="fone", templates=tmp_path / "t.toml")
    with pytest.raises(DeliveryError, match="sensitive") as raised:
        material(offers, retail_bank, Policy(), wrong)
    name, phone, script = raised.value.problems
    assert name == "--name-column: 'gender' is sensitive (bank.toml): it measures fairness, and is not handed over"
    assert phone.startswith("--phone-column: customers have no column 'fone'; there are customer_id")
    assert "script.CCX: the bank has no product_type 'CCX' (did you mean 'CC'?)" in script
    write_table(offers, tmp_path / "o.parquet")
    with pytest.raises(DeliveryError, match=r"no format 'lead' \(did you mean 'leads'\?\); there are leads, dialer"):
        export_file(tmp_path / "o.parquet", retail_bank, Policy(), order("lead"), tmp_path / "out")
    with pytest.raises(DeliveryError, match="name a format: leads"):
        export_file(tmp_path / "o.parquet", retail_bank, Policy(), Order((), LATER), tmp_path / "out")


def test_calls_keep_to_the_quiet_times_of_the_policy(offers: pa.Table, retail_bank: Bank) -> None:
    quiet = (
        Quiet(channel="phone", from_="20:00", to="09:00"),
        Quiet(channel="phone", from_="12:00", to="13:30", days=("sat", "sun")),
        Quiet(channel="sms", days=("mon",)),
    )
    found = material(offers, retail_bank, Policy(contact=Contact(quiet=quiet)), order()).hours
    assert (found.text, found.days) == ("09:00-12:00 13:30-20:00", ("mon", "tue", "wed", "thu", "fri"))
    assert material(offers, retail_bank, Policy(), order()).hours.text == "09:00-20:00"
    closed = (Quiet(channel="phone", from_="08:00", to="20:00"), Quiet(channel="phone", from_="20:00", to="08:00"))
    assert not material(offers, retail_bank, Policy(contact=Contact(quiet=closed)), order()).hours


def test_customers_without_a_record_are_treated_as_the_policy_says(
    retail: Path, offers: pa.Table, tmp_path: Path
) -> None:
    bank = altered(retail, tmp_path / "b", {"consents": stored(retail, "consents").slice(0, 1)})
    refused = material(offers, bank, Policy(), order()).offers.num_rows
    assert (
        refused
        < offers.num_rows
        == material(offers, bank, Policy(consent=Consent(absent="allow")), order()).offers.num_rows
    )
