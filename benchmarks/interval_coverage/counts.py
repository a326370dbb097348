"""How often intervals in closed form hold the truth: rates, means, lifts, totals of a sample, drift, average uplift.

Amounts are skewed, offers come several to a customer, and customers differ in how readily they accept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nextoffer.evaluate.alarm import Share, compared
from nextoffer.evaluate.drift import divergence, jensen_shannon, psi
from nextoffer.evaluate.tally import Population, Tally
from nextoffer.intervals import Interval, bootstrap_means, lift_of_rates, mean_of_sums, rate, rate_by_customer
from nextoffer.models import natural_fit
from nextoffer.simulate.ab import simulate_ab
from nextoffer.simulate.profit import per_thousand

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator
Play = Callable[[Generator], tuple[Interval, float]]
"""Returns an interval and the truth."""


def _held(seed: int, repetitions: int, *, play: Play) -> float:
    draw, hits = np.random.default_rng([seed, *play.__name__.encode()]), []
    for _ in range(repetitions):
        found, truth = play(draw)
        hits.append(found.low <= truth <= found.high)
    return float(np.mean(hits))


def wilson(draw: Generator) -> tuple[Interval, float]:
    chance = draw.uniform(0.02, 0.2)
    return rate(int(draw.binomial(400, chance)), 400), float(chance)


def by_customer(draw: Generator) -> tuple[Interval, float]:
    chance, offers = draw.uniform(0.02, 0.2), draw.integers(1, 9, size=400)
    hits = draw.binomial(offers, draw.beta(chance * 4, (1 - chance) * 4, size=400))
    return rate_by_customer(hits, offers), float(chance)


def lift(draw: Generator) -> tuple[Interval, float]:
    base, more = draw.uniform(0.03, 0.15), draw.uniform(-0.2, 0.4)
    one, zero = draw.binomial(1500, base * (1 + more)), draw.binomial(1000, base)
    return lift_of_rates(int(one), 1500, int(zero), 1000), float(more)


def student(draw: Generator) -> tuple[Interval, float]:
    values = draw.lognormal(0.0, 0.8, 300)
    return mean_of_sums(float(values.sum()), float(values @ values), 300), float(np.exp(0.32))


def profit(draw: Generator) -> tuple[Interval, float]:
    """Most earn nothing, few much, some cost: the mean is 0.1 · 60 − 0.4 · 2."""
    which = draw.random(2000)
    amounts = np.where(which < 0.1, draw.exponential(60.0, 2000), np.where(which < 0.5, -2.0, 0.0))
    return per_thousand(amounts), 1000 * (6.0 - 0.8)


def _bank(draw: Generator) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Amounts of 3,000 customers, and the 800 who are looked at."""
    amounts = np.where(draw.random(3000) < 0.05, draw.lognormal(1.0, 0.6, 3000), 0.0)
    return amounts, draw.permutation(3000)[:800]


def counted_total(draw: Generator) -> tuple[Interval, float]:
    amounts, seen = _bank(draw)
    tally = Tally()
    tally.count("customers", [("all", "customers")], np.where(amounts[seen] > 0, 0, -1))
    return _read(tally, "customers"), float((amounts > 0).sum())


def amount_total(draw: Generator) -> tuple[Interval, float]:
    amounts, seen = _bank(draw)
    tally = Tally()
    tally.spread("offers", [("new", "expected_value")], amounts[seen][:, None])
    return _read(tally, "offers"), float(amounts.sum())


def change_of_total(draw: Generator) -> tuple[Interval, float]:
    """What a new policy adds, customer by customer; most gain and lose nothing."""
    was, seen = _bank(draw)
    change = np.where(draw.random(3000) < 0.1, draw.normal(0.4, 2.0, 3000), 0.0) - np.where(was > 4, was / 3, 0.0)
    tally = Tally()
    tally.spread("offers", [("difference", "expected_value")], change[seen][:, None])
    return _read(tally, "offers"), float(change.sum())


def _read(tally: Tally, table: str) -> Interval:
    [row] = tally.totals(table, ["a"], Population(800, 3000)).to_pylist()
    return Interval(row["estimate"], row["low"], row["high"], row["n"])


@lru_cache
def _two_strategies() -> tuple[pa.Table, pa.Table, pa.Table]:
    customers = np.arange(1500)
    base = np.random.default_rng(5).beta(2.0, 18.0, 1500)
    chance = np.stack([base, np.minimum(base * 1.25, 1.0)], axis=1).ravel()
    pairs = {"customer_id": np.repeat(customers, 2), "product_id": ["a", "b"] * 1500, "p_treated": chance}
    sides = [pa.table({"customer_id": customers, "product_id": [p] * 1500}) for p in "ab"]
    return pa.table(pairs), sides[0], sides[1]


def simulated_test(draw: Generator) -> tuple[Interval, float]:
    found = simulate_ab(*_two_strategies(), seed=int(draw.integers(2**31)))
    return found.lift, found.true_lift


_THEN = np.array([0.02, 0.05, 0.08, 0.1, 0.15, 0.2, 0.15, 0.12, 0.08, 0.05])


def _counted(
    draw: Generator, tilt: float, *, index: bool, sizes: tuple[int, int] = (4000, 1500)
) -> tuple[Interval, float]:
    now = _THEN * np.exp(tilt * np.linspace(-1, 1, len(_THEN)))
    now /= now.sum()
    found = divergence(draw.multinomial(sizes[0], _THEN), draw.multinomial(sizes[1], now))
    return (found.psi, psi(_THEN, now)) if index else (found.js, jensen_shannon(_THEN, now))


def psi_of_the_same(draw: Generator) -> tuple[Interval, float]:
    return _counted(draw, 0.0, index=True)


def psi_of_a_shift(draw: Generator) -> tuple[Interval, float]:
    return _counted(draw, 0.3, index=True)


def psi_of_a_great_shift(draw: Generator) -> tuple[Interval, float]:
    return _counted(draw, 0.9, index=True)


def psi_of_few(draw: Generator) -> tuple[Interval, float]:
    return _counted(draw, 0.4, index=True, sizes=(600, 300))


def js_of_a_shift(draw: Generator) -> tuple[Interval, float]:
    return _counted(draw, 0.3, index=False)


def js_of_a_great_shift(draw: Generator) -> tuple[Interval, float]:
    return _counted(draw, 0.9, index=False)


def js_of_few(draw: Generator) -> tuple[Interval, float]:
    return _counted(draw, 0.4, index=False, sizes=(600, 300))


def average_uplift(draw: Generator) -> tuple[Interval, float]:
    """What offers add, from 2,500 held back of 1,200 customers and a ranker that 400 acceptances taught its level."""
    who = draw.integers(0, 1200, 2500)
    chance = draw.beta(2.0, 14.0, 1200)[who]
    said = np.clip(chance * (1 + draw.normal() / 20), 1e-6, 1 - 1e-6)
    labels = (draw.random(2500) < 0.7 * chance).astype(np.float64)
    held_back = SimpleNamespace(weights=np.ones(2500), labels=labels, customers=who)
    task = SimpleNamespace(training=held_back, offered=np.log(said / (1 - said)))
    return natural_fit._average_uplift(task, 400.0), 0.3 * 2 / 16


def acceptance_now_and_then(draw: Generator) -> tuple[Interval, float]:
    """Acceptance of offers that come several to a customer, now 1.2 times what it was."""
    sides = []
    for customers, chance in ((400, 0.06), (900, 0.05)):
        offers = draw.integers(1, 6, size=customers)
        hits = draw.binomial(offers, draw.beta(chance * 5, (1 - chance) * 5, size=customers))
        sums = (hits.sum(), offers.sum(), hits @ hits, hits @ offers, offers @ offers, customers)
        sides.append(Share.of([float(v) for v in sums]))
    return compared(*sides)[0], 0.2


def noise_of_drift(seed: int, repetitions: int) -> float:
    """Share of comparisons of the same distribution that do not exceed the noise told."""
    draw, hits = np.random.default_rng([seed, 6]), []
    for _ in range(repetitions):
        found = divergence(draw.multinomial(4000, _THEN), draw.multinomial(1500, _THEN))
        hits.append(found.psi.estimate <= found.noise)
    return float(np.mean(hits))


def bootstrapped(seed: int, repetitions: int, *, customers: int) -> float:
    """Means of skewed amounts; beyond 4,096 customers by heaps. Drawn in hundreds: all share their resamples."""
    draw, hits = np.random.default_rng([seed, customers]), []
    for start in range(0, repetitions, 100):
        values = draw.lognormal(0.0, 0.8, (customers, min(100, repetitions - start)))
        hits += [i.low <= np.exp(0.32) <= i.high for i in bootstrap_means(values, seed=7)]
    return float(np.mean(hits))


COVERS: dict[str, Play] = {
    "rate (Wilson)": wilson,
    "rate by customer": by_customer,
    "lift of two rates (log)": lift,
    "mean (Student)": student,
    "profit per 1,000 customers": profit,
    "total of a sampled bank, customers": counted_total,
    "total of a sampled bank, amounts": amount_total,
    "total of a sampled bank, change": change_of_total,
    "simulated A/B test, lift": simulated_test,
    "average uplift of offers held back": average_uplift,
    "monitor, acceptance now and then": acceptance_now_and_then,
    "drift, PSI of a shift": psi_of_a_shift,
    "drift, PSI of a great shift": psi_of_a_great_shift,
    "drift, PSI of a shift, few customers": psi_of_few,
    "drift, JS of a shift": js_of_a_shift,
    "drift, JS of a great shift": js_of_a_great_shift,
    "drift, JS of a shift, few customers": js_of_few,
}


def _rows() -> Iterator[tuple[str, float, str, Callable[[int, int], float]]]:
    for customers in (400, 6000):
        yield f"mean (bootstrap, {customers:,} customers)", 0.95, "covers", partial(bootstrapped, customers=customers)
    for name, play in COVERS.items():
        yield name, 0.95, "covers", partial(_held, play=play)
    yield "drift, PSI of no shift", 0.95, "at least", partial(_held, play=psi_of_the_same)
    yield "drift, noise of PSI", 0.95, "covers", noise_of_drift


ROWS = tuple(_rows())
"""Name, nominal share, how it is to be read, and the function of seed and repetitions."""
