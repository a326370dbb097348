"""What has moved since a model was fitted: each figure of today against the same one at the fit, and a verdict.

Everything is a function of counts and sums; who collects them is of no account here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import erfc, isnan, nan, sqrt

import numpy as np
import pyarrow as pa

from nextoffer.evaluate.alarm import MONITORING, Check, Limits, Share, Status, compared, corrected, worst
from nextoffer.evaluate.drift import Divergence, divergence
from nextoffer.evaluate.reference import HIGHEST, Shape, Spread, pooled
from nextoffer.evaluate.wording import change, count, decimal, percent
from nextoffer.intervals import Interval, rate

SPREADS = pa.schema(
    [
        *((name, pa.string()) for name in ("kind", "name", "label", "bin")),
        *((name, pa.float64()) for name in ("then", "now")),
        *((name, pa.int64()) for name in ("n_then", "n_now")),
    ]
)
"""Share of customers in each bin at the fit and now, of those of whom it is known."""
_FEW = 5
_NAMED = 5


@dataclass(frozen=True)
class Moved:
    """One column then and now: its bins, the share in each, and how far they are apart."""

    shape: Shape
    now: Spread
    bins: tuple[str, ...]
    counts: tuple[tuple[int, ...], tuple[int, ...]]
    apart: Divergence

    @classmethod
    def of(cls, shape: Shape, now: Spread) -> Moved:
        """Compare a spread with the shape it was counted into."""
        then_counts, now_counts, words = pooled(shape, now.counts)
        counts = tuple(int(c) for c in then_counts), tuple(int(c) for c in now_counts)
        return cls(shape, now, tuple(words) or _bins(shape), counts, divergence(then_counts, now_counts))

    def rows(self, kind: str) -> Iterator[dict[str, object]]:
        """Yield rows of `SPREADS`."""
        n_then, n_now = (sum(each) for each in self.counts)
        for name, then, now in zip(self.bins, *self.counts, strict=True):
            shares: dict[str, object] = {"then": then / n_then if n_then else nan, "now": now / n_now if n_now else nan}
            told = {"kind": kind, "name": self.shape.name, "label": self.shape.label, "bin": name}
            yield told | shares | {"n_then": n_then, "n_now": n_now}


def _bins(shape: Shape) -> tuple[str, ...]:
    if shape.kind == "flag":
        return ("no", "yes")
    cuts = [f"{cut:,.4g}" for cut in shape.cuts]
    if not cuts:
        return ("all",)
    return (f"≤ {cuts[0]}", *(f"{a} to {b}" for a, b in pairwise(cuts)), f"> {cuts[-1]}")


def drift_checks(moved: Sequence[Moved], limits: Limits, *, propensity: bool = False) -> tuple[Check, ...]:
    """Return a check of each column's population stability index, the furthest first."""
    line, kind = (limits.propensity, "propensity") if propensity else (limits.drift, "drift")
    found = [
        Check(
            kind,
            m.shape.name,
            m.shape.label,
            m.apart.psi,
            _drift_words(m, propensity=propensity),
            line,
            chance=m.apart.chance,
        )
        for m in moved
    ]
    return _furthest_first(corrected(found))


def _drift_words(moved: Moved, *, propensity: bool) -> str:
    if isnan(moved.apart.psi.estimate):
        return "It was known of nobody then or is known of nobody now, so it cannot be compared."
    then, now = (np.asarray(each) / max(sum(each), 1) for each in moved.counts)
    place = int(np.argmax(np.abs(now - then)))
    words = (
        f"PSI {moved.apart.psi.estimate:.3f} (chance alone reaches {moved.apart.noise:.3f} in 5 of 100 comparisons); "
        f"{moved.bins[place]}: {percent(float(then[place]))} of customers then, {percent(float(now[place]))} now."
    )
    if not propensity and moved.now.strange:
        new = ", ".join(f"'{w}' ({count(c)})" for w, c in moved.now.strange.most_common(_NAMED))
        words += f" Values the fit did not know by name: {new}."
    return words


def missing_checks(moved: Sequence[Moved], limits: Limits) -> tuple[Check, ...]:
    """Return a check of the share of customers of whom each column is not known."""
    found = []
    for m in moved:
        before, after = rate(m.shape.missing, m.shape.customers), rate(m.now.missing, m.now.customers)
        gap = after.estimate - before.estimate
        words = f"Not known of {percent(after.estimate)} of customers; at the fit of {percent(before.estimate)}."
        chance = two_rates(m.now.missing, m.now.customers, m.shape.missing, m.shape.customers)
        found.append(
            Check(
                "missing",
                m.shape.name,
                m.shape.label,
                after,
                words,
                limits.missing,
                before.estimate,
                abs(gap),
                chance,
            )
        )
    return _furthest_first(corrected(found))


def two_rates(x1: float, n1: float, x0: float, n0: float) -> float:
    """Return the chance of two shares differing as much if they were the same: the pooled z test.

    Fleiss, Levin & Paik (2003), Statistical Methods for Rates and Proportions, 3rd ed., 3.2, without correction.

    >>> round(two_rates(130, 1000, 100, 1000), 4), two_rates(0, 10, 0, 10)
    (0.0355, 1.0)
    """
    if not n1 or not n0:
        return nan
    p = (x1 + x0) / (n1 + n0)
    error = sqrt(p * (1 - p) * (1 / n1 + 1 / n0))
    return erfc(abs(x1 / n1 - x0 / n0) / error / sqrt(2)) if error > 0 else 1.0


@dataclass(frozen=True)
class Decisions:
    """What a policy made of n customers.

    Attributes
    ----------
    customers, without
        All of them, and those who get no offer.
    reached
        Per product id, the customers who are offered it.
    stopped
        Per rule, the pairs it stopped of the customers without an offer.
    """

    customers: int
    without: int
    reached: Mapping[str, int]
    stopped: Mapping[str, int]

    def __add__(self, other: Decisions) -> Decisions:
        reached, stopped = (
            {k: a.get(k, 0) + b.get(k, 0) for k in dict.fromkeys((*a, *b))}
            for a, b in ((self.reached, other.reached), (self.stopped, other.stopped))
        )
        return Decisions(self.customers + other.customers, self.without + other.without, reached, stopped)

    @property
    def stopped_most(self) -> str:
        """The rule that stopped most pairs of the customers without an offer, in words."""
        pairs = sum(self.stopped.values())
        if not pairs:
            return ""
        rule, most = max(self.stopped.items(), key=lambda each: each[1])
        return f"; most of their products are stopped by {rule} ({percent(most / pairs)})"


def decision_checks(now: Decisions, then: Decisions, limits: Limits, names: Mapping[str, str]) -> Iterator[Check]:
    """Yield the checks of who gets offers, and of which products reach anybody."""
    after, before = rate(now.without, now.customers), rate(then.without, then.customers)
    words = (
        f"{percent(after.estimate)} of {count(now.customers)} customers get no offer{now.stopped_most}. "
        f"On the day of the fit it was {percent(before.estimate)}{then.stopped_most}."
    )
    yield Check(
        "without_offers",
        "all",
        "Customers without an offer",
        after,
        words,
        limits.without_offers,
        before.estimate,
        abs(after.estimate - before.estimate),
        two_rates(now.without, now.customers, then.without, then.customers),
    )
    there = [p for p in now.reached if then.reached.get(p, 0) >= _FEW]
    lost = [p for p in there if not now.reached[p]]
    nobody = [p for p, reached in now.reached.items() if not reached]
    words = f"{len(now.reached) - len(nobody)} of {len(now.reached)} products reach somebody."
    if nobody:
        words += f" Nobody is offered {_listed(names.get(p, p) for p in nobody)}."
    if lost:
        words += f" On the day of the fit {_listed(names.get(p, p) for p in lost)} did reach customers."
    share = rate(len(lost), len(there))
    yield Check(
        "coverage",
        "all",
        "Products that no longer reach anybody",
        Interval(share.estimate, nan, nan, len(there)),
        words,
        limits.coverage,
    )


def _listed(names: Iterator[str]) -> str:
    given = list(names)
    more = f" and {len(given) - _NAMED} more" if len(given) > _NAMED else ""
    return ", ".join(given[:_NAMED]) + more


def acceptance_check(now: Share, then: Share, limits: Limits, when: str) -> Check:
    """Return the check of the rate at which offers are accepted."""
    lift, chance = compared(now, then)
    if isnan(lift.estimate):
        words = f"There are no offers {when} to judge." if not now.n else "There are no offers before the fit."
    else:
        words = (
            f"{percent(now.estimate)} of {count(now.n)} offers {when} were accepted; before the fit "
            f"{percent(then.estimate)} of {count(then.n)}: {change(lift.estimate)}."
        )
    label = "Acceptance rate against that before the fit"
    return Check("acceptance", "all", label, lift, words, limits.acceptance, 0.0, abs(lift.estimate), chance)


def calibration_check(accepted: Share, expected: float, limits: Limits, *, subject: str, label: str) -> Check:
    """Return the check of acceptances against the mean probability stated; `expected` is that mean."""
    if not accepted.n or expected <= 0:
        words = "There are no answered offers since the fit to judge."
        return Check("calibration", subject, label, Interval(nan, nan, nan, 0), words, limits.calibration)
    ratio, chance = compared(accepted, Share(expected, 0.0, accepted.n))
    words = (
        f"Of {count(accepted.n)} offers since the fit {percent(expected)} were expected to be accepted, "
        f"{percent(accepted.estimate)} were: {change(ratio.estimate)}."
    )
    size = abs(ratio.estimate)
    return Check("calibration", subject, label, ratio, words, limits.calibration, 0.0, size, chance)


def auc_check(now: Interval, then: Interval | None, limits: Limits) -> Check:
    """Return the check of how well offers since the fit were ordered."""
    label = "Order of offers since the fit (AUC)"
    if isnan(now.estimate):
        words = "There are too few answered offers since the fit to judge."
        return Check("auc", "all", label, now, words, limits.auc, size=nan)
    words = f"An accepted offer was scored above one that was not in {percent(now.estimate)} of cases."
    if then is None or isnan(then.low) or isnan(now.low):
        return Check("auc", "all", label, now, words + " The fit did not keep its own.", None)
    error = sqrt(sum(((i.high - i.low) / (2 * 1.959964)) ** 2 for i in (now, then)))
    lost = then.estimate - now.estimate
    chance = erfc(abs(lost) / error / sqrt(2)) if error > 0 else 1.0
    words += f" At the fit, on customers held out, it was {percent(then.estimate)}."
    return Check("auc", "all", label, now, words, limits.auc, then.estimate, lost, chance)


def volume_check(now: Share, limits: Limits, days: int) -> Check:
    """Return the check of how many transactions come in; `now` is their ratio to those before the fit."""
    gap, chance = compared(now, Share(1.0, 0.0, max(now.n, 1)))
    if isnan(gap.estimate):
        words = "There are no transactions before the fit to compare with."
    else:
        words = f"Transactions of the last {days} days against those of the {days} days before the fit: "
        words += f"{change(gap.estimate)}."
    label = "Transactions coming in"
    return Check("volume", "transactions", label, gap, words, limits.volume, 0.0, abs(gap.estimate), chance)


def days_check(name: str, label: str, days: float, limits: Limits, words: str) -> Check:
    """Return a check of a number of days, in which chance has no part; `name` is its limit's."""
    n = 0 if isnan(days) else 1
    return Check(name.removesuffix("_days"), "all", label, Interval(days, nan, nan, n), words, getattr(limits, name))


def _furthest_first(checks: Sequence[Check]) -> tuple[Check, ...]:
    return tuple(sorted(checks, key=lambda c: (-_severity(c), -c.beyond if not isnan(c.beyond) else 0.0, c.subject)))


def _severity(check: Check) -> int:
    return {"red": 3, "amber": 2, "green": 1, "unknown": 0}[check.status()]


def headline(checks: Sequence[Check]) -> str:
    """Return the verdict in one sentence."""
    verdict = worst(checks)
    if verdict == "unknown":
        return "NOT KNOWN: nothing could be judged."
    guilty = [c for c in checks if c.status() == verdict]
    if verdict == "green":
        judged = sum(c.status() == "green" for c in checks)
        return f"GREEN: none of {judged} figures is beyond its limits."
    kinds = dict.fromkeys(KINDS[c.check].lower() for c in guilty)
    figures = "1 figure is" if len(guilty) == 1 else f"{len(guilty)} figures are"
    return f"{verdict.upper()}: {figures} beyond the {verdict} limit: {', '.join(kinds)}."


KINDS: Mapping[str, str] = {
    "drift": "Drift of features",
    "missing": "Features not known",
    "propensity": "Drift of propensities",
    "calibration": "Calibration",
    "auc": "Order of offers",
    "acceptance": "Acceptance rate",
    "without_offers": "Customers without an offer",
    "coverage": "Products that reach nobody",
    "volume": "Transactions coming in",
    "silent": "Days since the last transaction",
    "age": "Age of the model",
}
"""Every kind of check, in the order they are told."""
ADVICE: Mapping[str, str] = {
    "drift": "Find out whether customers or their data have changed; where it is the customers, fit again.",
    "missing": "Ask whoever delivers the table: a column or a source has probably gone missing.",
    "propensity": "See which features drift. If those are right, fit again on recent offers.",
    "calibration": "Fit again on recent offers before values or budgets are planned with the propensities.",
    "auc": "Compare models on recent offers with `nextoffer evaluate`, then fit again.",
    "acceptance": "See whether products, prices, channels or the season have changed before blaming the model.",
    "without_offers": "Look at the rule named; `nextoffer simulate-policy` shows what loosening it would do.",
    "coverage": "Look why with `nextoffer explain --product`; a rule, a consent or a product's data may have changed.",
    "volume": "Ask whoever delivers transactions whether the feed is whole.",
    "silent": "Ask whoever delivers transactions; features that count days are ageing.",
    "age": "Fit again, and compare old and new with `nextoffer evaluate`.",
}
"""What to do about each kind of check that is not green."""


def table_of(checks: Sequence[Check]) -> pa.Table:
    """Return the checks as a table (`MONITORING`)."""
    return pa.Table.from_pylist([c.row() for c in checks], schema=MONITORING)


def kind_rows(checks: Sequence[Check]) -> list[tuple[str, Status, Check, int]]:
    """Return for each kind its verdict, the check that decides it, and the number of figures."""
    out = []
    for kind in KINDS:
        mine = [c for c in checks if c.check == kind]
        if mine:
            deciding = max(mine, key=lambda c: (_severity(c), -1.0 if isnan(c.beyond) else c.beyond))
            out.append((kind, worst(mine), deciding, len(mine)))
    return out


def measured(check: Check) -> str:
    """Return a check's figure in its own unit."""
    value = check.now.estimate
    if isnan(value):
        return "–"
    if check.check in ("drift", "propensity"):
        return decimal(value)
    if check.check in ("silent", "age"):
        return f"{value:.0f} days"
    return change(value) if check.check in ("calibration", "acceptance", "volume") else percent(value)


def propensity_label(name: str, names: Mapping[str, str]) -> str:
    """Return what a shape of propensities is called."""
    return "Highest propensity of each customer" if name == HIGHEST else names.get(name, name)
