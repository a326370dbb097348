"""What stands between a customer and a product, and what would have to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nextoffer.policy import stages
from nextoffer.policy.batch import Batch
from nextoffer.policy.file import Policy
from nextoffer.policy.logic import Mask
from nextoffer.policy.ranking import OFFERED, Ranking, ranked, room, ties
from nextoffer.policy.wording import number


def why_not(batch: Batch, row: int, col: int, *, policy: Policy, seed: int) -> list[str]:
    """Return what keeps customer `row` from being offered product `col`, a line per rule, and where it would rank.

    All rules that stop the pair are named, in the order of their stages: to mend only the first would not help. The
    list is empty where the product is offered.

    Raises
    ------
    PolicyError
        A score is not a number.
    """
    case = _Case(batch, row, col, policy, ranked(batch, policy, seed))
    if case.ranking.rule[row, col] == OFFERED:
        return []
    broken = [rule for rule in stages.PAIR_RULES if case.stopped_by(rule)]
    if broken:
        return [*(f"{rule}: {_LINES[rule](case)}" for rule in broken), _rank_if_mended(case, seed)]
    rule = stages.RULES[case.ranking.rule[row, col]]
    return [f"{rule}: {(_cap if rule == stages.WEEKLY_CAP else _top_n)(case, seed)}"]


@dataclass(frozen=True)
class _Case:
    """One customer and one product, in the batch they were decided in."""

    batch: Batch
    row: int
    col: int
    policy: Policy
    ranking: Ranking

    def stopped_by(self, rule: str) -> bool:
        stopped = stages.stops(rule, self.batch, self.policy)
        return bool(np.broadcast_to(stopped, self.batch.shape)[self.row, self.col])

    @property
    def product(self) -> str:
        return self.batch.product_names[self.col]

    @property
    def propensity(self) -> float:
        return float(self.ranking.propensity[self.row, self.col])

    def open(self) -> Mask:
        """Which products no rule on single pairs stops, bool (P,)."""
        by_rank = [OFFERED, stages.RULES.index(stages.WEEKLY_CAP), stages.RULES.index(stages.TOP_N)]
        return np.isin(self.ranking.rule[self.row], by_rank)

    def place(self, seed: int) -> int:
        """Return the rank among the open products, as if this one were open too."""
        score = self.ranking.score[self.row]
        tie = ties(self.batch, np.array([self.row]), seed)[0]
        ahead = (score > score[self.col]) | ((score == score[self.col]) & (tie < tie[self.col]))
        return int((ahead & self.open()).sum()) + 1


def _consent(_: _Case) -> str:
    return "no marketing consent: the customer would have to give it"


def _inactive(case: _Case) -> str:
    return f"{case.product} is not sold at present: it would have to be made active"


def _held(case: _Case) -> str:
    batch = case.batch
    held = batch.facts.held[case.row]
    if held[case.col]:
        return f"the customer already holds {case.product}"
    closing = np.flatnonzero(held & stages.closed_by(batch, case.policy)[:, case.col])
    names = " and ".join(batch.product_names[i] for i in closing)
    family = batch.product_column("family")[case.col]
    found = f"the customer already holds {names} of the same family '{family}'"
    if not case.policy.eligibility.upgrades:
        return f"{found}: the policy would have to allow upgrades"
    tier = batch.product_column("tier")
    above, this = _tier(tier[closing].max()), _tier(tier[case.col])
    return f"{found}: only a tier above {above} may follow, and this has {this}"


def _min_income(case: _Case) -> str:
    least = stages.least_income(case.batch, case.policy)[case.col]
    has = stages.income(case.batch)[case.row]
    factor = case.policy.eligibility.min_income_factor
    needed = f"{number(factor)} × {number(case.batch.product_column('min_income')[case.col])} = {number(least)}"
    if np.isnan(has):
        return f"income is not known, and {needed} is needed: it would have to be recorded"
    return f"income {number(has)} < {needed}: would need {number(least - has)} more"


def _cutoff(case: _Case) -> str:
    cutoff = case.policy.arbitration.cutoff
    short = cutoff - case.propensity
    return f"propensity {_percent(case.propensity)} < cutoff {_percent(cutoff)}: would need {_percent(short)} more"


def _cap(case: _Case, seed: int) -> str:
    contact = case.policy.contact
    made = int(case.batch.facts.contacts[case.row])
    left = int(room(case.batch, case.policy)[case.row])
    return (
        f"{made} offers in the last {contact.window_days} days, at most {contact.cap} are allowed: {left} may follow, "
        f"and this ranks {case.place(seed)}, so it would have to wait"
    )


def _top_n(case: _Case, seed: int) -> str:
    top = case.policy.arbitration.top_n
    last = np.sort(case.ranking.score[case.row][case.open()])[-top]
    return (
        f"ranks {case.place(seed)} of {int(case.open().sum())}, the first {top} are offered: "
        f"propensity {_percent(case.propensity)} would have to rise above {_percent(last)}"
    )


def _rank_if_mended(case: _Case, seed: int) -> str:
    others = int(case.open().sum())
    return f"would then rank {case.place(seed)} of {others + 1}, with propensity {_percent(case.propensity)}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _tier(tier: float) -> str:
    return "an unknown one" if np.isnan(tier) else number(tier)


_LINES: dict[str, Callable[[_Case], str]] = {
    stages.CONSENT: _consent,
    stages.INACTIVE: _inactive,
    stages.HELD: _held,
    stages.MIN_INCOME: _min_income,
    stages.CUTOFF: _cutoff,
}
