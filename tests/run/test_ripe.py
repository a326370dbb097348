"""Young offers, which many who will say yes have not answered yet, are no refusals."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np

from nextoffer.features import discover
from nextoffer.run.labels import Sample, labelled, learned_from
from nextoffer.run.ripe import answered_by, ripe_before
from nextoffer.tables.bank import Bank
from tests.features.banks import Rows, bank_of

TODAY = date(2025, 7, 1)
CUSTOMERS = 300
CHANCE = 0.5


def bank_with(folder: Path, ages: tuple[int, ...], *, slowest: int, dated: bool = True) -> Bank:
    """A bank that offered everybody the card so many days ago; half accept, within 0 to `slowest` days."""
    draw = np.random.default_rng(5)
    offers: Rows = []
    for age in ages:
        day = TODAY - timedelta(days=age)
        for customer in range(CUSTOMERS):
            yes = draw.random() < CHANCE
            answered = day + timedelta(days=int(draw.integers(slowest + 1)))
            offers.append((customer, "A", day, int(yes), answered if yes and dated else None))
    people: Rows = [(i, 30.0, 50.0, "Mass", 1.0, None, None, True) for i in range(CUSTOMERS)]
    goods: Rows = [("A", "card", None)]
    return bank_of(folder, {"customers": people, "products": goods, "holdings": [], "responses": offers})


def test_delays_of_young_offers_are_seen_only_where_short_and_yet_their_distribution_is_found() -> None:
    draw = np.random.default_rng(3)
    ages, delays = draw.integers(1, 25, 20_000), draw.integers(0, 20, 20_000)
    seen = delays < ages
    found = answered_by(delays[seen], ages[seen], np.ones(seen.sum()))
    truth = np.arange(1, 21) / 20
    assert np.abs(found - truth).max() < 0.02
    naive = np.array([(delays[seen] <= t).mean() for t in range(20)])
    assert np.abs(naive - truth).max() > 0.1


def test_offers_teach_from_the_age_by_which_four_in_five_yeses_have_come(tmp_path: Path) -> None:
    bank = bank_with(tmp_path, (60, 50, 40, 8, 2), slowest=9)
    assert ripe_before(bank, TODAY, "true") == TODAY - timedelta(days=7)  # eight days old: delays of 0 to 7, 80 %
    found = labelled(bank, discover(bank, TODAY), TODAY, seed=7)
    assert found.ripe_before == TODAY - timedelta(days=7)
    assert [str(TODAY - day) for day in found.days] == [f"{age} days, 0:00:00" for age in (60, 50, 40, 8)]
    told = learned_from(Sample.of(bank, seed=7), found)
    assert told["offers_before"] == "2025-06-24"


def test_nothing_is_left_out_where_answers_come_at_once_or_have_no_date(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for bank in (
        bank_with(tmp_path / "a", (30, 1), slowest=0),
        bank_with(tmp_path / "b", (30, 1), slowest=20, dated=False),
    ):
        assert ripe_before(bank, TODAY, "true") == TODAY
        found = labelled(bank, discover(bank, TODAY), TODAY, seed=7)
        assert found.ripe_before is None
        assert len(found.training) == 2 * CUSTOMERS
        assert "offers_before" not in learned_from(Sample.of(bank, seed=7), found)


def test_young_offers_teach_where_there_is_little_else(tmp_path: Path) -> None:
    few = bank_of(
        tmp_path,
        {
            "customers": [(i, 30.0, 50.0, "Mass", 1.0, None, None, True) for i in range(CUSTOMERS)],
            "products": [("A", "card", None)],
            "holdings": [],
            "responses": [
                (
                    i,
                    "A",
                    TODAY - timedelta(days=60 if i < 40 else 15),
                    1,
                    TODAY - timedelta(days=60 - i if i < 40 else 1),
                )
                for i in range(CUSTOMERS)
            ],
        },
    )
    assert ripe_before(few, TODAY, "true") == TODAY
