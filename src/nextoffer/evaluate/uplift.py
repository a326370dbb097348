"""Does a model find the customers whom contact changes? Curves of uplift, their areas, deciles, and whom to contact.

Customers were contacted (treated) or not by chance, with a known probability e. Sorted by predicted uplift, best first,
in equal shares f of all of them, with ``d_i = y_i t_i / e_i − y_i (1 − t_i) / (1 − e_i)``, whose mean is the effect::

    gain(f)  = Σ of d over the best f, per customer of all          what contacting the best f brings
    AUUC     = ∫ gain(f) df − ½ gain(1)                             0 for an order by chance; the area beyond that
    Qini     = ∫ (Y_t(f) − Y_c(f) N_t(f) / N_c(f)) df / n_treated   less the line to its end

with the outcomes Y and numbers N of the treated and the others among the best f (Radcliffe 2007, Direct Marketing
Analytics Journal).

Ties share: customers of equal prediction get the mean of their orders. Intervals are bootstrapped by customer and take
the order as given: it comes from other customers (a held-out part) or an earlier time. Of cross-fitted orders tell the
`folds`: customers are then put in order within their fold, and the interval is widened by √2. Each fold's customers
also order the others': with b_f the effects that fold f shows, its area goes as ``b_f · b_rest / |b_rest|``. Any two
of K folds' areas are correlated by up to 1 / (K − 1), so that the variance of their mean is up to twice that of
independent ones: so it is without any effect, and hardly more than theirs where the order is clear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nextoffer.evaluate.figures import ratio
from nextoffer.evaluate.off_policy import mean_by_customer
from nextoffer.intervals import Interval, bootstrap, bootstrap_means, heaps
from nextoffer.tables.flow import Floats, Indices

Statistic = npt.NDArray[np.float64]
_BANDS = 100
DECILES = 10
_CROSSED = 2**0.5


@dataclass(frozen=True, eq=False)
class Contacts:
    """n customers, contacted or not by chance, and what came of it.

    Attributes
    ----------
    outcomes
        float64 (n,): 0/1 or amounts.
    treated
        bool (n,).
    chance
        float64 (n,): the probability of being contacted; None: the share that was.
    customers
        (n,): whose row it is, in any ids, where a customer has several: intervals are by customer all the same. None:
        each his own.

    Raises
    ------
    ValueError
        Lengths differ, or a side is empty.
    """

    outcomes: Floats
    treated: npt.NDArray[np.bool_]
    chance: Floats | None = None
    customers: npt.NDArray[np.generic] | None = None

    def __post_init__(self) -> None:
        if len(self.treated) != len(self.outcomes):
            raise ValueError(f"treated: {len(self.treated)} rows, outcomes {len(self)}")
        if not 0 < int(self.treated.sum()) < len(self):
            raise ValueError(
                f"both sides are needed; of {len(self)} customers {int(self.treated.sum())} were contacted"
            )

    def __len__(self) -> int:
        return len(self.outcomes)

    @cached_property
    def effects(self) -> Floats:
        """Float64 (n,): d, whose mean over any group chosen beforehand is the group's average effect.

        The mean outcome of all is taken off first, which changes no expectation and takes most of the noise away.
        """
        chance = np.full(len(self), self.treated.mean()) if self.chance is None else self.chance
        y = self.outcomes - self.outcomes.mean()
        return np.asarray(np.where(self.treated, y / chance, -y / (1 - chance)))

    @cached_property
    def places(self) -> Indices:
        """Int (n,): which customer, from 0 on."""
        if self.customers is None:
            return np.arange(len(self))
        _, places = np.unique(self.customers, return_inverse=True)
        return np.asarray(places.ravel(), dtype=np.intp)

    def mean(self, values: Floats, *, seed: int, resamples: int = 1000) -> Interval:
        """Return the mean of one value per row, float64 (n,), NaN where it does not count, bootstrapped by customer."""
        return self.means(values[:, None], seed=seed, resamples=resamples)[0]

    def means(self, values: Floats, *, seed: int, resamples: int = 1000) -> tuple[Interval, ...]:
        """Return the mean of each column, float64 (n, m), all from the same samples of customers; `n` counts rows."""
        if self.customers is None:
            return bootstrap_means(values, seed=seed, resamples=resamples)
        known = np.isfinite(values)
        filled = np.where(known, values, 0.0)
        sums, counts = (
            np.stack([np.bincount(self.places, column) for column in part.T], axis=1)
            for part in (filled, known.astype(np.float64))
        )
        return tuple(
            replace(bootstrap(both, ratio, seed=seed, resamples=resamples), n=int(both[:, 1].sum()))
            for both in (np.stack(each, axis=1) for each in zip(sums.T, counts.T, strict=True))
        )

    def heaps(self, *, seed: int) -> Indices:
        """Return the customer of each row, or the heap of customers where they are very many, int (n,)."""
        return np.asarray(heaps(int(self.places.max()) + 1, seed=seed)[self.places], dtype=np.intp)


def gains(contacts: Contacts, predicted: Floats) -> tuple[Floats, Floats]:
    """Return the curve to draw: shares contacted (from 0 to 1), and what they bring per customer of all."""
    bands, shares = _bands(predicted)
    sums = np.bincount(bands, weights=contacts.effects, minlength=len(shares)) / len(contacts)
    return np.r_[0.0, np.cumsum(shares)], np.r_[0.0, np.cumsum(sums)]


def average_effect(contacts: Contacts, *, seed: int = 7) -> Interval:
    """Return what contact brings on average, per customer."""
    return contacts.mean(contacts.effects, seed=seed)


def auuc(
    contacts: Contacts, predicted: Floats, *, folds: Indices | None = None, seed: int = 7, resamples: int = 1000
) -> Interval:
    """Return the area between the gain curve and an order by chance, per customer; 0 if the order tells nothing.

    Parameters
    ----------
    predicted
        float64 (n,): uplift.
    folds
        int (n,): of cross-fitted predictions, the fold of each customer; his came from the others.

    >>> rng = np.random.default_rng(7)
    >>> treated, helped = rng.random(4000) < 0.5, np.arange(4000) < 2000
    >>> area = auuc(Contacts((treated & helped).astype(float), treated), helped.astype(float))
    >>> area.low < 0.125 < area.high
    True
    """
    places = _places(_ordered(predicted, folds))
    return _widened(contacts.mean(contacts.effects * places, seed=seed, resamples=resamples), folds)


def auuc_difference(
    contacts: Contacts, one: Floats, other: Floats, *, folds: Indices | None = None, seed: int = 7
) -> Interval:
    """Return how much larger the area of one order is than that of another, on the same customers."""
    places = _places(_ordered(one, folds)) - _places(_ordered(other, folds))
    return _widened(contacts.mean(contacts.effects * places, seed=seed), folds)


def _ordered(predicted: Floats, folds: Indices | None) -> Floats:
    return predicted if folds is None else ranked_within(predicted, folds)


def _widened(found: Interval, folds: Indices | None) -> Interval:
    """Return the interval of an order from other customers; wider where it is cross-fitted (see above)."""
    if folds is None:
        return found
    below, above = (_CROSSED * (bound - found.estimate) for bound in (found.low, found.high))
    return Interval(found.estimate, found.estimate + below, found.estimate + above, found.n)


def _places(predicted: Floats) -> Floats:
    """Return ½ − the share of customers who come before, float64 (n,): what each effect counts in the area."""
    _, level, count = np.unique(-predicted, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - count / 2
    return np.asarray(0.5 - middle[level.ravel()] / len(predicted))


def qini(
    contacts: Contacts, predicted: Floats, *, folds: Indices | None = None, seed: int = 7, resamples: int = 1000
) -> Interval:
    """Return Radcliffe's Qini, per treated customer: the area between ``Y_t − Y_c N_t / N_c`` and the line to its end.

    The curve is taken at 100 equal shares of customers (ties together). Needs equal chances of contact.
    """
    bands, shares = _bands(_ordered(predicted, folds))
    flags = [contacts.treated, ~contacts.treated]
    of = [np.where(side, value, 0.0) for side in flags for value in (contacts.outcomes, np.ones(len(contacts)))]
    width = len(shares)
    heap = contacts.heaps(seed=seed)
    cells = heap * width + bands
    size = int(heap.max()) + 1
    sums = np.hstack([np.bincount(cells, value, size * width).reshape(size, width) for value in of])
    steps = np.r_[0.0, np.cumsum(shares)]

    def area(totals: Statistic) -> Statistic:
        y_t, n_t, y_c, n_c = (np.cumsum(part, axis=1) for part in np.split(totals, 4, axis=1))
        curve = y_t - np.divide(y_c * n_t, n_c, out=np.zeros_like(y_c), where=n_c > 0)
        curve = np.column_stack([np.zeros(len(curve)), curve]) / n_t[:, [-1]]
        under = ((curve[:, 1:] + curve[:, :-1]) / 2 * np.diff(steps)).sum(axis=1)
        return np.asarray(under - curve[:, -1] / 2)

    found = bootstrap(sums, area, seed=seed, resamples=resamples)
    return _widened(replace(found, n=len(contacts)), folds)


def _bands(predicted: Floats, count: int = _BANDS) -> tuple[Indices, Floats]:
    """Return each customer's band, best first, (n,), and the share in each; equal predictions share one."""
    _, level, sizes = np.unique(-predicted, return_inverse=True, return_counts=True)
    middle = (np.cumsum(sizes) - sizes / 2) / len(predicted)
    band = np.minimum((middle[level.ravel()] * count).astype(np.intp), count - 1)
    _, packed = np.unique(band, return_inverse=True)
    packed = packed.ravel().astype(np.intp)
    return packed, np.bincount(packed) / len(predicted)


def ranked_within(predicted: Floats, folds: Indices) -> Floats:
    """Return each prediction's place among those of its own fold, float64 (n,), from 0 (least) to 1.

    Cross-fitted predictions are to be compared so: a fold whose effect happens to be large leaves a small one to those
    it is predicted from, and over all folds predictions that know nothing would be put the wrong way round.

    >>> ranked_within(np.array([0.1, 0.3, 7.0, 8.0]), np.array([0, 0, 1, 1])).tolist()
    [0.25, 0.75, 0.25, 0.75]
    """
    out = np.empty(len(predicted))
    for fold in np.unique(folds):
        inside = folds == fold
        out[inside] = 0.5 + _places(predicted[inside])
    return out


def deciles(contacts: Contacts, predicted: Floats, *, folds: Indices | None = None) -> tuple[Interval, ...]:
    """Return the average effect in each tenth of customers by prediction, best first; fewer where predictions tie.

    A tenth has few answers, which resamples lose or double: its interval is that of `off_policy.mean_by_customer`.
    """
    bands, shares = _bands(_ordered(predicted, folds), DECILES)
    found = []
    for inside in bands == np.arange(len(shares))[:, None]:
        _, places = np.unique(contacts.places[inside], return_inverse=True)
        tenth = mean_by_customer(contacts.effects[inside], np.asarray(places.ravel(), dtype=np.intp))
        found.append(_widened(replace(tenth, n=int(inside.sum())), folds))
    return tuple(found)


@dataclass(frozen=True)
class Contacted:
    """What contacting the best share of customers brings, per customer of all.

    Attributes
    ----------
    share
        Of customers contacted.
    value
        What they bring: value of an outcome × effect − cost of a contact.
    everybody
        What contacting all of them would.
    """

    share: float
    value: Interval
    everybody: Interval


def contacted_above(
    contacts: Contacts,
    predicted: Floats,
    *,
    worth: float | Floats = 1.0,
    cost: float | Floats = 0.0,
    folds: Indices | None = None,
    seed: int = 7,
) -> Contacted:
    """Return what contacting everyone whose predicted uplift is worth its cost brings; both may differ by row, (n,).

    The threshold comes from the predictions, not from the outcomes it is judged by, so the interval is honest; of
    cross-fitted ones tell the `folds`.
    """
    chosen = predicted * worth > cost
    net = contacts.effects * worth - cost
    value, everybody = contacts.means(np.stack([np.where(chosen, net, 0.0), net], axis=1), seed=seed)
    return Contacted(float(chosen.mean()), _widened(value, folds), everybody)


def best_share(
    contacts: Contacts, predicted: Floats, *, worth: float = 1.0, cost: float = 0.0, seed: int = 7
) -> Interval:
    """Return the share of customers, best first, whose contact brings most, with its interval over resamples.

    In its own data the best share looks better than it is: judge its value on others, or by `contacted_above`.
    """
    bands, shares = _bands(predicted)
    net = contacts.effects * worth - cost
    heap, width = contacts.heaps(seed=seed), len(shares)
    size = int(heap.max()) + 1
    table = np.bincount(heap * width + bands, net, size * width).reshape(size, width)
    steps = np.r_[0.0, np.cumsum(shares)]

    def best(totals: Statistic) -> Statistic:
        return np.asarray(steps[np.column_stack([np.zeros(len(totals)), np.cumsum(totals, axis=1)]).argmax(axis=1)])

    return replace(bootstrap(table, best, seed=seed), n=len(contacts))


def rows(found: Mapping[str, Interval], *, model: str) -> list[dict[str, object]]:
    """Return intervals by metric as rows of `nextoffer.tables.flow.REPORT`."""
    return [
        {
            "metric": metric,
            "model": model,
            "split": "",
            "group": "",
            "estimate": i.estimate,
            "low": i.low,
            "high": i.high,
            "n": i.n,
        }
        for metric, i in found.items()
    ]
