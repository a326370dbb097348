"""Banks, models and what other engines' answers are compared with, for the tests of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nextoffer.policy.allowance import AfterIgnores, AfterReject, CoolDown, Limit
from nextoffer.policy.decide import Decided
from nextoffer.policy.eligibility import Consent
from nextoffer.policy.file import Contact, Policy
from nextoffer.run.engine import Engine
from nextoffer.simulate import retail
from nextoffer.tables.bank import Bank
from tests.run.worlds import QuickRanker

AS_OF = date(2025, 10, 11)
SEED_WORLD = Path(__file__).parents[3] / "shared" / "data" / "seed_world"
_BY_PAIR = [("customer_id", "ascending"), ("product_id", "ascending")]


@dataclass(frozen=True)
class Case:
    """A bank, the model that decides for it, and what it decides here."""

    name: str
    bank: Path
    model: Path
    expected: Decided


def case(name: str, bank: Path, folder: Path, *, model: Path | None = None) -> Case:
    """Return a case, with a model fitted on that bank if none is given."""
    source = Bank.read(bank)
    if model is None:
        model = Engine.fit(source, as_of=AS_OF, ranker=QuickRanker()).save(folder / f"{name}.model")
    return Case(name, bank, model, Engine.load(model).recommend(source))


def careful(one: Case, folder: Path) -> Case:
    """Return the case under a contact policy that asks the tables for all that one can ask for."""
    limits = (Limit(channel="phone", days=30, max=1), Limit(days=400, max=7, per="household"))
    contact = Contact(
        channels=("mobile", "phone"),
        limit=limits,
        cool_down=CoolDown(days=60),
        after_ignores=AfterIgnores(days=365, count=1),
        after_reject=AfterReject(days=365),
    )
    engine = Engine.load(one.model).with_policy(Policy(contact=contact, consent=Consent(absent="allow")))
    expected = engine.recommend(Bank.read(one.bank))
    stopped = set(expected.refusals.column("rule").to_pylist())
    rules = {f"contact.{rule}" for rule in ("household_400d", "cool_down", "after_ignores", "after_reject")}
    assert rules <= stopped, rules - stopped
    return Case(f"careful {one.name}", one.bank, engine.save(folder / f"careful_{one.name}.model"), expected)


def retail_cases(folder: Path, *, customers: int) -> dict[str, Case]:
    """Return ``dirty``, a bank of 600 customers, and ``large``, a clean one for which the same model decides."""
    dirty = case("dirty", retail.generate(folder / "dirty", customers=600, seed=3, dirty=True), folder)
    large = retail.generate(folder / "large", customers=customers, seed=4)
    return {"dirty": dirty, "large": case("large", large, folder, model=dirty.model)}


def sorted_rows(table: pa.Table) -> pa.Table:
    """Return the rows by customer and product, in one piece; texts plain, not as numbers of a dictionary."""
    plain = [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in table.schema]
    return table.cast(pa.schema(plain)).sort_by(_BY_PAIR).combine_chunks()


def same(found: Decided, expected: Decided) -> bool:
    """Whether two answers are the same in every column, whatever the order of rows."""
    pairs = ((found.decisions, expected.decisions), (found.refusals, expected.refusals))
    return all(sorted_rows(one).equals(sorted_rows(other)) for one, other in pairs)


def read_parts(decisions: Path, refusals: Path) -> Decided:
    """Return what a cluster wrote, part after part."""
    one, other = (pa.concat_tables([pq.read_table(p) for p in sorted(f.iterdir())]) for f in (decisions, refusals))
    return Decided(one, other)
