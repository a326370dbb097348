"""Uplift in a backtest: later offers, some of them held back by lot, judged by what the engine said beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.evaluate.page import Section
from nextoffer.evaluate.uplift import Contacts
from nextoffer.evaluate.uplift_story import not_judged, sentences, uplift_section
from nextoffer.evaluate.uplift_trial import PROPENSITY, UPLIFT, Found, Trial, judged
from nextoffer.intervals import Interval, bootstrap_means
from nextoffer.models.ranker import sigmoid
from nextoffer.policy.priority import Priority, Terms
from nextoffer.run.backtest import Evaluation, places
from nextoffer.run.labels import OFFER_MADE, RESPONSES
from nextoffer.simulate.profit import Truth
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Floats

LEAST = 30
"""Offers of the judged period that must have been made, and that must have been held back."""


@dataclass(frozen=True)
class UpliftTold:
    """What the later offers held back by lot say.

    Attributes
    ----------
    found
        None where nothing can be said.
    why_not
        Why there is no `found`, or the engine's uplift is not in it, in plain words; empty where all is there.
    """

    found: Found | None
    why_not: str = ""

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        """``uplift`` and ``uplift_by_decile``; empty where nothing can be said."""
        if self.found is None:
            return {}
        return {"uplift": self.found.table, "uplift_by_decile": self.found.by_decile}

    @property
    def section(self) -> Section:
        """The section of a report."""
        return not_judged(self.why_not) if self.found is None else uplift_section(self.found, self.why_not)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, in plain words; empty where nothing can be said."""
        return () if self.found is None else sentences(self.found)

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be found, in plain words."""
        return (f"Uplift: {self.why_not}",) if self.why_not else ()


def uplift_told(evaluation: Evaluation, bank: Bank, *, until: date | None = None, resamples: int = 1000) -> UpliftTold:
    """Return what offers held back since the split, and before `until`, say of the engine that was fitted before it."""
    offers = _offers(evaluation, bank, until)
    made = 0 if offers is None else int(pc.sum(pc.cast(offers.column("made"), pa.int64())).as_py() or 0)
    held = 0 if offers is None else len(offers) - made
    fallback = "an objective of incremental_value falls back to value"
    if offers is None or not held:
        return UpliftTold(
            None,
            f"no offers were held back (arm = 'control' in responses) since {evaluation.split}, so that nothing can be "
            f"said of what offers add; where none were held back before it either, {fallback}.",
        )
    if min(made, held) < LEAST:
        return UpliftTold(
            None,
            f"since {evaluation.split} {made:,} offers were made and {held:,} held back; {LEAST} of each are needed.",
        )
    trial = _trial(evaluation, offers)
    why = ""
    if trial.uplift is None:
        known = evaluation.engine.details.get("natural", {}).get("not_learned", "it was not learned")
        why = f"the engine does not know the propensity without an offer ({known}), so that {fallback}."
    return UpliftTold(
        judged(trial, _true(evaluation, bank), seed=evaluation.engine.policy.seed, resamples=resamples), why
    )


def _offers(evaluation: Evaluation, bank: Bank, until: date | None) -> pa.Table | None:
    """Later offers made or held back, of judged customers and known products; None where the bank tells of no arms."""
    if not bank.has(RESPONSES) or "arm" not in bank.columns(RESPONSES):
        return None
    query = f"""select customer_id, product_id, offered_on, cast(coalesce(label, 0) = 1 as double) as label,
                       {OFFER_MADE} as made
                from responses where offered_on >= $day and offered_on < $until
                order by offered_on, customer_id, product_id, made, label"""
    found = bank.connect().sql(query, params={"day": evaluation.split, "until": until or date.max}).to_arrow_table()
    batch = evaluation.batch
    there = pc.and_(
        pc.is_in(found.column("customer_id"), value_set=batch.customer_ids),
        pc.is_in(found.column("product_id"), value_set=batch.products.column("product_id").combine_chunks()),
    )
    return found.filter(there)


def _trial(evaluation: Evaluation, offers: pa.Table) -> Trial:
    batch, policy = evaluation.batch, evaluation.engine.policy
    rows, cols = places(batch, offers)
    pairs = Priority.of(batch, Terms(policy.arbitration, policy.value, policy.contact)).pairs(rows, cols)
    priced = "margin" in batch.products.column_names
    made = offers.column("made").to_numpy().astype(bool)
    return Trial(
        Contacts(offers.column("label").to_numpy(), made, customers=rows),
        np.array(batch.product_names)[cols],
        offers.column("offered_on").to_numpy(),
        pairs.propensity,
        None if pairs.natural is None else pairs.uplift,
        pairs.value if priced else None,
        pairs.cost if priced else None,
    )


def _true(evaluation: Evaluation, bank: Bank) -> dict[str, Interval]:
    """The true effect of every customer's first eligible offer by each order, of any and of the best; by customer."""
    truth = Truth.beside(Path(bank.path))
    if truth is None:
        return {}
    batch, eligible = evaluation.batch, evaluation.eligible
    effects = truth.effects(batch.customer_ids, batch.products.column("product_id").combine_chunks())
    rows, cols = places(batch, eligible)
    allowed = np.zeros(batch.shape, dtype=bool)
    allowed[rows, cols] = True
    allowed &= np.isfinite(effects)
    some = allowed.any(axis=1)
    effects, allowed = effects[some], allowed[some]
    propensity = sigmoid(np.asarray(batch.scores.log_odds, dtype=np.float64))[some]
    orders: dict[str, Floats] = {PROPENSITY: propensity}
    if batch.natural is not None:
        orders[UPLIFT] = propensity - batch.natural[some]
    firsts = {name: _first(order, effects, allowed) for name, order in orders.items()}
    if UPLIFT in firsts:
        firsts[f"{UPLIFT} minus {PROPENSITY}"] = firsts[UPLIFT] - firsts[PROPENSITY]
    firsts["any eligible offer"] = np.where(allowed, effects, 0.0).sum(axis=1) / allowed.sum(axis=1)
    firsts["the best there is"] = np.where(allowed, effects, -np.inf).max(axis=1)
    found = bootstrap_means(np.stack(list(firsts.values()), axis=1), seed=evaluation.engine.policy.seed)
    return dict(zip(firsts, found, strict=True))


def _first(order: Floats, effects: Floats, allowed: Any) -> Floats:
    """The effect of the pair that each row's order puts first, float64 (n,)."""
    best = np.where(allowed, order, -np.inf).argmax(axis=1)
    return np.asarray(effects[np.arange(len(effects)), best])
