"""The talking script of an offer: lines for its product type, filled with what is known and may be said."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from nextoffer.deliver.material import Material, Row
from nextoffer.deliver.settings import Script
from nextoffer.deliver.wording import PLACEHOLDER

COLUMNS = ("customer_id", "customer_name", "product_name", "product_type", "rm", "reason_codes")
"""The columns of an offer that `script_of` reads."""


def script_of(offer: Row, material: Material) -> list[str]:
    """Return what to say to the customer: lines whose placeholders are all known; reasons in the customer's wording."""
    reasons = material.wordings.of(offer["reason_codes"] or (), offer["product_name"])
    known = {f"reason_{k + 1}": text for k, text in enumerate(reasons)}
    for name in ("customer_id", "customer_name", "product_name", "product_type", "rm"):
        if offer.get(name) is not None:
            known[name] = str(offer[name])
    known["bank"] = material.bank
    scripts = material.settings.script
    return filled(scripts.get(offer["product_type"], scripts["default"]), known)


def filled(script: Script, known: Mapping[str, str]) -> list[str]:
    """Return the lines of which everything they name is known.

    >>> filled(Script(lines=("Good day {customer_name}.", "{reason_1}.", "Goodbye.")), {"customer_name": "Ann {rm}"})
    ['Good day Ann {rm}.', 'Goodbye.']
    """
    lines = [line for line in script.lines if _named(line) <= known.keys()]
    return [PLACEHOLDER.sub(lambda found: known[found.group(1)], line) for line in lines]


@lru_cache(maxsize=1_024)
def _named(line: str) -> frozenset[str]:
    return frozenset(PLACEHOLDER.findall(line))
