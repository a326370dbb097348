"""``nextoffer recommend`` killed at random moments: nothing half-written, and ``--resume`` ends in the same files."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from time import sleep

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


def parts(out: Path) -> int:
    """How many files of finished chunks lie beside the result."""
    return len(list(out.glob(".*/*.arrow")))


def ended_before_the_kill(run: subprocess.Popen[bytes], out: Path, moments: random.Random) -> bool:
    """Kill a run when it has written about so many more parts as chance has it; or let it end, if it does so first."""
    until, extra = parts(out) + moments.randint(0, CUSTOMERS // CHUNK), moments.uniform(0.0, 0.02)
    while run.poll() is None and parts(out) < until:
        sleep(0.001)
    try:
        run.wait(timeout=extra)
    except subprocess.TimeoutExpired:
        run.kill()
        run.wait()
        return False
    return True


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_in_the_identical_files(bank: Path, saved: Path, tmp_path: Path) -> None:
    assert started(bank, saved, tmp_path / "whole" / "offers.parquet").wait() == 0
    whole = contents(tmp_path / "whole")
    assert len(whole) == 2
    out, moments = tmp_path / "out", random.Random(3)
    out.mkdir()
    left: list[int] = []
    while len(left) < KILLS:
        run = started(bank, saved, out / "offers.parquet", "--resume")
        if ended_before_the_kill(run, out, moments):
            assert run.returncode == 0
            assert contents(out) == whole
            for file in out.iterdir():
                file.unlink()
        else:
            left.append(parts(out))
            assert all(whole[name] == found for name, found in contents(out).items())
    assert len(set(left)) > KILLS / 3, "the kills came too seldom in the middle of the work"
    assert started(bank, saved, out / "offers.parquet", "--resume").wait() == 0
    assert contents(out) == whole
    assert not [p for p in out.iterdir() if p.name.startswith(".")]
