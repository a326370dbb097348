"""The benchmark of rules in small: it measures what it says, and its contenders stop the same pairs."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.scripts import loaded


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return loaded("rules")


def test_every_rule_stops_some_pairs_and_no_rule_all(benchmark: ModuleType) -> None:
    batch = benchmark.batch_of(benchmark.bank(2_000), benchmark.shelf())
    names = {said.rule.name for said in benchmark.RULES}
    own = [rule for rule in benchmark.book(*(said.rule for said in benchmark.RULES)).rules if rule.name in names]
    assert len(own) == len(benchmark.RULES)
    for rule in own:
        assert 0 < rule.stops(batch).mean() < 1, rule.name


def test_a_run_in_small(benchmark: ModuleType) -> None:
    result = {
        "rules": len(benchmark.RULES),
        "products": 24,
        "nextoffer": {"2000": benchmark.ours(2_000)},
        "one customer": benchmark.one_by_one(20),
        "zen-engine": {"skipped": "not here"},
    }
    assert "zen-engine: skipped (not here)" in benchmark.table(result)


def test_the_peer_stops_the_same_pairs(benchmark: ModuleType) -> None:
    pytest.importorskip("zen", reason="zen-engine is not installed")
    found = benchmark.zen_engine(50)
    assert [each["same"] for each in found.values()] == [True, True]
