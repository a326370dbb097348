"""The acceptance gate: what was promised, what was measured, and what anyone could have reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from nextoffer.evaluate.backtest import find
from nextoffer.evaluate.judge import NOISELESS, SHARE, TOP_RESPONSE
from nextoffer.evaluate.wording import Form, bounds, change, decimal, whole_percent
from nextoffer.intervals import Interval


@dataclass(frozen=True)
class Gate:
    """What a model must reach to be accepted.

    Attributes
    ----------
    ndcg
        Least NDCG@k.
    lift
        Least relative lift of the response to the top offer over the baseline.
    """

    ndcg: float = 0.65
    lift: float = 0.10


@dataclass(frozen=True)
class Criterion:
    """One promise against what was measured.

    Attributes
    ----------
    name
        What is measured, in words.
    needed
        The least that is accepted.
    measured
        What the model reaches.
    ceiling
        The most any model could reach; None where it is not known.
    share
        Share of the way from the baseline to the ceiling; None where it is not known.
    form
        How a value is written.
    """

    name: str
    needed: float
    measured: Interval
    ceiling: float | None = None
    share: Interval | None = None
    form: Form = decimal

    @property
    def met(self) -> bool:
        """The estimate reaches what is needed."""
        return self.measured.estimate >= self.needed

    @property
    def reachable(self) -> bool:
        """Some model could reach it, as far as is known."""
        return self.ceiling is None or self.ceiling >= self.needed

    @property
    def verdict(self) -> str:
        """Met or not, with what must be said beside it."""
        if self.met:
            return "met" if self.measured.low >= self.needed else "met, though chance is not ruled out"
        return "not met" if self.reachable else "not met, and beyond any model here"

    def sentence(self) -> str:
        """Return the criterion in plain words."""
        needed, found = self.form(self.needed), self.form(self.measured.estimate)
        verdict = self.verdict[0].upper() + self.verdict[1:]
        words = f"{self.name}: {found} ({bounds(self.measured, self.form)}) against {needed} needed. {verdict}."
        if self.ceiling is not None:
            words += f" The best possible is {self.form(self.ceiling)}"
            share = self.share
            way = (
                ""
                if share is None
                else f"; from the baseline to it, {whole_percent(share.estimate)} of the way is done"
            )
            words += f"{way}."
        return words

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for machines."""
        return {
            "criterion": self.name,
            "needed": self.needed,
            "measured": vars(self.measured),
            "met": self.met,
            "reachable": self.reachable,
            "ceiling": self.ceiling,
            "share_of_achievable": None if self.share is None else vars(self.share),
        }


def judge_gate(
    report: pa.Table,
    champion: str,
    *,
    baseline: str,
    lift: Interval | None = None,
    k: int = 5,
    gate: Gate | None = None,
) -> tuple[Criterion, ...]:
    """Return the criteria of the gate for one model.

    Parameters
    ----------
    report
        A Report with `champion` and `baseline`.
    lift
        Measured lift over the baseline, such as an A/B test's; by default the report's, which knows it only in worlds
        whose truth is known.
    """
    needed = gate or Gate()
    ndcg = f"ndcg@{k}"
    criteria = [
        Criterion(
            name=f"NDCG@{k}",
            needed=needed.ndcg,
            measured=find(report, ndcg, champion),
            ceiling=_estimate(report, ndcg, NOISELESS),
            share=_maybe(report, f"{ndcg} {SHARE}", champion),
        )
    ]
    over = f"lift over {baseline}"
    measured = _maybe(report, over, champion) if lift is None else lift
    if measured is not None:
        criteria.append(
            Criterion(
                name=f"Lift of the response over {baseline}",
                needed=needed.lift,
                measured=measured,
                ceiling=_estimate(report, over, NOISELESS),
                share=_maybe(report, f"{TOP_RESPONSE} {SHARE}", champion),
                form=change,
            )
        )
    return tuple(criteria)


def headline(criteria: Sequence[Criterion]) -> str:
    """Return the gate's verdict as one sentence.

    >>> lift, ndcg = Interval(0.3, 0.2, 0.4, 900), Interval(0.36, 0.34, 0.38, 900)
    >>> headline([Criterion("Lift", 0.1, lift), Criterion("NDCG@5", 0.65, ndcg)])
    'The acceptance gate is not met: 1 of 2 criteria holds.'
    """
    met = sum(criterion.met for criterion in criteria)
    if met == len(criteria):
        return "The acceptance gate is met."
    holds = "holds" if met == 1 else "hold"
    return f"The acceptance gate is not met: {met} of {len(criteria)} criteria {holds}."


def _maybe(report: pa.Table, metric: str, model: str) -> Interval | None:
    try:
        return find(report, metric, model)
    except KeyError:
        return None


def _estimate(report: pa.Table, metric: str, model: str) -> float | None:
    found = _maybe(report, metric, model)
    return None if found is None else found.estimate
