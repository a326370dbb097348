"""Runs the command line as a shell would: arguments in, exit code and both streams out."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from nextoffer.cli.app import main
from nextoffer.run.batch import Files, recommend_to_files
from nextoffer.run.engine import Engine
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, QuickRanker, reference_world, retail_world

PLAIN = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}


@dataclass(frozen=True)
class Ran:
    """What a command did: its exit code, and what it said."""

    code: object
    out: str
    err: str

    def failed(self, code: int, message: str) -> bool:
        """Whether it ended with this code and said only this, as an error without a traceback."""
        said = " ".join(self.err.split())
        return self.code == code and not self.out and message in said and "Traceback" not in said


Command = Callable[..., Ran]


def run_command(*arguments: object) -> Ran:
    """Run ``nextoffer`` with these arguments, 100 columns wide and without colours."""
    out, err = io.StringIO(), io.StringIO()
    code: object = "did not end"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["nextoffer", *map(str, arguments)])
        for name, value in PLAIN.items():
            patch.setenv(name, value)
        for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
            patch.delenv(name, raising=False)
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as ended:
                code = ended.code
    return Ran(code, click.unstyle(out.getvalue()), click.unstyle(err.getvalue()))


@pytest.fixture(scope="session")
def nextoffer() -> Command:
    return run_command


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reference_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def fitted(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The one model that is fitted with all defaults, and what `fit` said."""
    model = tmp_path_factory.mktemp("fitted") / "model"
    return model, run_command("fit", world, "--as-of", AS_OF, "--out", model)


@pytest.fixture(scope="session")
def model(fitted: tuple[Path, Ran]) -> Path:
    return fitted[0]


@pytest.fixture(scope="session")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank with RMs, households, consents and sensitive columns."""
    return retail_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def offers(retail: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is offered to the customers of `retail`, as `recommend` writes it."""
    out = tmp_path_factory.mktemp("decided") / "offers.parquet"
    bank = Bank.read(retail)
    engine = Engine.fit(bank, as_of=AS_OF, ranker=QuickRanker())
    recommend_to_files(engine, bank, Files(out, out.with_name("offers.refusals.parquet")))
    return out
