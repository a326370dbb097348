"""Shares scarce capacity over the offers of a file of decisions, with what the bank knows of customers and products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.allocate.allocate import Allocation, allocate
from nextoffer.allocate.limits import Limits
from nextoffer.errors import AllocationError, NextOfferError, did_you_mean
from nextoffer.run.decisions import beside, customer_columns, read_decisions, refusals_path
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import refusals_schema
from nextoffer.tables.write import TableWriter

UNKNOWN = "value.unknown"
"""The rule that keeps out an offer whose value is null."""

IN_WORDS = {
    "per_customer": "the customer gets others that are worth as much or more",
    "value": "worth nothing or less",
    UNKNOWN: "what it is worth is not known",
    "rm.skill": "the RM who might make it has not the skill",
    "rm.nobody": "the customer has no RM",
    "rm.hours": "takes longer than any RM has",
}
"""What the rules mean that are no limits' names."""

_PRODUCT = "product."


@dataclass(frozen=True)
class Plan:
    """Which offers to make with what there is.

    Attributes
    ----------
    offers
        The decisions to keep, all their columns, ranks renumbered 1..k for each customer, with ``assigned_rm`` and
        ``slot_day`` (null where none is needed).
    refusals
        The other decisions: ``customer_id, product_id, stage, rule``.
    found
        Value, bound and prices; see `Allocation`.
    """

    offers: pa.Table
    refusals: pa.Table
    found: Allocation

    @property
    def left_out(self) -> dict[str, int]:
        """How many offers each rule keeps out, most first."""
        counted = pc.value_counts(self.refusals.column("rule")).to_pylist()
        return {c["values"]: c["counts"] for c in sorted(counted, key=lambda c: (-c["counts"], c["values"]))}


def plan_file(  # noqa: PLR0913  what, within what, from where, to where; and how to go about it
    decisions: Path,
    limits: Path,
    bank: Bank,
    out: Path,
    *,
    value: str = "expected_value",
    seed: int = 7,
    step: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Return the plan of a file of decisions, and write its offers to `out` and its refusals beside them.

    Raises
    ------
    NextOfferError
        The decisions cannot be read, or `out` is the file of decisions.
    AllocationError
        As `planned`.
    """
    if out.resolve() == decisions.resolve():
        raise NextOfferError(f"the plan would replace the decisions it is made from: {out}; name another file")
    step("Reading decisions")
    wanted = Limits.read(limits)
    offers = read_decisions(decisions, bank)
    step(f"Sharing what there is over {offers.num_rows:,} offers")
    plan = planned(offers, wanted, bank, value=value, seed=seed)
    step("Writing the plan")
    with TableWriter(refusals_path(out)) as refused, TableWriter(out) as made:
        refused.write(plan.refusals)
        made.write(plan.offers)
    return plan


def planned(decisions: pa.Table, limits: Limits, bank: Bank, *, value: str = "expected_value", seed: int = 7) -> Plan:
    """Return which of the decisions to make so that their total value is greatest within the limits.

    A column that the limits name is the decisions', else the customers' (``rm_id``, ``segment``), else the products'
    (``cost``); ``product.cost`` is always the products'. Offers whose value is null are left out by `UNKNOWN`.

    Raises
    ------
    AllocationError
        A column is nowhere, or is sensitive; no offer has a value; or as `allocate`.
    """
    known, unknown = _valued(decisions, value)
    joined = _joined(known, limits, bank)
    found = allocate(joined, limits, value=value, seed=seed)
    return Plan(_kept(found.offers, decisions.column_names), _refused(found.refusals, unknown), found)


def _valued(decisions: pa.Table, value: str) -> tuple[pa.Table, pa.Table]:
    """Return the decisions that have a value, and those that have none."""
    if value not in decisions.column_names:
        return decisions, decisions.slice(0, 0)  # `allocate` says so, with the columns there are
    missing = decisions.column(value).is_null()
    without = decisions.filter(missing)
    if without.num_rows == decisions.num_rows > 0:
        raise AllocationError(
            f"no offer has a '{value}': it needs the products' margin; or name another column with --value, such as "
            "propensity"
        )
    return decisions.filter(pc.invert(missing)) if without.num_rows else decisions, without


def _joined(decisions: pa.Table, limits: Limits, bank: Bank) -> pa.Table:
    """Return the decisions with the columns that the limits name.

    Raises
    ------
    AllocationError
        Some are nowhere, or sensitive; all of them are named.
    """
    homes = {name: _home(name, decisions, bank) for name in limits.columns}
    if problems := list(_problems(homes, limits.columns, decisions, bank)):
        raise AllocationError(problems)
    of_customers = [name for name, home in homes.items() if home == "customers"]
    of_products = {name: name.removeprefix(_PRODUCT) for name, home in homes.items() if home == "products"}
    if of_customers:
        decisions = _with(decisions, beside(decisions, customer_columns(bank, of_customers), "customer_id"))
    if of_products:
        products = bank.table("products")
        columns = [products.column("product_id"), *(products.column(column) for column in of_products.values())]
        table = pa.table(columns, names=["product_id", *of_products])
        decisions = _with(decisions, beside(decisions, table, "product_id"))
    return decisions


def _home(name: str, decisions: pa.Table, bank: Bank) -> str | None:
    """Return the table that a column is taken from, None for nowhere."""
    if name in decisions.column_names:
        return "decisions"
    if name.startswith(_PRODUCT):
        return "products" if name.removeprefix(_PRODUCT) in bank.columns("products") else None
    return next((table for table in ("customers", "products") if name in bank.columns(table)), None)


def _problems(
    homes: Mapping[str, str | None], named: Mapping[str, str], decisions: pa.Table, bank: Bank
) -> Iterator[str]:
    customers, products = list(bank.columns("customers")), list(bank.columns("products"))
    there = [*decisions.column_names, *customers, *products, *(f"{_PRODUCT}{name}" for name in products)]
    for name, home in homes.items():
        if home is None:
            yield (
                f"{named[name]}: no column '{name}'{did_you_mean(name, there)}; the decisions have "
                f"{', '.join(decisions.column_names)}; customers {', '.join(customers)}; products {', '.join(products)}"
            )
        elif home != "decisions" and bank.config.is_sensitive(home, name.removeprefix(_PRODUCT)):
            yield f"{named[name]}: '{name}' is sensitive (bank.toml): it measures fairness, and decides nothing"


def _with(table: pa.Table, columns: pa.Table) -> pa.Table:
    for name in columns.column_names:
        table = table.append_column(name, columns.column(name))
    return table


def _kept(offers: pa.Table, columns: list[str]) -> pa.Table:
    """Return the offers with the columns of the decisions, who makes each and when, and ranks from 1."""
    added = [n for n in offers.column_names if n not in columns and (n == "assigned_rm" or n.startswith("slot_day"))]
    out = offers.select([*columns, *added])
    for name, kind in (("assigned_rm", pa.string()), ("slot_day", pa.int32())):
        if name not in out.column_names:
            out = out.append_column(name, pa.nulls(out.num_rows, kind))
    if "rank" not in columns:
        return out
    return out.set_column(columns.index("rank"), "rank", pa.array(_ranks(out), pa.int32()))


def _ranks(offers: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return (n,): 1, 2, … for each customer's offers in the order of their ranks so far."""
    customer = offers.column("customer_id").combine_chunks().dictionary_encode()
    codes = (customer.indices if isinstance(customer, pa.DictionaryArray) else customer).to_numpy()
    order = np.lexsort((offers.column("rank").to_numpy(), codes))
    first = np.diff(codes[order], prepend=-1) != 0
    place = np.arange(len(order))
    out = np.empty(len(order), dtype=np.int64)
    out[order] = place - np.maximum.accumulate(np.where(first, place, 0)) + 1
    return out


def _refused(refusals: pa.Table, unknown: pa.Table) -> pa.Table:
    if not unknown.num_rows:
        return refusals
    ids = unknown.select(["customer_id", "product_id"])
    schema = refusals_schema(*(field.type for field in ids.schema))
    texts = [pa.repeat(pa.scalar(text), ids.num_rows) for text in ("capacity", UNKNOWN)]
    return pa.concat_tables([refusals.cast(schema), pa.table([*ids.columns, *texts], schema=schema)])


def worth(limit: Mapping[str, object], unit: str) -> str:
    """Return the price of a limit in words; `limit` is a row of `Allocation.limits`, `unit` that of the value.

    >>> row = {"limit": "rm r17", "unit": "hour", "kind": "at most", "capacity": 6.0, "used": 6.0, "price": 31.2}
    >>> worth(row, "EUR")
    'one more hour of RM r17 is worth 31.20 EUR'
    >>> worth({**row, "limit": "segment = HNI (min)", "unit": "offer", "kind": "at least"}, "EUR")
    'one offer fewer asked for (segment = HNI) would add 31.20 EUR'
    >>> worth({**row, "price": 0.0, "used": 4.5}, "EUR")
    'more of it would add nothing: 1.5 hours are left'
    """
    name, kind, price = str(limit["limit"]), limit["kind"], float(str(limit["price"]))
    idle = float(str(limit["capacity"])) - float(str(limit["used"]))
    amount = f"{amount_of(price)} {unit}"
    if kind == "at least":
        asked = name.removesuffix(" (min)")
        return f"one offer fewer asked for ({asked}) would add {amount}" if price > 0 else "asking for it costs nothing"
    if price <= 0:
        left = f": {_count(idle, str(limit['unit']))} left" if idle > 0 else ""
        return f"more of it would add nothing{left}"
    return f"one more {_one_of(name, str(limit['unit']))} is worth {amount}"


def amount_of(value: float) -> str:
    """Return an amount to the cent, or three significant digits where that is less.

    >>> amount_of(1234.5), amount_of(0.00423)
    ('1,234.50', '0.00423')
    """
    return f"{value:,.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3g}"


def _one_of(name: str, unit: str) -> str:
    if unit == "offer":
        return f"offer allowed ({name.removesuffix(' (max)')})"
    person = name.removeprefix("rm ")
    if person != name:
        return f"{unit} of {'' if person.lower().startswith('rm') else 'RM '}{person}"
    return f"{unit} of {name}"


def _count(amount: float, unit: str) -> str:
    shown = f"{amount:,.4g}" if amount < 1000 else f"{amount:,.0f}"
    return f"{shown} {unit} is" if shown == "1" else f"{shown} {unit}s are"
