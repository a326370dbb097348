"""Reads a test: what each arm did, how it compares with the control, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import isfinite

import pyarrow as pa

from nextoffer.experiment.comparing import Comparison, Terms, anytime, arm_mean, fixed, holm
from nextoffer.experiment.file import Experiment, Metric
from nextoffer.experiment.gather import Gathered
from nextoffer.experiment.means import adjusted_means, can_adjust, plain_means
from nextoffer.experiment.srm import RatioCheck, ratio_check
from nextoffer.experiment.sums import Sums
from nextoffer.experiment.verdict import Guarded, Judged, Verdict, conclude
from nextoffer.intervals import Interval

ARMS = pa.schema(
    [
        ("metric", pa.string()),
        ("role", pa.string()),
        ("arm", pa.string()),
        ("estimate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n", pa.int64()),
    ]
)
LIFTS = pa.schema(
    [
        ("metric", pa.string()),
        ("role", pa.string()),
        ("arm", pa.string()),
        ("scale", pa.string()),
        ("method", pa.string()),
        ("adjusted", pa.bool_()),
        ("level", pa.float64()),
        ("estimate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n", pa.int64()),
        ("p_value", pa.float64()),
    ]
)
DAYS = pa.schema(
    [
        ("metric", pa.string()),
        ("arm", pa.string()),
        ("day", pa.date32()),
        ("share", pa.float64()),
        ("estimate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Reading:
    """What a test says.

    Attributes
    ----------
    experiment
        The test.
    arms
        Columns `ARMS`: rate or mean per metric and arm.
    lifts
        Columns `LIFTS`: per metric, arm, scale (``absolute``, ``relative``) and method (``fixed``, ``sequential``),
        plain and, with covariates, adjusted; of primary metrics at the level that their number asks for (Bonferroni).
    days
        Columns `DAYS`: the sequential interval of the absolute lift of the primary metrics at the end of each day.
    sharper
        Per metric the factor by which covariates shrink the variance of the last arm's difference; 1 without.
    check
        Customers per arm.
    verdict
        What follows.
    until, share
        Last day that was looked at; share of the planned customers, or customer-days, that is in.
    notes
        What was left out.
    """

    experiment: Experiment
    arms: pa.Table
    lifts: pa.Table
    days: pa.Table
    sharper: dict[str, float]
    check: RatioCheck
    verdict: Verdict
    until: date
    share: float
    notes: tuple[str, ...]

    def lift(self, metric: str, arm: str, *, scale: str = "relative", method: str = "sequential") -> Interval:
        """Return one lift, adjusted where there are covariates."""
        wanted = {"metric": metric, "arm": arm, "scale": scale, "method": method}
        row = [r for r in self.lifts.to_pylist() if all(r[k] == v for k, v in wanted.items())][-1]
        return Interval(row["estimate"], row["low"], row["high"], row["n"])


def read(gathered: Gathered, experiment: Experiment) -> Reading:
    """Return what the sums of a test say."""
    check = ratio_check(experiment.arms, gathered.counts, experiment.shares)
    share = float(gathered.shares[-1])
    arm_rows, lift_rows, day_rows = [], [], []
    sharper, judged, guards = {}, [], []
    for metric in experiment.metric:
        sums = gathered.sums[metric.name].at(-1)
        adjust = can_adjust(sums)
        sharper[metric.name] = _sharper(sums) if adjust else 1.0
        conversion = metric.kind == "conversion"
        for arm, name in enumerate(experiment.arms):
            found = arm_mean(sums, arm, conversion=conversion, level=experiment.level)
            arm_rows.append({"metric": metric.name, "role": metric.role, "arm": name, **_interval(found)})
        for arm, name in list(enumerate(experiment.arms))[1:]:
            compared = _compared(sums, arm, metric, experiment, share)
            lift_rows += _lift_rows(compared, metric, name, experiment)
            decisive = compared[(experiment.interval, adjust)]
            if metric.role == "primary":
                judged.append(Judged(metric, name, decisive, 0.0, _lowest(sums, arm)))
                day_rows += _day_rows(gathered, metric, arm, experiment, adjust=adjust)
            elif metric.role == "guardrail":
                guards.append(Guarded(metric, name, decisive))
    adjusted = holm([one.compared.p_value for one in judged])
    judged = [Judged(j.metric, j.arm, j.compared, p, j.least) for j, p in zip(judged, adjusted, strict=True)]
    return Reading(
        experiment,
        pa.Table.from_pylist(arm_rows, schema=ARMS),
        pa.Table.from_pylist(lift_rows, schema=LIFTS),
        pa.Table.from_pylist(day_rows, schema=DAYS),
        sharper,
        check,
        conclude(experiment, check, judged, guards, share=share, elapsed=len(gathered.days) if gathered.dated else 0),
        gathered.days[-1],
        share,
        gathered.notes,
    )


def terms_of(metric: Metric, experiment: Experiment) -> Terms:
    """Return the terms of a metric: primary ones share the level (Bonferroni), others are looked at from both sides."""
    primary = metric.role == "primary"
    alpha = experiment.alpha / (experiment.comparisons if primary else 1)
    return Terms(alpha, experiment.sides if primary else 2, metric.sign)


def _compared(
    sums: Sums, arm: int, metric: Metric, experiment: Experiment, share: float
) -> dict[tuple[str, bool], Comparison]:
    terms, conversion = terms_of(metric, experiment), metric.kind == "conversion"
    out = {}
    for adjust in (False, True) if can_adjust(sums) else (False,):
        out[("fixed", adjust)] = fixed(sums, arm, terms, conversion=conversion, adjust=adjust)
        out[("sequential", adjust)] = anytime(sums, arm, terms, share=share, conversion=conversion, adjust=adjust)
    return out


def _lift_rows(
    compared: dict[tuple[str, bool], Comparison], metric: Metric, arm: str, experiment: Experiment
) -> list[dict[str, object]]:
    level = 1 - terms_of(metric, experiment).alpha
    return [
        {
            "metric": metric.name,
            "role": metric.role,
            "arm": arm,
            "scale": scale,
            "method": method,
            "adjusted": adjusted,
            "level": level,
            **_interval(interval),
            "p_value": found.p_value,
        }
        for (method, adjusted), found in compared.items()
        for scale, interval in (("absolute", found.absolute), ("relative", found.relative))
    ]


def _day_rows(
    gathered: Gathered, metric: Metric, arm: int, experiment: Experiment, *, adjust: bool
) -> list[dict[str, object]]:
    sums, out = gathered.sums[metric.name], []
    for day, when in enumerate(gathered.days):
        found = anytime(
            sums.at(day),
            arm,
            terms_of(metric, experiment),
            share=float(gathered.shares[day]),
            conversion=metric.kind == "conversion",
            adjust=adjust,
        )
        row = {"metric": metric.name, "arm": experiment.arms[arm], "day": when, "share": float(gathered.shares[day])}
        out.append({**row, **_interval(found.absolute)})
    return out


def _sharper(sums: Sums) -> float:
    """Variance of the last arm's adjusted difference by that of the plain one."""
    arm = len(sums.n) - 1
    plain, adjusted = (means.difference(arm)[1] for means in (plain_means(sums.metric()), adjusted_means(sums)))
    return (adjusted / plain) ** 2 if isfinite(plain) and plain > 0 else 1.0


def _lowest(sums: Sums, arm: int) -> int:
    return int(min(sums.n[arm], sums.n[0]))


def _interval(found: Interval) -> dict[str, object]:
    return {"estimate": found.estimate, "low": found.low, "high": found.high, "n": found.n}
