"""Talking scripts and settings of the formats: the package's, with a bank's file laid over them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from datetime import time
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nextoffer import toml
from nextoffer.deliver.wording import PLACEHOLDER
from nextoffer.errors import DeliveryError, did_you_mean

IN_SCRIPTS = (
    "product_name", "product_type", "customer_name", "customer_id", "rm", "bank", "reason_1", "reason_2", "reason_3",
)  # fmt: skip
"""What the lines of a script may name."""

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_Days = Annotated[int, Field(ge=0)]
_Text = Annotated[str, Field(min_length=1)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Script(_Section):
    """What is said of products of one type, line by line."""

    lines: Annotated[tuple[str, ...], Field(min_length=1)]

    @field_validator("lines")
    @classmethod
    def _known(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_checked(line, IN_SCRIPTS) for line in lines)


class Leads(_Section):
    """The RMs' lead lists: which offers, and how many of one RM's the page shows."""

    channels: tuple[str, ...]
    page_rows: Annotated[int, Field(ge=1)]


class Dialer(_Section):
    """The dialer's file: the calling channel, and when may be called where the policy does not say it."""

    channel: str
    opens: Annotated[time, Field(alias="from")]
    closes: Annotated[time, Field(alias="until")]
    days: tuple[Day, ...]


class Banner(_Section):
    """In-app banners: which channels' offers, where, for how long, and the words where no reason may be told."""

    channels: tuple[str, ...]
    placements: Annotated[tuple[str, ...], Field(min_length=1)]
    expires_days: _Days
    title: str
    text: str

    @field_validator("title", "text")
    @classmethod
    def _known(cls, text: str) -> str:
        return _checked(text, ("product_name",))


class Salesforce(_Section):
    """The fields by which Salesforce knows customers and RMs, the campaign, and when tasks are due."""

    contact_key: _Name
    owner_key: _Name
    campaign_id: str
    due_days: _Days


class Hubspot(_Section):
    """The properties by which HubSpot knows customers and offers, and where deals begin."""

    customer_property: _Text
    decision_property: _Text
    pipeline: _Text
    dealstage: _Text
    close_days: _Days


class Settings(_Section):
    """All of it.

    Attributes
    ----------
    script
        By product type; ``default`` is for all others.
    leads, dialer, banner, salesforce, hubspot
        Of one format each.
    """

    script: dict[str, Script]
    leads: Leads
    dialer: Dialer
    banner: Banner
    salesforce: Salesforce
    hubspot: Hubspot

    @classmethod
    def read(cls, path: str | Path | None = None) -> Settings:
        """Return the package's settings, with what a TOML file says laid over them, script by script and key by key.

        Raises
        ------
        DeliveryError
            The file cannot be read, is not TOML, or holds unknown keys, wrong values or placeholders that mean nothing;
            all of it is told.
        """
        packaged = tomllib.loads(files("nextoffer.deliver").joinpath("templates.toml").read_text(encoding="utf-8"))
        if path is None:
            return cls.model_validate(packaged)
        content = _laid_over(packaged, _content(Path(path)))
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise DeliveryError(toml.problems(error, cls, where=str(path), content=content)) from None

    @staticmethod
    def own_types(path: str | Path) -> list[str]:
        """Return the product types that a file gives scripts for."""
        return [name for name in _content(Path(path)).get("script", {}) if name != "default"]


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(toml.read_text(path, error=DeliveryError))
    except tomllib.TOMLDecodeError as error:
        raise DeliveryError(f"{path}: not valid TOML: {error}") from None


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _laid_over(out[key], value) if both else value
    return out


def _checked(text: str, known: Iterable[str]) -> str:
    known = list(known)
    strange = [name for name in PLACEHOLDER.findall(text) if name not in known]
    if strange:
        told = "; ".join(f"'{{{name}}}' is no placeholder{did_you_mean(name, known)}" for name in strange)
        raise ValueError(f"{told}; there are {', '.join(known)}")
    return text
