"""Simulated banks that the tests of `run` and `cli` share, and copies of them with some tables changed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nextoffer.models.boosting import BoostSettings
from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.policy.decide import Decided
from nextoffer.simulate import reference, retail
from nextoffer.tables.bank import Bank

AS_OF = date(2025, 10, 11)
CUSTOMERS, PRODUCTS = 240, 12
DAY = timedelta(days=1)


@dataclass(frozen=True)
class QuickRanker(GlassboxRanker):
    """The glass box without boosting: the same path in a tenth of the time."""

    max_rank: int = 1
    boosting: BoostSettings | None = None


RATES = QuickRanker(max_rank=0, folds=2)
"""Learns the products' rates alone: for what comes before and after a ranker."""


def reference_world(base: Path) -> Path:
    """Return the folder of the reference world, made once a run."""
    folder = base / "reference"
    return folder if folder.exists() else reference.generate(folder, customers=CUSTOMERS, products=PRODUCTS)


def small_world(base: Path) -> Path:
    """Return the folder of a reference world of 80 customers and 6 products, made once a run."""
    folder = base / "small"
    return folder if folder.exists() else reference.generate(folder, customers=80, products=6, seed=5)


def retail_world(base: Path) -> Path:
    """Return the folder of the retail bank, made once a run: text ids, consents, arms, dated holdings."""
    folder = base / "retail"
    return folder if folder.exists() else retail.generate(folder, customers=120, seed=2)


def altered(world: Path, folder: Path, tables: Mapping[str, pa.Table | None], toml: str | None = None) -> Bank:
    """Return a copy of a bank with other tables; None takes a table away."""
    shutil.copytree(world, folder)
    for name, content in tables.items():
        path = folder / f"{name}.parquet"
        if content is None:
            path.unlink()
        else:
            pq.write_table(content, path)
    if toml is not None:
        (folder / "bank.toml").write_text(toml, encoding="utf-8")
    return Bank.read(folder)


def stored(world: Path, table: str) -> pa.Table:
    """Return a table as it is stored."""
    return pq.read_table(world / f"{table}.parquet")


def more(table: pa.Table, rows: list[dict[str, Any]]) -> pa.Table:
    """Return the table with further rows; columns not given are null."""
    return pa.concat_tables([table, pa.Table.from_pylist(rows, schema=table.schema)])


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    """Return the table with one more column, or another in the place of one."""
    column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    place = table.column_names.index(name) if name in table.column_names else None
    return table.append_column(name, column) if place is None else table.set_column(place, name, column)


def dated_holdings(world: Path, first: date = AS_OF - 200 * DAY, *, days: int = 199) -> pa.Table:
    """Return the holdings of a reference world, each opened on a day of its own within `days` from `first` on."""
    holdings = stored(world, "holdings")
    drawn = np.random.default_rng(5).integers(0, days, holdings.num_rows)
    return with_column(holdings, "opened_on", pa.array([first + int(d) * DAY for d in drawn], pa.date32()))


def pairs_of(decided: Decided) -> list[tuple[Any, Any]]:
    """Return customer and product of every decision and refusal."""
    both = (decided.decisions, decided.refusals)
    return [
        (row["customer_id"], row["product_id"])
        for table in both
        for row in table.select(["customer_id", "product_id"]).to_pylist()
    ]


def of_customer(table: pa.Table, customer: Any) -> pa.Table:
    """Return the rows of one customer."""
    return table.filter(pc.equal(table.column("customer_id"), customer))


def equal(a: Decided, b: Decided) -> bool:
    """Whether two banks of decisions are the same to the last bit."""
    return bool(
        a.decisions.combine_chunks().equals(b.decisions.combine_chunks())
        and a.refusals.combine_chunks().equals(b.refusals.combine_chunks())
    )
