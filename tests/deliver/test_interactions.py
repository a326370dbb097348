"""The interaction history, and that Pega's open tools read it."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from nextoffer.deliver.interactions import history, write_interactions
from tests.deliver.toys import export, material, offer

OFFERS = [
    offer("a", 1, "P1", channel="mobile"),
    offer("a", 2, "P2", channel="phone", arm="champion"),
    offer("b", 1, "P1", channel="mail"),
    offer("c", 1, "P1", channel="Chat"),
    offer("d", 1, "P1", channel=None),
]
OUTCOMES = pa.table(
    {
        "decision_id": [OFFERS[0]["decision_id"], OFFERS[2]["decision_id"]],
        "outcome": ["Accepted", "NoResponse"],
        "on": pa.array([date(2025, 10, 15), date(2025, 10, 12)], pa.date32()),
    }
)


def test_each_offer_is_a_row_and_each_answer_another() -> None:
    rows = history(material(OFFERS).every, OUTCOMES).to_pylist()
    told = [(r["pySubjectID"], r["pxRank"], r["pyChannel"], r["pyDirection"], r["pyOutcome"]) for r in rows]
    assert told == [
        ("a", 1, "Mobile", "Inbound", "Impression"),
        ("a", 1, "Mobile", "Inbound", "Accepted"),
        ("a", 2, "Call Center", "Outbound", "Impression"),
        ("b", 1, "Direct Mail", "Outbound", "Pending"),
        ("b", 1, "Direct Mail", "Outbound", "NoResponse"),
        ("c", 1, "Chat", "Outbound", "Impression"),
        ("d", 1, "Other", "Outbound", "Impression"),
    ]
    assert [r["pxOutcomeTime"] for r in rows[:2]] == ["20251011T000000.000 GMT", "20251015T000000.000 GMT"]
    assert len({r["pxInteractionID"] for r in rows}) == 4
    assert len({r["pxFactID"] for r in rows}) == 5


def test_pdstools_open_it_as_an_interaction_history(tmp_path: Path) -> None:
    pdstools = pytest.importorskip("pdstools", reason="pdstools is not installed")
    told = write_interactions(material(OFFERS, outcomes=OUTCOMES), export(tmp_path))
    ih = pdstools.IH.from_ds_export(str(tmp_path / "interaction_history.parquet"))
    data = ih.data.collect()
    assert told.offers == 5
    assert data["OutcomeTime"].max() == datetime(2025, 10, 15)
    assert data["Propensity"].to_list()[:2] == [0.5, 0.5]
    rates = {row["Channel"]: row for row in ih.aggregates.summary_success_rates(by="Channel").collect().to_dicts()}
    assert rates["Mobile"]["Positives_Engagement"] == 1
    assert rates["Mobile"]["Negatives_Engagement"] == 0
    assert rates["Call Center"]["Negatives_Engagement"] == 1
    assert rates["Call Center"]["Positives_Engagement"] == 0
