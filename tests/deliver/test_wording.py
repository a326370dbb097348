"""Only customer wordings, and only the product's name in them."""

from __future__ import annotations

from nextoffer.deliver.wording import CustomerWordings


def test_reasons_without_a_wording_are_left_out_and_equal_texts_told_once() -> None:
    words = CustomerWordings({"a": "{product_name} suits you", "b": "{product_name} suits you", "c": "Always"})
    assert words.of(["x", "b", "high:income", "a", "c"], "Card") == ["Card suits you", "Always"]
    assert words.of([], "Card") == []


def test_a_wording_with_any_other_value_is_never_told() -> None:
    words = CustomerWordings({"a": "You earn {income}", "b": "{product_name}: {pd}", "c": "{label} is {value}"})
    assert words.of(["a", "b", "c"], "Card") == []


def test_a_products_name_is_put_in_as_it_is() -> None:
    assert CustomerWordings({"a": "Take {product_name}"}).of(["a"], "{product_name} {pd}") == [
        "Take {product_name} {pd}"
    ]
