"""``experiment.toml``: who is in a test, in which arm, and what is compared. ``docs/experiments.md`` tells all keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nextoffer import toml
from nextoffer.errors import ExperimentError

DEFAULT_DAYS = 28
"""Length of a test without an end."""

Scalar = bool | int | float | str
Where = dict[str, Scalar | tuple[Scalar, ...]]
"""Rows whose columns have these values (any of several); an empty one means every row."""

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,59}$")]
_Column = Annotated[str, Field(min_length=1)]
_Share = Annotated[float, Field(gt=0, lt=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Arm(_Part):
    """One arm of the test and its share of the customers."""

    name: _Name
    share: _Share


class Metric(_Part):
    """Something that is compared between the arms.

    Attributes
    ----------
    name
        Shown in results.
    kind
        ``conversion``: each customer did it or not; ``value``: an amount per customer.
    column
        Where it stands in the table (of a bank: see `nextoffer.experiment.bank.SOURCES`); the name if left out.
    role
        ``primary``: decides the test; ``secondary``: shown; ``guardrail``: must not be hurt.
    better
        Which way is good.
    lift
        Smallest change worth having, of a guardrail the harm that is tolerated: a share of the control's mean, or in
        the metric's own unit where `absolute`.
    covariates
        Columns known before the test that make the comparison sharper (CUPED).
    base, sd, correlation
        For the plan: the control's rate or mean, the standard deviation of a value, and the correlation with what the
        covariates predict.
    """

    name: _Name
    kind: Literal["conversion", "value"] = "conversion"
    column: _Column | None = None
    role: Literal["primary", "secondary", "guardrail"] = "primary"
    better: Literal["higher", "lower"] = "higher"
    lift: Annotated[float, Field(gt=0)] | None = None
    absolute: bool = False
    covariates: tuple[_Column, ...] = ()
    base: float | None = None
    sd: Annotated[float, Field(gt=0)] | None = None
    correlation: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _sound(self) -> Metric:
        if self.role == "guardrail" and self.lift is None:
            raise ValueError("a guardrail needs lift: the harm that is tolerated (0.05: 5 % of the control's mean)")
        if self.kind == "conversion" and self.base is not None and not 0 < self.base < 1:
            raise ValueError(f"base is a rate, between 0 and 1; found {self.base:g}")
        return self

    @property
    def source(self) -> str:
        """The column it stands in."""
        return self.column or self.name

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return 1 if self.better == "higher" else -1


class Assignment(_Part):
    """How customers are dealt to the arms.

    Attributes
    ----------
    method
        ``keyed``: each by a number of one's own, so that nobody's arm depends on who else is there; ``blocked``: within
        each stratum the shares are exact to one customer, but arms are dealt anew when customers come or go.
    strata
        Columns of the customers.
    """

    method: Literal["keyed", "blocked"] = "keyed"
    strata: tuple[_Column, ...] = ()


class Layer(_Part):
    """The part of a layer that a test may use; tests of one layer whose ranges do not overlap share no customer."""

    name: _Name
    start: Annotated[float, Field(ge=0, lt=1, alias="from")] = 0.0
    stop: Annotated[float, Field(gt=0, le=1, alias="to")] = 1.0
    seed: int = 0

    @model_validator(mode="after")
    def _sound(self) -> Layer:
        if self.stop <= self.start:
            raise ValueError(f"to must be above from; found {self.start:g} to {self.stop:g}")
        return self


class Holdout(_Part):
    """Customers who are in no test at all: the same in every experiment with the same name and seed."""

    share: _Share
    name: _Name = "holdout"
    seed: int = 0


class Experiment(_Part):
    """One A/B test.

    Attributes
    ----------
    name, seed
        Who is in which arm depends on these and the customer.
    starts, ends
        First and last day that count; without an end 28 days.
    arm
        Two or more, their shares adding up to 1; the first is the control, with which each other is compared.
    level, power, sides
        1 - level: probability of a wrong "better" or "worse"; power: of finding a true lift; sides 1: only "better" is
        looked for.
    interval
        ``sequential``: may be looked at any day; ``fixed``: is read once, at the end.
    customers, per_day
        How many are planned in all, and come in each day; see `planned`.
    pre_days
        Length of the time before the start that covariates of a bank look at.
    day
        Column of a table with the day on which each customer came in.
    eligible, offers
        Columns of customers and their values: who may be in the test. Columns of products: which offers count.
    assignment, layer, holdout, metric
        See `Assignment`, `Layer`, `Holdout`, `Metric`.
    """

    name: _Name
    seed: int = 7
    starts: date
    ends: date | None = None
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    sides: Literal[1, 2] = 2
    interval: Literal["sequential", "fixed"] = "sequential"
    customers: Annotated[int, Field(gt=0)] | None = None
    per_day: Annotated[float, Field(gt=0)] | None = None
    pre_days: Annotated[int, Field(gt=0)] = 90
    day: _Column = "assigned_on"
    arm: tuple[Arm, ...]
    eligible: Where = Field(default_factory=dict)
    offers: Where = Field(default_factory=dict)
    assignment: Assignment = Assignment()
    layer: Layer | None = None
    holdout: Holdout | None = None
    metric: tuple[Metric, ...]

    @model_validator(mode="after")
    def _sound(self) -> Experiment:
        wrong = [
            f"{what} named more than once: {', '.join(twice)}"
            for what, named in (("arms", self.arm), ("metrics", self.metric))
            if (twice := [name for name, n in Counter(each.name for each in named).items() if n > 1])
        ]
        if len(self.arm) < 2:
            wrong.append(f"a test needs two arms or more; found {len(self.arm)}")
        elif abs(sum(arm.share for arm in self.arm) - 1) > 1e-6:
            wrong.append(f"shares of the arms must add up to 1; they add up to {sum(a.share for a in self.arm):g}")
        if not self.primary:
            wrong.append("no metric is primary, so nothing decides the test")
        if self.ends is not None and self.ends < self.starts:
            wrong.append(f"ends {self.ends} before it starts, {self.starts}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def alpha(self) -> float:
        """1 - level."""
        return round(1 - self.level, 12)

    @property
    def primary(self) -> tuple[Metric, ...]:
        """The metrics that decide."""
        return tuple(metric for metric in self.metric if metric.role == "primary")

    @property
    def last_day(self) -> date:
        """The last day that counts."""
        return self.ends or self.starts + timedelta(days=DEFAULT_DAYS - 1)

    @property
    def planned(self) -> int | None:
        """Customers planned in all: `customers`, or `per_day` times the days; None where neither is given."""
        if self.customers is not None or self.per_day is None:
            return self.customers
        return max(round(self.per_day * ((self.last_day - self.starts).days + 1)), 1)

    @property
    def comparisons(self) -> int:
        """How many decide: arms beside the control, times primary metrics."""
        return (len(self.arm) - 1) * len(self.primary)

    @property
    def arms(self) -> tuple[str, ...]:
        """The names of the arms, the control first."""
        return tuple(arm.name for arm in self.arm)

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of the arms."""
        return tuple(arm.share for arm in self.arm)

    @classmethod
    def read(cls, path: str | Path) -> Experiment:
        """Return the experiment of a TOML file.

        Raises
        ------
        ExperimentError
            The file cannot be read, is not TOML, or holds unknown keys or wrong values; all of them are named.
        """
        return toml.parse(toml.read_text(path, error=ExperimentError), cls, where=str(path), error=ExperimentError)

    @classmethod
    def parse(cls, text: str, *, where: str = "experiment") -> Experiment:
        """Return the experiment that a TOML `text` describes.

        Raises
        ------
        ExperimentError
            As `read`.
        """
        return toml.parse(text, cls, where=where, error=ExperimentError)


def overlapping(experiments: Iterable[Experiment]) -> list[str]:
    """Return a sentence for each two experiments of one layer that could share customers.

    >>> a, b = (Experiment.parse(f'''name = "{name}"
    ... starts = 2026-03-01
    ... arm = [{{name = "old", share = 0.5}}, {{name = "new", share = 0.5}}]
    ... metric = [{{name = "accepted"}}]
    ... layer = {{name = "cards", from = {start}, to = 0.6}}''') for name, start in (("one", 0.0), ("two", 0.5)))
    >>> overlapping([a, b])
    ["'one' and 'two' both use 0.5 to 0.6 of layer 'cards'"]
    """
    known = [(e, e.layer) for e in experiments if e.layer is not None]
    out = []
    for i, (first, mine) in enumerate(known):
        for second, theirs in known[i + 1 :]:
            if mine.name != theirs.name:
                continue
            start, stop = max(mine.start, theirs.start), min(mine.stop, theirs.stop)
            both = f"'{first.name}' and '{second.name}' both"
            if mine.seed != theirs.seed:
                out.append(f"{both} use layer '{mine.name}', but with different seeds, so that they share customers")
            elif start < stop:
                out.append(f"{both} use {start:g} to {stop:g} of layer '{mine.name}'")
    return out
