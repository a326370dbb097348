"""Nothing that happens after the day began changes what is learned; nothing after it has ended, what is decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nextoffer.policy.decide import Decided
from nextoffer.run.engine import Engine
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, DAY, RATES, altered, dated_holdings, equal, more, small_world, stored, with_column

CUSTOMERS, PRODUCTS = 80, 6


@dataclass(frozen=True)
class Known:
    """A bank on the day, its engine and what that decided."""

    folder: Path
    engine: Engine
    decided: Decided


def learned(bank: Bank) -> tuple[Engine, Decided]:
    engine = Engine.fit(bank, as_of=AS_OF, ranker=RATES)
    return engine, engine.recommend(bank)


@pytest.fixture(scope="module", params=["responses", "adoptions"])
def known(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Known:
    small = small_world(tmp_path_factory.getbasetemp())
    holdings = dated_holdings(small)
    closed = [day + 30 * DAY if i % 5 == 0 else None for i, day in enumerate(holdings.column("opened_on").to_pylist())]
    tables = {"holdings": with_column(holdings, "closed_on", pa.array(closed, pa.date32())), "consents": consents()}
    if request.param == "adoptions":
        responses = stored(small, "responses")
        tables["responses"] = responses.filter(pc.greater_equal(responses.column("offered_on"), AS_OF))
    folder = tmp_path_factory.mktemp("known") / "bank"
    engine, decided = learned(altered(small, folder, tables))
    assert engine.details["labels"] == request.param
    assert decided.decisions.num_rows > 0
    return Known(folder, engine, decided)


def consents() -> pa.Table:
    """Consents to marketing and profiling; every fourth customer has withdrawn the one, every sixth the other."""
    rows = [
        {"customer_id": c, "purpose": purpose, "granted": c % often != 0, "recorded_on": date(2025, 1, 1)}
        for c in range(CUSTOMERS)
        for purpose, often in (("marketing", 4), ("profiling", 6))
    ]
    return pa.Table.from_pylist(rows, schema=CONSENTS)


CONSENTS = pa.schema(
    [("customer_id", pa.int64()), ("purpose", pa.string()), ("granted", pa.bool_()), ("recorded_on", pa.date32())]
)


def transactions(folder: Path) -> pa.Table:
    """Drop those of the day and later, and put others there, with a channel and a category of their own."""
    table = stored(folder, "transactions")
    rows = [
        {
            "customer_id": c,
            "date": AS_OF + (c % 40) * DAY,
            "amount": 1e6 + c,
            "merchant_id": c % 3,
            "mcc": "travel",
            "channel": "carrier pigeon",
        }
        for c in range(CUSTOMERS)
    ]
    return more(table.filter(pc.less(table.column("date"), AS_OF)), rows)


def responses(folder: Path) -> pa.Table:
    """Turn every answer to an offer of the day or later into its contrary, and add more."""
    table = stored(folder, "responses")
    late = pc.greater_equal(table.column("offered_on"), AS_OF)
    label = table.column("label")
    turned = with_column(table, "label", pc.if_else(late, pc.subtract(1, label), label))
    rows = [
        {
            "customer_id": c,
            "product_id": c % PRODUCTS,
            "offered_on": AS_OF + (c % 9) * DAY,
            "label": 1,
            "campaign_ix": 9,
        }
        for c in range(CUSTOMERS)
    ]
    return more(turned, rows)


def holdings(folder: Path) -> pa.Table:
    """Close what is held, and open every product, from tomorrow on."""
    table = stored(folder, "holdings")
    tomorrow = pa.scalar(AS_OF + DAY, pa.date32())
    closed = with_column(table, "closed_on", pc.fill_null(table.column("closed_on"), tomorrow))
    rows = [
        {"customer_id": c, "product_id": p, "opened_on": AS_OF + (1 + c % 30) * DAY}
        for c in range(CUSTOMERS)
        for p in range(PRODUCTS)
    ]
    return more(closed, rows)


def withdrawn(folder: Path) -> pa.Table:
    """Withdraw every consent, and give every one that was withdrawn, from tomorrow on."""
    table = stored(folder, "consents")
    changed = with_column(table, "granted", pc.invert(table.column("granted")))
    tomorrow = pa.repeat(pa.scalar(AS_OF + DAY, pa.date32()), table.num_rows)
    return pa.concat_tables([table, with_column(changed, "recorded_on", tomorrow)])


LATER: dict[str, Callable[[Path], pa.Table]] = {
    "transactions": transactions,
    "responses": responses,
    "holdings": holdings,
    "consents": withdrawn,
}


def test_what_comes_later_changes_nothing(known: Known, tmp_path: Path) -> None:
    tables = {name: change(known.folder) for name, change in LATER.items()}
    engine, decided = learned(altered(known.folder, tmp_path / "bank", tables))
    assert engine.model_id == known.engine.model_id
    assert equal(decided, known.decided)


@pytest.mark.parametrize("table", LATER)
def test_what_comes_later_would_matter_the_day_after(known: Known, tmp_path: Path, table: str) -> None:
    """The rows above are none that would be overlooked anyway."""
    bank = altered(known.folder, tmp_path / "bank", {table: LATER[table](known.folder)})
    later = AS_OF + 10 * DAY
    before, after = (known.engine.stream(b, as_of=later) for b in (Bank.read(known.folder), bank))
    was, became = next(before), next(after)
    changed = [
        not was.features.data.equals(became.features.data),
        not np.array_equal(was.facts.held, became.facts.held),
        not np.array_equal(was.facts.consent, became.facts.consent),
        not np.array_equal(was.facts.contacts, became.facts.contacts),
    ]
    assert any(changed)


def test_what_came_before_does_matter(known: Known, tmp_path: Path) -> None:
    table = stored(known.folder, "transactions")
    yesterday = {"customer_id": 3, "date": AS_OF - DAY, "amount": 5e5, "merchant_id": 1, "channel": "web"}
    bank = altered(known.folder, tmp_path / "bank", {"transactions": more(table, [yesterday])})
    assert Engine.fit(bank, as_of=AS_OF, ranker=RATES).model_id != known.engine.model_id
