"""Talking scripts: by product type, without lines that cannot be said."""

from __future__ import annotations

from pathlib import Path

from nextoffer.deliver.script import script_of
from nextoffer.deliver.settings import Settings
from tests.deliver.toys import material, offer, settings


def test_the_product_type_chooses_and_unknown_ones_get_the_default() -> None:
    found = material([])
    said = {kind: script_of({**offer("c", 1, product_type=kind), "rm": None}, found) for kind in ("CC", "??", None)}
    assert said["CC"] != said["??"] == said[None]
    assert any("Card P1" in line for line in said["CC"])


def test_lines_that_name_what_is_not_known_are_left_out(tmp_path: Path) -> None:
    own = settings(
        tmp_path, '[script.CC]\nlines = ["{customer_name}", "{reason_1}", "{reason_2}", "{rm} {bank}", "Bye"]'
    )
    found = material([], settings=own)
    bare = {**offer("c", 1, reason_codes=None), "rm": None, "customer_name": None}
    full = {**bare, "rm": "r1", "customer_name": "Ann {reason_1}", "reason_codes": ["high:income", "often", "fit"]}
    assert script_of(bare, found) == ["Bye"]
    assert script_of(full, found) == [
        "Ann {reason_1}", "You use your account often", "Card P1 is made for you", "r1 Toy & Sons", "Bye",
    ]  # fmt: skip


def test_every_packaged_script_can_be_said_of_a_bare_offer() -> None:
    for kind, script in Settings.read().script.items():
        said = script_of({**offer("c", 1, product_type=kind), "rm": None, "customer_name": None}, material([]))
        assert 2 <= len(said) < len(script.lines)
        assert not any("{" in line for line in said)
