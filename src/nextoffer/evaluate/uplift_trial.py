"""What offers held back by lot say of a model: what offers add, and whether it finds the customers to whom they do.

Rows are offers of one period, made or held back by chance. The share held back is taken to be the same for all of them;
`Trial.doubts` tells where that looks wrong. Intervals are by customer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import chdtrc

from nextoffer.evaluate.uplift import DECILES, Contacts, auuc, auuc_difference, deciles, gains, qini, rows
from nextoffer.intervals import Interval, rate_by_customer
from nextoffer.tables.flow import REPORT, Floats, Indices

PROPENSITY, UPLIFT = "propensity", "uplift"
SPLIT = "offers by lot"
BY_DECILE = pa.schema(
    [
        ("order", pa.string()),
        ("tenth", pa.int64()),
        ("predicted", pa.float64()),
        *((name, pa.float64()) for name in ("estimate", "low", "high")),
        ("n", pa.int64()),
    ]
)
"""Per order and tenth of offers, best first: the mean uplift predicted (NaN where there is none), the one observed."""
_CERTAIN = 0.001
_FEW = 5
_PRODUCTS = 40


@dataclass(frozen=True, eq=False)
class Trial:
    """n offers, made or held back by lot, with what a model said of them beforehand.

    Attributes
    ----------
    contacts
        What came of them, and whose they were.
    products
        (n,): names of the products.
    days
        (n,): when, in any ordered values.
    propensity
        float64 (n,): P(accept) if offered.
    uplift
        float64 (n,): what the offer adds to it; None where the model does not say.
    worth, cost
        float64 (n,): what an acceptance earns (NaN where not known) and what the offer costs; None where the bank does
        not tell.
    """

    contacts: Contacts
    products: npt.NDArray[np.str_]
    days: npt.NDArray[np.generic]
    propensity: Floats
    uplift: Floats | None = None
    worth: Floats | None = None
    cost: Floats | None = None

    def __len__(self) -> int:
        return len(self.contacts)

    @property
    def orders(self) -> dict[str, Floats]:
        """What offers may be sorted by."""
        known = {PROPENSITY: self.propensity}
        return known if self.uplift is None else known | {UPLIFT: self.uplift}

    @cached_property
    def priced(self) -> npt.NDArray[np.bool_] | None:
        """Bool (n,): whose worth is known; None where nothing is, or on one side only."""
        if self.worth is None or self.cost is None:
            return None
        known = np.isfinite(self.worth) & np.isfinite(self.cost)
        sides = self.contacts.treated[known]
        return known if 0 < sides.sum() < len(sides) else None

    def doubts(self) -> tuple[str, ...]:
        """Why the two sides may not be alike but for chance, in plain words."""
        treated, out = self.contacts.treated, []
        gap = self.imbalance()
        if gap.low > 0 or gap.high < 0:
            out.append(
                f"offers made had propensities {100 * gap.estimate:+.2f} points ({100 * gap.low:+.2f} to "
                f"{100 * gap.high:+.2f}) above those held back: were they held back by lot?"
            )
        for what, values in (("day", self.days), ("product", self.products)):
            if len(np.unique(values)) > 1 and _chance_of_shares(values, treated) < _CERTAIN:
                out.append(f"the share held back differs from {what} to {what}; the effects assume that it is one")
        return tuple(out)

    def imbalance(self) -> Interval:
        """Return the mean propensity of offers made less that of offers held back: 0 but for chance."""
        values = Contacts(self.propensity, self.contacts.treated, customers=self.contacts.customers)
        return values.mean(values.effects, seed=7)


@dataclass(frozen=True, eq=False)
class Found:
    """What a trial shows.

    Attributes
    ----------
    figures
        Metric → model → interval; models are the orders, or "" where there is none.
    by_product
        Name of a product → observed effect.
    by_decile
        `BY_DECILE`.
    curves
        Order → shares of offers made, and what they bring per offer of all.
    doubts
        As `Trial.doubts`.
    truth
        Order → true effect of every customer's first offer, in a simulated bank; empty where there is no truth.
    """

    figures: Mapping[str, Mapping[str, Interval]]
    by_product: Mapping[str, Interval]
    by_decile: pa.Table
    curves: Mapping[str, tuple[Floats, Floats]]
    doubts: tuple[str, ...]
    truth: Mapping[str, Interval]

    def of(self, metric: str, model: str = "") -> Interval | None:
        """Return a figure; None where there is none."""
        return self.figures.get(metric, {}).get(model)

    @property
    def table(self) -> pa.Table:
        """Columns of `nextoffer.tables.flow.REPORT`."""
        out = [
            row
            for metric, models in self.figures.items()
            for m, i in models.items()
            for row in rows({metric: i}, model=m)
        ]
        for name, interval in self.by_product.items():
            out += [row | {"group": f"product={name}"} for row in rows({"observed effect": interval}, model="")]
        out += [row for name, i in self.truth.items() for row in rows({"true effect of first offers": i}, model=name)]
        filled = [{**row, "split": SPLIT, "group": row["group"] or "all"} for row in out]
        return pa.Table.from_pylist(filled, schema=REPORT)


def judged(trial: Trial, truth: Mapping[str, Interval] | None = None, *, seed: int = 7, resamples: int = 1000) -> Found:
    """Return all that a trial shows."""
    contacts = trial.contacts
    figures: dict[str, dict[str, Interval]] = {
        "observed effect": {"": observed_effect(contacts)},
        "taken up if offered": {"": _side(contacts, made=True)},
        "taken up if held back": {"": _side(contacts, made=False)},
        "propensity of offers made less held back": {"": trial.imbalance()},
    }
    for name, order in trial.orders.items():
        for metric, area in (("auuc", auuc), ("qini", qini)):
            figures.setdefault(metric, {})[name] = area(contacts, order, seed=seed, resamples=resamples)
    if trial.uplift is not None:
        figures["auuc"][f"{UPLIFT} minus {PROPENSITY}"] = auuc_difference(contacts, trial.uplift, trial.propensity)
        figures["predicted effect"] = {UPLIFT: contacts.mean(trial.uplift, seed=seed)}
    figures |= _earned(trial, seed)
    return Found(
        figures,
        _by_product(trial),
        pa.Table.from_pylist([row for each in trial.orders.items() for row in _tenths(trial, *each)], schema=BY_DECILE),
        {name: gains(contacts, order) for name, order in trial.orders.items()},
        trial.doubts(),
        truth or {},
    )


def observed_effect(contacts: Contacts, inside: npt.NDArray[np.bool_] | None = None) -> Interval:
    """Return the share that took up of offers made less that of offers held back; NaN where a side has none.

    Interval from Wilson's of each side by customer, by Newcombe 1998, Statistics in Medicine 17, method 10: it holds
    the truth where nobody took up, too. `n` is offers of both sides.

    >>> made = np.arange(1000) < 800
    >>> effect = observed_effect(Contacts((np.arange(1000) % 10 == 0).astype(float), made))
    >>> effect.estimate, effect.low < 0 < effect.high
    (0.0, True)
    """
    one, none = (_side(contacts, made=made, inside=inside) for made in (True, False))
    gap = one.estimate - none.estimate
    below = sqrt((one.estimate - one.low) ** 2 + (none.high - none.estimate) ** 2) if one.n and none.n else np.nan
    above = sqrt((one.high - one.estimate) ** 2 + (none.estimate - none.low) ** 2) if one.n and none.n else np.nan
    return Interval(gap, gap - below, gap + above, one.n + none.n)


def _side(contacts: Contacts, *, made: bool, inside: npt.NDArray[np.bool_] | None = None) -> Interval:
    chosen = contacts.treated == made
    keep = chosen if inside is None else chosen & inside
    trials = np.bincount(contacts.places[keep])
    return rate_by_customer(np.bincount(contacts.places[keep], contacts.outcomes[keep]), trials)


def _by_product(trial: Trial) -> dict[str, Interval]:
    """The most offered products, by falling effect; those with fewer than five offers on a side are left out."""
    names, counts = np.unique(trial.products, return_counts=True)
    out = {}
    for name in names[np.argsort(-counts, kind="stable")][:_PRODUCTS]:
        inside = trial.products == name
        if min(trial.contacts.treated[inside].sum(), (~trial.contacts.treated[inside]).sum()) >= _FEW:
            out[str(name)] = observed_effect(trial.contacts, inside)
    return dict(sorted(out.items(), key=lambda each: -each[1].estimate))


def _tenths(trial: Trial, name: str, order: Floats) -> list[dict[str, object]]:
    found = deciles(trial.contacts, order)
    bands = np.minimum((_place(order) * DECILES).astype(np.intp), DECILES - 1)
    means = [float(order[bands == band].mean()) for band in np.unique(bands)]
    told = means if name == UPLIFT and len(means) == len(found) else [float("nan")] * len(found)
    return [
        {"order": name, "tenth": i, "predicted": told[i - 1], **vars(interval)}
        for i, interval in enumerate(found, start=1)
    ]


def _place(order: Floats) -> Floats:
    """The share of rows before each, best first; ties share."""
    _, level, sizes = np.unique(-order, return_inverse=True, return_counts=True)
    return np.asarray(((np.cumsum(sizes) - sizes / 2) / len(order))[level.ravel()])


def _earned(trial: Trial, seed: int) -> dict[str, dict[str, Interval]]:
    """What making offers earns per offer of all, in money: all, and those that pay by each order."""
    known = trial.priced
    if known is None or trial.worth is None or trial.cost is None:
        return {}
    whole = trial.contacts
    customers = whole.places[known]
    part = Contacts(whole.outcomes[known], whole.treated[known], customers=customers)
    worth, cost = trial.worth[known], trial.cost[known]
    net = part.effects * worth - cost
    chosen = {name: order[known] * worth > cost for name, order in trial.orders.items()}
    columns = {"every offer": net} | {name: np.where(pays, net, 0.0) for name, pays in chosen.items()}
    if UPLIFT in chosen:
        columns[f"{UPLIFT} minus {PROPENSITY}"] = columns[UPLIFT] - columns[PROPENSITY]
    found = part.means(np.stack(list(columns.values()), axis=1), seed=seed)
    shares = part.means(np.stack([pays.astype(np.float64) for pays in chosen.values()], axis=1), seed=seed)
    return {
        "earned per offer": dict(zip(columns, found, strict=True)),
        "share of offers that pay": dict(zip(chosen, shares, strict=True)),
    }


def _chance_of_shares(values: npt.NDArray[np.generic], treated: npt.NDArray[np.bool_]) -> float:
    """Return the chance of shares that differ as much between values: Pearson's chi-squared."""
    _, places = np.unique(values, return_inverse=True)
    n: Indices = np.bincount(places.ravel())
    made = np.bincount(places.ravel(), treated)
    share = treated.mean()
    squared = float((((made - n * share) ** 2) / (n * share * (1 - share))).sum())
    return float(chdtrc(len(n) - 1, squared))
