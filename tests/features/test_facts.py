from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.errors import FeatureError
from nextoffer.features import rule_facts
from nextoffer.tables.flow import Asked, Window
from tests.features.banks import BANK, DAY, bank_of, table


def before(days: int) -> date:
    return DAY - timedelta(days=days)


def test_held_by_the_end_of_the_day(tmp_path: Path) -> None:
    holdings = [
        (1, "A", DAY, None),
        (1, "B", before(-1), None),
        (1, "C", before(9), DAY),
        (2, "A", None, before(-1)),
        (2, "B", before(9), before(1)),
        (2, "B", before(0), None),
        (9, "A", None, None),
    ]
    facts = rule_facts(
        bank_of(tmp_path, {**BANK, "holdings": holdings}), DAY, [2, 1, 3], ["C", "B", "A"], asked=Asked((Window(7),))
    )
    assert facts.held.tolist() == [[False, True, True], [False, False, True], [False, False, False]]
    assert facts.held.dtype == np.bool_


def test_holdings_without_dates_are_held(tmp_path: Path) -> None:
    holdings = table("holdings", [(1, "A", None, None), (1, "A", None, None)], ["opened_on", "closed_on"])
    facts = rule_facts(
        bank_of(tmp_path, {**BANK, "holdings": holdings}), DAY, [1], ["A", "B"], asked=Asked((Window(7),))
    )
    assert facts.held.tolist() == [[True, False]]


def test_consent_is_the_last_word_until_today(tmp_path: Path) -> None:
    consents = [
        (1, "marketing", None, False, before(9)),
        (1, "marketing", "web", True, DAY),
        (1, "marketing", None, False, before(-1)),
        (2, "marketing", None, True, before(9)),
        (2, "marketing", "web", True, before(1)),
        (2, "marketing", "phone", False, before(1)),
        (3, "profiling", None, True, before(9)),
    ]
    bank = bank_of(tmp_path, {**BANK, "consents": consents})
    facts = rule_facts(bank, DAY, [1, 2, 3], ["A"], asked=Asked((Window(7),)))
    assert facts.consent is not None
    assert facts.consent.tolist() == [True, True, False]


def test_without_the_table_consent_is_not_known(tmp_path: Path) -> None:
    facts = rule_facts(bank_of(tmp_path), DAY, [1, 2], ["A"], asked=Asked((Window(7),)))
    assert facts.consent is None


def test_contacts_within_the_window(tmp_path: Path) -> None:
    offered = [(1, p, before(d), 0, None) for p, d in (("A", 0), ("A", 1), ("B", 6), ("C", 7), ("A", -1))]
    bank = bank_of(tmp_path, {**BANK, "responses": offered})
    for days, contacts in ((1, 0), (2, 1), (7, 2), (8, 3), (0, 0)):
        assert rule_facts(bank, DAY, [1, 2], ["A"], asked=Asked((Window(days),))).contacts.tolist() == [[contacts], [0]]


def test_a_control_arm_was_not_contacted(tmp_path: Path) -> None:
    held_back = table("responses", [(1, "A", before(1), 0, None)]).append_column("arm", pa.array(["control"]))
    bank = bank_of(tmp_path, {**BANK, "responses": held_back})
    assert rule_facts(bank, DAY, [1], ["A"], asked=Asked((Window(7),))).contacts.tolist() == [[0]]


def test_without_responses_nobody_was_contacted(tmp_path: Path) -> None:
    bank = bank_of(tmp_path, {name: BANK[name] for name in ("customers", "products", "holdings")})
    facts = rule_facts(bank, DAY, [1, 2], ["A"], asked=Asked((Window(7),)))
    assert facts.contacts.tolist() == [[0], [0]]
    assert facts.contacts.dtype == np.int64


def test_repeated_and_unknown_ids_and_arrow_ids(tmp_path: Path) -> None:
    bank = bank_of(tmp_path)
    facts = rule_facts(bank, DAY, pa.array([1, 77, 1]), pa.array(["A", "Z", "A"]), asked=Asked((Window(7),)))
    assert facts.held.tolist() == [[True, False, True], [False, False, False], [True, False, True]]
    assert rule_facts(bank, DAY, [], [], asked=Asked((Window(7),))).held.shape == (0, 0)
    with pytest.raises(FeatureError, match="customer_id of this bank is given in whole numbers"):
        rule_facts(bank, DAY, ["one"], ["A"], asked=Asked((Window(7),)))
