"""In-app banners: places, words and dates."""

from __future__ import annotations

import json
from pathlib import Path

from nextoffer.deliver.banner import write_banner
from tests.deliver.toys import export, material, offer, settings


def test_the_best_offers_get_the_places_and_the_top_reason_its_customer_wording(tmp_path: Path) -> None:
    offers = [
        offer("ä", 1, "P1", channel="mobile", reason_codes=["high:income", "fit", "often"]),
        offer("ä", 2, "P2", channel="mobile"),
        offer("ä", 3, "P3", channel="mobile", reason_codes=None),
        offer("ä", 4, "P4", channel="mobile"),
        offer("b", 1, channel="phone"),
    ]
    told = write_banner(material(offers), export(tmp_path))
    (customer,) = json.loads((tmp_path / "banner.json").read_text(encoding="utf-8"))
    assert customer["customer_id"] == "ä"
    assert customer["placements"][0] == {
        "placement": "home_top",
        "product_id": "P1",
        "title": "Card P1",
        "text": "Card P1 is made for you",
        "expires_on": "2025-10-27",
        "decision_id": offers[0]["decision_id"],
    }
    assert [(p["placement"], p["text"]) for p in customer["placements"][1:]] == [
        ("home_middle", "Have a look at Card P2"),
        ("home_bottom", "Have a look at Card P3"),
    ]
    assert told.offers == 3
    assert told.left_out == {"on other channels": 1, "no place left": 1}


def test_every_channel_and_other_words(tmp_path: Path) -> None:
    own = settings(
        tmp_path, "[banner]\nchannels = []\nplacements = ['top']\nexpires_days = 0\ntext = 'See {product_name}'\n"
    )
    write_banner(material([offer("a", 1, channel=None), offer("b", 1)], settings=own), export(tmp_path))
    found = json.loads((tmp_path / "banner.json").read_text(encoding="utf-8"))
    assert [c["placements"][0]["text"] for c in found] == ["See Card P1"] * 2
    assert found[0]["placements"][0]["expires_on"] == "2025-10-13"


def test_nothing_to_show_is_an_empty_list(tmp_path: Path) -> None:
    write_banner(material([offer("a", 1)]), export(tmp_path))
    assert json.loads((tmp_path / "banner.json").read_text(encoding="utf-8")) == []
