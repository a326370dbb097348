"""What follows from a test, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Literal

from nextoffer.experiment.comparing import Comparison
from nextoffer.experiment.file import Experiment, Metric
from nextoffer.experiment.sequential import reach
from nextoffer.experiment.srm import RatioCheck
from nextoffer.intervals import Interval

Code = Literal["broken", "stop", "better", "worse", "no_lift", "open", "early", "nothing"]
State = Literal["safe", "hurt", "open"]

_FAR = 20.0
"""So many times what is in is too far to foretell."""


@dataclass(frozen=True)
class Judged:
    """One arm's comparison by a primary metric; `p_value` is Holm's, `least` the customers of the smaller arm."""

    metric: Metric
    arm: str
    compared: Comparison
    p_value: float
    least: int


@dataclass(frozen=True)
class Guarded:
    """One arm's comparison by a guardrail."""

    metric: Metric
    arm: str
    compared: Comparison

    @property
    def state(self) -> State:
        """``hurt``: surely worse than is tolerated; ``safe``: surely not; else ``open``."""
        interval = self.compared.absolute if self.metric.absolute else self.compared.relative
        low, high = _towards_good(interval, self.metric)
        margin = -(self.metric.lift or 0.0)
        return "hurt" if high < margin else "safe" if low > margin else "open"


@dataclass(frozen=True)
class Finding:
    """What is said of one arm by one metric."""

    metric: str
    arm: str
    code: str
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What follows from a test.

    Attributes
    ----------
    code
        ``broken``: do not read; ``stop``: a guardrail is hurt; ``better``, ``worse``; ``no_lift``: what was wished for
        is ruled out; ``open``: not yet decidable; ``early``: a test of fixed length is not at its end; ``nothing``:
        there is nothing to read.
    headline
        One sentence.
    findings
        One for each arm and metric that was judged.
    """

    code: Code
    headline: str
    findings: tuple[Finding, ...]


def conclude(
    experiment: Experiment,
    check: RatioCheck,
    judged: Sequence[Judged],
    guards: Sequence[Guarded],
    *,
    share: float,
    elapsed: int,
) -> Verdict:
    """Return what follows.

    Parameters
    ----------
    share, elapsed
        Of the planned customers that is in; days so far, 0 where they are not known.
    """
    if not sum(check.found):
        return Verdict("nothing", "There are no customers to read.", ())
    if check.broken:
        return Verdict("broken", f"The assignment is broken: do not read. {check.verdict}", ())
    findings = [_guard_finding(guard) for guard in guards]
    if experiment.interval == "fixed" and share < 1 - 1e-9:
        told = (
            f"Too early: a test of fixed length is read once, at its end; {share:.0%} of it is in. "
            'interval = "sequential" may be looked at any day.'
        )
        return Verdict("early", told, tuple(findings))
    by_metric = [_finding(one, experiment, share, elapsed) for one in judged]
    findings = [*by_metric, *findings]
    hurt = [f for f in findings if f.code == "hurt"]
    if hurt:
        return Verdict("stop", f"Stop {hurt[0].arm}: {hurt[0].sentence}", tuple(findings))
    return _headline(by_metric, findings)


def _headline(judged: Sequence[Finding], findings: Sequence[Finding]) -> Verdict:
    order: tuple[Code, ...] = ("better", "worse", "open", "no_lift", "nothing")
    code = next(code for code in order if any(f.code == code for f in judged))
    if code == "worse" and any(f.code == "open" for f in judged) and len({f.arm for f in judged}) > 1:
        code = "open"
    told = [f for f in judged if f.code == code]
    sentence = " ".join(f.sentence for f in told)
    if code == "better":
        winners = {f.arm for f in told}
        unsafe = sorted({f.metric for f in findings if f.code == "guard open" and f.arm in winners})
        if unsafe:
            sentence += f" That it does no harm to {', '.join(unsafe)} is not shown yet."
        mixed = [f.sentence for f in judged if f.code == "worse" and f.arm in winners]
        sentence = " But ".join([sentence, *mixed])
    return Verdict(code, sentence, tuple(findings))


def _finding(one: Judged, experiment: Experiment, share: float, elapsed: int) -> Finding:
    metric, control = one.metric, experiment.arms[0]
    if not isfinite(one.compared.p_value):
        told = f"{one.arm}: too little is known of {metric.name} ({one.least:,} customers in the smaller arm)."
        return Finding(metric.name, one.arm, "open" if one.least else "nothing", told)
    found = one.compared
    good = found.absolute.estimate * metric.sign > 0
    if one.p_value <= experiment.alpha and (good or experiment.sides == 2):
        code = "better" if good else "worse"
        return Finding(metric.name, one.arm, code, f"{one.arm} is {code} than {control}: {_lifted(metric, found)}.")
    if metric.lift is not None:
        _, high = _towards_good(found.absolute if metric.absolute else found.relative, metric)
        if high < metric.lift:
            told = f"{one.arm} does not bring the wished {_wished(metric)}: {_lifted(metric, found)}."
            return Finding(metric.name, one.arm, "no_lift", told)
    when = _when(one, experiment, share, elapsed)
    told = f"{one.arm} against {control} is not yet decidable: {_lifted(metric, found)}; {when}."
    return Finding(metric.name, one.arm, "open", told)


def _when(one: Judged, experiment: Experiment, share: float, elapsed: int) -> str:
    """When it would be decided if what is seen is true: standard errors shrink with the root of what is in."""
    if experiment.interval == "fixed":
        return "the test has ended"
    alpha = experiment.alpha / experiment.comparisons
    z = abs(one.compared.z) if experiment.sides == 2 else one.compared.z * one.metric.sign
    if z <= 0 or z * _FAR**0.5 < reach(share * _FAR, alpha, sides=experiment.sides):
        return f"at this rate not within {_FAR:g} times what is in"
    low, high = 1.0, _FAR
    for _ in range(40):
        middle = (low + high) / 2
        enough = z * middle**0.5 >= reach(share * middle, alpha, sides=experiment.sides)
        low, high = (low, middle) if enough else (middle, high)
    if elapsed > 1:
        days = max(ceil(elapsed * (high - 1)), 1)
        return f"at this rate decided in about {days:,} day{'s' if days > 1 else ''}"
    return f"at this rate decided with about {high:.2g} times the customers"


def _guard_finding(guard: Guarded) -> Finding:
    metric, state = guard.metric, guard.state
    seen = _lifted(metric, guard.compared)
    if state == "hurt":
        told = f"guardrail {metric.name} is hurt: {seen}; tolerated is {_wished(metric)} for the worse."
        return Finding(metric.name, guard.arm, "hurt", told)
    words = "is not hurt" if state == "safe" else "is not known to be safe yet"
    return Finding(metric.name, guard.arm, f"guard {state}", f"{guard.arm}: guardrail {metric.name} {words} ({seen}).")


def _towards_good(interval: Interval, metric: Metric) -> tuple[float, float]:
    """Bounds with the sign turned so that more is better."""
    return (interval.low, interval.high) if metric.sign > 0 else (-interval.high, -interval.low)


def _lifted(metric: Metric, found: Comparison) -> str:
    """``accepted +12.0 % (+3.1 % to +21.8 %)``, or in the metric's unit where a ratio means nothing."""
    if not metric.absolute and isfinite(found.relative.low):
        i = found.relative
        return f"{metric.name} {i.estimate:+.1%} ({i.low:+.1%} to {i.high:+.1%})"
    i = found.absolute
    if not isfinite(i.low):
        return f"{metric.name} is not known"
    if metric.kind == "conversion":
        return f"{metric.name} {100 * i.estimate:+.2f} points ({100 * i.low:+.2f} to {100 * i.high:+.2f})"
    return f"{metric.name} {i.estimate:+,.4g} ({i.low:+,.4g} to {i.high:+,.4g})"


def _wished(metric: Metric) -> str:
    lift = metric.lift or 0.0
    if not metric.absolute:
        return f"{lift:.1%}"
    return f"{100 * lift:.2f} points" if metric.kind == "conversion" else f"{lift:,.4g}"
