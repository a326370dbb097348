"""Reading a bank: one spelling and one type per column, ids as they came, only usable rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.errors import BankError
from nextoffer.tables.bank import Bank
from nextoffer.tables.contract import TABLES
from tests.tables.banks import CUSTOMERS, FURTHER, HOLDINGS, PRODUCTS, REQUIRED, TRANSACTIONS, write_bank

SEED_WORLD = Path(__file__).parents[3] / "shared" / "data" / "seed_world"


def column(bank: Bank, table: str, name: str) -> list[object]:
    values: list[object] = bank.table(table).column(name).to_pylist()
    return values


def test_every_table_of_the_contract_is_read(tmp_path: Path) -> None:
    bank = Bank.read(write_bank(tmp_path / "acme", FURTHER))
    assert bank.tables == tuple(TABLES)
    assert bank.name == "acme"
    assert bank.notes == ()
    types = {"id": "BIGINT", "number": "DOUBLE", "text": "VARCHAR", "flag": "BOOLEAN", "date": "DATE"}
    for table in bank.tables:
        relation = bank.connect().sql(f"FROM {table}")
        found = dict(zip(relation.columns, map(str, relation.types), strict=True))
        assert found == {name: types[kind] for name, kind in bank.columns(table).items()}
        assert len(bank.table(table)) == len((dict(REQUIRED) | FURTHER)[f"{table}.csv"].splitlines()) - 1


def test_csv_and_parquet_give_the_same_bank(tmp_path: Path) -> None:
    csv = Bank.read(write_bank(tmp_path / "csv", FURTHER))
    for table in csv.tables:
        write_bank(tmp_path / "parquet", {**dict.fromkeys(REQUIRED), f"{table}.parquet": csv.table(table)})
    parquet = Bank.read(tmp_path / "parquet")
    assert {t: parquet.columns(t) for t in parquet.tables} == {t: csv.columns(t) for t in csv.tables}
    assert all(parquet.table(t).equals(csv.table(t)) for t in csv.tables)


def test_a_folder_of_parts_is_one_table_whatever_the_order_of_columns(tmp_path: Path) -> None:
    header, *rows = TRANSACTIONS.splitlines()
    parts = {
        "transactions/2025/a.csv": f"{header}\n{rows[0]}\n",
        "transactions/b.csv": "amount,customer_id,date\n80,2,2025-09-02\n",
        "transactions/_SUCCESS": "",
    }
    bank = Bank.read(write_bank(tmp_path, {**parts, "holdings.csv": None, "holdings/1.parquet": _holdings()}))
    assert sorted(bank.table("transactions").select(["customer_id", "amount", "channel"]).to_pylist(), key=str) == [
        {"customer_id": 1, "amount": 12.5, "channel": "web"},
        {"customer_id": 2, "amount": 80.0, "channel": None},
    ]
    assert len(bank.table("holdings")) == 1


def _holdings() -> pa.Table:
    return pa.table({"customer_id": pa.array([1], pa.int32()), "product_id": pa.array([10.0])})


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (["1", "20", "-3"], pa.int64()),
        (["0", "9223372036854775807"], pa.int64()),
        (["007", "8"], pa.string()),
        (["1", "1.0"], pa.string()),
        (["1", "9223372036854775808"], pa.string()),
        (["+1", "2"], pa.string()),
        (["C1", "NA", "null"], pa.string()),
    ],
)
def test_csv_ids_come_back_as_they_came(tmp_path: Path, ids: list[str], kind: pa.DataType) -> None:
    rows = "".join(f"{i},10\n" for i in ids)
    files = {"customers.csv": f"customer_id,age\n{rows}", "holdings.csv": f"customer_id,product_id\n{rows}"}
    bank = Bank.read(write_bank(tmp_path, files))
    assert bank.id_type("customer_id") == kind
    assert bank.table("customers").schema.field("customer_id").type == kind
    assert [str(i) for i in column(bank, "customers", "customer_id")] == ids
    assert sorted(str(i) for i in column(bank, "holdings", "customer_id")) == sorted(ids)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1)


@given(
    st.one_of(
        st.lists(TEXT, min_size=1, unique=True), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, unique=True)
    )
)
@settings(max_examples=20)
def test_parquet_ids_come_back_as_they_came(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str] | list[int]
) -> None:
    customers = pa.table({"customer_id": pa.array(ids)})
    files = {"customers.csv": None, "customers.parquet": customers, "holdings.csv": "customer_id,product_id\n"}
    bank = Bank.read(write_bank(tmp_path_factory.mktemp("bank"), files))
    assert bank.table("customers").equals(customers)
    assert bank.id_type("customer_id") == customers.schema.field(0).type


@pytest.mark.parametrize(
    ("stored", "home"), [(pa.array(["1", "2"]), pa.array([1, 2])), (pa.array([1, 2]), pa.array(["1", "2"]))]
)
def test_ids_have_the_type_of_their_home_in_every_table(tmp_path: Path, stored: pa.Array, home: pa.Array) -> None:
    holdings = pa.table({"customer_id": stored, "product_id": [10, 11]})
    files = {"customers.csv": None, "customers.parquet": pa.table({"customer_id": home})}
    bank = Bank.read(write_bank(tmp_path, {**files, "holdings.csv": None, "holdings.parquet": holdings}))
    assert sorted(column(bank, "holdings", "customer_id"), key=str) == home.to_pylist()


def test_the_text_007_is_not_the_customer_7(tmp_path: Path) -> None:
    files = {"customers.csv": "customer_id\n7\n", "holdings.csv": "customer_id,product_id\n007,10\n7,11\n"}
    assert column(Bank.read(write_bank(tmp_path, files)), "holdings", "product_id") == [11]


def test_further_columns_have_the_kind_they_have(tmp_path: Path) -> None:
    customers = "customer_id,score,vip,zip,joined,note\n1,1.5,true,01234,2020-01-01,a\n2,NA,False,9000,,\n"
    bank = Bank.read(write_bank(tmp_path, {"customers.csv": customers}))
    kinds = {"customer_id": "id", "score": "number", "vip": "flag", "zip": "text", "joined": "text", "note": "text"}
    assert bank.columns("customers") == kinds
    assert bank.feature_columns("customers") == ["score", "vip", "zip", "joined", "note"]
    assert column(bank, "customers", "score") == [1.5, None]


def test_stored_types_are_turned_into_ours(tmp_path: Path) -> None:
    noon = datetime(2025, 1, 5, 23, 30, tzinfo=UTC)
    holdings = pa.table(
        {
            "CUSTOMER_ID": pa.array([1.0, None, 2.5]),
            "product_id": pa.array(["10"] * 3).dictionary_encode(),
            "opened_on": pa.array([noon] * 3, pa.timestamp("us", tz="Asia/Tokyo")),
            "closed_on": pa.array(["2025-02-01 10:00:00"] * 3),
            "balance": pa.array([1, 2, 3], pa.decimal128(9, 2)),
        }
    )
    products = pa.table({"product_id": [10], "product_type": ["CC"], "is_premium": [1], "active": ["No"], "tier": [2]})
    files = {"holdings.csv": None, "holdings.parquet": holdings, "products.csv": None, "products.parquet": products}
    bank = Bank.read(write_bank(tmp_path, files))
    assert bank.table("holdings").to_pylist() == [
        {
            "customer_id": 1,
            "product_id": 10,
            "opened_on": date(2025, 1, 5),
            "closed_on": date(2025, 2, 1),
            "balance": 1.0,
        }
    ]
    assert bank.table("products").to_pylist() == [
        {"product_id": 10, "product_type": "CC", "is_premium": True, "tier": 2.0, "active": False}
    ]


def test_nan_is_not_known_and_infinity_is_set_aside(tmp_path: Path) -> None:
    customers = pa.table({"customer_id": [1, 2, 3], "income": [1.0, float("nan"), float("inf")]})
    bank = Bank.read(write_bank(tmp_path, {"customers.csv": None, "customers.parquet": customers}))
    assert column(bank, "customers", "income") == [1.0, None]


def test_merchant_codes_stored_as_numbers_get_their_leading_zeros(tmp_path: Path) -> None:
    merchants = pa.table({"merchant_id": [7, 8], "mcc": [742, 5411]})
    bank = Bank.read(write_bank(tmp_path, {"merchants.parquet": merchants}))
    assert column(bank, "merchants", "mcc") == ["0742", "5411"]


def test_rows_that_break_a_rule_do_not_show(tmp_path: Path) -> None:
    files = {
        "customers.csv": CUSTOMERS + "1,99,1,Mass\n,20,1,Mass\n4,20,-1,Mass\n",
        "holdings.csv": HOLDINGS + "4,10,2025-01-01,\n1,99,2025-01-01,\n1,11,2025-01-02,2025-01-01\n",
        "transactions.csv": TRANSACTIONS + "1,,5,7,food,web\n1,2025-01-01,,7,food,web\n",
        "responses.csv": "customer_id,product_id,offered_on,label\n1,10,2025-09-01,1\n1,10,2025-09-01,2\n",
    }
    bank = Bank.read(write_bank(tmp_path, files))
    assert column(bank, "customers", "age") == [30.0, 40.0, 50.0]
    assert [len(bank.table(t)) for t in ("holdings", "transactions", "responses")] == [2, 3, 1]


def test_the_first_row_of_a_key_is_kept_however_large_the_file(tmp_path: Path) -> None:
    n = 300_000
    ids = [i % (n // 2) for i in range(n)]
    customers = pa.table({"customer_id": ids, "place": list(range(n))})
    (tmp_path / "customers").mkdir()
    for part in range(3):
        rows = customers.slice(part * n // 3, n // 3)
        pa.parquet.write_table(rows, tmp_path / "customers" / f"{part}.parquet", row_group_size=10_000)
    bank = Bank.read(write_bank(tmp_path, {"customers.csv": None}))
    kept = bank.connect().sql("SELECT count(*) AS n, max(place) AS last FROM customers").to_arrow_table().to_pylist()
    assert kept == [{"n": n // 2, "last": n // 2 - 1}]


def test_config_maps_places_names_units_and_hides_columns(tmp_path: Path) -> None:
    write_bank(
        tmp_path,
        {
            "customers.csv": None,
            "crm/clients.csv": "CLIENT;INC;gender;phone\nA;5;f;1\nB;;m;2\n",
            "holdings.csv": "customer_id,product_id,opened_on\nA,10,05.01.2025\n",
            "bank.toml": (
                'name = "Acme"\ncurrency = "EUR"\nsensitive = ["gender"]\nexclude = ["customers.phone"]\n'
                '[tables.customers]\npath = "crm/*.csv"\ncolumns = {customer_id = "client", income = "INC"}\n'
                'units = {income = 1000}\n[tables.holdings]\ndate_format = "%d.%m.%Y"\n'
            ),
        },
    )
    bank = Bank.read(tmp_path / "bank.toml")
    assert (bank.name, bank.config.currency, bank.path) == ("Acme", "EUR", tmp_path)
    assert bank.table("customers").to_pylist() == [
        {"customer_id": "A", "income": 5000.0, "gender": "f"},
        {"customer_id": "B", "income": None, "gender": "m"},
    ]
    assert bank.feature_columns("customers") == ["income"]
    assert column(bank, "holdings", "opened_on") == [date(2025, 1, 5)]


def test_a_query_reads_files_or_a_duckdb_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bank(
        tmp_path / "bank", {"customers.csv": None, "products.csv": None, "raw/people.csv": "id,old\n1,30\n2,40\n"}
    )
    with duckdb.connect(str(tmp_path / "bank" / "core.duckdb")) as con:
        con.execute("CREATE TABLE catalogue AS SELECT 10 AS product_id, 'CC' AS product_type UNION ALL SELECT 11, 'PL'")
    (tmp_path / "bank" / "bank.toml").write_text(
        'database = "core.duckdb"\n[tables.customers]\n'
        "query = \"SELECT id AS customer_id, old AS age FROM 'raw/people.csv';\"\n"
        '[tables.products]\nquery = "SELECT * FROM bank.catalogue"\n'
    )
    monkeypatch.chdir(tmp_path)
    bank = Bank.read("bank")
    monkeypatch.chdir("/")
    assert bank.table("customers").to_pylist() == [{"customer_id": 1, "age": 30.0}, {"customer_id": 2, "age": 40.0}]
    assert column(bank, "products", "product_type") == ["CC", "PL"]


def test_the_mapped_column_wins_over_one_of_the_same_name(tmp_path: Path) -> None:
    toml = '[tables.customers]\ncolumns = {income = "net"}\n'
    files = {"customers.csv": "customer_id,income,net\n1,5,4\n2,6,5\n3,7,6\n", "bank.toml": toml}
    assert column(Bank.read(write_bank(tmp_path, files)), "customers", "income") == [4.0, 5.0, 6.0]


def test_other_encodings_and_compression(tmp_path: Path) -> None:
    import gzip

    files = {
        "customers.csv": CUSTOMERS.replace("Mass", "Müße").encode("latin-1"),
        "products.csv": None,
        "products.csv.gz": gzip.compress(b"\xef\xbb\xbf" + PRODUCTS.encode()),
        "bank.toml": '[tables.customers]\nencoding = "latin-1"\n',
    }
    bank = Bank.read(write_bank(tmp_path, files))
    assert column(bank, "customers", "segment") == ["Müße", "Affluent", "Müße"]
    assert column(bank, "products", "product_id") == [10, 11]


def test_all_that_is_fatal_is_told_at_once(tmp_path: Path) -> None:
    files = {
        "customers.csv": "cust,age\n1,2\n",
        "products.csv": None,
        "transactions.csv": "customer_id,date\n1,2025-01-01\n",
    }
    with pytest.raises(BankError, match=r"customers\.customer_id: is required") as caught:
        Bank.read(write_bank(tmp_path, files))
    wrong = [p.partition(":")[0] for p in caught.value.problems]
    assert wrong == ["products", "customers.customer_id", "transactions.amount"]


def test_asking_for_what_is_not_there(tmp_path: Path) -> None:
    bank = Bank.read(write_bank(tmp_path))
    with pytest.raises(BankError, match=r"no table 'risk'; there are customers, products, holdings"):
        bank.columns("risk")
    with pytest.raises(BankError, match=r"no table has an id 'custmer_id' \(did you mean 'customer_id'\?\)"):
        bank.id_type("custmer_id")
    assert not bank.has("risk")


def test_a_cursor_sees_the_same_tables_in_utc(tmp_path: Path) -> None:
    bank = Bank.read(write_bank(tmp_path))
    cursor = bank.connect().cursor()
    assert cursor.execute("SELECT current_setting('TimeZone'), count(*) FROM customers").fetchall() == [("UTC", 3)]
    assert bank.connect() is bank.connect()


@pytest.mark.skipif(not SEED_WORLD.exists(), reason="../shared/data/seed_world is not there")
def test_seed_world_is_read_as_it_lies_there() -> None:
    bank = Bank.read(SEED_WORLD)
    counts = {t: bank.connect().execute(f"SELECT count(*) FROM {t}").fetchall()[0][0] for t in bank.tables}
    assert counts == {
        "customers": 1200,
        "products": 12,
        "holdings": 2273,
        "transactions": 44450,
        "merchants": 50,
        "responses": 38568,
    }
    assert bank.notes == (
        "seed_evaluation.parquet: not a table of the contract, ignored",
        "truth.parquet: not a table of the contract, ignored",
    )
