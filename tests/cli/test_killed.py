"""``nextoffer recommend`` killed at random moments: nothing half-written, and ``--resume`` ends in the same files."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import pytest

from nextoffer.run.engine import Engine
from nextoffer.simulate import retail
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, RATES

KILLS = 20
CUSTOMERS, CHUNK = 2_000, 40


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return retail.generate(tmp_path_factory.mktemp("killed") / "bank", customers=CUSTOMERS, seed=4)


@pytest.fixture(scope="module")
def saved(bank: Path) -> Path:
    return Engine.fit(Bank.read(bank), as_of=AS_OF, ranker=RATES).save(bank.parent / "model")


def started(bank: Path, model: Path, out: Path, *options: str) -> subprocess.Popen[bytes]:
    arguments = ["recommend", str(bank), "--model", str(model), "--out", str(out), "--chunk", str(CHUNK), *options]
    script = "from nextoffer.cli.app import main; main()"
    return subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.DEVNULL)


def contents(folder: Path) -> dict[str, bytes]:
    """The files that a user sees."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_in_the_identical_files(bank: Path, saved: Path, tmp_path: Path) -> None:
    began = perf_counter()
    assert started(bank, saved, tmp_path / "whole" / "offers.parquet").wait() == 0
    seconds = perf_counter() - began
    whole = contents(tmp_path / "whole")
    assert len(whole) == 2
    out, moments, kills, left = tmp_path / "out", random.Random(3), 0, []
    while kills < KILLS:
        run = started(bank, saved, out / "offers.parquet", "--resume")
        try:
            code = run.wait(timeout=moments.uniform(0.2, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
            kills += 1
            left.append(len(list(out.glob(".*/*.arrow"))))
            assert all(whole[name] == found for name, found in (contents(out) if out.exists() else {}).items())
        else:
            assert code == 0
            assert contents(out) == whole
            for file in out.iterdir():
                file.unlink()
    assert len(set(left)) > 2, "no kill came in the middle of the work"
    assert started(bank, saved, out / "offers.parquet", "--resume").wait() == 0
    assert contents(out) == whole
    assert not [p for p in out.iterdir() if p.name.startswith(".")]
