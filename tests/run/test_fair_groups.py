"""Groups are read as they stand, null is one of its own, and what cannot be told apart is named."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from nextoffer.errors import BankError
from nextoffer.evaluate.outcome import NOBODY
from nextoffer.run.fair_groups import Column, columns_of, groups_of
from nextoffer.tables.bank import Bank
from tests.run.worlds import altered, stored, with_column


def test_sensitive_columns_are_the_groups(retail_bank: Bank) -> None:
    (gender,) = columns_of(retail_bank)
    assert (gender.label, gender.groups) == ("gender", ("female", "male", NOBODY))
    by = ("age", "risk.vulnerable", "income")
    age, vulnerable, income = columns_of(retail_bank, by)
    assert age.groups[0] == "below 25"
    assert vulnerable.groups == ("false", "true", NOBODY)
    assert len(income.groups) == 6  # its fifths


def test_each_customer_is_in_the_group_of_his_value(retail_bank: Bank) -> None:
    customers = retail_bank.table("customers").select(["customer_id", "gender", "age"])
    some = customers.slice(5, 20).take(pa.array(range(19, -1, -1)))
    found = groups_of(retail_bank, columns_of(retail_bank, ("gender", "age")), some.column(0).combine_chunks())
    genders = [found["gender"].names[place] for place in found["gender"].places]
    assert genders == [value or NOBODY for value in some.column("gender").to_pylist()]
    bands = [found["age"].names[place] for place in found["age"].places]
    for age, band in zip(some.column("age").to_pylist(), bands, strict=True):
        assert (age < 25) == (band == "below 25")
        assert (age >= 65) == (band == "65 and above")


def test_null_is_a_group_of_its_own() -> None:
    assert Column("customers", "age", edges=(30.0,)).of(pa.array([20.0, None, 30.0])).places.tolist() == [0, 2, 1]
    assert Column("customers", "sex", ("f",)).of(pa.array([None, "f"])).places.tolist() == [1, 0]


def test_what_is_wrong_is_told(retail_bank: Bank, tmp_path: Path) -> None:
    with pytest.raises(BankError, match=r"no groups by 'gendr' \(did you mean 'gender'\?\)"):
        columns_of(retail_bank, ("gendr",))
    names = with_column(stored(retail_bank.path, "customers"), "gender", [f"g{i}" for i in range(120)])
    many = altered(retail_bank.path, tmp_path / "many", {"customers": names})
    with pytest.raises(BankError, match="more than 50 different values"):
        columns_of(many)
    none = altered(retail_bank.path, tmp_path / "none", {}, toml="sensitive = []\n")
    with pytest.raises(BankError, match="no sensitive columns"):
        columns_of(none)
