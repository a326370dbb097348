"""A policy judged by a log: a file of decisions, a bank's own responses, and real logs of two policies."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from nextoffer.errors import BankError
from nextoffer.evaluate.off_policy_report import BANDS, Judged
from nextoffer.policy.file import Policy
from nextoffer.run.engine import Engine
from nextoffer.run.off_policy import judged_by_file, judged_by_responses, write_judged
from nextoffer.simulate import retail
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import REPORT
from tests.run.worlds import RATES, altered, with_column
from tests.scripts import loaded

OPEN_BANDIT = Path(__file__).parents[3] / "shared" / "data" / "open_bandit"


def decisions(n: int = 3000) -> pa.Table:
    """Two actions chosen by a coin; b is accepted four times as often; the new policy takes b in nine of ten cases."""
    draw = np.random.default_rng(6)
    b = draw.random(n) < 0.5
    return pa.table(
        {
            "customer_id": np.arange(n),
            "action": np.where(b, "b", "a"),
            "reward": (draw.random(n) < np.where(b, 0.4, 0.1)).astype(float),
            "pscore": np.full(n, 0.5),
            "new_pscore": np.where(b, 0.9, 0.1),
            "new_pscore.a": np.full(n, 0.1),
            "new_pscore.b": np.full(n, 0.9),
        }
    )


def test_a_file_of_decisions(tmp_path: Path) -> None:
    pq.write_table(decisions(), tmp_path / "log.parquet")
    csv.write_csv(decisions(), tmp_path / "log.csv")
    found, again = judged_by_file(tmp_path / "log.parquet"), judged_by_file(tmp_path / "log.csv")
    assert found.found == again.found
    for name in ("ips", "snips", "dm", "dr", "switch_dr"):
        assert found.found[name].estimate == pytest.approx(0.37, abs=0.04)
    assert found.found["dr"].low < 0.37 < found.found["dr"].high
    assert found.headline.startswith("The new policy earns more than the logged one: +0.1")
    assert found.table.schema == REPORT


def test_without_chances_of_every_action_there_is_no_reward_model(tmp_path: Path) -> None:
    pq.write_table(decisions().drop_columns(["new_pscore.a", "new_pscore.b"]), tmp_path / "log.parquet")
    found = judged_by_file(tmp_path / "log.parquet")
    assert set(found.found) == {"logged", "ips", "snips", "gain"}
    assert "no reward model" in found.notes[0]


def test_what_is_wrong_with_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(decisions().drop_columns(["pscore", "reward"]), path)
    with pytest.raises(BankError, match="no column 'reward'") as told:
        judged_by_file(path)
    assert "no column 'pscore'" in str(told.value)
    pq.write_table(decisions().drop_columns(["new_pscore.b"]), path)
    with pytest.raises(BankError, match=r"no column 'new_pscore\.b' although that action was chosen"):
        judged_by_file(path)
    pq.write_table(decisions().slice(0, 0), path)
    with pytest.raises(BankError, match="no decisions"):
        judged_by_file(path)
    with pytest.raises(BankError, match=r"none\.csv: there is no such file"):
        judged_by_file(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("new_pscore", "The log says nothing of the new policy: it would have made none of the logged offers."),
        ("reward", "The log says too little to decide by. Test the new policy on some customers instead."),
    ],
)
def test_where_nothing_is_known_no_figure_is_told(column: str, words: str, tmp_path: Path) -> None:
    table = decisions(400).drop_columns(["new_pscore.a", "new_pscore.b"])
    table = table.set_column(table.column_names.index(column), column, pa.array(np.zeros(400)))
    pq.write_table(table, tmp_path / "log.parquet")
    assert judged_by_file(tmp_path / "log.parquet").headline == words


def spoilt(**columns: list[object]) -> pa.Table:
    """The decisions with other values in the first rows of some columns."""
    table = decisions(400)
    for name, values in columns.items():
        rest = table.column(name).to_pylist()[len(values) :]
        table = table.set_column(table.column_names.index(name), name, pa.array([*values, *rest]))
    return table


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"pscore": [0.5, None, None]}, r"pscore is empty or no number in 2 of 400 rows \(the first is row 2\)"),
        ({"pscore": [0.0, -0.1]}, "pscore is 0 or less, though the offer was made in 2 of 400 rows"),
        ({"pscore": [1.5]}, "pscore is above 1 in 1 of 400 rows"),
        ({"reward": [float("nan")]}, "reward is empty or no number in 1 of"),
        ({"new_pscore": [-0.2]}, "new_pscore is below 0 in 1 of"),
        ({"new_pscore": [0.3]}, r"new_pscore is not the new_pscore\.ACTION of the chosen action in 1 of"),
        (
            {"new_pscore.a": [0.9, 0.9], "new_pscore.b": [0.9, 0.9], "new_pscore": [0.9, 0.9]},
            "add up to more than 1 in 2",
        ),
        ({"action": [None]}, "action is empty in 1 of"),
        ({"customer_id": [None]}, "customer_id is empty in 1 of"),
    ],
)
def test_rows_that_cannot_be_are_counted(tmp_path: Path, columns: dict[str, list[object]], words: str) -> None:
    pq.write_table(spoilt(**columns), tmp_path / "log.parquet")
    with pytest.raises(BankError, match=words):
        judged_by_file(tmp_path / "log.parquet")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    bad = spoilt(pscore=[None, 2.0], reward=[None])
    bad = bad.set_column(bad.column_names.index("new_pscore.a"), "new_pscore.a", pa.array(["often"] * len(bad)))
    pq.write_table(bad, tmp_path / "log.parquet")
    with pytest.raises(BankError, match="string where numbers are needed") as told:
        judged_by_file(tmp_path / "log.parquet")
    for words in ("new_pscore.a: string", "pscore is above 1", "reward is empty"):
        assert words in str(told.value)
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    with pytest.raises(BankError, match=r"empty\.csv"):
        judged_by_file(tmp_path / "empty.csv")


def test_logs_that_say_little_say_so(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    certain = decisions(400).drop_columns(["new_pscore.a", "new_pscore.b"])
    certain = certain.set_column(certain.column_names.index("pscore"), "pscore", pa.array(np.ones(400)))
    pq.write_table(certain, path)
    found = judged_by_file(path)
    assert "left nothing to chance" in found.notes[0]
    assert found.overlap.poor
    never = certain.set_column(certain.column_names.index("new_pscore"), "new_pscore", pa.array(np.zeros(400)))
    pq.write_table(never, path)
    found = judged_by_file(path)
    assert "made none of the logged offers" in found.overlap.warnings[0]
    assert found.to_dict()["estimates"][2]["estimate"] is None  # snips
    write_judged(found, tmp_path / "out", title="Never")
    assert "Do not decide by it" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    pq.write_table(pa.concat_tables([decisions(20)] * 2), path)
    found = judged_by_file(path)
    assert found.notes[0].startswith("20 rows are copies of others")
    assert found.notes[1].startswith("20 customers are too few for a reward model")
    assert "dr" not in found.found


def test_the_report_holds_every_estimate_and_no_link(tmp_path: Path) -> None:
    pq.write_table(decisions(), tmp_path / "log.parquet")
    found = judged_by_file(tmp_path / "log.parquet")
    written = write_judged(found, tmp_path / "out", title="Autumn", facts=(("Log", "log.parquet"),))
    assert sorted(written) == sorted(path.name for path in (tmp_path / "out").iterdir())
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for words in (found.headline.split(":")[0], "switch_dr", "Horvitz", "Effective decisions", "share of all weight"):
        assert words in page
    assert "<script" not in page
    assert not re.findall(r"https?://", re.sub(r'xmlns(?::\w+)?="[^"]*"', "", page))
    assert pq.read_table(tmp_path / "out" / "estimates.parquet").schema == REPORT
    bands = pq.read_table(tmp_path / "out" / "weights.parquet")
    assert bands.schema == BANDS
    log = decisions()
    weights = log.column("new_pscore").to_numpy() / log.column("pscore").to_numpy()
    heavy = [r for r in bands.to_pylist() if r["above"] == 1.0]
    assert heavy[0]["decisions"] == int(((weights > 1) & (weights <= 2)).sum())
    assert heavy[0]["share_of_weight"] == pytest.approx(weights[weights > 1].sum() / weights.sum())
    told = json.loads((tmp_path / "out" / "figures.json").read_text(encoding="utf-8"))
    assert told["headline"] == found.headline


def test_offers_whose_chance_cannot_be_are_left_out(tmp_path: Path) -> None:
    world = retail.generate(tmp_path / "bank", customers=150, seed=5)
    offers = pq.read_table(world / "responses.parquet")
    arms = pc.utf8_upper(offers.column("arm"))
    chances = [None if i % 10 == 0 else 1.7 if i % 10 == 1 else p for i, p in enumerate(offers["pscore"].to_pylist())]
    engine = Engine.fit(Bank.read(world), as_of=date(2025, 9, 1), ranker=RATES)
    changed = with_column(with_column(offers, "arm", arms), "pscore", pa.array(chances))
    bank = altered(world, tmp_path / "odd", {"responses": changed})
    found = judged_by_responses(engine, bank, Policy())
    made = offers.filter((pc.field("arm") != "control") & (pc.field("offered_on") >= pa.scalar(engine.as_of)))
    assert found.overlap.decisions < len(made)
    assert "without a pscore above 0 and at most 1 are left out" in found.notes[0]
    twice = altered(world, tmp_path / "twice", {"responses": pa.concat_tables([offers, offers.slice(0, 200)])})
    assert judged_by_responses(engine, twice, Policy()).overlap.decisions <= len(made)
    none = altered(world, tmp_path / "none", {"responses": offers.drop_columns(["pscore"])})
    with pytest.raises(BankError, match="no column pscore"):
        judged_by_responses(engine, none, Policy())


def test_a_bank_judges_a_policy_by_its_own_responses(tmp_path: Path) -> None:
    bank = Bank.read(retail.generate(tmp_path / "bank", customers=2000, seed=5))
    engine = Engine.fit(bank, as_of=date(2025, 9, 1))
    varied = Policy.model_validate({"exploration": {"method": "epsilon", "epsilon": 0.9}})
    found = judged_by_responses(engine, bank, varied)
    assert isinstance(found, Judged)
    assert 0 < found.overlap.effective < found.overlap.decisions
    assert found.overlap.expected_weight <= 1 + 1e-9
    assert found.found["dr"].low <= found.found["dr"].estimate <= found.found["dr"].high
    early = judged_by_responses(engine, bank, varied, since=date(2025, 7, 1))
    assert early.overlap.decisions > found.overlap.decisions
    assert "it has seen their answers" in early.notes[-1]
    with pytest.raises(BankError, match="no offers with a pscore since 2030-01-01"):
        judged_by_responses(engine, bank, varied, since=date(2030, 1, 1))


@pytest.mark.skipif(not OPEN_BANDIT.exists(), reason="the Open Bandit logs are not here (../shared/data/open_bandit)")
@pytest.mark.parametrize("campaign", ["men", "women"])
def test_real_logs_agree_with_what_the_other_policy_earned(campaign: str) -> None:
    found = loaded("open_bandit").measured(campaign, "random", "bts")
    for name in ("ips", "snips", "dr"):
        assert abs(found["estimates"][name][0] - found["truth"][0]) < 3 * found["standard_error"][name]
    assert not found["warnings"]
