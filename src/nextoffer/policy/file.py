"""The policy file: every key has a default, every mistake a message, and the content an id."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import Field

from nextoffer.policy import toml
from nextoffer.policy.arms import Arms
from nextoffer.policy.catalogue import Catalogue, OwnReasons
from nextoffer.policy.contact import Contact
from nextoffer.policy.eligibility import Consent, Eligibility
from nextoffer.policy.exploration import Exploration
from nextoffer.policy.objective import Arbitration
from nextoffer.policy.rules import Rules, packaged_rules
from nextoffer.policy.section import Count, Section, Share
from nextoffer.policy.value import READS, Value
from nextoffer.tables.flow import Asked

__all__ = ["Arbitration", "Consent", "Contact", "Eligibility", "Policy", "ReasonLimits"]

_READS = frozenset({"income", "channel_pref"})


class ReasonLimits(Section):
    """How many reasons an offer gets, and how much each must matter."""

    max: Count = 3
    min_share: Share = 0.05
    min_log_odds: Annotated[float, Field(ge=0)] = 0.01


class Policy(Section, OwnReasons):
    """What the bank allows; `Policy()` is the reference's policy, key by key that of ``default.toml``.

    Attributes
    ----------
    seed
        Orders offers of equal score.
    consent, eligibility, contact, arbitration
        The rules, by the stage at which they stop an offer.
    rule
        The bank's own rules, and the package's, in the order in which they are asked.
    value
        What an acceptance earns and an offer costs.
    exploration, arm
        What is left to chance, and who is decided for in a plainer way.
    reasons
        How many reasons an offer gets.
    reason
        The bank's own reasons; see `Catalogue`.

    >>> Policy().arbitration.top_n
    5
    >>> Policy(arbitration=Arbitration(top_n=1)).policy_id == Policy().policy_id
    False
    """

    seed: int = 7
    consent: Consent = Consent()
    eligibility: Eligibility = Eligibility()
    contact: Contact = Contact()
    arbitration: Arbitration = Arbitration()
    value: Value = Value()
    exploration: Exploration = Exploration()
    arm: Arms = ()
    rule: Rules = Field(default_factory=packaged_rules)
    reasons: ReasonLimits = ReasonLimits()

    @classmethod
    def read(cls, path: str | Path | None = None) -> Policy:
        """Return the policy of a TOML file, or the reference's.

        Raises
        ------
        PolicyError
            The file cannot be read, is not TOML, or holds unknown keys or wrong values; all of them are named.
        """
        if path is None:
            return toml.parse(toml.packaged("default.toml"), cls, where="default.toml")
        return toml.parse(toml.read_text(path), cls, where=str(path))

    def to_toml(self) -> str:
        """Return the content as TOML in one canonical form: equal policies give equal text, and read back equal."""
        return toml.dump(self.model_dump(exclude_none=True))

    @property
    def policy_id(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of `to_toml`."""
        return _content_id(self)

    @property
    def reads(self) -> frozenset[str]:
        """Names of the columns that rules and decisions look at where a bank has them, ``pair.`` ones included."""
        own = {name for rule in self.rule if rule.enabled for name in rule.reads if not name.startswith("product.")}
        return _READS | READS | self.arbitration.reads | own

    @property
    def asked(self) -> Asked:
        """What the rules ask of a bank's tables beside who holds what."""
        contact = self.contact
        return Asked(
            windows=contact.windows,
            channels=contact.channels,
            consents=self.consent.marketing,
            without_record=self.consent.absent == "allow",
            offers_days=contact.cool_down.days,
            ignored_days=contact.after_ignores.days,
            rejected_days=contact.after_reject.days,
        )

    @property
    def catalogue(self) -> Catalogue:
        """The package's reasons, overridden and extended by the policy's own."""
        return Catalogue.packaged().with_own(self.reason) if self.reason else Catalogue.packaged()


@lru_cache(maxsize=64)
def _content_id(policy: Policy) -> str:
    return sha256(policy.to_toml().encode()).hexdigest()[:12]
