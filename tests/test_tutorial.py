"""The tutorial's commands run as they are printed, and write what the page promises.

Its console blocks are run one command at a time, each a process of its own, in a folder of their own; TOML blocks are
saved under the name in their first line. ``# exit code N`` beside a command is the code it must end with. The page's
own variables make it small: ``CUSTOMERS`` customers, and ``WORLD`` in place of the simulated reference world.

With ``NEXTOFFER_TUTORIAL=100000`` the whole page also runs on so many customers::

    NEXTOFFER_TUTORIAL=100000 pytest tests/test_tutorial.py -m slow
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "tutorial-decisioning.md"
SEED_WORLD = Path(__file__).parents[2] / "shared" / "data" / "seed_world"
WHOLE = os.environ.get("NEXTOFFER_TUTORIAL", "")
SMALL = "1500"
REFERENCE = "## The reference world"
FORMATS = ["leads.csv", "leads.html", "dialer.csv", "banner.json", "interaction_history.parquet", "manifest.json"]


@dataclass(frozen=True)
class Step:
    """A file to save, or a command to run and the code it must end with."""

    file: str = ""
    content: str = ""
    command: str = ""
    code: int = 0


def steps(text: str) -> Iterator[Step]:
    """Yield what a page says to do, in order."""
    for language, block in re.findall(r"```(toml|console)\n(.*?)```", text, flags=re.DOTALL):
        if language == "toml":
            yield Step(file=block.splitlines()[0].removeprefix("# "), content=block)
            continue
        for line in block.splitlines():
            assert line.startswith("$ "), f"a console block holds commands only; found {line!r}"
            command, _, said = line.removeprefix("$ ").partition("  # exit code ")
            yield Step(command=command.strip(), code=int(said.partition(":")[0] or 0))


def parts() -> tuple[str, str]:
    """Return the text of the two walks."""
    retail, reference = PAGE.read_text(encoding="utf-8").split(REFERENCE)
    return retail, reference


def walk(text: str, folder: Path, **variables: str) -> None:
    """Do what the text says, in the folder, by a shell that finds this installation's `nextoffer` first."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "COLUMNS": "100", **variables}
    for step in steps(text):
        if step.file:
            (folder / step.file).write_text(step.content, encoding="utf-8")
            continue
        ran = subprocess.run(
            ["bash", "-c", step.command],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert ran.returncode == step.code, f"{step.command}\n{ran.stdout}\n{ran.stderr}"
        assert "Traceback" not in ran.stderr, step.command


def promised(folder: Path, names: list[str]) -> None:
    for name in names:
        assert (folder / name).stat().st_size > 0, name


def retail(folder: Path, customers: str) -> None:
    walk(parts()[0], folder, CUSTOMERS=customers)
    promised(folder, ["model/manifest.json", "offers.parquet", "offers.refusals.parquet", "plan.parquet"])
    promised(folder, ["what_if/report.html", "what_if/figures.json", "what_if/loosening.parquet", "sample.json"])
    promised(folder / "delivery", [*FORMATS, "salesforce/tasks.csv", "hubspot/contacts.csv"])
    tables = json.loads((folder / "what_if" / "figures.json").read_text(encoding="utf-8"))["tables"]
    assert [row for row in tables["profit"] if row["policy"] == "difference"]


def test_the_page_is_read_as_it_is_written() -> None:
    found = list(steps("a\n```toml\n# x.toml\na = 1\n```\n```console\n$ run it      # exit code 4: no\n$ b\n```\n"))
    assert found == [Step("x.toml", "# x.toml\na = 1\n"), Step(command="run it", code=4), Step(command="b")]
    commands = [step.command for text in parts() for step in steps(text) if step.command]
    for name in ("fit", "policy check", "policy diff", "simulate-policy", "recommend", "allocate", "export"):
        assert sum(f"nextoffer {name}" in command for command in commands) >= 2, name


@pytest.mark.slow
def test_the_retail_walk(tmp_path: Path) -> None:
    retail(tmp_path, SMALL)


@pytest.mark.slow
@pytest.mark.skipif(not WHOLE, reason="NEXTOFFER_TUTORIAL does not name a number of customers")
def test_the_retail_walk_on_a_whole_bank(tmp_path: Path) -> None:
    retail(tmp_path, WHOLE)


@pytest.mark.slow
@pytest.mark.parametrize("world", ["simulated", "seed_world"])
def test_the_reference_walk(tmp_path: Path, world: str) -> None:
    if world == "seed_world" and not SEED_WORLD.is_dir():
        pytest.skip("the shared data are not here")
    variables = {"WORLD": str(SEED_WORLD) if world == "seed_world" else "", "CUSTOMERS": "300"}
    walk(parts()[1], tmp_path, **variables)
    promised(tmp_path, ["world_model/manifest.json", "world_offers.parquet", "world_plan.parquet"])
    promised(tmp_path, ["world_what_if/report.html", "world_delivery/leads.csv", "world_delivery/manifest.json"])
