"""Finds the levers that bring a group's ratio above the line, prices them, and decides anew to see that they do.

Levers weigh products for every customer alike, so no decision looks at a sensitive column: it only tells the search how
far the groups are apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.errors import NextOfferError, did_you_mean
from nextoffer.evaluate.fair_words import Told
from nextoffer.evaluate.fairness import BEST, Disparity, Fairness, Groups, opened
from nextoffer.evaluate.funnel import FIRST, Scopes
from nextoffer.evaluate.remedy import BOUNDS, Goal, Outlook, Ranked, Search
from nextoffer.intervals import Interval, mean_of_sums
from nextoffer.policy import arms
from nextoffer.policy.contact import room
from nextoffer.policy.file import Policy
from nextoffer.policy.objective import Lever
from nextoffer.policy.ranking import sorted_by, stopped
from nextoffer.run.batch import Progress
from nextoffer.run.engine import Engine
from nextoffer.run.fair_groups import groups_of
from nextoffer.run.fairness import Measured, Options, Trial, measured
from nextoffer.run.labels import sampled_customers
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import ids_as_text

_TRIES = 4
"""How often the search aims higher where all customers show less than those searched on."""
_MARGIN = 0.01


@dataclass(frozen=True)
class Wish:
    """What is to be remedied.

    Attributes
    ----------
    step
        ``rank1`` or ``offered``.
    product
        A product, product type or ``all``; the one with the lowest ratio if None.
    customers
        About so many are searched on, drawn by key; the result is verified on everybody.
    """

    step: str = FIRST
    product: str | None = None
    customers: int = 10_000


@dataclass(frozen=True)
class Remedied:
    """What was found: the measured policies, old and new, and the new policy; None where nothing is to be changed."""

    measured: Measured
    policy: Policy | None


def remedied(
    engine: Engine,
    bank: Bank,
    policy: Policy | None = None,
    *,
    options: Options | None = None,
    wish: Wish | None = None,
    progress: Progress = lambda _: None,
) -> Remedied:
    """Return the cheapest levers found that bring the lowest ratio above the line, verified by deciding anew.

    Nobody is levelled down: the group with the lowest rate keeps at least what it has.
    Only what is surely below the line is remedied. What is given up is counted by what the policy sorts by; the price
    is told in expected value.

    Raises
    ------
    NextOfferError
        There is no such product or product type, or nobody to search on.
    """
    old, chosen, wanted = policy or engine.policy, options or Options(), wish or Wish()
    before = measured(engine, bank, old, options=chosen, progress=progress)
    target = _target(before.fairness, wanted)
    if target is None:
        what = f" for {wanted.product}" if wanted.product else ""
        said = (
            f"No group is surely below the line of {chosen.judging.line:g}{what} ({wanted.step}): nothing is changed."
        )
        return Remedied(replace(before, remedy=Told(False, (said,))), None)
    trial = Trial.of(engine, bank, (old,), chosen)
    search, levers = _search(trial, target, wanted)
    for _ in range(_TRIES):
        outlook = search.found()
        if outlook is None:
            break
        new, told = _with_levers(old, levers, outlook)
        after = measured(engine, bank, old, new, options=chosen, progress=progress)
        lowest, value = _lowest(after.fairness, target)
        if lowest >= chosen.judging.line and told:
            return Remedied(replace(after, remedy=_told(target, after, told, value)), new)
        further = search.goal.line + max(chosen.judging.line - lowest, 0.0) + _MARGIN
        search = Search(search.sample, replace(search.goal, line=further), search.levers)
    return Remedied(replace(before, remedy=_unreached(target, search, chosen.judging.line)), None)


def _target(found: Fairness, wish: Wish) -> Disparity | None:
    names = found.columns[0].scopes.names
    if wish.product is not None and wish.product not in names:
        near = did_you_mean(wish.product, names)
        raise NextOfferError(f"no product or product type '{wish.product}'{near}; there are {', '.join(names)}")
    wanted = [s for s, name in enumerate(names) if name == wish.product] if wish.product else None
    below = found.disparities(wish.step, wanted)
    return below[0] if below else None


def _search(trial: Trial, target: Disparity, wish: Wish) -> tuple[Search, list[tuple[str, str]]]:
    """Return the search, and which product type or product each of its levers is on."""
    parts, sizes = [], np.zeros(len(target.groups.names))
    for sample in _samples(trial, target, wish.customers):
        parts.append(sample)
        sizes += np.bincount(sample.groups, minlength=len(sizes))
    if not parts:
        raise NextOfferError("the bank has no customers to search on")
    scopes = trial.scopes
    named, member = _levers(scopes, target.scope, ids_as_text(trial.products.column("product_id")))
    goal = Goal(
        scopes.member[:, target.scope],
        wish.step,
        sizes,
        target.groups.judged,
        None if trial.options.judging.reference == BEST else target.groups.reference(target.scope),
        trial.options.judging.line,
    )
    return Search(Ranked.joined(parts), goal, member), named


def _levers(scopes: Scopes, target: int, ids: list[str]) -> tuple[list[tuple[str, str]], npt.NDArray[np.bool_]]:
    """Return a lever for every product type, and for the products of the target's types; each product set once."""
    first = len(scopes.kinds) - len(ids)
    types = [s for s, kind in enumerate(scopes.kinds) if kind == "product_type"]
    near = np.asarray(
        scopes.member[:, [s for s in types if (scopes.member[:, s] & scopes.member[:, target]).any()]].any(axis=1)
    )
    named = {scopes.member[:, s].tobytes(): ("product_type", scopes.names[s], s) for s in types}
    for j, product in enumerate(ids):
        if near[j] and target:
            named.setdefault(scopes.member[:, first + j].tobytes(), ("product", product, first + j))
    found = list(named.values())
    return [(kind, name) for kind, name, _ in found], scopes.member[:, [s for *_, s in found]].T


def _samples(trial: Trial, target: Disparity, most: int) -> Iterator[Ranked]:
    """Yield the champion's customers of a keyed sample, as they stand before they are put in order."""
    engine, column = trial.engines[0], trial.columns[_place(trial, target)]
    drawn = sampled_customers(trial.bank, most, seed=engine.policy.seed, purpose="fairness")
    desk = engine.desk(trial.products, trial.day)
    book, arbitration = desk.decider.book, engine.policy.arbitration
    for start in range(0, len(drawn), trial.options.chunk):
        ids: pa.Array = drawn.slice(start, trial.options.chunk)
        batch = desk.batch(engine.known(trial.bank, ids, as_of=trial.day))
        rule, arm = stopped(batch, book), arms.dealt(batch, book.policy.arm, book.policy.seed)
        score = np.asarray(np.where(rule < 0, sorted_by(batch, book, arm, desk.decider.seed), -np.inf))
        left = np.minimum(room(batch, book.policy.contact).left, arbitration.top_n).astype(np.intp)
        places = groups_of(trial.bank, (column,), ids)[column.label].places
        mine = np.flatnonzero(arm == 0)
        yield Ranked(score[mine], np.where(rule < 0, score, 0.0)[mine], left[mine], places[mine])


def _place(trial: Trial, target: Disparity) -> int:
    return [column.label for column in trial.columns].index(target.groups.by)


def _with_levers(
    policy: Policy, levers: list[tuple[str, str]], outlook: Outlook
) -> tuple[Policy, tuple[tuple[str, str, float], ...]]:
    found = tuple(
        (kind, of, round(weight, 3))
        for (kind, of), weight in zip(levers, outlook.factors(), strict=True)
        if weight != 1
    )
    more = [
        Lever(product_type=(of,), weight=weight) if kind == "product_type" else Lever(product=(of,), weight=weight)
        for kind, of, weight in found
    ]
    arbitration = policy.arbitration.model_copy(update={"lever": (*policy.arbitration.lever, *more)})
    return policy.model_copy(update={"arbitration": arbitration}), found


def _same(found: Fairness, target: Disparity) -> Groups:
    return next(groups for groups in found.columns if groups.by == target.groups.by)


def _lowest(found: Fairness, target: Disparity) -> tuple[float, Interval]:
    """Return the lowest ratio among the target's groups, and that group's with its interval."""
    groups = _same(found, target)
    values = [groups.compared(target.scope, group, "selection", target.step)[0] for group in groups.judged]
    lowest = min(values, key=lambda each: each.estimate if each.estimate == each.estimate else -1.0)
    return (lowest.estimate if lowest.estimate == lowest.estimate else 0.0), lowest


def _told(target: Disparity, after: Measured, levers: tuple[tuple[str, str, float], ...], value: Interval) -> Told:
    n = after.about.customers
    prices = {
        name: tuple(_total(after.worth[which, rank], n) for which in range(3))
        for rank, name in enumerate(("first offers", "all offers"))
    }
    spent = prices["first offers" if target.step == FIRST else "all offers"]
    unit = f" {after.about.currency}" if after.about.currency else ""
    weights = ", ".join(f"{weight:g} on {kind.replace('_', ' ')} {of}" for kind, of, weight in levers)
    was, now = (_below(found) for found in after.policies)
    fresh = now - was
    sentences = [
        f"{target.told}.",
        f"With levers of {weights} the lowest ratio is {value.estimate:.2f} ({value.low:.2f} to {value.high:.2f}), "
        "on all customers decided for anew.",
        f"Expected value of {'first' if target.step == FIRST else 'all'} offers: {spent[0].estimate:,.0f} before, "
        f"{spent[1].estimate:,.0f} after: {spent[2].estimate:+,.0f}{unit} "
        f"({spent[2].low:+,.0f} to {spent[2].high:+,.0f}).",
        "Levers were chosen to give up least of what the policy sorts by, which is "
        f"{after.about.objective.replace('_', ' ')} with its weights.",
    ]
    if fresh:
        named = ", ".join(f"{by} '{group}' for {of}" for by, group, of in sorted(fresh))
        sentences.append(f"Surely below the line are now, and were not before: {named}.")
    return Told(True, tuple(sentences), levers, target.value, value, {k: (v[0], v[1], v[2]) for k, v in prices.items()})


def _below(found: Fairness) -> set[tuple[str, str, str]]:
    return {(d.groups.by, d.groups.names[d.group], d.groups.scopes.names[d.scope]) for d in found.disparities()}


def _total(sums: npt.NDArray[np.float64], n: int) -> Interval:
    mean = mean_of_sums(float(sums[0]), float(sums[1]), n)
    return Interval(n * mean.estimate, n * mean.low, n * mean.high, n)


def _unreached(target: Disparity, search: Search, line: float) -> Told:
    groups, best = target.groups, search.best()
    opening = groups.opening(target.scope, target.group)
    before = groups.compared(target.scope, target.group, "selection", "arbitration")[0]
    sentences = [
        f"{target.told}.",
        f"No levers between {BOUNDS[0]:g} and {BOUNDS[1]:g} were found that reach {line:g}: without any the lowest "
        f"ratio is {search.start.ratio:.2f}, the best seen is {best.ratio:.2f}.",
    ]
    if opening is not None:
        sentences.append(
            f"The gap opens at {opened(opening)}; of those who come to be ranked at all the ratio is "
            f"{before.estimate:.2f} already. Levers weigh offers that the rules let through: look at the rule."
            if opening[0] not in ("offered", FIRST)
            else f"The gap opens at {opened(opening)}."
        )
    return Told(False, tuple(sentences), before=target.value)
