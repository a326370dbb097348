"""Policies that somebody got wrong, or means ill: each is refused or warned of.

The words are kept in ``tests/golden/hostile``. Nothing that a policy says is ever executed: while it is read and typed
no file is opened, nothing is compiled or imported for it, no process is started and no database touched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from nextoffer.errors import PolicyError
from nextoffer.policy import toml
from nextoffer.policy.applied import applied
from nextoffer.policy.book import Book
from nextoffer.policy.effect import Effects
from nextoffer.policy.file import Policy
from nextoffer.policy.rules import packaged
from tests.policy.bank import bank

CORPUS = Path(__file__).parent / "hostile"
CASES = sorted(path.stem for path in CORPUS.glob("*.toml"))
CLOSED = {"gender": "bank.toml lists it under 'sensitive'"}


def policy_of(text: str) -> Policy:
    return toml.parse(text, Policy, where="policy.toml")


def verdict(text: str) -> tuple[str, list[str]]:
    """Return when something is said of a policy, and what."""
    try:
        policy = policy_of(text)
    except PolicyError as error:
        return "refused as it is read", list(error.problems)
    batch = bank(lgd=[0.4, None, 0.0, 0.0], tier=[1.0, 2.0, 1.0, 2.0])
    try:
        applied([rule for rule in policy.rule if rule.enabled], batch.kinds, batch.offering, CLOSED)
    except PolicyError as error:
        return "refused by the bank", list(error.problems)
    effects = Effects(Book(policy), pairs=True)
    effects.add(batch)
    return "warned of", effects.found().warnings


@pytest.mark.parametrize("case", CASES)
def test_each_gets_its_message(case: str, golden: Callable[[str, str], None]) -> None:
    when, said = verdict((CORPUS / f"{case}.toml").read_text(encoding="utf-8"))
    assert said
    golden(f"hostile/{case}.txt", "\n".join([when, *said]) + "\n")


def test_the_corpus_is_large_enough() -> None:
    assert len(CASES) >= 40


WATCHED = {"open", "exec", "compile", "import", "socket.connect", "subprocess.Popen", "os.system", "os.remove"}
seen: list[str] = []
watching = False


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if watching and event in WATCHED:
        seen.append(f"{event} {arguments[:1]}")


@contextmanager
def watched() -> Iterator[None]:
    global watching  # noqa: PLW0603  an audit hook stays for good, so it is switched
    seen.clear()
    watching = True
    try:
        yield
    finally:
        watching = False


@pytest.fixture(scope="module")
def audited() -> None:
    sys.addaudithook(watch)
    packaged()
    batch = bank()
    applied([], batch.kinds, batch.offering)  # what is imported or read once is


def test_nothing_is_executed(audited: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_database(*_: object, **__: object) -> None:
        raise AssertionError("a policy reached a database")

    for name in ("connect", "sql", "execute", "query"):
        monkeypatch.setattr(duckdb, name, no_database)
    texts = [(CORPUS / f"{case}.toml").read_text(encoding="utf-8") for case in CASES]
    for text in texts:
        verdict(text)  # the parser loads parts of itself as it meets new words
    with watched():
        for text in texts:
            verdict(text)
    assert seen == []


def test_the_watch_sees(audited: None) -> None:
    with watched():
        (CORPUS / f"{CASES[0]}.toml").read_text(encoding="utf-8")
    assert seen
