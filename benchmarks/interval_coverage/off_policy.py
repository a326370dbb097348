"""How often intervals of off-policy values hold the truth, in logs of many kinds.

Near to the old policy and far from it, with few decisions, heavy weights, rare answers, several decisions per customer,
skewed amounts, and wrong reward models. The last three kinds were not looked at while the intervals were made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from nextoffer.evaluate.off_policy import (
    ESTIMATORS,
    Log,
    Modelled,
    difference,
    on_policy,
)
from nextoffer.evaluate.overlap import Overlap
from nextoffer.intervals import Interval

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator

COLUMNS, MANY = 4, 50_000
_AMOUNT = 0.8


@dataclass(frozen=True)
class Logs:
    """Logs of one kind.

    Attributes
    ----------
    decisions, each
        In a log; of a customer.
    sharpness, spread
        How sharply the new policy prefers what is likely; how far the old one is from even chances.
    level
        Log-odds of an acceptance.
    actions
        To choose among.
    own
        How far customers differ in how readily they accept.
    amounts
        Rewards are skewed amounts instead of 0 or 1.
    model
        Shift and slope of the reward model's log-odds; right would be 0 and 0.6.
    seed
        Of what each action is liked by.
    """

    decisions: int = 1000
    each: int = 1
    sharpness: float = 1.0
    spread: float = 0.5
    level: float = -2.0
    actions: int = 6
    own: float = 0.0
    amounts: bool = False
    model: tuple[float, float] = (0.3, 0.4)
    seed: int = 0

    @cached_property
    def _tastes(self) -> tuple[Floats, Floats]:
        draw = np.random.default_rng([self.seed, self.actions])
        return draw.normal(size=(COLUMNS, self.actions)), draw.normal(size=(COLUMNS, self.actions)) * self.spread

    def played(self, draw: Generator, decisions: int) -> tuple[Log, Modelled, float]:
        """Return a log, a reward model for it, and what the new policy would earn in these decisions on average."""
        taste, habit = self._tastes
        who = np.repeat(np.arange(decisions // self.each), self.each)
        x, rows = draw.normal(size=(who[-1] + 1, COLUMNS))[who], np.arange(len(who))
        liked = x @ taste
        old, new = softmax(x @ habit, axis=1), softmax(self.sharpness * liked, axis=1)
        chosen = np.minimum((old.cumsum(axis=1) < draw.random((len(who), 1))).sum(axis=1), self.actions - 1)
        chance = expit(self.level + 0.6 * liked + (draw.normal(size=who[-1] + 1) * self.own)[who, None])
        worth = float(np.exp(_AMOUNT**2 / 2)) if self.amounts else 1.0
        rewards = (draw.random(len(who)) < chance[rows, chosen]).astype(np.float64)
        if self.amounts:
            rewards *= draw.lognormal(0.0, _AMOUNT, len(who))
        shift, slope = self.model
        modelled = Modelled.of(worth * expit(self.level + shift + slope * liked), chosen, new)
        value = float((new * chance).sum(axis=1).mean()) * worth
        return Log(rewards, old[rows, chosen], new[rows, chosen], who), modelled, value

    @cached_property
    def truths(self) -> dict[str, float]:
        """What the new policy earns, the old one, and the difference, over very many decisions."""
        draw, new, old = np.random.default_rng([self.seed, 1]), [], []
        taste, habit = self._tastes
        for _ in range(4):
            x = draw.normal(size=(MANY, COLUMNS))
            liked = x @ taste
            own = draw.normal(size=(MANY, 1)) * self.own
            chance = expit(self.level + 0.6 * liked + own) * (np.exp(_AMOUNT**2 / 2) if self.amounts else 1.0)
            new.append(float((softmax(self.sharpness * liked, axis=1) * chance).sum(axis=1).mean()))
            old.append(float((softmax(x @ habit, axis=1) * chance).sum(axis=1).mean()))
        value, before = float(np.mean(new)), float(np.mean(old))
        return dict.fromkeys(ESTIMATORS, value) | {"old policy": before, "gain": value - before, "mean weight": 1.0}


LOGS = {
    "even chances": Logs(sharpness=0.0),
    "somewhat sharper": Logs(sharpness=0.6),
    "nearly always the best": Logs(sharpness=4.0),
    "500 decisions, nearly always the best": Logs(500, sharpness=4.0),
    "answers of 2 %": Logs(2000, level=-5.2),
    "500 decisions, answers of 2 %": Logs(500, level=-5.2),
    "heavy weights": Logs(sharpness=2.0, spread=1.2),
    "heavy weights, answers of 7 %": Logs(4000, sharpness=2.0, spread=1.2, level=-4.0),
    "five decisions each": Logs(2500, each=5, own=0.8),
    "skewed amounts": Logs(amounts=True),
    "20 actions, a model that knows nothing": Logs(3000, actions=20, sharpness=1.5, model=(0.8, 0.0), seed=3),
    "500 decisions, heavy weights": Logs(500, sharpness=1.5, spread=1.0, level=-1.5, seed=4),
    "clicks of 1 %": Logs(5000, level=-5.6, sharpness=1.0, spread=0.8, seed=5),
    "amounts, three decisions each": Logs(3000, each=3, own=1.0, amounts=True, sharpness=2.0, seed=6),
    "800 decisions, far from it": Logs(800, actions=3, sharpness=3.0, spread=1.0, own=0.5, seed=7),
    "unseen: two decisions each, answers of 4 %": Logs(
        1500, each=2, own=1.0, level=-4.0, actions=12, sharpness=1.2, spread=0.7, seed=8
    ),
    "unseen: 600 decisions, amounts": Logs(600, amounts=True, sharpness=0.8, spread=0.9, level=-1.5, seed=9),
    "unseen: a model far off": Logs(4000, model=(1.5, -0.3), level=-3.0, seed=10),
}
_ALWAYS = ("ips", "snips", "dr", "switch_dr", "gain")
OTHERS: dict[str, Callable[[Log, Modelled], Interval]] = {
    "old policy": lambda log, _: on_policy(log),
    "gain": difference,
    "mean weight": lambda log, _: Overlap.of(log).mean_weight,
}


@lru_cache
def held(seed: int, repetitions: int, kind: str) -> dict[str, float]:
    """Return by estimator the share of logs in which the interval held the truth."""
    logs, draw = LOGS[kind], np.random.default_rng([seed, *kind.encode()])
    hits: dict[str, list[bool]] = {name: [] for name in (*ESTIMATORS, *OTHERS)}
    for _ in range(repetitions):
        log, modelled, _ = logs.played(draw, logs.decisions)
        for name, estimate in (ESTIMATORS | OTHERS).items():
            found = estimate(log, modelled)
            hits[name].append(not (logs.truths[name] < found.low or logs.truths[name] > found.high))
    return {name: float(np.mean(each)) for name, each in hits.items()}


def _of(seed: int, repetitions: int, *, kind: str, estimator: str) -> float:
    return held(seed, repetitions, kind)[estimator]


_DOUBTFUL = {("500 decisions, heavy weights", "ips")}
"""Logs that say as much as 50 decisions, of which `Overlap` warns; there only the reward model helps."""
_ROWS = [(kind, name, "band" if (kind, name) in _DOUBTFUL else "at least") for kind in LOGS for name in _ALWAYS]
_ROWS += [(kind, "old policy", "at least") for kind in ("somewhat sharper", "heavy weights")]
_ROWS += [("somewhat sharper", "mean weight", "at least"), ("heavy weights", "mean weight", "band")]
_ROWS += [("somewhat sharper", "dm", "band")]
ROWS = tuple((f"off-policy {n}, {k}", 0.95, reading, partial(_of, kind=k, estimator=n)) for k, n, reading in _ROWS)
"""Name, nominal share, how it is to be read, and the function of seed and repetitions."""
