"""The reference case study, whole: simulate, fit, evaluate, test, recommend, write the artefacts, judge the gate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nextoffer.evaluate.gate import Criterion
from nextoffer.evaluate.page import render
from nextoffer.policy.decide import Decided
from nextoffer.policy.file import Policy
from nextoffer.run.backtest import BASELINE, CHAMPION, Evaluation, Options, evaluate, places
from nextoffer.run.report import acceptance_gate, evaluation_page
from nextoffer.simulate import reference
from nextoffer.simulate.ab import SimulatedAB, simulate_ab
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Scores
from nextoffer.tables.write import atomic_path, write_table

AS_OF = date(2025, 10, 11)
"""Campaigns 0–3 lie before it, 4 and 5 judge."""
_TABLES = ("customers", "products", "transactions", "holdings")
_SAMPLE = 25
Step = Callable[[str], None]


@dataclass(frozen=True)
class CaseStudy:
    """What the case study found.

    Attributes
    ----------
    folder
        Where everything was written.
    evaluation, gate, test
        The backtest, the acceptance gate, the simulated A/B test of the glass box against the heuristic.
    decided
        Decisions and refusals of every customer.
    seconds
        Wall time of each step, by name.
    """

    folder: Path
    evaluation: Evaluation
    gate: tuple[Criterion, ...]
    test: SimulatedAB
    decided: Decided
    seconds: dict[str, float]


def case_study(
    out: str | Path, *, customers: int = 1200, seed: int = 7, policy: Policy | None = None, step: Step = lambda _: None
) -> CaseStudy:
    """Run the reference case study into a folder.

    Parameters
    ----------
    out
        Folder for the bank (``bank/``), the model (``model/``), the six artefacts of the reference, all
        recommendations, refusals and the report.
    customers, seed
        Size and seed of the world.
    step
        Told what is being done.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    clock = _Clock(step)
    clock.start("Simulating the bank")
    reference.generate(folder / "bank", customers=customers, seed=seed, force=True)
    clock.start("Reading and checking it")
    bank = Bank.read(folder / "bank")
    chosen = policy or Policy()
    evaluation = evaluate(bank, chosen, options=Options(split=AS_OF), step=clock.start)
    clock.start("Playing an A/B test")
    test = ab_test(evaluation, pq.read_table(folder / "bank" / "truth.parquet"), seed)
    clock.start("Recommending to every customer, with reasons")
    decided = evaluation.engine.desk(evaluation.batch.products, AS_OF).decider.of(evaluation.batch).plain()
    clock.start("Writing artefacts and report")
    evaluation.engine.save(folder / "model")
    write_artefacts(folder, bank, evaluation, decided)
    page = evaluation_page(evaluation, decided=decided, test=test, gate=True)
    with atomic_path(folder / "report.html") as temporary:
        temporary.write_text(render(page), encoding="utf-8")
    clock.stop()
    return CaseStudy(folder, evaluation, acceptance_gate(evaluation), test, decided, clock.seconds)


def ab_test(evaluation: Evaluation, truth: pa.Table, seed: int) -> SimulatedAB:
    """Return a simulated A/B test of the champion's top eligible offer against the baseline's."""
    control, treatment = (top_offers(evaluation, evaluation.contenders[m]) for m in (BASELINE, CHAMPION))
    return simulate_ab(truth, control, treatment, seed=seed)


def top_offers(evaluation: Evaluation, scores: Scores) -> pa.Table:
    """Return customer_id and product_id of each customer's best eligible offer; ties go to the earlier product."""
    rows, cols = places(evaluation.batch, evaluation.eligible)
    order = np.lexsort((cols, -scores.log_odds[rows, cols], rows))
    first = order[np.r_[True, rows[order][1:] != rows[order][:-1]]] if len(order) else order
    return evaluation.eligible.select(["customer_id", "product_id"]).take(pa.array(first))


def write_artefacts(folder: Path, bank: Bank, evaluation: Evaluation, decided: Decided) -> None:
    """Write the reference's six artefacts, and all recommendations and refusals."""
    for table in _TABLES:
        write_table(bank.table(table), folder / f"{table}.csv")
    write_table(evaluation.found.report, folder / "ranking_metrics.csv")
    write_table(sample(decided), folder / "sample_recommendations.csv")
    write_table(decided.decisions, folder / "recommendations.parquet")
    write_table(decided.refusals, folder / "refusals.parquet")


def sample(decided: Decided) -> pa.Table:
    """Return the decisions of the first 25 customers that have any."""
    customers = decided.decisions.column("customer_id").unique()[:_SAMPLE]
    return decided.decisions.filter(pc.is_in(decided.decisions.column("customer_id"), value_set=customers))


class _Clock:
    """Tells of each step as it starts, and how long the last one took."""

    def __init__(self, step: Step) -> None:
        self.seconds: dict[str, float] = {}
        self._step = step
        self._name: str | None = None
        self._since = 0.0

    def start(self, name: str) -> None:
        self.stop()
        self._step(name)
        self._name, self._since = name, time.perf_counter()

    def stop(self) -> None:
        if self._name is not None:
            spent = time.perf_counter() - self._since
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + spent
            self._name = None
