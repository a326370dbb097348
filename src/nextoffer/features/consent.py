"""What customers allow, as a SQL tree over the consents table."""

from __future__ import annotations

from sqlglot import exp

from nextoffer.features.trees import column, is_null, one_if, relation, the_day, when


def granted(purpose: str) -> exp.Select:
    """Return ``customer_id`` and ``granted`` (1 or 0) as last recorded by the end of ``as_of``, whatever the channel.

    A permission is a rule, not an observation, so one withdrawn today counts today. Of a grant and a refusal on one day
    the refusal counts.
    """
    yes = exp.Max(this=when(column("granted"), column("recorded_on")))
    no = exp.Max(this=when(exp.not_(column("granted")), column("recorded_on")))
    last = exp.select(column("customer_id"), yes.as_("yes"), no.as_("no")).from_(relation("consents"))
    last = last.where(column("purpose").eq(purpose), column("recorded_on") <= the_day()).group_by(column("customer_id"))
    holds = exp.and_(is_null(column("yes")).not_(), exp.or_(is_null(column("no")), column("yes") > column("no")))
    is_granted = one_if(holds)
    return exp.select(column("customer_id"), is_granted.as_("granted")).from_(last.subquery("last"))
