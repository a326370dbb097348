"""Puts a comparison of two policies on a page: charts and tables, with words that say how to read them."""

from __future__ import annotations

from nextoffer.evaluate.outcome import STAGES
from nextoffer.evaluate.page import DataTable, Drawing, ReportPage, Section
from nextoffer.evaluate.policies import (
    BY_NONE,
    BY_ONE,
    CONSIDERED,
    DIFFERENCE,
    EVERYONE,
    FATES,
    NEW,
    NO_OFFER,
    OLD,
    Comparison,
)
from nextoffer.evaluate.policy_charts import WIDE, Matrix, Pair, Pairs, Shares, Whole
from nextoffer.evaluate.policy_words import About, Figures, headline, loosened, summary
from nextoffer.evaluate.wording import UNKNOWN, Form, bounds, count, percent, signed
from nextoffer.intervals import Interval

_LEFT = {
    CONSIDERED: "all",
    "consent": "with consent",
    "eligibility": "and eligible",
    "applicability": "and applicable",
    "suitability": "and suitable",
    "contact": "and contact allowed",
    "arbitration": "and chosen: offered",
}
_FATES = {
    "gains": "gets offers, had none",
    "loses": "had offers, gets none",
    "changes": "gets other offers",
    "keeps": "the same offers",
    "without": "without an offer",
}
_PARTINGS = {"product": "Product", "product_type": "Product type", "channel": "Channel", "rank": "Rank"}
_MOST_PRODUCTS = 30


def policy_page(found: Comparison, about: About) -> ReportPage:
    """Return the report of a comparison."""
    figures = Figures.of(found)
    facts = (
        ("Bank", about.bank),
        ("Day", about.as_of),
        ("Customers", _looked_at(about)),
        ("Model", about.model),
        ("Old policy", f"{about.old} ({about.objectives[0]})"),
        ("New policy", f"{about.new} ({about.objectives[1]})"),
    )
    sections = [
        _profit(figures, about),
        _funnel(figures, about),
        _products(figures, about),
        _parts(figures, about),
        *(() if about.same else (_fates(figures, about), _flows(figures))),
        _arbitration(figures, about),
        _refusals(figures, about),
        _finder(figures, about),
        _stages(figures, about),
    ]
    return ReportPage(
        "What the policy would do" if about.same else "What the new policy would change",
        facts,
        headline(figures, about),
        summary(figures, about),
        tuple(section for section in sections if section is not None),
        mast="NextOffer policy simulation",
    )


def _looked_at(about: About) -> str:
    if about.looked_at == about.customers:
        return count(about.customers)
    return f"{count(about.looked_at)} drawn of {count(about.customers)}"


def _funnel(figures: Figures, about: About) -> Section:
    charts: list[Drawing] = []
    for measure, title in (
        ("customers", "Customers with a product left after each stage"),
        ("pairs", "Pairs of customer and product left after each stage"),
    ):
        rows = [
            _pair(figures, about, _LEFT[stage], ("funnel", EVERYONE, EVERYONE, stage, measure))
            for stage in (CONSIDERED, *STAGES)
        ]
        charts.append(Pairs(title, tuple(rows)))
    sampled = (
        ""
        if about.looked_at == about.customers
        else f"\n\nOnly {count(about.looked_at)} customers were looked at, drawn by key. Figures are those of the "
        "whole "
        "bank as they suggest, and the thin lines their 95 % intervals."
    )
    return Section(
        "Where offers are stopped",
        "Every customer starts with every product. Each stage takes some away: consent, eligibility, applicability and "
        "suitability by rules on the customer and the product; contact where there was enough of it; arbitration where "
        f"an offer is not worth it, or others come first.{sampled}",
        tuple(charts),
    )


def _products(figures: Figures, about: About) -> Section:
    names = figures.groups("offers", "product")
    names.sort(key=lambda name: -figures.at("offers", NEW, "product", name, "offers").estimate)
    charts = [
        Pairs(title, tuple(_pair(figures, about, n, ("offers", "product", n, measure)) for n in names), form)
        for measure, title, form in (
            ("offers", "Offers", count),
            ("expected_value", f"Expected value{_unit(about)}", count),
        )
        if any(figures.at("offers", NEW, "product", n, measure).estimate for n in names)
    ]
    return Section(
        "What is offered",
        "Offers of each product, and what they are expected to earn: for each offer the chance that it is accepted "
        "times "
        "what an acceptance earns, less the cost of the contact.",
        tuple(charts),
    )


def _parts(figures: Figures, about: About) -> Section:
    columns = ["", "Customers with an offer", "Offers", f"Expected value{_unit(about)}"]
    tables = []
    for by, title in (
        (EVERYONE, "All"),
        *((by, by.replace("_", " ").capitalize()) for by in about.by),
        *_PARTINGS.items(),
    ):
        rows = []
        for name in figures.groups("offers", by):
            cells = [
                _change_cell(figures, about, ("offers", by, name, measure))
                for measure in ("customers", "offers", "expected_value")
            ]
            rows.append(["everyone" if by == EVERYONE else name, *cells])
        if rows:
            tables.append(DataTable((title, *columns[1:]), rows, numeric=frozenset(columns[1:]), even=True))
    without = figures.at("offers", NEW, EVERYONE, EVERYONE, "offers_without_value").estimate
    unknown = f" {count(without)} offers have no expected value, since their product has no margin." if without else ""
    meaning = "" if about.same else " Beneath each new figure the old one, and the change."
    return Section(
        "Reach, volume and value",
        "Reach is customers with at least one offer, volume is offers, and value what they are expected to "
        f"earn.{meaning}"
        f"{unknown}",
        tuple(tables),
        layout="below",
    )


def _fates(figures: Figures, about: About) -> Section:
    groups = [(EVERYONE, EVERYONE), *((by, name) for by in about.by for name in figures.groups("customers", by))]
    wholes = tuple(
        Whole(
            "everyone" if by == EVERYONE else name,
            {_FATES[fate]: figures.at("customers", by, name, fate, "customers").estimate for fate in FATES},
        )
        for by, name in groups
    )
    return Section(
        "Who gains and who loses",
        "What becomes of each customer. Other offers are another product, one more or one less, or another order.",
        (Shares("Customers", wholes, {_FATES[fate]: fate for fate in FATES}),),
    )


def _flows(figures: Figures) -> Section | None:
    cells = {
        (old, new): i.estimate for old, new, _, i in figures.rows("flows") if i.estimate and {old, new} != {NO_OFFER}
    }
    if not cells:
        return None
    moved = {cell: amount for cell, amount in cells.items() if cell[0] != cell[1]}
    names = tuple(_by_size(cells, side) for side in (0, 1))
    largest = sorted(moved.items(), key=lambda cell: -cell[1])[:8]
    rows = [[old, new, count(amount)] for (old, new), amount in largest]
    most = DataTable(("Old first offer", "New first offer", "Customers"), rows, numeric=frozenset(["Customers"]))
    matrix = Matrix("Customers by their first offer", "old ↓", "new →", (names[0], names[1]), cells)
    return Section(
        "How first offers move",
        "Each customer once, in the row of the first offer under the old policy and the column of the new one. Grey "
        "cells "
        "on the way from a product to itself are customers whose first offer stays.",
        (matrix, *((most,) if rows else ())),
        layout="below",
    )


def _arbitration(figures: Figures, about: About) -> Section | None:
    of_new = [row for row in figures.rows("arbitration") if row[0] == NEW]
    cells = {(a, b): i.estimate for _, a, b, measure, i in of_new if measure == "customers" and i.estimate}
    if not cells:
        return None
    names = (_by_size(cells, 0), _by_size(cells, 1))
    matrix = Matrix("Customers by their first offer", "first offer ↓", "likeliest to be accepted →", names, cells)
    columns = ("First offer", "Wins", "Of these not the likeliest", "Value won" + _unit(about), "Acceptance given up")
    rows = [_win(figures, name, names[1]) for name in names[0]]
    displaced = sum(amount for (a, b), amount in cells.items() if a != b)
    total = sum(cells.values())
    return Section(
        "Who wins, and what it displaced",
        "In the row the product that comes first, in the column the one that the customer is likeliest to accept "
        "among "
        f"those that reached arbitration. For {count(displaced)} of {count(total)} customers "
        f"({percent(displaced / total)}) it is another: there the new policy puts something before the likeliest "
        "offer. "
        "The table says what that wins in expected value, and how much probability of acceptance it gives up per "
        "customer.",
        (*((matrix,) if displaced else ()), DataTable(columns, rows, numeric=frozenset(columns[1:]))),
        layout="below",
    )


def _win(figures: Figures, winner: str, rivals: tuple[str, ...]) -> list[str]:
    def total(measure: str, others: bool) -> float:
        found = (
            figures.at("arbitration", NEW, winner, rival, measure) for rival in rivals if rival != winner or not others
        )
        return sum(i.estimate for i in found)

    wins, other = total("customers", False), total("customers", True)
    given_up = total("propensity_given_up", True) / other if other else 0.0
    return [winner, count(wins), count(other), count(total("value_won", True)), percent(given_up) if other else UNKNOWN]


def _refusals(figures: Figures, about: About) -> Section:
    rules = list(dict.fromkeys((stage, rule) for _, stage, rule, _, _ in figures.rows("refusals")))
    rules.sort(key=lambda rule: (STAGES.index(rule[0]), -figures.at("refusals", NEW, *rule, "pairs").estimate))
    pairs = [_pair(figures, about, rule, ("refusals", stage, rule, "pairs")) for stage, rule in rules]
    total = figures.at("funnel", NEW, EVERYONE, EVERYONE, CONSIDERED, "pairs").estimate
    columns = ("Rule", "Pairs", "Share of all pairs", "Customers")
    rows = []
    for stage, rule in rules:
        both = [_change_cell(figures, about, ("refusals", stage, rule, m)) for m in ("pairs", "customers")]
        share = figures.at("refusals", NEW, stage, rule, "pairs").estimate / total if total else 0.0
        rows.append([rule, both[0], percent(share), both[1]])
    return Section(
        "What each rule stops",
        "Each pair that is not offered counts once, for the first rule that stops it. A rule that stops more than "
        "before may "
        "only have been reached more often, because an earlier one stops less.",
        (Pairs("Pairs stopped", tuple(pairs), width=WIDE), DataTable(columns, rows, numeric=frozenset(columns[1:]))),
        layout="below",
    )


def _finder(figures: Figures, about: About) -> Section | None:
    nobody, someone = (figures.at("unserved", NEW, each, "customers").estimate for each in (BY_NONE, BY_ONE))
    rules = loosened(figures)
    if not rules:
        return None
    bars = tuple(Pair(each.rule, each.customers) for each in rules)
    columns = (
        "Rule", "Would serve", "Only by this", f"Expected value{_unit(about)}", f"Expected loss{_unit(about)}",
        "Behind with payments", "Vulnerable", "Mostly with", "",
    )  # fmt: skip
    rows = [
        [
            each.rule,
            _sampled(each.customers, count),
            count(each.only),
            count(each.value),
            count(each.loss),
            percent(each.delinquent / each.customers.estimate),
            percent(each.vulnerable / each.customers.estimate),
            each.product,
            "not to be loosened" if each.rule in about.duties else "",
        ]
        for each in rules
    ]
    total = nobody + someone
    return Section(
        "The value finder: who gets nothing, and what one rule would change",
        f"Under the new policy {count(total)} customers get no offer. For {count(someone)} of them some product is "
        "stopped "
        f"by one rule alone; the other {count(nobody)} are stopped by several at once, whatever the product.\n\n"
        "If a rule alone were dropped, it would serve so many of them, each with the best of the products it alone "
        "stops: "
        "what that would earn, and the risk it would bring, as the expected loss of these offers and as shares of "
        "customers "
        "who are behind with payments or vulnerable. A customer counts for each rule that would serve him.\n\n"
        "Rules on consent and suitability are law or duty and are not to be loosened; they are shown so that nobody "
        "wonders.",
        (
            Pairs("Customers without an offer whom the rule alone keeps from one", bars, width=WIDE),
            DataTable(columns, rows, numeric=frozenset(columns[1:7])),
        ),
        layout="below",
    )


def _stages(figures: Figures, about: About) -> Section:
    stages = [
        stage for stage in (CONSIDERED, *STAGES) if stage in (CONSIDERED, STAGES[-1]) or _stops_some(figures, stage)
    ]
    heads = tuple(_LEFT[stage] for stage in stages)
    tables = []
    for by, title in (("product", "Product"), *((by, by.replace("_", " ").capitalize()) for by in about.by)):
        measure = "pairs" if by == "product" else "customers"
        rows = [
            [name, *(_change_cell(figures, about, ("funnel", by, name, stage, measure)) for stage in stages)]
            for name in figures.groups("funnel", by)[:_MOST_PRODUCTS]
        ]
        tables.append(DataTable((title, *heads), rows, numeric=frozenset(heads), even=True))
    return Section(
        "Stage by stage",
        "Customers who may still get the product after each stage; below, customers of each group with any product "
        "left.",
        tuple(tables),
        layout="below",
    )


def _stops_some(figures: Figures, stage: str) -> bool:
    before = (CONSIDERED, *STAGES)[STAGES.index(stage)]
    return any(
        figures.at("funnel", policy, EVERYONE, EVERYONE, stage, "pairs").estimate
        < figures.at("funnel", policy, EVERYONE, EVERYONE, before, "pairs").estimate
        for policy in (OLD, NEW)
    )


def _profit(figures: Figures, about: About) -> Section | None:
    if not figures.has("profit"):
        return None
    rows = tuple(
        Pair(
            "first offers" if ranks == "top" else "all offers",
            figures.at("profit", NEW, ranks, "true_profit"),
            None if about.same else figures.at("profit", OLD, ranks, "true_profit"),
        )
        for ranks in ("top", "all")
    )
    return Section(
        "What it really earns",
        "This bank is simulated, so the truth is known: how much likelier each customer is to take a product up "
        "because it "
        "is offered. An offer earns that much of margin less benefit and expected loss, and costs its contact. Each "
        "customer is compared with himself, so the interval of the difference is narrower than those of the two.",
        (Pairs(f"True profit per {count(1000)} customers{_unit(about)}", rows), _profit_table(figures, about)),
    )


def _profit_table(figures: Figures, about: About) -> DataTable:
    columns = ("Offers", "Old", "New", "Difference") if not about.same else ("Offers", "New")
    sides = (OLD, NEW, DIFFERENCE) if not about.same else (NEW,)
    rows = []
    for ranks, name in (("top", "first"), ("all", "all")):
        found = [(side, figures.at("profit", side, ranks, "true_profit")) for side in sides]
        cells = (f"{(signed if side == DIFFERENCE else count)(i.estimate)}\n{bounds(i, count)}" for side, i in found)
        rows.append([name, *cells])
    return DataTable(columns, rows, numeric=frozenset(columns[1:]))


def _pair(figures: Figures, about: About, name: str, key: tuple[str, ...]) -> Pair:
    table, *keys = key
    old = None if about.same else figures.at(table, OLD, *keys)
    return Pair(name, figures.at(table, NEW, *keys), old)


def _change_cell(figures: Figures, about: About, key: tuple[str, ...]) -> str:
    table, *keys = key
    new = figures.at(table, NEW, *keys)
    if about.same:
        return _sampled(new, count)
    old = figures.at(table, OLD, *keys)
    change = signed(new.estimate - old.estimate)
    if figures.has_key(table, DIFFERENCE, *keys):
        found = figures.at(table, DIFFERENCE, *keys)
        change = (
            signed(found.estimate) if found.low != found.low else f"{signed(found.estimate)}, {bounds(found, signed)}"
        )
    return f"{count(new.estimate)}\n{count(old.estimate)}; {change}"


def _sampled(value: Interval, form: Form) -> str:
    return form(value.estimate) if value.low != value.low else f"{form(value.estimate)}\n{bounds(value, form)}"


def _by_size(cells: dict[tuple[str, str], float], side: int) -> tuple[str, ...]:
    totals: dict[str, float] = {}
    for cell, amount in cells.items():
        totals[cell[side]] = totals.get(cell[side], 0.0) + amount
    return tuple(sorted(totals, key=lambda name: (name == NO_OFFER, -totals[name], name)))


def _unit(about: About) -> str:
    return f", {about.currency}" if about.currency else ""
