"""``nextoffer explain``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextoffer.policy.decide import Decided
from nextoffer.run.engine import Engine
from nextoffer.tables.bank import Bank
from tests.cli.conftest import Command
from tests.run.worlds import PRODUCTS, of_customer

CUSTOMER = 17


@pytest.fixture(scope="module")
def decided(world: Path, model: Path) -> Decided:
    return Engine.load(model).recommend(Bank.read(world), [CUSTOMER])


def test_offers_and_refusals_of_a_customer(world: Path, model: Path, nextoffer: Command, decided: Decided) -> None:
    ran = nextoffer("explain", world, CUSTOMER, "--model", model)
    assert ran.code == 0
    heads = [line for line in ran.out.splitlines() if not line.startswith(" ")]
    assert len(heads) == PRODUCTS
    for offer in decided.decisions.to_pylist():
        assert f"[{offer['product_id']}]: rank {offer['rank']}, propensity {offer['propensity']:.1%}" in ran.out
    for refusal in decided.refusals.to_pylist():
        assert f"[{refusal['product_id']}]: not offered ({refusal['stage']}: {refusal['rule']})" in ran.out


def test_an_offered_product_in_detail(world: Path, model: Path, nextoffer: Command, decided: Decided) -> None:
    best = decided.decisions.to_pylist()[0]
    ran = nextoffer("explain", world, CUSTOMER, best["product_id"], "--model", model)
    assert ran.code == 0
    assert f"[{best['product_id']}]: rank 1" in ran.out
    assert [line[4:] for line in ran.out.splitlines() if line.startswith("  + ")] == best["reasons"]
    assert "Log-odds against the average customer for this product:" in ran.out


def test_a_refused_product_says_what_would_have_to_change(
    world: Path, model: Path, nextoffer: Command, decided: Decided
) -> None:
    refused = next(r for r in decided.refusals.to_pylist() if r["stage"] == "eligibility")
    ran = nextoffer("explain", world, CUSTOMER, refused["product_id"], "--model", model)
    assert ran.code == 0
    assert f"not offered (eligibility: {refused['rule']})" in ran.out
    assert "  ! " in ran.out


def test_json_says_the_same(world: Path, model: Path, nextoffer: Command, decided: Decided) -> None:
    told = json.loads(nextoffer("explain", world, CUSTOMER, "--model", model, "--json").out)
    assert {(e["product_id"], e["rule"]) for e in told if e["rank"] is None} == {
        (r["product_id"], r["rule"]) for r in of_customer(decided.refusals, CUSTOMER).to_pylist()
    }
    assert [e["reasons"] for e in told if e["rank"]] == decided.decisions.column("reasons").to_pylist()


@pytest.mark.parametrize(
    ("who", "message"),
    [
        (("987654",), "error: 1 customers are not in the bank: 987654"),
        (("Smith",), "error: no customer 'Smith': this bank's customer ids are whole numbers"),
        ((CUSTOMER, "99"), "error: no product '99'"),
    ],
)
def test_who_or_what_is_not_there_ends_with_2(
    world: Path, model: Path, nextoffer: Command, who: tuple[object, ...], message: str
) -> None:
    assert nextoffer("explain", world, *who, "--model", model).failed(2, message)
