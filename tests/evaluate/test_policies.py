"""What changes between two policies, on customers few enough to count by hand; and its page."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from nextoffer.evaluate.outcome import Crowd, Group, Made, Outcome, Rivals, Unserved, ranks_of
from nextoffer.evaluate.page import render
from nextoffer.evaluate.policies import TABLES, Comparison, compared
from nextoffer.evaluate.policy_page import policy_page
from nextoffer.evaluate.policy_words import About, Figures, headline, loosened, summary
from nextoffer.evaluate.tally import Population

NAMES = ("consent.marketing", "eligibility.held", "contact.weekly_cap", "arbitration.top_n")
STAGES = ("consent", "eligibility", "contact", "arbitration")
CARD, LOAN, FUND = range(3)
OFFERED = -1
ABOUT = About(
    bank="Bank <of> Tests",
    as_of="2025-10-11",
    model="m",
    old="aaa",
    new="bbb",
    objectives=("propensity", "value"),
    currency="EUR",
    customers=4,
    looked_at=4,
    by=("segment",),
    duties=("consent.marketing",),
)
CROWD = Crowd(
    {"segment": Group(np.array([0, 0, 1, 2]), ("Mass", "HNI", "not known"))},
    Group(np.arange(3), ("Card", "Loan", "Fund")),
    Group(np.array([0, 0, 1]), ("credit", "saving")),
    4,
)


def outcome(rule, offers, *, profit=(), channels=("mobile",)):
    """Return what a policy made of four customers; offers are customer, product, value."""
    rows, cols, values = (np.array(column) for column in zip(*offers, strict=True))
    first = np.r_[True, rows[1:] != rows[:-1]]
    winners = cols[first]
    made = Made(rows, cols, ranks_of(rows), values.astype(float), Group(rows % len(channels), channels))
    rivals = Rivals(rows[first], winners, np.full(len(winners), CARD), values[first] / 2, np.full(len(winners), 0.01))
    rule = np.array(rule, dtype=np.int8)
    without = np.flatnonzero((rule != OFFERED).all(axis=1))
    served = without[:1]
    unserved = Unserved(
        without,
        served,
        np.full(len(served), 1),
        np.full(len(served), LOAN),
        np.full(len(served), 12.0),
        np.full(len(served), 3.0),
        np.array([True, False, True, False]),
        np.zeros(4, dtype=bool),
    )
    return Outcome(
        NAMES, STAGES, range(2, 3), rule, made, rivals, unserved, {"top": np.array(profit), "all": np.array(profit)}
    )


# the old policy offers: customer 0 card, loan; 1 card; 2 nothing; 3 nothing (no consent)
OLD = outcome(
    [[OFFERED, OFFERED, 3], [OFFERED, 1, 2], [1, 1, 2], [0, 0, 0]],
    [(0, CARD, 10.0), (0, LOAN, 5.0), (1, CARD, 8.0)],
    profit=[15.0, 8.0, 0.0, 0.0],
)
# the new one: 0 loan, card; 1 nothing; 2 fund; 3 nothing
NEW = outcome(
    [[OFFERED, OFFERED, 3], [1, 1, 2], [1, 1, OFFERED], [0, 0, 0]],
    [(0, LOAN, 5.0), (0, CARD, 10.0), (2, FUND, 7.0)],
    profit=[16.0, 0.0, 7.5, 0.0],
    channels=("mobile", "web"),
)


def found(old=OLD, new=NEW, there=4):
    return Comparison(compared(CROWD, old, new), Population(4, there))


@pytest.fixture(scope="module")
def figures():
    return Figures.of(found())


def sides(figures, table, *key):
    return [figures.at(table, policy, *key).estimate for policy in ("old", "new", "difference")]


def test_the_funnel_counts_pairs_and_customers_after_each_stage(figures):
    def left(policy, *key):
        names = ("considered", "consent", "eligibility", "suitability", "contact", "arbitration")
        return [figures.at("funnel", policy, *key[:2], stage, key[2]).estimate for stage in names]

    assert left("old", "all", "all", "pairs") == [12, 9, 6, 6, 4, 3]
    assert left("old", "all", "all", "customers") == [4, 3, 3, 3, 2, 2]
    assert left("new", "product", "Fund", "pairs") == [4, 3, 3, 3, 2, 1]
    assert left("new", "segment", "Mass", "customers") == [2, 2, 2, 2, 1, 1]


def test_nothing_passes_the_limits_where_they_leave_no_offer_at_all():
    rule = [[2, 3, 3], [2, OFFERED, 3], [1, 3, 0], [3, 3, 3]]
    assert outcome(rule, [(1, LOAN, 1.0)]).reached.tolist() == [[4, 4, 4], [4, 6, 5], [1, 5, 0], [5, 5, 5]]


def test_reach_volume_and_value_by_everything(figures):
    assert sides(figures, "offers", "all", "all", "customers") == [2, 2, 0]
    assert sides(figures, "offers", "all", "all", "offers") == [3, 3, 0]
    assert sides(figures, "offers", "all", "all", "expected_value") == [23, 22, -1]
    assert sides(figures, "offers", "product", "Card", "offers") == [2, 1, -1]
    assert sides(figures, "offers", "product_type", "credit", "customers") == [2, 1, -1]
    assert sides(figures, "offers", "product_type", "credit", "offers") == [3, 2, -1]
    assert sides(figures, "offers", "segment", "HNI", "expected_value") == [0, 7, 7]
    assert sides(figures, "offers", "rank", "2", "expected_value") == [5, 10, 5]
    assert sides(figures, "offers", "channel", "mobile", "offers") == [3, 3, 0]


def test_who_gains_and_who_loses(figures):
    fates = {fate: i.estimate for by, _, fate, _, i in figures.rows("customers") if by == "all"}
    assert fates == {"changes": 1, "loses": 1, "gains": 1, "without": 1}
    assert figures.at("customers", "segment", "Mass", "loses", "customers").estimate == 1
    same = Figures.of(found(new=OLD))
    assert same.at("customers", "all", "all", "keeps", "customers").estimate == 2
    longer = outcome(OLD.rule, [(0, CARD, 10.0), (0, LOAN, 5.0), (0, FUND, 1.0), (1, CARD, 8.0)], profit=[0.0] * 4)
    assert Figures.of(found(new=longer)).at("customers", "all", "all", "changes", "customers").estimate == 1


def test_first_offers_flow_from_product_to_product(figures):
    assert {(old, new): i.estimate for old, new, _, i in figures.rows("flows")} == {
        ("Card", "Loan"): 1, ("Card", "no offer"): 1, ("no offer", "Fund"): 1, ("no offer", "no offer"): 1,
    }  # fmt: skip


def test_winners_are_set_beside_what_propensity_would_have_chosen(figures):
    assert figures.at("arbitration", "new", "Loan", "Card", "customers").estimate == 1
    assert figures.at("arbitration", "new", "Fund", "Card", "value_won").estimate == 3.5
    assert figures.at("arbitration", "old", "Card", "Card", "propensity_given_up").estimate == 0.02


def test_refusals_are_counted_by_rule(figures):
    assert sides(figures, "refusals", "eligibility", "eligibility.held", "pairs") == [3, 4, 1]
    assert sides(figures, "refusals", "eligibility", "eligibility.held", "customers") == [2, 2, 0]
    other = replace(NEW, names=("consent.marketing", "eligibility.age", *NAMES[2:]))
    figures = Figures.of(found(new=other))
    assert sides(figures, "refusals", "eligibility", "eligibility.held", "pairs") == [3, 0, -3]
    assert sides(figures, "refusals", "eligibility", "eligibility.age", "pairs") == [0, 4, 4]


def test_the_value_finder_says_whom_a_rule_alone_keeps_from_an_offer(figures):
    assert [figures.at("unserved", "new", each, "customers").estimate for each in ("one rule", "no single rule")] == [
        1,
        1,
    ]
    (best,) = loosened(figures)
    assert (best.rule, best.customers.estimate, best.only, best.product) == ("eligibility.held", 1, 1, "Loan")
    assert (best.value, best.loss, best.delinquent, best.vulnerable) == (12, 3, 0, 0)
    (old,) = loosened(figures, "old")
    assert old.delinquent == 1


def test_true_profit_is_told_per_thousand_customers_with_an_interval(figures):
    assert sides(figures, "profit", "all", "true_profit") == [5750, 5875, 125]
    difference = figures.at("profit", "difference", "top", "true_profit")
    assert difference.low < 125 < difference.high
    assert "profit" not in found(replace(OLD, true_profit={}), replace(NEW, true_profit={})).tables


def test_every_table_is_tidy():
    tables = found().tables
    assert set(tables) == set(TABLES)
    for name, columns in TABLES.items():
        assert tables[name].column_names == [*columns, "measure", "estimate", "low", "high", "n"]
        keys = tables[name].select([*columns, "measure"]).to_pylist()
        assert len({tuple(key.values()) for key in keys}) == len(keys)
        assert set(tables[name].column("n").to_pylist()) == {4}


def test_a_sample_stands_for_the_whole_bank():
    figures = Figures.of(found(there=400))
    reach = figures.at("offers", "new", "all", "all", "customers")
    assert reach.estimate == 200
    assert reach.low < 200 < reach.high
    assert figures.at("offers", "difference", "all", "all", "expected_value").estimate == -100


def test_it_comes_to_a_sentence(figures):
    said = headline(figures, ABOUT).replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert said == (
        "2 of 4 customers (50.0 %) get an offer, as before; offers are expected to earn 22 EUR, 1 less than before "
        "(−4.3 %)."
    )
    more = "\n".join(summary(figures, ABOUT)).replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "1 customers who had none get an offer, 1 lose theirs, 1 get other offers, and 0 keep the same." in more
    assert "Fund gains most: +1 offers." in more
    assert "Card loses most: −1 offers." in more
    assert "the new policy (value) earns 125 EUR per 1 000 customers more than the old one (propensity)" in more
    assert "chance is not ruled out" in more
    assert "Loosening eligibility.held alone would serve 1 of them, mostly with Loan" in more


class Balance(HTMLParser):
    VOID = frozenset({"meta", "br"})

    def __init__(self):
        super().__init__()
        self.open, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, _, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def html():
    return render(policy_page(found(there=400), replace(ABOUT, customers=400)))


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(html):
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    assert not [value for name, value in parser.attributes if name in ("src", "href")]
    assert "http" not in html
    assert "Bank &lt;of&gt; Tests" in html
    assert "nan" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL).lower().replace("financial", "")


def test_every_chart_is_well_formed_and_says_what_it_shows(html):
    charts = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(charts) == 10
    for chart in charts:
        root = ElementTree.fromstring(chart)
        assert root.get("aria-label")
        width, height = (float(root.get(side)) for side in ("width", "height"))
        for rect in root.iter("rect"):
            assert 0 <= float(rect.get("x")) <= width
            assert float(rect.get("y")) + float(rect.get("height")) <= height + 1


def test_the_page_tells_old_from_new_and_duty_from_choice(html):
    text = re.sub(r"<[^>]+>", " ", html)
    for words in (
        "old",
        "Who gains and who loses",
        "How first offers move",
        "Who wins, and what it displaced",
        "drawn of",
    ):
        assert words in text
    duty = render(policy_page(found(), replace(ABOUT, duties=("eligibility.held",))))
    assert "not to be loosened" in duty
    assert "Loosening eligibility.held" not in duty


def test_without_another_policy_nothing_is_compared():
    page = render(policy_page(found(OLD, OLD), replace(ABOUT, new=ABOUT.old)))
    text = re.sub(r"<[^>]+>", " ", page)
    assert "What the policy would do" in text
    assert "→" not in text.replace("likeliest to be accepted →", "")
    assert "Who gains" not in text
