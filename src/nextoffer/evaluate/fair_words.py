"""What was found of fairness, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Any

from nextoffer.evaluate.disparity import LEAST
from nextoffer.evaluate.fairness import BEST, LARGEST, Fairness
from nextoffer.evaluate.wording import count
from nextoffer.intervals import Interval


@dataclass(frozen=True)
class About:
    """What the figures are about.

    Attributes
    ----------
    by
        The columns whose groups are told apart.
    line, reference
        How they are compared.
    later_offers, later_acceptances
        Answered offers from the day decided for on, and those accepted.
    """

    bank: str
    as_of: str
    model: str
    policy: str
    objective: str
    currency: str
    customers: int
    by: tuple[str, ...]
    line: float
    reference: str
    later_offers: int
    later_acceptances: int


@dataclass(frozen=True)
class Told:
    """What was found of a remedy.

    Attributes
    ----------
    reached
        Whether the line is reached; False also where nothing was to be done.
    sentences
        The findings: what was to be remedied, what reaches the line at which price, or why nothing does.
    levers
        Of each found lever: whether it names a ``product_type`` or a ``product``, which, and its weight.
    before, after
        The group's ratio, on all customers; `after` is None where nothing was changed.
    prices
        Expected value of ``first offers`` and of ``all offers``: old, new, and their difference.
    """

    reached: bool
    sentences: tuple[str, ...]
    levers: tuple[tuple[str, str, float], ...] = ()
    before: Interval | None = None
    after: Interval | None = None
    prices: Mapping[str, tuple[Interval, Interval, Interval]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values; what is not known is None."""
        return {
            "reached": self.reached,
            "sentences": list(self.sentences),
            "levers": [dict(zip(("kind", "of", "weight"), lever, strict=True)) for lever in self.levers],
            "before": _plain(self.before),
            "after": _plain(self.after),
            "prices": {
                of: dict(zip(("old", "new", "difference"), map(_plain, each), strict=True))
                for of, each in self.prices.items()
            },
        }


def _plain(value: Interval | None) -> dict[str, float | None] | None:
    return None if value is None else {name: None if isnan(x) else x for name, x in vars(value).items()}


def headline(found: Fairness, about: About) -> str:
    """Return the verdict in one sentence."""
    below = found.disparities()
    there, undecided = found.judged
    open_ = f"{count(undecided)} of {count(there)} comparisons cannot be decided"
    if not below:
        return f"No group is surely below the line of {about.line:g} at the first offer; {open_}."
    return (
        f"{count(len(below))} of {count(there)} comparisons of first offers are surely below the line of "
        f"{about.line:g}, and {open_.replace(f' of {count(there)} comparisons', '')}."
    )


def summary(found: Fairness, about: About) -> Iterator[str]:
    """Yield what a reader in a hurry must know."""
    yield from (f"{each.told}." for each in found.disparities()[:5])
    how = {BEST: "the group that gets a first offer most often", LARGEST: "the largest group"}
    against = how.get(about.reference, f"'{about.reference}'")
    yield f"Of {count(about.customers)} customers, each group is compared with {against}."
    for groups in found.columns:
        small = [f"'{groups.names[g]}' ({groups.size(g)})" for g in groups.there if groups.size(g) < LEAST]
        if small:
            yield f"Of {groups.by}, {', '.join(small)} have fewer than {LEAST} customers and are not judged."
    if not about.later_offers:
        yield f"There are no answers to offers from {about.as_of} on: opportunity and calibration cannot be told."
    elif not about.later_acceptances:
        yield f"No offer from {about.as_of} on was accepted: opportunity cannot be told."
