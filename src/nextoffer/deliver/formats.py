"""The formats there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nextoffer.deliver.banner import write_banner
from nextoffer.deliver.crm import write_hubspot, write_salesforce
from nextoffer.deliver.dialer import write_dialer
from nextoffer.deliver.folder import Export
from nextoffer.deliver.interactions import write_interactions
from nextoffer.deliver.leads import write_leads
from nextoffer.deliver.material import Material, Told

Format = Callable[[Material, Export], Told]

FORMATS: Mapping[str, Format] = {
    "leads": write_leads,
    "dialer": write_dialer,
    "banner": write_banner,
    "salesforce": write_salesforce,
    "hubspot": write_hubspot,
    "pdstools": write_interactions,
}
"""What writes each format into an export."""
