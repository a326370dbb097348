"""One bank and one engine for all tests of the room."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextoffer.policy.decide import Decided
from nextoffer.run.engine import Engine
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, RATES, QuickRanker, reference_world, retail_world, small_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reference_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def bank(world: Path) -> Bank:
    return Bank.read(world)


@pytest.fixture(scope="session")
def engine(bank: Bank) -> Engine:
    return Engine.fit(bank, as_of=AS_OF, ranker=QuickRanker())


@pytest.fixture(scope="session")
def decided(engine: Engine, bank: Bank) -> Decided:
    return engine.recommend(bank)


@pytest.fixture(scope="session")
def retail_bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return Bank.read(retail_world(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="session")
def retail_engine(retail_bank: Bank) -> Engine:
    return Engine.fit(retail_bank, as_of=AS_OF, ranker=RATES)
