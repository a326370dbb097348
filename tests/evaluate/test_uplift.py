"""Curves of uplift: a toy whose areas are known, another way to reckon Qini, and orders that tell nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from nextoffer.evaluate.uplift import (
    Contacts,
    auuc,
    auuc_difference,
    average_effect,
    best_share,
    contacted_above,
    deciles,
    gains,
    qini,
    ranked_within,
    rows,
)
from nextoffer.tables.flow import REPORT

Floats = npt.NDArray[np.float64]


def halves(count: int = 4000) -> tuple[Contacts, Floats]:
    """Contact decides for the first half, and does nothing to the second; every second customer is contacted."""
    treated = np.arange(count) % 2 == 0
    helped = np.arange(count) < count // 2
    return Contacts((treated & helped).astype(float), treated), helped.astype(float)


def test_a_toy_whose_answer_is_known() -> None:
    contacts, helped = halves()
    assert average_effect(contacts).estimate == pytest.approx(0.5)
    assert auuc(contacts, helped).estimate == pytest.approx(0.125)  # triangle to (½, ½), flat, less the diagonal
    assert qini(contacts, helped).estimate == pytest.approx(0.125)
    assert auuc(contacts, -helped).estimate == pytest.approx(-0.125)
    shares, curve = gains(contacts, helped)
    assert shares.tolist() == [0.0, 0.5, 1.0]
    assert curve == pytest.approx([0.0, 0.5, 0.5])
    assert [i.estimate for i in deciles(contacts, helped)] == pytest.approx([1.0, 0.0])


def test_equal_predictions_tell_nothing() -> None:
    contacts, helped = halves()
    same = np.zeros(len(contacts))
    assert auuc(contacts, same).estimate == pytest.approx(0.0)
    assert qini(contacts, same).estimate == pytest.approx(0.0)
    gap = auuc_difference(contacts, helped, same)
    assert gap.low > 0
    assert gap.estimate == pytest.approx(0.125)


def test_qini_is_the_area_under_the_curve_point_by_point() -> None:
    """Reckoned customer by customer, as scikit-uplift does: cumulative sums in order, trapezoids, less the line."""
    draw = np.random.default_rng(5)
    n = 3000
    predicted, treated = draw.random(n), draw.random(n) < 0.4
    outcomes = (draw.random(n) < 0.1 + 0.2 * treated * predicted).astype(float)
    order = np.argsort(-predicted)
    y, t = outcomes[order], treated[order]
    n_t, n_c = np.cumsum(t), np.cumsum(~t)
    curve = np.cumsum(y * t) - np.cumsum(y * ~t) * np.divide(n_t, n_c, out=np.zeros(n), where=n_c > 0)
    curve, shares = np.r_[0.0, curve], np.r_[0.0, np.arange(1, n + 1) / n]
    area = (((curve[1:] + curve[:-1]) / 2) @ np.diff(shares) - curve[-1] / 2) / treated.sum()
    assert qini(Contacts(outcomes, treated), predicted).estimate == pytest.approx(area, abs=2e-4)


def test_an_order_by_chance_holds_nothing_at_its_rate() -> None:
    draw, held = np.random.default_rng(3), 0
    for _ in range(100):
        treated = draw.random(600) < 0.5
        found = auuc(Contacts((draw.random(600) < 0.3).astype(float), treated), draw.random(600), resamples=200)
        held += found.low <= 0 <= found.high
    assert held >= 88  # 95 less three standard errors


def test_folds_are_ranked_each_for_itself() -> None:
    predicted, folds = np.array([5.0, 1.0, 30.0, 40.0, 20.0, 20.0]), np.array([0, 0, 1, 1, 2, 2])
    assert ranked_within(predicted, folds).tolist() == [0.75, 0.25, 0.25, 0.75, 0.5, 0.5]


def test_cross_fitted_orders_are_known_less_well() -> None:
    contacts, helped = halves()
    folds = np.arange(len(contacts)) % 4
    noisy = helped + np.random.default_rng(2).random(len(contacts)) + 10.0 * folds
    found, taken = auuc(contacts, noisy, folds=folds), auuc(contacts, ranked_within(noisy, folds))
    assert found.estimate == taken.estimate
    assert found.high - found.estimate == pytest.approx(2**0.5 * (taken.high - taken.estimate))
    assert qini(contacts, noisy, folds=folds).estimate == pytest.approx(found.estimate, rel=0.02)
    assert auuc_difference(contacts, noisy, -noisy, folds=folds).low > 0
    best, *_, worst = deciles(contacts, noisy, folds=folds)
    assert best.low > worst.high


def test_known_chances_of_contact_are_used() -> None:
    draw = np.random.default_rng(11)
    keen = draw.random(40_000) < 0.5
    chance = np.where(keen, 0.8, 0.2)
    treated = draw.random(40_000) < chance
    outcomes = (draw.random(40_000) < np.where(keen, 0.5, 0.1) + 0.05 * treated).astype(float)
    fair = average_effect(Contacts(outcomes, treated, chance))
    naive = average_effect(Contacts(outcomes, treated))
    assert fair.low < 0.05 < fair.high
    assert naive.low > 0.05


def test_whom_to_contact() -> None:
    contacts, helped = halves()
    found = contacted_above(contacts, helped, worth=10.0, cost=6.0)
    assert found.share == 0.5
    assert found.value.estimate == pytest.approx((10 - 6) / 2)
    assert found.everybody.estimate == pytest.approx(5 - 6)
    assert best_share(contacts, helped, worth=10.0, cost=6.0).estimate == pytest.approx(0.5)
    assert best_share(contacts, helped, worth=1.0, cost=6.0).estimate == 0.0


def test_both_sides_are_needed() -> None:
    with pytest.raises(ValueError, match="both sides are needed; of 3 customers 0 were contacted"):
        Contacts(np.zeros(3), np.zeros(3, dtype=bool))
    with pytest.raises(ValueError, match="treated: 2 rows, outcomes 3"):
        Contacts(np.zeros(3), np.zeros(2, dtype=bool))


def test_rows_of_the_report() -> None:
    contacts, helped = halves()
    [row] = rows({"auuc": auuc(contacts, helped)}, model="dr")
    assert set(row) == set(REPORT.names)
    assert row["n"] == len(contacts)


def test_several_rows_of_a_customer_are_no_more_than_one_says() -> None:
    """Every row written four times: the same figures, and the intervals of the customers, not those of four times as
    many."""
    draw = np.random.default_rng(3)
    n = 1500
    treated, order = draw.random(n) < 0.6, draw.random(n)
    once = Contacts((draw.random(n) < 0.2 + 0.2 * treated * order).astype(float), treated)
    four = Contacts(np.repeat(once.outcomes, 4), np.repeat(treated, 4), customers=np.repeat(np.arange(n) + 7, 4))
    alone = Contacts(four.outcomes, four.treated)
    for figure in (auuc, qini):
        single, several, wrong = (
            figure(once, order),
            figure(four, np.repeat(order, 4)),
            figure(alone, np.repeat(order, 4)),
        )
        assert several.estimate == pytest.approx(single.estimate)
        assert several.high - several.low == pytest.approx(single.high - single.low, rel=0.1)
        assert wrong.high - wrong.low < 0.6 * (several.high - several.low)
    assert average_effect(four).n == 4 * n
    worth = np.repeat(np.where(order > 0.5, 2.0, 0.0), 4)
    found = contacted_above(four, np.repeat(order, 4), worth=worth, cost=0.1)
    assert found.share == pytest.approx((order > 0.5).mean())
    assert found.value.estimate > found.everybody.estimate
