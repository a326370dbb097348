"""The report needs nothing from elsewhere, says what was found, and draws what it says."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.evaluate.backtest import backtest
from nextoffer.evaluate.charts import AbTest, Bar, Bars, Mark, Offers, ProductOffers
from nextoffer.evaluate.curves import Deciles, Shape, Shapes
from nextoffer.evaluate.gate import Criterion, Gate, headline, judge_gate
from nextoffer.evaluate.judge import Settings
from nextoffer.evaluate.page import DataTable, ReportPage, Section, render
from nextoffer.evaluate.pairs import Contender, Truth
from nextoffer.evaluate.story import (
    AbArm,
    Cast,
    ab_section,
    evaluation_sections,
    figures_section,
    gate_section,
    offers_section,
    shapes_section,
    summary,
)
from nextoffer.intervals import Interval

CUSTOMERS, PRODUCTS = 120, 5
CAST = Cast("glassbox", "heuristic", k=3)
SHAPES = (
    Shape("Income", [-0.4, 0.1, 0.6], edges=[0, 1000, 2000, 3000]),
    Shape("Segment", [0.2, -0.1], names=["mass", "private"]),
)
OFFERS = Offers(
    (ProductOffers("Car & home", 30, {"eligibility": 70}), ProductOffers("Gold <card>", 60, {"contact": 40}))
)


def judged(*, with_truth):
    rng = np.random.default_rng(3)
    knowable = rng.normal(size=CUSTOMERS * PRODUCTS)
    response = 1 / (1 + np.exp(1.5 - knowable))
    customer = np.repeat(np.arange(CUSTOMERS), PRODUCTS)
    table = pa.table(
        {
            "customer_id": customer,
            "product_id": np.tile(np.arange(PRODUCTS), CUSTOMERS),
            "label": (rng.random(len(response)) < response).astype(int),
            "segment": np.array(["mass", "private"])[customer % 2],
        }
    )
    models = {
        "heuristic": Contender(knowable + 2 * rng.normal(size=len(knowable))),
        "glassbox": Contender(1 / (1 + np.exp(1.6 - knowable + 0.5 * rng.normal(size=len(knowable)))), True),
    }
    truth = Truth(response, knowable) if with_truth else None
    settings = Settings(k=3, baseline="heuristic", resamples=100)
    return backtest(table, models, truth=truth, by=["segment"], settings=settings)


@pytest.fixture(scope="module")
def found():
    return judged(with_truth=True)


@pytest.fixture(scope="module")
def html(found):
    criteria = judge_gate(found.report, "glassbox", baseline="heuristic", k=3)
    return render(
        ReportPage(
            title="Bank <of> Tests",
            facts=(("As of", "2025-10-11"),),
            headline=headline(criteria),
            summary=summary(found.report, CAST, criteria),
            sections=(
                gate_section(criteria),
                *evaluation_sections(found, CAST, gate=Gate()),
                shapes_section(SHAPES),
                offers_section(OFFERS),
                ab_section(
                    AbTest(Interval(0.1, -0.1, 0.3, 200), 0.2),
                    AbArm("glassbox", 100, 30),
                    AbArm("heuristic", 100, 27),
                    needed_per_arm=900,
                ),
                figures_section(found.report, CAST),
            ),
        )
    )


class Balance(HTMLParser):
    """Follow which tags are open."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, _):
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, _):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_tag_is_closed(html):
    reader = Balance()
    reader.feed(html)
    assert reader.open == []
    assert {"svg", "table", "section", "style"} <= reader.seen


def test_the_page_needs_nothing_from_elsewhere(html):
    for fetched in ("http", "<script", "<link", "src=", "href=", "@import", "url("):
        assert fetched not in html


def test_names_are_escaped(html):
    assert "Bank &lt;of&gt; Tests" in html
    assert "Gold &lt;card&gt;" in html
    assert "Car &amp; home" in html


def test_every_chart_is_sound_and_described(html):
    charts = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(charts) == 9
    for chart in charts:
        assert ElementTree.fromstring(chart).get("aria-label")
        assert "nan" not in chart


def test_the_page_has_a_section_for_each_question(html):
    headings = re.findall(r"<h2>(.*?)</h2>", html)
    assert headings == [
        "Acceptance gate",
        "Are the right offers on top?",
        "Is it as good for everyone?",
        "Can its probabilities be believed?",
        "Whom to contact when there is room for few?",
        "What moves the score",
        "What is offered, and what is not",
        "What an A/B test would say",
        "All figures",
    ]


def test_without_truth_nothing_is_said_of_ceilings():
    found = judged(with_truth=False)
    (criterion,) = judge_gate(found.report, "glassbox", baseline="heuristic", k=3)
    assert (criterion.ceiling, criterion.share) == (None, None)
    page = render(ReportPage("Bank", (), "", summary(found.report, CAST), evaluation_sections(found, CAST)))
    assert "best possible" not in page
    assert "Acceptance of the first offer" not in page


def test_a_model_without_probabilities_has_no_reliability_curve(found):
    headings = [section.heading for section in evaluation_sections(found, Cast("heuristic", "heuristic", k=3))]
    assert "Can its probabilities be believed?" not in headings


def criterion(estimate, low, *, needed=0.65, ceiling=None):
    return Criterion("NDCG@5", needed, Interval(estimate, low, estimate + 0.01, 100), ceiling)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (criterion(0.7, 0.68), "met"),
        (criterion(0.66, 0.64), "met, though chance is not ruled out"),
        (criterion(0.5, 0.4), "not met"),
        (criterion(0.5, 0.4, ceiling=0.8), "not met"),
        (criterion(0.36, 0.34, ceiling=0.37), "not met, and beyond any model here"),
    ],
)
def test_the_gate_is_honest(given, verdict):
    assert given.verdict == verdict
    assert given.met == verdict.startswith("met")


def test_the_gate_stands_beside_ceiling_and_share(found):
    ndcg, lift = judge_gate(found.report, "glassbox", baseline="heuristic", k=3, gate=Gate(ndcg=0.99, lift=0.05))
    assert not ndcg.met
    assert not ndcg.reachable
    assert lift.met
    assert ndcg.share.estimate > 0.5
    assert "from the baseline to it" in ndcg.sentence()
    assert headline([ndcg, lift]) == "The acceptance gate is not met: 1 of 2 criteria holds."
    assert headline([lift]) == "The acceptance gate is met."
    assert any("No model can bring NDCG@3 to 0.990" in line for line in summary(found.report, CAST, [ndcg, lift]))


def test_a_measured_lift_goes_before_the_reports(found):
    measured = Interval(0.02, -0.1, 0.2, 500)
    _, lift = judge_gate(found.report, "glassbox", baseline="heuristic", k=3, lift=measured)
    assert lift.measured == measured
    assert not lift.met


def test_the_gate_is_plain_values_for_machines(found):
    ndcg, _ = judge_gate(found.report, "glassbox", baseline="heuristic", k=3)
    assert set(ndcg.to_dict()) == {
        "criterion", "needed", "measured", "met", "reachable", "ceiling", "share_of_achievable",
    }  # fmt: skip


def widths(svg, kind):
    return [float(w) for w in re.findall(rf'<rect [^>]*width="([\d.]+)"[^>]*class="{kind}"', svg)]


def test_bars_start_at_zero_and_are_to_scale():
    bars = Bars("Rate", (Bar("a", Interval(0.4, 0.3, 0.5, 9)), Bar("b", Interval(0.2, 0.1, 0.3, 9))))
    long, short = widths(bars.draw(), "bar other")
    assert long == pytest.approx(2 * short, abs=0.2)


def test_marks_beyond_the_bars_widen_the_chart():
    bar = Bar("a", Interval(0.4, 0.3, 0.5, 9))
    free, marked = Bars("Rate", (bar,)), Bars("Rate", (bar,), (Mark("gate", 0.8),))
    assert widths(marked.draw(), "bar other")[0] < 0.7 * widths(free.draw(), "bar other")[0]


def test_unknown_figures_are_drawn_as_unknown():
    chart = Bars("Rate", (Bar("a", Interval(float("nan"), float("nan"), float("nan"), 0)),)).draw()
    assert "too few to say (n = 0)" in chart
    assert widths(chart, "bar other") == []


def test_offers_and_refusals_share_one_scale():
    chart = OFFERS.draw()
    _, gold, car = widths(chart, "offered")  # the first is the legend's
    assert gold == pytest.approx(2 * car, abs=0.2)
    assert "not eligible: 70 customers" in chart
    assert chart.index("Gold") < chart.index("Car")


def test_a_long_catalogue_is_cut_and_says_so():
    many = tuple(ProductOffers(f"P{i}", i, {}) for i in range(40))
    chart = Offers(many, most=10).draw()
    assert "and 30 more products" in chart
    assert ">P39<" in chart
    assert ">P5<" not in chart


def test_a_test_of_unknown_truth_shows_its_estimate_only():
    chart = AbTest(Interval(0.1, 0.0, 0.2, 100), float("nan")).draw()
    assert "estimated +10.0" in chart
    assert 'class="mark"' not in chart


def test_shapes_are_drawn_to_scale():
    chart = Shapes((Shape("x", [0.1, 0.2, 0.3], edges=[0, 1, 3, 6]),)).draw()
    first, second, third = widths(chart, "for")
    assert (second / first, third / first) == pytest.approx((2, 3), abs=0.05)


def test_a_bin_that_would_crush_the_others_gets_no_more_room():
    chart = Shapes((Shape("x", [0.1, 0.2, 0.3], edges=[0, 1, 3, 6000]),)).draw()
    assert max(widths(chart, "for")) == pytest.approx(min(widths(chart, "for")), abs=0.2)


def test_flat_and_empty_shapes_do_not_break_the_page():
    assert "<svg" in Shapes((Shape("x", [0.0], edges=[1, 1]),)).draw()
    assert "<svg" in Shapes(()).draw()


def test_a_shape_needs_its_bins_named():
    with pytest.raises(ValueError, match="shape 'x' of 2 bins needs 3 edges or 2 names; found 2 edges and 0 names"):
        Shape("x", [0.1, 0.2], edges=[0, 1])


def test_deciles_are_to_scale():
    chart = Deciles(tuple(Interval(v, v, v, 9) for v in (2.0, 1.0, 0.5))).draw()
    heights = [float(h) for h in re.findall(r'height="([\d.]+)" class="bar', chart)]
    assert heights == pytest.approx([heights[0], heights[0] / 2, heights[0] / 4], abs=0.2)


def test_table_cells_may_have_a_second_line_and_are_escaped():
    table = DataTable(("Model", "AUC"), [["a<b", "0.6\n0.5 to 0.7"]], numeric=frozenset({"AUC"}), strong="a<b").draw()
    assert '<tr class="strong"><td>a&lt;b</td><td class="number">0.6<small>0.5 to 0.7</small></td></tr>' in table


def test_paragraphs_are_kept_apart():
    page = render(ReportPage("B", (), "", (), (Section("H", "One.\n\nTwo.", ()),)))
    assert "<p>One.</p><p>Two.</p>" in page
