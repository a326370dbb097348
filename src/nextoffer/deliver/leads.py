"""Lead lists of relationship managers (RMs): one CSV of all, one for each RM, and a page to read and print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.deliver.folder import Export
from nextoffer.deliver.lead_page import Group, Lead, page
from nextoffer.deliver.material import Material, Row, Told, rows
from nextoffer.deliver.script import COLUMNS, script_of
from nextoffer.deliver.sheet import join_sheets, write_sheet

NOBODY = "no RM"

_HEADER = (
    "rm", "customer_id", "customer_name", "rank", "product_id", "product_name", "product_type", "propensity",
    "expected_value", "currency", "channel", "slot_day", "reasons", "script", "decision_id",
)  # fmt: skip
_READ = (*COLUMNS, *(n for n in _HEADER if n not in ("currency", "script")))


def write_leads(material: Material, export: Export) -> Told:
    """Write ``leads.csv``, ``leads/<rm>.csv`` and ``leads.html``: by RM, those without last, most valuable first."""
    offers = _sorted(_wanted(material))
    groups: list[Group] = []
    parts: list[str] = []
    for rm, leads in groupby(_leads(offers, material), key=lambda lead: lead["rm"]):
        group = Group(rm, [], material.settings.leads.page_rows)
        name = f"leads/{_file_name(rm, parts)}.csv"
        export.wrote(name, write_sheet(export.path(name), _HEADER, _noted(leads, group), for_spreadsheet=True))
        groups.append(group)
    whole = export.path("leads.csv")
    write_sheet(whole, _HEADER, (), for_spreadsheet=True)
    join_sheets([export.path(f"leads/{part}.csv") for part in parts], whole)
    count = sum(group.count for group in groups)
    export.wrote("leads.csv", count)
    export.path("leads.html").write_text(page(material, groups), encoding="utf-8")
    export.wrote("leads.html", sum(len(group.leads) for group in groups))
    return Told(count, {"on other channels": material.offers.num_rows - count})


def _wanted(material: Material) -> pa.Table:
    channels = material.settings.leads.channels
    if not channels:
        return material.offers
    return material.offers.filter(pc.is_in(material.offers.column("channel"), value_set=pa.array(channels)))


def _sorted(offers: pa.Table) -> pa.Table:
    """Return the offers by RM, those without one last; of each the most valuable first, else the most likely."""
    keys = [
        ("rm", "ascending"),
        ("expected_value", "descending"),
        ("score", "descending"),
        ("customer_id", "ascending"),
    ]
    at = pc.sort_indices(offers, sort_keys=[*keys, ("rank", "ascending")])
    return offers.take(at)


def _leads(offers: pa.Table, material: Material) -> Iterator[dict[str, Any]]:
    for offer in rows(offers, _READ):
        script = script_of(offer, material)
        more = {"rm": offer["rm"] or NOBODY, "currency": material.currency, "script": script}
        yield {**offer, **more, "reasons": offer["reasons"] or []}


def _noted(leads: Iterator[Row], group: Group) -> Iterator[Row]:
    """Pass leads on, and put the first of them on the page."""
    for lead in leads:
        group.add(Lead.of(lead))
        yield lead


def _file_name(rm: str, taken: list[str]) -> str:
    """Return a name that every file system takes and tells apart from those taken, and take it.

    >>> taken = []
    >>> [_file_name(rm, taken) for rm in ("RM0001", "north/7", "north:7", "rm0001")]
    ['RM0001', 'north_7', 'north_7-3', 'rm0001-4']
    """
    name = re.sub(r"[^A-Za-z0-9_-]", "_", rm)[:80]
    if name.lower() in ("con", "nul", "prn", "aux", *(other.lower() for other in taken)):
        name = f"{name}-{len(taken) + 1}"
    taken.append(name)
    return name
