"""Spark, with and without Java, decides what one machine decides."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from nextoffer.cli.app import app
from nextoffer.errors import NextOfferError
from nextoffer.policy.file import Policy
from nextoffer.policy.rules import OwnRule
from nextoffer.run import parts, spark
from nextoffer.run.engine import Engine
from nextoffer.run.spark import recommend_on_spark
from nextoffer.tables.bank import Bank
from nextoffer.tables.handover import Handover, hand_over
from tests.contract.engines import SEED_WORLD, Case, careful, case, read_parts, retail_cases, same

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")

ROOT = Path(__file__).parents[2]
needs_sail = pytest.mark.skipif(find_spec("pysail") is None, reason="pysail is not installed")


@pytest.fixture(scope="module")
def sail() -> Iterator[str]:
    """A server that speaks Spark Connect, without Java."""
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer()
    server.start(background=True)
    host, port = server.listening_address
    yield f"sc://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """A dirty bank and one of 20,000 customers."""
    return retail_cases(tmp_path_factory.mktemp("retail"), customers=20_000)


@pytest.fixture(scope="module")
def dirty(retail: dict[str, Case]) -> Case:
    return retail["dirty"]


@pytest.fixture(scope="module")
def seed_world(tmp_path_factory: pytest.TempPathFactory) -> Case:
    if not SEED_WORLD.is_dir():
        pytest.skip(f"no reference data at {SEED_WORLD}")
    return case("seed_world", SEED_WORLD, tmp_path_factory.mktemp("seed_world"))


def decide(one: Case, out: Path, master: str) -> None:
    """Decide for a case on a server and compare what was written with what is decided here."""
    written = recommend_on_spark(Engine.load(one.model), Bank.read(one.bank), out, master=master)
    refusals = out.with_name(f"{out.name}.refusals")
    found = read_parts(out, refusals)
    assert same(found, one.expected)
    assert (written.decisions, written.refusals) == (found.decisions.num_rows, found.refusals.num_rows)
    assert {p.name for p in out.parent.iterdir()} == {out.name, refusals.name}


@needs_sail
def test_the_reference_world_on_sail(seed_world: Case, sail: str, tmp_path: Path) -> None:
    decide(seed_world, tmp_path / "offers", sail)


@needs_sail
@pytest.mark.parametrize("name", ["dirty", "large"])
def test_a_retail_bank_on_sail(retail: dict[str, Case], sail: str, tmp_path: Path, name: str) -> None:
    out = tmp_path / "offers"
    decide(retail[name], out, sail)
    made = sorted(out.iterdir())
    assert [p.name for p in made] == [f"part-{i:05}.parquet" for i in range(len(made))]
    tables = [pq.read_table(part, columns=["customer_id", "rank"]) for part in made]
    assert all(t.equals(t.sort_by([("customer_id", "ascending"), ("rank", "ascending")])) for t in tables)
    firsts = [t.column("customer_id")[0].as_py() for t in tables]
    assert firsts == sorted(firsts)


@needs_sail
def test_rules_of_the_banks_own_on_sail(dirty: Case, sail: str, tmp_path: Path) -> None:
    adult = OwnRule(id="adult", stage="eligibility", text="Adults", require="age >= 30 or segment = 'HNI'")
    held = OwnRule(
        id="held_too", stage="applicability", text="Goes with", require="pair.coholding > 0.02", nulls="pass"
    )
    card = OwnRule(id="card", stage="suitability", text="Cards", require="product.margin > 20", product=("P05", "P06"))
    bank = Bank.read(dirty.bank)
    engine = Engine.load(dirty.model).with_policy(Policy(rule=(adult, held, card)))
    expected = engine.recommend(bank)
    assert set(expected.refusals.column("rule").unique().to_pylist()) >= {"eligibility.adult", "applicability.held_too"}
    recommend_on_spark(engine, bank, tmp_path / "offers", master=sail)
    assert same(read_parts(tmp_path / "offers", tmp_path / "offers.refusals"), expected)
    misfit = engine.with_policy(Policy(rule=(adult.model_copy(update={"require": "agee > 1"}),)))
    with pytest.raises(
        NextOfferError, match=r"rule adult: require 'agee > 1': unknown column 'agee' \(did you mean 'age'"
    ):
        recommend_on_spark(misfit, bank, tmp_path / "none", master=sail)


@needs_sail
def test_all_that_a_contact_policy_asks_on_sail(dirty: Case, sail: str, tmp_path: Path) -> None:
    (tmp_path / "answer").mkdir()
    decide(careful(dirty, tmp_path), tmp_path / "answer" / "offers", sail)


@needs_sail
def test_tables_kept_as_text_or_in_parts_are_decided_alike(dirty: Case, sail: str, tmp_path: Path) -> None:
    bank = tmp_path / "bank"
    shutil.copytree(dirty.bank, bank)
    holdings = pq.read_table(bank / "holdings.parquet")
    pyarrow.csv.write_csv(holdings, bank / "holdings.csv")
    (bank / "holdings.parquet").unlink()
    responses = pq.read_table(bank / "responses.parquet")
    (bank / "responses").mkdir()
    for i, place in enumerate(range(0, responses.num_rows, 2_000)):
        pq.write_table(responses.slice(place, 2_000), bank / "responses" / f"{i}.parquet")
    (bank / "responses.parquet").unlink()
    (tmp_path / "answer").mkdir()
    decide(replace(dirty, bank=bank), tmp_path / "answer" / "offers", sail)


@needs_sail
def test_an_earlier_answer_is_replaced_and_a_session_given_stays_open(dirty: Case, sail: str, tmp_path: Path) -> None:
    from pyspark.sql import SparkSession

    engine, bank, out = Engine.load(dirty.model), Bank.read(dirty.bank), tmp_path / "offers.parquet"
    session = SparkSession.builder.remote(sail).create()
    session.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        recommend_on_spark(engine.with_policy(engine.policy.model_copy(update={"seed": 99})), bank, out, master=session)
        recommend_on_spark(engine, bank, out, master=session)
        assert session.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
        assert session.sql("SELECT 1 AS one").toArrow().column(0).to_pylist() == [1]
        assert session.catalog.listTables() == []
    finally:
        session.stop()
    assert same(read_parts(out, tmp_path / "offers.refusals.parquet"), dirty.expected)


def test_tables_are_handed_over_as_they_are_where_their_meaning_is_plain(dirty: Case, tmp_path: Path) -> None:
    handed = hand_over(Bank.read(dirty.bank), tmp_path)
    assert set(handed.clean) == {"customers"}, "its keys repeat; the other tables are plain"
    assert set(handed.stored) == set(Bank.read(dirty.bank).tables) - {"customers"}
    here = Bank.read(dirty.bank).table("customers")
    there = pq.read_table(handed.clean["customers"])
    assert there.sort_by("customer_id").equals(here.cast(there.schema).sort_by("customer_id"))


@needs_sail
def test_workers_verify_the_model_and_a_failure_leaves_nothing_behind(
    dirty: Case, sail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = parts.Worker.of

    def spoilt(*arguments: Any, **options: Any) -> parts.Worker:
        worker = honest(*arguments, **options)
        return replace(worker, model={**worker.model, "stats.json": b"{}"}, model_id="spoilt")

    monkeypatch.setattr(parts.Worker, "of", spoilt)
    with pytest.raises(NextOfferError, match=r"Spark failed: .*stats\.json is not the file that was saved"):
        recommend_on_spark(Engine.load(dirty.model), Bank.read(dirty.bank), tmp_path / "offers", master=sail)
    assert list(tmp_path.iterdir()) == []


@needs_sail
def test_files_that_spark_cannot_see(dirty: Case, sail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(bank: Bank, folder: Path) -> Handover:
        handed = hand_over(bank, folder)
        return replace(handed, stored={**handed.stored, "holdings": (Path("/on/another/disk/holdings.parquet"),)})

    monkeypatch.setattr(spark, "hand_over", elsewhere)
    with pytest.raises(NextOfferError, match=r"does not see the files .* under the same path, as on a shared disk"):
        recommend_on_spark(Engine.load(dirty.model), Bank.read(dirty.bank), tmp_path / "offers", master=sail)


def test_spark_that_is_not_installed(dirty: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark, "find_spec", lambda _name: None)
    with pytest.raises(NextOfferError, match=re.escape("pip install 'nextoffer[spark]'")):
        recommend_on_spark(Engine.load(dirty.model), Bank.read(dirty.bank), tmp_path / "offers", master="local[2]")


@needs_sail
def test_a_client_alone_starts_no_spark(dirty: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark, "find_spec", lambda name: None if name == "py4j" else find_spec(name))
    with pytest.raises(NextOfferError, match="only the client of Spark Connect is installed"):
        recommend_on_spark(Engine.load(dirty.model), Bank.read(dirty.bank), tmp_path / "offers", master="local[2]")


def test_folders_that_hold_something_else(dirty: Case, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out, complaint in (
        ("notes", "holds other things than parts"),
        ("file", "is a file; a cluster writes a folder"),
    ):
        with (
            pytest.raises(NextOfferError, match=complaint),
            parts.scratch_beside(tmp_path / out, tmp_path / "refusals"),
        ):
            pass
    with (
        pytest.raises(NextOfferError, match="cannot both be written to"),
        parts.scratch_beside(tmp_path / "offers", tmp_path / "offers"),
    ):
        pass


def no_real_spark() -> str | None:
    """Return why Apache Spark itself cannot run here, or None."""
    if find_spec("py4j") is None:
        return "pyspark is not installed, at most its client"
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        return "there is no Java"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    return None if version and int(version[1]) >= 17 else f"Java 17 or later is needed, found: {said[:60]!r}"


@pytest.mark.slow
@pytest.mark.skipif(no_real_spark() is not None, reason=str(no_real_spark()))
def test_apache_spark(retail: dict[str, Case], request: pytest.FixtureRequest, tmp_path: Path) -> None:
    cases = [*retail.values()]
    if SEED_WORLD.is_dir():
        cases.append(request.getfixturevalue("seed_world"))
    tasks = [[str(one.bank), str(one.model), str(tmp_path / one.name)] for one in cases]
    command = [sys.executable, "-m", "tests.contract.spark_run", "local[2]", json.dumps(tasks)]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}  # a client sets some
    done = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for one in cases:
        assert same(read_parts(tmp_path / one.name, tmp_path / f"{one.name}.refusals"), one.expected), one.name


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--master", "local[2]"], "add --engine spark"),
        (["--engine", "spark", "--resume"], "Spark repeats what failed"),
    ],
)
def test_options_that_do_not_go_together(dirty: Case, tmp_path: Path, options: list[str], complaint: str) -> None:
    command = ["recommend", str(dirty.bank), "--model", str(dirty.model), "--out", str(tmp_path / "offers"), *options]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, NextOfferError)
    assert complaint in str(result.exception)


@needs_sail
def test_from_the_command_line(dirty: Case, sail: str, tmp_path: Path) -> None:
    command = ["recommend", str(dirty.bank), "--model", str(dirty.model), "--out", str(tmp_path / "offers")]
    result = CliRunner().invoke(app, [*command, "--engine", "spark", "--master", sail])
    assert result.exit_code == 0, result.output
    assert f"{dirty.expected.decisions.num_rows:,} offers to 600 customers" in result.output
    assert same(read_parts(tmp_path / "offers", tmp_path / "offers.refusals"), dirty.expected)
