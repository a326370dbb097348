"""Hands the offers of a file of decisions over, in any formats, as one folder with a manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nextoffer import __version__
from nextoffer.deliver.folder import check_free, new_export, sum_of
from nextoffer.deliver.formats import FORMATS
from nextoffer.deliver.material import Material
from nextoffer.errors import DeliveryError, did_you_mean
from nextoffer.policy.file import Policy
from nextoffer.run.decisions import read_decisions
from nextoffer.run.handover import NEEDED, Order, material
from nextoffer.tables.bank import Bank


def export_file(  # noqa: PLR0913  what, of whom, under which policy, to where; and how to go about it
    decisions: Path,
    bank: Bank,
    policy: Policy,
    order: Order,
    out: Path,
    *,
    force: bool = False,
    step: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write the formats of an order to the folder `out`, and return its manifest.

    Raises
    ------
    DeliveryError
        A format, column or placeholder is unknown, there are no offers, or `out` is taken; nothing is written then.
    NextOfferError
        The decisions cannot be read.
    """
    check_free(out, force=force)
    if problems := _unknown_formats(order.formats):
        raise DeliveryError(problems)
    step("Reading decisions")
    found = material(read_decisions(decisions, bank, needed=NEEDED), bank, policy, order)
    with new_export(out, force=force) as export:
        told = {}
        for name in dict.fromkeys(order.formats):
            step(f"Writing {name}")
            told[name] = FORMATS[name](found, export).to_dict()
        made_from = {"file": decisions.name, "sha256": sum_of(decisions), "offers": found.every.num_rows}
        return export.close({**_about(found, bank, policy), "made_from": made_from, "formats": told})


def _unknown_formats(names: Sequence[str]) -> list[str]:
    if not names:
        return [f"name a format: {', '.join(FORMATS)}"]
    strange = [name for name in names if name not in FORMATS]
    return [f"no format '{name}'{did_you_mean(name, FORMATS)}; there are {', '.join(FORMATS)}" for name in strange]


def _about(found: Material, bank: Bank, policy: Policy) -> dict[str, Any]:
    every = found.every
    scrubbed = every.num_rows - found.offers.num_rows
    customers = pc.count_distinct(every.column("customer_id")).as_py()
    kept = pc.count_distinct(found.offers.column("customer_id")).as_py()
    return {
        "format": 1,
        "made_by": f"nextoffer {__version__}",
        "bank": bank.name,
        "day": found.day.isoformat(),
        "as_of": [d.isoformat() for d in _different(every, "as_of")],
        "model_id": _different(every, "model_id"),
        "policy_id": _different(every, "policy_id"),
        "worded_by_policy": policy.policy_id,
        "consents": _checked(bank, policy, found),
        "scrubbed": {"offers": scrubbed, "customers": customers - kept},
    }


def _checked(bank: Bank, policy: Policy, found: Material) -> str:
    if not policy.consent.marketing:
        return "not asked for by the policy"
    if not bank.has("consents"):
        return "the bank keeps none"
    return f"as they stood on {found.day.isoformat()}"


def _different(table: pa.Table, name: str) -> list[Any]:
    return sorted(v for v in pc.unique(table.column(name)).to_pylist() if v is not None)
