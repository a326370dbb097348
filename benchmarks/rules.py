"""Rules per second: twenty rules of a bank over 24 products, beside zen-engine's expressions and decision table.

Usage: ``python benchmarks/rules.py [--customers 100000 1000000] [--asked 2000] [--json FILE]``

A synthetic bank. NextOffer is asked batch by batch, as `recommend` asks it: what is measured is the time that the rules
add on the way from Arrow columns to the first rule that stops each pair. zen-engine (pip install zen-engine; a rule
engine in Rust) gets customers without gaps, one after the other, as ready-made dictionaries: *expression* evaluates
compiled expressions, each given no more than it reads, those on customers once and those on pairs for each product
asked about; *table* is one decision table in which all that hangs on products alone was worked out beforehand,
evaluated once for each customer. All three must stop the same pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer import compiled
from nextoffer.models.plain import PlainScores
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.expression import parsed
from nextoffer.policy.file import Policy
from nextoffer.policy.offering import Offering
from nextoffer.policy.ranking import stopped
from nextoffer.policy.rules import OwnRule, packaged_rules
from nextoffer.tables.flow import FeatureColumn, FeatureTable, RuleFacts

Flags = npt.NDArray[np.bool_]

DAY = date(2025, 10, 1)
CHUNK = 65_536
TYPES = ("CC", "PL", "ML", "SA", "IN", "ST")
CREDIT = "product.lgd is not null and product.lgd > 0"


class Said(NamedTuple):
    """A rule as NextOffer reads it, and what it requires in zen-engine's words."""

    rule: OwnRule
    zen: str


def rule(key: str, stage: str, require: str, zen: str | None = None, **more: Any) -> Said:
    """Return a rule; `zen` is left out where both say it with the same words."""
    told = OwnRule(id=key, stage=stage, text=key.replace("_", " "), require=require, **more)  # type: ignore[arg-type]
    return Said(told, zen or require)


RULES = (
    rule("adult", "eligibility", "age >= 18"),
    rule("resident", "eligibility", "country = 'home'", "country == 'home'"),
    rule("age_for_credit", "eligibility", "age <= 75", where=CREDIT),
    rule(
        "premium", "eligibility", "segment in ('Affluent', 'HNI')", "segment in ['Affluent', 'HNI']",
        where="product.is_premium",
    ),
    rule("student", "eligibility", "employment = 'student'", "employment == 'student'", product_type=("ST",)),
    rule("known_for_a_while", "applicability", "tenure_days >= 90"),
    rule("active", "applicability", "txn_count_90d >= 3", product_type=("CC",)),
    rule("no_house_yet", "applicability", "not home_owner", product_type=("ML",)),
    rule("children", "applicability", "children > 0", product=("P04",)),
    rule("travels", "applicability", "travel_share >= 0.05", product=("P01", "P07")),
    rule("left_in_peace", "applicability", "days_since_offer > 14"),
    rule("not_behind", "suitability", "not delinquent", where=CREDIT),
    rule("not_vulnerable", "suitability", "not vulnerable", where=CREDIT),
    rule("pd", "suitability", "pd <= 0.08", where=CREDIT),
    rule(
        "affordable", "suitability", "12 * income >= 0.25 * product.exposure",
        "12 * income >= 0.25 * product.exposure", where="product.exposure is not null",
    ),
    rule("age_at_the_end", "suitability", "age between 21 and 65", "age in [21..65]", product_type=("PL", "ML")),
    rule("no_complaint", "suitability", "not complaint_open"),
    rule(
        "enough_income", "suitability", "income >= 1.2 * product.min_income",
        where="product.min_income is not null and product.tier > 1",
    ),
    rule(
        "reach", "suitability", "city <> 'rural' or channel = 'mobile'", "city != 'rural' or channel == 'mobile'",
        product_type=("IN", "SA"),
    ),
    rule(
        "self_employed", "suitability", "employment <> 'self-employed' or tenure_days > 720",
        "employment != 'self-employed' or tenure_days > 720", product_type=("ML", "PL"),
    ),
)  # fmt: skip


def main() -> None:
    """Run, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--asked", type=int, default=2_000, help="customers that zen-engine is asked about")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    quick = compiled.warm_up()
    result = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "compiled": quick},
        "rules": len(RULES),
        "products": len(shelf()),
        "nextoffer": {str(count): ours(count) for count in arguments.customers},
        "one customer": one_by_one(arguments.asked),
        "zen-engine": zen_engine(arguments.asked),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))


def shelf() -> Offering:
    """Return 24 products."""
    j = np.arange(24)
    lent = j % 6 < 3
    return Offering(
        pa.table(
            {
                "product_id": [f"P{i:02}" for i in j],
                "product_type": [TYPES[i % 6] for i in j],
                "lgd": pa.array(np.where(lent, 0.2 + 0.02 * j, 0.0), mask=~lent),
                "exposure": pa.array(2_000.0 * (1 + j), mask=~lent),
                "min_income": pa.array(800.0 + 100.0 * j, mask=j % 4 == 0),
                "tier": pa.array(1.0 + j // 8),
                "is_premium": j % 5 == 4,
            }
        )
    )


def bank(count: int, seed: int = 1, *, gaps: float = 0.02) -> FeatureTable:
    """Return customers; of each column a share is not known."""
    draw = np.random.default_rng(seed)

    def words(*choice: str) -> npt.NDArray[Any]:
        return np.array(choice)[draw.integers(0, len(choice), count)]

    columns: dict[str, tuple[str, npt.NDArray[Any]]] = {
        "age": ("number", np.floor(draw.uniform(15, 85, count))),
        "income": ("number", np.round(draw.gamma(3.0, 900.0, count), 2)),
        "tenure_days": ("number", np.floor(draw.exponential(900, count))),
        "txn_count_90d": ("number", draw.poisson(20, count).astype(np.float64)),
        "children": ("number", draw.poisson(0.8, count).astype(np.float64)),
        "travel_share": ("number", draw.beta(1, 12, count)),
        "days_since_offer": ("number", np.floor(draw.exponential(60, count))),
        "pd": ("number", draw.beta(1, 30, count)),
        "country": ("category", words(*["home"] * 9, "abroad")),
        "segment": ("category", words("Mass", "Mass", "Affluent", "HNI")),
        "employment": ("category", words("employed", "employed", "self-employed", "student", "retired")),
        "city": ("category", words("metro", "urban", "rural")),
        "channel": ("category", words("mobile", "web", "branch", "phone")),
        "home_owner": ("flag", draw.random(count) < 0.4),
        "delinquent": ("flag", draw.random(count) < 0.04),
        "vulnerable": ("flag", draw.random(count) < 0.03),
        "complaint_open": ("flag", draw.random(count) < 0.02),
    }
    data = {"customer_id": pa.array(np.arange(count))}
    data |= {name: pa.array(values, mask=draw.random(count) < gaps) for name, (_, values) in columns.items()}
    meant = tuple(
        FeatureColumn(name, name, "profile", "relationship", kind)  # type: ignore[arg-type]
        for name, (kind, _) in columns.items()
    )
    return FeatureTable(pa.table(data), meant, DAY)


def batch_of(features: FeatureTable, offering: Offering) -> Batch:
    """Return customers who hold nothing, all of whom like every product alike."""
    shape = (len(features), len(offering))
    facts = RuleFacts(held=np.zeros(shape, dtype=np.bool_), consent=None, contacts=np.zeros((shape[0], 1), np.int64))
    return Batch.over(offering, PlainScores(np.zeros(shape, dtype=np.float32), "none"), facts, features)


def book(*rules: OwnRule) -> Book:
    """Return the rules of a policy with these of its own, without the package's."""
    off = tuple(one.model_copy(update={"enabled": False}) for one in packaged_rules())
    return Book(Policy(rule=(*off, *rules)))


def ours(count: int) -> dict[str, float]:
    """Return what rules add to a batch, in microseconds per customer and rule."""
    features, offering = bank(count), shelf()
    plain, ruled = book(), book(*(said.rule for said in RULES))
    for part in chunks(features.take(np.arange(min(count, 1_000)))):  # to warm up
        stopped(batch_of(part, offering), ruled)
    without = sum(timed(lambda p=part: stopped(batch_of(p, offering), plain)) for part in chunks(features))
    within = sum(timed(lambda p=part: stopped(batch_of(p, offering), ruled)) for part in chunks(features))
    return {"seconds": within - without, "us": 1e6 * (within - without) / count / len(RULES)}


def chunks(features: FeatureTable) -> Iterator[FeatureTable]:
    """Yield customers as many at a time as a batch has, so that none finds columns that another one made ready."""
    for start in range(0, len(features), CHUNK):
        yield FeatureTable(features.data.slice(start, CHUNK), features.columns, features.as_of)


def timed(work: Callable[[], object]) -> float:
    """Return seconds."""
    began = perf_counter()
    work()
    return perf_counter() - began


def one_by_one(asked: int) -> dict[str, float]:
    """Return what rules add to one customer's answer, in microseconds: the medians with them less those without."""
    features, offering = bank(asked), shelf()
    found = {}
    for name, rules in (("without", book()), ("with", book(*(said.rule for said in RULES)))):
        took = []
        for i in range(asked):
            batch = batch_of(features.take(np.array([i])), offering)
            took.append(timed(lambda b=batch, r=rules: stopped(b, r)))
        found[name] = 1e6 * float(np.median(took))
    added = found["with"] - found["without"]
    return {**found, "us": added, "us per rule": added / len(RULES)}


def zen_engine(asked: int) -> dict[str, Any]:
    """Return what zen-engine takes, in microseconds per customer and rule, or why it was not asked."""
    try:
        import zen
    except ImportError as error:
        return {"skipped": f"{error}; pip install zen-engine"}
    features, offering = bank(asked, gaps=0.0), shelf()
    batch = batch_of(features, offering)
    ruled = book(*(said.rule for said in RULES))
    names = {said.rule.name for said in RULES}
    masks = [np.broadcast_to(one.stops(batch), batch.shape) for one in ruled.rules if one.name in names]
    ours = np.any(masks, axis=0)
    customers = features.data.drop_columns(["customer_id"]).to_pylist()
    asks = scopes(batch)
    table = zen.ZenEngine().create_decision(json.dumps(decision_table(asks, offering)))
    contenders: dict[str, Callable[[], Flags]] = {
        "expression": by_expressions(zen, customers, asks, offering),
        "table": lambda: by_table(table, customers, offering),
    }
    out: dict[str, Any] = {}
    for name, contender in contenders.items():
        began = perf_counter()
        found = contender()
        seconds = perf_counter() - began
        same = bool(np.array_equal(found, ours))
        out[name] = {"us per customer": 1e6 * seconds / asked, "us": 1e6 * seconds / asked / len(RULES), "same": same}
    return out


def scopes(batch: Batch) -> list[Flags]:
    """Return the products that each rule asks about, (P,): no rule here asks about some customers only."""
    found = []
    for said in RULES:
        never = said.rule.model_copy(update={"require": "false"})
        (one,) = (r for r in book(never).rules if r.name == never.name)
        found.append(np.broadcast_to(one.stops(batch), batch.shape)[0])
    return found


def by_expressions(
    zen: Any, customers: list[dict[str, Any]], asks: list[Flags], offering: Offering
) -> Callable[[], Flags]:
    """Return what finds the pairs that compiled expressions stop, each given what it reads, made ready beforehand."""
    products = offering.table.to_pylist()
    asked = []
    for said, mask in zip(RULES, asks, strict=True):
        names = parsed(said.rule.require).names
        of_product = [name.removeprefix("product.") for name in names if name.startswith("product.")]
        given = [{name: customer[name] for name in names if not name.startswith("product.")} for customer in customers]
        cols = np.flatnonzero(mask).tolist()
        parts = (
            [([j], {"product": {name: products[j][name] for name in of_product}}) for j in cols]
            if of_product
            else [(cols, {})]
        )
        for stops, product in parts:
            asked.append((zen.compile_expression(said.zen), [{**each, **product} for each in given], stops))

    def found() -> Flags:
        stopped = np.zeros((len(customers), len(products)), dtype=np.bool_)
        for expression, given, cols in asked:
            for i, each in enumerate(given):
                if not expression.evaluate(each):
                    stopped[i, cols] = True
        return stopped

    return found


def decision_table(asks: list[Flags], offering: Offering) -> dict[str, Any]:
    """Return a decision table: a row for each rule, of those on pairs for each product, that collects what it stops."""
    products = offering.table.to_pylist()
    rows = []
    for said, mask in zip(RULES, asks, strict=True):
        cols = np.flatnonzero(mask).tolist()
        if "product." not in said.zen:
            rows.append((said.zen, cols))
            continue
        for j in cols:
            text = said.zen
            for name, value in products[j].items():
                text = text.replace(f"product.{name}", str(value))
            rows.append((text, [j]))
    content = {
        "hitPolicy": "collect",
        "inputs": [{"id": "when", "name": "When", "field": ""}],
        "outputs": [{"id": "stops", "name": "Stops", "field": "stops"}],
        "rules": [
            {"_id": str(k), "when": f"not ({text})", "stops": json.dumps(cols)} for k, (text, cols) in enumerate(rows)
        ],
    }
    kinds = ("inputNode", "decisionTableNode", "outputNode")
    nodes = [{"id": kind, "name": kind, "type": kind, "position": {"x": 0, "y": 0}} for kind in kinds]
    nodes[1]["content"] = content
    edges = [{"id": f"{a}-{b}", "sourceId": a, "targetId": b, "type": "edge"} for a, b in pairwise(kinds)]
    return {"nodes": nodes, "edges": edges}


def by_table(table: Any, customers: list[dict[str, Any]], offering: Offering) -> Flags:
    """Return the pairs that a decision table stops."""
    stopped = np.zeros((len(customers), len(offering)), dtype=np.bool_)
    for i, customer in enumerate(customers):
        for row in table.evaluate(customer)["result"]:
            stopped[i, row["stops"]] = True
    return stopped


def table(result: dict[str, Any]) -> str:
    """Return the figures for people."""
    lines = [
        f"{result['rules']} rules, {result['products']} products",
        f"{'microseconds per customer and rule':<52}",
    ]
    for count, found in result["nextoffer"].items():
        lines.append(f"{f'NextOffer, {int(count):,} customers':<52}{found['us']:>10.4f}")
    lines.append(f"{'NextOffer, one customer at a time':<52}{result['one customer']['us per rule']:>10.2f}")
    zen = result["zen-engine"]
    if "skipped" in zen:
        return "\n".join([*lines, f"zen-engine: skipped ({zen['skipped']})"])
    best = min(found["us"] for found in result["nextoffer"].values())
    for name, found in zen.items():
        told = f"zen-engine, {name}" + ("" if found["same"] else " (stops other pairs!)")
        lines.append(f"{told:<52}{found['us']:>10.2f}  {found['us'] / best:,.0f} × ours")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
