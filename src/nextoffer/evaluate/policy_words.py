"""What a comparison of two policies comes to, in sentences; for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

from nextoffer.evaluate.policies import BY_NONE, BY_ONE, DIFFERENCE, EVERYONE, NEW, OLD, TABLES, Comparison
from nextoffer.evaluate.wording import change, count, percent, signed
from nextoffer.intervals import Interval

_NOTHING = Interval(0.0, float("nan"), float("nan"), 0)


@dataclass(frozen=True)
class About:
    """What a comparison is about.

    Attributes
    ----------
    bank, as_of, model
        Where, for which day, and by which model.
    old, new, objectives
        Ids of the policies, and what each ranks by.
    currency
        Three letters, or nothing.
    customers, looked_at
        In the bank, and of these drawn.
    by
        Columns whose groups are told apart.
    duties
        Rules that are law or duty, and not to be loosened.
    notes
        What the policies ask of the model that it does not know, as sentences.
    """

    bank: str
    as_of: str
    model: str
    old: str
    new: str
    objectives: tuple[str, str]
    currency: str
    customers: int
    looked_at: int
    by: tuple[str, ...]
    duties: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """There is one policy, and nothing to compare it with."""
        return self.old == self.new


@dataclass(frozen=True)
class Figures:
    """The figures of a comparison, by table and key."""

    found: Mapping[str, Mapping[tuple[str, ...], Interval]]

    @classmethod
    def of(cls, comparison: Comparison) -> Figures:
        """Return the figures of its tables."""
        return cls({name: dict(_read(table.to_pylist(), TABLES[name])) for name, table in comparison.tables.items()})

    def at(self, table: str, *key: str) -> Interval:
        """Return one figure; what nobody adds to is 0."""
        return self.found.get(table, {}).get(key, _NOTHING)

    def has(self, table: str) -> bool:
        """Whether there is such a table."""
        return table in self.found

    def has_key(self, table: str, *key: str) -> bool:
        """Whether somebody adds to a figure."""
        return key in self.found.get(table, {})

    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield key, measure and interval of each figure."""
        for key, value in self.found.get(table, {}).items():
            yield (*key, value)

    def groups(self, table: str, by: str) -> list[str]:
        """Return the groups of customers or offers by a column, in which there is something."""
        place = TABLES[table].index("by")
        found = {
            key[place + 1]: None for key, i in self.found.get(table, {}).items() if key[place] == by and i.estimate
        }
        return sorted(found, key=lambda name: (name.isdigit(), int(name) if name.isdigit() else 0))


def _read(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Interval]]:
    nan = float("nan")
    for row in rows:
        low, high = (nan if row[name] is None else row[name] for name in ("low", "high"))
        key = (*(row[name] for name in columns), row["measure"])
        yield key, Interval(nan if row["estimate"] is None else row["estimate"], low, high, row["n"])


_LOOSENED = ("customers", "only", "expected_value", "expected_loss", "delinquent", "vulnerable")


@dataclass(frozen=True)
class Loosened:
    """What dropping one rule would bring: customers of those without an offer, and what their best offers are worth.

    `product` is the one that most of them would get.
    """

    rule: str
    customers: Interval
    only: float
    value: float
    loss: float
    delinquent: float
    vulnerable: float
    product: str


def loosened(figures: Figures, policy: str = NEW) -> list[Loosened]:
    """Return the rules that alone keep somebody from an offer, those that would serve most first."""
    found = []
    best: dict[tuple[str, str], tuple[float, str]] = {}
    for side, stage, rule, product, _, value in figures.rows("loosening"):
        if side == policy and product != EVERYONE:
            best[stage, rule] = max(best.get((stage, rule), (0.0, "")), (value.estimate, product))
    for (stage, rule), (_, product) in best.items():
        customers, *rest = (figures.at("loosening", policy, stage, rule, EVERYONE, name) for name in _LOOSENED)
        only, value, loss, delinquent, vulnerable = (figure.estimate for figure in rest)
        found.append(Loosened(rule, customers, only, value, loss, delinquent, vulnerable, product))
    return sorted(found, key=lambda each: (-each.customers.estimate, each.rule))


def headline(figures: Figures, about: About) -> str:
    """Return what the policy comes to in one sentence."""
    reach, value = (_sides(figures, measure) for measure in ("customers", "expected_value"))
    share = reach[NEW].estimate / about.customers
    told = f"{count(reach[NEW].estimate)} of {count(about.customers)} customers ({percent(share)}) get an offer"
    if not about.same:
        told += f", {_change(reach, 'fewer')}"
    if value[NEW].estimate or value[OLD].estimate:
        told += f"; offers are expected to earn {count(value[NEW].estimate)}{_unit(about)}"
        if not about.same:
            told += f", {_change(value, 'less')}"
    return f"{told}."


def summary(figures: Figures, about: About) -> tuple[str, ...]:
    """Return what a reader in a hurry must know, in sentences."""
    told = [] if about.same else [_who(figures), *_products(figures)]
    told += list(_profits(figures, about))
    nobody, someone = (figures.at("unserved", NEW, each, "customers").estimate for each in (BY_NONE, BY_ONE))
    if nobody + someone:
        told.append(
            f"{count(nobody + someone)} customers get no offer; for {count(nobody)} of them no single rule is why."
        )
    open_rules = [each for each in loosened(figures) if each.rule not in about.duties]
    if open_rules:
        best = next((each for each in open_rules if each.value > 0), open_rules[0])
        risk = f" and an expected loss of {count(best.loss)}" if best.loss >= 0.5 else ""
        worth = f", for an expected value of {count(best.value)}{_unit(about)}{risk}" if best.value else ""
        told.append(
            f"Loosening {best.rule} alone would serve {count(best.customers.estimate)} of them, mostly with "
            f"{best.product}{worth}."
        )
    return (*told, *about.notes)


def _who(figures: Figures) -> str:
    gains, loses, changes, keeps = (
        count(figures.at("customers", EVERYONE, EVERYONE, fate, "customers").estimate)
        for fate in ("gains", "loses", "changes", "keeps")
    )
    return (
        f"{gains} customers who had none get an offer, {loses} lose theirs, {changes} get other offers, and {keeps} "
        "keep the same."
    )


def _products(figures: Figures) -> Iterator[str]:
    moves = {name: figures.at("offers", DIFFERENCE, "product", name, "offers").estimate for name in _named(figures)}
    if moves:
        most, least = (chosen(moves, key=lambda name: moves[name]) for chosen in (max, min))
        if moves[most] > 0:
            yield f"{most} gains most: {signed(moves[most])} offers."
        if moves[least] < 0:
            yield f"{least} loses most: {signed(moves[least])} offers."


def _named(figures: Figures) -> list[str]:
    return list(dict.fromkeys(key[2] for key in figures.found.get("offers", {}) if key[1] == "product"))


def _profits(figures: Figures, about: About) -> Iterator[str]:
    for ranks, what in (("top", "first offers"), ("all", "all offers")):
        if figures.has("profit") and not about.same:
            yield f"True profit of {what}: {profit_in_words(figures, about, ranks)}."


def profit_in_words(figures: Figures, about: About, ranks: str) -> str:
    """Return which policy really earns more, by how much, and how sure that is."""
    found = figures.at("profit", DIFFERENCE, ranks, "true_profit")
    told = about.objectives[0] != about.objectives[1]
    old, new = (f" ({objective})" if told else "" for objective in about.objectives)
    doubt = "" if found.low > 0 or found.high < 0 else "; chance is not ruled out"
    return (
        f"the new policy{new} earns {count(abs(found.estimate))}{_unit(about)} per {count(1000)} customers "
        f"{'more' if found.estimate >= 0 else 'less'} than the old one{old} "
        f"({signed(found.low)} to {signed(found.high)}){doubt}"
    )


def _sides(figures: Figures, measure: str) -> dict[str, Interval]:
    return {side: figures.at("offers", side, EVERYONE, EVERYONE, measure) for side in (OLD, NEW, DIFFERENCE)}


def _change(sides: Mapping[str, Interval], less: str) -> str:
    """Return the change in words; `less` is what less of it is called."""
    found, old = sides[DIFFERENCE], sides[OLD].estimate
    inside = [] if isnan(found.low) else [f"{signed(found.low)} to {signed(found.high)}"]
    if not round(found.estimate) and not inside:
        return "as before"
    relative = [change(found.estimate / old)] if old > 0 else []
    detail = f" ({'; '.join([*relative, *inside])})" if relative or inside else ""
    return f"{count(abs(found.estimate))} {'more' if found.estimate > 0 else less} than before{detail}"


def _unit(about: About) -> str:
    return f" {about.currency}" if about.currency else ""
