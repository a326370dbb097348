"""What peeking costs without intervals made for it, and that covariates sharpen by the factor stated."""

from __future__ import annotations

import pytest

from tests.scripts import loaded

PLAYED = loaded("interval_coverage/experiment")


def test_peeking_with_fixed_intervals_misses_it_often() -> None:
    assert PLAYED.naive_peeking(11, 150) < 0.9


def test_the_factor_of_covariates_is_the_one_stated() -> None:
    stated, seen = PLAYED.cuped_factor(11, 500)
    assert seen == pytest.approx(stated, rel=0.2)
    assert stated < 0.5
