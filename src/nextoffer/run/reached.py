"""Whom a policy reaches on a day: counted at a fit, kept with the model, and counted again on later days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nextoffer.errors import PolicyError
from nextoffer.evaluate.reach import Decisions
from nextoffer.policy.batch import Batch
from nextoffer.policy.rule import stage_of
from nextoffer.run.labels import sampled_customers
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Known, ids_as_text

if TYPE_CHECKING:
    from nextoffer.run.engine import Desk, Engine

MOST = 20_000
"""Customers that are decided for at a fit, drawn by key where there are more."""


def reached_at_fit(engine: Engine, bank: Bank) -> dict[str, Any]:
    """Return whom the engine's policy reaches on the day of the fit, in plain values with the policy's id.

    Empty where the policy does not fit the bank, which is told when it is to decide.
    """
    try:
        found = reached_on_fits_day(engine, bank)
    except PolicyError:
        return {}
    return {**found.to_dict(), "policy_id": engine.policy.policy_id}


def reached_on_fits_day(engine: Engine, bank: Bank) -> Decisions:
    """Return whom the engine's policy reaches on the day of the fit: of all customers, or of about `MOST`."""
    drawn = sampled_customers(bank, MOST, seed=engine.policy.seed, purpose="monitor")
    desk = engine.desk(bank.table("products"))
    return reached(desk, engine.known(bank, drawn))


def reached(desk: Desk, known: Known) -> Decisions:
    """Return whom a desk reaches among these customers."""
    return counted(desk, desk.batch(known))


def counted(desk: Desk, batch: Batch) -> Decisions:
    """Return what becomes of a batch; what contact rules alone stop today counts as reached."""
    ranking = desk.decider.ranked(batch)
    names, rule = ranking.book.names, ranking.rule
    open_ = np.array([*(stage_of(name) == "contact" for name in names), True])[rule]  # the last is OFFERED, -1
    none = ~open_.any(axis=1)
    served = np.bincount(ranking.rows, minlength=len(rule)) > 0
    stopped = np.bincount(rule[none].max(axis=1, initial=0), minlength=len(names))
    consent = batch.facts.consent
    ids, sold = ids_as_text(batch.products.column("product_id")), _sold(batch)
    return Decisions(
        len(rule),
        int(none.sum()),
        {p: int(r) for p, r, active in zip(ids, open_.sum(axis=0), sold, strict=True) if active},
        {name: int(c) for name, c in zip(names, stopped, strict=True) if c},
        None if consent is None else int(consent.sum()),
        int((~none & ~served).sum()),
    )


def _sold(batch: Batch) -> list[bool]:
    if "active" not in batch.products.column_names:
        return [True] * batch.products.num_rows
    return [value is not False for value in batch.products.column("active").to_pylist()]
