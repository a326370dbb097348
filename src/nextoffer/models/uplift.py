"""Uplift: how much a treatment changes a customer's expected outcome, by four learners over the same columns.

Customers were given one of K treatments or none (0), each with a known or estimated probability e_k(x). With μ_k(x) the
expected outcome under treatment k::

    S   one model of outcome on x and treatment; uplift = its change                     Künzel et al. 2019, PNAS 116
    T   a model per treatment; uplift = μ_k(x) − μ_0(x)                                  Künzel et al. 2019
    X   models of Y − μ_0(x) among the treated and μ_k(x) − Y among the others, mixed     Künzel et al. 2019
        by the share of the treated
    DR  a model of φ = μ_k − μ_0 + 1{k}(Y − μ_k)/e_k − 1{0}(Y − μ_0)/e_0                  Kennedy 2023, EJS 17

Everything is cross-fitted by customer: what a customer is told comes from models that never saw him.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nextoffer.errors import ModelError, did_you_mean
from nextoffer.keyed import Ids, uniform
from nextoffer.models.uplift_base import BASES, Base
from nextoffer.tables.flow import Floats, Indices

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Trial:
    """m customers who were given a treatment or none.

    Attributes
    ----------
    x
        float64 (m, F): what was known of them before; NaN = not known.
    treatment
        int (m,): 0 = none, 1..K.
    outcomes
        float64 (m,): 0/1 or amounts.
    chances
        float64 (m, K + 1): probability of each treatment; rows add up to 1. None: the same for all, as they occurred.
    """

    x: Floats
    treatment: Indices
    outcomes: Floats
    chances: Floats | None = None

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def treatments(self) -> int:
        """K, without none."""
        return int(self.treatment.max(initial=0))

    @property
    def binary(self) -> bool:
        """Whether all outcomes are 0 or 1."""
        return bool(np.isin(self.outcomes, (0.0, 1.0)).all())

    def given(self) -> Floats:
        """Return the probability of each treatment, float64 (m, K + 1)."""
        if self.chances is not None:
            return self.chances
        shares = np.bincount(self.treatment, minlength=self.treatments + 1) / max(len(self), 1)
        return np.broadcast_to(shares, (len(self), len(shares)))

    def take(self, keep: Mask) -> Trial:
        """Return some of the customers."""
        chances = None if self.chances is None else self.chances[keep]
        return Trial(self.x[keep], self.treatment[keep], self.outcomes[keep], chances)


Uplift = Callable[[Floats], Floats]
"""From columns (m, F) to the uplift of each treatment, float64 (m, K)."""
Learner = Callable[[Trial, str, int], Uplift]


def s_learner(trial: Trial, base: str = "trees", seed: int = 7) -> Uplift:  # noqa: ARG001  as all of them
    """Return the uplift by one model of columns, treatments, and (for a base without interactions) their products."""
    count = trial.treatments

    def design(x: Floats, treatment: Indices) -> Floats:
        flags = (treatment[:, None] == np.arange(1, count + 1)).astype(np.float64)
        products = [x * flags[:, [k]] for k in range(count)] if base == "line" else []
        return np.column_stack([x, flags, *products])

    model = _fitted(base, design(trial.x, trial.treatment), trial.outcomes, binary=trial.binary)

    def uplift(x: Floats) -> Floats:
        of = [model.predict(design(x, np.full(len(x), k, dtype=np.intp))) for k in range(count + 1)]
        return np.stack(of[1:], axis=1) - of[0][:, None]

    return uplift


def t_learner(trial: Trial, base: str = "trees", seed: int = 7) -> Uplift:  # noqa: ARG001  as all of them
    """Return the uplift by a model per treatment."""
    models = _per_arm(trial, base)
    return lambda x: _outcomes(models, x)[:, 1:] - _outcomes(models, x)[:, :1]


def x_learner(trial: Trial, base: str = "trees", seed: int = 7) -> Uplift:  # noqa: ARG001  as all of them
    """Return the uplift by models of each side's gap to the other side's expectation."""
    models = _per_arm(trial, base)
    expected, none = _outcomes(models, trial.x), trial.treatment == 0
    pairs: list[tuple[Base, Base, float]] = []
    for k in range(1, trial.treatments + 1):
        treated = trial.treatment == k
        of_treated = _fitted(base, trial.x[treated], (trial.outcomes - expected[:, 0])[treated], binary=False)
        of_others = _fitted(base, trial.x[none], (expected[:, k] - trial.outcomes)[none], binary=False)
        pairs.append((of_treated, of_others, float(treated.sum() / (treated.sum() + none.sum()))))

    def uplift(x: Floats) -> Floats:
        return np.stack([(1 - share) * one.predict(x) + share * two.predict(x) for one, two, share in pairs], axis=1)

    return uplift


def dr_learner(trial: Trial, base: str = "trees", seed: int = 7) -> Uplift:
    """Return the uplift by a model of doubly robust pseudo-outcomes, whose parts are cross-fitted in two halves."""
    half = np.random.default_rng(seed).random(len(trial)) < 0.5
    expected = np.empty((len(trial), trial.treatments + 1))
    for part in (half, ~half):
        expected[part] = _outcomes(_per_arm(trial.take(~part), base, trial.treatments), trial.x[part])
    pseudo = pseudo_outcomes(trial, expected)
    models = [_fitted(base, trial.x, pseudo[:, k], binary=False) for k in range(trial.treatments)]
    return lambda x: np.stack([model.predict(x) for model in models], axis=1)


def pseudo_outcomes(trial: Trial, expected: Floats) -> Floats:
    """Return φ, float64 (m, K): unbiased for the uplift if `expected` (m, K + 1) or the chances are right."""
    flags = trial.treatment[:, None] == np.arange(expected.shape[1])
    corrected = expected + flags * (trial.outcomes[:, None] - expected) / trial.given()
    return np.asarray(corrected[:, 1:] - corrected[:, :1])


LEARNERS: Mapping[str, Learner] = {"s": s_learner, "t": t_learner, "x": x_learner, "dr": dr_learner}


def cross_fitted(
    trial: Trial, customers: Ids, *, learner: str = "dr", base: str = "trees", folds: int = 4, seed: int = 7
) -> Floats:
    """Return each customer's uplift, float64 (m, K), by a learner fitted on the other folds of customers.

    Raises
    ------
    ModelError
        There is no such learner or base, or a treatment was given to too few to learn from in every fold.
    """
    for name, there in ((learner, LEARNERS), (base, BASES)):
        if name not in there:
            raise ModelError(f"no '{name}'{did_you_mean(name, list(there))}; there are {', '.join(there)}")
    counts = np.bincount(trial.treatment, minlength=2)
    if len(counts) < 2 or counts.min() < 10 * folds:
        raise ModelError(f"too few to learn uplift from: customers per treatment {counts.tolist()}, need {10 * folds}")
    fold = folds_of(customers, folds=folds, seed=seed)
    out = np.empty((len(trial), trial.treatments))
    for f in range(folds):
        inside = fold == f
        if inside.any():
            out[inside] = LEARNERS[learner](trial.take(~inside), base, seed)(trial.x[inside])
    return out


def folds_of(customers: Ids, *, folds: int = 4, seed: int = 7) -> Indices:
    """Return the fold of each customer that `cross_fitted` uses, int (m,)."""
    return (uniform(seed, "uplift fold", customers) * folds).astype(np.intp)


def _fitted(base: str, x: Floats, y: Floats, *, binary: bool) -> Base:
    return BASES[base](binary).fit(x, y, np.ones(len(y)))


def _per_arm(trial: Trial, base: str, treatments: int | None = None) -> list[Base]:
    count = trial.treatments if treatments is None else treatments
    arms = [trial.treatment == k for k in range(count + 1)]
    return [_fitted(base, trial.x[arm], trial.outcomes[arm], binary=trial.binary) for arm in arms]


def _outcomes(models: list[Base], x: Floats) -> Floats:
    return np.stack([model.predict(x) for model in models], axis=1)
