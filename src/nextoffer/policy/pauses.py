"""Rules on what was offered before: when it may be offered again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from nextoffer.errors import PolicyError
from nextoffer.policy.allowance import AfterIgnores, AfterReject, Contact, CoolDown, Scope
from nextoffer.policy.batch import Batch
from nextoffer.policy.logic import Mask
from nextoffer.policy.offering import Offering
from nextoffer.policy.rule import Case, Rule
from nextoffer.tables.flow import Floats, Indices

COOL_DOWN = "contact.cool_down"
AFTER_IGNORES = "contact.after_ignores"
AFTER_REJECT = "contact.after_reject"

Values = npt.NDArray[Any]


def pauses(contact: Contact) -> Iterator[Rule]:
    """Yield the rules that are switched on."""
    cool, ignores, reject = contact.cool_down, contact.after_ignores, contact.after_reject
    if cool.days:
        yield Rule(COOL_DOWN, partial(_cooling, cool), partial(_cooling_line, cool))
    if ignores.days:
        yield Rule(AFTER_IGNORES, partial(_ignoring, ignores), partial(_ignoring_line, ignores))
    if reject.days:
        yield Rule(AFTER_REJECT, partial(_rejecting, reject), partial(_rejecting_line, reject))


def widened(values: Values, offering: Offering, scope: Scope, over: Callable[..., Any]) -> Values:
    """Return (n, P): each product's values taken together with those that the scope counts with it.

    Parameters
    ----------
    values
        (n, P).
    offering
        P products.
    scope
        A product without a family is one of its own.
    over
        What takes them together along an axis: ``np.sum``, ``np.fmin.reduce``.
    """
    if scope == "product":
        return values
    out = values.copy()
    for cols in _together(offering, scope):
        out[:, cols] = over(values[:, cols], axis=1)[:, None]
    return out


@lru_cache(maxsize=16)
def _together(offering: Offering, scope: Scope) -> tuple[Indices, ...]:
    """Return the products that count together, where there are several."""
    if scope == "all":
        return (np.arange(len(offering)),) if len(offering) else ()
    if "family" not in offering.table.column_names:
        return ()
    families = offering.column("family")
    named = dict.fromkeys(family for family in families if family is not None)
    return tuple(np.flatnonzero(families == family) for family in named)


def _known(values: Values | None, rule: str) -> Values:
    if values is None:
        raise PolicyError(f"{rule}: the facts were made for a policy that does not ask for this")
    return values


def _since(values: Floats | None, rule: str, batch: Batch, scope: Scope) -> Floats:
    return widened(_known(values, rule), batch.offering, scope, np.fmin.reduce)


def _cooling(cool: CoolDown, batch: Batch) -> Mask:
    return np.asarray(_since(batch.facts.since_offer, COOL_DOWN, batch, cool.scope) < cool.days)


def _rejecting(reject: AfterReject, batch: Batch) -> Mask:
    return np.asarray(_since(batch.facts.since_reject, AFTER_REJECT, batch, reject.scope) < reject.days)


def _ignoring(ignores: AfterIgnores, batch: Batch) -> Mask:
    counts = widened(_known(batch.facts.ignored, AFTER_IGNORES), batch.offering, ignores.scope, np.sum)
    return np.asarray(counts >= ignores.count)


def _cooling_line(cool: CoolDown, case: Case) -> str:
    since = _since(case.batch.facts.since_offer, COOL_DOWN, case.batch, cool.scope)[case.row, case.col]
    return f"{_what(cool.scope)}offered {_ago(since)}; may be offered again from {_again(case, since, cool.days)}"


def _rejecting_line(reject: AfterReject, case: Case) -> str:
    since = _since(case.batch.facts.since_reject, AFTER_REJECT, case.batch, reject.scope)[case.row, case.col]
    refused = {"product": "it", "family": "one of its family", "all": "an offer"}[reject.scope]
    again = _again(case, since, reject.days)
    return f"the customer said no to {refused} {_ago(since)}; may be offered again from {again}"


def _ignoring_line(ignores: AfterIgnores, case: Case) -> str:
    counts = widened(_known(case.batch.facts.ignored, AFTER_IGNORES), case.batch.offering, ignores.scope, np.sum)
    of_it = {"product": " of it", "family": " of its family", "all": ""}[ignores.scope]
    found = f"{int(counts[case.row, case.col])} offers{of_it} in the last {ignores.days} days have no answer"
    return f"{found}: may be offered again once fewer than {ignores.count} are that recent, or one is answered"


def _what(scope: Scope) -> str:
    return {"product": "", "family": "one of its family was ", "all": "something was "}[scope]


def _ago(since: float) -> str:
    return {0: "today", 1: "1 day ago"}.get(int(since), f"{int(since)} days ago")


def _again(case: Case, since: float, days: int) -> str:
    return (case.batch.features.as_of + timedelta(days=days - int(since))).isoformat()
