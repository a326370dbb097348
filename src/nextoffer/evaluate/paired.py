"""Models on the same pairs of one or several days: figures by day and pooled, differences, calibration by product.

A customer met on several days has a list on each; lists are averaged and customers resampled, so that an interval
allows for a customer's days being alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import erfc, sqrt

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.evaluate import calibration, discrimination
from nextoffer.evaluate.figures import Figure, Units, difference, intervals, ratio
from nextoffer.evaluate.pairs import Contender, Pairs, number_pairs
from nextoffer.evaluate.ranking import RANKING_METRICS, tie_groups
from nextoffer.intervals import rate_by_customer, resample
from nextoffer.tables.flow import ids_as_text

Floats = npt.NDArray[np.float64]
Figures = Mapping[str, Figure]
PLACES = 5
RANKED = ("ndcg", "map", "hit_rate")
COMPARED = (f"ndcg@{PLACES}", f"map@{PLACES}", "auc", "log_loss")
"""Metrics in which models are compared."""
DIFFERENCES = pa.schema(
    [
        *((name, pa.string()) for name in ("metric", "model", "against", "split")),
        *((name, pa.float64()) for name in ("estimate", "low", "high", "p", "p_holm")),
        ("n", pa.int64()),
    ]
)
"""estimate = `model` − `against`, with its 95 % interval; p, and p after Holm's correction within metric and split."""
BY_PRODUCT = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "product_id")),
        *((name, pa.float64()) for name in ("stated", "accepted", "estimate", "low", "high")),
        ("n", pa.int64()),
    ]
)
"""Mean probability stated, share accepted, and estimate = stated − accepted with its interval; n customers."""


@dataclass(frozen=True)
class Sheet:
    """What models said of pairs of one or several days, and what happened.

    Attributes
    ----------
    pairs
        N pairs, customers numbered over all days.
    day
        intp (N,): which day each pair is of.
    contenders
        Per model its answer for the N pairs.
    """

    pairs: Pairs
    day: npt.NDArray[np.intp]
    contenders: Mapping[str, Contender]

    @classmethod
    def of(cls, parts: Sequence[tuple[pa.Table, Mapping[str, Contender]]]) -> Sheet:
        """Return days below each other: customer_id, product_id, label and each model's answers.

        Models that are not there on every day are left out.
        """
        tables = [table.select(["customer_id", "product_id", "label"]) for table, _ in parts]
        names = [n for n in parts[0][1] if all(n in answers for _, answers in parts)]
        answers = {
            n: Contender(np.concatenate([a[n].score for _, a in parts]), all(a[n].probability for _, a in parts))
            for n in names
        }
        day = np.repeat(np.arange(len(parts)), [t.num_rows for t in tables])
        return cls(number_pairs(pa.concat_tables(tables)), day, answers)

    @cached_property
    def units(self) -> Units:
        """What is resampled."""
        return Units.of(self.pairs.customer, self.pairs.customers, seed=7)

    def ranked(self) -> dict[str, Figures]:
        """Return per model the ranking figures: means over lists, a list per customer and day."""
        keys, lists = np.unique(self.day * self.pairs.customers + self.pairs.customer, return_inverse=True)
        owner = keys % self.pairs.customers
        count = np.bincount(owner, minlength=self.pairs.customers).astype(np.float64)
        out: dict[str, Figures] = {}
        for name, contender in self.contenders.items():
            groups = tie_groups(lists, contender.score, label=self.pairs.label, customers=len(keys))
            found = {}
            for metric in RANKED:
                values = RANKING_METRICS[metric](groups, PLACES)
                total = np.bincount(owner, values, self.pairs.customers).astype(np.float64)
                sums = self.units.customer_sums(total, count)
                found[f"{metric}@{PLACES}"] = Figure(sums, ratio, self.pairs.customers)
            out[name] = found
        return out

    def stated(self) -> dict[str, Figures]:
        """Return per model AUC over all pairs and, of probabilities, log loss, Brier score and calibration error."""
        out: dict[str, Figures] = {}
        for name, contender in self.contenders.items():
            arrays = contender.score, self.pairs.label, self.units
            found = {"auc": discrimination.auc_figure(*arrays)}
            if contender.probability:
                found["log_loss"] = calibration.log_loss_figure(*arrays)
                found["brier"] = calibration.brier_figure(*arrays)
                found["calibration_error"] = calibration.calibration_error_figure(*arrays)
            out[name] = found
        return out


def figures_of(eligible: Sheet, made: Sheet) -> list[Mapping[str, Figures]]:
    """Return the figures of the two kinds of pairs, each with units of its own."""
    return [eligible.ranked(), made.stated()]


def reported(found: Sequence[Mapping[str, Figures]], split: str, *, resamples: int = 1000) -> list[dict[str, object]]:
    """Return rows of the Report for every model and metric."""
    rows: list[dict[str, object]] = []
    for kind in found:
        keys = [(model, metric) for model, figures in kind.items() for metric in figures]
        known = intervals([kind[model][metric] for model, metric in keys], seed=7, resamples=resamples)
        rows += [
            {"metric": metric, "model": model, "split": split, "group": "all"} | vars(interval)
            for (model, metric), interval in zip(keys, known, strict=True)
        ]
    return rows


def differences(
    found: Sequence[Mapping[str, Figures]],
    couples: Sequence[tuple[str, str]],
    split: str,
    *,
    resamples: int = 1000,
) -> pa.Table:
    """Return model − other for each couple, paired by customer (`DIFFERENCES`).

    The interval is the percentile interval of 1,000 resamples of customers; p is two-sided from difference / standard
    deviation of the resamples under the normal law (Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, 12).
    ``p_holm`` holds the chance of any false finding among the couples of a metric at its level (Holm 1979,
    Scandinavian Journal of Statistics 6); metrics are read one by one.
    """
    rows: list[dict[str, object]] = []
    for kind in found:
        for metric in COMPARED:
            mine = [(a, b) for a, b in couples if metric in kind.get(a, {}) and metric in kind.get(b, {})]
            gaps = [difference(kind[a][metric], kind[b][metric]) for a, b in mine]
            known = intervals(gaps, seed=7, resamples=resamples)
            chances = [_chance(gap, resamples) for gap in gaps]
            for (a, b), interval, p, holm in zip(mine, known, chances, holm_adjusted(chances), strict=True):
                where = {"metric": metric, "model": a, "against": b, "split": split}
                rows.append(where | vars(interval) | {"p": p, "p_holm": holm})
    return pa.Table.from_pylist(rows, schema=DIFFERENCES)


def _chance(gap: Figure, resamples: int) -> float:
    replicates = gap.statistic(resample(gap.sums, seed=7, resamples=resamples))
    spread = float(np.nanstd(replicates, ddof=1)) if np.isfinite(replicates).any() else float("nan")
    if not spread > 0:
        return 1.0
    return erfc(abs(gap.estimate) / spread / sqrt(2))


def holm_adjusted(chances: Sequence[float]) -> list[float]:
    """Return p-values after Holm's step-down correction, in the order given.

    >>> holm_adjusted([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(chances)), key=lambda i: chances[i])
    out, so_far = [0.0] * len(chances), 0.0
    for place, i in enumerate(order):
        so_far = max(so_far, min((len(chances) - place) * chances[i], 1.0))
        out[i] = so_far
    return out


def calibration_by_product(made: pa.Table, model: str, stated: npt.ArrayLike) -> pa.Table:
    """Return what `model` stated of each product's offers, and what happened (`BY_PRODUCT`).

    The interval of stated − accepted is what is stated less that of the share accepted (`rate_by_customer`): what was
    stated is known.
    """
    chance = np.asarray(stated, dtype=np.float64)
    pairs = number_pairs(made.select(["customer_id", "product_id", "label"]))
    names = np.array(ids_as_text(made.column("product_id")), dtype=object)
    rows: list[dict[str, object]] = []
    for name in sorted(set(names)):
        index = np.flatnonzero(names == name)
        part = pairs.take(index)
        units = Units.of(part.customer, part.customers, seed=7)
        hits, offers = units.pair_sums(part.label.astype(np.float64), np.ones(len(index))).T
        accepted, said = rate_by_customer(hits, offers), float(chance[index].mean())
        told = {"stated": said, "accepted": accepted.estimate, "estimate": said - accepted.estimate}
        bounds = {"low": said - accepted.high, "high": said - accepted.low, "n": part.customers}
        rows.append({"model": model, "product_id": name} | told | bounds)
    return pa.Table.from_pylist(rows, schema=BY_PRODUCT)
