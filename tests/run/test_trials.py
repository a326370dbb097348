"""Trials around a backtest: several days, something left out, fewer customers; all on the same pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextoffer.errors import ModelError
from nextoffer.evaluate.backtest import find
from nextoffer.evaluate.paired import BY_PRODUCT, DIFFERENCES
from nextoffer.keyed import hash64
from nextoffer.models import peers
from nextoffer.policy.file import Policy
from nextoffer.run import engine as engine_module
from nextoffer.run.backtest import CHALLENGER, CHAMPION, Evaluation, Options, evaluate
from nextoffer.run.trials import (
    COLLABORATIVE,
    LEARNING_CURVE,
    NO_AFFINITY,
    NO_COLLABORATIVE,
    POOLED,
    SHARES,
    TABLES,
    Trials,
    Tried,
    origins_of,
    part_of_customers,
    tried,
)
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import REPORT
from tests.run.worlds import AS_OF, QuickRanker, altered, dated_holdings

OPTIONS = Options(challenger=False, resamples=40, also=("ease",))
EVERYTHING = Trials(2, ablations=True, learning_curve=True)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(engine_module.RANKERS, CHAMPION, QuickRanker)  # type: ignore[arg-type]
        yield


@pytest.fixture(scope="module")
def told() -> list[int]:
    return []


@pytest.fixture(scope="module")
def found(bank: Bank, told: list[int]) -> Tried:
    return tried(bank, Policy(), EVERYTHING, options=OPTIONS, done=told.append)


@pytest.fixture(scope="module")
def evaluation(found: Tried) -> Evaluation:
    return found.evaluation


def test_the_fits_announced_are_the_fits_done(found: Tried, told: list[int]) -> None:
    assert sum(told) == EVERYTHING.fits(OPTIONS) == 2 * 3 + 5 + 3
    assert found.notes == ()


def test_nothing_asked_is_the_backtest_alone(bank: Bank) -> None:
    options = Options(challenger=False, resamples=40)
    plain = tried(bank, Policy(), Trials(), options=options)
    assert set(plain.tables) == {"significance", "calibration_by_product"}
    assert plain.evaluation.found.report.equals(evaluate(bank, Policy(), options=options).found.report)
    assert (Trials().asked, Trials().fits(options)) == (False, 1)


def test_the_tables_have_their_schemas(found: Tried) -> None:
    schemas = {
        "significance": DIFFERENCES,
        "calibration_by_product": BY_PRODUCT,
        "origins": REPORT,
        "origins_significance": DIFFERENCES,
        "ablations": DIFFERENCES,
        "learning_curve": LEARNING_CURVE,
        "learning_curve_significance": DIFFERENCES,
    }
    assert {name: table.schema for name, table in found.tables.items()} == schemas
    assert all(table.num_rows for table in found.tables.values())


def test_significance_says_what_the_report_says(found: Tried) -> None:
    report = found.evaluation.found.report
    rows = [r for r in found.tables["significance"].to_pylist() if r["metric"] in ("ndcg@5", "auc")]
    assert {r["against"] for r in rows} >= {"ease", "popularity", "heuristic"}
    for row in rows:
        mine, theirs = (find(report, row["metric"], m).estimate for m in (CHAMPION, row["against"]))
        assert row["estimate"] == pytest.approx(mine - theirs)
        assert row["low"] <= row["high"]
        assert row["p"] <= row["p_holm"] <= 1
    gap = find(report, "ndcg@5 minus heuristic", CHAMPION)
    mine = next(r for r in rows if (r["metric"], r["against"]) == ("ndcg@5", "heuristic"))
    assert (mine["low"], mine["high"]) == pytest.approx((gap.low, gap.high))


def test_each_origin_is_judged_until_the_next_one(found: Tried, bank: Bank) -> None:
    days = origins_of(bank, 2)
    rows = found.tables["origins"]
    assert list(dict.fromkeys(rows.column("split").to_pylist())) == [*map(str, days), POOLED]
    alone = evaluate(bank, Policy(), options=replace(OPTIONS, split=days[0], until=days[1]))
    for model in (CHAMPION, "ease", "popularity"):
        for metric in ("ndcg@5", "map@5", "auc"):
            expected = find(alone.found.report, metric, model).estimate
            assert find(rows, metric, model, split=str(days[0])).estimate == pytest.approx(expected)


def test_pooled_figures_are_means_over_lists_with_customers_resampled(found: Tried, bank: Bank) -> None:
    rows = found.tables["origins"]
    each = [find(rows, "ndcg@5", CHAMPION, split=str(day)) for day in origins_of(bank, 2)]
    pooled = find(rows, "ndcg@5", CHAMPION, split=POOLED)
    assert pooled.n == each[0].n == each[1].n
    assert pooled.estimate == pytest.approx(np.mean([e.estimate for e in each]))


def test_what_comes_after_the_next_origin_changes_no_figure_of_a_day(small: Path, tmp_path: Path) -> None:
    days = origins_of(Bank.read(small), 2)
    options = replace(OPTIONS, split=days[0], until=days[1], also=())
    before = evaluate(Bank.read(small), Policy(), options=options).found.report
    responses = pq.read_table(small / "responses.parquet")
    early = responses.filter(pa.array([d < days[1] for d in responses.column("offered_on").to_pylist()]))
    cut = altered(small, tmp_path / "bank", {"responses": early})
    assert evaluate(cut, Policy(), options=options).found.report.equals(before)


def test_every_ablation_is_compared_with_the_champion(found: Tried) -> None:
    rows = found.tables["ablations"].to_pylist()
    assert {r["model"] for r in rows} == {*TABLES, NO_COLLABORATIVE, NO_AFFINITY, CHALLENGER}
    assert {r["against"] for r in rows} == {CHAMPION}
    gap = {r["model"]: r["estimate"] for r in rows if r["metric"] == "auc"}
    assert gap[NO_AFFINITY] != 0  # the quick ranker is an affinity and nothing else


def test_pair_features_left_out_are_not_there(evaluation: Evaluation) -> None:
    training = evaluation.learned.training
    bare = replace(training, without=COLLABORATIVE)
    assert set(training.pair_values) - set(bare.pair_values) == COLLABORATIVE
    assert bare.take(bare.labels > 0).without == COLLABORATIVE


def test_the_learning_curve_ends_at_the_champion(found: Tried) -> None:
    rows = [r for r in found.tables["learning_curve"].to_pylist() if r["metric"] == "ndcg@5"]
    assert [r["share"] for r in sorted(rows, key=lambda r: r["share"])] == [*SHARES, 1.0]
    assert len({r["n"] for r in rows}) == 1  # the same customers judge
    whole = next(r for r in rows if r["share"] == 1.0)
    assert whole["estimate"] == pytest.approx(find(found.evaluation.found.report, "ndcg@5", CHAMPION).estimate)
    assert [r["offers"] for r in rows] == sorted(r["offers"] for r in rows)


def test_parts_of_the_customers_are_nested_and_keep_their_offers(evaluation: Evaluation) -> None:
    training = evaluation.learned.training
    parts = {share: part_of_customers(training, share, seed=7) for share in (*SHARES, 1.0)}
    last: set[int] = set()
    for share, part in parts.items():
        for place, snapshot in enumerate(part.snapshots):
            mine = part.snapshot == place
            assert (hash64(snapshot.customer_ids)[part.rows[mine]] == part.customers[mine]).all()
        there = set(part.customers.tolist())
        assert last <= there
        assert abs(len(part.snapshots[-1]) / len(training.snapshots[-1]) - share) < 0.12
        last = there
    assert len(parts[1.0]) == len(training)


def test_calibration_by_product_adds_up(found: Tried, evaluation: Evaluation) -> None:
    rows = found.tables["calibration_by_product"].to_pylist()
    products = evaluation.made.column("product_id").to_pylist()
    labels = np.array(evaluation.made.column("label").to_pylist())
    assert [r["product_id"] for r in rows] == sorted({str(p) for p in products})
    for row in rows:
        mine = labels[[str(p) == row["product_id"] for p in products]]
        assert row["accepted"] == pytest.approx(mine.mean())
        assert row["estimate"] == pytest.approx(row["stated"] - row["accepted"])
        assert row["low"] <= row["estimate"] <= row["high"]


def test_everything_is_written(found: Tried, tmp_path: Path) -> None:
    written = found.write(tmp_path)
    assert set(written) == {path.name for path in tmp_path.iterdir()}
    assert pq.read_table(tmp_path / "ablations.parquet").equals(found.tables["ablations"])
    plain = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert set(plain) == {"report", "notes", *found.tables}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for heading in ("from day to day", "each part worth", "more customers help", "or lucky", "for each product"):
        assert heading in page


def test_adoptions_have_origins_too(small: Path, tmp_path: Path) -> None:
    bank = altered(small, tmp_path / "bank", {"responses": None, "holdings": dated_holdings(small)})
    days = origins_of(bank, 2)
    assert days[1] - days[0] >= timedelta(days=30)
    assert max(days) < AS_OF


def test_without_transactions_there_is_nothing_to_leave_out(small: Path, tmp_path: Path) -> None:
    bank = altered(small, tmp_path / "bank", {"transactions": None})
    found = tried(bank, Policy(), Trials(ablations=True), options=Options(challenger=False, resamples=20))
    assert "no transactions is left out of the ablations: no feature is made of transactions" in found.notes
    assert "no transactions" not in found.tables["ablations"].column("model").to_pylist()


def test_a_peer_that_is_not_installed_is_told(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    options = Options(challenger=False, resamples=20, also=("als",))
    found = tried(bank, Policy(), Trials(), options=options)
    assert found.notes == ("als is left out: the package implicit is not installed",)
    assert "als" not in found.evaluation.contenders


def test_a_model_that_there_is_not(bank: Bank) -> None:
    with pytest.raises(ModelError, match=r"no model 'eas' \(did you mean 'ease'\?\); there are glassbox, "):
        evaluate(bank, Policy(), options=Options(also=("eas",)))


def test_more_origins_than_days(bank: Bank) -> None:
    with pytest.raises(ModelError, match="cannot start from 99 days; this bank has 4 to start from"):
        origins_of(bank, 99)
    assert origins_of(bank, (date(2025, 10, 2), date(2025, 10, 1))) == (date(2025, 10, 1), date(2025, 10, 2))


def test_another_champion_is_judged_and_told(small: Path, tmp_path: Path) -> None:
    options = Options(challenger=False, resamples=40, champion=CHALLENGER)
    found = tried(Bank.read(small), Policy(), Trials(ablations=True), options=options)
    assert set(found.tables["significance"].column("model").to_pylist()) == {CHALLENGER}
    assert set(found.tables["ablations"].column("against").to_pylist()) == {CHALLENGER}
    assert [note for note in found.notes if note.startswith(NO_AFFINITY)]
    assert found.evaluation.engine.ranker.name == CHALLENGER
    found.write(tmp_path)
    assert f"{CHALLENGER} orders offers" in (tmp_path / "report.html").read_text(encoding="utf-8")
