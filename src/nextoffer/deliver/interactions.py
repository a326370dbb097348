"""An interaction history in the columns of Pega's: what pdstools, Pega's open data tools, open as they open Pega's own.

One interaction is one customer's offers of one day. Each offer is a row when it is made (``Impression``, by mail
``Pending``) and another one when an answer is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.deliver.folder import Export
from nextoffer.deliver.material import Material, Told
from nextoffer.tables.write import write_table

FILE = "interaction_history.parquet"
CUSTOMER_DIGITS = 16
"""So many digits of a decision's id are the same for all offers of a customer in one run."""

_BY_MAIL = "Direct Mail"
_CHANNELS = {
    "mobile": "Mobile", "app": "Mobile", "web": "Web", "online": "Web", "internet": "Web", "phone": "Call Center",
    "call": "Call Center", "branch": "Retail", "rm": "Retail", "email": "Email", "sms": "SMS", "mail": _BY_MAIL,
}  # fmt: skip
_INBOUND = ("Mobile", "Web", "Retail")


def write_interactions(material: Material, export: Export) -> Told:
    """Write ``interaction_history.parquet``: every decision, also those that consent no longer allows, and answers."""
    made = history(material.every, material.outcomes)
    export.wrote(FILE, write_table(made, export.path(FILE)))
    return Told(material.every.num_rows)


def history(offers: pa.Table, outcomes: pa.Table) -> pa.Table:
    """Return offers and what came of them as rows of an interaction history, by interaction, rank and time."""
    channel = _mapped(offers.column("channel"))
    inbound = pc.is_in(channel, value_set=pa.array(_INBOUND))
    base = {
        "pxInteractionID": pc.utf8_slice_codeunits(offers.column("decision_id"), 0, CUSTOMER_DIGITS),
        "pxFactID": offers.column("decision_id"),
        "pySubjectID": offers.column("customer_id").cast(pa.string()),
        "pyChannel": channel,
        "pyDirection": pc.if_else(inbound, "Inbound", "Outbound"),
        "pyIssue": pa.repeat(pa.scalar("Sales"), offers.num_rows),
        "pyGroup": offers.column("product_type"),
        "pyName": offers.column("product_name"),
        "pyTreatment": pc.binary_join_element_wise(offers.column("product_id").cast(pa.string()), channel, "_"),
        "pyPropensity": offers.column("propensity"),
        "pxPriority": offers.column("score"),
        "pxRank": offers.column("rank"),
        "Value": offers.column("expected_value"),
        "pyModelTechnique": pa.repeat(pa.scalar("NextOffer"), offers.num_rows),
        "ExperimentGroup": offers.column("arm"),
    }
    made = pc.if_else(pc.equal(channel, _BY_MAIL), "Pending", "Impression")
    first = pa.table({**base, "pyOutcome": made, "pxOutcomeTime": _time(offers.column("as_of"))})
    at = pc.index_in(offers.column("decision_id"), value_set=outcomes.column("decision_id").combine_chunks())
    answered = at.is_valid()
    which = at.filter(answered)
    later = pa.table(base).filter(answered)
    later = later.append_column("pyOutcome", outcomes.column("outcome").take(which))
    later = later.append_column("pxOutcomeTime", _time(outcomes.column("on").take(which)))
    order: Sequence[tuple[str, str]] = [(n, "ascending") for n in ("pxInteractionID", "pxRank", "pxOutcomeTime")]
    return pa.concat_tables([first, later.cast(first.schema)]).sort_by(order)


def _mapped(channel: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return channels in Pega's words, where it has one; others with a capital."""
    names = pc.unique(channel)
    words = [None if n is None else _CHANNELS.get(n.lower(), n.capitalize()) for n in names.to_pylist()]
    return pc.fill_null(pa.array(words, pa.string()).take(pc.index_in(channel, value_set=names)), "Other")


def _time(days: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the beginning of each day as Pega writes a time."""
    return pc.strftime(days.cast(pa.timestamp("s")), format="%Y%m%dT%H%M%S.000 GMT")
