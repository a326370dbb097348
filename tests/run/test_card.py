"""A card tells what the files of a model say, and nothing that they do not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nextoffer.errors import ArtefactError, NextOfferError
from nextoffer.evaluate.card_page import card_page
from nextoffer.evaluate.markdown import markdown
from nextoffer.models.challenger import LightGBMRanker
from nextoffer.models.choice import ChoiceRanker
from nextoffer.models.ranker import Ranker, sigmoid
from nextoffer.policy.file import Policy
from nextoffer.run.artefact import MANIFEST
from nextoffer.run.card import card_in, card_of, write_card
from nextoffer.run.engine import Engine
from nextoffer.run.noted import held_out_figures
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, CUSTOMERS, PRODUCTS, QuickRanker


@pytest.fixture(scope="module")
def saved(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engine.save(tmp_path_factory.mktemp("card") / "model")


def test_facts_are_those_of_the_manifest_and_the_bank(saved: Path, engine: Engine, bank: Bank) -> None:
    card = card_in(saved)
    manifest = json.loads((saved / MANIFEST).read_text(encoding="utf-8"))
    assert (card.model_id, card.policy_id) == (manifest["model_id"], manifest["policy_id"])
    assert dict(card.files) == manifest["files"]
    assert (card.customers, len(card.products)) == (CUSTOMERS, PRODUCTS)
    (row,) = (
        bank.connect()
        .execute(
            "select count(*), sum(label), min(offered_on), max(offered_on), count(distinct offered_on) "
            "from responses where offered_on < ?",
            [AS_OF],
        )
        .fetchall()
    )
    assert (card.pairs, card.accepted) == (row[0], row[1])
    assert (card.first_day, card.last_day, card.days) == (str(row[2]), str(row[3]), row[4])
    assert sum(p.offers or 0 for p in card.products) == row[0]
    assert sum(p.accepted or 0 for p in card.products) == row[1]
    assert card.tables == bank.tables


def test_a_loaded_model_and_the_engine_it_was_saved_from_have_the_same_card(saved: Path, engine: Engine) -> None:
    assert card_of(engine).to_dict() == card_in(saved).to_dict()


def test_effects_are_measured_as_stated(engine: Engine, bank: Bank) -> None:
    known = engine.known(bank, bank.table("customers").column("customer_id"), every_feature=True)
    scores = engine.desk(bank.table("products")).batch(known).scores
    rows, cols = np.repeat(np.arange(CUSTOMERS), PRODUCTS), np.tile(np.arange(PRODUCTS), CUSTOMERS)
    away = np.abs(scores.contributions(rows, cols) - scores.average[cols]).mean(axis=0)
    card = card_of(engine)
    assert card.measured_terms
    assert {t.name: t.importance for t in card.terms} == pytest.approx(
        dict(zip(scores.features, away, strict=True)), abs=1e-5
    )
    assert sum(family.importance for family in card.families) == pytest.approx(1.0)


def test_held_out_figures_are_those_of_parts_that_did_not_see_the_customer(bank: Bank, engine: Engine) -> None:
    assert engine.ranker.held_out_ is None  # type: ignore[attr-defined]  # told in the details, and dropped
    told = card_of(engine).held_out
    assert told["log loss, difference"].estimate == pytest.approx(
        told["log loss"].estimate - told["log loss of product rates"].estimate, abs=1e-5
    )
    for value in told.values():
        assert value.low <= value.estimate <= value.high


def test_a_perfect_score_and_a_constant_one_have_the_figures_they_must(bank: Bank) -> None:
    from nextoffer.features import discover
    from nextoffer.run.labels import labelled

    training = labelled(bank, discover(bank, AS_OF), AS_OF, seed=7).training
    perfect = held_out_figures(training, np.where(training.labels > 0, 20.0, -20.0), seed=7)
    assert (perfect["AUC"]["estimate"], perfect["log loss"]["estimate"]) == (1.0, pytest.approx(0.0, abs=1e-6))
    rate = float(training.labels.mean())
    flat = held_out_figures(training, np.full(len(training), np.log(rate / (1 - rate))), seed=7)
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert flat["AUC"]["estimate"] == 0.5
    assert flat["log loss"]["estimate"] == pytest.approx(entropy, abs=1e-5)


def test_the_average_customers_propensity_is_the_scorecards(engine: Engine) -> None:
    levels = sigmoid(engine.ranker.card_.levels)  # type: ignore[attr-defined]
    assert [p.propensity for p in card_of(engine).products] == pytest.approx(levels.tolist())


def test_a_model_of_an_earlier_version_has_a_card_that_says_what_is_missing(saved: Path, tmp_path: Path) -> None:
    loaded = Engine.load(saved)
    details = {name: value for name, value in loaded.details.items() if name not in ("noted", "natural")}
    old = replace(loaded, details=details, reference=None)
    card = card_in(old.save(tmp_path / "old"))
    assert (card.version, card.held_out, card.measured_terms) == (None, {}, False)
    (told,) = [each.text for each in card.findings if "saved before" in each.text]
    assert "how features and propensities were spread" in told
    assert card.terms[0].importance > 0
    assert "not noted (an earlier version)" in markdown(card_page(card))


@pytest.mark.parametrize("ranker", [LightGBMRanker(seed=7), ChoiceRanker(seed=7)], ids=lambda r: r.name)
def test_every_ranker_has_a_card(small: Path, ranker: Ranker) -> None:
    engine = Engine.fit(Bank.read(small), as_of=AS_OF, ranker=ranker)
    card = card_of(engine)
    assert card.glass_box == (ranker.name != "lightgbm")
    assert card.terms[0].importance > 0
    assert markdown(card_page(card)).count("\n## ") == 11


def test_no_product_and_no_sensitive_column_is_lost(retail_engine: Engine) -> None:
    card = card_of(retail_engine)
    assert card.closed == {"gender": "sensitive"}
    assert all(p.name for p in card.products)
    assert not any("gender" in term.name for term in card.terms)


def test_the_policy_is_told_in_words(engine: Engine) -> None:
    plain = Policy.model_validate({"contact": {"cap": 2, "cool_down": {"days": 14, "scope": "family"}}})
    told = card_of(engine.with_policy(plain)).policy
    assert "At most 2 offers to a customer in any 7 days, earlier ones included." in told["contact"]
    assert "For 14 days after an offer, its family rests." in told["contact"]


@pytest.mark.parametrize("name", ["a.md", "a.html", "a.json"])
def test_a_card_is_written_in_the_form_its_name_asks_for(engine: Engine, tmp_path: Path, name: str) -> None:
    (path,) = write_card(card_of(engine), tmp_path / name)
    start = {"a.md": "# Model card", "a.html": "<!doctype html>", "a.json": "{"}[name]
    assert path.read_text(encoding="utf-8").startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_folder_gets_all_forms_and_another_ending_none(engine: Engine, tmp_path: Path) -> None:
    card = card_of(engine)
    assert [p.name for p in write_card(card, tmp_path / "card")] == ["card.md", "card.html", "card.json"]
    with pytest.raises(
        NextOfferError, match=r"ends in '\.pdf', but a card is written as \.md, \.html, \.json or a folder"
    ):
        write_card(card, tmp_path / "card.pdf")


def test_a_damaged_model_has_no_card(engine: Engine, tmp_path: Path) -> None:
    folder = engine.save(tmp_path / "model")
    (folder / "stats.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"stats\.json is not the file that was saved"):
        card_in(folder)


def test_rankers_without_boosting_still_hold_customers_out(bank: Bank) -> None:
    assert "held_out" in Engine.fit(bank, as_of=AS_OF, ranker=QuickRanker()).details["noted"]
