"""In-app banners: for each customer, what to show in which place."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.deliver.folder import Export
from nextoffer.deliver.material import Material, Row, Told, by_customer

_READ = ("product_id", "product_name", "reason_codes", "decision_id")


def write_banner(material: Material, export: Export) -> Told:
    """Write ``banner.json``: a list of customers, one a line, each with placements, best offer first."""
    settings = material.settings.banner
    offers = material.offers
    if settings.channels:
        offers = offers.filter(pc.is_in(offers.column("channel"), value_set=pa.array(settings.channels)))
    shown, customers = 0, 0
    with export.path("banner.json").open("w", encoding="utf-8") as file:
        for customer, best in by_customer(offers, _READ):
            places = [
                _placement(offer, place, material) for offer, place in zip(best, settings.placements, strict=False)
            ]
            line = json.dumps({"customer_id": customer, "placements": places}, ensure_ascii=False)
            file.write(f"{',' if customers else '['}\n{line}")
            shown, customers = shown + len(places), customers + 1
        file.write("\n]\n" if customers else "[]\n")
    export.wrote("banner.json", customers)
    elsewhere = material.offers.num_rows - offers.num_rows
    return Told(shown, {"on other channels": elsewhere, "no place left": offers.num_rows - shown})


def _placement(offer: Row, place: str, material: Material) -> dict[str, Any]:
    settings, name = material.settings.banner, offer["product_name"]
    told = material.wordings.of(offer["reason_codes"] or (), name)
    return {
        "placement": place,
        "product_id": offer["product_id"],
        "title": settings.title.replace("{product_name}", name),
        "text": told[0] if told else settings.text.replace("{product_name}", name),
        "expires_on": (material.day + timedelta(days=settings.expires_days)).isoformat(),
        "decision_id": offer["decision_id"],
    }
