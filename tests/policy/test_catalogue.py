from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nextoffer.errors import PolicyError
from nextoffer.policy.batch import Pairs
from nextoffer.policy.catalogue import Catalogue, Reason
from nextoffer.policy.reasons import reasons_for
from nextoffer.policy.stats import FeatureStat, FeatureStats
from tests.policy.worlds import stats_of, world

REFERENCE = {
    "Meets income requirement",
    "Below min income",
    "Segment fits product",
    "Segment does not fit product",
    "Strong collaborative signal",
    "Weak collaborative signal",
    "Recent activity",
    "Low recent activity",
    "Frequent transactions",
    "Few transactions",
    "High spend",
    "Low spend",
    "Digital-first customer",
    "Active around salary day",
    "Spending matches product",
    "Spending does not match product",
    "Premium product fits high income",
    "Popular product",
}


def reason(**changes):
    content = {"code": "own", "speaks_for": ("income",), "fact": "income > 0", "rm": "rm", "audit": "audit"}
    return Reason(**{**content, **changes})


def explained(batch, catalogue, **options):
    rows, cols = np.divmod(np.arange(batch.shape[0] * batch.shape[1]), batch.shape[1])
    return reasons_for(Pairs(batch, rows, cols), catalogue, **options)


def test_the_references_texts_are_there():
    texts = {r.rm: r.side for r in Catalogue.read().reasons}
    assert texts.keys() >= REFERENCE
    against = {"Below min income", "Weak collaborative signal", "Low recent activity", "Few transactions", "Low spend"}
    assert {texts[text] for text in against} == {"against"}


def test_codes_differ():
    codes = [r.code for r in Catalogue.read().reasons]
    assert len(codes) == len(set(codes))


def test_every_reason_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "reasons.md").read_text(encoding="utf-8")
    for each in Catalogue.read().reasons:
        assert f"`{each.code}`" in text
        assert each.each or f"{each.rm} `{each.code}`" in text


def test_what_is_high_is_not_said_to_the_customer():
    assert all(r.customer is None for r in Catalogue.read().reasons if r.each)


def test_an_own_reason_takes_the_place_of_one_with_its_code(tmp_path):
    path = tmp_path / "reasons.toml"
    path.write_text(
        """
        [[reason]]
        code = "young"
        speaks_for = ["age"]
        fact = "age < 25"
        rm = "Under 25"
        audit = "age {age} < 25"

        [[reason]]
        code = "first"
        speaks_for = ["age"]
        fact = "age < 20"
        rm = "Under 20"
        audit = "age {age} < 20"
        """,
        encoding="utf-8",
    )
    catalogue, packaged = Catalogue.read(path), Catalogue.read()
    codes = [r.code for r in catalogue.reasons]
    assert codes == ["first", *(r.code for r in packaged.reasons)]
    assert {r.code: r.rm for r in catalogue.reasons}["young"] == "Under 25"
    assert catalogue.own == {"young", "first"}


def test_a_wrong_reason_file_is_named(tmp_path):
    path = tmp_path / "reasons.toml"
    path.write_text("[[reason]]\ncode = 'a b'\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"reasons.toml: reason.0.code: found 'a b'"):
        Catalogue.read(path)


def test_an_own_reason_must_fit_the_banks_columns():
    batch = world(1)
    wrong = reason(fact="incme > 0 and segment > 3", speaks_for=("agee", "x*"))
    with pytest.raises(PolicyError, match="incme") as raised:
        explained(batch, Catalogue.packaged().with_own([wrong]))
    assert raised.value.problems == (
        "reason own: 'incme > 0 and segment > 3': unknown column 'incme' (did you mean 'income'?)",
        "reason own: 'incme > 0 and segment > 3': 'segment' is a text, but '>' needs a number",
        "reason own: speaks_for names no known feature: 'agee' (did you mean 'age'?)",
    )


def test_a_packaged_reason_without_its_columns_is_left_out():
    batch = world(1)
    codes = set(explained(batch, Catalogue.packaged().with_stats(stats_of(batch))).codes.flatten().to_pylist())
    assert "income_met" in codes
    assert not any("tenure_days" in code for code in codes)


def test_without_yardsticks_nothing_is_called_high():
    batch = world(2)
    codes = explained(batch, Catalogue.packaged()).codes.flatten().to_pylist()
    assert codes
    assert not any(code.startswith(("high", "low", "frequent")) for code in codes)


def test_the_earlier_of_two_reasons_for_a_feature_is_given():
    batch = world(3)
    loud = reason(code="loud", fact="income >= 0", speaks_for=("income", "pair.income_ratio"), rm="Has income")
    catalogue = Catalogue.packaged().with_stats(stats_of(batch)).with_own([loud])
    given = explained(batch, catalogue, limits=None).codes.to_pylist()
    assert any("loud" in codes for codes in given)
    assert not any("loud" in codes and {"income_met", "premium_fit", "high:income"} & set(codes) for codes in given)


def test_texts_hold_the_values_they_speak_of():
    batch = world(4, nulls=0.0)
    told = reason(
        fact="income >= 0 and product.min_income >= 0", audit="{income} for {product_name} at {product.min_income}"
    )
    catalogue = Catalogue((told,), own=frozenset({"own"}))
    texts = explained(batch, catalogue, audience="audit").texts.to_pylist()
    income, least = batch.features.numbers("income"), batch.products.column("min_income").to_pylist()
    shown = [(i, texts[i][0]) for i in range(len(texts)) if texts[i]]
    assert shown
    for i, text in shown:
        row, col = divmod(i, batch.shape[1])
        assert text == f"{income[row]:.4g} for {batch.product_names[col]} at {least[col]:.4g}"


def test_what_may_not_be_told_is_not_told():
    batch = world(5)
    catalogue = Catalogue.packaged().with_stats(stats_of(batch))
    for codes in explained(batch, catalogue, audience="customer").codes.to_pylist():
        assert not any(":" in code for code in codes)


def test_stats_say_where_three_in_four_lie():
    batch = world(6, n=31)
    stats = stats_of(batch)
    income = batch.features.numbers("income")
    known = income[~np.isnan(income)]
    stat = stats.get("income")
    assert (known >= stat.q25).mean() >= 0.75
    assert (known <= stat.q75).mean() >= 0.75
    assert stat.median == np.median(known)
    assert stats.get("pair.coholding").label == "Fit with the products held"
    assert stats.get("unheard_of") is None


def test_the_mode_is_the_most_frequent_known_text():
    batch = world(7)
    texts = [t for t in batch.features.texts("segment") if t is not None]
    assert texts.count(stats_of(batch).get("segment").mode) == max(texts.count(t) for t in texts)


def test_stats_are_written_and_read():
    stats = stats_of(world(8))
    assert FeatureStats.from_json(stats.to_json()) == stats
    empty = FeatureStat("x", "X", "number")
    assert FeatureStats.from_json(FeatureStats((empty,)).to_json()).get("x") == empty
