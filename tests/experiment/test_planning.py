"""Sample sizes beside statsmodels, and played tests of the size that is planned."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import power_proportions_2indep, samplesize_proportions_2indep_onetail

from nextoffer.errors import ExperimentError
from nextoffer.experiment.comparing import Terms as ReadingTerms
from nextoffer.experiment.comparing import fixed
from nextoffer.experiment.file import Metric
from nextoffer.experiment.planning import Terms, customers_for_means, customers_for_rates, needed, plan
from nextoffer.experiment.sequential import cost
from nextoffer.experiment.sums import sums_of
from nextoffer.intervals import sample_size_for_lift
from tests.experiment.toys import ARMS, experiment

CONVERSION = Metric(name="accepted", base=0.04, lift=0.1)
VALUE = Metric(name="spend", kind="value", base=50.0, sd=180.0, lift=4.0, absolute=True)


@pytest.mark.parametrize(("share", "ratio"), [(0.5, 1.0), (0.25, 1 / 3), (0.8, 4.0)])
def test_rates_are_those_of_statsmodels(share: float, ratio: float) -> None:
    # statsmodels counts the arm with the changed rate, and takes the plain mean of the rates for the pooled one
    theirs = samplesize_proportions_2indep_onetail(0.01, 0.05, power=0.8, ratio=1 / ratio, alpha=0.05)
    ours = customers_for_rates((0.05, 0.06), (1 - share, share), 0.025, 0.8) * share
    assert ours == pytest.approx(theirs, rel=0.02)
    power = power_proportions_2indep(0.01, 0.05, ours, ratio=1 / ratio, alpha=0.05).power
    assert power == pytest.approx(0.8, abs=0.01)


def test_equal_arms_are_those_of_sample_size_for_lift() -> None:
    assert np.ceil(customers_for_rates((0.1, 0.12), (0.5, 0.5), 0.025, 0.8) / 2) == sample_size_for_lift(0.1, 0.2)


@pytest.mark.parametrize("effect", [0.05, 0.2, 0.8])
@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_means_are_those_of_statsmodels(effect: float, ratio: float) -> None:
    theirs = TTestIndPower().solve_power(effect, power=0.8, alpha=0.025, ratio=ratio, alternative="larger")
    shares = (1 / (1 + ratio), ratio / (1 + ratio))
    assert customers_for_means(effect, 1.0, shares, 0.025, 0.8) * shares[0] == pytest.approx(theirs, rel=1e-3)


def test_what_is_known_before_saves_customers() -> None:
    plain = needed(VALUE, Terms()).customers
    adjusted = needed(VALUE.model_copy(update={"correlation": 0.6}), Terms()).customers
    assert adjusted / plain == pytest.approx(1 - 0.6**2, rel=1e-3)


def test_peeking_costs_what_is_worked_out() -> None:
    once, any_day = needed(CONVERSION, Terms()), needed(CONVERSION, Terms(sequential=True))
    assert once.usual is None
    assert any_day.fixed == once.customers
    assert any_day.customers / once.customers == pytest.approx(cost(0.05, 0.8)[0], rel=1e-4)
    assert once.customers < any_day.usual < any_day.customers


def test_several_arms_share_the_level() -> None:
    four = needed(CONVERSION, Terms(shares=(0.25,) * 4, comparisons=3))
    alone = customers_for_rates((0.04, 0.044), (0.25, 0.25), 0.05 / 6, 0.8)
    assert four.customers == int(np.ceil(alone))


def test_a_plan_takes_the_largest_need() -> None:
    metrics = """
    [[metric]]
    name = "accepted"
    base = 0.04
    lift = 0.1
    [[metric]]
    name = "spend"
    kind = "value"
    role = "guardrail"
    base = 100
    sd = 120
    lift = 0.05
    [[metric]]
    name = "calls"
    role = "secondary"
    """
    found = plan(experiment(top='per_day = 3000\ninterval = "fixed"\n', metrics=metrics))
    assert [need.metric for need in found.metrics] == ["accepted", "spend"]
    assert found.metrics[1].wished == 95
    assert found.customers >= max(need.customers for need in found.metrics)
    assert found.per_arm[0] * 2 == found.customers
    assert found.days == -(-found.customers // 3000)


def test_a_planned_test_finds_the_lift_with_the_power_planned() -> None:
    arms = '[[arm]]\nname = "a"\nshare = 0.7\n[[arm]]\nname = "b"\nshare = 0.3\n'
    metrics = '[[metric]]\nname = "m"\nbase = 0.2\nlift = 0.3\n'
    found = plan(experiment(arms=arms, metrics=metrics, top='interval = "fixed"\n'))
    draw = np.random.default_rng(7)
    arm = np.repeat([0, 1], found.per_arm)
    hits = 0
    for _ in range(1000):
        values = (draw.random(len(arm)) < np.where(arm == 1, 0.26, 0.2)).astype(float)
        hits += fixed(sums_of(values[:, None], arm, 2), 1, ReadingTerms(0.05), conversion=True).p_value < 0.05
    assert hits / 1000 == pytest.approx(0.8, abs=0.04)


WRONG = {
    "nothing": ("", "metric 'm': to plan it, base and lift must be given"),
    "no sd": ('kind = "value"\nbase = 3\nlift = 0.1\n', "sd must be given"),
    "too high": ("base = 0.9\nlift = 0.5\n", "lead to a rate of 1.35"),
    "share of nothing": ('kind = "value"\nbase = 0\nsd = 1\nlift = 0.1\n', "give lift with absolute = true"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_planned(case: str) -> None:
    said, message = WRONG[case]
    with pytest.raises(ExperimentError, match=message):
        plan(experiment(arms=ARMS, metrics=f'[[metric]]\nname = "m"\n{said}'))
