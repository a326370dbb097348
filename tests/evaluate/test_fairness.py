"""Funnels by group, on a bank of twelve that can be counted by hand, and on larger ones of a known gap."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from nextoffer.evaluate.disparity import ABOVE, BELOW, REFERENCE, TOO_FEW
from nextoffer.evaluate.fairness import CONDITIONAL, EXPOSURE, OPPORTUNITY, SELECTION, Fairness, Groups, Judging
from nextoffer.evaluate.funnel import STEPS, Answers, Fared, Funnel, Scopes, discount, funnel, steps
from nextoffer.evaluate.outcome import NOBODY, Group

STAGES = ("consent", "eligibility", "contact", "arbitration")
RULES = ("consent.marketing", "eligibility.held", "contact.weekly_cap", "arbitration.top_n")
NONE = Answers(np.array([], dtype=int), np.array([], dtype=int), np.array([]), np.array([]))
SCOPES = Scopes.of(["Gold", "Blue", "Fund"], ["card", "card", "fund"])


def fared(rule: list[list[int]], ranked: list[list[int]]) -> Fared:
    """Return what a policy makes of customers, each with the places of its offers in order."""
    stopped = np.array(rule, dtype=np.int8)
    rows = np.repeat(np.arange(len(ranked)), [len(each) for each in ranked])
    cols = np.array([col for each in ranked for col in each], dtype=np.intp)
    place = np.array([i for each in ranked for i in range(len(each))], dtype=np.intp)
    exposure = np.zeros(stopped.shape)
    exposure[rows, cols] = discount(place)
    return Fared(steps(stopped, (rows, cols, place), STAGES, range(2, 3)), stopped, exposure, len(RULES))


def groups(sums: Funnel, names: tuple[str, ...], judging: Judging | None = None) -> Groups:
    return Groups("gender", names, sums, SCOPES, RULES, STAGES, judging or Judging())


def test_steps_say_how_far_a_pair_came() -> None:
    found = fared([[0, 0, 0], [1, -1, 3], [2, 2, 3], [-1, 2, 1]], [[], [1], [], [0]])
    named = [[STEPS[step] for step in row] for row in found.step]
    assert named == [
        ["considered"] * 3,
        ["consent", "rank1", "arbitration"],
        ["suitability"] * 3,  # limits leave nothing at all
        ["rank1", "arbitration", "consent"],  # beyond a limit there was a better offer
    ]


def test_sums_are_counted_by_hand() -> None:
    one = fared([[-1, -1, 3], [1, -1, 3], [0, 0, 0]], [[1, 0], [1], []])
    answers = Answers(np.array([0, 0, 1, 2]), np.array([0, 2, 2, 0]), np.array([1.0, 0, 1, 1]), np.full(4, 0.25))
    sums = funnel(one, Group(np.array([0, 0, 1]), ("f", "m")), SCOPES, answers)
    assert sums.size.tolist() == [2, 1]
    place, card, gold = STEPS.index("rank1"), SCOPES.names.index("card"), SCOPES.names.index("Gold")
    assert sums.left[place, [0, card, gold]].tolist() == [[2, 0], [2, 0], [0, 0]]
    assert sums.left[STEPS.index("offered"), gold].tolist() == [1, 0]
    assert sums.left[STEPS.index("arbitration"), SCOPES.names.index("fund")].tolist() == [2, 0]
    assert sums.exposure[0].tolist() == pytest.approx([2 + 1 / np.log2(3), 0])
    assert sums.exposure2[card].tolist() == pytest.approx([1 + (1 + 1 / np.log2(3)) ** 2, 0])
    assert sums.takers[0].tolist() == [2, 1]
    assert sums.served[0].tolist() == [1, 0]  # the second took the fund, which is not offered
    assert sums.stopped[:, 0].tolist() == [[0, 1], [1, 0], [0, 0], [0, 0]]
    assert sums.answers[:, 0].tolist() == pytest.approx([2, 3, 2, 0.75, 2, 0.25 + 0.0625, 0.5 + 0.25])


def test_chunks_add_up() -> None:
    draw = np.random.default_rng(3)
    gold = draw.random(60) < 0.5
    rule = [[-1 if each else 1, 3 if each else -1, 3] for each in gold]
    ranked = [[0] if each else [1] for each in gold]
    places = draw.integers(0, 2, 60)
    whole = funnel(fared(rule, ranked), Group(places, ("f", "m")), SCOPES, NONE)
    parts = [
        funnel(fared(rule[a:b], ranked[a:b]), Group(places[a:b], ("f", "m")), SCOPES, NONE)
        for a, b in ((0, 25), (25, 60))
    ]
    both = parts[0] + parts[1]
    for each in fields(Funnel):
        np.testing.assert_allclose(getattr(both, each.name), getattr(whole, each.name))


@pytest.fixture
def planted() -> Funnel:
    """200 of 'm', all open to Gold, which comes first for 100; 200 of 'f', 160 open to it, first for 40; 20 unknown."""
    rule, ranked = [], []
    for count, first, closed in ((200, 100, 0), (200, 40, 40), (20, 0, 0)):
        for i in range(count):
            if i < first:
                rule.append([-1, 3, 3])
                ranked.append([0])
            else:
                rule.append([1 if i >= count - closed else 3, -1, 3])
                ranked.append([1])
    return funnel(fared(rule, ranked), Group(np.repeat([0, 1, 2], [200, 200, 20]), ("m", "f", NOBODY)), SCOPES, NONE)


def test_a_gap_is_found_and_the_stage_that_opens_it(planted: Funnel) -> None:
    found = groups(planted, ("m", "f", NOBODY))
    gold = SCOPES.names.index("Gold")
    value, words = found.compared(gold, 1, SELECTION)
    assert (value.estimate, words) == (pytest.approx(0.4), BELOW)
    assert found.compared(gold, 0, SELECTION)[1] == REFERENCE
    assert found.compared(gold, 2, SELECTION)[1] == TOO_FEW
    assert found.compared(gold, 1, SELECTION, "eligibility")[0].estimate == pytest.approx(0.8)
    step, rule, at = found.opening(gold, 1) or ("", "", None)
    assert (step, rule) == ("offered", "arbitration.top_n")
    assert at is not None
    assert at.estimate == pytest.approx((40 / 160) / (100 / 200))
    assert found.compared(0, 1, SELECTION)[1] == ABOVE  # of any product, everybody gets one
    assert found.compared(gold, 1, EXPOSURE)[0].estimate == pytest.approx(0.4)
    told = [each.told for each in Fairness((found,)).disparities()]
    assert told[0].startswith("gender 'f' is first offered")
    assert "opens at offered (arbitration.top_n" in told[0]


def test_the_reference_may_be_chosen(planted: Funnel) -> None:
    gold, blue = SCOPES.names.index("Gold"), SCOPES.names.index("Blue")
    best = groups(planted, ("m", "f", NOBODY))
    assert (best.reference(gold), best.reference(blue)) == (0, 1)
    assert groups(planted, ("m", "f", NOBODY), Judging(reference="f")).reference(gold) == 1
    assert groups(planted, ("m", "f", NOBODY), Judging(reference="largest")).reference(blue) == 0


def test_tables_hold_every_group_and_stage(planted: Funnel) -> None:
    tables = Fairness((groups(planted, ("m", "f", NOBODY)),)).tables
    rows = tables["rates"].to_pylist()
    assert {row["group"] for row in rows} == {"m", "f", NOBODY}
    assert {row["step"] for row in rows if row["measure"] == SELECTION} == set(STEPS[1:])
    assert OPPORTUNITY not in {row["measure"] for row in rows}
    assert tables["calibration"].num_rows == 0
    conditional = [r for r in tables["ratios"].to_pylist() if r["measure"] == CONDITIONAL and r["group"] == "f"]
    gold = {r["step"]: r["estimate"] for r in conditional if r["of"] == "Gold"}
    assert np.prod(list(gold.values())) == pytest.approx(0.4)  # the stages' ratios multiply to the whole
