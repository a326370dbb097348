"""A page reads the same in Markdown as in HTML."""

from __future__ import annotations

import pytest

from nextoffer.evaluate.calibration import ReliabilityBin
from nextoffer.evaluate.charts import AbTest, Bar, Bars
from nextoffer.evaluate.course import Course, Trace
from nextoffer.evaluate.curves import Deciles, Reliability, Shape, Shapes
from nextoffer.evaluate.forest import Forest, Lift
from nextoffer.evaluate.markdown import Bullets, drawn, markdown
from nextoffer.evaluate.page import DataTable, Drawing, ReportPage, Section, render
from nextoffer.intervals import Interval

TABLE = DataTable(("Model", "AUC"), [("a|b", "0.7\n0.6 to 0.8"), ("<none>", "–")], numeric=frozenset({"AUC"}))
CHART = Bars("AUC", (Bar("a & b", Interval(0.7, 0.6, 0.8, 10)),))
PAGE = ReportPage(
    "Toy bank",
    (("As of", "2025-10-11"),),
    "All is well.",
    ("It is.",),
    (Section("One", "Words.\n\nMore words.", (TABLE, CHART, Bullets(("a * b", "c")))),),
)


def test_every_word_of_the_page_is_in_both() -> None:
    text, html = markdown(PAGE), render(PAGE)
    for words in ("Toy bank", "As of", "2025-10-11", "All is well.", "It is.", "One", "Words.", "More words."):
        assert words in text
        assert words in html
    assert html.count("<svg") == 1
    assert "<svg" not in text


def test_a_table_keeps_its_cells_apart() -> None:
    assert drawn(TABLE).splitlines() == [
        "| Model | AUC |",
        "|---|--:|",
        "| a\\|b | 0.7<br>0.6 to 0.8 |",
        "| \\<none> | – |",
    ]


VALUE = Interval(0.7, 0.6, 0.8, 10)


@pytest.mark.parametrize(
    ("chart", "row"),
    [
        (CHART, "| a & b | 0.700 | 0.600 to 0.800 | 10 |"),
        (Forest("Lift", (Lift("a", VALUE),)), "| a | +70.0 % | +60.0 % to +80.0 % | 10 |"),
        (Course("AUC", ("d1",), (Trace("a", (VALUE,)),)), "| a | 0.700<br>0.600 to 0.800 |"),
        (Reliability((ReliabilityBin(0.5, VALUE),)), "| 50.0 % | 70.0 % | 60.0 % to 80.0 % | 10 |"),
        (Deciles((VALUE,)), "| 1 | ×0.7 | ×0.6 to ×0.8 | 10 |"),
        (Shapes((Shape("Age", [0.0, 1.0], edges=[0, 5, 9]),)), "| Age | ×1 (0 to 5) | ×2.7 (5 to 9) |"),
    ],
)
def test_a_chart_is_told_as_a_table(chart: Drawing, row: str) -> None:
    assert drawn(chart).replace("\u202f", " ").splitlines()[2] == row


def test_a_chart_without_a_table_says_what_a_screen_reader_gets() -> None:
    assert drawn(AbTest(VALUE, 0.5)).startswith("*A/B test: estimated +70.0")


def test_marks_in_sentences_are_no_marks() -> None:
    assert Bullets(("a * b", "c")).markdown() == "- a \\* b\n- c"
    assert "<li>a * b</li>" in Bullets(("a * b", "c")).draw()
