"""Aggregates by compiled kernels and formulas in memory: the same to the last bit as the one query of every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextoffer import compiled
from nextoffer.errors import FeatureError
from nextoffer.features import FeatureSpec, build, discover, known, rule_facts, stream_known
from nextoffer.features import query as queries
from nextoffer.features.spec import Aggregate, Feature, Value
from nextoffer.simulate import retail
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Asked, FeatureColumn, Known, Window
from tests.features.banks import BANK, DAY, bank_of, table

SEED_WORLD = Path(__file__).parents[3] / "shared" / "data" / "seed_world"

pytestmark = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")


@pytest.fixture
def by_kernels() -> Iterator[Callable[[], object]]:
    """Calling it lets kernels be used from then on, until the test ends."""
    compiled.cool_down()
    yield compiled.warm_up
    compiled.cool_down()


def all_known(spec: FeatureSpec, bank: Bank, day: date) -> Known:
    products = bank.table("products").column("product_id")
    return known(spec, bank, day, products=products, asked=Asked((Window(30),)))


def assert_same(found: Known, expected: Known) -> None:
    left, right = found.features.data, expected.features.data
    assert left.schema == right.schema
    assert [n for n in left.column_names if not left.column(n).equals(right.column(n))] == []
    assert np.array_equal(found.facts.held, expected.facts.held)
    assert np.array_equal(found.facts.contacts, expected.facts.contacts)
    assert (found.facts.consent is None) == (expected.facts.consent is None)
    if found.facts.consent is not None and expected.facts.consent is not None:
        assert np.array_equal(found.facts.consent, expected.facts.consent)


def consents() -> list[tuple[object, ...]]:
    return [
        (1, "profiling", None, True, date(2025, 1, 1)),
        (1, "marketing", None, True, DAY),
        (2, "profiling", "web", True, date(2025, 1, 1)),
        (2, "profiling", None, False, date(2025, 1, 1)),
        (3, "marketing", None, False, date(2025, 1, 1)),
    ]


def toy(folder: Path) -> Bank:
    return bank_of(folder)


def with_consents(folder: Path) -> Bank:
    return bank_of(folder, {**BANK, "consents": consents()})


def empty(folder: Path) -> Bank:
    names = ("transactions", "holdings", "responses", "risk", "merchants", "consents")
    return bank_of(folder, {**BANK, **{name: [] for name in names}})


def without_most_tables(folder: Path) -> Bank:
    return bank_of(folder, {name: BANK[name] for name in ("customers", "products", "holdings")})


def without_optional_columns(folder: Path) -> Bank:
    bare = {
        "transactions": table("transactions", BANK["transactions"], ["direction", "channel", "mcc", "merchant_id"]),
        "holdings": table("holdings", BANK["holdings"], ["opened_on", "closed_on"]),
        "responses": table("responses", BANK["responses"], ["responded_on"]),
    }
    return bank_of(folder, {**BANK, **bare})


def with_hidden_columns(folder: Path) -> Bank:
    arms = pa.array(["control", "Control", None, "treated", "treated"])
    made = table("responses", BANK["responses"]).append_column("arm", arms)
    toml = 'sensitive = ["responses.arm", "holdings.opened_on", "customers.salary_day"]'
    return bank_of(folder, {**BANK, "responses": made}, toml)


def with_text_ids(folder: Path) -> Bank:
    tables = {}
    for name, rows in {**BANK, "consents": consents()}.items():
        one = table(name, rows)  # type: ignore[arg-type]
        if "customer_id" in one.column_names:
            ids = pa.array([f"it's {'äb√'[i % 3]}{i}" for i in one.column("customer_id").to_pylist()])
            one = one.set_column(one.column_names.index("customer_id"), "customer_id", ids)
        tables[name] = one
    return bank_of(folder, tables)


def with_whole_product_ids(folder: Path) -> Bank:
    tables = {}
    for name, rows in BANK.items():
        one = table(name, rows)
        if "product_id" in one.column_names:
            ids = pa.array(["ABC".index(i) * 7 for i in one.column("product_id").to_pylist()])
            one = one.set_column(one.column_names.index("product_id"), "product_id", ids)
        tables[name] = one
    return bank_of(folder, tables)


BANKS = (
    toy,
    with_consents,
    empty,
    without_most_tables,
    without_optional_columns,
    with_hidden_columns,
    with_text_ids,
    with_whole_product_ids,
)


@pytest.mark.parametrize("made", BANKS, ids=lambda made: made.__name__)
def test_toy_banks(tmp_path: Path, by_kernels: Callable[[], object], made: Callable[[Path], Bank]) -> None:
    bank = made(tmp_path)
    spec = discover(bank, DAY)
    expected = all_known(spec, bank, DAY)
    by_kernels()
    assert_same(all_known(spec, bank, DAY), expected)


@pytest.mark.skipif(not SEED_WORLD.exists(), reason="../shared/data/seed_world is not there")
def test_the_reference_world(by_kernels: Callable[[], object]) -> None:
    bank, day = Bank.read(SEED_WORLD), date(2025, 10, 11)
    spec = discover(bank, day)
    expected = all_known(spec, bank, day)
    by_kernels()
    assert_same(all_known(spec, bank, day), expected)


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dirty") / "bank"
    retail.generate(folder, customers=400, seed=5, dirty=True)
    return folder


def shuffled(source: Path, target: Path) -> Path:
    """The same bank with the rows of every table but customers and products in another order."""
    target.mkdir()
    random = np.random.default_rng(3)
    for file in source.iterdir():
        if file.suffix == ".parquet" and file.stem not in ("customers", "products", "risk"):
            rows = pq.read_table(file)
            pq.write_table(rows.take(random.permutation(len(rows))), target / file.name)
        else:
            (target / file.name).write_bytes(file.read_bytes())
    return target


@pytest.mark.parametrize("slab", [1_000_000, 64])
@pytest.mark.parametrize("order", ["as written", "shuffled"])
def test_a_dirty_retail_bank(
    dirty: Path,
    tmp_path: Path,
    by_kernels: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
    slab: int,
    order: str,
) -> None:
    bank = Bank.read(dirty if order == "as written" else shuffled(dirty, tmp_path / "bank"))
    day = date(2025, 9, 1)
    spec = discover(bank, day)
    expected = all_known(spec, bank, day)
    monkeypatch.setattr(queries.Query, "slab", slab)
    monkeypatch.setattr(queries, "MANY", 0)
    by_kernels()
    assert_same(all_known(spec, bank, day), expected)
    products = bank.table("products").column("product_id")
    parts = list(stream_known(spec, bank, day, products=products, asked=Asked((Window(30),)), chunk=50))
    assert pa.concat_tables(p.features.data for p in parts).equals(expected.features.data)
    assert np.array_equal(np.concatenate([p.facts.held for p in parts]), expected.facts.held)


def random_bank(folder: Path, seed: int) -> Bank:
    """Few customers with many rows, nulls everywhere and days on all sides of every limit."""
    random = np.random.default_rng(seed)

    def some(values: list[object], n: int) -> list[object]:
        return [values[i] for i in random.integers(0, len(values), n)]

    days: list[object] = [None, *(DAY - timedelta(days=d) for d in (-1, 0, 1, 29, 30, 31, 90, 91, 180, 181, 5000))]
    n = 500
    ids, products = some([1, 2, 3, 4, 9], n), some(["A", "B", "C", "Z", None, ""], n)
    words: list[object] = ["web", "phone", "", None, "Web"]
    money: list[object] = [None, 0.0, -3.25, 1e9 + 0.0001, 12.345678, float("inf"), float("nan")]
    kinds: list[object] = ["5411", "dining", "zoo", None, "travel", ""]
    ways: list[object] = ["credit", "CR", "debit", None, ""]
    paid = zip(
        ids,
        some(days, n),
        some(money, n),
        some([7, 8, None], n),
        some(kinds, n),
        some(words, n),
        some(ways, n),
        strict=True,
    )
    held = zip(ids, products, some(days, n), some(days, n), strict=True)
    offered = zip(ids, products, some(days, n), some([0, 1, 2, None], n), some(days, n), strict=True)
    said = zip(
        ids, some(["marketing", "profiling"], n), some(words, n), some([True, False], n), some(days, n), strict=True
    )
    customers = [(i, None, 10.0 * i, None, day, None, None, None) for i, day in enumerate((31.0, 15.5, None, 40.0), 1)]
    tables = {"customers": customers, "transactions": list(paid), "holdings": list(held), "responses": list(offered)}
    return bank_of(folder, {**BANK, **tables, "consents": list(said)[: n // 50]})


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_all_kinds(tmp_path: Path, by_kernels: Callable[[], object], seed: int) -> None:
    bank = random_bank(tmp_path, seed)
    spec = discover(bank, DAY)
    expected = all_known(spec, bank, DAY)
    assert expected.facts.held.any()
    by_kernels()
    assert_same(all_known(spec, bank, DAY), expected)


def test_windows_and_categories_of_any_aggregate(tmp_path: Path, by_kernels: Callable[[], object]) -> None:
    bank = random_bank(tmp_path, 7)
    asked = [
        Aggregate("transactions", "sum", "amount", 90, ("channel", "web")),
        Aggregate("transactions", "sum", "spent", 30, ("mcc", "dining")),
        Aggregate("transactions", "sum", "near_salary_day", 180),
        Aggregate("transactions", "max", "amount", 30, ("channel", "phone")),
        Aggregate("transactions", "min", "spent_ago", 90),
        Aggregate("transactions", "min", "credit", None, ("mcc", "groceries")),
        Aggregate("responses", "sum", "accepted", 30),
        Aggregate("responses", "max", "days_ago", 90, ("product_id", "A")),
        Aggregate("holdings", "sum", "opened", None, ("product_id", "nobody's")),
    ]
    features = tuple(
        Feature(FeatureColumn(f"f{i}", "x", "activity", "profiling", "number"), Value(a)) for i, a in enumerate(asked)
    )
    spec = replace(discover(bank, DAY), features=features)
    expected = all_known(spec, bank, DAY)
    by_kernels()
    assert_same(all_known(spec, bank, DAY), expected)


def test_some_customers_in_any_order_and_strangers(tmp_path: Path, by_kernels: Callable[[], object]) -> None:
    bank = with_consents(tmp_path)
    spec = discover(bank, DAY)
    expected = build(spec, bank, DAY, customers=[3, 1, 3]).data
    by_kernels()
    assert build(spec, bank, DAY, customers=[3, 1, 3]).data.equals(expected)
    assert len(build(spec, bank, DAY, customers=[])) == 0
    with pytest.raises(FeatureError, match="2 customers are not in the bank: 0, 99"):
        build(spec, bank, DAY, customers=[2, 0, 99])
    facts = rule_facts(bank, DAY, [77, 1], ["A", "Z"], asked=Asked((Window(30),)))
    assert facts.held.tolist() == [[False, False], [True, False]]


def test_two_streams_do_not_disturb_each_other(tmp_path: Path, by_kernels: Callable[[], object]) -> None:
    bank = with_text_ids(tmp_path)
    spec = discover(bank, DAY)
    expected = build(spec, bank, DAY).data
    by_kernels()
    products = bank.table("products").column("product_id")
    left, right = (
        stream_known(spec, bank, DAY, products=products, asked=Asked((Window(30),)), chunk=1, after=after)
        for after in (None, expected.column(0)[0].as_py())
    )
    pairs = list(zip(left, right, strict=False))
    assert pa.concat_tables(one.features.data for one, _ in pairs).equals(expected.slice(0, 2))
    assert pa.concat_tables(other.features.data for _, other in pairs).equals(expected.slice(1, 2))
