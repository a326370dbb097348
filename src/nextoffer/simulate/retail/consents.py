"""What retail customers allow the bank to do: said on joining, and for some taken back since."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from nextoffer.keyed import uniform
from nextoffer.simulate.draws import Flags, Whole, whole
from nextoffer.simulate.retail.spending import dates
from nextoffer.simulate.retail.world import Customers, World

GRANTED = {"marketing": 0.88, "profiling": 0.82}
WITHDRAWN = 0.07
NOT_WITHDRAWN = -1


def granted(world: World, people: Customers, purpose: str) -> Flags:
    """Return bool (n,): the customer agreed when he joined."""
    return np.asarray(uniform(world.seed, f"consent {purpose}", people.ids) < GRANTED[purpose])


def withdrawn(world: World, people: Customers) -> Whole:
    """Return int64 (n,): days before today on which marketing consent was taken back, or `NOT_WITHDRAWN`."""
    some = granted(world, people, "marketing") & (uniform(world.seed, "withdrawn", people.ids) < WITHDRAWN)
    return np.where(some, whole(world.seed, "withdrawn on", people.ids, low=1, high=199), NOT_WITHDRAWN)


def may_contact(world: World, people: Customers, days_back: int) -> Flags:
    """Return bool (n,): marketing consent is in force on that day, and was not taken back on it."""
    return granted(world, people, "marketing") & (withdrawn(world, people) < days_back)


def consents_table(world: World, people: Customers, ids: pa.Array) -> tuple[pa.Table, Whole]:
    """Return all that was ever said, and the row of the customer of each; `ids` are the customers' ids as text."""
    everyone, ended = np.arange(len(ids)), withdrawn(world, people)
    back = np.flatnonzero(ended != NOT_WITHDRAWN)
    said = [
        ("marketing", everyone, granted(world, people, "marketing"), people.since),
        ("profiling", everyone, granted(world, people, "profiling"), people.since),
        ("marketing", back, np.zeros(len(back), dtype=np.bool_), ended[back]),
    ]
    tables = [
        pa.table(
            {
                "customer_id": ids.take(pa.array(rows)),
                "purpose": pa.repeat(purpose, len(rows)),
                "channel": pa.nulls(len(rows), pa.string()),
                "granted": answer,
                "recorded_on": dates(days_back),
            }
        )
        for purpose, rows, answer, days_back in said
    ]
    return pa.concat_tables(tables), np.concatenate([rows for _, rows, _, _ in said])
