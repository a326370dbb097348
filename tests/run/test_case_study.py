"""The reference case study, small: every artefact, one report, and the model it was made with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from nextoffer.policy.decide import Decided
from nextoffer.run import engine as engine_module
from nextoffer.run.backtest import BASELINE, CHAMPION
from nextoffer.run.case_study import AS_OF, CaseStudy, case_study, top_offers
from nextoffer.run.engine import Engine
from nextoffer.tables.bank import Bank
from tests.run.worlds import QuickRanker, equal, pairs_of

CUSTOMERS, PRODUCTS = 150, 12
ARTEFACTS = {
    "customers.csv": CUSTOMERS,
    "products.csv": PRODUCTS,
    "transactions.csv": None,
    "holdings.csv": None,
    "ranking_metrics.csv": None,
    "sample_recommendations.csv": None,
}


@dataclass(frozen=True)
class Ran:
    """A case study and what it told while it ran."""

    study: CaseStudy
    steps: list[str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    steps: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(engine_module.RANKERS, CHAMPION, QuickRanker)  # type: ignore[arg-type]
        folder = tmp_path_factory.mktemp("study") / "demo"
        yield Ran(case_study(folder, customers=CUSTOMERS, step=steps.append), steps)


@pytest.fixture(scope="module")
def study(ran: Ran) -> CaseStudy:
    return ran.study


def test_exactly_the_files_named_are_written(study: CaseStudy) -> None:
    further = {"bank", "model", "recommendations.parquet", "refusals.parquet", "report.html"}
    assert {path.name for path in study.folder.iterdir()} == set(ARTEFACTS) | further


@pytest.mark.parametrize("name", ARTEFACTS)
def test_each_artefact_has_its_rows(study: CaseStudy, name: str) -> None:
    table = pyarrow.csv.read_csv(study.folder / name)
    rows = ARTEFACTS[name]
    assert table.num_rows == rows if rows is not None else table.num_rows > 0


def test_every_customer_is_decided_for(study: CaseStudy) -> None:
    stored = Decided(*(pq.read_table(study.folder / f"{n}.parquet") for n in ("recommendations", "refusals")))
    assert equal(stored, study.decided)
    assert len(set(pairs_of(stored))) == len(pairs_of(stored)) == CUSTOMERS * PRODUCTS


def test_the_sample_is_of_the_first_25_customers(study: CaseStudy) -> None:
    sample = pyarrow.csv.read_csv(study.folder / "sample_recommendations.csv")
    offered = study.decided.decisions.column("customer_id").unique().to_pylist()
    assert sample.column("customer_id").unique().to_pylist() == offered[:25]


def test_the_saved_model_decides_the_same(study: CaseStudy) -> None:
    engine = Engine.load(study.folder / "model")
    assert engine.as_of == AS_OF
    assert equal(engine.recommend(Bank.read(study.folder / "bank")), study.decided)


def test_the_report_needs_nothing_from_elsewhere(study: CaseStudy) -> None:
    page = (study.folder / "report.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert not re.findall(r"https?://", re.sub(r'xmlns(?::\w+)?="[^"]*"', "", page))
    assert not re.findall(r"<(?:script|link|iframe)\b|\bsrc=(?!\"data:)|@import|url\((?!#)", page)


def test_the_report_says_what_it_rests_on(study: CaseStudy) -> None:
    page = (study.folder / "report.html").read_text(encoding="utf-8")
    assert study.evaluation.engine.model_id in page
    assert study.evaluation.engine.policy.policy_id in page
    for product in study.evaluation.batch.product_names:
        assert product in page
    for criterion in study.gate:
        assert criterion.to_dict()["met"] in (True, False)


def test_top_offers_are_the_best_eligible_ones(study: CaseStudy) -> None:
    evaluation = study.evaluation
    top = top_offers(evaluation, evaluation.contenders[CHAMPION]).to_pylist()
    eligible = evaluation.eligible.select(["customer_id", "product_id"]).to_pylist()
    log_odds = evaluation.contenders[CHAMPION].log_odds
    places = {c: i for i, c in enumerate(evaluation.batch.features.customer_ids.to_pylist())}
    for row in top[:30]:
        allowed = [e["product_id"] for e in eligible if e["customer_id"] == row["customer_id"]]
        scores = log_odds[places[row["customer_id"]]]
        assert row["product_id"] in allowed
        assert scores[row["product_id"]] == max(scores[p] for p in allowed)
    assert len(top) == len({e["customer_id"] for e in eligible})


def test_the_ab_test_knows_the_true_lift(study: CaseStudy) -> None:
    told = study.test.to_dict()
    assert told["true_lift"] == pytest.approx(study.test.true_lift)
    offered = study.evaluation.eligible.column("customer_id").unique()
    assert study.test.control.customers + study.test.treatment.customers == len(offered)


def test_time_is_told_by_step(ran: Ran) -> None:
    assert list(ran.study.seconds) == ran.steps
    assert ran.steps[0] == "Simulating the bank"
    assert all(seconds >= 0 for seconds in ran.study.seconds.values())


def test_figures_are_in_the_metrics_file(study: CaseStudy) -> None:
    metrics = pyarrow.csv.read_csv(study.folder / "ranking_metrics.csv")
    assert {CHAMPION, BASELINE} <= set(metrics.column("model").to_pylist())
    assert metrics.num_rows == study.evaluation.found.report.num_rows
