"""Files that Salesforce and HubSpot import. CRM texts end up in mails and portals: they hold customer wordings only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from nextoffer.deliver.folder import Export
from nextoffer.deliver.material import Material, Row, Told, by_customer, rows
from nextoffer.deliver.sheet import write_sheet

_READ = ("customer_id", "product_name", "channel", "reason_codes", "rm", "value", "decision_id")
_CALLED = frozenset({"phone", "call"})
_SUBJECT = 255  # characters that the subject of a task may have


def write_salesforce(material: Material, export: Export) -> Told:
    """Write ``salesforce/tasks.csv`` and, where the settings name a campaign, ``salesforce/campaign_members.csv``.

    The headers are API names, and relationships by external id, as the Bulk API reads them.
    """
    settings = material.settings.salesforce
    who, owner = f"Contact:Who.{settings.contact_key}", f"Owner.{settings.owner_key}"
    due = material.day + timedelta(days=settings.due_days)

    def tasks() -> Iterator[Row]:
        for offer in rows(material.offers, _READ):
            yield {
                "Subject": f"Offer: {offer['product_name']}"[:_SUBJECT],
                "ActivityDate": due,
                "Status": "Not Started",
                "Priority": "Normal",
                "TaskSubtype": "Call" if offer["channel"] in _CALLED else "Task",
                "Description": _said(offer, material),
                who: offer["customer_id"],
                owner: offer["rm"],
            }

    header = ["Subject", "ActivityDate", "Status", "Priority", "TaskSubtype", "Description", who]
    if material.offers.column("rm").null_count < material.offers.num_rows:
        header.append(owner)
    _write(export, "salesforce/tasks.csv", header, tasks())
    if settings.campaign_id:
        contact = f"Contact.{settings.contact_key}"
        members = (
            {"CampaignId": settings.campaign_id, contact: customer, "Status": "Sent"}
            for customer, _ in by_customer(material.offers, ())
        )
        _write(export, "salesforce/campaign_members.csv", ["CampaignId", contact, "Status"], members)
    return Told(material.offers.num_rows)


def write_hubspot(material: Material, export: Export) -> Told:
    """Write ``hubspot/contacts.csv`` and ``hubspot/deals.csv``, which share the customer's id.

    The headers are the names of properties as HubSpot's import shows them.
    """
    settings = material.settings.hubspot
    key = settings.customer_property
    there = {"First name": "first_name", "Last name": "last_name", "Email": "email", "Phone number": "phone"}
    known = {
        name: column
        for name, column in there.items()
        if material.offers.column(column).null_count < material.offers.num_rows
    }

    def contacts() -> Iterator[Row]:
        for customer, offers in by_customer(material.offers, list(known.values())):
            yield {key: customer, **{name: offers[0][column] for name, column in known.items()}}

    def deals() -> Iterator[Row]:
        close = material.day + timedelta(days=settings.close_days)
        for offer in rows(material.offers, _READ):
            yield {
                key: offer["customer_id"],
                "Deal name": f"{offer['product_name']} for {offer['customer_id']}",
                "Pipeline": settings.pipeline,
                "Deal stage": settings.dealstage,
                "Amount": offer["value"],
                "Close date": close,
                "Deal description": _said(offer, material),
                settings.decision_property: offer["decision_id"],
            }

    header = [
        key,
        "Deal name",
        "Pipeline",
        "Deal stage",
        "Amount",
        "Close date",
        "Deal description",
        settings.decision_property,
    ]
    _write(export, "hubspot/contacts.csv", [key, *known], contacts())
    _write(export, "hubspot/deals.csv", header, deals())
    return Told(material.offers.num_rows)


def _said(offer: Row, material: Material) -> str:
    return ". ".join(material.wordings.of(offer["reason_codes"] or (), offer["product_name"]))


def _write(export: Export, name: str, header: list[str], records: Iterator[Row]) -> None:
    export.wrote(name, write_sheet(export.path(name), header, records))
