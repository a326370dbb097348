"""`allocate`: which offers to make so that their total value is greatest within every limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nextoffer import keyed
from nextoffer.allocate import exact, greedy, minimums, pricing, staff
from nextoffer.allocate.limits import Limits
from nextoffer.allocate.offers import Mask, Offers
from nextoffer.allocate.problem import Problem
from nextoffer.allocate.reasons import rules_of
from nextoffer.allocate.stating import Stated, stated
from nextoffer.errors import AllocationError
from nextoffer.tables.flow import Floats, Indices, refusals_schema

LIMITS = pa.schema(
    [
        ("limit", pa.string()),
        ("unit", pa.string()),
        ("kind", pa.string()),
        ("capacity", pa.float64()),
        ("used", pa.float64()),
        ("price", pa.float64()),
    ]
)
"""One row per limit. ``kind``: ``at most`` or ``at least``. ``price``: the value that one unit more (of a minimum: one
offer less) would add, to first order."""


@dataclass(frozen=True)
class Allocation:
    """The offers to make, those left out and why, and what each limit costs.

    Attributes
    ----------
    offers
        The offers to make: rows of the input, in its order, with ``assigned_rm`` (text; null where no RM is needed) if
        the limits have RMs and ``slot_day`` (from 1; ``slot_day_2`` … for further slots) if they have slots.
    refusals
        The others: ``customer_id, product_id, stage, rule``; the stage is ``capacity``, the rule the limit's name,
        ``per_customer``, ``value`` (worth nothing), ``rm.skill``, ``rm.nobody`` or ``rm.hours``.
    limits
        See `LIMITS`.
    value
        The total value of `offers`.
    bound
        No plan whatever is worth more: the Lagrangian bound at the prices.
    """

    offers: pa.Table
    refusals: pa.Table
    limits: pa.Table
    value: float
    bound: float

    @property
    def share(self) -> float:
        """How much of the bound is reached, at most 1."""
        return self.value / self.bound if self.bound > 0 else float(self.value >= self.bound)


def allocate(offers: pa.Table, limits: Limits, *, value: str = "expected_value", seed: int = 7) -> Allocation:
    """Return the offers to make so that their total value is greatest within the limits.

    Maximises Σ v·x by Lagrangian relaxation (Geoffrion 1974, Fisher 1981): a price for each limit, each customer's best
    offers at those prices, then repair. The outcome does not depend on the order of the rows.

    Parameters
    ----------
    offers
        ``customer_id, product_id``, the column `value`, and the columns the limits name (``channel``, ``rm_id``, …).
    limits
        What there is; see `Limits.read`.
    value
        The column that is added up; offers of no or negative value are made only where a minimum asks for them.
    seed
        Decides, with customer and product, between offers that are equal.

    Raises
    ------
    AllocationError
        The offers lack columns, hold nulls, values that are no numbers or the same offer twice; or minimums cannot be
        met, with the limits that stand in the way.

    >>> table = pa.table({"customer_id": [1, 2, 3], "product_id": ["card"] * 3, "expected_value": [5.0, 9.0, 7.0]})
    >>> limits = Limits.parse('resource = [{name = "mails", capacity = 2}]')
    >>> plan = allocate(table, limits)
    >>> plan.offers["customer_id"].to_pylist(), plan.value, plan.limits["price"].to_pylist()
    ([2, 3], 16.0, [5.0])
    """
    found = Offers.read(offers, value, seed)
    found.encode([*limits.columns])
    said = stated(found, limits)
    problem = said.problem
    feasible = minimums.some_plan(problem)
    priced = _priced(problem, seed)
    locked = minimums.set_aside(problem, priced.gain, feasible)
    taken = greedy.mended(problem, priced.prices, pricing.rounded(problem, priced, locked), locked)
    taken, names = _assigned(found, problem, priced.prices, taken, locked)
    made = np.zeros(len(found), dtype=np.bool_)
    made[problem.offer[taken]] = True
    total = float(found.value[made].sum())
    return Allocation(
        _kept(found, limits, made, problem.offer[taken], names[taken]),
        _refused(found, said, priced.prices, taken, made),
        _limits(problem, priced.prices, taken, names),
        total,
        max(priced.bound, total),  # rounding may part two equal sums
    )


def _priced(problem: Problem, seed: int) -> pricing.Priced:
    if len(problem) <= exact.SMALL:
        return pricing.judged(problem, exact.prices(problem) if len(problem) else np.zeros(len(problem.capacity)))
    drawn = keyed.uniform(seed, "allocate sample", problem.tie[problem.start[:-1]].view(np.int64))
    return pricing.priced(problem, drawn)


def _assigned(offers: Offers, problem: Problem, prices: Floats, taken: Mask, locked: Mask) -> tuple[Mask, staff.Names]:
    """Return the plan with whole offers for pooled RMs, and who makes each."""
    names, homeless = staff.packed(offers, problem, taken, locked)
    if homeless.any():
        taken = taken & ~homeless
        used = problem.used(taken)
        if (problem.minimum & (used > problem.capacity)).any():
            raise AllocationError(_whole(problem, used))
        pooled = np.array([bool(limit.advisers) for limit in problem.limits])
        taken = greedy.filled(problem, prices, taken, np.where(pooled, used, problem.capacity))
    return taken, names


def _whole(problem: Problem, used: Floats) -> list[str]:
    return [
        f"'{limit.name}' asks for {limit.capacity:,.0f} offers; {-units:,.0f} could be given to RMs whole"
        for limit, units, capacity in zip(problem.limits, used, problem.capacity, strict=True)
        if limit.minimum and units > capacity
    ]


def _kept(offers: Offers, limits: Limits, made: Mask, which: Indices, names: staff.Names) -> pa.Table:
    rows = offers.order[made]
    back = np.argsort(rows)
    added = {}
    if limits.rm is not None:
        added["assigned_rm"] = pa.array(_advisers(offers, limits, which, names)[made][back], pa.string())
    for k, slots in enumerate(limits.slots):
        mine = offers.matching(slots.where)
        day = staff.days(offers, made, mine, slots.per_day)[made][back]
        added["slot_day" if k == 0 else f"slot_day_{k + 1}"] = pa.array(day, pa.int32(), mask=day == 0)
    table = offers.table.take(pa.array(rows[back]))
    for name, column in added.items():
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, column)
    return table


def _advisers(offers: Offers, limits: Limits, which: Indices, names: staff.Names) -> staff.Names:
    """Return (offers,) who makes each offer: the customer's own RM, or the one of the pool."""
    out: staff.Names = np.full(len(offers), None, dtype=object)
    assert limits.rm is not None
    if limits.rm.anyone:
        out[which] = names
        return out
    codes, ids = offers.codes("rm_id")
    needs = offers.matching({"channel": limits.rm.channel})
    out[needs] = np.array([*ids, None], dtype=object)[codes[needs]]
    return out


def _refused(offers: Offers, said: Stated, prices: Floats, taken: Mask, made: Mask) -> pa.Table:
    rules = rules_of(said, prices, taken, made)
    rows = offers.order[~made]
    back = np.argsort(rows)
    table = offers.table.select(["customer_id", "product_id"]).take(pa.array(rows[back]))
    dictionary = pa.DictionaryArray.from_arrays(pa.array(rules[~made][back], pa.int32()), pa.array(said.rules))
    schema = refusals_schema(table.schema.field(0).type, table.schema.field(1).type)
    stage = pa.repeat("capacity", len(rows))
    columns = [table["customer_id"], table["product_id"], stage, dictionary.cast(pa.string())]
    return pa.table(columns, schema=schema)


def _limits(problem: Problem, prices: Floats, taken: Mask, names: staff.Names) -> pa.Table:
    used = np.abs(problem.used(taken))
    rows = []
    for j, limit in enumerate(problem.limits):
        kind = "at least" if limit.minimum else "at most"
        price = float(prices[j] * limit.scale)
        if not limit.advisers:
            rows.append((limit.name, limit.unit, kind, limit.capacity, float(used[j] / limit.scale), price))
        given = _per_adviser(problem, j, taken, names)
        for name, hours, _ in limit.advisers:
            rows.append((f"rm {name}", limit.unit, kind, hours, given[name] / limit.scale, price))
    return pa.table(list(map(list, zip(*rows, strict=True))) or [[] for _ in LIMITS], schema=LIMITS)


def _per_adviser(problem: Problem, j: int, taken: Mask, names: staff.Names) -> dict[str, float]:
    out = {name: 0.0 for name, _, _ in problem.limits[j].advisers}
    row = problem.transposed[[j]] if out else None
    if row is not None:
        for i, units in zip(row.indices.tolist(), row.data.tolist(), strict=True):
            if taken[i]:
                out[names[i]] += units
    return out
