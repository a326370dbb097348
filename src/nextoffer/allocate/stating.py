"""Offers and limits → the problem as numbers, and the offers that no plan could make.

Amounts are counted in whole units where they have one (minutes, cents), so that sums are exact in any order; what is
too little for the smallest step is cut off a capacity: no plan could use it, and it would only loosen the bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from nextoffer.allocate.limits import Adviser, Advisers, Limits
from nextoffer.allocate.offers import Mask, Offers
from nextoffer.allocate.problem import Limit, Problem
from nextoffer.tables.flow import Floats, Indices

VALUE, SKILL, NOBODY, MOST = "value", "rm.skill", "rm.nobody", "per_customer"
_SCALES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)


@dataclass(frozen=True)
class Stated:
    """A problem, and why some offers are not part of it.

    Attributes
    ----------
    problem
        What is left to decide.
    barred
        int64 (offers,): −1, or the place in `rules` of what keeps an offer out whatever is decided.
    rules
        Names for refusals: the limits in the problem's order, then the others.
    """

    problem: Problem
    barred: npt.NDArray[np.int64]
    rules: tuple[str, ...]


@dataclass(frozen=True)
class _Column:
    """One limit: how much there is, and which offers take how much of it."""

    limit: Limit
    capacity: float
    at: Indices
    amount: Floats


@dataclass(frozen=True)
class _Pool:
    """RMs who may stand in for each other: one limit for each set of skills, and who may take which offer.

    Attributes
    ----------
    columns
        Their `at` are the offers that the RMs of the limit may take.
    """

    columns: tuple[_Column, ...] = ()


def stated(offers: Offers, limits: Limits) -> Stated:
    """Return the problem of sharing `limits` over `offers`.

    Raises
    ------
    AllocationError
        The limits name a column that is not there, or one that holds no amounts.
    """
    columns = [*_resources(offers, limits), *_slots(offers, limits), *_volumes(offers, limits)]
    pool = _Pool()
    unfit: dict[str, Mask] = {}
    if limits.rm is not None:
        needs = offers.matching({"channel": limits.rm.channel})
        if limits.rm.anyone:
            pool, unfit = _pooled(offers, limits.rm, needs)
        else:
            own, unfit = _own(offers, limits.rm, needs)
            columns += own
    names = [c.limit.name for c in (*columns, *pool.columns)]
    barred = _barred(columns, unfit, offers.value, len(names))
    problem = _problem(offers, columns, pool, barred, limits.per_customer)
    return Stated(problem, barred, (*names, *unfit, VALUE, MOST))


def _barred(columns: Sequence[_Column], unfit: Mapping[str, Mask], value: Floats, first: int) -> npt.NDArray[np.int64]:
    """Return which rule keeps each offer out: no RM may make it, no limit holds it, or it is worth nothing."""
    out = np.full(len(value), -1, dtype=np.int64)
    wanted = np.zeros(len(value), dtype=np.bool_)
    for j, column in enumerate(columns):
        if column.limit.minimum:
            wanted[column.at] = True
        else:
            out[column.at[(column.amount > column.capacity) & (out[column.at] < 0)]] = j
    for k, stopped in enumerate(unfit.values()):
        out[stopped] = first + k
    out[(out < 0) & (value <= 0) & ~wanted] = first + len(unfit)
    return out


def _problem(
    offers: Offers, columns: Sequence[_Column], pool: _Pool, barred: npt.NDArray[np.int64], most: int
) -> Problem:
    kept = barred < 0
    choices = _sparse([c.at for c in pool.columns], [c.amount for c in pool.columns], len(offers))
    pooled = np.diff(choices.indptr)
    use = _sparse([c.at for c in columns], [c.amount for c in columns], len(offers))
    if pool.columns:
        offer = np.repeat(np.arange(len(offers)), np.maximum(pooled, 1) * kept)
        use = sparse.hstack([use[offer], _one_each(choices, offer)], format="csr")
    else:
        offer = np.flatnonzero(kept)
        use = use if kept.all() else use[offer]
    owner = offers.customer[offer]
    start = np.append(np.flatnonzero(np.diff(owner, prepend=-1)), len(owner))
    every = (*columns, *pool.columns)
    capacity = np.array([c.capacity for c in every], dtype=np.float64)
    found = tuple(c.limit for c in every)
    return Problem(offers.value[offer], offers.tie[offer], start, offer, use, capacity, most, found)


def _sparse(at: Sequence[Indices], amount: Sequence[Floats], rows: int) -> sparse.csr_array:
    """Return columns as a sparse matrix (rows, columns); amounts of 0 stay, as what may be chosen for nothing."""
    ends = np.cumsum([0, *(len(a) for a in at)], dtype=np.int32)
    row = np.concatenate([*at, np.zeros(0, dtype=np.int64)]).astype(np.int32)
    data = np.concatenate([*amount, np.zeros(0)])
    return sparse.csc_array((data, row, ends), shape=(rows, len(at))).tocsr()


def _one_each(choices: sparse.csr_array, offer: Indices) -> sparse.csr_array:
    """Return (options, limits of the pool): each option takes its own one of the offer's choices."""
    has = np.diff(choices.indptr)[offer] > 0
    place = np.arange(len(offer)) - np.searchsorted(offer, offer)
    entry = (choices.indptr[offer] + place)[has]
    indptr = np.concatenate([[0], np.cumsum(has)])
    shape = (len(offer), choices.shape[1])
    return sparse.csr_array((choices.data[entry], choices.indices[entry], indptr), shape=shape)


def _in_units(amount: Floats) -> tuple[Floats, float, float]:
    """Return amounts in the coarsest of `_SCALES` that makes them whole, the scale, and their step, 0 for none."""
    for scale in _SCALES:
        whole = np.rint(amount * scale)
        if (np.abs(whole - amount * scale) <= 1e-9 * np.maximum(whole, 1)).all() and whole.sum() < 2**52:
            return whole, scale, float(np.gcd.reduce(whole.astype(np.int64))) or 1.0
    return amount, 1.0, 0.0


def _units(capacity: float, scale: float, step: float) -> float:
    """Return how much of a capacity can be used: whole steps, or all of it but for room to round sums."""
    if not step:
        return capacity * (1 - 1e-9)
    return float(np.floor(capacity * scale * (1 + 1e-12) / step) * step)


def _column(name: str, unit: str, capacity: float, at: Indices, amount: Floats) -> _Column:
    units, scale, step = _in_units(amount)
    return _Column(Limit(name, unit, capacity, scale=scale), _units(capacity, scale, step), at, units)


def _resources(offers: Offers, limits: Limits) -> Iterator[_Column]:
    for each in limits.resource:
        amount = offers.amounts(each.use, each.amounts) * offers.matching(each.where)
        at = np.flatnonzero(amount)
        yield _column(each.name, "unit", each.capacity, at, amount[at])


def _slots(offers: Offers, limits: Limits) -> Iterator[_Column]:
    for each in limits.slots:
        at = np.flatnonzero(offers.matching(each.where))
        yield _column(each.name, "slot", float(sum(each.per_day)), at, np.ones(len(at)))


def _volumes(offers: Offers, limits: Limits) -> Iterator[_Column]:
    for each in limits.volume:
        at = np.flatnonzero(offers.matching({each.column: each.value}))
        if each.max is not None:
            yield _column(f"{each.name} (max)", "offer", float(each.max), at, np.ones(len(at)))
        if each.min:
            limit = Limit(f"{each.name} (min)", "offer", float(each.min), minimum=True)
            yield _Column(limit, -float(each.min), at, -np.ones(len(at)))


def _own(offers: Offers, rm: Advisers, needs: Mask) -> tuple[list[_Column], dict[str, Mask]]:
    """Return one limit for each RM, whose offers are those to the RM's own customers, and who has none or the wrong."""
    codes, names = offers.codes("rm_id")
    minutes = offers.amounts(rm.minutes, rm.amounts)
    listed = {str(p.rm_id): p for p in rm.person}
    at = np.flatnonzero(needs & (codes >= 0))
    at = at[np.argsort(codes[at], kind="stable")]
    ends = np.searchsorted(codes[at], np.arange(len(names) + 1))
    unskilled = np.zeros(len(offers), dtype=np.bool_)
    columns = []
    for k in sorted(range(len(names)), key=lambda k: str(names[k])):
        mine = at[ends[k] : ends[k + 1]]
        if len(mine):
            person = listed.get(str(names[k]), Adviser(rm_id=str(names[k]), hours=rm.hours or 0.0))
            able = _able(offers, person, mine)
            unskilled[mine[~able]] = True
            mine = mine[able]
            columns.append(_hours(f"rm {person.rm_id}", person.hours, mine, minutes[mine]))
    return columns, {NOBODY: needs & (codes < 0), SKILL: unskilled}


def _able(offers: Offers, person: Adviser, at: Indices) -> Mask:
    if person.skills is None:
        return np.ones(len(at), dtype=np.bool_)
    codes, names = offers.codes("product_type")
    return np.array([*(name in person.skills for name in names), False])[codes[at]]


def _hours(name: str, hours: float, at: Indices, minutes: Floats) -> _Column:
    column = _column(name, "hour", hours * 60, at, minutes)
    return replace(column, limit=Limit(name, "hour", hours, scale=60 * column.limit.scale))


def _pooled(offers: Offers, rm: Advisers, needs: Mask) -> tuple[_Pool, dict[str, Mask]]:
    """Return one limit for each set of skills that RMs have, and the offers that nobody may make or has time for."""
    at = np.flatnonzero(needs)
    minutes, scale, _ = _in_units(offers.amounts(rm.minutes, rm.amounts)[at])
    teams: dict[bytes, list[Adviser]] = {}
    for person in sorted(rm.person, key=lambda p: str(p.rm_id)):
        teams.setdefault(_able(offers, person, at).tobytes(), []).append(person)
    columns, skilled, fits = [], np.zeros(len(at), dtype=np.bool_), np.zeros(len(at), dtype=np.bool_)
    for able, team in teams.items():
        mine = np.frombuffer(able, dtype=np.bool_)
        step = _in_units(minutes[mine])[2]
        time = [_units(p.hours * 60, scale, step) for p in team]
        held = mine & (minutes <= max(time))
        skilled |= mine
        fits |= held
        advisers = tuple((str(p.rm_id), p.hours, units) for p, units in zip(team, time, strict=True))
        hours = sum(p.hours for p in team)
        limit = Limit(_team_name(team[0]), "hour", hours, False, 60 * scale, advisers)
        columns.append(_Column(limit, sum(time), at[held], minutes[held]))
    unable, full = np.zeros(len(offers), dtype=np.bool_), np.zeros(len(offers), dtype=np.bool_)
    unable[at[~skilled]] = True
    full[at[skilled & ~fits]] = True
    return _Pool(tuple(columns)), {SKILL: unable, "rm.hours": full}


def _team_name(anyone: Adviser) -> str:
    return f"rm ({', '.join(sorted(anyone.skills)) if anyone.skills is not None else 'all skills'})"
