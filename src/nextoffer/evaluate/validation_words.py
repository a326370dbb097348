"""The sentences of a validation that follow from facts: scope, assumptions, limitations, what to watch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from nextoffer.evaluate.backtest import Backtest, find
from nextoffer.evaluate.card import Card
from nextoffer.evaluate.wording import decimal, whole_percent


def scope(given: bool, split: str, day: str) -> Iterator[str]:
    """Yield what was validated."""
    what = "the saved model" if given else "the recipe: ranker, settings, seed and policy"
    yield (
        f"Validated is {what}, on this bank. Outcomes are of a refit of the recipe on what was known before {split}; "
        f"sensitivity, explanations and fairness are of decisions as of {day}."
    )


def assumptions(card: Card) -> Iterator[str]:
    """Yield what must be true for scores to mean what they say."""
    yield (
        "Log-odds add up: what an input adds does not hang on others, but for the pairs of features and products that "
        "the model itself found. Tested by the challenger, which may bend as it likes (Outcomes analysis)."
        if card.glass_box
        else "Trees of the depth allowed can follow the answers. Tested by the glass box beside it (Outcomes analysis)."
    )
    if card.labels == "responses":
        yield (
            "Customers who were offered a product are like those who may be offered it next: earlier offers went to "
            "whom an earlier policy chose. Not tested here; standing random arms or exploration in the policy would "
            "show it."
        )
        yield "An offer without a recorded acceptance was not accepted: in the backtest a late answer counts as no."
    else:
        yield "What customers took up by themselves says what they would accept if offered. These data cannot test it."
    yield "The near future is like the months learned from. Tested out of time, and over several days (Stability)."
    yield (
        "Each product's own offers are enough to tell it from the others; where they are few it leans on them "
        "(Training data of card.md)."
    )
    if "not_learned" in card.natural:
        yield "Who accepts is who should be offered. Whether an offer changes anything was not learned."
    else:
        yield "Offers were held back at random, so that what customers do without one can be learned from them."


def limitations(card: Card, notes: Sequence[str]) -> Iterator[str]:
    """Yield what a validation like this cannot show."""
    yield (
        "In the ranking of all eligible pairs, a product that was never offered to a customer counts as not accepted: "
        "a model that would offer other things than were offered looks worse than it is."
    )
    yield "Baselines and challenger are this package's; a model that the bank has in use was not compared."
    yield "Nothing here says whether offers cause anything: that takes a test (nextoffer experiment)."
    yield "The bank's own documents, its law and its risk appetite are not in the files."
    if not any("sensitive" in why for why in (card.closed or {}).values()):
        yield "No column is named sensitive: fairness is measured for the columns asked for alone, or not at all."
    yield from notes


def monitoring(found: Backtest, champion: str, tables: Mapping[str, pa.Table]) -> Iterator[tuple[str, str, str, str]]:
    """Yield what to watch, its limit, where the limit comes from, and how often."""
    try:
        area = find(found.report, "auc", champion)
        yield (
            "AUC of offers made",
            f"below {decimal(area.low)}",
            "lower end of the interval measured here",
            "each month, on answers that are complete",
        )
    except KeyError:
        pass
    yield (
        "Acceptances stated over those that came",
        "outside 0.80 to 1.25, whole interval",
        "the limit of this validation",
        "each month; by product each quarter",
    )
    yield (
        "Features and propensities, PSI against the day of the fit",
        "above 0.10 watch, above 0.25 act",
        "usual practice",
        "each run",
    )
    worst = max(
        (
            r
            for r in tables["sensitivity"].to_pylist()
            if r["kind"] == "family" and r["metric"] == "first offer changes"
        ),
        key=lambda r: r["estimate"],
        default=None,
    )
    if worst is not None:
        yield (
            f"Share of customers whose {worst['feature']} is not known",
            "twice the share on the day of the fit",
            f"unknown for all it changes {whole_percent(worst['estimate'])} of first offers",
            "each run",
        )
    yield (
        "Share of customers without any offer, and refusals by stage",
        "a fifth more than before",
        "usual practice",
        "each run",
    )
    yield ("First-offer ratios by group", "below the line, whole interval", "Fairness", "each quarter")
    yield ("Age of the model", "as long as a figure above holds, at most a year", "usual practice", "each run")
