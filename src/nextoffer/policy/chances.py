"""The chance of each of several uncertain scores to be the largest.

Score j is ``slope_j · P + base_j`` with ``P = expit(θ_j)`` and ``θ_j ~ N(log_odds_j, sd_j²)``, so its distribution F_j
is known, and::

    P(j is the largest) = ∫ Π_{k≠j} F_k(s) dF_j(s)

The integral is taken over one grid of points for all products of a customer, made of quantiles of their scores, by the
trapezoid rule in F_j; the chances are divided by their sum. Scores without spread are steps, which the grid begins at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from nextoffer.policy.logic import Mask
from nextoffer.tables.flow import Floats, Indices

REACH = 5.0
"""So many standard deviations are looked at on either side; beyond lie 3 in 10 million."""
_QUANTILES = np.concatenate([[-REACH], ndtri((np.arange(40) + 0.5) / 40), [2.6, 3.2, 4.0, REACH]])
_POINTS = 128
_LEAST = 1e-9
"""No product that may be the largest is said to have no chance."""
_BLOCK = 64  # customers, so that what is worked on stays near the processor


@dataclass(frozen=True)
class Uncertain:
    """The uncertain scores of P products for n customers, all (n, P).

    Attributes
    ----------
    score
        What they are at the mean of the log-odds.
    log_odds, sd
        Mean and standard deviation.
    base, slope
        The score where the propensity is 0, and how much higher it is where the propensity is 1.
    """

    score: Floats
    log_odds: Floats
    sd: Floats
    base: Floats
    slope: Floats

    def largest(self, among: Mask) -> Floats:
        """Return P(the score is the largest) of each of the products `among`, 0 of the others: float64 (n, P).

        Each customer's add up to 1; of equal scores without spread the first is the largest.
        """
        out = np.zeros(among.shape)
        for start in range(0, len(out), _BLOCK):
            part = slice(start, start + _BLOCK)
            out[part] = _largest(self.rows(part), among[part])
        return out

    def rows(self, rows: slice | Indices) -> Uncertain:
        """Return the scores of some customers."""
        return Uncertain(*(values[rows] for values in vars(self).values()))


def _largest(of: Uncertain, among: Mask) -> Floats:
    fixed = among & ((of.sd == 0) | (of.slope == 0))
    moving = among & ~fixed
    step = np.where(fixed, of.score, -np.inf)
    ends = [of.slope * expit(of.log_odds + z * of.sd) + of.base for z in (-REACH, REACH)]
    lowest = np.where(moving, np.minimum(*ends), -np.inf).max(axis=1, initial=-np.inf)
    low = np.maximum(lowest, step.max(axis=1, initial=-np.inf))
    rival = moving & (np.maximum(*ends) > low[:, None])
    chance, at_low = _of_rivals(of, rival, np.where(np.isfinite(low), low, 0.0))
    chance = np.where(moving, np.maximum(chance, _LEAST), 0.0)
    chance[np.arange(len(chance)), np.argmax(step, axis=1)] += np.where(fixed.any(axis=1), at_low, 0.0)
    total = np.cumsum(chance, axis=1)[:, -1:]
    return np.asarray(np.divide(chance, total, out=np.zeros_like(chance), where=total > 0))


def _of_rivals(of: Uncertain, rival: Mask, low: Floats) -> tuple[Floats, Floats]:
    """Return ∫ Π F_k dF_j from `low` on (n, P), and Π F_k there (n,), of the products that may come so high."""
    most = max(int(rival.sum(axis=1).max(initial=0)), 1)
    cols = np.argsort(~rival, axis=1, kind="stable")[:, :most]
    here = np.take_along_axis(rival, cols, axis=1)
    mean, sd, base, slope = (
        np.where(here, np.take_along_axis(values, cols, axis=1), instead)[:, :, None]
        for values, instead in ((of.log_odds, 0.0), (of.sd, 1.0), (of.base, 0.0), (of.slope, 1.0))
    )
    points = _grid(np.where(here[:, :, None], slope * expit(mean + sd * _QUANTILES) + base, -np.inf), low)
    share = np.clip((points[:, None, :] - base) / slope, 0.0, 1.0)
    below = np.where(here[:, :, None], ndtr(np.sign(slope) * (logit(share) - mean) / sd), 1.0)
    out = np.zeros(rival.shape)
    np.put_along_axis(out, cols, _integrals(below), axis=1)
    return out, np.asarray(np.cumprod(below[:, :, 0], axis=1)[:, -1], dtype=np.float64)


def _grid(quantiles: Floats, low: Floats) -> Floats:
    """Return rising points (n, G) from `low` on, evenly many among the quantiles (n, P, K) above it."""
    points = np.sort(np.maximum(quantiles, low[:, None, None]).reshape(len(low), -1), axis=1)
    last = points.shape[1] - 1
    begin = np.clip((points <= low[:, None]).sum(axis=1) - 1, 0, last)
    place = begin[:, None] + np.rint((last - begin[:, None]) * np.linspace(0.0, 1.0, _POINTS)).astype(np.intp)
    return np.take_along_axis(points, place, axis=1)


def _integrals(below: Floats) -> Floats:
    """Return ∫ Π_{k≠j} F_k dF_j of each product, (n, P), for distributions (n, P, G) at the points."""
    ahead, behind = np.ones_like(below), np.ones_like(below)
    np.cumprod(below[:, :-1], axis=1, out=ahead[:, 1:])
    behind[:, :-1] = np.cumprod(below[:, :0:-1], axis=1)[:, ::-1]
    others = ahead * behind
    mass = np.diff(below, axis=2) * (0.5 * (others[:, :, 1:] + others[:, :, :-1]))
    return np.asarray(np.cumsum(mass, axis=2)[:, :, -1])  # added up in one order, whoever else is in the batch
