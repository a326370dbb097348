from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.errors import BankError
from nextoffer.keyed import uniform
from nextoffer.simulate.ab import acceptance, simulate_ab

CUSTOMERS = 1000
IDS = np.arange(CUSTOMERS)


def _truth(p_a: np.ndarray | float = 0.2, p_b: np.ndarray | float = 0.3) -> pa.Table:
    chances = np.stack([np.broadcast_to(p_a, CUSTOMERS), np.broadcast_to(p_b, CUSTOMERS)], axis=1)
    return pa.table(
        {"customer_id": np.repeat(IDS, 2), "product_id": ["a", "b"] * CUSTOMERS, "p_treated": chances.ravel()}
    )


def _offers(product: str, customers: np.ndarray = IDS) -> pa.Table:
    return pa.table({"customer_id": customers, "product_id": [product] * len(customers)})


def test_the_interval_covers_the_true_lift_at_its_stated_rate() -> None:
    p_a = 0.1 + 0.2 * uniform(7, "a", IDS)
    p_b = 0.1 + 0.3 * uniform(7, "b", IDS)
    truth, a, b = _truth(p_a, p_b), _offers("a"), _offers("b")
    true_lift = p_b.mean() / p_a.mean() - 1
    results = [simulate_ab(truth, a, b, seed=seed).lift for seed in range(400)]
    covered = np.mean([lift.low <= true_lift <= lift.high for lift in results])
    assert 0.92 < covered < 0.985  # 0.95 ± 0.033 of sampling, and the split makes the interval a little too wide


def test_true_lift_and_arms_are_what_the_truth_says() -> None:
    result = simulate_ab(_truth(), _offers("a"), _offers("b"))
    assert result.true_lift == pytest.approx(0.5)
    assert (result.control.true_rate, result.treatment.true_rate) == pytest.approx((0.2, 0.3))
    assert result.control.customers + result.treatment.customers == CUSTOMERS
    assert result.control.customers == pytest.approx(500, abs=80)
    assert result.needed_per_arm == 294  # Fleiss: 20 % against 30 %, 80 % power


def test_certain_answers_are_counted_exactly() -> None:
    result = simulate_ab(_truth(0.0, 1.0), _offers("a"), _offers("b"))
    assert (result.control.accepted, result.treatment.accepted) == (0, result.treatment.customers)
    assert result.needed_per_arm is None


def test_the_same_strategy_twice_has_no_lift_to_see() -> None:
    result = simulate_ab(_truth(), _offers("a"), _offers("a"))
    assert result.true_lift == pytest.approx(0.0)
    assert result.needed_per_arm is None
    assert "equally good" in result.summary()


def test_who_gets_no_offer_does_not_accept() -> None:
    result = simulate_ab(_truth(0.5, 0.5), _offers("a"), _offers("b", IDS[:500]))
    assert result.true_lift == pytest.approx(-0.5)
    assert result.control.true_rate == pytest.approx(0.5)


def test_the_order_of_rows_changes_nothing() -> None:
    shuffled = np.random.default_rng(7).permutation(CUSTOMERS)
    straight = simulate_ab(_truth(), _offers("a"), _offers("b"))
    assert simulate_ab(_truth(), _offers("a", shuffled), _offers("b", shuffled)) == straight


def test_only_the_top_offer_counts() -> None:
    ranked = pa.table(
        {"customer_id": np.repeat(IDS, 2), "rank": [2, 1] * CUSTOMERS, "product_id": ["a", "b"] * CUSTOMERS}
    )
    assert simulate_ab(_truth(), _offers("a"), ranked) == simulate_ab(_truth(), _offers("a"), _offers("b"))


def test_ids_may_be_text() -> None:
    texts = [f"C{i}" for i in range(200)]
    truth = pa.table({"customer_id": texts, "product_id": ["a"] * 200, "p_treated": [0.5] * 200})
    assert simulate_ab(truth, truth.select([0, 1]), truth.select([0, 1])).true_lift == pytest.approx(0.0)


def test_scores_of_the_reference_world_become_probabilities() -> None:
    assert acceptance(pa.table({"true_score": [-50.0, 0.0, 50.0]})) == pytest.approx([0.0, 0.125, 0.25])


def test_the_summary_says_what_was_found_and_what_was_needed() -> None:
    lines = simulate_ab(_truth(), _offers("a"), _offers("b")).summary().splitlines()
    assert len(lines) == 4
    assert "+50.0% true" in lines[2]
    assert lines[3] == "To see it (80 % power, 5 % level): 294 per arm; this test had enough."


def test_the_result_is_frozen_and_can_be_written_as_json() -> None:
    result = simulate_ab(_truth(), _offers("a"), _offers("b"))
    back = json.loads(json.dumps(result.to_dict()))
    assert back["true_lift"] == result.true_lift
    assert back["treatment"]["rate"] == result.treatment.rate
    with pytest.raises(FrozenInstanceError, match="true_lift"):
        result.true_lift = 1.0  # type: ignore[misc]


BAD = {
    "treatment: 1000 customers or more have several top offers": pa.concat_tables([_offers("a"), _offers("b")]),
    "treatment: 1000 offered pairs are not in the truth, such as": _offers("c"),
    "treatment: no column product_id; there are customer_id": _offers("a").select(["customer_id"]),
    "treatment: ids are not written as in the truth": pa.table({"customer_id": ["x"], "product_id": ["a"]}),
}


@pytest.mark.parametrize("message", BAD)
def test_offers_that_cannot_be_played_are_refused(message: str) -> None:
    with pytest.raises(BankError, match=message):
        simulate_ab(_truth(), _offers("a"), BAD[message])


def test_a_truth_without_probabilities_is_refused() -> None:
    with pytest.raises(BankError, match=r"truth \(or p_treated\): no column true_score"):
        simulate_ab(_truth().select(["customer_id", "product_id"]), _offers("a"), _offers("b"))


def test_one_customer_is_no_test() -> None:
    with pytest.raises(BankError, match="needs customers in both arms; there are 1 customers"):
        simulate_ab(_truth(), _offers("a", IDS[:1]), _offers("b", IDS[:1]))
