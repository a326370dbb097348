"""What has moved since a model was fitted: each figure of today against the same one at the fit, and a verdict.

Everything is a function of counts and sums; who collects them is of no account here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite, isnan, nan

import numpy as np
import pyarrow as pa

from nextoffer.evaluate.alarm import (
    MONITORING,
    ORDER,
    Check,
    Limits,
    Line,
    Share,
    Status,
    beyond,
    compared,
    corrected,
    worst,
)
from nextoffer.evaluate.drift import Divergence, divergence
from nextoffer.evaluate.reach import Decisions
from nextoffer.evaluate.reference import HIGHEST, Shape, Spread, pooled
from nextoffer.evaluate.then_now import difference, two_rates
from nextoffer.evaluate.wording import Form, change, count, decimal, percent
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


def drift_checks(
    moved: Sequence[Moved], limits: Limits, importance: Mapping[str, float] | None = None
) -> tuple[Check, ...]:
    """Return a check of each feature's population stability index, the furthest first.

    `importance` is each feature's share of what features do to the scores. Chances are corrected for the features that
    are judged; others are told.
    """
    found = [_drift_check(m, "drift", limits.drift) for m in moved]
    return _judged(found, limits, importance)


def propensity_checks(moved: Sequence[Moved], limits: Limits) -> tuple[Check, ...]:
    """Return a check of each product's propensities, the furthest first."""
    return furthest_first(corrected([_drift_check(m, "propensity", limits.propensity) for m in moved]))


def _drift_check(moved: Moved, kind: str, line: Line) -> Check:
    apart, shape = moved.apart, moved.shape
    words = _drift_words(moved, features=kind == "drift")
    return Check(kind, shape.name, shape.label, apart.psi, words, line, size=apart.psi.low, chance=apart.chance)


def _judged(checks: Sequence[Check], limits: Limits, importance: Mapping[str, float] | None) -> tuple[Check, ...]:
    """The checks with their importance; those of features that hardly count only tell."""
    weights = importance or {}
    every = [replace(c, importance=weights.get(c.subject, nan)) for c in checks]
    counting = [c for c in every if not c.importance < limits.least_importance]
    others = [_for_information(c) for c in every if c.importance < limits.least_importance]
    return (*furthest_first(corrected(counting)), *furthest_first(others))


def _for_information(check: Check) -> Check:
    return replace(check, line=None, text=f"{check.text} It hardly moves scores, so it is not judged.")


def _drift_words(moved: Moved, *, features: bool) -> str:
    if isnan(moved.apart.psi.estimate):
        return "It was known of nobody then or is known of nobody now, so it cannot be compared."
    then, now = (np.asarray(each) / max(sum(each), 1) for each in moved.counts)
    place = int(np.argmax(np.abs(now - then)))
    words = f"PSI {decimal(moved.apart.psi.estimate)}; chance reaches {decimal(moved.apart.noise)} in 5 of 100 cases."
    if moved.apart.psi.estimate > moved.apart.noise:
        name = moved.bins[place]
        words += f" {name}: {percent(float(then[place]))} of customers then, {percent(float(now[place]))} now."
    if features and moved.now.strange:
        new = ", ".join(f"'{w}' ({count(c)})" for w, c in moved.now.strange.most_common(_NAMED))
        words += f" Values the fit did not know by name: {new}."
    return words


def set_aside(checks: Sequence[Check], limits: Limits) -> str:
    """Return a sentence on features that are surely far from the fit and not judged; nothing where there are none."""
    told = [c for c in checks if c.check == "drift" and c.line is None and c.beyond > limits.drift.red]
    if not told:
        return ""
    names = ", ".join(c.label for c in told[:_NAMED]) + (
        f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    )
    return f"Far from the fit, but not judged because they hardly move scores: {names}."


def missing_checks(
    moved: Sequence[Moved], limits: Limits, importance: Mapping[str, float] | None = None
) -> tuple[Check, ...]:
    """Return a check of the share of customers of whom each feature is not known; the rest as `drift_checks`."""
    found = []
    for m in moved:
        words = "Not known of {now} of customers; at the fit of {then}."
        of = (m.now.missing, m.now.customers), (m.shape.missing, m.shape.customers)
        found.append(_share_check(("missing", m.shape.name, m.shape.label), *of, words, limits.missing))
    return _judged(found, limits, importance)


def _share_check(
    name: tuple[str, str, str], now: tuple[int, int], then: tuple[int, int], words: str, line: Line
) -> Check:
    """The check of a share of customers, (those, all) now and then; `name` is check, subject and label."""
    after, before = rate(*now), rate(*then)
    told = words.format(now=percent(after.estimate), then=percent(before.estimate), n=count(now[1]))
    size = beyond(difference(after, before))
    return Check(*name, after, told, line, before.estimate, size, two_rates(*now, *then))


def decision_checks(now: Decisions, then: Decisions, limits: Limits, names: Mapping[str, str]) -> Iterator[Check]:
    """Yield the checks of who allows marketing, who gets offers, and which products reach anybody."""
    words = (
        f"For {{now}} of {{n}} customers there is no offer{now.stopped_most}; at the fit {{then}}{then.stopped_most}."
    )
    if now.resting:
        words += f" Contact rules keep further {percent(now.resting / now.customers)} from one today."
    both = (now.without, now.customers), (then.without, then.customers)
    yield _share_check(("without_offers", "all", KINDS["without_offers"]), *both, words, limits.without_offers)
    if now.consenting is not None and then.consenting is not None:
        both = (now.consenting, now.customers), (then.consenting, then.customers)
        words = "{now} of {n} customers allow marketing; at the fit {then} did."
        yield _share_check(("consent", "all", KINDS["consent"]), *both, words, limits.consent)
    yield _coverage_check(now, then, limits, names)


def _coverage_check(now: Decisions, then: Decisions, limits: Limits, names: Mapping[str, str]) -> Check:
    there = [p for p in now.reached if then.reached.get(p, 0) >= _FEW]
    lost = [p for p in there if not now.reached[p]]
    nobody = [p for p, reached in now.reached.items() if not reached]
    words = f"{len(now.reached) - len(nobody)} of {len(now.reached)} products reach somebody."
    if nobody:
        words += f" Nobody is offered {_listed(names.get(p, p) for p in nobody)}"
        words += ", as at the fit." if not lost else "."
    if lost:
        words += f" At the fit {_listed(names.get(p, p) for p in lost)} did reach customers."
    share = rate(len(lost), len(there))
    value = Interval(share.estimate, nan, nan, len(there))
    return Check("coverage", "all", KINDS["coverage"], value, words, limits.coverage)


def customers_check(now: int, then: int, limits: Limits) -> Check:
    """Return the check of how many customers the bank has; chance has no part in it."""
    gap = now / then - 1 if then else nan
    words = f"{count(now)} customers; at the fit {count(then)}."
    value = Interval(gap, nan, nan, now)
    return Check("customers", "all", KINDS["customers"], value, words, limits.customers, 0.0, abs(gap))


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
    return Check("acceptance", "all", label, lift, words, limits.acceptance, 0.0, beyond(lift), chance)


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
    return Check("calibration", subject, label, ratio, words, limits.calibration, 0.0, beyond(ratio), chance)


def auc_check(now: Interval, then: Interval | None, limits: Limits) -> Check:
    """Return the check of how well offers since the fit were ordered."""
    label = "Order of offers since the fit (AUC)"
    if isnan(now.estimate):
        words = "There are too few answered offers since the fit to judge."
        return Check("auc", "all", label, now, words, limits.auc, size=nan)
    words = f"An accepted offer was scored above one that was not in {percent(now.estimate)} of cases."
    if then is None or isnan(then.low) or isnan(now.low):
        return Check("auc", "all", label, now, words + " The fit did not keep its own.", None)
    lost = difference(then, now)
    words += f" At the fit, on customers held out, it was {percent(then.estimate)}."
    return Check("auc", "all", label, now, words, limits.auc, then.estimate, max(lost.low, 0.0))


def volume_check(now: Share, customers: int, limits: Limits, about: tuple[str, str, int]) -> Check:
    """Return the check of what transactions add up to; `now` is its ratio to that before the fit.

    `about` is subject, label and the days that are added up.
    """
    subject, label, days = about
    gap, chance = compared(now, Share(1.0, 0.0, max(now.n, 1)))
    if isnan(gap.estimate):
        words = "There are no transactions before the fit to compare with."
    else:
        words = f"The last {days} days against the {days} days before the fit: {change(gap.estimate)}."
    value = replace(gap, n=customers)
    return Check("volume", subject, label, value, words, limits.volume, 0.0, beyond(gap), chance)


def days_check(name: str, label: str, days: float, limits: Limits, words: str) -> Check:
    """Return a check of a number of days, in which chance has no part; `name` is its limit's.

    Infinite is "never", which is beyond any limit; NaN is not known.
    """
    known = days if isfinite(days) else nan
    value = Interval(known, nan, nan, int(isfinite(days)))
    return Check(name.removesuffix("_days"), "all", label, value, words, getattr(limits, name), size=days)


def furthest_first(checks: Sequence[Check]) -> tuple[Check, ...]:
    """Return the checks, the worst and furthest beyond what chance explains first."""
    return tuple(sorted(checks, key=lambda c: (-_severity(c), -c.beyond if not isnan(c.beyond) else 0.0, c.subject)))


def _severity(check: Check) -> int:
    return ORDER.index(check.status())


def headline(checks: Sequence[Check]) -> str:
    """Return the verdict in one sentence."""
    verdict = worst(checks)
    if verdict in ("unknown", "told"):
        return "NOT KNOWN: nothing could be judged."
    guilty = [c for c in checks if c.status() == verdict]
    if verdict == "green":
        judged = sum(c.status() == "green" for c in checks)
        if judged == 1:
            return "GREEN: the one figure that was judged is within its limits."
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
    "consent": "Customers who allow marketing",
    "coverage": "Products that no longer reach anybody",
    "customers": "Number of customers",
    "volume": "Transactions coming in",
    "silent": "Days since the last transaction",
    "offers_silent": "Days since the last offer",
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
    "coverage": "Ask `nextoffer explain` why a customer does not get it; a rule or product data may have changed.",
    "consent": "Ask whoever delivers consents whether the table is whole; then see how customers are asked for them.",
    "customers": "Ask whoever delivers customers whether the table is whole.",
    "volume": "Ask whoever delivers transactions whether the feed is whole, and in the same currency and units.",
    "silent": "Ask whoever delivers transactions; features that count days are ageing.",
    "offers_silent": "Ask whoever delivers responses; without them nobody knows whether the model still holds.",
    "age": "Fit again, and compare old and new with `nextoffer evaluate`.",
}
"""What to do about each kind of check that is not green."""


DAYS = frozenset(("silent", "offers_silent", "age"))
"""Kinds whose figure is a number of days."""
CHANGES = frozenset(("calibration", "acceptance", "customers", "volume"))
"""Kinds whose figure is a relative change."""


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


def form_of(check: Check) -> Form:
    """Return how a check's figure is written."""
    if check.check in ("drift", "propensity"):
        return decimal
    if check.check in DAYS:
        return lambda days: f"{days:.0f} days"
    return change if check.check in CHANGES else percent


def propensity_label(name: str, names: Mapping[str, str]) -> str:
    """Return what a shape of propensities is called."""
    return "Highest propensity of each customer" if name == HIGHEST else names.get(name, name)
