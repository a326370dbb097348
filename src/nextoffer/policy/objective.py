"""What offers are sorted by: the ``[arbitration]`` section of a policy file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from nextoffer.errors import PolicyError
from nextoffer.policy.expression import parsed
from nextoffer.policy.section import Section, Share

Objective = Literal["propensity", "value", "incremental_value"]

_Weight = Annotated[float, Field(gt=0)]
_Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]  # TOML has arrays, not tuples


class Context(Section):
    """A weight on the pairs of which an expression is known to be true."""

    when: str
    weight: _Weight

    @field_validator("when")
    @classmethod
    def _of_the_right_form(cls, text: str) -> str:
        try:
            parsed(text)
        except PolicyError as error:
            raise ValueError("; ".join(error.problems)) from None
        return text


class Lever(Section):
    """A weight on the products of these types, or with these ids; where both are named, both must hold."""

    product_type: _Names = ()
    product: _Names = ()
    weight: _Weight

    @model_validator(mode="after")
    def _about_something(self) -> Lever:
        if not self.product_type and not self.product:
            raise ValueError("names neither a product_type nor a product")
        return self


class Arbitration(Section):
    """Which of the allowed offers are made, and what they are sorted by.

    Attributes
    ----------
    objective
        What counts: the propensity; what the offer earns on average; or what it earns more than no offer would.
    cutoff
        The least propensity.
    top_n
        At most so many offers per customer.
    min_value
        The least expected value. None: 0 where value is the objective, else there is none.
    context, lever
        Weights on what counts.
    """

    objective: Objective = "propensity"
    cutoff: Share = 0.0
    top_n: Annotated[int, Field(ge=1)] = 5
    min_value: float | None = None
    context: Annotated[tuple[Context, ...], Field(strict=False)] = ()
    lever: Annotated[tuple[Lever, ...], Field(strict=False)] = ()

    @property
    def least_value(self) -> float | None:
        """The expected value below which no offer is made; None where there is no such."""
        return 0.0 if self.min_value is None and self.objective != "propensity" else self.min_value

    @property
    def by_propensity_alone(self) -> bool:
        """Whether the propensity is what is sorted, as it is."""
        return self.objective == "propensity" and not self.context and not self.lever

    @property
    def reads(self) -> frozenset[str]:
        """Names of the columns of customers and pairs that the weights look at."""
        named = (name for context in self.context for name in parsed(context.when).names)
        return frozenset(name for name in named if not name.startswith("product."))
