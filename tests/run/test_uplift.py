"""Uplift in a backtest: later offers held back by lot, and a sentence where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nextoffer.evaluate.uplift_trial import PROPENSITY, UPLIFT
from nextoffer.policy.file import Policy
from nextoffer.run import engine as engine_module
from nextoffer.run.backtest import CHAMPION, Options
from nextoffer.run.trials import Trials, Tried, tried
from nextoffer.run.uplift import uplift_told
from nextoffer.simulate import retail
from nextoffer.tables.bank import Bank
from tests.run.worlds import QuickRanker, altered, stored

OPTIONS = Options(challenger=False, resamples=20)


@dataclass(frozen=True)
class Rates(QuickRanker):
    """Learns the products' rates alone."""

    max_rank: int = 0
    folds: int = 2


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(engine_module.RANKERS, CHAMPION, Rates)  # type: ignore[arg-type]
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return retail.generate(tmp_path_factory.mktemp("uplift") / "bank", customers=400, seed=3)


@pytest.fixture(scope="module")
def found(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """More of those held back took up, so that the engine learns what they do without an offer."""
    offers = stored(world, "responses")
    held = pc.equal(offers.column("arm"), "control").to_numpy()
    fourth = pa.array([i % 4 == 0 for i in range(len(offers))])
    label = pc.if_else(pc.and_(pa.array(held), fourth), 1, offers.column("label"))
    taken = offers.set_column(
        offers.column_names.index("label"), "label", pc.cast(label, offers.schema.field("label").type)
    )
    folder = tmp_path_factory.mktemp("taken") / "bank"
    return tried(altered(world, folder, {"responses": taken}), Policy(), Trials(), options=OPTIONS)


def test_the_later_offers_held_back_are_judged(found: Tried, tmp_path: Path) -> None:
    assert found.uplift is not None
    assert found.uplift.found is not None
    assert found.evaluation.engine.natural is not None
    assert set(found.uplift.found.figures["auuc"]) == {UPLIFT, PROPENSITY, f"{UPLIFT} minus {PROPENSITY}"}
    assert "earned per offer" in found.uplift.found.figures
    effect = found.uplift.found.figures["observed effect"][""]
    assert effect.high < 0.0  # a fourth of those held back took up
    written = found.write(tmp_path)
    assert {"uplift.parquet", "uplift_by_decile.parquet"} <= set(written)
    assert "AUUC per 1,000 offers" in (tmp_path / "report.html").read_text(encoding="utf-8")
    metrics = found.report.column("metric").to_pylist()
    assert metrics.count("observed effect") > 2
    assert pq.read_table(tmp_path / "uplift.parquet").num_rows + found.evaluation.found.report.num_rows == len(metrics)
    told = found.to_dict()
    assert told["uplift"][0]["metric"] == "observed effect"
    assert told["notes"] == []
    truth = found.uplift.found.truth
    assert truth["the best there is"].low > truth[PROPENSITY].high
    assert truth["any eligible offer"].low > 0


def test_only_offers_of_the_judged_period_count(found: Tried, world: Path) -> None:
    assert found.uplift is not None
    assert found.uplift.found is not None
    offers = stored(world, "responses")
    later = offers.filter(pc.field("offered_on") >= pa.scalar(found.evaluation.split))
    assert found.uplift.found.figures["observed effect"][""].n == later.num_rows


def test_a_bank_that_held_nothing_back_says_so(found: Tried, world: Path, tmp_path: Path) -> None:
    offers = stored(world, "responses")
    made = offers.filter(pc.field("arm") == "treatment")
    for name, responses in (("made", made), ("armless", made.drop_columns(["arm"]))):
        told = uplift_told(found.evaluation, altered(world, tmp_path / name, {"responses": responses}))
        assert told.found is None
        assert not told.tables
        assert told.notes[0].startswith("Uplift: no offers were held back")
    without = replace(found, uplift=told, tables={})
    assert without.to_dict()["notes"] == list(told.notes)
    without.write(tmp_path / "out")
    assert "No offers were held back" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_what_too_few_held_back_leave_open_is_told(found: Tried, world: Path, tmp_path: Path) -> None:
    offers = stored(world, "responses")
    held = pc.equal(offers.column("arm"), "control")
    few = pc.and_(held, pa.array([i % 20 == 0 for i in range(len(offers))]))
    bank = altered(world, tmp_path / "few", {"responses": offers.filter(pc.or_(pc.invert(held), few))})
    assert "30 of each are needed" in uplift_told(found.evaluation, bank).notes[0]
    shy = replace(found.evaluation, batch=replace(found.evaluation.batch, natural=None))
    told = uplift_told(shy, Bank.read(world))
    assert "falls back to value" in told.why_not
    assert told.found is not None
    assert set(told.found.figures["auuc"]) == {PROPENSITY}
    assert set(told.found.truth) == {PROPENSITY, "any eligible offer", "the best there is"}
