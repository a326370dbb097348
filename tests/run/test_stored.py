"""Stored features answer as the bank does, and any customer at once."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.errors import FeatureError, NextOfferError
from nextoffer.policy.decide import Decided
from nextoffer.run.engine import Engine
from nextoffer.run.stored import Stored
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import FeatureColumn, FeatureTable, Known, RuleFacts
from tests.run.worlds import AS_OF, CUSTOMERS, equal


@pytest.fixture(scope="module")
def stored(engine: Engine, bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    path = tmp_path_factory.mktemp("stored") / "known.arrow"
    products = bank.table("products").column("product_id")
    assert Stored.write(path, engine.stream(bank, chunk=50), products) == CUSTOMERS
    return Stored.load(path)


@pytest.fixture(scope="module")
def ids(decided: Decided) -> list[object]:
    return list(dict.fromkeys(decided.refusals.column("customer_id").to_pylist()))


def answer(engine: Engine, bank: Bank, known: Known) -> Decided:
    return engine.desk(bank.table("products")).decide(known).plain()


def test_stored_customers_are_decided_as_the_banks_are(
    engine: Engine, bank: Bank, stored: Stored, ids: list[object]
) -> None:
    assert (len(stored), stored.as_of) == (CUSTOMERS, AS_OF)
    for some in (ids[:1], ids[60:63], ids[::-7]):
        assert equal(answer(engine, bank, stored.known(some)), engine.recommend(bank, some))


def test_a_handful_is_spelt_out_as_any_number_of_customers_are(
    engine: Engine, bank: Bank, stored: Stored, ids: list[object]
) -> None:
    for some in (ids[:1], ids[5:10]):
        handful = engine.desk(bank.table("products")).decide(stored.known(some))
        assert equal(handful.plain(), Decided(handful.decisions, handful.refusals).plain())
        assert equal(pickle.loads(pickle.dumps(handful)).plain(), handful.plain())


def test_the_order_asked_for_is_the_order_given(stored: Stored, ids: list[object]) -> None:
    some = [ids[70], ids[3], ids[70], ids[4]]
    known = stored.known(some)
    assert known.features.customer_ids.to_pylist() == some
    assert (known.facts.held[0] == known.facts.held[2]).all()
    assert known.facts.held.shape == (4, len(stored.products))


def test_nobody_is_known_of_nobody(stored: Stored) -> None:
    known = stored.known(stored.parts[0].features.customer_ids.slice(0, 0))
    assert len(known.features) == len(known.facts.held) == 0


def test_what_is_saved_is_loaded(stored: Stored, tmp_path: Path, ids: list[object]) -> None:
    stored.save(tmp_path / "again.arrow")
    again = Stored.load(tmp_path / "again.arrow")
    assert again.products.equals(stored.products)
    for mine, other in zip(again.parts, stored.parts, strict=True):
        assert mine.features.data.equals(other.features.data)
        assert mine.features.columns == other.features.columns
        assert (mine.facts.held == other.facts.held).all()
        assert (mine.facts.contacts == other.facts.contacts).all()


def test_threads_get_the_same(stored: Stored, ids: list[object]) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda i: stored.known([i]), ids[:80]))
    assert [known.features.customer_ids.to_pylist() for known in found] == [[i] for i in ids[:80]]


def made(ids: list[object], consent: np.ndarray | None) -> Known:
    columns = (FeatureColumn("segment", "Segment", "profile", "relationship", "category"),)
    data = pa.table({"customer_id": ids, "segment": ["a", None, "b"]})
    held = np.array([[True, False], [False, False], [False, True]])
    return Known(FeatureTable(data, columns, AS_OF), RuleFacts(held, consent, np.array([[0], [3], [1]])))


@pytest.mark.parametrize("ids", [[7, 3, 5], ["b", "a", "é"]])
@pytest.mark.parametrize("consent", [None, np.array([True, False, True])])
def test_ids_of_any_kind_with_and_without_consents(
    tmp_path: Path, ids: list[object], consent: np.ndarray | None
) -> None:
    Stored.of([made(ids, consent)], ["x", "y"]).save(tmp_path / "known.arrow")
    stored = Stored.load(tmp_path / "known.arrow")
    known = stored.known([ids[2], ids[1]])
    assert known.features.texts("segment").tolist() == ["b", None]
    assert known.facts.held.tolist() == [[False, True], [False, False]]
    assert known.facts.contacts.tolist() == [[1], [3]]
    assert (known.facts.consent is None) if consent is None else (known.facts.consent.tolist() == [True, False])


def test_a_stranger_is_named(stored: Stored) -> None:
    with pytest.raises(FeatureError, match=rf"no customer '-1' among the {CUSTOMERS:,} stored"):
        stored.known([-1])


def test_there_must_be_somebody(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="there are no customers to store"):
        Stored.write(tmp_path / "none.arrow", [], ["x"])
    assert list(tmp_path.iterdir()) == []


def test_ids_must_be_those_of_the_facts(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="facts of 2 products, but ids of 1"):
        Stored.of([made([1, 2, 3], None)], ["x"]).save(tmp_path / "known.arrow")


def test_another_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "other.arrow").write_text("something else")
    with pytest.raises(NextOfferError, match="holds no stored customers"):
        Stored.load(tmp_path / "other.arrow")
