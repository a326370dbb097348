"""A batch is gone as soon as nobody holds it, whatever was worked out for it: chunks of a stream must not pile up."""

from __future__ import annotations

import gc
import weakref

import pytest

from nextoffer.policy.book import Book
from nextoffer.policy.file import Arbitration, Policy
from nextoffer.policy.loosening import loosening
from nextoffer.policy.ranking import ranked
from nextoffer.policy.rules import OwnRule
from nextoffer.policy.worth import worth_of
from tests.policy.worlds import world

GROWN = OwnRule(id="grown", stage="suitability", text="Grown", require="age >= 18")
POLICIES = {
    "rules": Policy(rule=(GROWN,)),
    "value": Policy(arbitration=Arbitration(objective="value")),
}


@pytest.mark.parametrize("name", POLICIES)
def test_nothing_that_was_worked_out_holds_it(name: str) -> None:
    batch, book = world(3, n=30), Book(POLICIES[name])
    gc.disable()
    try:
        ranking = ranked(batch, book, 7)
        worth_of(batch, ranking)
        loosening(batch, ranking)
        seen = weakref.ref(batch)
        del batch, ranking
        assert seen() is None
    finally:
        gc.enable()
