"""Offers held back by lot: what they show where the truth is known, where there is none to find, and where lots lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nextoffer.evaluate.page import ReportPage, render
from nextoffer.evaluate.uplift import Contacts
from nextoffer.evaluate.uplift_story import HEADING, not_judged, sentences, uplift_section
from nextoffer.evaluate.uplift_trial import BY_DECILE, PROPENSITY, UPLIFT, Trial, judged, observed_effect
from nextoffer.tables.flow import REPORT

BOTH = f"{UPLIFT} minus {PROPENSITY}"


def trial(n: int = 6000, *, effect: float = 0.3, seed: int = 4, known: bool = True) -> Trial:
    """Those who take up anyway (high propensity) are not changed by an offer; the others are, by `effect`."""
    draw = np.random.default_rng(seed)
    anyway, made = draw.random(n) < 0.5, draw.random(n) < 0.7
    chance = np.where(anyway, 0.5, 0.1 + effect * made)
    sides = Contacts((draw.random(n) < chance).astype(float), made, customers=np.arange(n) // 2)
    noise = 0.01 * draw.random(n)
    uplift = np.where(anyway, 0.0, effect) + noise
    products = np.array(["Loan", "Card"])[draw.integers(0, 2, n)]
    return Trial(
        sides,
        products,
        draw.integers(0, 3, n),
        np.where(anyway, 0.5, 0.4) + noise,
        uplift if known else None,
        np.where(products == "Loan", 10.0, np.nan),
        np.full(n, 1.0),
    )


def test_where_propensity_misleads_and_uplift_does_not() -> None:
    found = judged(trial(), seed=3)
    effect = found.figures["observed effect"][""]
    assert effect.low < 0.15 < effect.high
    assert found.figures["auuc"][UPLIFT].low > 0 > found.figures["auuc"][PROPENSITY].high
    assert found.figures["qini"][UPLIFT].low > 0
    assert found.figures["auuc"][BOTH].low > 0
    # only those with an effect of 0.3 pay: half of the loans' offers at 0.3 · 10 − 1
    earned = found.figures["earned per offer"]
    assert earned[UPLIFT].low < 1.0 < earned[UPLIFT].high
    assert earned["every offer"].low < 0.5 < earned["every offer"].high
    assert found.figures["share of offers that pay"][UPLIFT].estimate == pytest.approx(0.5, abs=0.03)
    assert {name for name, i in found.by_product.items() if i.low < 0.15 < i.high} == {"Loan", "Card"}
    told = " ".join(sentences(found))
    assert "Offers bring people to take up products" in told
    assert "finds more of the effect than the one by propensity" in told
    assert "Careful" not in told


def test_without_an_effect_nothing_is_found() -> None:
    found = judged(replace(trial(effect=0.0), uplift=np.random.default_rng(1).random(6000)), seed=3)
    for metric, model in (("observed effect", ""), ("auuc", UPLIFT), ("auuc", PROPENSITY), ("qini", UPLIFT)):
        assert found.figures[metric][model].low < 0 < found.figures[metric][model].high
    told = " ".join(sentences(found))
    assert "No effect of offers is seen" in told
    assert "The order by uplift is not shown to be better than the one by propensity" in told


def test_an_order_that_is_the_same_is_said_to_be() -> None:
    same = trial(1000)
    assert "The order by uplift is the one by propensity" in " ".join(
        sentences(judged(replace(same, uplift=same.propensity - 0.05)))
    )


def test_tables_tell_every_figure() -> None:
    found = judged(trial(2000), {UPLIFT: observed_effect(trial(2000).contacts)})
    rows = found.table.to_pylist()
    assert found.table.schema == REPORT
    assert {r["group"] for r in rows} == {"all", "product=Loan", "product=Card"}
    assert {r["metric"] for r in rows} == {*found.figures, "true effect of first offers"}
    assert all(r["low"] <= r["estimate"] <= r["high"] for r in rows)
    tenths = found.by_decile.to_pylist()
    assert found.by_decile.schema == BY_DECILE
    assert [r["tenth"] for r in tenths if r["order"] == UPLIFT] == list(range(1, 11))
    said = [r["predicted"] for r in tenths if r["order"] == UPLIFT]
    assert said == sorted(said, reverse=True)
    assert all(np.isnan(r["predicted"]) for r in tenths if r["order"] == PROPENSITY)


def test_without_the_engines_uplift_or_prices_the_rest_is_told() -> None:
    found = judged(replace(trial(2000, known=False), worth=None))
    assert set(found.figures["auuc"]) == {PROPENSITY}
    assert "earned per offer" not in found.figures
    page = render(ReportPage("Toy", (), "", (), (uplift_section(found, "the engine does not know"), not_judged("no"))))
    assert page.count(HEADING) == 2
    assert "The engine does not know" in page
    assert "<script" not in page


def test_lots_that_were_none_are_told() -> None:
    fair = trial()
    assert fair.doubts() == ()
    made = fair.contacts.treated
    liked = replace(fair, propensity=fair.propensity + 0.02 * made)
    assert "were they held back by lot?" in " ".join(liked.doubts())
    later = replace(fair, days=np.where(made & (np.arange(len(fair)) % 5 == 0), 4, fair.days))
    assert later.doubts() == ("the share held back differs from day to day; the effects assume that it is one",)
    assert any(words.startswith("Careful: ") for words in sentences(judged(later)))


def test_an_effect_of_few_holds_the_truth_where_nobody_took_up() -> None:
    made = np.arange(60) < 50
    none = observed_effect(Contacts(np.zeros(60), made))
    assert none.low < -0.1 < 0.05 < none.high
    draw, held = np.random.default_rng(8), 0
    for _ in range(300):
        sides = Contacts((draw.random(60) < np.where(made, 0.15, 0.05)).astype(float), made)
        found = observed_effect(sides)
        held += found.low <= 0.1 <= found.high
    assert held >= 0.93 * 300 - 2 * (300 * 0.05 * 0.95) ** 0.5
    assert np.isnan(observed_effect(Contacts(np.zeros(60), made), made).low)
