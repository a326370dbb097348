"""``nextoffer recommend``."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from nextoffer.policy.decide import Decided
from nextoffer.run.engine import Desk, Engine
from nextoffer.tables.bank import Bank
from tests.cli.conftest import Command
from tests.run.worlds import AS_OF, CUSTOMERS, equal


def test_parquet_holds_what_the_engine_decides(world: Path, model: Path, nextoffer: Command, tmp_path: Path) -> None:
    out = tmp_path / "offers.parquet"
    ran = nextoffer("recommend", world, "--model", model, "--as-of", AS_OF, "--out", out)
    decided = Engine.load(model).recommend(Bank.read(world))
    assert ran.code == 0
    assert equal(Decided(pq.read_table(out), pq.read_table(tmp_path / "offers.refusals.parquet")), decided)
    assert f"{decided.decisions.num_rows:,} offers to {CUSTOMERS:,} customers" in ran.out
    assert f"{decided.refusals.num_rows:,} pairs not offered" in ran.out
    assert any(decided.decisions.column("reasons").to_pylist())


def test_csv_and_json(world: Path, model: Path, nextoffer: Command, tmp_path: Path) -> None:
    out, refusals = tmp_path / "offers.csv", tmp_path / "deep" / "no.csv"
    ran = nextoffer(
        "recommend", world, "--model", model, "--out", out, "--refusals", refusals, "--chunk", 100, "--json"
    )
    told = json.loads(ran.out)
    assert ran.code == 0
    assert told.pop("seconds") > 0
    assert told == {
        "customers": CUSTOMERS,
        "resumed": 0,
        "decisions": pyarrow.csv.read_csv(out).num_rows,
        "refusals": pyarrow.csv.read_csv(refusals).num_rows,
        "out": str(out),
        "refusals_out": str(refusals),
        "notes": [],
    }


def test_another_policy(world: Path, model: Path, nextoffer: Command, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("[arbitration]\ntop_n = 1\n", encoding="utf-8")
    out = tmp_path / "offers.parquet"
    ran = nextoffer("recommend", world, "--model", model, "--out", out, "--policy", tmp_path / "policy.toml")
    found = pq.read_table(out)
    assert ran.code == 0
    assert set(found.column("rank").to_pylist()) == {1}
    assert set(found.column("policy_id").to_pylist()) != {Engine.load(model).policy.policy_id}


WRONG = {
    "ending": (
        ("--out", "offers.xlsx"),
        "offers.xlsx ends in '.xlsx', but tables are written as .parquet or .csv",
    ),
    "ending of refusals": (("--out", "o.csv", "--refusals", "r.txt"), "error: r.txt ends in '.txt'"),
    "one file for both": (("--out", "o.csv", "--refusals", "o.csv"), "error: decisions and refusals cannot both go to"),
    "policy": (("--out", "o.csv", "--policy", "absent.toml"), "error: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_and_nothing_is_written(
    world: Path, model: Path, nextoffer: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    options, message = WRONG[case]
    assert nextoffer("recommend", world, "--model", model, *options).failed(2, message)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_ends_with_3(world: Path, model: Path, nextoffer: Command, tmp_path: Path) -> None:
    copy = Engine.load(model).save(tmp_path / "model")
    (copy / "stats.json").write_text("{}", encoding="utf-8")
    ran = nextoffer("recommend", world, "--model", copy, "--out", tmp_path / "offers.csv")
    assert ran.failed(3, "stats.json is not the file that was saved")
    assert nextoffer("recommend", world, "--model", tmp_path, "--out", tmp_path / "o.csv").failed(
        3, "is not a saved model"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_run_that_dies_leaves_no_file_and_can_be_continued(
    world: Path, model: Path, nextoffer: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide, seen = Desk.decide, []

    def dies_at_the_third(*arguments: object) -> object:
        seen.append(arguments)
        if len(seen) == 3:
            raise OSError("no space left")
        return decide(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Desk, "decide", dies_at_the_third)
    with pytest.raises(OSError, match="no space left"):
        nextoffer("recommend", world, "--model", model, "--out", tmp_path / "offers.csv", "--chunk", 50)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    monkeypatch.undo()
    ran = nextoffer("recommend", world, "--model", model, "--out", tmp_path / "offers.csv", "--chunk", 50, "--resume")
    assert ran.code == 0
    assert "Went on after" in ran.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["offers.csv", "offers.refusals.csv"]
