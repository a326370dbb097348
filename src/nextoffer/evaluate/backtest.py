"""The backtest: every model judged on the same pairs, with intervals, against a baseline and, where known, the truth.

`backtest` takes pairs and scores and returns the Report (`tables.flow.REPORT`), one row per metric, model and group:

* ``ndcg@5 map@5 precision@5 recall@5 hit_rate@5 mrr@5``: means over customers, ties averaged exactly; where a model
  ties also ``ndcg@5 (worst order of ties)`` and ``(best order of ties)``, and so for ``map@5``; ``coverage@5``.
* ``auc``, and for probabilities ``log_loss brier calibration_error``: over pairs.
* ``<metric> minus <baseline>``: the difference, customer by customer.
* With truth ``top_response``, the true P(accept) of the top offer; ``lift over <baseline>`` of it; ``<metric> share of
  achievable`` = (model - baseline) / (noiseless ceiling - baseline); rows for the noiseless ceiling and the oracle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from nextoffer.errors import NextOfferError, did_you_mean
from nextoffer.evaluate import calibration, discrimination
from nextoffer.evaluate.figures import Units, intervals
from nextoffer.evaluate.judge import Settings, judge
from nextoffer.evaluate.pairs import EVERYONE, Contender, Pairs, Truth, check_lengths, groups_of, number_pairs
from nextoffer.intervals import Interval
from nextoffer.tables.flow import REPORT


@dataclass(frozen=True)
class Backtest:
    """What a backtest found.

    Attributes
    ----------
    report
        The Report.
    reliability
        Reliability curve of each model that states probabilities.
    deciles
        Lift of each tenth of the pairs, best first, per model.
    """

    report: pa.Table
    reliability: Mapping[str, tuple[calibration.ReliabilityBin, ...]]
    deciles: Mapping[str, tuple[Interval, ...]]


def backtest(
    table: pa.Table,
    contenders: Mapping[str, Contender],
    *,
    truth: Truth | None = None,
    by: Sequence[str] = (),
    settings: Settings | None = None,
) -> Backtest:
    """Judge models on the same pairs.

    Parameters
    ----------
    table
        One row per pair: customer_id, product_id, label (1 = accepted, 0 = not), and the columns named in `by`.
    contenders
        Per model its scores, in the order of the rows.
    truth
        In simulated worlds: the true response of each row's pair.
    by
        Columns whose values are also judged on their own, such as segment.

    Raises
    ------
    NextOfferError
        Columns are missing, arrays do not fit the pairs or hold NaN, or the baseline is not among the models.
    """
    chosen = settings or Settings()
    pairs = number_pairs(table)
    check_lengths(pairs, contenders, truth)
    if chosen.baseline is not None and chosen.baseline not in contenders:
        near = did_you_mean(chosen.baseline, contenders)
        raise NextOfferError(f"no model '{chosen.baseline}' to compare with{near}; there are {', '.join(contenders)}")
    rows = _rows(EVERYONE, pairs, contenders, truth, settings=chosen)
    for group, index in groups_of(table, by):
        part = {name: contender.take(index) for name, contender in contenders.items()}
        rows += _rows(group, pairs.take(index), part, truth.take(index) if truth else None, settings=chosen)
    return Backtest(
        report=pa.Table.from_pylist(rows, schema=REPORT),
        reliability=_reliability(pairs, contenders, chosen),
        deciles=_deciles(pairs, contenders, chosen),
    )


def _rows(
    group: str, pairs: Pairs, contenders: Mapping[str, Contender], truth: Truth | None, *, settings: Settings
) -> list[dict[str, Any]]:
    judged = judge(pairs, contenders, truth, settings)
    keys = [(model, metric) for model, figures in judged.items() for metric in figures]
    found = intervals(
        [judged[model][metric] for model, metric in keys],
        seed=settings.seed,
        resamples=settings.resamples,
        level=settings.level,
    )
    return [
        {"metric": metric, "model": model, "split": settings.split, "group": group} | vars(interval)
        for (model, metric), interval in zip(keys, found, strict=True)
    ]


def _reliability(
    pairs: Pairs, contenders: Mapping[str, Contender], settings: Settings
) -> dict[str, tuple[calibration.ReliabilityBin, ...]]:
    if "calibration" not in settings.families:
        return {}
    units = Units.of(pairs.customer, pairs.customers, seed=settings.seed)
    return {
        name: calibration.reliability(contender.score, pairs.label, units)
        for name, contender in contenders.items()
        if contender.probability
    }


def _deciles(pairs: Pairs, contenders: Mapping[str, Contender], settings: Settings) -> dict[str, tuple[Interval, ...]]:
    if "discrimination" not in settings.families:
        return {}
    units = Units.of(pairs.customer, pairs.customers, seed=settings.seed)
    return {
        name: discrimination.lift_intervals(contender.score, pairs.label, units, level=settings.level)
        for name, contender in contenders.items()
    }


def find(report: pa.Table, metric: str, model: str, *, group: str = EVERYONE, split: str | None = None) -> Interval:
    """Return one figure of a Report.

    Raises
    ------
    KeyError
        The report does not hold it.
    """
    for row in report.to_pylist():
        if (row["metric"], row["model"], row["group"]) == (metric, model, group) and split in (None, row["split"]):
            return Interval(row["estimate"], row["low"], row["high"], row["n"])
    raise KeyError(f"no '{metric}' of '{model}' for group '{group}' in the report")
