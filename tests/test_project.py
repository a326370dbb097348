"""What holds for the project as a whole: who imports whom, how long things get, what files may say."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "nextoffer"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = ["requirements.txt", "requirements-dev.txt"]

MAX_MODULE_LINES = 600
MAX_FUNCTION_LINES = 60


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lint_imports(src: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("lint-imports", path=Path(sys.executable).parent) or "lint-imports"
    command = [program, "--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(src)}
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)


def test_every_import_keeps_to_the_contracts() -> None:
    result = lint_imports(ROOT / "src")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "imported", "contract"),
    [
        ("tables/a.py", "nextoffer.features", "Rooms import downwards"),
        ("features/a.py", "nextoffer.models", "Rooms import downwards"),
        ("policy/a.py", "nextoffer.cli", "Rooms import downwards"),
        ("deliver/a.py", "nextoffer.policy", "Rooms import downwards"),
        ("keyed.py", "nextoffer.tables", "Rooms import downwards"),
        ("evaluate/a.py", "lightgbm", "Training only in models"),
        ("run/a.py", "interpret.glassbox", "Training only in models"),
        ("run/a.py", "rich.progress", "The terminal only in cli"),
        ("run/a.py", "fastapi", "HTTP only in service"),
        ("run/a.py", "pyspark.sql", "Spark only in run.spark"),
        ("run/a.py", "sqlalchemy", "Database servers only in ledger"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(tmp_path: Path, module: str, imported: str, contract: str) -> None:
    shutil.copytree(PACKAGE, tmp_path / "nextoffer", ignore=shutil.ignore_patterns("__pycache__"))
    for room in ("features", "models", "policy", "evaluate", "run", "cli"):
        (tmp_path / "nextoffer" / room).mkdir(exist_ok=True)
        (tmp_path / "nextoffer" / room / "__init__.py").touch()
    with (tmp_path / "nextoffer" / module).open("a", encoding="utf-8") as file:
        file.write(f"\nimport {imported}\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{contract} BROKEN" in result.stdout


def test_an_unnamed_room_breaks_the_contract(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "nextoffer", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "nextoffer" / "utils.py").touch()
    assert lint_imports(tmp_path).returncode == 1


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_opens_with_its_contract_and_stays_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
    assert text.count("\n") <= MAX_MODULE_LINES
    long = [f"{f.name}: {n}" for f in functions(tree) if (n := body_lines(f)) > MAX_FUNCTION_LINES]
    assert not long, f"functions of more than {MAX_FUNCTION_LINES} lines in {name_of(path)}: {long}"


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_the_libraries_declared_are_those_imported() -> None:
    imported = {name for path in MODULES for name in imported_names(ast.parse(path.read_text(encoding="utf-8")))}
    third_party = imported - set(sys.stdlib_module_names) - {"nextoffer"}
    homes = packages_distributions()
    used = {canonicalize_name(home) for name in third_party for home in homes.get(name, [name])}
    extras = PROJECT["project"]["optional-dependencies"].values()
    declared = {Requirement(text).name for text in chain(PROJECT["project"]["dependencies"], *extras)}
    # the client of Spark is one of two distributions with the same package
    declared = {name.replace("pyspark-client", "pyspark") for name in declared}
    assert used == {canonicalize_name(name) for name in declared}


def imported_names(tree: ast.Module) -> set[str]:
    """First part of each module that is imported anywhere in the file."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("file", PINS)
def test_pins_are_plain_and_keep_to_what_is_declared(file: str) -> None:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    pins = {canonicalize_name(pin.name): pin for pin in map(Requirement, lines)}
    assert all(re.fullmatch(r"==[^,*]+", str(pin.specifier)) for pin in pins.values())
    wanted = PROJECT["project"]["dependencies"] + (PROJECT["dependency-groups"]["dev"] if "dev" in file else [])
    for requirement in map(Requirement, wanted):
        version = str(pins[canonicalize_name(requirement.name)].specifier).removeprefix("==")
        assert version in requirement.specifier, f"{requirement} is pinned to {version}"


@pytest.fixture(scope="module")
def tracked() -> dict[str, str]:
    """Text of every file under version control, by name."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    paths = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return {name: (ROOT / name).read_bytes().decode("utf-8", errors="replace") for name in paths}


def test_no_file_names_a_package_registry(tracked: dict[str, str]) -> None:
    hosts = ["pypi" + ".org", "pythonhosted" + ".org", "registry.np" + "mjs.org", "conda" + ".anaconda"]
    hosts += ["--index" + "-url", "--extra-index" + "-url", "find" + "-links"]
    assert not [(name, host) for name, text in tracked.items() for host in hosts if host in text]


def test_no_file_names_a_path_of_one_machine(tracked: dict[str, str]) -> None:
    own = re.compile(r"(?<![\w.])/(?:work|home|root|Users|tmp)/\w")
    assert not [(name, found[0]) for name, text in tracked.items() if (found := own.search(text))]


def test_no_lock_file_is_kept(tracked: dict[str, str]) -> None:
    locks = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml"}
    assert not [name for name in tracked if Path(name).name in locks]


def test_every_link_between_the_pages_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))]
    assert not [f"{name_of(page)}: {link}" for page, link in links if not (page.parent / link).exists()]
