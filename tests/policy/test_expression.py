from __future__ import annotations

from contextlib import suppress

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer.errors import PolicyError
from nextoffer.policy.expression import expression, parsed

KINDS = {
    "income": "number",
    "age": "number",
    "segment": "category",
    "region": "category",
    "delinquent": "flag",
    "expat": "flag",
    "product.min_income": "number",
    "my column": "number",
}
NAN = float("nan")


def holds(text, **columns):
    arrays = {
        name: np.array(v, dtype=object if any(isinstance(x, str) for x in v) else float) for name, v in columns.items()
    }
    return expression(text, KINDS).holds(arrays).tolist()


def test_compares_numbers_and_null_is_never_true():
    assert holds("income >= 5", income=[4.0, 5.0, NAN]) == [False, True, False]
    assert holds("income < 5", income=[4.0, 5.0, NAN]) == [True, False, False]
    assert holds("not income >= 5", income=[4.0, 5.0, NAN]) == [True, False, False]


def test_null_is_decided_where_the_other_side_decides():
    assert holds("income > 5 or age > 60", income=[NAN, NAN], age=[70.0, 30.0]) == [True, False]
    assert holds("not (income > 5 and age > 60)", income=[NAN, NAN], age=[70.0, 30.0]) == [False, True]


def test_texts_are_compared_and_listed():
    segments = ["Mass", "HNI", None]
    assert holds("segment = 'Mass'", segment=segments) == [True, False, False]
    assert holds("segment <> 'Mass'", segment=segments) == [False, True, False]
    assert holds("segment not in ('Mass', 'Affluent')", segment=segments) == [False, True, False]
    assert holds("segment = region", segment=segments, region=["Mass", "x", None]) == [True, False, False]


def test_flags_stand_for_themselves():
    flags = [1.0, 0.0, NAN]
    assert holds("delinquent", delinquent=flags) == [True, False, False]
    assert holds("delinquent is not true", delinquent=flags) == [False, True, True]
    assert holds("delinquent is false", delinquent=flags) == [False, True, False]
    assert holds("delinquent is null", delinquent=flags) == [False, False, True]
    assert holds("delinquent = (income > 1)", delinquent=flags, income=[2.0, 2.0, 2.0]) == [True, False, False]


def test_arithmetic_and_division_by_zero_is_null():
    assert holds("income / age > 1", income=[4.0, 4.0], age=[2.0, 0.0]) == [True, False]
    assert holds("income / age is null", income=[4.0, 4.0], age=[2.0, 0.0]) == [False, True]
    assert holds("-income + 2 * 3 - 1 = 1", income=[4.0, 5.0]) == [True, False]


def test_a_product_column_may_be_one_value_for_all():
    rule = expression("income >= 0.8 * product.min_income", KINDS)
    assert rule.names == ("income", "product.min_income")
    found = rule.holds({"income": np.array([8.0, 7.9]), "product.min_income": np.array(10.0)})
    assert found.tolist() == [True, False]


def test_a_column_with_a_space_is_quoted():
    assert expression('"my column" > 1', KINDS).names == ("my column",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("incme > 3", "unknown column 'incme' \\(did you mean 'income'\\?\\)"),
        ("income", "it is a number, but must be true or false"),
        ("income + 1", "it is a number, but must be true or false"),
        ("segment", "it is a text, but must be true or false"),
        ("segment > 'a'", "'segment' is a text, but '>' needs a number"),
        ("income = 'a'", "''a'' is a text, but 'income = 'a'' needs a number"),
        ("delinquent = 1", "'1' is a number, but 'delinquent = 1' needs true or false"),
        ("not age", "'age' is a number, but 'not' needs true or false"),
        ("age and expat", "'age' is a number, but 'and' needs true or false"),
        ("-segment > 1", "'segment' is a text, but '-' needs a number"),
        ("age between 'a' and 3", "''a'' is a text, but 'between' needs a number"),
        ("age in (1, 'x')", "''x'' is a text, but 'age IN \\(1, 'x'\\)' needs a number"),
        ("age is true", "'age' is a number, but 'is true' and 'is false' needs true or false"),
        ("income = null", "can only be asked for: write 'is null'"),
        ("income is 3", "after 'is' comes null, true or false"),
    ],
)
def test_what_does_not_fit_is_said_before_any_data_is_read(text, message):
    with pytest.raises(PolicyError, match=message):
        expression(text, KINDS)


def test_every_problem_is_named_at_once():
    with pytest.raises(PolicyError, match="agee") as raised:
        expression("income > 'a' and agee > 3 and segmnt = 'a'", KINDS)
    assert len(raised.value.problems) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("upper(segment) = 'A'", "the function 'upper' is not allowed"),
        ("pg_sleep(10)", "the function 'pg_sleep' is not allowed"),
        ("read_csv('/etc/passwd') is null", "not allowed"),
        ("random() < 0.5", "not allowed"),
        ("current_date > 1", "not allowed"),
        ("(select 1) = 1", "a query is not allowed"),
        ("age in (select age from customers)", "this form of 'in' is not allowed"),
        ("age in unnest(age)", "this form of 'in' is not allowed"),
        ("age in income", "this form of 'in' is not allowed"),
        ("exists(select 1)", "not allowed"),
        ("age = any(select 1)", "not allowed"),
        ("select 1", "not allowed"),
        ("drop table customers", "not allowed"),
        ("age > 1; drop table customers", "';' is not allowed"),
        ("age > 1;", "';' is not allowed"),
        ("age > 1 -- and not delinquent", "comments are not allowed"),
        ("age > /* 1 */ 2", "comments are not allowed"),
        ("age > {# 1 #} 2", "comments are not allowed"),
        ("age > 1 /* open", "not an expression that can be read"),
        ("{{ age }} > 1", "not allowed|not an expression"),
        ("{% age %} > 1", "not an expression that can be read"),
        ("case when delinquent then expat end", "not allowed"),
        ("age::int = 1", "not allowed"),
        ("cast(age as int) = 1", "not allowed"),
        ("segment like 'a%'", "not allowed"),
        ("segment || 'a' = 'b'", "not allowed"),
        ("age % 2 = 1", "not allowed"),
        ("age is distinct from 1", "not allowed"),
        ("age between symmetric 2 and 1", "this form of 'between' is not allowed"),
        ("(age, income) = (1, 2)", "not allowed"),
        ("age[1] = 1", "not allowed"),
        ("a.b.c.d = 1", "this form of 'column' is not allowed"),
        ("customers.* is null", "'\\*' is not allowed"),
        ("*", "not allowed"),
        ("age = ?", "not allowed"),
        ("age = @secret", "not allowed"),
        ("age = :secret", "not allowed"),
        ("age > 1 as older", "not allowed"),
        ("age >", "not an expression that can be read"),
        ("segment = 'open", "not an expression that can be read"),
        ("", "there is nothing in it"),
        ("-- nothing", "there is nothing in it|comments"),
        ("(" * 50 + "expat" + ")" * 50, "too long"),
        ("not " * 500 + "expat", "too long"),
        ("expat" + " and expat" * 300, "too long"),
    ],
)
def test_nothing_but_comparisons_gets_through(text, message):
    with pytest.raises(PolicyError, match=message):
        parsed(text)


def test_long_rules_that_a_person_could_write_are_read():
    rule = " and ".join(f"age <> {i}" for i in range(90))
    assert holds(rule, age=[89.0, 90.0]) == [False, True]


numbers = st.sampled_from(
    ["income", "age", "0", "1", "2.5", "income + age", "age - 1", "-income", "2 * age", "age / 2"]
)
texts = st.sampled_from(["segment", "region", "'a'", "'b'", "''"])
comparisons = st.one_of(
    st.builds("{} {} {}".format, numbers, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), numbers),
    st.builds("{} {} {}".format, texts, st.sampled_from(["=", "<>"]), texts),
    st.builds("{} between {} and {}".format, numbers, numbers, numbers),
    st.builds("{} not in ({}, {})".format, numbers, numbers, numbers),
    st.builds("{} in ({}, {})".format, texts, texts, texts),
    st.builds("({}) is {}null".format, st.one_of(numbers, texts), st.sampled_from(["", "not "])),
    st.builds(
        "{} is {}".format, st.sampled_from(["delinquent", "expat"]), st.sampled_from(["true", "not false", "null"])
    ),
    st.sampled_from(["delinquent", "expat", "delinquent = expat", "delinquent <> expat", "true", "false"]),
)
expressions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
        st.builds("({}) is not true".format, inner),
        st.builds("({}) is null".format, inner),
    ),
    max_leaves=5,
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "income": st.none() | st.sampled_from([0.0, 1.0, 2.5]),
            "age": st.none() | st.sampled_from([0.0, 1.0, -1.0]),
            "segment": st.none() | st.sampled_from(["a", "b", ""]),
            "region": st.none() | st.sampled_from(["a", "b"]),
            "delinquent": st.none() | st.booleans(),
            "expat": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=8,
)
DATABASE = duckdb.connect()
SCHEMA = pa.schema(
    [
        ("income", pa.float64()),
        ("age", pa.float64()),
        ("segment", pa.string()),
        ("region", pa.string()),
        ("delinquent", pa.bool_()),
        ("expat", pa.bool_()),
    ]
)


@given(expressions, rows)
@settings(max_examples=150)
def test_means_what_a_database_means(text, data):
    columns = {name: [row[name] for row in data] for name in SCHEMA.names}
    arrays = {
        name: np.array(values, dtype=object if KINDS[name] == "category" else float) for name, values in columns.items()
    }
    table = pa.table(columns, schema=SCHEMA)
    DATABASE.register("rows", table)
    wanted = [found for (found,) in DATABASE.sql(f"select coalesce({text}, false) from rows").fetchall()]
    found = np.broadcast_to(expression(text, KINDS).holds(arrays), len(data))
    assert found.tolist() == wanted


@given(st.text(max_size=60))
@settings(max_examples=200)
def test_any_text_is_an_expression_or_a_policy_error(text):
    with suppress(PolicyError):
        assert parsed(text).text == text
