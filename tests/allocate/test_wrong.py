"""What is wrong is said at once and in full: files, offers, and minimums that cannot be met."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from nextoffer.allocate.allocate import allocate
from nextoffer.allocate.limits import Advisers, Limits, Resource, Volume
from nextoffer.errors import AllocationError
from tests.allocate.toys import bank

FULL = """
per_customer = 2

[[resource]]
name = "budget"
capacity = 5000
use = "cost"

[[resource]]
name = "letters"
capacity = 100
where = { channel = "mail", segment = ["mass", "affluent"] }
amounts = [{ where = { product_id = "home" }, amount = 2 }]

[[slots]]
per_day = [40, 40, 20]

[rm]
minutes = 45
anyone = true
amounts = [{ where = { product_type = "credit" }, amount = 60 }]

[[rm.person]]
rm_id = 17
hours = 7.5
skills = ["credit"]

[[volume]]
column = "segment"
value = "affluent"
min = 3
max = 9
"""


def test_a_file_says_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(FULL, encoding="utf-8")
    limits = Limits.read(path)
    assert limits.per_customer == 2
    assert [r.name for r in limits.resource] == ["budget", "letters"]
    assert limits.resource[1].where == {"channel": "mail", "segment": ("mass", "affluent")}
    assert limits.resource[1].amounts[0].amount == 2
    assert limits.slots[0].per_day == (40, 40, 20)
    assert limits.rm is not None
    assert (limits.rm.minutes, limits.rm.person[0].skills) == (45, ("credit",))
    assert limits.volume[0].name == "segment = affluent"
    with pytest.raises(Exception, match="frozen"):
        limits.per_customer = 3  # type: ignore[misc]


def test_the_example_in_the_documentation_is_a_limits_file() -> None:
    page = (Path(__file__).parents[2] / "docs" / "allocation.md").read_text(encoding="utf-8")
    limits = Limits.parse(page.split("```toml\n")[1].split("```")[0])
    assert [r.name for r in limits.resource] == ["budget", "mails", "call minutes"]
    assert limits.rm is not None
    assert limits.rm.person[0].skills == ("mortgage", "loan")


def test_every_mistake_in_a_file_is_named() -> None:
    text = (
        "per_custmer = 2\n[[resource]]\nname = 'x'\ncapcity = 3\n[rm]\nminutes = -1\n"
        "[[volume]]\ncolumn = 'a'\nvalue = 'b'\nmin = 3\nmax = 2\n"
    )
    with pytest.raises(AllocationError, match="did you mean") as caught:
        Limits.parse(text, where="limits.toml")
    assert caught.value.problems == (
        "limits.toml: resource.0.capacity: missing",
        "limits.toml: resource.0.capcity: unknown key (did you mean 'capacity'?); "
        "there are name, capacity, use, amounts, where",
        "limits.toml: rm.minutes.constrained-float: found -1; input should be greater than or equal to 0",
        "limits.toml: rm.minutes.str: found -1; input should be a valid string",
        "limits.toml: volume.0: max 2 is less than min 3",
        "limits.toml: per_custmer: unknown key (did you mean 'per_customer'?); "
        "there are per_customer, resource, slots, rm, volume",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("per_customer = ", "not valid TOML"),
        ("per_customer = 0", "per_customer: found 0; input should be greater than or equal to 1"),
        ("[[slots]]\nper_day = []", "slots.0.per_day"),
        ("[rm]\nminutes = 3\nanyone = true", "anyone = true needs the RMs listed"),
        ("[rm]\nminutes = 3\nperson = [{rm_id = 1, hours = 1}, {rm_id = '1', hours = 2}]", "more than once: 1"),
        ("resource = [{name = 'a', capacity = 1}, {name = 'a', capacity = 2}]", "named more than once: a"),
        ("resource = [{name = 'a', capacity = inf}]", "finite"),
    ],
)
def test_a_wrong_file_says_so(text: str, said: str) -> None:
    with pytest.raises(AllocationError, match=said):
        Limits.parse(text)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(AllocationError, match="there is no such file"):
        Limits.read(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(AllocationError, match="cannot be read"):
        Limits.read(tmp_path / "latin.toml")


def offers(**columns: object) -> pa.Table:
    return pa.table({"customer_id": [1, 1, 2], "product_id": ["a", "b", "a"], "expected_value": [1.0, 2, 3]} | columns)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"expected_value": [1.0, None, float("nan")]}, "'expected_value' is null or not a finite number in rows 1, 2"),
        ({"customer_id": [1, None, 2]}, "'customer_id' is null in rows 1"),
        ({"product_id": ["a", "a", "a"]}, "more than once, in rows 0 and 1"),
        ({"expected_value": ["x", "y", "z"]}, "'expected_value' is string; it must be a number"),
    ],
)
def test_wrong_offers_are_named_by_row(columns: dict[str, object], said: str) -> None:
    with pytest.raises(AllocationError, match=said):
        allocate(offers(**columns), Limits())


def test_all_that_is_wrong_with_offers_is_said_at_once() -> None:
    with pytest.raises(AllocationError, match="customer_id") as caught:
        allocate(offers(customer_id=[None] * 3, product_id=[None] * 3), Limits())
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(resource=[Resource(name="x", capacity=1, use="csot")]), "no column 'csot' .did you mean 'cost'"),
        (Limits(resource=[Resource(name="x", capacity=1, where={"chanel": "a"})]), "no column 'chanel'"),
        (Limits(resource=[Resource(name="x", capacity=1, use="cost")]), "'cost' is less than 0 in rows 1"),
        (Limits(rm=Advisers(minutes=3, hours=1)), "no column 'channel'"),
    ],
)
def test_limits_that_do_not_fit_the_offers_say_so(limits: Limits, said: str) -> None:
    with pytest.raises(AllocationError, match=said):
        allocate(offers(cost=[1.0, -1.0, 0.0]), limits)


def test_minimums_that_cannot_be_met_name_what_stands_in_the_way() -> None:
    limits = Limits(
        resource=[Resource(name="letters", capacity=1)],
        volume=[Volume(column="product_id", value="a", min=2), Volume(column="product_id", value="b", min=1)],
    )
    with pytest.raises(AllocationError, match="asks for") as caught:
        allocate(offers(), limits)
    text = str(caught.value)
    assert "more than can be made" in text
    assert "in the way: letters" in text
    short = [int(line.split(" offers, ")[1].split()[0]) for line in caught.value.problems]
    assert sum(short) == 2


def test_a_minimum_of_more_than_there_are_says_how_many_there_are() -> None:
    with pytest.raises(AllocationError, match="asks for 9 offers, 7 more than can be made; 2 customers"):
        allocate(offers(), Limits(volume=[Volume(column="product_id", value="a", min=9)]))


def test_one_offer_a_customer_may_be_what_stands_in_the_way() -> None:
    volume = [Volume(column="product_id", value=p, min=2 if p == "a" else 1) for p in "ab"]
    with pytest.raises(AllocationError, match="in the way: per_customer = 1"):
        allocate(offers(), Limits(volume=volume))
    assert allocate(offers(), Limits(per_customer=2, volume=volume)).offers.num_rows == 3


def test_a_large_problem_does_not_claim_what_it_has_not_proved() -> None:
    table = bank(7000, seed=2)
    limits = Limits(
        resource=[Resource(name="letters", capacity=10)], volume=[Volume(column="segment", value="mass", min=11)]
    )
    with pytest.raises(AllocationError, match=r"asks for 11 offers, 1 more than the plan found.*in the way: letters"):
        allocate(table, limits)
