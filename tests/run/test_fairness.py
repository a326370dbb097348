"""What is measured is what the engine decides, for each group; sensitive columns change nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from nextoffer.errors import BankError
from nextoffer.evaluate.fairness import EXPOSURE, OPPORTUNITY, SELECTION, Judging
from nextoffer.evaluate.funnel import STEPS
from nextoffer.run.engine import Engine
from nextoffer.run.fairness import Measured, Options, measured
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, DAY, altered, stored, with_column


@pytest.fixture(scope="module")
def found(retail_engine: Engine, retail_bank: Bank) -> Measured:
    return measured(retail_engine, retail_bank)


def test_rates_are_those_of_the_decisions(found: Measured, retail_engine: Engine, retail_bank: Bank) -> None:
    decided = retail_engine.recommend(retail_bank)
    customers = retail_bank.table("customers")
    gender = dict(zip(customers.column(0).to_pylist(), customers.column("gender").to_pylist(), strict=True))
    offers = decided.decisions.to_pylist()
    (groups,) = found.fairness.columns
    product = max({row["product_id"] for row in offers}, key=lambda p: sum(row["product_id"] == p for row in offers))
    table = retail_bank.table("products")
    names = dict(zip(table.column("product_id").to_pylist(), table.column("name").to_pylist(), strict=True))
    scope = groups.scopes.names.index(names[product])
    for group in groups.there:
        mine = [row for row in offers if gender[row["customer_id"]] == groups.names[group]]
        size = sum(value == groups.names[group] for value in gender.values())
        assert groups.size(group) == size
        assert groups.selection(0, "offered", group).total == len({row["customer_id"] for row in mine})
        its = [row for row in mine if row["product_id"] == product]
        assert groups.selection(scope, "offered", group).total == len(its)
        assert groups.selection(scope, "rank1", group).total == sum(row["rank"] == 1 for row in its)
        shown = sum(1 / np.log2(1 + row["rank"]) for row in its) / size
        assert groups.exposure(scope, group).estimate == pytest.approx(shown)
    refused = [
        r for r in decided.refusals.to_pylist() if r["product_id"] == product and r["rule"] == "eligibility.held"
    ]
    rule = groups.rules.index("eligibility.held")
    assert groups.funnel.stopped[rule][groups.scopes.member[:, scope]].sum() == len(refused)


def test_worth_is_that_of_the_decisions(found: Measured, retail_engine: Engine, retail_bank: Bank) -> None:
    offers = retail_engine.recommend(retail_bank).decisions
    worth = offers.column("expected_value")
    assert found.worth[0, 1, 0] == pytest.approx(pc.sum(worth).as_py())
    assert found.worth[0, 0, 0] == pytest.approx(pc.sum(worth.filter(pc.equal(offers.column("rank"), 1))).as_py())


def test_chunks_change_nothing(found: Measured, retail_engine: Engine, retail_bank: Bank) -> None:
    parts = measured(retail_engine, retail_bank, options=Options(chunk=35))
    for name, table in found.fairness.tables.items():
        again = parts.fairness.tables[name]
        assert again.drop_columns(["estimate", "low", "high"]) == table.drop_columns(["estimate", "low", "high"])
        for column in ("estimate", "low", "high"):
            one, other = (t.column(column).fill_null(-1.0).to_numpy() for t in (table, again))
            np.testing.assert_allclose(other, one, err_msg=f"{name}.{column}")


def test_later_answers_tell_opportunity_and_calibration(retail_engine: Engine, retail_bank: Bank) -> None:
    early = measured(retail_engine, retail_bank, options=Options(as_of=AS_OF - 120 * DAY))
    responses = stored(retail_bank.path, "responses")
    later = responses.filter(pc.greater_equal(responses.column("offered_on"), AS_OF - 120 * DAY))
    made = later.filter(pc.not_equal(pc.fill_null(later.column("arm"), ""), "control"))
    assert early.about.later_offers == made.num_rows > 0
    assert early.about.later_acceptances == pc.sum(pc.equal(made.column("label"), 1)).as_py() > 0
    measures = set(early.fairness.tables["rates"].column("measure").to_pylist())
    assert {SELECTION, EXPOSURE, OPPORTUNITY} <= measures
    assert early.fairness.tables["calibration"].num_rows == 6


def test_no_later_answers_are_told(retail_engine: Engine, retail_bank: Bank, tmp_path: Path) -> None:
    responses = stored(retail_bank.path, "responses")
    earlier = responses.filter(pc.less(responses.column("offered_on"), AS_OF))
    bank = altered(retail_bank.path, tmp_path / "bank", {"responses": earlier})
    bare = measured(retail_engine, bank)
    assert bare.about.later_offers == 0
    assert bare.fairness.tables["calibration"].num_rows == 0


def test_a_sensitive_column_changes_no_decision(retail_engine: Engine, retail_bank: Bank, tmp_path: Path) -> None:
    customers = stored(retail_bank.path, "customers")
    one = with_column(customers, "gender", [None if i % 3 else "x" for i in range(customers.num_rows)])
    bank = altered(retail_bank.path, tmp_path / "bank", {"customers": one})
    found = measured(retail_engine, bank)
    assert found.fairness.columns[0].names == ("x", "not known")
    assert retail_engine.recommend(bank).decisions.equals(retail_engine.recommend(retail_bank).decisions)


def test_files_and_figures(found: Measured, tmp_path: Path) -> None:
    names = found.write(tmp_path)
    assert set(names) == {path.name for path in tmp_path.iterdir()}
    told = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert {row["step"] for row in told["tables"]["rates"] if row["measure"] == SELECTION} == set(STEPS[1:])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "fairness report" in page
    assert "http" not in page


def test_an_unknown_reference_is_told(retail_engine: Engine, retail_bank: Bank) -> None:
    with pytest.raises(BankError, match="no group 'mael' to compare with"):
        measured(retail_engine, retail_bank, options=Options(judging=Judging(reference="mael")))
