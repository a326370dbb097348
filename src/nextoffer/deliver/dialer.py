"""The outbound dialer's file: one row a customer, the best offer on the calling channel, with consent and hours."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.compute as pc

from nextoffer.deliver.folder import Export
from nextoffer.deliver.material import Material, Row, Told, by_customer
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
    """Write ``dialer.csv``; customers without a number are left out where the bank has numbers at all."""
    channel = material.settings.dialer.channel
    wanted = pc.equal(material.offers.column("channel"), channel)
    calls = material.offers.filter(wanted)
    with_numbers = material.offers.column("phone").null_count < material.offers.num_rows
    left_out = {
        f"not on the channel '{channel}'": material.offers.num_rows - calls.num_rows,
        "not the best": 0,
        _NO_NUMBER: 0,
        _CLOSED: 0,
    }

    def contacts() -> Iterator[Row]:
        for _, offers in by_customer(calls, _READ):
            left_out["not the best"] += len(offers) - 1
            if not material.hours:
                left_out[_CLOSED] += 1
                continue
            if with_numbers and not offers[0]["phone"]:
                left_out[_NO_NUMBER] += 1
                continue
            yield _contact(offers[0], material)

    count = write_sheet(export.path("dialer.csv"), _HEADER, contacts())
    export.wrote("dialer.csv", count)
    return Told(count, left_out)


def _contact(offer: Row, material: Material) -> Row:
    return {
        **offer,
        "call_windows": material.hours.text,
        "call_days": " ".join(material.hours.days),
        "consent_purpose": None if offer["consent_recorded_on"] is None else "marketing",
        "script": " ".join(script_of({**offer, "rm": None}, material)),
    }
