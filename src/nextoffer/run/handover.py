"""What is handed over: offers with names, consents and answers as they stand on the day, and what may be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.deliver.answers import RESPONSES, answers
from nextoffer.deliver.consent import consented
from nextoffer.deliver.material import OPTIONAL, CallingHours, Material
from nextoffer.deliver.settings import DAYS, Dialer, Settings
from nextoffer.deliver.wording import CustomerWordings
from nextoffer.errors import DeliveryError, did_you_mean
from nextoffer.policy.allowance import Contact
from nextoffer.policy.contact import calling_windows
from nextoffer.policy.expression import parsed
from nextoffer.policy.file import Policy
from nextoffer.run.decisions import beside, customer_columns
from nextoffer.tables.bank import Bank

NEEDED = ("rank", "product_type", "score", "propensity", "channel", "reasons", "reason_codes", "decision_id", "as_of",
          "model_id", "policy_id")  # fmt: skip
"""Columns that decisions must have to be handed over."""

_KNOWN = ("rank", "score", "propensity", "decision_id", "as_of")  # of every offer
_MONDAY = date(2024, 1, 1)
_NAMES = ("first_name", "last_name", "email")


@dataclass(frozen=True)
class Order:
    """What is to be delivered.

    Attributes
    ----------
    formats
        Names of `FORMATS`.
    day
        The day of the delivery: consents count as they stand then, and what expires is counted from it.
    templates
        A TOML with own scripts and settings.
    name_column, phone_column
        Columns of customers with their names and numbers; without one, ``name`` and ``phone`` where they are there.
    """

    formats: Sequence[str]
    day: date
    templates: Path | None = None
    name_column: str | None = None
    phone_column: str | None = None


def material(decisions: pa.Table, bank: Bank, policy: Policy, order: Order) -> Material:
    """Return what the formats are made from.

    Raises
    ------
    DeliveryError
        There are no offers, or they lack what every offer has; a column or product type is unknown, or sensitive.
    """
    if problems := [*_faults(decisions), *_wrong_columns(bank, order), *_wrong_scripts(bank, order)]:
        raise DeliveryError(problems)
    settings = Settings.read(order.templates)
    every = decisions.sort_by([("customer_id", "ascending"), ("rank", "ascending")])
    every = _with(every, _of_products(every, bank), _of_customers(every, bank, order))
    said = consented(every, _latest_consents(bank, order.day), absent=policy.consent.absent == "allow")
    allowed = said.column("allowed").combine_chunks()
    every = _with(every, said.drop_columns(["allowed"]))
    every = _completed(every)
    return Material(
        every.filter(allowed) if policy.consent.marketing else every,
        every,
        order.day,
        bank.name,
        bank.config.currency or "",
        settings,
        CustomerWordings(customer_wordings(policy, bank)),
        calling_hours(policy.contact, settings.dialer),
        answers(every, _responses(every, bank, order.day)),
    )


def customer_wordings(policy: Policy, bank: Bank) -> dict[str, str]:
    """Return the customer's text of each reason that may be told: none that rests on a sensitive or risk column."""
    private = {name for name in bank.columns("customers") if bank.config.is_sensitive("customers", name)}
    private |= set(bank.columns("risk")) - {"customer_id"} if bank.has("risk") else {"pd", "delinquent", "vulnerable"}
    out = {}
    for reason in policy.catalogue.reasons:
        text = reason.text("customer")
        rests_on = {name.rpartition(".")[2] for name in parsed(reason.fact).names}
        if text is not None and not rests_on & private and not reason.members(private):
            out[reason.code] = text
    return out


def calling_hours(contact: Contact, dialer: Dialer) -> CallingHours:
    """Return when customers may be called: outside the calling channel's quiet times, else as the settings say."""
    if not any(quiet.channel == dialer.channel for quiet in contact.quiet):
        return CallingHours(((f"{dialer.opens:%H:%M}", f"{dialer.closes:%H:%M}"),), dialer.days)
    week = [calling_windows(contact, dialer.channel, _MONDAY + timedelta(days=k)) for k in range(7)]
    windows = next((tuple(windows) for windows in week if windows), ())
    return CallingHours(windows, tuple(day for day, windows in zip(DAYS, week, strict=True) if windows))


def _faults(decisions: pa.Table) -> list[str]:
    if not decisions.num_rows:
        return ["the decisions hold no offers: there is nothing to deliver"]
    nulls = {name: decisions.column(name).null_count for name in _KNOWN}
    out = [f"the decisions' column '{name}' is null in {count:,} rows" for name, count in nulls.items() if count]
    twice = decisions.num_rows - pc.count_distinct(decisions.column("decision_id")).as_py()
    return [*out, f"the same decision_id more than once: {twice:,} rows too many"] if twice and not out else out


def _wrong_columns(bank: Bank, order: Order) -> list[str]:
    there, out = bank.columns("customers"), []
    for option, name in (("--name-column", order.name_column), ("--phone-column", order.phone_column)):
        if name is not None and name not in there:
            out.append(
                f"{option}: customers have no column '{name}'{did_you_mean(name, there)}; there are {', '.join(there)}"
            )
        elif name is not None and bank.config.is_sensitive("customers", name):
            out.append(f"{option}: '{name}' is sensitive (bank.toml): it measures fairness, and is not handed over")
    return out


def _wrong_scripts(bank: Bank, order: Order) -> list[str]:
    if order.templates is None:
        return []
    types = pc.unique(bank.table("products").column("product_type")).to_pylist()
    return [
        f"{order.templates}: script.{name}: the bank has no product_type '{name}'{did_you_mean(name, types)}; "
        f"there are {', '.join(map(str, types))}"
        for name in Settings.own_types(order.templates)
        if name not in types
    ]


def _of_products(offers: pa.Table, bank: Bank) -> pa.Table:
    products = bank.table("products")
    ids = products.column("product_id").cast(pa.string())
    names = pc.coalesce(products.column("name"), ids) if "name" in products.column_names else ids
    return beside(offers, pa.table({"product_id": products.column("product_id"), "product_name": names}), "product_id")


def _of_customers(offers: pa.Table, bank: Bank, order: Order) -> pa.Table:
    """Return RM, names and numbers, as far as there are such columns that are not sensitive."""
    usable = [n for n in bank.columns("customers") if not bank.config.is_sensitive("customers", n)]
    wanted = {"rm": "rm_id", "phone": order.phone_column or "phone", "customer_name": order.name_column or "name"}
    wanted |= {name: name for name in _NAMES}
    there = {ours: theirs for ours, theirs in wanted.items() if theirs in usable}
    found = beside(offers, customer_columns(bank, there.values()), "customer_id")
    columns = {ours: found.column(theirs).cast(pa.string()) for ours, theirs in there.items()}
    if "customer_name" not in columns and {"first_name", "last_name"} <= columns.keys():
        both = pc.binary_join_element_wise(columns["first_name"], columns["last_name"], " ", null_handling="skip")
        columns["customer_name"] = pc.if_else(pc.equal(both, ""), pa.scalar(None, pa.string()), both)
    if "assigned_rm" in offers.column_names:
        assigned = offers.column("assigned_rm").cast(pa.string())
        columns["rm"] = pc.coalesce(assigned, columns["rm"]) if "rm" in columns else assigned
    return pa.table(columns) if columns else pa.table({"customer_name": pa.nulls(offers.num_rows, pa.string())})


def _with(table: pa.Table, *others: pa.Table) -> pa.Table:
    for other in others:
        for name in other.column_names:
            table = table.drop_columns([name]) if name in table.column_names else table
            table = table.append_column(name, other.column(name))
    return table


def _completed(offers: pa.Table) -> pa.Table:
    for name, kind in OPTIONAL.items():
        if name not in offers.column_names:
            offers = offers.append_column(name, pa.nulls(offers.num_rows, kind))
    return offers


def _latest_consents(bank: Bank, day: date) -> pa.Table | None:
    """Return the last word on marketing of each customer and channel; on one day a refusal is the last."""
    if not bank.has("consents"):
        return None
    channel = "channel" if "channel" in bank.columns("consents") else "CAST(NULL AS VARCHAR) AS channel"
    sql = f"""
        WITH said AS (SELECT customer_id, {channel}, recorded_on, granted FROM consents
                      WHERE purpose = 'marketing' AND recorded_on <= $day),
             numbered AS (SELECT *, row_number() OVER (PARTITION BY customer_id, channel
                                                       ORDER BY recorded_on DESC, granted ASC) AS n FROM said)
        SELECT customer_id, channel, recorded_on, granted FROM numbered WHERE n = 1
    """
    return pa.Table.from_batches(list(bank.query(sql, {"day": day})))


def _responses(offers: pa.Table, bank: Bank, day: date) -> pa.Table:
    """Return the responses known on the day that may answer these offers."""
    if not bank.has("responses"):
        ids = [offers.column(name).type for name in ("customer_id", "product_id")]
        return pa.schema(zip(RESPONSES, [*ids, pa.date32(), pa.float64(), pa.date32()], strict=True)).empty_table()
    there = bank.columns("responses")
    answered = "responded_on" if "responded_on" in there else "CAST(NULL AS DATE)"
    made = "coalesce(arm, '') <> 'control'" if "arm" in there else "true"
    sql = f"""
        SELECT customer_id, product_id, offered_on, label, {answered} AS responded_on
        FROM responses
        WHERE offered_on >= $first AND offered_on <= $day AND {made}
              AND ({answered} IS NULL OR {answered} <= $day)
    """
    first = pc.min(offers.column("as_of")).as_py()
    return pa.Table.from_batches(list(bank.query(sql, {"first": first, "day": day})))
