"""Rule facts of small random banks, on every way to them, against a reference that loops over rows."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer import compiled
from nextoffer.features import as_known, columns_of, known, known_sql, mcc, rule_facts, stream_known
from nextoffer.features import query as queries
from nextoffer.features.spec import FeatureSpec, Reads
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Asked, RuleFacts, Window
from tests.features.banks import DAY, SCHEMAS, bank_of

SPEC = FeatureSpec((), (Reads("customers", ("customer_id",)),))
PRODUCTS = ["A", "B", "C"]
WINDOWS = (
    Window(7),
    Window(1),
    Window(30, "phone"),
    Window(7, household=True),
    Window(30, "email", household=True),
)
ASKED = Asked(WINDOWS, ("phone", "email"), offers_days=14, ignored_days=30, rejected_days=60)
CHANNELS = ["phone", "email", "branch", None]

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Rows:
    """A bank as plain rows."""

    customers: list[Row]
    responses: list[Row]
    consents: list[Row]
    text_ids: bool = False

    def write(self, folder: Path) -> Bank:
        def ids(kind: pa.DataType) -> pa.DataType:
            return pa.string() if self.text_ids and kind == pa.int64() else kind

        tables = {}
        extra = {"customers": {"channel_pref": pa.string()}, "responses": {"channel": pa.string(), "arm": pa.string()}}
        for name, rows in (
            ("customers", self.customers),
            ("responses", self.responses),
            ("consents", self.consents),
            ("products", [{"product_id": p, "product_type": "x"} for p in PRODUCTS]),
            ("holdings", []),
        ):
            kinds = {**SCHEMAS[name], **extra.get(name, {})}
            kinds = {n: ids(k) if n in ("customer_id", "household_id") else k for n, k in kinds.items()}
            tables[name] = pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))
        return bank_of(folder, tables)


def rows_of(seed: int, *, text_ids: bool = False) -> Rows:
    """Return a random bank: households of all sizes, repeated offers, days around every limit and after the day."""
    draw = random.Random(seed)
    count = draw.randint(1, 9)
    ids: list[Any] = [f"c{'äZa'[i % 3]}{i}" for i in range(count)] if text_ids else list(range(1, count + 1))
    houses: list[Any] = [None, None, "h1", "h2"] if text_ids else [None, None, 7, 8]
    days = [DAY - timedelta(days=d) for d in (-9, -1, 0, 1, 2, 6, 7, 8, 29, 30, 59, 60, 400)]
    customers = [
        {"customer_id": i, "household_id": draw.choice(houses), "channel_pref": draw.choice(CHANNELS)} for i in ids
    ]
    responses: list[Row] = []
    for _ in range(draw.randint(0, 40)):
        row = {
            "customer_id": draw.choice(ids),
            "product_id": draw.choice(PRODUCTS),
            "offered_on": draw.choice(days),
            "label": draw.choice([0, 0, 1]),
            "responded_on": draw.choice([None, None, *days]),
            "channel": draw.choice(CHANNELS),
            "arm": draw.choice([None, "treated", "control", "Control"]),
        }
        responses += [row] * draw.choice([1, 1, 1, 2])
    consents = [
        {
            "customer_id": draw.choice(ids),
            "purpose": draw.choice(["marketing", "marketing", "profiling"]),
            "channel": draw.choice(CHANNELS),
            "granted": draw.random() < 0.7,
            "recorded_on": draw.choice(days),
        }
        for _ in range(draw.randint(0, 4 * count))
    ]
    return Rows(customers, responses, consents, text_ids)


def said(rows: Rows, customer: Any) -> list[Row]:
    """Return what a customer said of marketing by the end of the day."""
    mine = (r for r in rows.consents if r["customer_id"] == customer and r["purpose"] == "marketing")
    return [r for r in mine if r["recorded_on"] <= DAY]


def last(records: list[Row], asked: Asked) -> bool:
    """Return the last word, of two on one day the refusal."""
    if not records:
        return asked.without_record
    latest = max(r["recorded_on"] for r in records)
    return all(r["granted"] for r in records if r["recorded_on"] == latest)


def open_over(rows: Rows, customer: Any, channel: str | None, asked: Asked) -> bool:
    return last([r for r in said(rows, customer) if r["channel"] in (None, channel)], asked)


def allows(rows: Rows, customer: Any, asked: Asked) -> bool:
    """Return whether all records allow, or the records of some channel with those for all."""
    records = said(rows, customer)
    if not records:
        return asked.without_record
    general = [r for r in records if r["channel"] is None]
    channels = {r["channel"] for r in records} - {None}
    if general and last(general, asked):
        return True
    strict = replace(asked, without_record=False)
    return any(open_over(rows, customer, c, strict) for c in channels)


def expected(rows: Rows, asked: Asked, customers: list[Any]) -> RuleFacts:
    """Return the facts, found row by row."""
    made = [r for r in rows.responses if r["offered_on"] < DAY and (r["arm"] or "").lower() != "control"]
    household = {c["customer_id"]: c["household_id"] for c in rows.customers}
    preferred = {c["customer_id"]: c["channel_pref"] for c in rows.customers}

    def kin(customer: Any) -> list[Any]:
        home = household[customer]
        return [customer] if home is None else [c for c, h in household.items() if h == home]

    def members(customer: Any) -> list[Any]:
        return sorted(c for c in kin(customer) if not asked.consents or allows(rows, c, asked))

    def offers(customer: Any, window: Window) -> int:
        whose = kin(customer) if window.household else [customer]
        return sum(
            r["customer_id"] in whose
            and (DAY - r["offered_on"]).days < window.days
            and window.channel in (None, r["channel"])
            for r in made
        )

    def ago(days: list[date]) -> float:
        return float(min((DAY - day).days for day in days)) if days else np.nan

    def place(customer: Any) -> int:
        theirs = members(customer)
        turn = theirs.index(customer) if customer in theirs else 0
        return (turn + (DAY - date(1970, 1, 1)).days) % max(len(theirs), 1)

    def of(customer: Any, product: str) -> list[Row]:
        return [r for r in made if r["customer_id"] == customer and r["product_id"] == product]

    def answered(r: Row) -> bool:
        return r["responded_on"] <= DAY if r["responded_on"] else r["label"] == 1

    def table(value: Any, dtype: Any) -> Any:
        return np.array([[value(c, p) for p in PRODUCTS] for c in customers], dtype=dtype).reshape(-1, len(PRODUCTS))

    def no(r: Row) -> bool:
        return r["label"] == 0 and r["responded_on"] is not None and r["responded_on"] <= DAY

    return RuleFacts(
        held=np.zeros((len(customers), len(PRODUCTS)), dtype=bool),
        consent=np.array([allows(rows, c, asked) for c in customers], dtype=bool),
        contacts=np.array([[offers(c, w) for w in asked.windows] for c in customers], dtype=np.int64),
        channel_consent=np.array([[open_over(rows, c, ch, asked) for ch in asked.channels] for c in customers], bool),
        preferred_consent=np.array([open_over(rows, c, preferred[c], asked) for c in customers], dtype=bool),
        since_offer=table(lambda c, p: ago([r["offered_on"] for r in of(c, p)]), float),
        ignored=table(
            lambda c, p: sum(not answered(r) and (DAY - r["offered_on"]).days < asked.ignored_days for r in of(c, p)),
            np.int64,
        ),
        since_reject=table(lambda c, p: ago([r["responded_on"] for r in of(c, p) if no(r)]), float),
        members=np.array([max(len(members(c)), 1) for c in customers], dtype=np.int64),
        place=np.array([place(c) for c in customers], dtype=np.int64),
    )


def assert_equal(found: RuleFacts, wanted: RuleFacts, ways: str) -> None:
    left, right = found.arrays(), wanted.arrays()
    assert set(left) == set(right)
    for name, values in right.items():
        assert left[name].shape == values.shape, (ways, name)
        assert left[name].dtype == values.dtype, (ways, name)
        assert np.array_equal(left[name], values, equal_nan=values.dtype.kind == "f"), (ways, name, left[name], values)


def by_every_way(bank: Bank, asked: Asked, customers: list[Any]) -> Iterator[tuple[str, RuleFacts]]:
    """Yield the facts of customers in each way there is to them."""
    for way in ("query", "kernels"):
        if way == "kernels":
            if find_spec("numba") is None:
                return
            compiled.warm_up()
        yield f"{way}, all", known(SPEC, bank, DAY, products=PRODUCTS, asked=asked).facts
        each = [known(SPEC, bank, DAY, customers=[c], products=PRODUCTS, asked=asked).facts for c in customers]
        yield f"{way}, one by one", RuleFacts.joined(each)
        yield f"{way}, facts alone", rule_facts(bank, DAY, customers, PRODUCTS, asked=asked)
        parts = stream_known(SPEC, bank, DAY, products=PRODUCTS, asked=asked, chunk=2)
        yield f"{way}, stream", RuleFacts.joined([part.facts for part in parts])
        later = stream_known(SPEC, bank, DAY, products=PRODUCTS, asked=asked, chunk=3, after=customers[0])
        first = known(SPEC, bank, DAY, customers=customers[:1], products=PRODUCTS, asked=asked).facts
        yield f"{way}, after the first", RuleFacts.joined([first, *(part.facts for part in later)])


def by_text(bank: Bank, asked: Asked) -> RuleFacts:
    """Return what another engine, here DuckDB again, says to the text of the query."""
    sql = known_sql(SPEC, columns_of(bank), products=PRODUCTS, asked=asked, dialect="duckdb")
    con = bank.connect().cursor()
    con.register("nextoffer_mcc", mcc.table())
    answer = con.sql(f"SELECT * FROM ({sql}) ORDER BY customer_id", params={"as_of": DAY}).to_arrow_table()
    return as_known(answer, SPEC, PRODUCTS, DAY, asked=asked).facts


@pytest.fixture(autouse=True)
def _cool() -> Iterator[None]:
    compiled.cool_down()
    yield
    compiled.cool_down()


asked_of = st.builds(
    Asked,
    windows=st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=4, unique=True).map(tuple),
    channels=st.sampled_from([(), ("phone",), ("email", "sms")]),
    without_record=st.booleans(),
    consents=st.sampled_from([True, True, False]),
    offers_days=st.sampled_from([0, 14]),
    ignored_days=st.sampled_from([0, 1, 30]),
    rejected_days=st.sampled_from([0, 60]),
)


def as_far_as_asked(wanted: RuleFacts, asked: Asked) -> RuleFacts:
    return replace(
        wanted,
        consent=wanted.consent if asked.consents else None,
        channel_consent=wanted.channel_consent if asked.consents else None,
        preferred_consent=wanted.preferred_consent if asked.consents else None,
        since_offer=wanted.since_offer if asked.offers_days else None,
        ignored=wanted.ignored if asked.ignored_days else None,
        since_reject=wanted.since_reject if asked.rejected_days else None,
        members=wanted.members if asked.households else None,
        place=wanted.place if asked.households else None,
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), text_ids=st.booleans(), asked=asked_of)
def test_every_way_finds_what_a_loop_over_rows_finds(
    tmp_path_factory: pytest.TempPathFactory, seed: int, text_ids: bool, asked: Asked
) -> None:
    compiled.cool_down()
    rows = rows_of(seed, text_ids=text_ids)
    bank = rows.write(tmp_path_factory.mktemp("bank"))
    customers = sorted(c["customer_id"] for c in rows.customers)
    wanted = as_far_as_asked(expected(rows, asked, customers), asked)
    assert_equal(by_text(bank, asked), wanted, "text")
    for way, found in by_every_way(bank, asked, customers):
        assert_equal(found, wanted, way)


@pytest.mark.parametrize("seed", range(3))
def test_slabs_see_whole_households(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    rows = rows_of(seed + 100)
    bank = rows.write(tmp_path)
    monkeypatch.setattr(queries.Query, "slab", 2)
    compiled.warm_up()
    found = known(SPEC, bank, DAY, products=PRODUCTS, asked=ASKED).facts
    assert_equal(found, expected(rows, ASKED, sorted(c["customer_id"] for c in rows.customers)), "slabs of 2")


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_rows_after_the_day_change_nothing(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rows = rows_of(seed)
    folder = tmp_path_factory.mktemp("bank")
    before = known(SPEC, rows.write(folder), DAY, products=PRODUCTS, asked=ASKED).facts
    later = {"offered_on": date(2031, 1, 1), "responded_on": date(2031, 1, 2)}

    def moved(row: Row) -> Row:
        if row["offered_on"] >= DAY:
            return {**row, **later, "product_id": "A", "label": 1 - row["label"], "channel": "phone"}
        answer_to_come = row["responded_on"] is not None and row["responded_on"] > DAY
        return {**row, "responded_on": date(2031, 1, 2), "label": 1 - row["label"]} if answer_to_come else row

    consents = [r for r in rows.consents if r["recorded_on"] <= DAY]
    after = replace(rows, responses=[moved(r) for r in rows.responses], consents=consents)
    assert_equal(known(SPEC, after.write(folder), DAY, products=PRODUCTS, asked=ASKED).facts, before, "later rows")


def test_a_bank_that_keeps_little_is_asked_everything(tmp_path: Path) -> None:
    rows = rows_of(3)
    tables = {
        name: pa.Table.from_pylist(list(found), schema=pa.schema(list(SCHEMAS[name].items())))
        for name, found in (
            ("customers", [{"customer_id": c["customer_id"]} for c in rows.customers]),
            ("products", [{"product_id": p, "product_type": "x"} for p in PRODUCTS]),
            ("holdings", []),
        )
    }
    tables["customers"] = tables["customers"].drop_columns(["household_id"])
    bank = bank_of(tmp_path / "bare", tables)
    customers = sorted(c["customer_id"] for c in rows.customers)
    for way, found in [*by_every_way(bank, ASKED, customers), ("text", by_text(bank, ASKED))]:
        assert found.consent is None, way
        assert not found.contacts.any()
        assert found.since_offer is not None
        assert np.isnan(found.since_offer).all()
        assert found.members is not None
        assert (found.members == 1).all()
