"""The choice ranker: what competes, what goes together, and that its tables say exactly that."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad

from nextoffer.models.choice import ChoiceRanker
from nextoffer.models.coding import Coding, flag_coding
from nextoffer.models.indicators import Axis, Block, Indicators, common, crossed, main_effects
from nextoffer.models.logit import Choices, Likelihood, Logit, heavy_tailed
from nextoffer.models.ranker import sigmoid
from nextoffer.models.scorecard import Scorecard
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable, Floats
from tests.models import worlds

P = len(worlds.IDS)
COUNT = 3000
WISH = np.zeros((P, P))  # what holding product i adds to the wish for product j
WISH[0, 3], WISH[1, 3], WISH[0, 4] = 2.0, -2.0, 1.0
TOGETHER = 2.5  # what holding products 1 and 2 together adds to the wish for product 5


def takers(*, seed: int = 1, together: float = 0.0) -> tuple[FeatureTable, Floats, np.ndarray]:
    """Return customers, the law's log-odds (n, P), and the one product, of those not held, that each takes up."""
    draw = np.random.default_rng(seed)
    held = draw.random((COUNT, P)) < 0.4
    held[held.all(axis=1), 0] = False
    law = held @ WISH
    law[:, 5] += together * (held[:, 1] & held[:, 2])
    noisy = np.where(held, -np.inf, law + draw.gumbel(size=law.shape))
    taken = np.zeros_like(held)
    taken[np.arange(COUNT), noisy.argmax(axis=1)] = True
    return worlds.holders(held), law, taken


def choices_of(features: FeatureTable, taken: np.ndarray) -> Training:
    """Return every pair not held, answered by what was taken up."""
    held = features.per_product("held", worlds.IDS) > 0
    rows, cols = np.nonzero(~held)
    ids = features.customer_ids.to_numpy()[rows].view(np.uint64)
    labels, ones = taken[rows, cols].astype(float), np.ones(len(rows))
    return Training((features,), worlds.shelf(), np.zeros(len(rows), dtype=np.intp), rows, cols, labels, ones, ids)


def card_of(ranker: ChoiceRanker) -> Scorecard:
    assert ranker.card_ is not None
    return ranker.card_


def effect(card: Scorecard, of: str, on: str) -> float:
    """Return what holding `of` adds to the log-odds of `on`, against the mean of those that hold no interest for it."""
    row = card.tables[card.features.index(f"held_{of}")][2]
    return float(row[worlds.IDS.index(on)] - row[[2, 5]].mean())


def test_holdings_get_the_effects_they_have() -> None:
    features, _, taken = takers()
    card = card_of(ChoiceRanker().fit(choices_of(features, taken)))
    assert effect(card, "11", "14") == pytest.approx(2.0, abs=0.5)
    assert effect(card, "12", "14") == pytest.approx(-2.0, abs=0.6)
    assert effect(card, "11", "15") == pytest.approx(1.0, abs=0.5)
    assert effect(card, "13", "14") == pytest.approx(0.0, abs=0.5)


def test_two_flags_together_get_a_table_of_their_own() -> None:
    features, _, taken = takers(together=TOGETHER)
    card = card_of(ChoiceRanker().fit(choices_of(features, taken)))
    both = next(c for c in card.crosses if (c.a, c.b) == ("held_12", "held_13")).table
    assert both[2, 2, 5] - both[2, 2, [0, 3, 4]].mean() > 0.8
    both = both.copy()
    both[2, 2] = 0.0
    assert not both.any()


def test_what_is_missed_for_want_of_an_offer_is_not_held_against_a_product() -> None:
    """Product 3 is offered only beside the much wanted product 0: its rate is low, its place among equals is not."""
    draw = np.random.default_rng(3)
    strength = np.array([2.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    held = np.zeros((COUNT, P), dtype=bool)
    held[:, 0] = draw.random(COUNT) < 0.5
    held[:, 3] = held[:, 0]
    held[:, 4] = draw.random(COUNT) < 0.5
    noisy = np.where(held, -np.inf, strength + draw.gumbel(size=held.shape))
    taken = np.eye(P, dtype=bool)[noisy.argmax(axis=1)]
    training = choices_of(worlds.holders(held), taken)
    rates = np.bincount(training.cols, training.labels, P) / np.bincount(training.cols, minlength=P)
    assert rates[3] < 0.6 * rates[1]
    log_odds = ChoiceRanker().fit(training).score(worlds.holders(held), training.products).log_odds
    among = log_odds[~held[:, 3]]
    assert (among[:, 3] - among[:, 1]).mean() == pytest.approx(0.0, abs=0.2)


def test_orders_nearly_as_well_as_the_law_itself() -> None:
    features, _, taken = takers(together=TOGETHER)
    ranker = ChoiceRanker().fit(choices_of(features, taken))
    fresh, law, chosen = takers(seed=2, together=TOGETHER)
    log_odds = ranker.score(fresh, worlds.shelf()).log_odds
    open_ = fresh.per_product("held", worlds.IDS) == 0

    def hit_rate(scores: Floats) -> float:
        return float(chosen[np.arange(COUNT), np.where(open_, scores, -np.inf).argmax(axis=1)].mean())

    assert hit_rate(log_odds) > hit_rate(law) - 0.02
    assert hit_rate(log_odds) > hit_rate(np.broadcast_to(law.mean(axis=0), law.shape)) + 0.1


def test_mean_propensity_is_the_rate_that_was_seen() -> None:
    features, _, taken = takers()
    training = choices_of(features, taken)
    chance = sigmoid(ChoiceRanker().fit(training).score(features, training.products).log_odds)
    assert chance[training.rows, training.cols].mean() == pytest.approx(training.labels.mean(), abs=1e-4)


def test_a_pair_of_weight_two_is_the_pair_twice() -> None:
    training = worlds.offers(worlds.customers(300), law=worlds.age_and_taste)
    doubled = replace(training, weights=np.where(training.rows < 150, 2.0, 1.0))
    again = np.r_[np.arange(len(training)), np.flatnonzero(training.rows < 150)]
    listed = [v[again] for v in (training.snapshot, training.rows, training.cols, training.labels, training.weights)]
    twice = Training(training.snapshots, training.products, *listed, training.customers[again])
    settings = {"ridges": (4.0,), "least": 5}
    one, two = (ChoiceRanker(**settings).fit(t).score(t.snapshots[0], t.products).log_odds for t in (doubled, twice))  # type: ignore[arg-type]
    assert one == pytest.approx(two, abs=1e-4)


def test_the_ridge_is_chosen_on_customers_held_out() -> None:
    features, _, taken = takers()
    summary = ChoiceRanker(ridges=(1e6, 4.0)).fit(choices_of(features, taken)).summary()
    assert summary["ridge"] == 4.0
    losses = summary["held_out_loss_by_ridge"]
    assert losses["4.0"] < losses["1000000.0"]


def test_noise_is_drawn_to_nothing() -> None:
    draw = np.random.default_rng(5)
    features = worlds.customers(600)
    training = worlds.answered(
        worlds.offers(features, law=worlds.nothing_matters), (draw.random(1800) < 0.2).astype(float)
    )
    ranker = ChoiceRanker(ridges=(1000.0, 16.0, 1.0)).fit(training)
    assert ranker.summary()["ridge"] == 1000.0
    assert np.ptp(card_of(ranker).tables[0]) < 0.05


def test_a_heavy_tail_leaves_a_large_effect_alone() -> None:
    steps = np.array([[0.0, 0.5, 3.0]])
    ridge = np.array([[8.0]])
    heavy = heavy_tailed(ridge, steps)
    assert heavy[0, 0] == 16.0
    assert heavy[0, 2] < 0.02 * heavy[0, 0]
    for w in (-1.0, 0.2, 0.5, 2.0):  # the penalty lies on or above that of the prior, and touches it at the steps
        gap = heavy * (w**2 - steps**2) - (np.log1p(2 * ridge * w**2) - np.log1p(2 * ridge * steps**2))
        assert gap.min() > -1e-9
    assert heavy * steps == pytest.approx(2 * ridge * steps / (1 + 2 * ridge * steps**2))


def test_names_a_bank_does_not_have_are_passed_over_and_no_pair_meets_twice() -> None:
    features, _, taken = takers()
    training = choices_of(features, taken)
    ranker = ChoiceRanker(crosses=(("held", "held"), ("held_11", "held"), ("moon_phase", "held")))
    pairs = [(c.a, c.b) for c in card_of(ranker.fit(training)).crosses]
    assert len(pairs) == len({frozenset(p) for p in pairs}) == P * (P - 1) // 2


@given(cuts=st.lists(st.integers(0, 60), max_size=6), order=st.permutations(range(60)))
def test_any_batching_gives_the_same_bits(cuts: list[int], order: list[int]) -> None:
    ranker, features = fitted_once()
    whole = ranker.score(features, worlds.shelf())
    stops = [0, *sorted(cuts), 60]
    parts = [np.asarray(order[a:b], dtype=np.intp) for a, b in pairwise(stops)]
    scored = [ranker.score(features.take(part), worlds.shelf()).log_odds for part in parts]
    assert np.array_equal(np.concatenate(scored), whole.log_odds[order])


def test_parts_add_up_and_crosses_are_read_only_where_they_are_not_zero() -> None:
    ranker, features = fitted_once()
    card = card_of(ranker)
    scores = ranker.score(features, worlds.shelf())
    rows, cols = (axis.ravel() for axis in np.indices(scores.log_odds.shape))
    total = scores.intercept[cols] + scores.contributions(rows, cols).sum(axis=1)
    assert total == pytest.approx(scores.log_odds[rows, cols], abs=1e-5)
    held = (features.per_product("held", worlds.IDS) > 0).astype(int) + 1
    plain = card.intercept + sum(t[held[:, j]] for j, t in enumerate(card.tables))
    for cross in card.crosses:
        a, b = (card.features.index(name) for name in (cross.a, cross.b))
        plain = plain + cross.table[held[:, a], held[:, b]]
    assert scores.log_odds == pytest.approx(plain, abs=1e-5)


_FITTED: list[ChoiceRanker] = []


def fitted_once() -> tuple[ChoiceRanker, FeatureTable]:
    features, _, taken = takers(together=TOGETHER)
    if not _FITTED:
        _FITTED.append(ChoiceRanker().fit(choices_of(features, taken)))
    return _FITTED[0], features.take(np.arange(60))


NUMBER = Coding("age", "number", cuts=(30.0, 40.0, 50.0))
KIND = Coding("segment", "category", categories=("a", "b"))


def test_a_number_has_steps_a_category_values_a_flag_one() -> None:
    blocks = main_effects((NUMBER, KIND, flag_coding("held")))
    assert [b.shape for b in blocks] == [(3,), (2,), (1,), (1,), (1,), (1,)]
    codes = np.array([[1, 0, 2], [3, 2, 1], [0, 1, 0]], dtype=np.uint16)
    cells = Indicators(tuple(blocks)).matrix(codes).toarray()
    assert cells.tolist() == [
        [0, 0, 0, 0, 0, 1, 0, 1, 0],
        [0, 1, 0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 1, 0, 1],
    ]


def test_steps_add_up_from_the_lowest_and_spread_is_the_transpose() -> None:
    draw = np.random.default_rng(1)
    indicators = Indicators(tuple(main_effects((NUMBER, KIND)) + crossed((NUMBER, KIND), [(0, 1)])))
    steps, cells = draw.normal(size=(2, len(indicators), 4))
    assert indicators.summed(steps)[:3] == pytest.approx(np.cumsum(steps[:3], axis=0))
    assert (indicators.summed(steps) * cells).sum() == pytest.approx((steps * indicators.spread(cells)).sum())


def test_rare_cells_are_left_out() -> None:
    codes = np.array([[2]] * 3 + [[1]] * 7, dtype=np.uint16)
    flag = Block((Axis.of(flag_coding("held"), 0),))
    assert len(common([flag], codes, np.ones(10), least=3)) == 1
    assert len(common([flag], codes, np.ones(10), least=4)) == 0
    assert len(common([flag], codes, np.full(10, 2.0), least=4)) == 1


def test_equal_choice_sets_are_laid_together_and_nothing_is_lost() -> None:
    draw = np.random.default_rng(2)
    codes = draw.integers(0, 3, (200, 2)).astype(np.uint16)
    offered = (draw.random((200, 3)) < 0.7).astype(float)
    accepted = offered * (draw.random((200, 3)) < 0.3)
    laid = Choices.of(codes, offered, accepted)
    assert len(laid.count) < 100
    assert laid.count.sum() == 200
    assert laid.offered.sum(axis=0).tolist() == offered.sum(axis=0).tolist()
    indicators = Indicators(tuple(main_effects((flag_coding("a"), flag_coding("b")))))
    model = Logit(draw.normal(size=(len(indicators), 3)), draw.normal(size=3))
    apart = Choices(codes, offered, accepted, np.ones(200))
    losses = [Likelihood.of(indicators, c).loss(model) for c in (laid, apart)]
    # Sets that offer a product k times as often add a constant: log k for each acceptance.
    again = Logit(np.zeros_like(model.steps), np.zeros(3))
    flat = [Likelihood.of(indicators, c).loss(again) for c in (laid, apart)]
    assert losses[0] - flat[0] == pytest.approx(losses[1] - flat[1])


def test_the_slope_is_that_of_the_loss() -> None:
    draw = np.random.default_rng(4)
    offered = (draw.random((30, 4)) < 0.8) * draw.integers(1, 4, (30, 4)).astype(float)
    accepted = offered * (draw.random((30, 4)) < 0.4)
    empty = np.zeros((30, 0), dtype=np.uint16)
    likelihood = Likelihood.of(Indicators(()), Choices(empty, offered, accepted, np.ones(30)))
    shape = likelihood.choices.offered.shape

    def loss(x: Floats) -> float:
        return likelihood.loss_and_slope(x.reshape(shape))[0]

    def slope(x: Floats) -> Floats:
        return likelihood.loss_and_slope(x.reshape(shape))[1].ravel()

    assert check_grad(loss, slope, draw.normal(size=shape).ravel()) < 1e-4


def test_a_bank_that_knows_nothing_of_its_customers_gets_rates() -> None:
    features = worlds.feature_table([worlds.number("pd", "risk", purpose="rule")], [np.linspace(0, 1, 50)])
    training = worlds.offers(features, law=lambda f: np.tile(np.linspace(-2, 1, P), (len(f), 1)), each=6)
    scores = ChoiceRanker().fit(training).score(features, training.products)
    rates = np.bincount(training.cols, training.labels, P)
    assert np.argsort(scores.log_odds[0]).tolist() == np.argsort(rates).tolist()
    assert np.ptp(scores.log_odds, axis=0).max() == 0.0
