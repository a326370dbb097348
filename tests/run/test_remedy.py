"""A planted disparity is remedied where ranking makes it, named where a rule does; else nothing is done."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.errors import NextOfferError
from nextoffer.policy.file import Arbitration, Contact, Eligibility, Policy
from nextoffer.run.engine import Engine
from nextoffer.run.fairness import Options, measured
from nextoffer.run.remedy import Remedied, Wish, remedied
from nextoffer.simulate import retail
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, QuickRanker, altered, stored, with_column

OPEN = Policy(eligibility=Eligibility(min_income_factor=0.0), contact=Contact(cap=9))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return retail.generate(tmp_path_factory.mktemp("fair") / "retail", customers=1000, seed=3)


@pytest.fixture(scope="module")
def engine(world: Path) -> Engine:
    return Engine.fit(Bank.read(world), as_of=AS_OF, ranker=QuickRanker())


def with_gender(world: Path, folder: Path, *, chance_of_f: np.ndarray) -> Bank:
    """Return a copy of the bank whose customers are 'f' with these chances, else 'm'."""
    draw = np.random.default_rng(1).random(len(chance_of_f))
    customers = stored(world, "customers")
    return altered(
        world, folder, {"customers": with_column(customers, "gender", np.where(draw < chance_of_f, "f", "m").tolist())}
    )


@dataclass(frozen=True)
class Place:
    """A product, to whom it comes first, and to whom it is offered at all."""

    product: str
    first: np.ndarray
    offered: np.ndarray


@pytest.fixture(scope="module")
def favoured(world: Path, engine: Engine) -> Place:
    """Return the product that comes first second most often."""
    decided = engine.with_policy(OPEN).recommend(Bank.read(world)).decisions.to_pylist()
    first = {row["customer_id"]: row["product_id"] for row in decided if row["rank"] == 1}
    product = Counter(first.values()).most_common(2)[1][0]
    offered = {row["customer_id"] for row in decided if row["product_id"] == product}
    names = dict(zip(*(stored(world, "products").column(n).to_pylist() for n in ("product_id", "name")), strict=True))
    ids = stored(world, "customers").column("customer_id").to_pylist()
    return Place(
        names[product],
        np.array([first.get(customer) == product for customer in ids]),
        np.array([customer in offered for customer in ids]),
    )


@pytest.fixture(scope="module")
def at_ranking(
    world: Path, engine: Engine, favoured: Place, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bank, Remedied]:
    """The product is offered to men and women alike, but comes first mostly to men."""
    chance = np.where(favoured.first, 0.3, np.where(favoured.offered, 0.7, 0.5))
    bank = with_gender(world, tmp_path_factory.mktemp("ranking") / "bank", chance_of_f=chance)
    return bank, remedied(engine, bank, OPEN, wish=Wish(product=favoured.product))


def test_the_line_is_reached_at_a_price(at_ranking: tuple[Bank, Remedied], favoured: Place, engine: Engine) -> None:
    bank, found = at_ranking
    told = found.measured.remedy
    assert told is not None
    assert told.reached, told.sentences
    assert told.before is not None
    assert told.before.high < 0.8
    assert found.policy is not None
    before, after = (measured(engine, bank, policy) for policy in (OPEN, found.policy))
    scope = after.fairness.columns[0].scopes.names.index(favoured.product)
    groups = after.fairness.columns[0]
    rates = [groups.selection(scope, "rank1", group).estimate for group in groups.judged]
    assert min(rates) / max(rates) >= 0.8
    old, new, difference = told.prices["first offers"]
    assert old.estimate == pytest.approx(before.worth[0, 0, 0])
    assert new.estimate == pytest.approx(after.worth[0, 0, 0])
    assert difference.estimate == pytest.approx(new.estimate - old.estimate)
    assert difference.low <= difference.estimate <= difference.high


def test_only_levers_change_and_none_names_a_sensitive_column(at_ranking: tuple[Bank, Remedied]) -> None:
    policy = at_ranking[1].policy
    assert policy is not None
    bare = policy.model_copy(update={"arbitration": policy.arbitration.model_copy(update={"lever": ()})})
    assert bare == OPEN
    assert all(0.25 <= lever.weight <= 4 for lever in policy.arbitration.lever)
    assert "gender" not in policy.to_toml()
    assert "gender" not in policy.reads


def test_a_gap_of_a_rule_is_named_and_no_lever_pretends_to_close_it(
    world: Path, engine: Engine, tmp_path: Path
) -> None:
    income = np.nan_to_num(stored(world, "customers").column("income").to_numpy(zero_copy_only=False).astype(float))
    bank = with_gender(world, tmp_path / "bank", chance_of_f=np.where(income < np.median(income), 0.95, 0.05))
    products = stored(world, "products")
    limits = pa.array([float(np.median(income)) * 1.2] * products.num_rows)
    bank = altered(bank.path, tmp_path / "strict", {"products": with_column(products, "min_income", limits)})
    strict = Policy(eligibility=Eligibility(min_income_factor=1.0), contact=Contact(cap=9))
    found = remedied(engine, bank, strict, wish=Wish(product="all"))
    told = found.measured.remedy
    assert told is not None
    assert found.policy is None
    assert not told.reached
    assert "opens at eligibility (eligibility.min_income" in " ".join(told.sentences)


def test_without_a_disparity_nothing_changes(world: Path, engine: Engine, tmp_path: Path) -> None:
    bank = with_gender(world, tmp_path / "bank", chance_of_f=np.full(1000, 0.5))
    found = remedied(engine, bank, OPEN, wish=Wish(product="all"))
    assert found.policy is None
    assert found.measured.remedy is not None
    assert "nothing is changed" in found.measured.remedy.sentences[0]


def test_all_offers_may_be_remedied(at_ranking: tuple[Bank, Remedied], favoured: Place, engine: Engine) -> None:
    few = OPEN.model_copy(update={"arbitration": Arbitration(top_n=1)})
    found = remedied(engine, at_ranking[0], few, wish=Wish("offered", favoured.product, customers=600))
    told = found.measured.remedy
    assert told is not None
    assert told.reached == (found.policy is not None)
    assert told.reached, told.sentences


def test_what_is_not_there_is_told(world: Path, engine: Engine) -> None:
    with pytest.raises(NextOfferError, match="no product or product type 'Gould'"):
        remedied(engine, Bank.read(world), OPEN, options=Options(), wish=Wish(product="Gould"))
