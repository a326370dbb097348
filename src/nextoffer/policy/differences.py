"""What is different between two policies, key by key and rule by rule, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nextoffer.policy.file import Policy
from nextoffer.policy.rules import OwnRule

Change = Literal["added", "removed", "changed"]

_NAMES = ("id", "code", "name")
"""Keys that entries of an array of tables go by."""


@dataclass(frozen=True)
class Difference:
    """One thing that is different.

    Attributes
    ----------
    place
        A key (``contact.cap``), or a rule (``suitability.min_age``).
    change
        What became of it.
    before, after
        The values; None where there was, or is, nothing.
    says
        The difference in words, without the place.
    """

    place: str
    change: Change
    before: Any
    after: Any
    says: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def differences(before: Policy, after: Policy) -> list[Difference]:
    """Return what is different between two policies, the rules last; nothing where both decide alike by the same id."""
    was, now = (policy.model_dump(mode="json", exclude={"rule"}) for policy in (before, after))
    return [*_of_tables(was, now, ""), *_of_rules(before.rule, after.rule)]


def _of_tables(was: Mapping[str, Any], now: Mapping[str, Any], path: str) -> Iterator[Difference]:
    for key in dict.fromkeys((*was, *now)):
        place = f"{path}.{key}" if path else key
        old, new = was.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _of_tables(old, new, place)
        elif _entries(old) or _entries(new):
            yield from _of_tables(_named(old or []), _named(new or []), place)
        elif old != new:
            yield _difference(place, old, new)


def _difference(place: str, old: Any, new: Any) -> Difference:
    if old is None:
        return Difference(place, "added", old, new, f"now {_said(new)}")
    if new is None:
        return Difference(place, "removed", old, new, f"no longer {_said(old)}")
    return Difference(place, "changed", old, new, f"{_said(old)} → {_said(new)}")


def _entries(value: Any) -> bool:
    """Return whether this is an array of tables."""
    return isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(v, Mapping) for v in value)


def _named(entries: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the tables of an array by what they go by, else by their place."""
    return {
        str(next((entry[name] for name in _NAMES if entry.get(name) is not None), place)): entry
        for place, entry in enumerate(entries, start=1)
    }


def _of_rules(before: Sequence[OwnRule], after: Sequence[OwnRule]) -> Iterator[Difference]:
    was, now = ({rule.id: rule for rule in rules} for rules in (before, after))
    for key in dict.fromkeys((*was, *now)):
        old, new = was.get(key), now.get(key)
        if old is None and new is not None:
            yield Difference(new.name, "added", None, new.model_dump(mode="json"), f"new: {_rule(new)}")
        elif new is None and old is not None:
            yield Difference(old.name, "removed", old.model_dump(mode="json"), None, f"gone: {_rule(old)}")
        elif old is not None and new is not None:
            yield from _of_rule(old, new)
    common = [[rule.name for rule in rules if was.get(rule.id) and now.get(rule.id)] for rules in (before, after)]
    moved = {rule.name for rule in after if rule.id in was and was[rule.id].level != rule.level}
    orders = [[name for name in names if name not in moved] for names in common]
    if sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]:
        told = f"asked in another order: {', '.join(orders[0])} → {', '.join(orders[1])}"
        yield Difference("rule", "changed", orders[0], orders[1], f"{told}; refusals name the first that stops")


def _of_rule(old: OwnRule, new: OwnRule) -> Iterator[Difference]:
    if old.enabled != new.enabled:
        told = f"switched on: {_rule(new)}" if new.enabled else f"switched off: {_rule(old)}"
        yield Difference(new.name, "changed", {"enabled": old.enabled}, {"enabled": new.enabled}, told)
    if old.level != new.level:
        told = f"asked as a rule on {_LEVELS[old.level]} → on {_LEVELS[new.level]}"
        yield Difference(new.name, "changed", {"level": old.level}, {"level": new.level}, told)
    for key, was in old.model_dump(mode="json").items():
        now = getattr(new, key)
        now = list(now) if isinstance(now, tuple) else now
        if key not in ("id", "enabled") and was != now:
            told = f"{key}: {_said(was)} → {_said(now)}"
            yield Difference(new.name, "changed", {key: was}, {key: now}, told)


_LEVELS = {"global": "all products", "product type": "product types", "product": "single products"}


def _rule(rule: OwnRule) -> str:
    """Return what a rule says, with whom it asks."""
    about = [
        *([f"types {', '.join(rule.product_type)}"] if rule.product_type else []),
        *([f"products {', '.join(rule.product)}"] if rule.product else []),
        *([f"pairs where {rule.where}"] if rule.where else []),
    ]
    nulls = ", or that this is not known" if rule.nulls == "pass" else ""
    whom = f" of {' and '.join(about)}" if about else ""
    return f"{rule.text}: requires{whom} that {rule.require}{nulls}"


def _said(value: Any) -> str:
    if value is None or value == []:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_said(inner)}" for key, inner in value.items() if inner is not None and inner != [])
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_said, value))}]"
    return f"'{value}'" if isinstance(value, str) else str(value)
