"""What all commands share: their help, the version, exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nextoffer import __version__
from tests.cli.conftest import Command

COMMANDS = (
    "",
    "demo",
    "check",
    "fit",
    "recommend",
    "allocate",
    "export",
    "score",
    "evaluate",
    "explain",
    "card",
    "validate",
    "policy",
    "policy check",
    "policy diff",
    "policy show",
    "fairness",
    "monitor",
    "simulate-policy",
    "simulate",
    "simulate reference",
    "simulate retail",
    "simulate ab",
    "experiment",
    "experiment plan",
    "experiment assign",
    "experiment read",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, nextoffer: Command, golden: Callable[[str, str], None]) -> None:
    ran = nextoffer(*command.split(), "--help")
    lines = [line.rstrip() for line in ran.out.splitlines()]
    golden(f"cli/{command.replace(' ', '_') or 'nextoffer'}.txt", "\n".join(lines).strip() + "\n")
    assert (ran.code, ran.err) == (0, "")


def test_version(nextoffer: Command) -> None:
    ran = nextoffer("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"nextoffer {__version__}\n", "")


@pytest.mark.parametrize("command", ["", *(c for c in COMMANDS if c not in ("", "demo", "policy show"))])
def test_a_command_alone_shows_its_help(command: str, nextoffer: Command) -> None:
    ran = nextoffer(*command.split())
    assert ran.code == 2
    assert "Usage: nextoffer" in ran.out + ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict",),
        ("fit", "bank"),
        ("fit", "bank", "--as-of", "11.10.2025", "--out", "model"),
        ("recommend", "bank", "--model", "model", "--out", "o.csv", "--chunk", "0"),
        ("demo", "--customers", "3"),
        ("score", "bank", "--modle", "model"),
    ],
)
def test_a_command_line_that_is_wrong_ends_with_2(
    arguments: tuple[str, ...], nextoffer: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = nextoffer(*arguments)
    assert ran.code == 2
    assert "Usage: nextoffer" in ran.err
    assert "Traceback" not in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [("fit", "nowhere", "--as-of", "2025-10-11", "--out", "model"), ("evaluate", "nowhere")]
)
def test_a_bank_that_is_not_there(
    arguments: tuple[str, ...], nextoffer: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert nextoffer(*arguments).failed(2, "nowhere does not exist; a bank is a folder of tables or a bank.toml")
    assert list(tmp_path.iterdir()) == []


def test_the_module_is_the_command(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nextoffer", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    ok, wrong = run("--version"), run("evaluate", "nowhere")
    assert (ok.returncode, ok.stdout) == (0, f"nextoffer {__version__}\n")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: ")
    assert "Traceback" not in wrong.stderr
