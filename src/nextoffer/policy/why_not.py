"""What stands between a customer and a product, and what would have to change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nextoffer.policy.arms import NO_VALUE, POPULARITY
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.contact import limit_line
from nextoffer.policy.logic import Mask
from nextoffer.policy.ordering import ties
from nextoffer.policy.ranking import OFFERED, Ranking, ranked
from nextoffer.policy.rule import Case, Rule, percent
from nextoffer.policy.wording import number


def why_not(batch: Batch, row: int, col: int, *, book: Book, seed: int) -> list[str]:
    """Return what keeps customer `row` from being offered product `col`, a line per rule, and where it would rank.

    All rules that stop the pair are named, in the order of their stages: to mend only the first would not help. The
    list is empty where the product is offered.

    Raises
    ------
    PolicyError
        A score is not a number.
    """
    case = Case(batch, row, col)
    standing = _Standing(case, ranked(batch, book, seed), seed)
    stopped = int(standing.ranking.rule[row, col])
    if stopped == OFFERED:
        return []
    broken = [rule for rule in book.rules if _stops(rule, case)]
    if broken:
        return [*(f"{rule.name}: {rule.line(case)}" for rule in broken), standing.if_mended()]
    told = standing.beyond_top() if stopped == book.top_n else standing.beyond_limit(stopped - book.first_limit)
    return [f"{book.names[stopped]}: {told}"]


def _stops(rule: Rule, case: Case) -> bool:
    return bool(np.broadcast_to(rule.stops(case.batch), case.batch.shape)[case.row, case.col])


@dataclass(frozen=True)
class _Standing:
    """Where one pair stands among the customer's others."""

    case: Case
    ranking: Ranking
    seed: int

    def open(self) -> Mask:
        """Which products no rule on single pairs stops, bool (P,)."""
        stopped = self.ranking.rule[self.case.row]
        return np.asarray((stopped == OFFERED) | (stopped >= self.ranking.book.first_limit))

    def place(self) -> int:
        """Return the rank among the open products, as if this one were open too."""
        row, col = self.case.row, self.case.col
        score = self.ranking.score[row]
        tie = ties(self.case.batch, np.array([row]), self.seed)[0]
        ahead = (score > score[col]) | ((score == score[col]) & (tie < tie[col]))
        return int((ahead & self.open()).sum()) + 1

    def beyond_limit(self, limit: int) -> str:
        told = limit_line(self.case.batch, self.case.row, limit, self.ranking.book.policy.contact)
        return f"{told}, and this ranks {self.place()}, so it would have to wait"

    def beyond_top(self) -> str:
        if self.by_chance():
            return f"ranks {self.place()} of {int(self.open().sum())}, and the first ranks are left to chance"
        top = self.ranking.book.policy.arbitration.top_n
        last = np.sort(self.ranking.score[self.case.row][self.open()])[-top]
        return (
            f"ranks {self.place()} of {int(self.open().sum())}, the first {top} are offered: "
            f"{self.sorted_by()} {self.shown(self.score())} would have to rise above {self.shown(last)}"
        )

    def if_mended(self) -> str:
        others = int(self.open().sum())
        told = f"would then rank {self.place()} of {others + 1}, with propensity {percent(self.case.propensity)}"
        return told if self.ranking.sorted is None else f"{told} and {self.sorted_by()} {self.shown(self.score())}"

    def by_chance(self) -> bool:
        """Whether chance had a part in the customer's ranks."""
        chance = self.ranking.order.chance
        return chance is not None and bool((chance[self.case.row] < 1).any())

    def sorted_by(self) -> str:
        """Return what people call the score."""
        arm = self.ranking.book.arms[self.ranking.arm[self.case.row]]
        return _SORTED_BY.get(arm, "propensity" if self.ranking.sorted is None else "priority")

    def score(self) -> float:
        return float(self.ranking.score[self.case.row, self.case.col])

    def shown(self, score: float) -> str:
        return percent(score) if self.sorted_by() == "propensity" else number(score)


_SORTED_BY = {NO_VALUE: "propensity", POPULARITY: "popularity"}
