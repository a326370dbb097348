"""Small banks with scarce capacity, and an allocation worked out row by row to compare with."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from nextoffer.allocate.allocate import Allocation
from nextoffer.allocate.limits import Adviser, Advisers, Amount, Limits, Resource, Slots, Volume

Row = dict[str, Any]
PRODUCTS = ["card", "loan", "fund", "home"]
TYPES = {"card": "daily", "loan": "credit", "fund": "wealth", "home": "credit"}


def table(rows: list[Row]) -> pa.Table:
    """Return offers as a table; an empty one has the columns too."""
    schema = pa.schema(
        [
            ("customer_id", pa.int64()),
            ("product_id", pa.string()),
            ("product_type", pa.string()),
            ("expected_value", pa.float64()),
            ("channel", pa.string()),
            ("rm_id", pa.string()),
            ("segment", pa.string()),
            ("cost", pa.float64()),
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def bank(customers: int, *, seed: int, rms: int = 3, each: int = 3) -> pa.Table:
    """Return `each` offers for every customer, with values that differ."""
    draw = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        rm, segment = f"r{draw.integers(rms)}", str(draw.choice(["mass", "affluent"], p=[0.8, 0.2]))
        for product in draw.choice(PRODUCTS, each, replace=False):
            channel = str(draw.choice(["mail", "call", "rm"], p=[0.5, 0.3, 0.2]))
            value = float(draw.gamma(2.0) * {"mail": 1.0, "call": 3.0, "rm": 12.0}[channel])
            cost = {"mail": 0.5, "call": 2.0, "rm": 6.0}[channel]
            rows.append(_row(customer, str(product), value, channel, (rm, segment, cost)))
    return table(rows)


def _row(customer: int, product: str, value: float, channel: str, more: tuple[str | None, str, float]) -> Row:
    rm, segment, cost = more
    return {
        "customer_id": customer, "product_id": product, "product_type": TYPES[product], "expected_value": value,
        "channel": channel, "rm_id": rm, "segment": segment, "cost": cost,
    }  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, *, most: int = 7) -> pa.Table:
    """Draw offers of a few customers: ties, values of nothing and less, customers without an RM."""
    values = st.one_of(
        st.sampled_from([1.0, 2.0, 0.0, -1.0]), st.floats(-2, 10, allow_nan=False).map(lambda v: round(v, 3))
    )
    rows = []
    for customer in range(draw(st.integers(0, most))):
        rm, segment = draw(st.sampled_from(["r0", "r1", None])), draw(st.sampled_from(["mass", "affluent"]))
        for product in draw(st.lists(st.sampled_from(PRODUCTS), unique=True, max_size=4)):
            channel, cost = draw(st.sampled_from(["mail", "call", "rm"])), draw(st.sampled_from([0.0, 0.1, 1.0, 2.5]))
            rows.append(_row(customer, product, draw(values), channel, (rm, segment, cost)))
    return table(draw(st.permutations(rows)))


@st.composite
def limit_sets(draw: st.DrawFn, *, minimums: bool = False) -> Limits:
    """Draw limits of every kind."""
    amount, maybe = st.sampled_from([0.0, 0.3, 1.0, 2.0, 5.0]), st.booleans()
    resource = [Resource(name="mails", capacity=draw(amount), where={"channel": "mail"})] if draw(maybe) else []
    if draw(maybe):
        resource.append(Resource(name="budget", capacity=draw(amount), use="cost"))
    slots = [Slots(per_day=tuple(draw(st.lists(st.integers(0, 2), min_size=1, max_size=3))))] if draw(maybe) else []
    persons = [
        Adviser(rm_id=name, hours=draw(st.sampled_from([0, 0.75, 1, 1.5, 2])), skills=draw(skills))
        for name in ("r0", "r1")
        for skills in [st.sampled_from([None, ("credit",), ("daily", "wealth")])]
    ]
    rm = None
    if draw(maybe):
        longer = [Amount(where={"product_id": "home"}, amount=60)] if draw(maybe) else []
        rm = Advisers(minutes=45, amounts=longer, anyone=draw(maybe), person=persons)
    volume = [Volume(column="product_id", value="card", max=draw(st.integers(0, 3)))] if draw(maybe) else []
    if minimums:
        volume += [
            Volume(column=column, value=value, min=draw(st.integers(1, 3)), max=draw(st.sampled_from([None, 3])))
            for column, value in draw(
                st.lists(st.sampled_from([("product_id", "loan"), ("segment", "mass"), ("channel", "rm")]), unique=True)
            )
        ]
    return Limits(per_customer=draw(st.integers(1, 3)), resource=resource, slots=slots, rm=rm, volume=volume)


def minutes(rm: Advisers, row: Row) -> float:
    """Return how long an offer takes an RM."""
    fits = [a.amount for a in rm.amounts if all(row[c] == v for c, v in a.where.items())]
    return float(fits[0] if fits else rm.minutes)


def broken(plan: Allocation, limits: Limits) -> list[str]:
    """Return every limit that the plan breaks, worked out from its rows alone."""
    rows = plan.offers.to_pylist()
    out = [f"customer {c}" for c, n in Counter(r["customer_id"] for r in rows).items() if n > limits.per_customer]
    for each in limits.resource:
        mine = [r for r in rows if all(r[c] == v for c, v in each.where.items())]
        used = sum(r[each.use] if isinstance(each.use, str) else each.use for r in mine)
        out += [each.name] if used > each.capacity + 1e-9 else []
    for each in limits.slots:
        taken = Counter(r["slot_day"] for r in rows if r["channel"] == "call")
        out += [f"day {day}" for day, n in taken.items() if day is None or n > each.per_day[day - 1]]
    for each in limits.volume:
        n = sum(r[each.column] == each.value for r in rows)
        out += [each.name] if n < each.min or n > (n if each.max is None else each.max) else []
    return out + (_advisers_broken(rows, limits.rm) if limits.rm else [])


def _advisers_broken(rows: list[Row], rm: Advisers) -> list[str]:
    out, busy = [], defaultdict(float)
    persons = {str(p.rm_id): p for p in rm.person}
    for row in rows:
        name = row["assigned_rm"]
        if row["channel"] != rm.channel:
            out += [f"{name} for a {row['channel']}"] if name else []
            continue
        busy[name] += minutes(rm, row)
        person = persons.get(name)
        if person is None or (person.skills is not None and row["product_type"] not in person.skills):
            out.append(f"{name} cannot sell {row['product_type']}")
        if not rm.anyone and name != row["rm_id"]:
            out.append(f"{name} is not the RM of {row['customer_id']}")
    return out + [name for name, time in busy.items() if name in persons and time > persons[name].hours * 60 + 1e-9]


class Whole:
    """The same allocation as one program for HiGHS, with a variable for each offer and RM who may make it."""

    def __init__(self, offers: pa.Table, limits: Limits) -> None:
        self.limits = limits
        self.options = [(i, row, who) for i, row in enumerate(offers.to_pylist()) for who in self._makers(row)]
        self.value = np.array([row["expected_value"] for _, row, _ in self.options])
        self.rows: list[np.ndarray] = []
        self.low: list[float] = []
        self.high: list[float] = []
        self._state()

    def _makers(self, row: Row) -> list[str | None]:
        rm = self.limits.rm
        if rm is None or row["channel"] != rm.channel:
            return [None]
        able = [p for p in rm.person if p.skills is None or row["product_type"] in p.skills]
        return [str(p.rm_id) for p in able if rm.anyone or str(p.rm_id) == row["rm_id"]]

    def _add(self, amount: list[float], low: float, high: float) -> None:
        self.rows.append(np.array(amount, dtype=np.float64))
        self.low.append(low)
        self.high.append(high)

    def _state(self) -> None:
        limits, options = self.limits, self.options
        for customer in {row["customer_id"] for _, row, _ in options}:
            self._add([row["customer_id"] == customer for _, row, _ in options], 0, limits.per_customer)
        for offer in {i for i, _, _ in options}:
            self._add([i == offer for i, _, _ in options], 0, 1)
        for each in limits.resource:
            mine = [all(row[c] == v for c, v in each.where.items()) for _, row, _ in options]
            use = [row[each.use] if isinstance(each.use, str) else each.use for _, row, _ in options]
            self._add([m * u for m, u in zip(mine, use, strict=True)], 0, each.capacity)
        for each in limits.slots:
            self._add([row["channel"] == "call" for _, row, _ in options], 0, sum(each.per_day))
        for each in limits.volume:
            mine = [row[each.column] == each.value for _, row, _ in options]
            self._add(mine, each.min, np.inf if each.max is None else each.max)
        if limits.rm:
            for p in limits.rm.person:
                use = [minutes(limits.rm, row) * (who == str(p.rm_id)) for _, row, who in options]
                self._add(use, 0, p.hours * 60)

    def best(self) -> float | None:
        """Return the value of the best plan, None where there is none."""
        if not self.options:
            return 0.0 if not any(low > 0 for low in self.low) else None
        held = LinearConstraint(sparse.csr_array(np.array(self.rows)), self.low, self.high)
        found = milp(-self.value, integrality=np.ones(len(self.value)), bounds=Bounds(0, 1), constraints=held)
        return None if found.x is None else -float(found.fun)

    def relaxed(self) -> float:
        """Return the bound of the linear relaxation, by interior point."""
        matrix = np.array(self.rows)
        every = np.vstack([matrix, -matrix])
        right = np.concatenate([self.high, -np.array(self.low)])
        kept = np.isfinite(right)
        found = linprog(
            -self.value, A_ub=sparse.csr_array(every[kept]), b_ub=right[kept], bounds=(0, 1), method="highs-ipm"
        )
        return -float(found.fun)
