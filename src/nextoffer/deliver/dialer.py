"""The outbound dialer's file: one row a customer, the best offer on the calling channel, with consent and hours."""

from __future__ import annotations

import pyarrow.compute as pc

from nextoffer.deliver.folder import Export
from nextoffer.deliver.material import Material, Row, Told, rows
from nextoffer.deliver.runs import first_of_each
from nextoffer.deliver.script import COLUMNS, script_of
from nextoffer.deliver.sheet import write_sheet

_HEADER = (
    "decision_id", "customer_id", "customer_name", "phone", "product_id", "product_name", "expected_value",
    "propensity", "slot_day", "call_windows", "call_days", "consent_purpose", "consent_channel", "consent_recorded_on",
    "script",
)  # fmt: skip
_READ = (*COLUMNS, *(n for n in _HEADER if not n.startswith("call_") and n not in ("consent_purpose", "script")))
_NO_NUMBER = "no phone number"
_CLOSED = "the policy leaves no hours for calls"


def write_dialer(material: Material, export: Export) -> Told:
    """Write ``dialer.csv``, the most valuable call first.

    Customers without a number are left out where the bank has numbers at all.
    """
    channel = material.settings.dialer.channel
    calls = material.offers.filter(pc.equal(material.offers.column("channel"), channel))
    best = calls.filter(first_of_each(calls.column("customer_id")))
    open_ = best if material.hours else best.slice(0, 0)
    with_number = open_
    if material.offers.column("phone").null_count < material.offers.num_rows:
        with_number = open_.filter(pc.greater(pc.utf8_length(open_.column("phone")), 0))
    keys = [("expected_value", "descending"), ("score", "descending"), ("customer_id", "ascending")]
    contacts = (_contact(offer, material) for offer in rows(with_number.sort_by(keys), _READ))
    count = write_sheet(export.path("dialer.csv"), _HEADER, contacts)
    export.wrote("dialer.csv", count)
    left_out = {
        f"not on the channel '{channel}'": material.offers.num_rows - calls.num_rows,
        "not the best": calls.num_rows - best.num_rows,
        _CLOSED: best.num_rows - open_.num_rows,
        _NO_NUMBER: open_.num_rows - count,
    }
    return Told(count, left_out)


def _contact(offer: Row, material: Material) -> Row:
    return {
        **offer,
        "call_windows": material.hours.text,
        "call_days": " ".join(material.hours.days),
        "consent_purpose": None if offer["consent_recorded_on"] is None else "marketing",
        "script": " ".join(script_of({**offer, "rm": None}, material)),
    }
