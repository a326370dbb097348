"""Files for Salesforce and HubSpot: headers as their importers expect them, customer wordings only."""

from __future__ import annotations

from pathlib import Path

from nextoffer.deliver.crm import write_hubspot, write_salesforce
from tests.deliver.toys import export, material, offer, read_csv, settings

OFFERS = [
    offer("a", 1, "P1", rm="r1", reason_codes=["high:income", "fit", "often"], value=45.0),
    offer("a", 2, "P2", channel="mobile"),
]


def test_tasks_of_salesforce(tmp_path: Path) -> None:
    written = export(tmp_path)
    told = write_salesforce(material(OFFERS), written)
    first, second = read_csv(tmp_path / "salesforce" / "tasks.csv")
    assert first == {
        "Subject": "Offer: Card P1",
        "ActivityDate": "2025-10-27",
        "Status": "Not Started",
        "Priority": "Normal",
        "TaskSubtype": "Call",
        "Description": "Card P1 is made for you. You use your account often",
        "Contact:Who.Customer_Id__c": "a",
        "Owner.FederationIdentifier": "r1",
    }
    assert (second["TaskSubtype"], second["Description"]) == ("Task", "")
    assert list(written.rows) == ["salesforce/tasks.csv"]
    assert told.offers == 2


def test_campaign_members_once_a_customer(tmp_path: Path) -> None:
    own = settings(tmp_path, "[salesforce]\ncampaign_id = '701x'\ncontact_key = 'Ext__c'\n")
    write_salesforce(material(OFFERS, settings=own), export(tmp_path))
    assert read_csv(tmp_path / "salesforce" / "campaign_members.csv") == [
        {"CampaignId": "701x", "Contact.Ext__c": "a", "Status": "Sent"}
    ]


def test_owners_only_where_there_are_rms(tmp_path: Path) -> None:
    write_salesforce(material([offer("a", 1, product_name="x" * 300)]), export(tmp_path))
    (row,) = read_csv(tmp_path / "salesforce" / "tasks.csv")
    assert "Owner.FederationIdentifier" not in row
    assert len(row["Subject"]) == 255


def test_contacts_and_deals_of_hubspot(tmp_path: Path) -> None:
    offers = [
        {**OFFERS[0], "first_name": "=Ann", "email": "a@x.y"},
        {**OFFERS[1], "first_name": "=Ann", "email": "a@x.y"},
    ]
    write_hubspot(material(offers), export(tmp_path))
    assert read_csv(tmp_path / "hubspot" / "contacts.csv") == [
        {"Customer ID": "a", "First name": "'=Ann", "Email": "a@x.y"}
    ]
    first, second = read_csv(tmp_path / "hubspot" / "deals.csv")
    assert first == {
        "Customer ID": "a",
        "Deal name": "Card P1 for a",
        "Pipeline": "Sales Pipeline",
        "Deal stage": "Appointment Scheduled",
        "Amount": "45.0",
        "Close date": "2025-11-12",
        "Deal description": "Card P1 is made for you. You use your account often",
        "NextOffer decision ID": OFFERS[0]["decision_id"],
    }
    assert (second["Amount"], second["Deal description"]) == ("", "")
