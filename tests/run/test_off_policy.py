"""A policy judged by a log: a file of decisions, a bank's own responses, and real logs of two policies."""

from __future__ import annotations

import importlib.util
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from nextoffer.errors import BankError
from nextoffer.evaluate.off_policy_report import Judged
from nextoffer.policy.file import Policy
from nextoffer.run.engine import Engine
from nextoffer.run.off_policy import judged_by_file, judged_by_responses
from nextoffer.simulate import retail
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import REPORT

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
    with pytest.raises(BankError, match=r"none\.csv"):
        judged_by_file(tmp_path / "none.csv")


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
    path = Path(__file__).parents[2] / "benchmarks" / "open_bandit.py"
    spec = importlib.util.spec_from_file_location("open_bandit_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.measured(campaign, "random", "bts")
    for name in ("ips", "snips", "dr"):
        assert abs(found["estimates"][name][0] - found["truth"][0]) < 3 * found["standard_error"][name]
    assert not found["warnings"]
