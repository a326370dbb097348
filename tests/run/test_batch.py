"""Batches to files: whole or not at all, and the same whatever the chunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from nextoffer.errors import NextOfferError
from nextoffer.policy.decide import Decided
from nextoffer.policy.file import Arbitration, Contact, Policy
from nextoffer.run.batch import Files, Written, recommend_to_files, refusals_path, score_to_file
from nextoffer.run.engine import Engine
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, CUSTOMERS, PRODUCTS, equal


def files(folder: Path, ending: str = ".parquet") -> Files:
    return Files(folder / f"offers{ending}", folder / f"offers.refusals{ending}")


@pytest.mark.parametrize("chunk", [7, 65_536])
def test_files_hold_what_recommend_returns(
    engine: Engine, bank: Bank, decided: Decided, tmp_path: Path, chunk: int
) -> None:
    out = files(tmp_path)
    done: list[int] = []
    written = recommend_to_files(engine, bank, out, chunk=chunk, progress=done.append)
    assert equal(Decided(pq.read_table(out.decisions), pq.read_table(out.refusals)), decided)
    assert written == Written(CUSTOMERS, decided.decisions.num_rows, decided.refusals.num_rows)
    assert sum(done) == CUSTOMERS
    assert max(done) == min(chunk, CUSTOMERS)


def test_csv_joins_the_reasons(engine: Engine, bank: Bank, decided: Decided, tmp_path: Path) -> None:
    out = files(tmp_path, ".csv")
    recommend_to_files(engine, bank, out)
    found = pyarrow.csv.read_csv(out.decisions)
    assert found.column_names == decided.decisions.column_names
    texts = pc.binary_join(decided.decisions.column("reasons").cast(pa.list_(pa.string())), " | ")
    assert [text or "" for text in found.column("reasons").to_pylist()] == texts.to_pylist()
    assert any(" | " in text for text in texts.to_pylist())
    assert pyarrow.csv.read_csv(out.refusals).num_rows == decided.refusals.num_rows


def test_scores_are_of_every_eligible_pair_whatever_cutoff_cap_and_top_n(
    engine: Engine, bank: Bank, decided: Decided, tmp_path: Path
) -> None:
    out = tmp_path / "scores.parquet"
    rows = score_to_file(engine, bank, out, chunk=50)
    found = pq.read_table(out)
    assert found.column_names == ["customer_id", "product_id", "score", "propensity"]
    ineligible = pc.is_in(decided.refusals.column("stage"), value_set=pa.array(["consent", "eligibility"]))
    blocked = set(zip(*(decided.refusals.filter(ineligible).column(i).to_pylist() for i in (0, 1)), strict=True))
    pairs = list(zip(*(found.column(i).to_pylist() for i in (0, 1)), strict=True))
    assert rows == len(pairs) == len(set(pairs)) == CUSTOMERS * PRODUCTS - len(blocked)
    assert not blocked & set(pairs)
    strict = Policy(arbitration=Arbitration(cutoff=0.9, top_n=1), contact=Contact(cap=0))
    score_to_file(engine.with_policy(strict), bank, tmp_path / "strict.parquet")
    assert pq.read_table(tmp_path / "strict.parquet").equals(found)


def test_scores_are_those_of_the_decisions(engine: Engine, bank: Bank, decided: Decided, tmp_path: Path) -> None:
    score_to_file(engine, bank, tmp_path / "scores.parquet")
    scores = pq.read_table(tmp_path / "scores.parquet")
    keys = ["customer_id", "product_id"]
    both = decided.decisions.select([*keys, "score", "propensity"]).join(
        scores, keys=keys, join_type="inner", right_suffix="_of_pair"
    )
    assert both.num_rows == decided.decisions.num_rows
    assert both.column("score").equals(both.column("score_of_pair"))
    assert both.column("propensity").equals(both.column("propensity_of_pair"))
    assert np.all((scores.column("propensity").to_numpy() > 0) & (scores.column("propensity").to_numpy() < 1))


def test_a_run_that_dies_leaves_nothing(engine: Engine, bank: Bank, tmp_path: Path) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt("ctrl-c")

    with pytest.raises(KeyboardInterrupt, match="ctrl-c"):
        recommend_to_files(engine, bank, files(tmp_path), chunk=7, progress=stop)
    with pytest.raises(KeyboardInterrupt, match="ctrl-c"):
        score_to_file(engine, bank, tmp_path / "scores.csv", chunk=7, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_dies_leaves_the_files_of_yesterday(engine: Engine, bank: Bank, tmp_path: Path) -> None:
    out = files(tmp_path)
    recommend_to_files(engine, bank, out)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    seen: list[int] = []

    def stop_later(count: int) -> None:
        seen.append(count)
        if len(seen) == 3:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        recommend_to_files(engine, bank, out, chunk=7, progress=stop_later)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(("decisions", "refusals"), [("o.xlsx", "r.csv"), ("o.csv", "r.json"), ("o", "r.csv")])
def test_an_ending_not_known_writes_nothing(
    engine: Engine, bank: Bank, tmp_path: Path, decisions: str, refusals: str
) -> None:
    with pytest.raises(NextOfferError, match=r"tables are written as \.parquet or \.csv"):
        recommend_to_files(engine, bank, Files(tmp_path / decisions, tmp_path / refusals))
    assert list(tmp_path.iterdir()) == []


def test_decisions_and_refusals_need_two_files(engine: Engine, bank: Bank, tmp_path: Path) -> None:
    with pytest.raises(NextOfferError, match="decisions and refusals cannot both go to"):
        recommend_to_files(engine, bank, Files(tmp_path / "o.csv", tmp_path / "." / "o.csv"))
    assert list(tmp_path.iterdir()) == []


def test_refusals_lie_beside_the_decisions() -> None:
    assert refusals_path(Path("a/offers.csv")) == Path("a/offers.refusals.csv")


def test_the_day_is_the_one_asked_for(engine: Engine, bank: Bank, tmp_path: Path) -> None:
    out = files(tmp_path)
    recommend_to_files(engine, bank, out, as_of=AS_OF.replace(month=12))
    assert set(pq.read_table(out.decisions).column("as_of").to_pylist()) == {AS_OF.replace(month=12)}
