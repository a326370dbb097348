"""A page reads the same in Markdown as in HTML."""

from __future__ import annotations

from nextoffer.evaluate.charts import Bar, Bars
from nextoffer.evaluate.markdown import Bullets, Pictured, drawn, markdown
from nextoffer.evaluate.page import DataTable, ReportPage, Section, render
from nextoffer.intervals import Interval

TABLE = DataTable(("Model", "AUC"), [("a|b", "0.7\n0.6 to 0.8"), ("<none>", "–")], numeric=frozenset({"AUC"}))
CHART = Bars("AUC", (Bar("a & b", Interval(0.7, 0.6, 0.8, 10)),))
PAGE = ReportPage(
    "Toy bank",
    (("As of", "2025-10-11"),),
    "All is well.",
    ("It is.",),
    (Section("One", "Words.\n\nMore words.", (TABLE, Pictured(CHART, TABLE), Bullets(("a * b", "c")))),),
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


def test_a_chart_without_a_table_says_what_a_screen_reader_gets() -> None:
    assert drawn(CHART) == "*AUC: a & b 0.700*"
    assert drawn(Pictured(CHART, TABLE)) == drawn(TABLE)


def test_marks_in_sentences_are_no_marks() -> None:
    assert Bullets(("a * b", "c")).markdown() == "- a \\* b\n- c"
    assert "<li>a * b</li>" in Bullets(("a * b", "c")).draw()
