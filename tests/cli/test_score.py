"""``nextoffer score``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from nextoffer.run.engine import Engine
from nextoffer.tables.bank import Bank
from tests.cli.conftest import Command
from tests.run.worlds import AS_OF, CUSTOMERS, PRODUCTS


def test_every_eligible_pair_is_scored(world: Path, model: Path, nextoffer: Command, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    ran = nextoffer("score", world, "--model", model, "--as-of", AS_OF, "--out", out)
    found = pq.read_table(out)
    refused = Engine.load(model).recommend(Bank.read(world)).refusals.column("stage").to_pylist()
    assert (ran.code, ran.out) == (0, f"{out}: {found.num_rows:,} pairs\n")
    assert found.column_names == ["customer_id", "product_id", "score", "propensity"]
    assert found.num_rows == CUSTOMERS * PRODUCTS - refused.count("eligibility")


def test_neither_cutoff_nor_caps_leave_a_pair_out(world: Path, model: Path, nextoffer: Command, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(
        "[arbitration]\ncutoff = 0.99\ntop_n = 1\n[contact]\ncap = 0\n", encoding="utf-8"
    )
    plain, strict = tmp_path / "plain.csv", tmp_path / "strict.csv"
    nextoffer("score", world, "--model", model, "--out", plain)
    nextoffer("score", world, "--model", model, "--out", strict, "--policy", tmp_path / "policy.toml")
    assert plain.read_text(encoding="utf-8") == strict.read_text(encoding="utf-8")
    propensity = pyarrow.csv.read_csv(plain).column("propensity").to_numpy()
    assert np.all((propensity > 0) & (propensity < 1))


@pytest.mark.parametrize("name", ["scores.json", "scores"])
def test_an_ending_not_known_writes_nothing(
    world: Path, model: Path, nextoffer: Command, tmp_path: Path, name: str
) -> None:
    ran = nextoffer("score", world, "--model", model, "--out", tmp_path / name)
    assert ran.failed(2, f"error: {name} ends in")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_ends_with_3(world: Path, model: Path, nextoffer: Command, tmp_path: Path) -> None:
    copy = Engine.load(model).save(tmp_path / "model")
    (copy / "more.pkl").write_bytes(b"\x80\x04.")
    assert nextoffer("score", world, "--model", copy, "--out", tmp_path / "s.csv").failed(
        3, "more.pkl does not belong to the model"
    )
