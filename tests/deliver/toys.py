"""A few offers with everything that formats look at, some of it hostile."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from nextoffer.deliver.folder import Export
from nextoffer.deliver.material import OPTIONAL, CallingHours, Material
from nextoffer.deliver.settings import Settings
from nextoffer.deliver.wording import CustomerWordings

DAY = date(2025, 10, 13)
AS_OF = date(2025, 10, 11)
WORDINGS = {"fit": "{product_name} is made for you", "often": "You use your account often"}
HOURS = CallingHours((("09:00", "12:00"), ("14:00", "20:00")), ("mon", "tue"))

_SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("rank", pa.int32()),
        ("product_id", pa.string()),
        ("product_type", pa.string()),
        ("product_name", pa.string()),
        ("score", pa.float64()),
        ("propensity", pa.float64()),
        ("channel", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("reason_codes", pa.list_(pa.string())),
        ("decision_id", pa.string()),
        ("as_of", pa.date32()),
        *OPTIONAL.items(),
    ]
)


def offer(customer: str, rank: int, product: str = "P1", **more: Any) -> dict[str, Any]:
    """Return one offer; what is not given has a usual value."""
    return {
        "customer_id": customer,
        "rank": rank,
        "product_id": product,
        "product_type": "CC",
        "product_name": f"Card {product}",
        "score": 0.5 / rank,
        "propensity": 0.5 / rank,
        "expected_value": 10.0 / rank,
        "channel": "phone",
        "reasons": ["Income: high"],
        "reason_codes": ["high:income"],
        "decision_id": f"{customer:0>16}{product:0>8}",
        "as_of": AS_OF,
        **more,
    }


def material(offers: list[dict[str, Any]], **more: Any) -> Material:
    """Return what is to be delivered; `more` are other fields of it."""
    table = pa.Table.from_pylist(offers, schema=_SCHEMA)
    nothing = pa.table({"decision_id": pa.array([], pa.string()), "outcome": pa.array([], pa.string()),
                        "on": pa.array([], pa.date32())})  # fmt: skip
    fields: dict[str, Any] = {
        "offers": table,
        "every": table,
        "day": DAY,
        "bank": "Toy & Sons",
        "currency": "EUR",
        "settings": Settings.read(),
        "wordings": CustomerWordings(WORDINGS),
        "hours": HOURS,
        "outcomes": nothing,
    }
    return Material(**{**fields, **more})


def export(folder: Path) -> Export:
    """Return an export into a folder that is there."""
    return Export(folder)


def settings(tmp_path: Path, text: str) -> Settings:
    """Return settings with a TOML text laid over the package's."""
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    return Settings.read(path)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as texts."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@contextmanager
def nothing_else_in(folder: Path) -> Iterator[None]:
    """Fail if the block leaves another file in a folder than there were."""
    before = sorted(folder.rglob("*"))
    yield
    assert sorted(folder.rglob("*")) == before
