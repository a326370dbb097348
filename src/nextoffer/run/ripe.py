"""Which offers are old enough to learn from: most of those who say yes to them have said so by now.

An offer made yesterday that nobody has accepted yet is no refusal. How long a yes takes is known from the acceptances
so far, but of young offers only the quick ones are: a sample truncated on the right. Its distribution function is a
product over the delays t, from the longest down, of ``1 − d_t / n_t``: of the n_t acceptances of at most t days whose
offers are older than t, d_t took exactly t (Lagakos, Barraj & De Gruttola 1988, Biometrika 75).
"""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import numpy as np

from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Floats, Indices

RIPE = 0.8
"""Share of the acceptances that has come in by the age from which offers teach."""
_ACCEPTANCES = 30
"""Fewer than this say nothing of how long a yes takes."""
_AT_RISK = 10


def answered_by(delays: Indices, ages: Indices, counts: Floats) -> Floats:
    """Return the share of acceptances that take at most 0, 1, 2, … days, of those seen at all.

    Parameters
    ----------
    delays, ages, counts
        (k,) days from offer to acceptance, days from offer to now (more than the delay), and how many such there are.

    >>> answered_by(np.array([0, 2]), np.array([9, 9]), np.array([30.0, 30.0])).tolist()
    [0.5, 0.5, 1.0]
    """
    longest = int(delays.max(initial=0))
    out = np.ones(longest + 1)
    for t in range(longest, 0, -1):
        at_risk = counts[(delays <= t) & (ages > t)].sum()
        took = counts[delays == t].sum()
        out[t - 1] = out[t] * (1.0 - took / at_risk if at_risk >= _AT_RISK else 1.0)
    return out


def ripe_before(bank: Bank, as_of: date, made: str) -> date:
    """Return the day before which offers are old enough to learn from on `as_of`; `as_of` where that is not known.

    Parameters
    ----------
    made
        Which responses are offers made, as a condition in SQL.

    It is `as_of`, too, where the older offers hold fewer than half of the acceptances: better a little too low than
    learned from next to nothing.
    """
    if "responded_on" not in bank.columns("responses"):
        return as_of
    rows = _accepted(bank, as_of, made)
    if not rows:
        return as_of
    delays, ages, counts = (np.array(column) for column in zip(*rows, strict=True))
    if counts.sum() < _ACCEPTANCES:
        return as_of
    ripe = 1 + int(np.argmax(answered_by(delays, ages, counts.astype(np.float64)) >= RIPE))
    return as_of - timedelta(days=ripe - 1) if counts[ages >= ripe].sum() * 2 >= counts.sum() else as_of


def _accepted(bank: Bank, as_of: date, made: str) -> list[tuple[int, int, int]]:
    """Days from offer to acceptance, from offer to `as_of`, and how many acceptances."""
    query = f"""
        select date_diff('day', offered_on, responded_on), date_diff('day', offered_on, $day), count(*)
        from responses
        where label = 1 and responded_on >= offered_on and responded_on < $day and {made}
        group by 1, 2
    """
    found: duckdb.DuckDBPyRelation = bank.connect().cursor().sql(query, params={"day": as_of})
    return found.fetchall()
