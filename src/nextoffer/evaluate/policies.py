"""What changes when one policy takes the place of another: everything counted per customer, chunk by chunk.

Each function adds one table of figures to a `Tally`; `Comparison` reads them out again. Keys are texts, and where old
and new stand side by side, so does their difference, whose spread is that of the customers' own differences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.evaluate.outcome import STAGES, Crowd, Group, Made, Outcome
from nextoffer.evaluate.tally import Key, Population, Tally
from nextoffer.tables.flow import Floats

OLD, NEW, DIFFERENCE = "old", "new", "difference"
CONSIDERED = "considered"
FATES = ("gains", "loses", "changes", "keeps", "without")
NO_OFFER = "no offer"
EVERYONE = "all"
BY_ONE, BY_NONE = "one rule", "no single rule"

TABLES: Mapping[str, tuple[str, ...]] = {
    "funnel": ("policy", "by", "group", "stage"),
    "offers": ("policy", "by", "group"),
    "customers": ("by", "group", "fate"),
    "flows": ("old", "new"),
    "arbitration": ("policy", "winner", "by_propensity"),
    "refusals": ("policy", "stage", "rule"),
    "unserved": ("policy", "served_by"),
    "loosening": ("policy", "stage", "rule", "product"),
    "profit": ("policy", "ranks"),
}
"""The tables of a comparison and what their rows are about; each has ``measure, estimate, low, high, n`` beside."""

_PER = 1000.0  # customers that the true profit is told for


def compared(crowd: Crowd, old: Outcome, new: Outcome) -> Tally:
    """Return the figures of one chunk of customers under both policies."""
    tally = Tally()
    for policy, outcome in ((OLD, old), (NEW, new)):
        _funnel(tally, policy, outcome, crowd)
        _arbitration(tally, policy, outcome, crowd)
        _loosening(tally, policy, outcome, crowd)
    _offers(tally, old, new, crowd)
    _customers(tally, old, new, crowd)
    _refusals(tally, old, new)
    for ranks in new.true_profit:
        sides = _sides(old.true_profit[ranks][:, None], new.true_profit[ranks][:, None])
        for policy, amounts in sides:
            tally.spread("profit", [(policy, ranks, "true_profit")], amounts)
    return tally


@dataclass(frozen=True)
class Comparison:
    """What was found of all customers.

    Attributes
    ----------
    tally
        The figures of all chunks.
    population
        How many customers were looked at.
    """

    tally: Tally
    population: Population

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """Every table of `TABLES` that has figures; profit per 1,000 customers, all others for the whole bank."""
        found = {name: self._table(name, columns) for name, columns in TABLES.items()}
        return {name: table for name, table in found.items() if table.num_rows}

    def _table(self, name: str, columns: Sequence[str]) -> pa.Table:
        if name == "profit":
            return self.tally.means(name, columns, self.population, per=_PER)
        return self.tally.totals(name, columns, self.population)


def _funnel(tally: Tally, policy: str, outcome: Outcome, crowd: Crowd) -> None:
    """Pairs and customers left after each stage: of all, by product, and by group of customers."""
    for passed, stage in enumerate((CONSIDERED, *STAGES)):
        left = outcome.reached >= passed
        pairs, someone = left.sum(axis=1), np.asarray(left.any(axis=1))
        both = np.stack([pairs, someone], axis=1)
        tally.spread("funnel", _keys((policy, EVERYONE, EVERYONE, stage), ("pairs", "customers")), both)
        products = [(policy, "product", name, stage, "pairs") for name in crowd.products.names]
        tally.spread("funnel", products, left)
        for by, group in crowd.customers.items():
            for measure, amounts in (("pairs", pairs), ("customers", someone)):
                keys = [(policy, by, name, stage, measure) for name in group.names]
                tally.count("funnel", keys, group.places, amounts)


def _offers(tally: Tally, old: Outcome, new: Outcome, crowd: Crowd) -> None:
    """Customers with an offer, offers, and expected value: of all, and by what offers and customers can be parted."""
    for by, mine, theirs in _partings(old, new, crowd):
        (before, worth_before), (after, worth_after) = _sums(old, mine, crowd), _sums(new, theirs, crowd)
        for measure, was, will in (
            ("customers", before > 0, after > 0),
            ("offers", before, after),
            ("expected_value", worth_before, worth_after),
        ):
            for policy, amounts in _sides(was, will):
                keys = [(policy, by, name, measure) for name in theirs.names]
                tally.spread("offers", keys, amounts)
    for policy, outcome in ((OLD, old), (NEW, new)):
        unknown = np.bincount(outcome.made.rows, np.isnan(outcome.made.value), minlength=crowd.count)
        tally.spread("offers", [(policy, EVERYONE, EVERYONE, "offers_without_value")], unknown[:, None])


def _partings(old: Outcome, new: Outcome, crowd: Crowd) -> Iterator[tuple[str, Group, Group]]:
    """Yield what offers are parted by, and the group of each old and new offer, both with the same names."""
    channels = tuple(dict.fromkeys((*new.made.channels.names, *old.made.channels.names)))
    ranks = tuple(str(i + 1) for i in range(max(int(each.made.ranks.max(initial=0)) for each in (old, new)) + 1))

    def grouped(by: str, group: Callable[[Made], Group]) -> tuple[str, Group, Group]:
        return by, group(old.made), group(new.made)

    yield grouped(EVERYONE, lambda made: Group(np.zeros(len(made.rows), dtype=np.intp), (EVERYONE,)))
    for by, products in (("product", crowd.products), ("product_type", crowd.product_types)):
        yield grouped(by, partial(_of_product, products))
    for by, customers in crowd.customers.items():
        yield grouped(by, partial(_of_customer, customers))
    yield grouped("channel", lambda made: _renamed(made.channels, channels))
    yield grouped("rank", lambda made: Group(made.ranks, ranks))


def _of_product(products: Group, made: Made) -> Group:
    return Group(products.places[made.cols], products.names)


def _of_customer(customers: Group, made: Made) -> Group:
    return Group(customers.places[made.rows], customers.names)


def _renamed(group: Group, names: Sequence[str]) -> Group:
    places = np.array([names.index(name) for name in group.names], dtype=np.intp)
    return Group(places[group.places] if len(places) else group.places, tuple(names))


def _sums(outcome: Outcome, group: Group, crowd: Crowd) -> tuple[Floats, Floats]:
    """Return offers and expected value of each customer in each group, float64 (n, K)."""
    shape = (crowd.count, len(group.names))
    cell = outcome.made.rows * shape[1] + group.places
    size = shape[0] * shape[1]
    worth = np.nan_to_num(outcome.made.value, nan=0.0)
    offers, values = (np.bincount(cell, each, minlength=size) for each in (np.ones(len(cell)), worth))
    return np.asarray(offers, dtype=np.float64).reshape(shape), np.asarray(values, dtype=np.float64).reshape(shape)


def _customers(tally: Tally, old: Outcome, new: Outcome, crowd: Crowd) -> None:
    """Who gains, loses, changes and keeps offers, and the flow of first offers."""
    before, after = _lists(old, crowd), _lists(new, crowd)
    fate = np.where(_same(before, after), FATES.index("keeps"), FATES.index("changes"))
    had, has = before[:, 0] >= 0, after[:, 0] >= 0
    fate[has & ~had] = FATES.index("gains")
    fate[had & ~has] = FATES.index("loses")
    fate[~had & ~has] = FATES.index("without")
    tally.count("customers", [(EVERYONE, EVERYONE, name, "customers") for name in FATES], fate)
    for by, group in crowd.customers.items():
        keys = [(by, name, each, "customers") for name in group.names for each in FATES]
        tally.count("customers", keys, group.places * len(FATES) + fate)
    names = (*crowd.products.names, NO_OFFER)
    tops = [np.where(lists[:, 0] >= 0, lists[:, 0], len(names) - 1) for lists in (before, after)]
    tally.count("flows", [(a, b, "customers") for a in names for b in names], tops[0] * len(names) + tops[1])


def _lists(outcome: Outcome, crowd: Crowd) -> npt.NDArray[np.int16]:
    """Return int16 (n, k): each customer's products, best first, −1 beyond them."""
    made = outcome.made
    out = np.full((crowd.count, int(made.ranks.max(initial=0)) + 1), -1, dtype=np.int16)
    out[made.rows, made.ranks] = made.cols
    return out


def _same(a: npt.NDArray[np.int16], b: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    width = max(a.shape[1], b.shape[1])
    filled = (np.pad(each, ((0, 0), (0, width - each.shape[1])), constant_values=-1) for each in (a, b))
    return np.asarray(np.equal(*filled).all(axis=1))


def _arbitration(tally: Tally, policy: str, outcome: Outcome, crowd: Crowd) -> None:
    """How often each product comes first, the product that propensity alone would have put there, and the price."""
    rivals, names = outcome.rivals, crowd.products.names
    places = rivals.winners * len(names) + rivals.rivals
    for measure, amounts in (
        ("customers", None),
        ("value_won", np.nan_to_num(rivals.value_won, nan=0.0)),
        ("propensity_given_up", rivals.propensity_given_up),
    ):
        tally.count("arbitration", [(policy, a, b, measure) for a in names for b in names], places, amounts)


def _refusals(tally: Tally, old: Outcome, new: Outcome) -> None:
    """Pairs that each rule stops, and customers with such a pair."""
    rules = dict(zip((*new.names, *old.names), (*new.stages, *old.stages), strict=True))
    before, after = _by_rule(old, list(rules)), _by_rule(new, list(rules))
    for measure, was, will in (("pairs", before, after), ("customers", before > 0, after > 0)):
        for policy, amounts in _sides(was, will):
            tally.spread("refusals", [(policy, stage, rule, measure) for rule, stage in rules.items()], amounts)


def _by_rule(outcome: Outcome, rules: Sequence[str]) -> Floats:
    """Return the number of pairs that each rule stops, float64 (n, R)."""
    n, wide = len(outcome.rule), len(rules)
    rows, cols = np.nonzero(outcome.rule >= 0)
    place = np.array([rules.index(name) for name in outcome.names], dtype=np.intp)[outcome.rule[rows, cols]]
    return np.bincount(rows * wide + place, minlength=n * wide).reshape(n, wide).astype(np.float64)


def _loosening(tally: Tally, policy: str, outcome: Outcome, crowd: Crowd) -> None:
    """Of the customers without an offer: whom the loosening of one rule would serve, with what, and at which risk."""
    found, products = outcome.unserved, crowd.products.names
    helped = np.bincount(found.served, minlength=crowd.count)
    keys = [(policy, each, "customers") for each in (BY_NONE, BY_ONE)]
    tally.count("unserved", keys, (helped[found.rows] > 0).astype(np.intp))
    rules = list(zip(outcome.stages, outcome.names, strict=True))
    for measure, amounts in (
        ("customers", None),
        ("only", helped[found.served] == 1),
        ("expected_value", np.nan_to_num(found.expected_value, nan=0.0)),
        ("expected_loss", found.expected_loss),
        ("delinquent", found.delinquent[found.served]),
        ("vulnerable", found.vulnerable[found.served]),
    ):
        tally.count("loosening", [(policy, *rule, EVERYONE, measure) for rule in rules], found.rules, amounts)
    each = [(policy, *rule, name, "customers") for rule in rules for name in products]
    tally.count("loosening", each, found.rules * len(products) + found.cols)


def _sides(was: npt.NDArray[np.generic], will: npt.NDArray[np.generic]) -> tuple[tuple[str, Floats], ...]:
    """Return the amounts of old and new, and of each customer's difference."""
    before, after = was.astype(np.float64), will.astype(np.float64)
    return (OLD, before), (NEW, after), (DIFFERENCE, after - before)


def _keys(start: Key, measures: Sequence[str]) -> list[Key]:
    return [(*start, measure) for measure in measures]
