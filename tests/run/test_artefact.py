"""A saved model: the same engine again, or an error that names what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from nextoffer.errors import ArtefactError, ModelError, NextOfferError
from nextoffer.policy.decide import Decided
from nextoffer.policy.file import Arbitration, Contact, Policy
from nextoffer.run.engine import Engine, ranker_named
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, CUSTOMERS, RATES, QuickRanker, altered, equal, stored, with_column


@pytest.fixture
def saved(engine: Engine, tmp_path: Path) -> Path:
    return engine.save(tmp_path / "model")


def test_a_loaded_model_decides_the_same(engine: Engine, bank: Bank, decided: Decided, saved: Path) -> None:
    loaded = Engine.load(saved)
    assert equal(loaded.recommend(bank), decided)
    assert (loaded.model_id, loaded.policy, loaded.as_of) == (engine.model_id, engine.policy, AS_OF)
    assert loaded.spec == engine.spec
    assert loaded.details["labels"] == "responses"


def test_a_loaded_model_is_saved_again_byte_for_byte(saved: Path, tmp_path: Path) -> None:
    again = Engine.load(saved).save(tmp_path / "again")
    assert contents(again) == contents(saved)


def test_a_policy_of_ones_own_is_saved_with_the_model(engine: Engine, tmp_path: Path) -> None:
    policy = Policy(contact=Contact(cap=1), arbitration=Arbitration(top_n=2))
    loaded = Engine.load(engine.with_policy(policy).save(tmp_path / "model"))
    assert loaded.policy == policy
    assert loaded.model_id == engine.model_id


def test_no_file_is_a_pickle(saved: Path) -> None:
    assert {path.suffix for path in saved.iterdir()} <= {".json", ".toml", ".npz", ".txt"}
    for path in saved.glob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype != object for name in arrays.files)
    for path in saved.iterdir():
        if path.suffix != ".npz":
            path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["features.json", "stats.json", "policy.toml", "scorecard.npz"])
def test_a_file_that_was_changed_is_named(saved: Path, name: str) -> None:
    content = bytearray((saved / name).read_bytes())
    content[len(content) // 2] ^= 1
    (saved / name).write_bytes(bytes(content))
    with pytest.raises(ArtefactError, match=f"{name} is not the file that was saved"):
        Engine.load(saved)


def test_all_that_is_wrong_is_told_at_once(saved: Path) -> None:
    (saved / "stats.json").unlink()
    (saved / "policy.toml").write_text("seed = 8\n", encoding="utf-8")
    (saved / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(ArtefactError, match=r"stats\.json is missing") as caught:
        Engine.load(saved)
    assert [problem.removeprefix(f"{saved}: ") for problem in caught.value.problems] == [
        "stats.json is missing",
        "policy.toml is not the file that was saved",
        "model.pkl does not belong to the model",
    ]


def rewritten(**changes: object) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        plain = json.loads(path.read_text(encoding="utf-8")) | changes
        path.write_text(json.dumps({k: v for k, v in plain.items() if v is not None}), encoding="utf-8")

    return damage


MANIFESTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (Path.unlink, r"is not a saved model: it has no manifest\.json"),
    "no JSON": (lambda path: path.write_text("{", encoding="utf-8"), r"manifest\.json cannot be read"),
    "not an object": (lambda path: path.write_text("[]", encoding="utf-8"), r"manifest\.json cannot be read"),
    "no files": (rewritten(files=None), r"manifest\.json cannot be read"),
    "files that are a list": (rewritten(files=["stats.json"]), r"manifest\.json cannot be read"),
    "no ranker": (rewritten(ranker=None), r"manifest\.json cannot be read: .*'ranker'"),
    "another format": (rewritten(format=99), "has format 99; this version reads format 1"),
    "a ranker not known": (rewritten(ranker="oracle"), "unknown ranker 'oracle'; there are glassbox"),
    "the id of another model": (rewritten(model_id="0123456789ab"), "is not the id of these files"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_is_damaged_is_told(saved: Path, case: str) -> None:
    damage, message = MANIFESTS[case]
    damage(saved / "manifest.json")
    with pytest.raises(ArtefactError, match=message) as caught:
        Engine.load(saved)
    assert caught.value.exit_code == 3


def test_a_folder_that_is_not_there_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="absent is not a saved model"):
        Engine.load(tmp_path / "absent")


def test_an_earlier_model_is_replaced_whole(engine: Engine, saved: Path) -> None:
    engine.with_policy(Policy(seed=8)).save(saved)
    assert Engine.load(saved).policy.seed == 8
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_an_empty_folder_is_taken(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert Engine.load(engine.save(tmp_path / "model")).model_id == engine.model_id


def test_a_folder_with_something_else_is_left_as_it_was(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("five years", encoding="utf-8")
    with pytest.raises(NextOfferError, match="is not empty and not a saved model"):
        engine.save(tmp_path)
    with pytest.raises(NextOfferError, match="is a file; a model is saved as a folder"):
        engine.save(tmp_path / "thesis.txt")
    assert contents(tmp_path) == {"thesis.txt": b"five years"}


@dataclass(frozen=True)
class Failing(QuickRanker):
    """A disk that fills up half way."""

    def save(self, folder: Path) -> None:
        (folder / "scorecard.json").write_text("{", encoding="utf-8")
        raise OSError("no space left")


def test_a_save_that_fails_leaves_the_earlier_model(engine: Engine, saved: Path) -> None:
    before = contents(saved)
    with pytest.raises(OSError, match="no space left"):
        replace(engine, ranker=Failing()).save(saved)
    assert contents(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_the_model_id_stands_for_what_was_learned_not_for_the_policy(small: Path, tmp_path: Path) -> None:
    bank = Bank.read(small)
    engine, strict = (Engine.fit(bank, p, as_of=AS_OF, ranker=RATES) for p in (None, Policy(contact=Contact(cap=1))))
    assert strict.model_id == engine.model_id
    assert strict.policy.policy_id != engine.policy.policy_id
    customers = stored(small, "customers")
    older = with_column(customers, "age", [age + 1 for age in customers.column("age").to_pylist()])
    other = Engine.fit(altered(small, tmp_path / "bank", {"customers": older}), as_of=AS_OF, ranker=RATES)
    assert other.model_id != engine.model_id


def test_a_model_knows_its_day(engine: Engine, bank: Bank, saved: Path) -> None:
    assert set(Engine.load(saved).recommend(bank, [1]).decisions.column("as_of").to_pylist()) == {AS_OF}
    later = date(2025, 11, 20)
    assert set(engine.recommend(bank, [1], as_of=later).decisions.column("as_of").to_pylist()) == {later}


def test_a_ranker_has_to_be_one_there_is() -> None:
    with pytest.raises(ModelError, match="no ranker 'oracle'; there are glassbox, "):
        ranker_named("oracle", 7)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_remembers_how_the_bank_was(engine: Engine, bank: Bank, saved: Path) -> None:
    loaded = Engine.load(saved)
    assert loaded.reference == engine.reference
    assert engine.reference is not None
    assert engine.reference.customers == CUSTOMERS
    assert [shape.name for shape in engine.reference.features] == [c.name for c in engine.spec.columns]
    assert "reference.json" in json.loads((saved / "manifest.json").read_text(encoding="utf-8"))["files"]


def test_a_model_without_a_reference_is_loaded_and_saved(engine: Engine, tmp_path: Path) -> None:
    earlier = replace(engine, reference=None)
    loaded = Engine.load(earlier.save(tmp_path / "model"))
    assert loaded.reference is None
    assert loaded.model_id == earlier.model_id != engine.model_id
