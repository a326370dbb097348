from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextoffer.errors import FeatureError
from nextoffer.features import FeatureSpec, discover
from nextoffer.features.spec import Aggregate, Top
from tests.features.banks import DAY, bank_of


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> FeatureSpec:
    return discover(bank_of(tmp_path_factory.mktemp("bank")), DAY)


def test_json_and_back(spec: FeatureSpec) -> None:
    text = spec.to_json()
    again = FeatureSpec.from_json(text)
    assert again == spec
    assert again.to_json() == text


def test_product_ids_keep_their_type(tmp_path: Path) -> None:
    where = ("product_id", 7)
    number, text = (
        Aggregate("holdings", "sum", "held", where=where),
        Aggregate("holdings", "sum", "held", where=("product_id", "7")),
    )
    assert number != text


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("formula", "formula"), "sql"),
        (("formula", "of", "function"), "median"),
        (("formula", "of", "rows"), "customers"),
        (("formula", "of", "days"), "30; drop table customers"),
        (("column", "purpose"), "any"),
    ],
)
def test_what_a_spec_cannot_say_is_refused(spec: FeatureSpec, place: tuple[str, ...], value: str) -> None:
    content = json.loads(spec.to_json())
    node = next(f for f in content["features"] if f["column"]["name"] == "txn_count")
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    with pytest.raises(FeatureError, match="feature spec: features"):
        FeatureSpec.from_json(json.dumps(content))


def test_unknown_keys_columns_and_versions_are_refused(spec: FeatureSpec) -> None:
    content = json.loads(spec.to_json())
    with pytest.raises(FeatureError, match="version"):
        FeatureSpec.from_json(json.dumps({**content, "version": 2}))
    with pytest.raises(FeatureError, match="extra"):
        FeatureSpec.from_json(json.dumps({**content, "extra": 1}))
    with pytest.raises(FeatureError, match="Invalid JSON"):
        FeatureSpec.from_json("{")
    with pytest.raises(FeatureError, match=r"transactions have no 'amuont' to aggregate \(did you mean 'amount'\?\)"):
        Aggregate("transactions", "sum", "amuont")
    with pytest.raises(FeatureError, match="one count per category"):
        Top(1, (Aggregate("transactions", "sum", "spent"),))
