"""A validation measures what it says of the model it was given, and writes all of it."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from nextoffer.errors import BankError, ModelError, NextOfferError
from nextoffer.evaluate.findings import SEVERITIES
from nextoffer.models.challenger import LightGBMRanker
from nextoffer.run import engine as engine_module
from nextoffer.run.backtest import CHAMPION
from nextoffer.run.card import card_of
from nextoffer.run.engine import Engine
from nextoffer.run.validation import Options, Progress, Validation, fits, validated
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, DAY, RATES, QuickRanker, altered, stored

QUICK = Options(quick=True, challenger=False, as_of=AS_OF)
CHAPTERS = (
    *("Findings", "Scope", "Conceptual soundness", "Data quality and relevance", "Outcomes analysis"),
    *("Sensitivity analysis", "Stability", "Fairness", "Explanations and implementation", "Limitations"),
    *("Ongoing monitoring plan", "Reproducibility"),
)


@pytest.fixture(scope="module")
def quick() -> pytest.MonkeyPatch:  # type: ignore[misc]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(engine_module.RANKERS, CHAMPION, QuickRanker)  # type: ignore[arg-type]
        yield patch  # type: ignore[misc]


@pytest.fixture(scope="module")
def bank(small: Path) -> Bank:
    return Bank.read(small)


@pytest.fixture(scope="module")
def found(quick: pytest.MonkeyPatch, bank: Bank) -> Validation:
    return validated(bank, options=QUICK)


def test_without_a_model_the_backtests_own_is_validated(found: Validation, bank: Bank) -> None:
    evidence = found.evidence
    assert (evidence.given, evidence.split, evidence.day) == (False, AS_OF.isoformat(), AS_OF.isoformat())
    assert evidence.relation[0].startswith("No saved model was given")
    same = Engine.fit(bank, as_of=AS_OF, ranker=QuickRanker())
    assert evidence.card.model_id == same.model_id
    assert evidence.card.to_dict()["products"] == card_of(same).to_dict()["products"]


def test_every_chapter_is_there_and_every_check_stands_in_one(found: Validation, tmp_path: Path) -> None:
    names = found.write(tmp_path / "pack")
    assert sorted(p.name for p in (tmp_path / "pack").iterdir()) == sorted(names)
    text = (tmp_path / "pack" / "validation.md").read_text(encoding="utf-8")
    for number, chapter in enumerate(CHAPTERS, start=1):
        assert f"\n## {number} {chapter}\n" in text
    page = (tmp_path / "pack" / "validation.html").read_text(encoding="utf-8")
    assert not re.findall(r"https?://|<script", re.sub(r'xmlns(?::\w+)?="[^"]*"', "", page))
    for check in found.evidence.checks:
        assert check.area in CHAPTERS
        assert check.tested in text
    with (tmp_path / "pack" / "checks.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(found.evidence.checks)
    told = json.loads((tmp_path / "pack" / "figures.json").read_text(encoding="utf-8"))
    assert told["policy_id"] == found.policy.policy_id
    assert [f["severity"] for f in told["findings"]] == [f.severity for f in found.evidence.findings]


def test_findings_come_gravest_first_and_each_has_its_rule(found: Validation) -> None:
    severities = [SEVERITIES.index(f.severity) for f in found.evidence.findings]
    assert severities == sorted(severities)
    assert all(f.rule for f in found.evidence.findings)
    assert {c.tested for c in found.evidence.checks if c.verdict == "not tested"} >= {
        "The figures of several days",
        "Whether groups of customers get on equally",
    }


def test_a_given_model_is_decided_with_and_its_recipe_judged(bank: Bank, quick: pytest.MonkeyPatch) -> None:
    model = Engine.fit(bank, as_of=AS_OF + 7 * DAY, ranker=QuickRanker())
    found = validated(bank, options=replace(QUICK, model=model))
    evidence = found.evidence
    assert (evidence.given, evidence.card.model_id) == (True, model.model_id)
    assert (evidence.split, evidence.day) == (AS_OF.isoformat(), (AS_OF + 7 * DAY).isoformat())
    assert any("has itself learned from the answers between" in sentence for sentence in evidence.relation)
    assert any(sentence.startswith("How alike the two are") for sentence in evidence.relation)


def test_a_model_that_saw_no_answer_judged_by_is_split_at_its_own_day(bank: Bank, quick: pytest.MonkeyPatch) -> None:
    model = Engine.fit(bank, as_of=AS_OF, ranker=QuickRanker())
    evidence = validated(bank, options=replace(QUICK, as_of=None, model=model)).evidence
    assert evidence.split == AS_OF.isoformat()
    assert any("has seen none of the answers judged by" in sentence for sentence in evidence.relation)
    assert any("the same to the last bit" in sentence for sentence in evidence.relation)


def test_another_kind_of_model_is_judged_as_champion_with_the_glass_box_beside_it(
    bank: Bank, quick: pytest.MonkeyPatch
) -> None:
    model = Engine.fit(bank, as_of=AS_OF, ranker=LightGBMRanker(seed=7))
    evidence = validated(bank, options=replace(QUICK, model=model)).evidence
    assert (evidence.champion, evidence.card.glass_box) == ("lightgbm", False)
    assert {"lightgbm", CHAMPION} <= set(evidence.found.report.column("model").to_pylist())
    models = set(evidence.tables["significance"].column("model").to_pylist())
    assert models == {"lightgbm"}
    assert any("the same to the last bit" in sentence for sentence in evidence.relation)


def test_sensitive_columns_are_measured_and_never_named_by_the_model(
    retail_bank: Bank, quick: pytest.MonkeyPatch
) -> None:
    quick.setitem(engine_module.RANKERS, CHAMPION, lambda seed: replace(RATES, seed=seed))  # type: ignore[misc]
    try:
        found = validated(retail_bank, options=replace(QUICK, as_of=AS_OF - 60 * DAY, by=("segment",)))
    finally:
        quick.setitem(engine_module.RANKERS, CHAMPION, QuickRanker)  # type: ignore[arg-type]
    assert {"gender", "segment"} <= {row["by"] for row in found.tables["rates"].to_pylist()}
    checks = {c.tested: c for c in found.evidence.checks}
    assert checks["Sensitive or excluded columns that features, rules or reasons name"].verdict == "met"
    groups = {row["group"] for row in found.evidence.found.report.to_pylist()}
    assert any(group.startswith("segment=") for group in groups)


def test_several_days_ablations_and_the_curve(bank: Bank, quick: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    options = Options(challenger=False)
    found = validated(bank, options=options, progress=Progress(done=done.append))
    assert sum(done) <= fits(options)
    assert {"origins", "ablations", "learning_curve", "sensitivity", "refits"} <= set(found.tables)
    assert not [c for c in found.evidence.checks if c.note == "Left out by --quick."]


def test_a_folder_with_something_else_is_left_alone(found: Validation, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(NextOfferError, match="is not empty and no validation pack"):
        found.write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]
    found.write(tmp_path / "pack")
    found.write(tmp_path / "pack")  # an earlier pack is replaced


def test_a_strange_column_is_named(bank: Bank) -> None:
    with pytest.raises(BankError, match=r"cannot look at groups by 'segmnt' \(did you mean 'segment'\?\)"):
        validated(bank, options=replace(QUICK, by=("segmnt",)))


def test_a_bank_without_any_response_has_nothing_to_judge_by(small: Path, tmp_path: Path) -> None:
    bank = altered(small, tmp_path / "bank", {"responses": stored(small, "responses").slice(0, 0)})
    with pytest.raises(ModelError, match="a backtest needs offers on two days or more"):
        validated(bank, options=replace(QUICK, as_of=None))
