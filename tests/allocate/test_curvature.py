"""Curvature: one matrix added up says what a sparse product says, and machine code what numpy says, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from nextoffer import compiled
from nextoffer.allocate import curvature, responding
from nextoffer.allocate.problem import Limit, Problem
from nextoffer.allocate.responding import blurred

PRICES = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])


def problem(customers: int, most: int) -> Problem:
    """Return customers with one to four offers, some of which use nothing; amounts have no exact sums."""
    draw = np.random.default_rng(3)
    start = np.concatenate([[0], np.cumsum(draw.integers(1, 5, customers))])
    n = int(start[-1])
    use = sparse.random_array((n, len(PRICES)), density=0.4, rng=draw, format="csr")
    limits = tuple(Limit(f"l{j}", "unit", 1.0) for j in range(len(PRICES)))
    return Problem(
        draw.normal(1.0, 1.0, n), draw.random(n), start, np.arange(n), use, np.ones(len(PRICES)), most, limits
    )


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("threads", [True, False])
def test_machine_code_and_numpy_add_up_alike(most: int, threads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responding, "_WORTH_A_THREAD", 0 if threads else 10**9)
    monkeypatch.setattr(curvature, "_BLOCK", 1_000)  # several blocks
    asked = problem(9_001, most)
    compiled.cool_down()
    x = blurred(asked, PRICES, 0.8).x
    plain = curvature.bent(asked, x).toarray()
    assert compiled.warm_up()
    try:
        quick = curvature.bent(asked, x).toarray()
    finally:
        compiled.cool_down()
    assert np.array_equal(quick, plain)
    assert np.array_equal(quick != 0, quick.T != 0)


@pytest.mark.parametrize("most", [1, 2])
def test_very_many_limits_bend_the_bound_as_few_do(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = problem(500, most)
    x = blurred(asked, PRICES, 0.8).x
    dense = curvature.bent(asked, x).toarray()
    monkeypatch.setattr(curvature, "_DENSE", 0)
    assert dense == pytest.approx(curvature.bent(asked, x).toarray(), abs=1e-9)


def test_it_is_how_the_slope_changes() -> None:
    asked, blur, little = problem(500, 1), 0.8, 1e-7
    here = blurred(asked, PRICES, blur)
    bent = curvature.bent(asked, here.x).toarray()
    for j in range(len(PRICES)):
        there = blurred(asked, PRICES + little * (np.arange(len(PRICES)) == j), blur)
        assert (here.used - there.used) / little * blur == pytest.approx(bent[j], abs=1e-3)


def test_nobody_in_doubt_bends_nothing() -> None:
    asked = problem(20, 1)
    assert curvature.bent(asked, np.zeros(len(asked))).nnz == 0
    none = replace(asked, value=np.zeros(0), tie=np.zeros(0), start=np.zeros(1, dtype=np.int64),
                   offer=np.zeros(0, dtype=np.int64), use=asked.use[:0])  # fmt: skip
    assert curvature.bent(none, np.zeros(0)).nnz == 0
