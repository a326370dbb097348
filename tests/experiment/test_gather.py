"""From tables to sums: what is left out is told, what is wrong is an error that names it."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.errors import ExperimentError
from nextoffer.experiment.gather import UNPLANNED, check_assignment, gather_table
from tests.experiment.toys import experiment

START = date(2026, 3, 1)
VALUE = '[[metric]]\nname = "spend"\nkind = "value"\ncovariates = ["before"]\n'
BOTH = '[[metric]]\nname = "accepted"\n' + VALUE


def results(n: int = 2000, *, seed: int = 7) -> pa.Table:
    draw = np.random.default_rng(seed)
    return pa.table(
        {
            "customer_id": np.arange(n),
            "arm": np.array(["old", "new"])[draw.integers(0, 2, n)],
            "assigned_on": pa.array([START + timedelta(days=int(d)) for d in draw.integers(0, 10, n)]),
            "accepted": draw.random(n) < 0.2,
            "spend": draw.gamma(1.0, 50.0, n),
            "before": draw.gamma(1.0, 40.0, n),
        }
    )


def test_sums_are_those_of_the_rows_day_by_day() -> None:
    table = results()
    found = gather_table(table, experiment(metrics=BOTH))
    assert len(found.days) == 10
    assert found.shares[-1] == 1.0
    for day in (0, 4, 9):
        rows = [r for r in table.to_pylist() if r["assigned_on"] <= found.days[day] and r["arm"] == "new"]
        sums = found.sums["spend"].at(day)
        values = np.array([[r["spend"], r["before"]] for r in rows])
        assert sums.n[1] == len(rows)
        assert sums.means()[1] + sums.centre == pytest.approx(values.mean(axis=0))
        assert sums.scatter()[1] == pytest.approx(np.cov(values.T) * (len(rows) - 1))
        assert found.sums["accepted"].at(day).successes()[1] == sum(r["accepted"] for r in rows)


def test_the_order_of_rows_does_not_matter() -> None:
    table = results()
    mixed = table.take(pa.array(np.random.default_rng(1).permutation(len(table))))
    one, other = (gather_table(t, experiment(metrics=BOTH)).sums["spend"].at(-1) for t in (table, mixed))
    assert one.products == pytest.approx(other.products, rel=1e-12)


def test_an_assignment_says_who_is_in_which_arm_and_since_when() -> None:
    table = results()
    arms = table.select(["customer_id", "arm", "assigned_on"]).slice(0, 1500)
    known = check_assignment(arms, experiment(), "a")
    found = gather_table(table.drop_columns(["arm", "assigned_on"]), experiment(metrics=BOTH), assignment=known)
    assert sum(found.counts) == 1500
    assert len(found.days) == 10
    assert found.notes[0] == "500 customers are not in the assignment, and are left out."


def test_assigned_customers_without_a_row_are_told_by_arm() -> None:
    table = results()
    known = check_assignment(table.select(["customer_id", "arm"]), experiment(), "a")
    lost = table.slice(0, 3)["arm"].to_pylist()
    found = gather_table(table.slice(3).drop_columns(["arm"]), experiment(), assignment=known)
    each = ", ".join(f"{arm} {lost.count(arm)}" for arm in ("new", "old") if arm in lost)
    assert f"3 assigned customers have no row in the table ({each})." in found.notes


def test_days_outside_of_the_test_are_left_out_and_told() -> None:
    table = results()
    test = experiment(metrics=BOTH, top="per_day = 200\n").model_copy(
        update={"starts": date(2026, 3, 3), "ends": date(2026, 3, 8)}
    )
    found = gather_table(table, test)
    days = table["assigned_on"].to_pylist()
    early, late = sum(d < date(2026, 3, 3) for d in days), sum(d > date(2026, 3, 8) for d in days)
    assert sum(found.counts) == 2000 - early - late
    assert found.notes == (
        f"{early:,} customers came in before the start, 2026-03-03, and are left out.",
        f"{late:,} customers came in after 2026-03-08, and are left out.",
    )
    until = gather_table(table, test, until=date(2026, 3, 5))
    assert until.days[-1] == date(2026, 3, 5)


def test_what_is_not_known_is_left_out_of_the_metric_and_told_by_arm() -> None:
    table = results(100)
    spend = [None, float("nan"), float("inf"), *table["spend"].to_pylist()[3:]]
    before = [*table["before"].to_pylist()[:-1], None]
    table = table.set_column(4, "spend", pa.array(spend)).set_column(5, "before", pa.array(before))
    found = gather_table(table, experiment(metrics=BOTH))
    assert found.sums["accepted"].at(-1).n.sum() == 100
    assert found.sums["spend"].at(-1).n.sum() == 97
    assert "spend is not known of 3 customers (" in found.notes[1]


def test_without_days_there_is_one_look() -> None:
    found = gather_table(results().drop_columns(["assigned_on"]), experiment(metrics=BOTH))
    assert len(found.days) == 1
    assert not found.dated


def test_a_planned_number_says_how_much_is_in() -> None:
    assert gather_table(results(), experiment(top="customers = 4000\n")).shares[-1] == 0.5
    assert gather_table(results(), experiment(top="per_day = 250\n")).shares[-1] == 2000 / (250 * 28)


def test_who_looks_every_day_without_a_plan_is_told() -> None:
    assert UNPLANNED in gather_table(results(), experiment()).notes
    assert UNPLANNED not in gather_table(results(), experiment(top="customers = 4000\n")).notes
    assert UNPLANNED not in gather_table(results(), experiment(top='interval = "fixed"\n')).notes


def _changed(name: str, values: list[object]) -> pa.Table:
    table = results(4)
    return table.set_column(table.column_names.index(name), name, pa.array(values))


WRONG = {
    "two arms": (_changed("customer_id", [1, 1, 2, 3]).set_column(1, "arm", pa.array(["old", "new", "new", "old"])),
                 "1 customers stand there with more than one arm: 1"),
    "twice": (_changed("customer_id", [1, 1, 2, 3]).set_column(1, "arm", pa.array(["old", "old", "new", "old"])),
              "1 customers stand there more than once: 1"),
    "arm": (_changed("arm", ["old", "nw", "new", None]), "1 customers in arm 'nw' (did you mean 'new'?)"),
    "conversion": (_changed("accepted", [0, 1, 2, 1]), "conversion 'accepted' must be 0 or 1; found 2"),
    "text": (_changed("spend", ["a", "b", "c", "d"]), "column 'spend' is string; it must hold numbers"),
    "column": (results(4).rename_columns(["customer_id", "arm", "on", "accepted", "spnd", "before"]),
               "no column 'spend' (did you mean 'spnd'?)"),
    "no arm": (results(4).drop_columns(["arm"]), "without a column arm an assignment is needed"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_tables(case: str) -> None:
    table, message = WRONG[case]
    with pytest.raises(ExperimentError, match=r"the table|without") as error:
        gather_table(table, experiment(metrics=BOTH))
    assert message in str(error.value)


def test_wrong_assignments() -> None:
    given = pa.table(
        {
            "customer_id": [1, 1, 2, 3],
            "arm": ["old", "new", "old", "other"],
            "experiment": ["cards", "cards", "cards", "x"],
        }
    )
    with pytest.raises(ExperimentError, match="more than one arm: 1") as error:
        check_assignment(given, experiment(), "a.parquet")
    told = error.value.problems
    assert "a.parquet: it is the assignment of experiment 'x', not of 'cards'" in told
    assert any("1 customers in arm 'other'" in line for line in told)
    with pytest.raises(ExperimentError, match=r"a\.csv: no column 'arm'"):
        check_assignment(pa.table({"customer_id": [1]}), experiment(), "a.csv")
