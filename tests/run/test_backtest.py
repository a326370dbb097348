"""The time-split backtest: who meets whom on which pairs, with the truth where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nextoffer.errors import BankError, ModelError
from nextoffer.models.baselines import BASELINES
from nextoffer.policy.decide import Decided
from nextoffer.policy.file import Policy
from nextoffer.run import engine as engine_module
from nextoffer.run.backtest import (
    BASELINE,
    CHALLENGER,
    CHAMPION,
    Evaluation,
    Options,
    evaluate,
    read_truth,
    time_split,
)
from nextoffer.run.engine import Engine
from nextoffer.run.report import offers_by_product, strongest_shapes
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import REPORT
from tests.features.banks import Rows, bank_of
from tests.run.worlds import AS_OF, DAY, RATES, QuickRanker, altered, dated_holdings, stored

CEILINGS = {"noiseless ceiling", "oracle"}
QUICK = Options(challenger=False, resamples=50)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(engine_module.RANKERS, CHAMPION, QuickRanker)  # type: ignore[arg-type]
        yield


@pytest.fixture(scope="module")
def found(bank: Bank) -> Evaluation:
    return evaluate(bank, Policy(), options=Options(by=("segment",), resamples=50))


def models(report: pa.Table, split: str) -> set[str]:
    return set(report.filter(pc.equal(report.column("split"), split)).column("model").to_pylist())


def test_every_model_is_judged_on_both_kinds_of_pairs(found: Evaluation) -> None:
    report = found.found.report
    everyone = {CHAMPION, CHALLENGER, *BASELINES} | CEILINGS
    assert report.schema == REPORT
    assert set(report.column("split").to_pylist()) == {"eligible pairs", "offers made"}
    assert models(report, "eligible pairs") == everyone
    assert models(report, "offers made") == everyone - CEILINGS
    assert set(found.contenders) == everyone - CEILINGS


def test_every_figure_has_its_interval_and_its_number(found: Evaluation) -> None:
    rows = found.found.report.to_pylist()
    assert all(row["low"] <= row["high"] for row in rows if np.isfinite(row["low"]))
    assert all(row["n"] > 0 for row in rows)
    headline = [row for row in rows if row["metric"] in ("ndcg@5", "auc", "log_loss") and row["group"] == "all"]
    assert {(row["metric"], row["model"]) for row in headline} >= {("ndcg@5", BASELINE), ("auc", BASELINE)}
    assert all(row["low"] <= row["estimate"] <= row["high"] for row in headline)


def test_where_the_truth_is_known_the_share_of_the_achievable_is_told(found: Evaluation) -> None:
    report = found.found.report
    shares = report.filter(pc.match_substring(report.column("metric"), "share of achievable"))
    assert set(shares.column("model").to_pylist()) >= {CHAMPION, CHALLENGER, "popularity"}
    assert not set(shares.column("model").to_pylist()) & {*CEILINGS, BASELINE}
    tops = {
        row["model"]: row["estimate"]
        for row in report.to_pylist()
        if row["metric"] == "top_response" and row["group"] == "all"
    }
    assert max(tops, key=lambda model: tops[model]) == "oracle"


def test_groups_are_judged_on_their_own(found: Evaluation, bank: Bank) -> None:
    segments = set(bank.table("customers").column("segment").to_pylist())
    groups = set(found.found.report.column("group").to_pylist())
    assert groups == {"all"} | {f"segment={s}" for s in segments}


def test_the_split_is_the_first_day_of_the_last_third(found: Evaluation) -> None:
    assert found.split == AS_OF == found.engine.as_of


def test_the_judged_engine_is_the_one_that_fit_would_have_made(found: Evaluation, engine: Engine) -> None:
    assert found.engine.model_id == engine.model_id


def test_only_eligible_pairs_are_ranked_and_accepted_ones_are_the_later_ones(
    found: Evaluation, bank: Bank, decided: Decided
) -> None:
    eligible = found.eligible
    pairs = set(zip(eligible.column("customer_id").to_pylist(), eligible.column("product_id").to_pylist(), strict=True))
    ineligible = pc.is_in(decided.refusals.column("stage"), value_set=pa.array(["eligibility", "consent"]))
    blocked = decided.refusals.filter(ineligible)
    assert len(pairs) == eligible.num_rows == decided.decisions.num_rows + decided.refusals.num_rows - blocked.num_rows
    said = bank.connect().sql(
        "select distinct customer_id, product_id from responses where label = 1 and offered_on >= $day",
        params={"day": AS_OF},
    )
    accepted = eligible.filter(pc.equal(eligible.column("label"), 1.0)).select(["customer_id", "product_id"])
    later = pairs & set(said.fetchall())
    assert set(zip(*(column.to_pylist() for column in accepted.columns), strict=True)) == later
    assert accepted.num_rows == len(later) > 0


def test_the_report_counts_every_customer_once_per_product(found: Evaluation, decided: Decided) -> None:
    offers = offers_by_product(found, decided)
    counted = [product.offered + sum(product.refused.values()) for product in offers.products]
    assert counted == [len(found.batch.features)] * len(found.batch.product_names)


def test_shapes_name_what_they_are_of(found: Evaluation) -> None:
    assert isinstance(found.engine.ranker, QuickRanker)
    assert found.engine.ranker.card_ is not None
    shapes = strongest_shapes(found, found.engine.ranker.card_)
    spreads = [float(np.std(shape.contributions)) for shape in shapes]
    assert 0 < len(shapes) <= 6
    assert spreads == sorted(spreads, reverse=True)
    assert all(" → " in shape.label for shape in shapes)


def test_without_truth_there_is_no_ceiling(small: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    bank = altered(small, tmp_path / "bank", {"truth": None, "evaluation": None})
    report = evaluate(bank, Policy(), options=QUICK, step=steps.append).found.report
    assert models(report, "eligible pairs") == {CHAMPION, *BASELINES}
    assert not [m for m in report.column("metric").to_pylist() if "achievable" in m or m == "top_response"]
    assert steps == [f"Features as of {AS_OF}", f"Fitting {CHAMPION}", "Scoring and judging"]


def test_a_bank_with_text_ids_and_treatment_effects(retail_bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nextoffer.run.backtest.ranker_named", lambda *_: RATES)
    found = evaluate(retail_bank, Policy(), options=Options(date(2025, 9, 1), challenger=False, resamples=20))
    assert models(found.found.report, "eligible pairs") == {CHAMPION, *BASELINES} | CEILINGS
    assert found.eligible.column("response").null_count == 0


def test_adoptions_are_judged_by_adoptions(small: Path, tmp_path: Path) -> None:
    holdings = dated_holdings(small)
    opened = holdings.column("opened_on").to_pylist()
    found = evaluate(
        altered(small, tmp_path / "bank", {"responses": None, "holdings": holdings}), Policy(), options=QUICK
    )
    assert found.engine.details["labels"] == "adoptions"
    assert found.split == max(opened) - timedelta(days=30)
    adopted = pc.sum(found.eligible.column("label")).as_py()
    assert 0 < adopted <= sum(day > found.split for day in opened)
    assert set(found.found.report.column("split").to_pylist()) == {"eligible pairs", "offers made"}


def test_a_column_that_is_not_there_is_told_before_anything_is_fitted(bank: Bank) -> None:
    steps: list[str] = []
    with pytest.raises(BankError, match=r"cannot judge by 'segmnt' \(did you mean 'segment'\?\)") as caught:
        evaluate(bank, Policy(), options=Options(by=("segmnt", "zodiac")), step=steps.append)
    assert len(caught.value.problems) == 2
    assert not [step for step in steps if step.startswith("Fitting")]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (date(2025, 9, 1), "nothing to learn from before 2025-09-01"),
        (date(2026, 1, 1), "nothing to judge by: no acceptance on or after 2026-01-01"),
    ],
)
def test_a_split_needs_something_on_either_side(small: Path, split: date, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        evaluate(Bank.read(small), Policy(), options=Options(split, challenger=False))


def on(*offered: date) -> Rows:
    return [(1, "A", day, 1, None) for day in offered]


FIRST = date(2025, 1, 1)
SPLITS: dict[str, tuple[dict[str, Rows], date]] = {
    "two days": ({"responses": on(FIRST, FIRST + DAY)}, FIRST + DAY),
    "three days": ({"responses": on(*(FIRST + k * DAY for k in range(3)))}, FIRST + 2 * DAY),
    "six days": ({"responses": on(*(FIRST + k * DAY for k in range(6)))}, FIRST + 4 * DAY),
    "days count, not offers": ({"responses": on(*[FIRST] * 9, FIRST + DAY, FIRST + 2 * DAY)}, FIRST + 2 * DAY),
    "openings": ({"holdings": [(1, "A", FIRST, None), (2, "A", FIRST - DAY, None)]}, FIRST - timedelta(days=30)),
    "one day, and openings": (
        {"responses": on(FIRST), "holdings": [(1, "A", FIRST, None)]},
        FIRST - timedelta(days=30),
    ),
}


@pytest.mark.parametrize("case", SPLITS)
def test_time_split(tmp_path: Path, case: str) -> None:
    changes, expected = SPLITS[case]
    assert time_split(toy(tmp_path, changes)) == expected


def test_time_split_needs_dates(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a backtest needs offers on two days or more"):
        time_split(toy(tmp_path, {"responses": on(FIRST)}))


def toy(folder: Path, changes: dict[str, Rows]) -> Bank:
    people: Rows = [(i, 30.0, 50.0, "Mass", 1.0, None, None, True) for i in (1, 2)]
    return bank_of(folder, {"customers": people, "products": [("A", "card", None)], "holdings": [], **changes})


def test_truth_is_that_of_one_contact(small: Path, tmp_path: Path) -> None:
    truth = read_truth(small)
    stored_truth = stored(small, "truth")
    assert truth is not None
    assert truth.column_names == ["customer_id", "product_id", "response", "noiseless"]
    expected = 0.25 / (1 + np.exp(-stored_truth.column("true_score").to_numpy()))
    assert truth.column("response").to_numpy() == pytest.approx(expected)
    assert read_truth(small / "bank.toml") is not None
    assert read_truth(tmp_path) is None
    pq.write_table(stored_truth.select(["customer_id", "product_id"]), tmp_path / "truth.parquet")
    assert read_truth(tmp_path) is None
