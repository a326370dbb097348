"""Answers to prices: machine code on blocks of customers, side by side, says what numpy says, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from nextoffer import compiled
from nextoffer.allocate import responding
from nextoffer.allocate.problem import Limit, Problem

M = 6
PRICES = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])


def problem(most: int) -> Problem:
    """Return 9,001 customers with one to four offers; amounts have no exact sums."""
    draw = np.random.default_rng(3)
    start = np.concatenate([[0], np.cumsum(draw.integers(1, 5, 9_001))])
    n = int(start[-1])
    use = sparse.random_array((n, M), density=0.4, rng=draw, format="csr")
    limits = tuple(Limit(f"l{j}", "unit", 1.0) for j in range(M))
    return Problem(draw.normal(1.0, 1.0, n), draw.random(n), start, np.arange(n), use, np.ones(M), most, limits)


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("threads", [True, False])
def test_machine_code_and_numpy_answer_alike(most: int, threads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responding, "_WORTH_A_THREAD", 0 if threads else 10**9)
    asked = problem(most)
    compiled.cool_down()
    gain, plain = responding.gains(asked, PRICES), responding.blurred(asked, PRICES, 0.1)
    best, used = responding.best(asked, gain), asked.used(plain.x > 0.5)
    assert compiled.warm_up()
    try:
        quick = responding.blurred(asked, PRICES, 0.1)
        assert np.array_equal(responding.gains(asked, PRICES), gain)
        assert np.array_equal(responding.best(asked, gain), best)
        assert np.array_equal(asked.used(plain.x > 0.5), used)
    finally:
        compiled.cool_down()
    assert np.array_equal(quick.x, plain.x)
    assert np.array_equal(quick.used, plain.used)
    assert quick.worth == plain.worth
