"""The dialer's file: one row a customer, with consent, hours and a number."""

from __future__ import annotations

from pathlib import Path

from nextoffer.deliver.dialer import write_dialer
from nextoffer.deliver.material import CallingHours
from tests.deliver.toys import AS_OF, export, material, offer, read_csv, settings

CLOSED = "the policy leaves no hours for calls"


def test_one_row_a_customer_with_the_best_offer_on_the_calling_channel(tmp_path: Path) -> None:
    offers = [
        offer("a", 1, "P1", channel="mail"),
        offer("a", 2, "P2", consent_recorded_on=AS_OF, consent_channel="all"),
        offer("a", 3, "P3"),
        offer("b", 1, channel=None),
    ]
    told = write_dialer(material(offers), export(tmp_path))
    (row,) = read_csv(tmp_path / "dialer.csv")
    assert (row["customer_id"], row["product_id"]) == ("a", "P2")
    assert (row["consent_purpose"], row["consent_channel"], row["consent_recorded_on"]) == (
        "marketing",
        "all",
        "2025-10-11",
    )
    assert (row["call_windows"], row["call_days"]) == ("09:00-12:00 14:00-20:00", "mon tue")
    assert "Card P2" in row["script"]
    assert told.offers == 1
    assert told.left_out == {"not on the channel 'phone'": 2, "not the best": 1, "no phone number": 0, CLOSED: 0}


def test_customers_without_a_number_are_left_out_where_there_are_numbers(tmp_path: Path) -> None:
    offers = [offer("a", 1, phone="+49 30 1"), offer("b", 1, phone=None), offer("c", 1, phone="")]
    told = write_dialer(material(offers), export(tmp_path))
    assert [row["phone"] for row in read_csv(tmp_path / "dialer.csv")] == ["+49 30 1"]
    assert told.left_out["no phone number"] == 2


def test_the_calling_channel_can_be_named(tmp_path: Path) -> None:
    own = settings(tmp_path, "[dialer]\nchannel = 'call'\n")
    told = write_dialer(material([offer("a", 1, channel="call"), offer("b", 1)], settings=own), export(tmp_path))
    assert told.offers == 1
    assert write_dialer(material([offer("b", 1, channel="mail")]), export(tmp_path)).offers == 0
    assert read_csv(tmp_path / "dialer.csv") == []


def test_nobody_is_called_where_no_hours_are_left(tmp_path: Path) -> None:
    told = write_dialer(material([offer("a", 1)], hours=CallingHours((), ("mon",))), export(tmp_path))
    assert told.offers == 0
    assert told.left_out[CLOSED] == 1


def test_the_most_valuable_calls_come_first(tmp_path: Path) -> None:
    values = {"a": 1.0, "b": None, "c": 3.0, "d": None}
    offers = [offer(c, 1, expected_value=v, score=ord(c) / 200) for c, v in values.items()]
    write_dialer(material(offers), export(tmp_path))
    assert [row["customer_id"] for row in read_csv(tmp_path / "dialer.csv")] == ["c", "a", "d", "b"]
