"""How often the intervals of A/B tests hold the truth: at one moment, and at every look of a daily peeked test.

Each function plays `repetitions` tests whose truth is known; it returns the share whose interval never missed it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nextoffer.experiment.comparing import Comparison, Terms, anytime, arm_mean, fixed
from nextoffer.experiment.means import adjusted_means, plain_means
from nextoffer.experiment.srm import ratio_check
from nextoffer.experiment.sums import Sums, sums_of

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator

TERMS = Terms(0.05)
DAYS = 28
PER_DAY = 200
SHARES = (0.4, 0.6)


def _arms(draw: Generator, n: int) -> npt.NDArray[np.intp]:
    return (draw.random(n) < SHARES[1]).astype(np.intp)


def _rates(draw: Generator, n: int) -> Sums:
    arms = _arms(draw, n)
    return sums_of((draw.random(n) < np.where(arms == 1, 0.06, 0.05)).astype(float)[:, None], arms, 2)


def _values(draw: Generator, n: int) -> tuple[Sums, float, float]:
    """Skewed spending that depends on last quarter's, more steeply in the treatment; and the true means."""
    arms = _arms(draw, n)
    before = draw.lognormal(0.0, 0.7, n)
    noise = draw.exponential(1.0, n) * before
    values = np.where(arms == 1, 1.0 + 1.5 * before, 1.0 + 1.2 * before) + noise
    mean = float(np.exp(0.7**2 / 2))
    return sums_of(np.stack([values, before], axis=1), arms, 2), 1.0 + 2.2 * mean, 1.0 + 2.5 * mean


def _share(hits: list[bool]) -> float:
    return float(np.mean(hits))


def _holds(found: Comparison, difference: float, ratio: float) -> tuple[bool, bool]:
    return (
        found.absolute.low <= difference <= found.absolute.high,
        found.relative.low <= ratio <= found.relative.high,
    )


def rate_difference(seed: int, repetitions: int) -> float:
    draw = np.random.default_rng(seed)
    return _share(
        [_holds(fixed(_rates(draw, 3000), 1, TERMS, conversion=True), 0.01, 0.2)[0] for _ in range(repetitions)]
    )


def rate_ratio(seed: int, repetitions: int) -> float:
    draw = np.random.default_rng(seed)
    return _share(
        [_holds(fixed(_rates(draw, 3000), 1, TERMS, conversion=True), 0.01, 0.2)[1] for _ in range(repetitions)]
    )


def _value_holds(seed: int, repetitions: int, *, adjust: bool, which: int) -> float:
    draw, hits = np.random.default_rng(seed), []
    for _ in range(repetitions):
        sums, control, treatment = _values(draw, 2000)
        found = fixed(sums, 1, TERMS, conversion=False, adjust=adjust)
        hits.append(_holds(found, treatment - control, treatment / control - 1)[which])
    return _share(hits)


def value_difference(seed: int, repetitions: int) -> float:
    return _value_holds(seed, repetitions, adjust=False, which=0)


def value_ratio(seed: int, repetitions: int) -> float:
    return _value_holds(seed, repetitions, adjust=False, which=1)


def cuped_difference(seed: int, repetitions: int) -> float:
    return _value_holds(seed, repetitions, adjust=True, which=0)


def cuped_ratio(seed: int, repetitions: int) -> float:
    return _value_holds(seed, repetitions, adjust=True, which=1)


def cuped_rates(seed: int, repetitions: int) -> float:
    """Conversions, adjusted for an earlier conversion."""
    draw, hits = np.random.default_rng(seed), []
    for _ in range(repetitions):
        arms, keen = _arms(draw, 3000), draw.beta(1.0, 9.0, 3000)
        rates = np.where(arms == 1, keen + 0.02 * (1 - keen), keen)
        now, before = (draw.random(3000) < rates).astype(float), (draw.random(3000) < keen).astype(float)
        found = fixed(sums_of(np.stack([now, before], axis=1), arms, 2), 1, TERMS, conversion=True, adjust=True)
        hits.append(_holds(found, 0.02 * 0.9, 0.0)[0])
    return _share(hits)


def one_sided(seed: int, repetitions: int) -> float:
    """The bad end of a one-sided interval, which is a bound alone."""
    draw, terms = np.random.default_rng(seed), Terms(0.05, sides=1)
    found = [fixed(_rates(draw, 3000), 1, terms, conversion=True).absolute.low for _ in range(repetitions)]
    return _share([low <= 0.01 for low in found])


def arm_of_rates(seed: int, repetitions: int) -> float:
    draw = np.random.default_rng(seed)
    found = [arm_mean(_rates(draw, 1000), 0, conversion=True, level=0.95) for _ in range(repetitions)]
    return _share([i.low <= 0.05 <= i.high for i in found])


def arm_of_values(seed: int, repetitions: int) -> float:
    draw, hits = np.random.default_rng(seed), []
    for _ in range(repetitions):
        sums, control, _ = _values(draw, 2000)
        found = arm_mean(sums.metric(), 0, conversion=False, level=0.95)
        hits.append(found.low <= control <= found.high)
    return _share(hits)


def cuped_factor(seed: int, repetitions: int) -> tuple[float, float]:
    """Return the mean variance factor that is stated, and the one that the estimates show over the repetitions."""
    draw, stated, estimates = np.random.default_rng(seed), [], []
    for _ in range(repetitions):
        sums, *_ = _values(draw, 2000)
        plain, adjusted = plain_means(sums.metric()).difference(1), adjusted_means(sums).difference(1)
        stated.append((adjusted[1] / plain[1]) ** 2)
        estimates.append((plain[0], adjusted[0]))
    spread = np.array(estimates).var(axis=0)
    return float(np.mean(stated)), float(spread[1] / spread[0])


def _never_missed(days: Sums, shares: Floats, truths: Floats, *, conversion: bool, adjust: bool = False) -> bool:
    """Whether no day's interval missed that day's truth; truths: shape (days, 2), difference and ratio - 1."""
    for day in range(len(shares)):
        found = anytime(days.at(day), 1, TERMS, share=float(shares[day]), conversion=conversion, adjust=adjust)
        absolute, relative = found.absolute, found.relative
        if absolute.low > truths[day, 0] or absolute.high < truths[day, 0]:
            return False
        if relative.low > truths[day, 1] or relative.high < truths[day, 1]:
            return False
    return True


def _day_sums(values: Floats, arms: npt.NDArray[np.intp], day: npt.NDArray[np.intp]) -> Sums:
    whole = sums_of(values, day * 2 + arms, 2 * DAYS)
    d = values.shape[1]
    return Sums(
        whole.n.reshape(DAYS, 2), whole.totals.reshape(DAYS, 2, d), whole.products.reshape(DAYS, 2, d, d), whole.centre
    ).over_days()


def arriving_rates(seed: int, repetitions: int, *, overrun: float = 1.0) -> float:
    """New customers every day, each converts or not: 5 % against 6 %; the test lasts `overrun` times as planned."""
    draw, hits = np.random.default_rng(seed), []
    n, shares = PER_DAY * DAYS, np.arange(1, DAYS + 1) / DAYS * overrun
    for _ in range(repetitions):
        arms, day = _arms(draw, n), np.repeat(np.arange(DAYS), PER_DAY)
        values = (draw.random(n) < np.where(arms == 1, 0.06, 0.05)).astype(float)
        days = _day_sums(values[:, None], arms, day)
        hits.append(_never_missed(days, shares, np.tile([0.01, 0.2], (DAYS, 1)), conversion=True))
    return _share(hits)


def overrunning_rates(seed: int, repetitions: int) -> float:
    """The same, and the test goes on for 28 times as long as planned: every look is one planned test more."""
    return arriving_rates(seed, repetitions, overrun=DAYS)


def arriving_values(seed: int, repetitions: int) -> float:
    """New customers every day, each with skewed spending, adjusted for last quarter's."""
    draw, hits = np.random.default_rng(seed), []
    n, shares = PER_DAY * DAYS, np.arange(1, DAYS + 1) / DAYS
    mean = float(np.exp(0.7**2 / 2))
    control, treatment = 1.0 + 2.2 * mean, 1.0 + 2.5 * mean
    truths = np.tile([treatment - control, treatment / control - 1], (DAYS, 1))
    for _ in range(repetitions):
        arms, day = _arms(draw, n), np.repeat(np.arange(DAYS), PER_DAY)
        before = draw.lognormal(0.0, 0.7, n)
        values = 1.0 + np.where(arms == 1, 1.5, 1.2) * before + draw.exponential(1.0, n) * before
        days = _day_sums(np.stack([values, before], axis=1), arms, day)
        hits.append(_never_missed(days, shares, truths, conversion=False, adjust=True))
    return _share(hits)


def _answer_days(rates: Floats, decay: float) -> Floats:
    """Shape (arms, days): P(converted by the end of the day), most of it in the first days."""
    by_day = 1 - np.exp(-np.arange(1, DAYS + 1) / decay)
    return rates[:, None] * by_day / by_day[-1]


def one_mailing(seed: int, repetitions: int) -> float:
    """Everybody is mailed on the first day and answers trickle in, most of them early; truths move from day to day."""
    draw, hits, n = np.random.default_rng(seed), [], 6000
    reached = _answer_days(np.array([0.05, 0.06]), 6.0)
    truths = np.stack([reached[1] - reached[0], reached[1] / reached[0] - 1], axis=1)
    shares = np.arange(1, DAYS + 1) / DAYS
    for _ in range(repetitions):
        arms, luck = _arms(draw, n), draw.random(n)
        n_arms = np.bincount(arms, minlength=2).astype(float)
        x = np.stack([[(luck[arms == a] < reached[a, t]).sum() for a in (0, 1)] for t in range(DAYS)]).astype(float)
        days = Sums(np.tile(n_arms, (DAYS, 1)), x[..., None], x[..., None, None], np.zeros(1))
        hits.append(_never_missed(days, shares, truths, conversion=True))
    return _share(hits)


def standing_spend(seed: int, repetitions: int) -> float:
    """The same customers spend every day, each at a pace of one's own: amounts add up."""
    draw, hits, n = np.random.default_rng(seed), [], 1500
    t = np.arange(1, DAYS + 1)
    truths = np.stack([0.1 * t, np.full(DAYS, 0.1)], axis=1)
    for _ in range(repetitions):
        arms = _arms(draw, n)
        pace = draw.gamma(2.0, 0.5, n) * np.where(arms == 1, 1.1, 1.0)
        so_far = (draw.random((DAYS, n)) < 0.3).cumsum(axis=0) * pace / 0.3
        parts = [sums_of(day[:, None], arms, 2) for day in so_far]
        days = Sums(
            np.stack([p.n for p in parts]),
            np.stack([p.totals + p.n[:, None] * p.centre for p in parts]),
            np.stack([_raw(p) for p in parts]),
            np.zeros(1),
        )
        hits.append(_never_missed(days, t / DAYS, truths, conversion=False))
    return _share(hits)


def _raw(part: Sums) -> Floats:
    c = part.centre[0]
    totals = part.totals[:, 0]
    return np.asarray(part.products[:, 0, 0] + 2 * c * totals + part.n * c * c)[:, None, None]


def naive_peeking(seed: int, repetitions: int) -> float:
    """For contrast: the fixed interval looked at every day."""
    draw, hits = np.random.default_rng(seed), []
    n = PER_DAY * DAYS
    for _ in range(repetitions):
        arms, day = _arms(draw, n), np.repeat(np.arange(DAYS), PER_DAY)
        values = (draw.random(n) < np.where(arms == 1, 0.06, 0.05)).astype(float)
        days = _day_sums(values[:, None], arms, day)
        found = (fixed(days.at(d), 1, TERMS, conversion=True).absolute for d in range(DAYS))
        hits.append(all(i.low <= 0.01 <= i.high for i in found))
    return _share(hits)


def sample_ratio(seed: int, repetitions: int) -> float:
    """Share of sound tests without an alarm (nominal 0.999), of ten times as many."""
    draw = np.random.default_rng(seed)
    counts = draw.multinomial(5000, [0.5, 0.3, 0.2], size=10 * repetitions)
    return _share([not ratio_check(["a", "b", "c"], list(row), [0.5, 0.3, 0.2]).broken for row in counts])


AT_ONE_MOMENT: dict[str, Callable[[int, int], float]] = {
    "difference of rates (Newcombe)": rate_difference,
    "ratio of rates (log)": rate_ratio,
    "difference of means (Welch)": value_difference,
    "ratio of means (Fieller)": value_ratio,
    "difference, adjusted (CUPED)": cuped_difference,
    "ratio, adjusted (CUPED, Fieller)": cuped_ratio,
    "difference of rates, adjusted (CUPED)": cuped_rates,
    "difference of rates, one side": one_sided,
    "rate of an arm (Wilson)": arm_of_rates,
    "mean of an arm (Student)": arm_of_values,
}
EVERY_DAY: dict[str, Callable[[int, int], float]] = {
    "any day: customers arrive, rates": arriving_rates,
    "any day: 28 times as long as planned, rates": overrunning_rates,
    "any day: customers arrive, values, CUPED": arriving_values,
    "any day: one mailing, answers trickle in": one_mailing,
    "any day: the same customers spend on": standing_spend,
}

ROWS = (
    *((name, 0.95, "covers", play) for name, play in AT_ONE_MOMENT.items()),
    *((name, 0.95, "at least", play) for name, play in EVERY_DAY.items()),
    ("contrast: fixed interval looked at daily", 0.95, "contrast", naive_peeking),
    ("sample ratio mismatch: no false alarm", 0.999, "covers", sample_ratio),
)
"""Name, nominal share, how it is to be read, and the function of seed and repetitions."""
