from __future__ import annotations

from collections import Counter
from datetime import date

import pytest
import sqlglot
from sqlglot import exp

from nextoffer.features import FeatureSpec, discover
from nextoffer.features.compile import compile_sql, plan_query
from nextoffer.features.plan import Plan
from tests.features.banks import BANK, DAY, bank_of


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> FeatureSpec:
    consents = [(1, "profiling", None, True, date(2025, 1, 1))]
    return discover(bank_of(tmp_path_factory.mktemp("bank"), {**BANK, "consents": consents}), DAY)


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "spark"])
@pytest.mark.parametrize("subset", [True, False])
def test_other_engines_can_read_the_query(spec: FeatureSpec, dialect: str, subset: bool) -> None:
    sql = compile_sql(spec, dialect, subset=subset, profiling=True)
    parsed = sqlglot.parse_one(sql, read=dialect)
    assert parsed.sql(dialect, identify=True).upper() == sql.upper()
    assert [e.alias_or_name for e in parsed.selects] == ["customer_id", *(c.name for c in spec.columns)]
    assert not list(parsed.find_all(exp.Filter, exp.Anonymous))
    assert "%" not in sql.replace("%(as_of)s", ""), "drivers read a % as the start of a parameter"


def test_every_table_is_read_once(spec: FeatureSpec) -> None:
    tree = plan_query(Plan(spec, profiling=True), subset=True)
    read = Counter(t.name for t in tree.find_all(exp.Table))
    tables = ["customers", "transactions", "holdings", "responses", "risk", "consents", "merchants", "nextoffer_wanted"]
    assert {name: read[name] for name in tables} == dict.fromkeys(tables, 1)


def test_as_of_is_the_only_parameter(spec: FeatureSpec) -> None:
    tree = plan_query(Plan(spec, profiling=True), subset=True)
    assert {p.name for p in tree.find_all(exp.Placeholder)} == {"as_of"}
    assert not list(tree.find_all(exp.CurrentDate, exp.CurrentTimestamp))


def test_a_query_over_rows_shares_one_case_among_its_aggregates(spec: FeatureSpec) -> None:
    """Count and sum of the same category read the same column, so no CASE is computed twice."""
    tree = plan_query(Plan(spec))
    for select in tree.find_all(exp.Select):
        cases = [
            case.sql() for item in select.selects for case in item.find_all(exp.Case) if item.alias.startswith("v")
        ]
        assert len(cases) == len(set(cases))
