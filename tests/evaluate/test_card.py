"""Findings follow from the facts of a card by their stated rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nextoffer.evaluate.card import Card, FamilyFacts, ProductFacts, TermFacts
from nextoffer.evaluate.card_page import card_page
from nextoffer.evaluate.findings import Finding, FindingList, counted, gravest_first
from nextoffer.evaluate.markdown import markdown
from nextoffer.evaluate.page import render
from nextoffer.intervals import Interval

CLEAN = Card(
    bank="Toy bank",
    ranker="glassbox",
    glass_box=True,
    model_id="0123456789ab",
    policy_id="ba9876543210",
    as_of="2025-10-11",
    seed=7,
    version="1.0",
    read_by="1.0",
    objective="propensity",
    top_n=5,
    labels="responses",
    first_day="2025-01-01",
    last_day="2025-09-30",
    days=20,
    customers=1000,
    customers_in_bank=1000,
    pairs=9000,
    accepted=900.0,
    refusals_share=1.0,
    tables=("customers", "products", "holdings", "responses", "consents"),
    closed={"gender": "sensitive"},
    natural={"pairs": 500, "average_uplift": {"estimate": 0.02, "low": 0.01, "high": 0.03}},
    products=(
        ProductFacts("1", "Card", "CC", 5000, 500, 0.1, False),
        ProductFacts("2", "", "PL", 4000, 400, 0.1, False),
    ),
    families=(FamilyFacts("profile", "relationship", 2, 1, 1.0),),
    terms=(TermFacts("income", "Income", "profile", 0.5, "1"),),
    measured_terms=True,
    method={"affinity_rank": 1, "affinity_multiplier": 0.9, "terms_boosted": 3, "terms_kept": {}},
    held_out={"AUC": Interval(0.7, 0.65, 0.75, 900)},
    spread={"median": 0.2, "p90": 0.4},
    policy={"consent": ("Marketing consent is not asked for.",)},
    files={"scorecard.json": "f" * 64},
    explores=True,
)


def test_a_card_without_faults_has_no_findings() -> None:
    assert CLEAN.findings == ()
    assert "no findings" in markdown(card_page(CLEAN)).lower()


@pytest.mark.parametrize(
    ("changed", "severity", "words"),
    [
        ({"accepted": 49.0}, "high", "49 acceptances"),
        ({"accepted": 199.0}, "medium", "199 acceptances"),
        ({"labels": "adoptions"}, "medium", "by themselves"),
        ({"days": 1}, "medium", "1 day only"),
        ({"method": {"collaborative_coverage_scoring": {"coholding": 0.2}}}, "low", "coholding is known of 20%"),
        ({"natural": {"not_learned": "no offers"}}, "low", "whom an offer changes"),
        ({"natural": {"not_learned": "no"}, "objective": "incremental_value"}, "high", "value is used instead"),
        ({"glass_box": False, "ranker": "lightgbm"}, "medium", "no glass box"),
        ({"explores": False}, "low", "nothing to chance"),
        ({"tables": ("customers", "products")}, "medium", "no consents"),
        ({"missing": ("held-out figures",)}, "low", "saved before these were kept: held-out figures"),
        ({"closed": {"iban": "excluded"}}, "medium", "names no sensitive column"),
        ({"terms": (TermFacts("age", "Age", "profile", 0.1),)}, "medium", "carry weight: Age"),
    ],
)
def test_each_rule_finds_what_it_says(changed: dict[str, Any], severity: str, words: str) -> None:
    (found,) = replace(CLEAN, **changed).findings
    assert (found.severity, words in found.text) == (severity, True)
    assert severity in found.rule


@pytest.mark.parametrize("name", ["average_amount", "transactions_30d", "pair.coholding", "income", "usage", "image"])
def test_a_name_that_only_sounds_alike_is_not_protected(name: str) -> None:
    assert replace(CLEAN, terms=(TermFacts(name, name, "profile", 0.1),)).findings == ()


def test_a_protected_column_without_weight_is_no_finding() -> None:
    assert replace(CLEAN, terms=(TermFacts("age", "Age", "profile", 0.0),)).findings == ()


def test_products_without_data_are_named() -> None:
    bare = replace(CLEAN.products[1], offers=0, accepted=0, unseen=True)
    (found,) = replace(CLEAN, products=(CLEAN.products[0], bare)).findings
    assert found.text.startswith("No offer of 2 (PL) was seen")
    thin = replace(CLEAN.products[1], accepted=9)
    (found,) = replace(CLEAN, products=(CLEAN.products[0], thin)).findings
    assert (found.severity, "1 of 2 products" in found.text) == ("medium", True)


def test_the_page_has_every_heading_of_a_model_card_in_both_forms() -> None:
    headings = (
        *("Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data"),
        *("Quantitative analyses", "Ethical considerations", "Caveats and recommendations"),
    )
    page = card_page(replace(CLEAN, accepted=49.0))
    text, html = markdown(page), render(page)
    places = [text.index(f"## {heading}") for heading in headings]
    assert places == sorted(places)
    assert all(f"<h2>{heading}</h2>" in html for heading in headings)
    assert "49 acceptances" in text
    assert 'class="severity high"' in html


def test_offers_left_out_for_their_youth_are_told() -> None:
    text = markdown(card_page(replace(CLEAN, offers_before="2025-09-20")))
    assert "Offers from 2025-09-20 on were left out" in text
    assert "were left out: they were too young" not in markdown(card_page(CLEAN))


def test_plain_values_hold_the_findings() -> None:
    told = replace(CLEAN, days=1).to_dict()
    assert told["model_id"] == "0123456789ab"
    assert [each["severity"] for each in told["findings"]] == ["medium"]


def test_findings_are_counted_and_ordered() -> None:
    found = [Finding(s, "a", "b", "c") for s in ("low", "high", "low")]  # type: ignore[arg-type]
    assert [each.severity for each in gravest_first(found)] == ["high", "low", "low"]
    assert counted(found) == "1 high and 2 low findings"
    assert FindingList(()).markdown() == "No findings."
