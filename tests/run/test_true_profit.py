"""Where the truth is known, ranking by value earns more than ranking by propensity."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from nextoffer.evaluate.policy_words import Figures, summary
from nextoffer.models.natural import Natural
from nextoffer.policy.file import Arbitration, Policy
from nextoffer.run.engine import Engine
from nextoffer.run.what_if import WhatIf, what_if
from nextoffer.simulate import retail
from nextoffer.tables.bank import Bank
from tests.run.worlds import QuickRanker

AS_OF, CUSTOMERS = date(2025, 10, 1), 2500


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return Bank.read(retail.generate(Path(tmp_path_factory.mktemp("profit")) / "bank", customers=CUSTOMERS, seed=1))


@pytest.fixture(scope="module")
def engine(bank: Bank) -> Engine:
    return Engine.fit(bank, as_of=AS_OF, ranker=QuickRanker())


def policy(objective: str) -> Policy:
    return Policy(arbitration=Arbitration(objective=objective))


def tried(engine: Engine, bank: Bank, objective: str) -> WhatIf:
    return what_if(engine, bank, policy(objective))


@pytest.mark.parametrize("objective", ["value", "incremental_value"])
def test_value_earns_more_than_propensity(engine: Engine, bank: Bank, objective: str) -> None:
    found = tried(engine, bank, objective)
    figures = Figures.of(found.comparison)
    for ranks in ("top", "all"):
        difference = figures.at("profit", "difference", ranks, "true_profit")
        assert difference.low > 0
        assert difference.n == CUSTOMERS
    said = " ".join(summary(figures, found.about))
    assert ("The new policy: arbitration.objective is incremental_value, but" in said) == (objective != "value")
    assert f"the new policy ({objective}) earns" in said
    assert "chance is not ruled out" not in said


def test_propensity_against_itself_earns_nothing_more(engine: Engine, bank: Bank) -> None:
    figures = Figures.of(tried(engine, bank, "propensity").comparison)
    difference = figures.at("profit", "difference", "all", "true_profit")
    assert (difference.estimate, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_it_does_not_matter_which_policy_is_called_the_new_one(engine: Engine, bank: Bank) -> None:
    knowing = replace(engine, natural=Natural(-1.5, 0.4, -2.0))  # what is incremental is told apart
    pair = [policy(objective) for objective in ("value", "incremental_value")]
    there, back = (Figures.of(what_if(knowing, bank, b, old=a).comparison) for a, b in (pair, pair[::-1]))
    for table in ("offers", "refusals", "funnel", "profit"):
        for key, value in there.found[table].items():
            if key[0] != "difference":
                other = ("new" if key[0] == "old" else "old", *key[1:])
                assert back.at(table, *other).estimate == pytest.approx(value.estimate), (table, key)
    assert there.at("offers", "difference", "all", "all", "offers").estimate != 0
