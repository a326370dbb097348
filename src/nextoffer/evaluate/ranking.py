"""Ranking metrics of scored customer-product pairs: one value per customer, exact over ties.

A model that scores two products alike has not said which comes first, so any single order would flatter or wrong it.
Every metric here is the *expected value over all orders of the tied pairs*, in closed form (McSherry & Najork 2008,
"Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores", ECIR). `best_order`
and `worst_order` give the range that a lucky or unlucky sort could have shown.

Pairs are cut once into `TieGroups` (one sort); each metric then costs a few passes over the groups. Labels are 0 or 1.
A customer without any positive scores 0 (`skip_empty` leaves such customers out instead).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class TieGroups:
    """Runs of pairs with equal score, customer by customer, best score first.

    Attributes
    ----------
    customers
        Number of customers, C. Those without pairs count as customers without positives.
    customer
        intp (G,): whose run it is, ascending.
    start
        float (G,): pairs of this customer ranked before the run.
    size, positives
        float (G,): pairs in the run, and how many of them have label 1.
    run_of_pair
        intp (N,): the run each pair lies in, in the order the pairs were given.
    """

    customers: int
    customer: Indices
    start: Floats
    size: Floats
    positives: Floats
    run_of_pair: Indices

    @cached_property
    def positives_of_customer(self) -> Floats:
        """Positives of each customer, shape (C,)."""
        return self.sum_by_customer(self.positives)

    @cached_property
    def positives_before(self) -> Floats:
        """Positives of the same customer ranked before each run, shape (G,)."""
        seen = np.cumsum(self.positives) - self.positives
        return np.asarray(seen - seen[_first_run(self.customer)])

    def sum_by_customer(self, values: Floats) -> Floats:
        """Add up one value per run, shape (G,), to one per customer, shape (C,)."""
        return _sums(self.customer, values, self.customers)

    def within(self, k: int) -> Floats:
        """How many places of each run lie among the first `k` of the customer's list, shape (G,)."""
        return np.clip(k - self.start, 0.0, self.size)


def tie_groups(
    customer: npt.ArrayLike, score: npt.ArrayLike, *, label: npt.ArrayLike, customers: int | None = None
) -> TieGroups:
    """Cut pairs into runs of equal score.

    Parameters
    ----------
    customer
        Whole numbers (N,): index of each pair's customer, 0..C-1.
    score
        (N,): higher is ranked earlier; -inf is allowed, NaN is not.
    label
        (N,): 1 = accepted, 0 = not.
    customers
        C; by default the highest index plus one.

    Raises
    ------
    ValueError
        Lengths differ, a score is NaN, or a label is neither 0 nor 1.

    >>> g = tie_groups([0, 0, 0], [0.9, 0.5, 0.5], label=[0, 1, 0])
    >>> g.size.tolist(), g.positives.tolist()
    ([1.0, 2.0], [0.0, 1.0])
    >>> average_precision(g, 3).round(4).tolist()  # the positive is second or third: (1/2 + 1/3) / 2
    [0.4167]
    """
    who = np.asarray(customer, dtype=np.intp)
    value = np.asarray(score, dtype=np.float64)
    positive = np.asarray(label, dtype=np.float64)
    _check(who, value, positive)
    order = _best_first(who, value)
    new_run = _differs(who[order]) | _differs(value[order])
    first = np.flatnonzero(new_run)
    whose = who[order[first]]
    run_of_pair = np.empty(len(who), dtype=np.intp)
    run_of_pair[order] = np.cumsum(new_run) - 1
    return TieGroups(
        customers=int(who.max(initial=-1)) + 1 if customers is None else customers,
        customer=whose,
        start=(first - first[_first_run(whose)]).astype(np.float64),
        size=np.diff(first, append=len(who)).astype(np.float64),
        positives=_sums(run_of_pair, positive, len(first)),
        run_of_pair=run_of_pair,
    )


def _check(who: Indices, value: Floats, positive: Floats) -> None:
    if not len(who) == len(value) == len(positive):
        raise ValueError(f"customer, score and label differ in length: {len(who)}, {len(value)}, {len(positive)}")
    if np.isnan(value).any():
        raise ValueError(f"{int(np.isnan(value).sum())} scores are NaN; every pair needs a score to be ranked")
    if not ((positive == 0) | (positive == 1)).all():
        raise ValueError("labels must be 0 or 1")


def _best_first(who: Indices, value: Floats) -> Indices:
    """Order by customer, then falling score: two plain sorts, which take less than half the time of `lexsort`."""
    place = np.empty(len(who), dtype=np.int64)
    place[np.argsort(-value)] = np.arange(len(who))
    return np.argsort(who * np.int64(max(len(who), 1)) + place)


def _differs(ordered: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """True where an ordered array differs from the entry before; the first always does."""
    out = np.ones(len(ordered), dtype=np.bool_)
    out[1:] = ordered[1:] != ordered[:-1]
    return out


def _first_run(customer: Indices) -> Indices:
    """Index of the first run of each run's customer."""
    new = _differs(customer)
    return np.asarray(np.flatnonzero(new)[np.cumsum(new) - 1])


def best_order(groups: TieGroups) -> TieGroups:
    """Return the groups with every tie broken in the labels' favour."""
    return _split_ties(groups, positives_first=True)


def worst_order(groups: TieGroups) -> TieGroups:
    """Return the groups with every tie broken against the labels."""
    return _split_ties(groups, positives_first=False)


def _split_ties(groups: TieGroups, *, positives_first: bool) -> TieGroups:
    """Each run becomes a run of positives and one of negatives (either may be empty, which every metric allows).

    `run_of_pair` keeps pointing at the run a pair came from and must not be used on the result.
    """
    hits, misses = groups.positives, groups.size - groups.positives
    nothing = np.zeros_like(hits)
    front, back = (hits, misses) if positives_first else (misses, hits)
    return replace(
        groups,
        customer=np.repeat(groups.customer, 2),
        start=_interleave(groups.start, groups.start + front),
        size=_interleave(front, back),
        positives=_interleave(hits, nothing) if positives_first else _interleave(nothing, hits),
    )


def _interleave(even: Floats, odd: Floats) -> Floats:
    return np.stack([even, odd], axis=1).ravel()


def precision(groups: TieGroups, k: int) -> Floats:
    """Return the share of the first `k` places that are positives, shape (C,)."""
    return groups.sum_by_customer(_share_positive(groups) * groups.within(k)) / k


def recall(groups: TieGroups, k: int) -> Floats:
    """Return the share of a customer's positives found in the first `k` places, shape (C,)."""
    return _ratio(groups.sum_by_customer(_share_positive(groups) * groups.within(k)), groups.positives_of_customer)


def hit_rate(groups: TieGroups, k: int) -> Floats:
    """Return the chance that the first `k` places hold a positive, shape (C,).

    A run of t pairs with m positives shows none in its first n places with probability C(t-m, n) / C(t, n).
    """
    size, positives, places = groups.size, groups.positives, groups.within(k)
    misses = size - positives
    log_choose = _log_factorials(size)
    left = np.maximum(misses - places, 0)  # the clip only keeps the look-up legal; such runs are impossible to miss
    log_none = log_choose(misses) - log_choose(left) - log_choose(size) + log_choose(size - places)
    log_none = np.where(misses < places, -np.inf, np.where(positives == 0, 0.0, log_none))
    return np.asarray(-np.expm1(groups.sum_by_customer(log_none)))


def ndcg(groups: TieGroups, k: int) -> Floats:
    """Return the normalised discounted cumulative gain of the first `k` places, shape (C,).

    Gain is the label, discount 1 / log2(1 + rank) (Järvelin & Kekäläinen 2002, ACM TOIS 20); 1 = all positives on top.
    """
    reach = int(max(k, 1, (groups.start + groups.size).max(initial=0)))
    discount = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, reach + 2)))])
    first = groups.start
    earned = _share_positive(groups) * (_at(discount, first + groups.within(k)) - _at(discount, first))
    ideal = _at(discount, np.minimum(groups.positives_of_customer, k))
    return _ratio(groups.sum_by_customer(earned), ideal)


def average_precision(groups: TieGroups, k: int) -> Floats:
    """Return the average precision of the first `k` places, shape (C,); its mean is MAP@k.

    ``AP@k = (sum over r <= k of label_r * positives among the first r / r) / min(k, positives)``, as on Kaggle.
    In a run of t pairs with m positives, preceded by h positives in s places, place j holds a positive with probability
    m/t and then has h + 1 + (j-1)(m-1)/(t-1) positives up to it on average; summed over j these are harmonic numbers.
    """
    size, start, places = groups.size, groups.start, groups.within(k)
    reach = int(max(1, (start + size).max(initial=0)))
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, reach + 1))])
    inverse_ranks = _at(harmonic, start + places) - _at(harmonic, start)
    growth = np.where(size > 1, (groups.positives - 1) / np.maximum(size - 1, 1), 0.0)
    precisions = (groups.positives_before + 1) * inverse_ranks + growth * (places - (start + 1) * inverse_ranks)
    normaliser = np.minimum(groups.positives_of_customer, k)
    return _ratio(groups.sum_by_customer(_share_positive(groups) * precisions), normaliser)


def reciprocal_rank(groups: TieGroups, k: int | None = None) -> Floats:
    """Return 1 / rank of the first positive, shape (C,); 0 where it ranks after `k`. Its mean is MRR.

    In the first run that holds positives, m among t pairs, the first of them is in place x with probability
    C(t-x, m-1) / C(t, m).
    """
    runs = np.flatnonzero((groups.positives > 0) & (groups.positives_before == 0))
    size, positives = groups.size[runs], groups.positives[runs]
    places = size - positives + 1
    if k is not None:
        places = np.minimum(places, groups.within(k)[runs])
    run = np.repeat(np.arange(len(runs)), places.astype(np.intp))
    place = np.arange(len(run)) - np.repeat(np.cumsum(places) - places, places.astype(np.intp)) + 1
    log_factorial = _log_factorials(size)

    def log_choose(of: Floats, take: Floats) -> Floats:
        return log_factorial(of) - log_factorial(take) - log_factorial(of - take)

    log_chance = log_choose(size[run] - place, positives[run] - 1) - log_choose(size, positives)[run]
    worth = np.exp(log_chance) / (groups.start[runs][run] + place)
    return _sums(groups.customer[runs][run], worth, groups.customers)


RankingMetric = Callable[[TieGroups, int], Floats]
RANKING_METRICS: dict[str, RankingMetric] = {
    "ndcg": ndcg,
    "map": average_precision,
    "precision": precision,
    "recall": recall,
    "hit_rate": hit_rate,
    "mrr": reciprocal_rank,
}


def skip_empty(groups: TieGroups, values: Floats) -> Floats:
    """Return one value per customer with NaN, "does not count", for those without any positive."""
    return np.where(groups.positives_of_customer > 0, values, np.nan)


def top_value(groups: TieGroups, value: npt.ArrayLike) -> Floats:
    """Return what the top-ranked pair of each customer is worth, shape (C,), averaged over ties; NaN without pairs.

    Parameters
    ----------
    value
        (N,): the worth of each pair, e.g. its true chance of acceptance.
    """
    of_run = _sums(groups.run_of_pair, np.asarray(value, dtype=np.float64), len(groups.size))
    top = np.flatnonzero(groups.start == 0)
    out = np.full(groups.customers, np.nan)
    out[groups.customer[top]] = of_run[top] / groups.size[top]
    return out


def chance_of_place(groups: TieGroups, k: int) -> Floats:
    """Return the chance that each pair is among its customer's first `k`, shape (N,): 0 or 1 unless tied across it."""
    return np.asarray((groups.within(k) / groups.size)[groups.run_of_pair])


def _sums(index: Indices, values: Floats, length: int) -> Floats:
    return np.asarray(np.bincount(index, weights=values, minlength=length), dtype=np.float64)


def _share_positive(groups: TieGroups) -> Floats:
    return np.asarray(groups.positives / np.maximum(groups.size, 1))


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Divide part by whole; 0 where there is nothing to find."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _at(table: Floats, places: Floats) -> Floats:
    return np.asarray(table[places.astype(np.intp)])


def _log_factorials(size: Floats) -> Callable[[Floats], Floats]:
    table = gammaln(np.arange(int(size.max(initial=0)) + 1) + 1.0)
    return lambda n: _at(table, n)
