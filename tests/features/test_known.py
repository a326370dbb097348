from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.errors import FeatureError
from nextoffer.features import (
    FeatureSpec,
    as_known,
    build,
    columns_of,
    customer_ids,
    discover,
    known,
    known_sql,
    profiling_sql,
    rule_facts,
    stream_known,
)
from nextoffer.features import mcc as categories
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Asked, Window
from tests.features.banks import BANK, DAY, bank_of, table

PRODUCTS = ["C", "A", "Z", "A"]
CONSENTS = [(1, "profiling", None, True, date(2025, 1, 1)), (2, "marketing", None, True, DAY)]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return bank_of(tmp_path_factory.mktemp("bank"), {**BANK, "consents": CONSENTS})


@pytest.fixture(scope="module")
def spec(bank: Bank) -> FeatureSpec:
    return discover(bank, DAY)


def test_features_and_facts_are_those_asked_for_apart(spec: FeatureSpec, bank: Bank) -> None:
    both = known(spec, bank, DAY, customers=[3, 1], products=PRODUCTS, asked=Asked((Window(10),)))
    assert both.features.data.equals(build(spec, bank, DAY, customers=[3, 1]).data)
    facts = rule_facts(bank, DAY, [3, 1], PRODUCTS, asked=Asked((Window(10),)))
    assert both.facts.held.tolist() == facts.held.tolist() == [[False] * 4, [False, True, False, True]]
    assert both.facts.contacts.tolist() == facts.contacts.tolist() == [[0], [1]]
    assert both.facts.consent is not None
    assert both.facts.consent.tolist() == [False, False]


def test_what_happens_on_the_day_is_a_fact_and_no_feature(tmp_path: Path) -> None:
    bank = bank_of(tmp_path, {**BANK, "holdings": [(1, "A", DAY, None), (1, "B", date(2024, 1, 1), DAY)]})
    found = known(discover(bank, DAY), bank, DAY, customers=[1], products=["A", "B"], asked=Asked((Window(7),)))
    assert found.features.per_product("held", ["A", "B"]).tolist() == [[0.0, 1.0]]
    assert found.features.per_product("times_opened", ["A", "B"]).tolist() == [[0.0, 1.0]]
    assert found.features.numbers("holdings_count").tolist() == [1.0]
    assert found.features.numbers("days_since_opened").tolist() == [486.0]
    assert found.facts.held.tolist() == [[True, False]]


def test_rules_look_at_columns_that_features_may_not_read(tmp_path: Path) -> None:
    arms = pa.array(["control"] + ["treated"] * 4)
    tables = {**BANK, "responses": table("responses", BANK["responses"]).append_column("arm", arms)}
    tables["holdings"] = [(1, "A", date(2025, 5, 2), None), (1, "B", date(2024, 1, 1), None)]
    bank = bank_of(tmp_path, tables, 'sensitive = ["responses.arm", "holdings.opened_on"]')
    found = known(discover(bank, DAY), bank, DAY, customers=[1], products=["A", "B"], asked=Asked((Window(365),)))
    assert found.facts.contacts.tolist() == [[2]]
    assert found.features.numbers("offers_count").tolist() == [3.0]
    assert found.facts.held.tolist() == [[False, True]]
    assert found.features.per_product("held", ["A", "B"]).tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_a_stream_goes_on_after_a_customer(spec: FeatureSpec, bank: Bank, chunk: int) -> None:
    whole = known(spec, bank, DAY, products=PRODUCTS, asked=Asked((Window(10),)))
    assert customer_ids(bank).to_pylist() == [1, 2, 3]
    for after in (None, 0, 1, "2"):
        parts = list(
            stream_known(spec, bank, DAY, products=PRODUCTS, asked=Asked((Window(10),)), chunk=chunk, after=after)
        )
        first = int(after or 0)
        assert pa.concat_tables(p.features.data for p in parts).equals(whole.features.data.slice(first))
        assert np.array_equal(np.concatenate([p.facts.held for p in parts]), whole.facts.held[first:])
        assert max(len(p.features) for p in parts) <= chunk
    assert not list(stream_known(spec, bank, DAY, products=[], asked=Asked((Window(10),)), after=3))
    with pytest.raises(FeatureError, match="at least one"):
        next(stream_known(spec, bank, DAY, products=[], asked=Asked((Window(10),)), chunk=0))


def test_another_engine_answers_the_same(spec: FeatureSpec, bank: Bank) -> None:
    """Here the other engine is DuckDB too, but it only gets the text of the query."""
    con = bank.connect().cursor()
    con.register("nextoffer_mcc", categories.table())
    (kept,) = con.execute(profiling_sql("duckdb"), {"as_of": DAY}).fetchall()[0]
    assert kept
    sql = known_sql(
        spec, columns_of(bank), products=PRODUCTS, asked=Asked((Window(10),)), dialect="duckdb", profiling=kept
    )
    answer = con.sql(f"{sql} ORDER BY 1 DESC", params={"as_of": DAY}).to_arrow_table()
    found = as_known(answer, spec, PRODUCTS, DAY, asked=Asked((Window(10),)))
    expected = known(spec, bank, DAY, customers=[3, 2, 1], products=PRODUCTS, asked=Asked((Window(10),)))
    assert found.features.data.equals(expected.features.data)
    assert np.array_equal(found.facts.held, expected.facts.held)
    assert np.array_equal(found.facts.contacts, expected.facts.contacts)
    assert found.facts.consent is not None
    assert found.facts.consent.tolist() == [False, True, False]
    with pytest.raises(FeatureError, match="columns"):
        as_known(answer.select([0, 1, 2]), spec, PRODUCTS, DAY, asked=Asked((Window(10),)))
    with pytest.raises(FeatureError, match="not what was asked for"):
        as_known(
            answer.set_column(1, "age", pa.array(["old", "young", "x"])),
            spec,
            PRODUCTS,
            DAY,
            asked=Asked((Window(10),)),
        )


def test_without_consents_the_answer_has_none(tmp_path: Path) -> None:
    bank = bank_of(tmp_path)
    spec = discover(bank, DAY).only(["age"])
    sql = known_sql(spec, columns_of(bank), products=["A"], asked=Asked((Window(10),)), dialect="duckdb")
    con = bank.connect().cursor()
    found = as_known(con.sql(sql, params={"as_of": DAY}).to_arrow_table(), spec, ["A"], DAY, asked=Asked((Window(10),)))
    assert found.facts.consent is None
    assert [c.name for c in found.features.columns] == ["age"]


def test_a_spec_of_few_features_reads_and_gives_just_those(spec: FeatureSpec, bank: Bank) -> None:
    names = ["pd", "top_mcc_2", "age"]
    few = spec.only(names)
    assert [c.name for c in few.columns] == ["age", "top_mcc_2", "pd"]
    assert {r.table for r in few.reads} == {"customers", "transactions", "merchants", "risk"}
    whole = build(spec, bank, DAY).data
    assert build(few, bank, DAY).data.equals(whole.select(["customer_id", "age", "top_mcc_2", "pd"]))
    assert {r.table for r in spec.only([]).reads} == {"customers"}
    assert FeatureSpec.from_json(few.to_json()) == few
    with pytest.raises(FeatureError, match=r"no feature 'agee' \(did you mean 'age'\?\)"):
        spec.only(["age", "agee"])
