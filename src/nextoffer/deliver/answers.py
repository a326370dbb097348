"""What came of offers: the bank's first response to the same customer and product."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.deliver.runs import first_of_each

DAYS = 30
"""A response is taken for the answer to an offer decided on at most so many days before it was made."""

RESPONSES = ("customer_id", "product_id", "offered_on", "label", "responded_on")
"""Columns of the responses that are looked at."""


def answers(offers: pa.Table, responses: pa.Table) -> pa.Table:
    """Return ``decision_id``, ``outcome`` and the day ``on`` of the offers that were responded to.

    The outcome is ``Accepted`` (label 1), ``Rejected`` (label 0 with a day of the answer) or ``NoResponse``.

    Parameters
    ----------
    offers
        ``decision_id, customer_id, product_id, as_of``.
    responses
        Columns `RESPONSES`, without control arms.
    """
    asked = offers.select(["decision_id", "customer_id", "product_id", "as_of"])
    both = asked.join(responses, keys=["customer_id", "product_id"], join_type="inner")
    late = pc.subtract(both.column("offered_on").cast(pa.int32()), both.column("as_of").cast(pa.int32()))
    both = both.filter(pc.and_(pc.greater_equal(late, 0), pc.less_equal(late, DAYS)))
    both = both.sort_by([("decision_id", "ascending"), ("offered_on", "ascending"), ("label", "descending")])
    both = both.filter(first_of_each(both.column("decision_id")))
    refused = pc.if_else(both.column("responded_on").is_valid(), "Rejected", "NoResponse")
    return pa.table(
        {
            "decision_id": both.column("decision_id"),
            "outcome": pc.if_else(pc.equal(both.column("label"), 1), "Accepted", refused),
            "on": pc.coalesce(both.column("responded_on"), both.column("offered_on")),
        }
    )
