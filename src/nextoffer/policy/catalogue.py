"""The reason catalogue: what may be said for and against an offer, of which features, to whom, and on which condition.

The package's reasons are in ``reasons.toml``; a bank adds its own in its policy file, and replaces one by using its
code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nextoffer.errors import PolicyError, did_you_mean
from nextoffer.policy import toml
from nextoffer.policy.expression import parsed
from nextoffer.policy.stats import FeatureStats
from nextoffer.tables.flow import Kind

Side = Literal["for", "against"]
Audience = Literal["rm", "customer", "audit"]

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
EACH_NAMES = ("value", "low", "high", "typical")
"""What the fact of a reason given for each feature may also name."""

_Text = Annotated[str, Field(min_length=1)]
_Tuple = Field(strict=False)  # TOML has arrays, not tuples


class Reason(BaseModel):
    """One thing that may be said for or against an offer.

    Attributes
    ----------
    code
        Short and stable, for files and statistics.
    side
        ``for`` an offer, or ``against`` it: only to explain a low rank.
    speaks_for
        Names or globs of the features whose contributions it explains, as in `Scores.features`.
    fact
        What must hold in the customer's data for it to be said.
    each
        If given, there is one such reason for each single feature of this kind: its fact may name ``value``, ``low``,
        ``high`` and ``typical``, its texts also ``{label}``, and its code is ``<code>:<feature>``.
    rm, customer, audit
        What is said to the relationship manager, the customer, the auditor; without a text for the customer, he is not
        told. ``{product_name}`` and the columns of the fact may be named in braces.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    code: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    side: Side = "for"
    speaks_for: Annotated[tuple[_Text, ...], _Tuple, Field(min_length=1)]
    fact: _Text
    each: Kind | None = None
    rm: _Text
    customer: _Text | None = None
    audit: _Text

    @model_validator(mode="after")
    def _checked(self) -> Reason:
        problems = [*self._fact_problems(), *self._text_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _fact_problems(self) -> list[str]:
        try:
            names = parsed(self.fact).names
        except PolicyError as error:
            return [f"fact {problem}" for problem in error.problems]
        stray = [name for name in EACH_NAMES if name in names and not self.each]
        return [f"fact '{self.fact}': '{name}' has a meaning only with 'each'" for name in stray]

    def _text_problems(self) -> list[str]:
        try:
            known = ["product_name", *parsed(self.fact).names]
        except PolicyError:
            return []
        known += ["label", *EACH_NAMES] if self.each else []
        return [
            f"{audience} text names '{{{name}}}', which is none of {', '.join(known)}{did_you_mean(name, known)}"
            for audience in ("rm", "customer", "audit")
            for name in PLACEHOLDER.findall(self.text(audience) or "")
            if name not in known
        ]

    def text(self, audience: Audience) -> str | None:
        """Return the template for one audience, or None if it is not to be told."""
        return {"rm": self.rm, "customer": self.customer, "audit": self.audit}[audience]

    def members(self, features: Iterable[str]) -> list[str]:
        """Return those of `features` that this reason speaks for."""
        return [name for name in features if any(fnmatchcase(name, glob) for glob in self.speaks_for)]


class OwnReasons(BaseModel):
    """A file in which a bank gives reasons of its own, as an array of tables ``[[reason]]``."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    reason: Annotated[tuple[Reason, ...], _Tuple] = ()

    @model_validator(mode="after")
    def _codes_differ(self) -> OwnReasons:
        twice = [code for code, count in Counter(r.code for r in self.reason).items() if count > 1]
        if twice:
            raise ValueError(f"reason: the code {', '.join(twice)} is used more than once")
        return self


@dataclass(frozen=True, eq=False)
class Catalogue:
    """All reasons in order of precedence: where two speak for the same feature, the earlier one is given.

    Attributes
    ----------
    reasons
        The bank's additions first, then the package's.
    own
        Codes of the bank's reasons. These must fit the bank's columns; one of the package's that does not is left out.
    stats
        What is low, typical and high. Facts that compare with a feature not measured here never hold.
    """

    reasons: tuple[Reason, ...]
    own: frozenset[str] = frozenset()
    stats: FeatureStats = field(default_factory=FeatureStats)

    @staticmethod
    @lru_cache(maxsize=1)
    def packaged() -> Catalogue:
        """Return the package's catalogue."""
        return Catalogue(toml.parse(toml.packaged("reasons.toml"), OwnReasons, where="reasons.toml").reason)

    @classmethod
    def read(cls, path: str | Path | None = None) -> Catalogue:
        """Return the package's catalogue, with the reasons of a TOML file laid over it.

        Raises
        ------
        PolicyError
            The file cannot be read or is wrong; every problem is named.
        """
        if path is None:
            return cls.packaged()
        return cls.packaged().with_own(toml.parse(toml.read_text(path), OwnReasons, where=str(path)).reason)

    @cached_property
    def names(self) -> frozenset[str]:
        """The columns that facts and texts name: ``income``, ``pair.offers``; not products' and not yardsticks."""
        facts = (name for reason in self.reasons for name in parsed(reason.fact).names)
        texts = (
            name
            for reason in self.reasons
            for audience in get_args(Audience)
            for name in PLACEHOLDER.findall(reason.text(audience) or "")
        )
        return frozenset(n for n in (*facts, *texts) if not n.startswith(("product.", "low.", "typical.", "high.")))

    def with_own(self, reasons: Iterable[Reason]) -> Catalogue:
        """Return the catalogue with a bank's reasons: one whose code is known takes its place, others come first."""
        own = {reason.code: reason for reason in reasons}
        known = {reason.code for reason in self.reasons}
        added = tuple(reason for code, reason in own.items() if code not in known)
        kept = tuple(own.get(reason.code, reason) for reason in self.reasons)
        return replace(self, reasons=added + kept, own=self.own | own.keys())

    def with_stats(self, stats: FeatureStats) -> Catalogue:
        """Return the catalogue with this yardstick of what is low, typical and high."""
        return replace(self, stats=stats)
