"""The bank's own rules: what a ``[[rule]]`` of a policy file says, and what the package says where a file does not."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, WrapValidator

from nextoffer.errors import PolicyError
from nextoffer.policy import toml
from nextoffer.policy.eligibility import CONSENT, HELD, INACTIVE, MIN_INCOME
from nextoffer.policy.expression import parsed
from nextoffer.policy.section import Section

Stage = Literal["eligibility", "applicability", "suitability"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""The stages that rules of the bank's own stand in, in the order in which they are asked."""

LEVELS = ("global", "product type", "product")
"""How far a rule reaches: within a stage those that reach further are asked first."""

MOST = 100
"""So many rules, the package's included: rules are numbered by one byte."""

BUILT_IN = frozenset(name.partition(".")[2] for name in (CONSENT, INACTIVE, HELD, MIN_INCOME))
"""Ids that rules of the package's own making have."""


def _printable(text: str) -> str:
    odd = [c for c in text if not (c.isprintable() or c in "\n\t")]
    if odd:
        raise ValueError(f"holds characters that cannot be seen: {', '.join(f'U+{ord(c):04X}' for c in odd[:3])}")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("must be one line")
    if text != text.strip():
        raise ValueError("begins or ends with a space")
    return text


def _an_expression(text: str) -> str:
    try:
        parsed(text)
    except PolicyError as error:
        raise ValueError("; ".join(error.problems)) from None
    return text


def _not_empty(value: object) -> object:
    if value == []:
        raise ValueError("is an empty list; leave it out where all are meant")
    return value


def _as_text(value: object) -> object:
    return str(value) if type(value) is int else value


_Seen = AfterValidator(_printable)
_Plain = Annotated[str, Field(min_length=1, max_length=200), _Seen, AfterValidator(_one_line)]
_Expression = Annotated[str, _Seen, AfterValidator(_an_expression)]
_Key = Annotated[str, BeforeValidator(_as_text), Field(min_length=1), _Seen]
_Keys = Annotated[tuple[_Key, ...], Field(strict=False), BeforeValidator(_not_empty)]  # TOML has arrays, not tuples


class OwnRule(Section):
    """One rule on pairs of customer and product.

    Attributes
    ----------
    id
        Unique; refusals name the rule ``<stage>.<id>``.
    stage
        Where it stands.
    text
        What it says, in plain words.
    require
        What must be known to be true of a pair, else it is stopped.
    where
        Only pairs of which this is true are asked; one of which it is not known is asked too. None: all are.
    product_type, product
        Only products of these types, and with these ids, are asked; empty: all are.
    nulls
        What becomes of a pair of which `require` is not known.
    optional
        The rule is silent where the bank lacks a column that it names.
    enabled
        False switches it off.
    """

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
    stage: Stage
    text: _Plain
    require: _Expression
    where: _Expression | None = None
    product_type: _Keys = ()
    product: _Keys = ()
    nulls: Literal["stop", "pass"] = "stop"
    optional: bool = False
    enabled: bool = True

    @property
    def name(self) -> str:
        """What refusals name it."""
        return f"{self.stage}.{self.id}"

    @property
    def expressions(self) -> dict[str, str]:
        """Its expressions, by the keys they stand under."""
        return {"require": self.require} if self.where is None else {"where": self.where, "require": self.require}

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it names, each once."""
        return tuple(dict.fromkeys(name for text in self.expressions.values() for name in parsed(text).names))

    @property
    def names_pairs(self) -> bool:
        """Whether it names a pair feature, which only a model knows."""
        return any(name.startswith("pair.") for name in self.reads)

    @property
    def level(self) -> str:
        """How far it reaches: one of `LEVELS`."""
        return LEVELS[2 if self.product else 1 if self.product_type else 0]


@lru_cache(maxsize=1)
def packaged() -> Mapping[str, OwnRule]:
    """Return the package's own rules, by id."""
    rules = tomllib.loads(toml.packaged("default.toml"))["rule"]
    return {rule["id"]: OwnRule.model_validate(rule) for rule in rules}


def _checked(given: Any, validated: Callable[[Any], tuple[OwnRule, ...]]) -> tuple[OwnRule, ...]:
    """Return a policy's rules in the order in which they are asked, the package's among them."""
    whole = [_completed(rule) for rule in given] if isinstance(given, list | tuple) else given
    problems = list(_misnamed(whole)) if isinstance(whole, list) else []
    try:
        rules = validated(whole)
    except ValidationError as error:
        problems += [
            _problem(found["loc"], found["input"], found["type"], found.get("ctx", {})) for found in error.errors()
        ]
    if problems:
        raise ValidationError.from_exception_data("rule", problems)
    return in_order(rules)


def _problem(place: tuple[Any, ...], found: Any, kind: str, context: Any) -> Any:
    """Return a problem as pydantic wants to be told it."""
    return {"type": kind, "loc": place, "input": found, "ctx": context}


def in_order(rules: Iterable[OwnRule]) -> tuple[OwnRule, ...]:
    """Return rules, and those of the package that they do not replace, by stage and level, else as they are given."""
    own = tuple(rules)
    replaced = {rule.id for rule in own}
    every = [*(rule for rule in packaged().values() if rule.id not in replaced), *own]
    return tuple(sorted(every, key=lambda rule: (STAGES.index(rule.stage), LEVELS.index(rule.level))))


def _completed(rule: Any) -> Any:
    """Return what a file says of a rule; of one of the package's it may say only what is to be different."""
    known = packaged().get(rule["id"]) if isinstance(rule, dict) and isinstance(rule.get("id"), str) else None
    return rule if known is None else {**known.model_dump(exclude_none=True, exclude_defaults=True), **rule}


def _misnamed(rules: list[Any]) -> Iterable[Any]:
    """Find what single rules cannot know: ids used twice or by the package, and too many rules."""
    ids = [
        rule.id if isinstance(rule, OwnRule) else rule.get("id") if isinstance(rule, dict) else None for rule in rules
    ]
    often = Counter(i for i in ids if isinstance(i, str))
    for place, i in enumerate(ids):
        wrong = "a built-in rule has this id" if i in BUILT_IN else "more than one rule has this id"
        if isinstance(i, str) and (i in BUILT_IN or (often[i] > 1 and i not in ids[:place])):
            yield _problem((place, "id"), i, "value_error", {"error": ValueError(wrong)})
    every = len(rules) + len(packaged().keys() - often.keys())
    if every > MOST:
        wrong = f"there are {every} rules, with those of the package; at most {MOST} are allowed"
        yield _problem((), every, "value_error", {"error": ValueError(wrong)})


def packaged_rules() -> tuple[OwnRule, ...]:
    """Return the rules of a policy that says nothing of its own."""
    return in_order(())


Rules = Annotated[tuple[OwnRule, ...], Field(strict=False), WrapValidator(_checked)]
"""The rules of a policy: `packaged_rules` by default."""
