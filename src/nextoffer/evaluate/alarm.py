"""Limits of a monitored figure, and the verdict on it: green, amber or red.

A line counts as crossed where the near end of the figure's interval is beyond it *and* chance does not explain the
change. With many figures of one kind the chances are corrected for that (Holm), so that a bank in which nothing has
changed stays green.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import erfc, exp, isnan, log, nan, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from nextoffer.errors import NextOfferError
from nextoffer.evaluate.paired import holm_adjusted
from nextoffer.intervals import Interval
from nextoffer.toml import parse, read_text

Status = Literal["green", "amber", "red", "unknown", "told"]
"""`unknown` could not be measured; `told` is for information and never changes the verdict."""
ORDER: tuple[Status, ...] = ("told", "unknown", "green", "amber", "red")

MONITORING = pa.schema(
    [
        *((name, pa.string()) for name in ("check", "subject", "label", "status")),
        *((name, pa.float64()) for name in ("estimate", "low", "high")),
        ("n", pa.int64()),
        *((name, pa.float64()) for name in ("then", "amber", "red", "chance", "importance")),
        ("text", pa.string()),
    ]
)
"""What was measured now with its interval, what it was at the fit, the lines, and the chance of it without change.

`importance` is a feature's share of all that features do to the model's scores."""


class Line(BaseModel):
    """From where on a figure is amber, and from where on red."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    amber: float = Field(gt=0)
    red: float = Field(gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.red < self.amber:
            raise ValueError(f"red ({self.red:g}) must not be below amber ({self.amber:g})")
        return self


class Window(BaseModel):
    """Which days are looked at.

    Attributes
    ----------
    days
        Offers of so many days are judged, at most, and none from before the fit; as many before the fit are the
        comparison.
    settle_days
        Offers of the last days may yet be answered, and are left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    days: int = Field(default=90, ge=1)
    settle_days: int = Field(default=14, ge=0)


class Limits(BaseModel):
    """Every limit; a limits file may set any of them. What each is stands in `MEANINGS`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    window: Window = Window()
    least_importance: float = Field(default=0.005, ge=0, le=1)
    drift: Line = Line(amber=0.10, red=0.25)
    propensity: Line = Line(amber=0.10, red=0.25)
    missing: Line = Line(amber=0.05, red=0.20)
    calibration: Line = Line(amber=0.20, red=0.50)
    acceptance: Line = Line(amber=0.20, red=0.50)
    auc: Line = Line(amber=0.03, red=0.10)
    without_offers: Line = Line(amber=0.05, red=0.15)
    consent: Line = Line(amber=0.05, red=0.15)
    coverage: Line = Line(amber=0.10, red=0.30)
    customers: Line = Line(amber=0.20, red=0.50)
    volume: Line = Line(amber=0.25, red=0.50)
    silent_days: Line = Line(amber=7.0, red=30.0)
    offers_silent_days: Line = Line(amber=60.0, red=180.0)
    age_days: Line = Line(amber=180.0, red=365.0)

    @classmethod
    def read(cls, path: str | Path | None) -> Limits:
        """Return the limits of a TOML file; the built-in ones without a file.

        Raises
        ------
        NextOfferError
            The file is not there, or breaks the shape; all problems are named.
        """
        if path is None:
            return cls()
        return parse(read_text(path, error=NextOfferError), cls, where=str(path), error=NextOfferError)

    def to_toml(self) -> str:
        """Return all limits as a limits file that says what each is."""
        lines = [
            f"# {MEANINGS[name]}\n{name} = {_inline(value) if isinstance(value, dict) else value}"
            for name, value in self.model_dump().items()
        ]
        return f"{_OPENING}\n\n" + "\n\n".join(lines) + "\n"


_OPENING = """\
# Limits of nextoffer monitor: from where on a light is amber, and from where on red. Whatever is left out keeps the
# value that nextoffer monitor --write-limits writes. A limit that shall never be reached is given a large number."""
MEANINGS: Mapping[str, str] = {
    "window": "Offers of so many days are judged, none from before the fit; those of the last days may yet be answered",
    "least_importance": "A feature with a smaller share of what features do to the scores is told and never judged",
    "drift": "Population stability index of a feature",
    "propensity": "Population stability index of a product's propensities, and of each customer's highest",
    "missing": "Change of the share of customers of whom a feature is not known",
    "calibration": "Accepted / expected - 1 of offers since the fit, either way",
    "acceptance": "Acceptance rate since the fit / before it - 1, either way",
    "auc": "Area under the ROC curve lost since the fit",
    "without_offers": "Change of the share of customers without an offer",
    "consent": "Change of the share of customers who allow marketing",
    "coverage": "Share of the products that reached customers at the fit and now reach nobody",
    "customers": "Number of customers / at the fit - 1, either way",
    "volume": "Number and amounts of transactions in the last 30 days / in the 30 days before the fit - 1, either way",
    "silent_days": "Days since the last transaction",
    "offers_silent_days": "Days since the last offer",
    "age_days": "Days since the fit",
}
"""What each limit is."""


def _inline(values: dict[str, float]) -> str:
    return "{ " + ", ".join(f"{name} = {value!r}" for name, value in values.items()) + " }"


def beyond(change: Interval) -> float:
    """Return how far a change surely goes, up or down: the near end of its interval, 0 where that holds no change.

    >>> beyond(Interval(0.3, 0.1, 0.5, 9)), beyond(Interval(-0.3, -0.5, -0.1, 9)), beyond(Interval(0.3, -0.1, 0.7, 9))
    (0.1, 0.1, 0.0)
    """
    return nan if isnan(change.low) else max(change.low, -change.high, 0.0)


@dataclass(frozen=True)
class Check:
    """One figure against its limits.

    Attributes
    ----------
    check
        What kind of figure: a name of `Limits`.
    subject, label
        Of which feature, product or table; and the same in words.
    now
        The figure with its interval.
    text
        What it means, in a sentence.
    line
        Its limits; None where it is told for information alone.
    then
        The same at the fit, where that is a figure of its own.
    size
        What is held against the line, where that is not the estimate: how far it surely goes.
    chance
        The chance of such a change if nothing had changed; NaN where chance has no part in it.
    importance
        Of a feature: its share of all that features do to the scores; NaN where that is not known.
    """

    check: str
    subject: str
    label: str
    now: Interval
    text: str
    line: Line | None = None
    then: float = nan
    size: float | None = None
    chance: float = nan
    importance: float = nan

    @property
    def beyond(self) -> float:
        """What is held against the line."""
        return self.now.estimate if self.size is None else self.size

    def status(self, alpha: float = 0.05) -> Status:
        """Return the verdict: at the level `alpha` where chance has a part in it."""
        if self.line is None:
            return "told"
        if isnan(self.beyond):
            return "unknown"
        if self.chance > alpha or self.beyond < self.line.amber:
            return "green"
        return "red" if self.beyond >= self.line.red else "amber"

    def row(self) -> dict[str, object]:
        """Return the check as a row of `MONITORING`."""
        line = {"amber": nan, "red": nan} if self.line is None else self.line.model_dump()
        told: dict[str, object] = {
            "check": self.check,
            "subject": self.subject,
            "label": self.label,
            "status": self.status(),
        }
        now = vars(self.now)
        return (
            told
            | now
            | {"then": self.then, "chance": self.chance, "importance": self.importance, "text": self.text}
            | line
        )


def corrected(checks: Sequence[Check]) -> tuple[Check, ...]:
    """Return checks of one kind with chances that allow for their number (Holm 1979).

    >>> none = Interval(0.3, 0.1, 0.5, 100)
    >>> [c.chance for c in corrected([Check("drift", n, n, none, "", chance=0.03) for n in "ab"])]
    [0.06, 0.06]
    """
    known = [c for c in checks if not isnan(c.chance)]
    adjusted = iter(holm_adjusted([c.chance for c in known]))
    return tuple(c if isnan(c.chance) else replace(c, chance=next(adjusted)) for c in checks)


def worst(checks: Sequence[Check]) -> Status:
    """Return the worst verdict."""
    return max((c.status() for c in checks), key=ORDER.index, default="unknown")


@dataclass(frozen=True)
class Share:
    """A share of trials that come several to a customer: its estimate and its variance, with `n` trials."""

    estimate: float
    variance: float
    n: int

    @classmethod
    def of(cls, sums: Sequence[float]) -> Share:
        """Return it out of Σx, Σm, Σx², Σxm, Σm² and the number of customers; x of a customer's m trials succeeded.

        The variance of the ratio of two means (Cochran 1977, Sampling Techniques, 3rd ed., 6.5), at least the binomial.
        """
        x, m, xx, xm, mm, customers = (float(v) for v in sums)
        if m <= 0:
            return cls(nan, nan, 0)
        p = x / m
        between = (xx - 2 * p * xm + p * p * mm) / m**2 * customers / max(customers - 1, 1)
        return cls(p, max(between, p * (1 - p) / m, 0.0) if p <= 1 else between, round(m))


def compared(now: Share, then: Share, *, level: float = 0.95) -> tuple[Interval, float]:
    """Return now / then − 1 with its interval, and the chance of as much if both were the same.

    Interval of the log ratio (delta method): ``var = var1 / p1² + var0 / p0²``. Where there is none of one, half a
    success is added to both (Walter 1975, Biometrika 62).

    >>> i, chance = compared(Share(0.13, 0.13 * 0.87 / 1000, 1000), Share(0.10, 0.10 * 0.90 / 1000, 1000))
    >>> round(i.estimate, 4), round(i.low, 4), round(i.high, 4), round(chance, 4)
    (0.3, 0.017, 0.6618, 0.0362)
    """
    if not now.n or not then.n:
        return Interval(nan, nan, nan, now.n), nan
    half = [(0.5 / s.n if min(now.estimate, then.estimate) <= 0 else 0.0) for s in (now, then)]
    (p1, v1), (p0, v0) = ((s.estimate + h, max(s.variance, h / s.n)) for s, h in zip((now, then), half, strict=True))
    ratio, error = log(p1 / p0), sqrt(v1 / p1**2 + v0 / p0**2)
    reach = NormalDist().inv_cdf((1 + level) / 2) * error
    chance = erfc(abs(ratio) / error / sqrt(2)) if error > 0 else (1.0 if p1 == p0 else 0.0)
    return Interval(exp(ratio) - 1, exp(ratio - reach) - 1, exp(ratio + reach) - 1, now.n), chance
