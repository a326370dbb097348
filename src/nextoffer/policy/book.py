"""The rules of one policy, numbered in the order in which they are blamed: a refusal names the first that stops it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nextoffer.errors import PolicyError
from nextoffer.policy.applied import applied, own_rules
from nextoffer.policy.arbitration import TOP_N, arbitration_rules
from nextoffer.policy.arms import names
from nextoffer.policy.contact import contact_rules, limits
from nextoffer.policy.eligibility import consent_rules, eligibility_rules
from nextoffer.policy.file import Policy
from nextoffer.policy.offering import Offering
from nextoffer.policy.priority import Terms, levers, typed
from nextoffer.policy.rule import Rule, stage_of
from nextoffer.tables.flow import Kind

_MOST = 127  # rules are numbered by one byte


@dataclass(frozen=True)
class Book:
    """A policy, made ready to decide by.

    Attributes
    ----------
    policy
        What the bank allows.
    """

    policy: Policy

    def __reduce__(self) -> tuple[Any, ...]:
        return Book, (self.policy,)  # what was made of it holds functions, which do not travel

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The rules on single pairs, by the stage they belong to."""
        policy = self.policy
        return (
            *consent_rules(policy.consent),
            *eligibility_rules(policy.eligibility),
            *own_rules(policy.rule),
            *contact_rules(policy.contact),
            *arbitration_rules(self.terms, policy.arm, policy.seed),
        )

    @cached_property
    def terms(self) -> Terms:
        """What the policy says of the worth of an offer."""
        return Terms(self.policy.arbitration, self.policy.value, self.policy.contact)

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """The names of the arms: the champion's first."""
        return names(self.policy.arm)

    @cached_property
    def by_propensity_alone(self) -> bool:
        """Whether propensity decides the order of all offers, and nothing is left to chance."""
        policy = self.policy
        return policy.arbitration.by_propensity_alone and not policy.arm and policy.exploration.method == "none"

    def check(self, kinds: Mapping[str, Kind], offering: Offering, closed: Mapping[str, str] | None = None) -> None:
        """Find out whether rules and weights fit columns of these kinds, products' included, and these products.

        Parameters
        ----------
        closed
            Why columns that the bank has may not be used.

        Raises
        ------
        PolicyError
            They do not; all problems are named.
        """
        arbitration = self.policy.arbitration
        problems: list[str] = []
        for fits in (
            lambda: applied([rule for rule in self.policy.rule if rule.enabled], kinds, offering, closed),
            lambda: typed(arbitration.context, kinds, closed),
            lambda: levers(offering, arbitration.lever),
        ):
            try:
                fits()
            except PolicyError as error:
                problems += error.problems
        if problems:
            raise PolicyError(problems)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What can stop a pair: the rules, then what depends on ranks, and so on all rules: limits and the top.

        A limit is named only where a higher one would have let the offer through.
        """
        names = (*(rule.name for rule in self.rules), *limits(self.policy.contact), TOP_N)
        if len(names) > _MOST:
            raise PolicyError(f"the policy has {len(names)} rules and limits; at most {_MOST} can be told apart")
        return names

    @cached_property
    def first_limit(self) -> int:
        """The place in `names` of the first limit on the number of offers."""
        return len(self.rules)

    @cached_property
    def top_n(self) -> int:
        """The place in `names` of the top."""
        return len(self.names) - 1

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The stages, each once, in the order of `names`."""
        return tuple(dict.fromkeys(map(stage_of, self.names)))

    @cached_property
    def stage_places(self) -> npt.NDArray[np.int8]:
        """int8: the place in `stages` of each of `names`."""
        return np.array([self.stages.index(stage_of(name)) for name in self.names], dtype=np.int8)
