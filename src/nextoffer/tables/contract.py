"""The bank's tables: which there are, which columns each has, and what may stand in them.

This is the only place where a column of the bank is spelled. Tables come in the order in which a bank is best read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["id", "number", "text", "flag", "date"]
"""What a column holds: past the door BIGINT or VARCHAR, DOUBLE, VARCHAR, BOOLEAN and DATE."""

Severity = Literal["fatal", "reject", "warn"]
"""``fatal``: the bank cannot be used; ``reject``: the row is set aside; ``warn``: worth a look, nothing is lost."""

PURPOSES = ("marketing", "profiling")
"""What a customer may consent to."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name
        Its one spelling.
    kind
        What it holds, or None where the bank decides (numbers, flags or words are all welcome).
    required
        The table is of no use without it, and neither is a row in which it is missing.
    low, high
        Smallest and largest plausible value, both included.
    outside
        What a value outside of them means.
    if_unreadable
        What a value that cannot be read means: ``reject`` the row is set aside, ``warn`` the value counts as not known.
    digits
        For codes that may have been stored as whole numbers: how many digits they are written with.
    known
        The only texts that mean something; others are warned of.
    past
        A date on which something happened, so that one after `as_of` deserves a warning.
    """

    name: str
    kind: Kind | None
    required: bool = False
    low: float | None = None
    high: float | None = None
    outside: Severity = "warn"
    if_unreadable: Severity = "reject"
    digits: int = 0
    known: tuple[str, ...] = ()
    past: bool = False


@dataclass(frozen=True)
class Reference:
    """A column whose ids must be in another table, and what a stranger among them means."""

    column: str
    table: str
    stranger: Severity


@dataclass(frozen=True)
class Table:
    """One table of the bank.

    Attributes
    ----------
    name
        Its file is ``<name>.parquet``, ``<name>.csv`` or a folder ``<name>`` of such parts.
    columns
        What the contract knows of.
    required
        No bank without it.
    key
        The column that must be unique, or None.
    open
        Further columns are kept, each with the kind it has.
    refers
        Columns whose ids must be in another table.
    """

    name: str
    columns: tuple[Column, ...]
    required: bool = False
    key: str | None = None
    open: bool = False
    refers: tuple[Reference, ...] = ()

    def column(self, name: str) -> Column | None:
        """Return the column called `name`, or None if the contract does not know it."""
        return next((c for c in self.columns if c.name == name), None)


def _id(name: str, *, required: bool = True) -> Column:
    return Column(name, "id", required=required)


_CUSTOMER = Reference("customer_id", "customers", "reject")
_PRODUCT = Reference("product_id", "products", "reject")

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "customers",
            (
                _id("customer_id"),
                Column("age", "number", low=0, high=120, if_unreadable="warn"),
                Column("income", "number", low=0, outside="reject"),
                Column("segment", "text"),
                Column("city_tier", None),
                Column("channel_pref", "text"),
                Column("salary_day", "number", low=1, high=31, if_unreadable="warn"),
                _id("household_id", required=False),
                _id("rm_id", required=False),
            ),
            required=True,
            key="customer_id",
            open=True,
        ),
        Table(
            "products",
            (
                _id("product_id"),
                Column("product_type", "text", required=True),
                Column("name", "text"),
                Column("min_income", "number", low=0),
                Column("segment_bias", "text"),
                Column("is_premium", "flag"),
                Column("family", "text"),
                Column("tier", "number"),
                Column("margin", "number"),
                Column("cost", "number"),
                Column("lgd", "number", low=0, high=1),
                Column("exposure", "number", low=0),
                Column("subsidy", "number", low=0),
                Column("active", "flag"),
            ),
            required=True,
            key="product_id",
            open=True,
        ),
        Table(
            "holdings",
            (
                _id("customer_id"),
                _id("product_id"),
                Column("opened_on", "date", past=True),
                Column("closed_on", "date"),
                Column("balance", "number", if_unreadable="warn"),
            ),
            required=True,
            refers=(_CUSTOMER, _PRODUCT),
        ),
        Table(
            "transactions",
            (
                _id("customer_id"),
                Column("date", "date", required=True, past=True),
                Column("amount", "number", required=True),
                _id("merchant_id", required=False),
                Column("mcc", "text", digits=4),
                Column("channel", "text"),
                Column("direction", "text"),
            ),
            refers=(_CUSTOMER, Reference("merchant_id", "merchants", "warn")),
        ),
        Table("merchants", (_id("merchant_id"), Column("mcc", "text", digits=4)), key="merchant_id"),
        Table(
            "responses",
            (
                _id("customer_id"),
                _id("product_id"),
                Column("offered_on", "date", required=True, past=True),
                Column("label", "number", required=True),
                Column("channel", "text"),
                Column("campaign_ix", "number", if_unreadable="warn"),
                Column("arm", "text"),
                Column("pscore", "number", low=0, high=1),
                Column("responded_on", "date", past=True),
            ),
            refers=(_CUSTOMER, _PRODUCT),
        ),
        Table(
            "consents",
            (
                _id("customer_id"),
                Column("purpose", "text", required=True, known=PURPOSES),
                Column("channel", "text"),
                Column("granted", "flag", required=True),
                Column("recorded_on", "date", required=True, past=True),
            ),
            refers=(_CUSTOMER,),
        ),
        Table(
            "risk",
            (
                _id("customer_id"),
                Column("pd", "number", low=0, high=1, outside="reject"),
                Column("delinquent", "flag"),
                Column("vulnerable", "flag"),
            ),
            key="customer_id",
            refers=(_CUSTOMER,),
        ),
    )
}
"""Every table of the contract, by name."""

HOME_OF_ID: dict[str, str] = {
    "customer_id": "customers",
    "household_id": "customers",
    "rm_id": "customers",
    "product_id": "products",
    "merchant_id": "merchants",
}
"""The table that decides whether an id is a whole number or text, for every table."""
