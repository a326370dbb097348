"""Changes what is known of a sample of customers, input by input, and decides anew for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from nextoffer.evaluate.outcome import ranks_of
from nextoffer.evaluate.sensitivity import (
    FAMILY,
    FEATURE,
    NOISE,
    REFIT,
    Change,
    Flags,
    Outcome,
    figures,
    table_of,
)
from nextoffer.keyed import normal, uniform
from nextoffer.models.ranker import sigmoid
from nextoffer.policy.rule import stage_of
from nextoffer.run.engine import Desk, Engine
from nextoffer.run.labels import sampled_customers
from nextoffer.run.namable import closed_columns
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import FeatureColumn, FeatureTable, Floats, Known

CUSTOMERS = 2_000
FEATURES = 10
NOISES = (0.01, 0.05, 0.1)
UNKNOWN = "not known"
_RULES = frozenset({"consent", "eligibility", "applicability", "suitability"})


@dataclass(frozen=True)
class Sampled:
    """A keyed sample of customers before an engine on a day: what is known of them, and what they are offered."""

    engine: Engine
    bank: Bank
    products: pa.Table
    day: date
    known: Known
    before: Outcome

    @classmethod
    def of(cls, engine: Engine, bank: Bank, day: date, *, most: int = CUSTOMERS) -> Sampled:
        """Return about `most` customers of the bank.

        Raises
        ------
        PolicyError
            A rule of the policy does not fit the bank.
        """
        who = sampled_customers(bank, most, seed=engine.policy.seed, purpose="sensitivity")
        known, products = engine.known(bank, who, as_of=day), bank.table("products")
        desk = engine.desk(products, day, closed=closed_columns(bank.config))
        return cls(engine, bank, products, day, known, outcome(desk, known))

    def against(self, features: FeatureTable) -> Outcome:
        """Return what the customers would be offered were these their features."""
        return outcome(self.engine.desk(self.products, self.day), Known(features, self.known.facts))


def outcome(desk: Desk, known: Known) -> Outcome:
    """Return what customers are offered."""
    batch = desk.batch(known)
    ranking = desk.decider.ranked(batch)
    first = np.full(len(known.features), -1, dtype=np.intp)
    offered = np.zeros(batch.shape, dtype=np.bool_)
    offered[ranking.rows, ranking.cols] = True
    top = ranks_of(ranking.rows) == 0
    first[ranking.rows[top]] = ranking.cols[top]
    by_rule = np.array([stage_of(name) in _RULES for name in ranking.book.names] + [False])  # −1: offered
    return Outcome(sigmoid(batch.scores.log_odds), first, offered, by_rule[ranking.rule])


def sensitivity(sampled: Sampled, features: Sequence[str]) -> pa.Table:
    """Return how far offers move when each of these features, each family, or every number is changed."""
    there = sampled.known.features.names
    changes = [
        *(each for name in features if name in there for each in of_feature(sampled, there[name])),
        *of_families(sampled),
        *of_noise(sampled),
    ]
    found = []
    for change, table, changed in changes:
        if changed.any():
            found.append((change, figures(sampled.before, sampled.against(table), changed)))
    return table_of(found)


def refitted(sampled: Sampled, other: Engine, what: str) -> pa.Table:
    """Return how far another model's offers to the same customers lie from these."""
    known = other.known(sampled.bank, sampled.known.features.customer_ids, as_of=sampled.day)
    everybody = np.ones(len(known.features), dtype=np.bool_)
    after = outcome(other.desk(sampled.products, sampled.day), known)
    return table_of([(Change(REFIT, "", what, f"as of {sampled.day}"), figures(sampled.before, after, everybody))])


_Changed = tuple[Change, FeatureTable, Flags]


def of_feature(sampled: Sampled, column: FeatureColumn) -> Iterator[_Changed]:
    """Yield each change of one feature, the table with it, and bool (n,) whose value it changed."""
    table = sampled.known.features
    ways: dict[str, Callable[[], pa.Array]] = {}
    if column.kind == "number":
        values = table.numbers(column.name)
        if np.isfinite(values).any():
            spread = float(np.nanstd(values))
            ways = {
                "+ 1 sd": lambda: _within(values + spread, values),
                "− 1 sd": lambda: _within(values - spread, values),
                "+ 10 %": lambda: _within(values * 1.1, values),
                "− 10 %": lambda: _within(values * 0.9, values),
            }
    elif column.kind == "flag":
        flags = table.array(column.name).cast(pa.bool_())
        ways = {
            "the other way": lambda: pa.array([None if v is None else not v for v in flags.to_pylist()], pa.bool_())
        }
    else:
        ways = {"another customer's": lambda: _anothers(sampled, column.name)}
    ways[UNKNOWN] = lambda: pa.nulls(len(table), table.array(column.name).type)
    for how, made in ways.items():
        new = made()
        changed = _differs(table.array(column.name), new)
        yield Change(FEATURE, column.name, column.label, how), _with(table, {column.name: new}), changed


def of_families(sampled: Sampled) -> Iterator[_Changed]:
    """Yield the table with all features of a family not known, as on a day on which a source does not deliver."""
    table = sampled.known.features
    scored = sampled.engine.ranker.reads
    families: dict[str, list[str]] = {}
    for column in table.columns:
        if column.name in scored:
            families.setdefault(column.group, []).append(column.name)
    for family, names in families.items():
        nothing = {name: pa.nulls(len(table), table.array(name).type) for name in names}
        changed = np.zeros(len(table), dtype=np.bool_)
        for name in names:
            changed |= table.array(name).is_valid().to_numpy(zero_copy_only=False)
        label = f"All {len(names)} features of {family}"
        yield Change(FAMILY, family, label, UNKNOWN), _with(table, nothing), changed


def of_noise(sampled: Sampled) -> Iterator[_Changed]:
    """Yield the table with every number that is scored by multiplied by 1 + share × a keyed standard normal number."""
    table, seed = sampled.known.features, sampled.engine.policy.seed
    scored = sampled.engine.ranker.reads
    names = [c.name for c in table.columns if c.kind == "number" and c.name in scored]
    for share in NOISES:
        noisy = {}
        for name in names:
            values = table.numbers(name)
            drawn = normal(seed, f"noise {name}", table.customer_ids)
            noisy[name] = _numbers(values * (1.0 + share * drawn))
        everybody = np.full(len(table), bool(names))
        yield (
            Change(NOISE, "", f"All {len(names)} numbers", f"noise of {100 * share:.0f} %"),
            _with(table, noisy),
            everybody,
        )


def _within(new: Floats, seen: Floats) -> pa.Array:
    """Numbers kept within the range that was seen, NaN as null."""
    return _numbers(np.clip(new, np.nanmin(seen), np.nanmax(seen)))


def _numbers(values: Floats) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _anothers(sampled: Sampled, name: str) -> pa.Array:
    """Each customer's value dealt to another one of the sample, by key."""
    table = sampled.known.features
    order = np.argsort(uniform(sampled.engine.policy.seed, f"dealt {name}", table.customer_ids), kind="stable")
    given = np.empty(len(order), dtype=np.int64)
    given[order] = np.roll(order, 1)
    return table.array(name).take(pa.array(given))


def _differs(old: pa.Array, new: pa.Array) -> Flags:
    """Whether each value is another; null and null are the same."""
    pairs = zip(old.to_pylist(), new.to_pylist(), strict=True)
    return np.array([a != b for a, b in pairs], dtype=np.bool_)


def _with(table: FeatureTable, columns: dict[str, pa.Array]) -> FeatureTable:
    """The table with other values in some columns."""
    data = table.data
    for name, values in columns.items():
        place = data.column_names.index(name)
        data = data.set_column(place, data.schema.field(place).with_nullable(True), pa.chunked_array([values]))
    return FeatureTable(data, table.columns, table.as_of)
