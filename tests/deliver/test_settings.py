"""Scripts and settings: the package's, a bank's over them, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextoffer.deliver.settings import Settings
from nextoffer.errors import DeliveryError
from tests.deliver.toys import settings


def test_a_file_replaces_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    own = settings(tmp_path, '[script.CC]\nlines = ["Hello {customer_name}"]\n[banner]\nexpires_days = 3\n')
    packaged = Settings.read()
    assert own.script["CC"].lines == ("Hello {customer_name}",)
    assert own.script["default"] == packaged.script["default"]
    assert own.banner == packaged.banner.model_copy(update={"expires_days": 3})
    assert own.dialer == packaged.dialer
    assert Settings.own_types(tmp_path / "own.toml") == ["CC"]


WRONG = {
    '[script.CC]\nlines = ["{product_nam}"]': (
        r"script\.CC\.lines: '\{product_nam\}' is no placeholder \(did you mean 'product_name'\?\); there are product"
    ),
    "[banner]\ntext = '{reason_1}'": r"banner\.text: '\{reason_1\}' is no placeholder; there are product_name",
    "[baner]\ntext = 'x'": r"baner: unknown key \(did you mean 'banner'\?\); there are script, leads",
    "[dialer]\nfron = '09:00'": r"dialer\.fron: unknown key \(did you mean 'from'\?\); there are channel, from",
    "[dialer]\ndays = ['monday']": r"dialer\.days\.0: found 'monday'",
    "[script.X]\n": r"script\.X\.lines: missing",
    "[salesforce]\ncontact_key = 'a b'": r"salesforce\.contact_key: found 'a b'",
    "[script.CC]\nlins = ['x']": r"script\.CC\.lins: unknown key \(did you mean 'lines'\?\); there are lines",
    "x": "not valid TOML",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(DeliveryError, match=WRONG[text]):
        settings(tmp_path, text)


def test_everything_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="placeholder") as raised:
        settings(tmp_path, '[script.CC]\nlines = ["{x}"]\n[banner]\nexpires_days = -1\n')
    assert len(raised.value.problems) == 2


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="there is no such file"):
        Settings.read(tmp_path / "absent.toml")
