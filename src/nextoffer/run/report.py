"""Puts an evaluation on a page."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.evaluate.backtest import find
from nextoffer.evaluate.charts import AbTest, Offers, ProductOffers
from nextoffer.evaluate.curves import Shape
from nextoffer.evaluate.gate import Criterion, Gate, judge_gate
from nextoffer.evaluate.gate import headline as gate_headline
from nextoffer.evaluate.page import ReportPage, Section
from nextoffer.evaluate.story import (
    AbArm,
    Cast,
    ab_section,
    evaluation_sections,
    figures_section,
    gate_section,
    offers_section,
    shapes_section,
)
from nextoffer.evaluate.story import summary as story_summary
from nextoffer.models.coding import Coding
from nextoffer.models.compiled import CompiledRanker
from nextoffer.models.scorecard import Scorecard
from nextoffer.policy.decide import Decided
from nextoffer.run.backtest import BASELINE, CHAMPION, Evaluation
from nextoffer.simulate.ab import SimulatedAB
from nextoffer.tables.flow import FeatureTable, ids_as_text

_SHAPES = 6


def acceptance_gate(evaluation: Evaluation) -> tuple[Criterion, ...]:
    """Return the reference's acceptance gate: NDCG@5 ≥ 0.65, and lift ≥ 10 % where the truth is known."""
    return judge_gate(evaluation.found.report, evaluation.champion, baseline=BASELINE)


def evaluation_page(
    evaluation: Evaluation, *, decided: Decided | None = None, test: SimulatedAB | None = None, gate: bool = False
) -> ReportPage:
    """Return the report of a backtest, with the offers made and a simulated A/B test where they are given."""
    engine, cast = evaluation.engine, Cast(evaluation.champion, BASELINE)
    criteria = acceptance_gate(evaluation) if gate else ()
    sections: list[Section] = [gate_section(criteria)] if criteria else []
    sections += evaluation_sections(evaluation.found, cast, gate=Gate() if gate else None)
    if isinstance(engine.ranker, CompiledRanker) and engine.ranker.card_ is not None:
        sections.append(shapes_section(strongest_shapes(evaluation, engine.ranker.card_)))
    if decided is not None:
        sections.append(offers_section(offers_by_product(evaluation, decided)))
    if test is not None:
        sections.append(_ab(test))
    sections.append(figures_section(evaluation.found.report, cast))
    facts = (
        ("Bank", str(engine.details.get("bank", ""))),
        ("Learned before", evaluation.split.isoformat()),
        ("Labels", str(engine.details.get("labels", ""))),
        ("Model", engine.model_id),
        ("Policy", engine.policy.policy_id),
    )
    headline = gate_headline(criteria) if criteria else _verdict(evaluation)
    summary = story_summary(evaluation.found.report, cast, criteria)
    return ReportPage("NextOffer evaluation", facts, headline, summary, tuple(sections))


def offers_by_product(evaluation: Evaluation, decided: Decided) -> Offers:
    """Return for each product how many customers are offered it and at which stage the others were stopped."""
    names = dict(
        zip(ids_as_text(evaluation.batch.products.column("product_id")), evaluation.batch.product_names, strict=True)
    )
    offered = _counted(decided.decisions, ["product_id"])
    refused = _counted(decided.refusals, ["product_id", "stage"])
    return Offers(
        tuple(
            ProductOffers(
                name,
                offered.get(product, 0),
                {stage: count for (p, stage), count in refused.items() if p == product},
            )
            for product, name in names.items()
        )
    )


def strongest_shapes(evaluation: Evaluation, card: Scorecard) -> list[Shape]:
    """Return the score shapes of the terms that move scores most, each for the product it moves most."""
    features = evaluation.batch.features
    found: list[tuple[float, Shape]] = []
    for coding, table in zip(card.codings, card.tables, strict=True):
        spread = table[1:].std(axis=0)
        product = int(spread.argmax())
        label = f"{features.column(coding.name).label} → {evaluation.batch.product_names[product]}"
        found.append((float(spread[product]), _shape(label, coding, table[1:, product], features)))
    found.sort(key=lambda f: -f[0])
    return [shape for _, shape in found[:_SHAPES]]


def _shape(label: str, coding: Coding, values: npt.NDArray[np.float32], features: FeatureTable) -> Shape:
    contributions = [float(v) for v in values]
    if coding.kind != "number" or not coding.cuts:
        return Shape(label, contributions, names=[coding.label(i + 1) for i in range(len(values))])
    known = features.numbers(coding.name)
    known = known[np.isfinite(known)]
    low = min(float(known.min(initial=coding.cuts[0])), coding.cuts[0] - 1e-9)
    high = max(float(known.max(initial=coding.cuts[-1])), coding.cuts[-1] + 1e-9)
    return Shape(label, contributions, edges=[low, *coding.cuts, high])


def _ab(test: SimulatedAB) -> Section:
    treatment, control = (
        AbArm(name, arm.customers, arm.accepted) for name, arm in ((CHAMPION, test.treatment), (BASELINE, test.control))
    )
    return ab_section(AbTest(test.lift, test.true_lift), treatment, control, needed_per_arm=test.needed_per_arm)


def _verdict(evaluation: Evaluation) -> str:
    report = evaluation.found.report
    mine, theirs = (find(report, "ndcg@5", model) for model in (evaluation.champion, BASELINE))
    gap = find(report, f"ndcg@5 minus {BASELINE}", evaluation.champion)
    figures = f"NDCG@5 {mine.estimate:.3f} against {theirs.estimate:.3f}"
    name = "The glass box" if evaluation.champion == CHAMPION else evaluation.champion
    if gap.estimate <= 0:
        return f"{name} orders offers no better than the {BASELINE} ({figures}): do not use it yet."
    certain = "which chance does not explain" if gap.low > 0 else "but chance is not ruled out"
    return f"{name} orders offers better than the {BASELINE}: {figures}, {certain}."


def _counted(table: pa.Table, keys: list[str]) -> dict[Any, int]:
    """Rows per key; products as text, several keys as a tuple."""
    grouped = table.group_by(keys).aggregate([([], "count_all")])
    columns = [ids_as_text(grouped.column(k)) for k in keys]
    counts = grouped.column("count_all").to_pylist()
    return dict(zip(columns[0] if len(keys) == 1 else zip(*columns, strict=True), counts, strict=True))
