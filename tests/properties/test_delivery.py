"""What customers may read never holds a number or fact of their data, over the whole catalogue of reasons."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.deliver.folder import Export
from nextoffer.deliver.formats import FORMATS
from nextoffer.policy.catalogue import Catalogue, Reason
from nextoffer.policy.file import Policy
from nextoffer.run.handover import Order, material
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, retail_world

CUSTOMER_READS = ("banner", "dialer", "salesforce", "hubspot")
FACTS = ("income > 0", "pd < 0.5", "delinquent", "gender = 'female'", "vulnerable or income > 1", "age > 20")
PRIVATE = ("pd", "delinquent", "gender", "vulnerable")
TEXTS = (
    "Told as it is",
    "You earn {income}",
    "{product_name} and {pd}",
    "{gender}",
    "For you: {product_name}",
    "{delinquent}",
)


def own(code: str, fact: str, text: str) -> Reason | None:
    """Return a reason, or None where its text names what the fact does not."""
    named = set(re.findall(r"\{(\w+)\}", text)) - {"product_name"}
    return (
        None
        if named - set(re.findall(r"\w+", fact))
        else Reason(code=code, speaks_for=("income",), fact=fact, rm="r", customer=text, audit="a")
    )


OWN = [
    r
    for k, fact in enumerate(FACTS)
    for j, text in enumerate(TEXTS)
    if (r := own(f"own_{k}_{j}", fact, f"{text}, {k}"))
]
POLICY = Policy(reason=tuple(OWN))
CODES = [
    code
    for reason in (*OWN, *Catalogue.packaged().reasons)
    for code in ([f"{reason.code}:{name}" for name in ("income", "gender", "pd")] if reason.each else [reason.code])
]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return Bank.read(retail_world(tmp_path_factory.getbasetemp()))


def may_be_told(product: str) -> set[str]:
    """The texts that a careful reader of the catalogue would let through."""
    safe = [r for r in OWN if not any(name in r.fact for name in PRIVATE)]
    texts = [r.customer for r in (*safe, *Catalogue.packaged().reasons) if r.customer]
    return {t.replace("{product_name}", product) for t in texts if not re.search(r"\{(?!product_name\})", t)}


def decisions(bank: Bank, codes: list[list[str]]) -> pa.Table:
    """Return one offer to each of the first customers, on channels of all formats, with these reasons."""
    customers = [
        row["customer_id"] for batch in bank.query("SELECT * FROM customers ORDER BY 1") for row in batch.to_pylist()
    ]
    products = bank.table("products").to_pylist()
    rows = []
    for k, each in enumerate(codes):
        product = products[k % len(products)]
        rows.append(
            {
                "customer_id": customers[k // 2],
                "rank": 1 + k % 2,
                "product_id": product["product_id"],
                "product_type": product["product_type"],
                "score": 0.5,
                "propensity": 0.123456,
                "expected_value": 1.5,
                "channel": ("phone", "mobile")[k % 2],
                "reasons": ["secret"] * len(each),
                "reason_codes": each,
                "decision_id": f"{k:024x}",
                "as_of": AS_OF,
                "model_id": "m",
                "policy_id": "p",
            }
        )
    table = pa.Table.from_pylist(rows)
    return table.set_column(0, "customer_id", table.column(0).cast(bank.id_type("customer_id")))


def customer_texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield product and text of everything a customer may get to read."""
    for customer in json.loads((folder / "banner.json").read_text(encoding="utf-8")):
        yield from ((place["title"], place["text"]) for place in customer["placements"])
    for name, product, text in (
        ("dialer.csv", "product_name", "script"),
        ("salesforce/tasks.csv", "Subject", "Description"),
        ("hubspot/deals.csv", "Deal name", "Deal description"),
    ):
        with (folder / name).open(encoding="utf-8", newline="") as file:
            yield from ((row[product], row[text]) for row in csv.DictReader(file))


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from(CODES), max_size=4, unique=True), min_size=1, max_size=8))
def test_customers_read_customer_wordings_and_nothing_else(bank: Bank, codes: list[list[str]]) -> None:
    found: Any = material(decisions(bank, codes), bank, POLICY, Order(CUSTOMER_READS, date(2030, 1, 1)))
    names = set(bank.table("products").column("name").to_pylist())
    scripted = {line for script in found.settings.script.values() for line in script.lines}
    fixed = {line.replace("{bank}", bank.name) for line in scripted} | {found.settings.banner.text}
    with TemporaryDirectory() as folder:
        for name in CUSTOMER_READS:
            FORMATS[name](found, Export(Path(folder)))
        for said, text in customer_texts(Path(folder)):
            product = max((name for name in names if name in said), key=len)
            left = text
            for known in sorted(may_be_told(product) | {f.replace("{product_name}", product) for f in fixed}, key=len)[
                ::-1
            ]:
                left = left.replace(known, "")
            assert not left.strip(" ."), f"{text!r} tells more than the wordings: {left!r}"


def test_the_whole_catalogue_is_told_where_it_may_be(bank: Bank) -> None:
    found = material(decisions(bank, [CODES]), bank, POLICY, Order(CUSTOMER_READS, date(2030, 1, 1)))
    name = found.every.column("product_name")[0].as_py()
    assert set(found.wordings.of(CODES, name)) == may_be_told(name)
    assert len(may_be_told(name)) > 20
