"""Which response answers which offer."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

from nextoffer.deliver.answers import DAYS, RESPONSES, answers

DAY = date(2025, 1, 1)
Said = tuple[int, int, int | None]
_SCHEMA = pa.schema(zip(RESPONSES, [pa.int64(), pa.string(), pa.date32(), pa.float64(), pa.date32()], strict=True))


def day(after: int | None) -> date | None:
    return None if after is None else DAY + timedelta(days=after)


def found(*said: Said) -> list[dict[str, Any]]:
    offers = pa.table(
        {"decision_id": ["d1", "d2"], "customer_id": [1, 1], "product_id": ["P", "Q"],
         "as_of": pa.array([DAY, DAY], pa.date32())}
    )  # fmt: skip
    rows = [dict(zip(RESPONSES, (1, "P", day(at), label, day(answered)), strict=True)) for at, label, answered in said]
    return list(answers(offers, pa.Table.from_pylist(rows, schema=_SCHEMA)).to_pylist())


@pytest.mark.parametrize(
    ("said", "outcome", "on"),
    [
        ([(1, 1, 3)], "Accepted", 3),
        ([(1, 1, None)], "Accepted", 1),
        ([(0, 0, 2)], "Rejected", 2),
        ([(DAYS, 0, None)], "NoResponse", DAYS),
        ([(5, 1, 6), (2, 0, None)], "NoResponse", 2),
        ([(2, 0, None), (2, 1, 4)], "Accepted", 4),
        ([(-1, 1, 1), (3, 0, 3)], "Rejected", 3),
    ],
)
def test_the_first_response_answers(said: list[Said], outcome: str, on: int) -> None:
    assert found(*said) == [{"decision_id": "d1", "outcome": outcome, "on": day(on)}]


@pytest.mark.parametrize("said", [[], [(-1, 1, 1)], [(DAYS + 1, 1, DAYS + 2)]])
def test_others_answer_nothing(said: list[Said]) -> None:
    assert found(*said) == []
