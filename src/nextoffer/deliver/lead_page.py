"""The lead list as one HTML page: no script, nothing from elsewhere; for a screen, a telephone and paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

from nextoffer.deliver.material import Material, Row

_NARROW = "\N{NARROW NO-BREAK SPACE}"
_TICKS = (
    f'<div class="ticks">{"".join(f"<span>{outcome}</span>" for outcome in ("reached", "accepted", "later"))}</div>'
)


@dataclass(frozen=True)
class Lead:
    """One offer as it is shown; all texts as they are, not yet HTML."""

    customer: str
    customer_name: str | None
    product: str
    product_type: str
    channel: str
    propensity: float | None
    expected_value: float | None
    slot_day: int | None
    reasons: Sequence[str]
    script: Sequence[str]

    @classmethod
    def of(cls, offer: Row) -> Lead:
        """Return a lead from a row of the lead list."""
        return cls(
            str(offer["customer_id"]),
            offer["customer_name"],
            offer["product_name"],
            offer["product_type"] or "",
            offer["channel"] or "",
            offer["propensity"],
            offer["expected_value"],
            offer["slot_day"],
            offer["reasons"],
            offer["script"],
        )


@dataclass
class Group:
    """The leads of one RM.

    Attributes
    ----------
    leads
        Those that are shown, at most `most`.
    count, value
        Of all of them.
    """

    rm: str
    leads: list[Lead]
    most: int
    count: int = 0
    value: float = 0.0

    def add(self, lead: Lead) -> None:
        """Count a lead, and show it while there is room."""
        self.count += 1
        self.value += lead.expected_value or 0.0
        if len(self.leads) < self.most:
            self.leads.append(lead)


def page(material: Material, groups: Sequence[Group]) -> str:
    """Return the page."""
    title = f"{material.bank}: offers to discuss"
    total, value = sum(group.count for group in groups), sum(group.value for group in groups)
    first = "valuable" if value else "likely"
    contents = "".join(
        f'<li><a href="#g{k}">{escape(group.rm)}</a> <span>{_count(group.count)}</span></li>'
        for k, group in enumerate(groups)
    )
    sections = "".join(_section(f"g{k}", group, material) for k, group in enumerate(groups))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n<main>\n"
        f'<header><p class="mast">NextOffer lead list · {material.day:%Y-%m-%d}</p><h1>{escape(title)}</h1>\n'
        f'<p class="sum">{_leads(total)}{_worth(value, material)}. Most {first} first.</p>\n'
        f"<nav><ul>{contents}</ul></nav></header>\n{sections}</main>\n</body>\n</html>\n"
    )


def _section(anchor: str, group: Group, material: Material) -> str:
    left = group.count - len(group.leads)
    more = f'<p class="more">{_leads(left)} more in the CSV file.</p>' if left else ""
    leads = "\n".join(_lead(k + 1, lead, material) for k, lead in enumerate(group.leads))
    sums = f'<p class="sum">{_leads(group.count)}{_worth(group.value, material)}</p>'
    return f'<section id="{anchor}"><h2>{escape(group.rm)}</h2>\n{sums}\n<ol>\n{leads}\n</ol>\n{more}</section>\n'


def _lead(place: int, lead: Lead, material: Material) -> str:
    name = escape(lead.customer_name or lead.customer)
    number = f'<span class="id">{escape(lead.customer)}</span>' if lead.customer_name else ""
    facts = [escape(lead.product_type), escape(lead.channel), f"day {lead.slot_day}" if lead.slot_day else ""]
    figures = _figure("Chance", _percent(lead.propensity))
    figures += _figure("Expected value", _money(lead.expected_value, material))
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in lead.reasons)
    why = f"<ul>{reasons}</ul>" if reasons else "<p>No single reason stands out.</p>"
    script = "".join(f"<p>{escape(line)}</p>" for line in lead.script)
    return (
        f'<li class="lead"><div class="who"><span class="place">{place}</span><h3>{name} {number}</h3>{_TICKS}</div>\n'
        f'<div class="what"><strong>{escape(lead.product)}</strong>'
        f"<span>{' · '.join(fact for fact in facts if fact)}</span></div>\n<dl>{figures}</dl>\n"
        f'<div class="why"><h4>Why</h4>{why}</div>\n<div class="say"><h4>What to say</h4>{script}</div></li>'
    )


def _figure(name: str, value: str) -> str:
    return f"<div><dt>{name}</dt><dd>{value}</dd></div>" if value else ""


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}{_NARROW}%"


def _money(value: float | None, material: Material) -> str:
    return "" if value is None else f"{value:,.2f} {escape(material.currency)}".strip()


def _worth(value: float, material: Material) -> str:
    return f", expected value {_money(value, material)}" if value else ""


def _count(number: int) -> str:
    return f"{number:,}".replace(",", _NARROW)


def _leads(number: int) -> str:
    return f"{_count(number)} lead{'' if number == 1 else 's'}"


@cache
def _style() -> str:
    return files("nextoffer.deliver").joinpath("leads.css").read_text(encoding="utf-8")
