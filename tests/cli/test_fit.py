"""``nextoffer fit``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextoffer.run import engine as engine_module
from nextoffer.run.engine import Engine
from tests.cli.conftest import Command, Ran
from tests.run.worlds import AS_OF, QuickRanker, altered, stored, with_column


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engine_module.RANKERS, "glassbox", QuickRanker)  # type: ignore[arg-type]


def test_fit_says_what_it_learned_from(fitted: tuple[Path, Ran]) -> None:
    model, ran = fitted
    engine = Engine.load(model)
    assert ran.code == 0
    assert f"{model}: model {engine.model_id}, policy {engine.policy.policy_id}" in ran.out
    summary = engine.ranker.summary()
    assert f"Learned from responses: {summary['pairs']:,} pairs" in ran.out
    assert "note: truth" in " ".join(ran.err.split())  # tables that the contract does not know are left aside
    assert "Propensity without an offer: not learned: no offers were held back" in ran.out


def test_fit_says_what_offers_held_back_show(world: Path, nextoffer: Command, tmp_path: Path, quick: None) -> None:
    responses = stored(world, "responses")
    arms = ["control" if i % 4 == 0 else "treatment" for i in range(responses.num_rows)]
    altered(world, tmp_path / "bank", {"responses": with_column(responses, "arm", arms)})
    ran = nextoffer("fit", tmp_path / "bank", "--as-of", AS_OF, "--out", tmp_path / "model")
    told = Engine.load(tmp_path / "model").details["natural"]
    assert ran.code == 0
    assert (
        f"Propensity without an offer: learned from {told['pairs']:,} offers held back, {told['taken_up']:,.0f} "
        f"taken up all the same; an offer adds {told['average_uplift']['estimate']:.2%}"
    ) in ran.out


def test_json_says_the_same(world: Path, nextoffer: Command, tmp_path: Path, quick: None) -> None:
    ran = nextoffer("fit", world, "--as-of", AS_OF, "--out", tmp_path / "model", "--json")
    told = json.loads(ran.out)
    engine = Engine.load(tmp_path / "model")
    assert ran.code == 0
    assert (told["model_id"], told["policy_id"]) == (engine.model_id, engine.policy.policy_id)
    assert told["labels"] == "responses"
    assert told["fit"]["pairs"] == engine.ranker.summary()["pairs"]


def test_the_policy_given_is_saved(world: Path, nextoffer: Command, tmp_path: Path, quick: None) -> None:
    (tmp_path / "policy.toml").write_text("[arbitration]\ntop_n = 2\n", encoding="utf-8")
    ran = nextoffer("fit", world, "--as-of", AS_OF, "--out", tmp_path / "model", "--policy", tmp_path / "policy.toml")
    assert ran.code == 0
    assert Engine.load(tmp_path / "model").policy.arbitration.top_n == 2


def test_the_challenger_can_be_fitted_and_used(world: Path, nextoffer: Command, tmp_path: Path) -> None:
    model, out = tmp_path / "model", tmp_path / "scores.csv"
    ran = nextoffer("fit", world, "--as-of", AS_OF, "--out", model, "--ranker", "lightgbm")
    assert (ran.code, Engine.load(model).ranker.name) == (0, "lightgbm")
    assert nextoffer("score", world, "--model", model, "--out", out).code == 0
    assert out.exists()


WRONG = {
    "ranker": (("--ranker", "oracle"), "error: no ranker 'oracle'; there are glassbox"),
    "day": (("--as-of", "2020-01-01"), "error: nothing to learn from before 2020-01-01"),
    "policy": (("--policy", "policy.toml"), "error: policy.toml"),
    "no policy": (("--policy", "absent.toml"), "error: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_and_nothing_is_written(
    world: Path, nextoffer: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.toml").write_text("[arbitraton]\ntop_n = 0\n", encoding="utf-8")
    options, message = WRONG[case]
    ran = nextoffer("fit", world, "--as-of", AS_OF, "--out", "model", *options)
    assert ran.failed(2, message)
    assert [path.name for path in tmp_path.iterdir()] == ["policy.toml"]


def test_a_bank_that_breaks_the_contract_is_told_in_full(world: Path, nextoffer: Command, tmp_path: Path) -> None:
    broken = tmp_path / "bank"
    broken.mkdir()
    (broken / "customers.csv").write_text("custmer_id\n1\n", encoding="utf-8")
    ran = nextoffer("fit", broken, "--as-of", AS_OF, "--out", tmp_path / "model")
    assert ran.failed(2, "did you mean")
    assert len([line for line in ran.err.splitlines() if line.startswith("error: ")]) == 3


def test_a_folder_with_something_else_is_refused_before_anything_is_learned(
    world: Path, nextoffer: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "fit", lambda *_, **__: pytest.fail("it learned"))
    (tmp_path / "thesis.txt").write_text("five years", encoding="utf-8")
    ran = nextoffer("fit", world, "--as-of", AS_OF, "--out", tmp_path)
    assert ran.failed(2, "is not empty and not a saved model: choose another folder")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_adoptions_are_named(world: Path, nextoffer: Command, tmp_path: Path) -> None:
    altered(world, tmp_path / "bank", {"responses": stored(world, "responses").slice(0, 0)})
    ran = nextoffer("fit", tmp_path / "bank", "--as-of", AS_OF, "--out", tmp_path / "model")
    assert ran.failed(2, "needed are rows in responses (offered_on before that day), or in holdings with opened_on")
