"""Batches to files: whole or not at all, and the same whatever the chunk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from nextoffer.errors import NextOfferError
from nextoffer.policy.allowance import Limit
from nextoffer.policy.decide import Decided
from nextoffer.policy.file import Arbitration, Contact, Policy
from nextoffer.run.batch import Files, Written, recommend_to_files, score_to_file
from nextoffer.run.decisions import refusals_path
from nextoffer.run.engine import Engine
from nextoffer.tables.bank import Bank
from tests.run.worlds import AS_OF, CUSTOMERS, PRODUCTS, altered, equal, stored


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


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_channels_of_a_contact_policy_are_written(
    retail_engine: Engine, retail_bank: Bank, tmp_path: Path, ending: str
) -> None:
    contact = Contact(channels=("web",), limit=(Limit(channel="phone", days=30, max=1),))
    engine = retail_engine.with_policy(Policy(contact=contact))
    out = files(tmp_path, ending)
    recommend_to_files(engine, retail_bank, out, chunk=65)
    found = (pq.read_table if ending == ".parquet" else pyarrow.csv.read_csv)(out.decisions)
    channels = found.column("channel").to_pylist()
    assert channels == engine.recommend(retail_bank).decisions.column("channel").to_pylist()
    assert {"web", "phone"} < set(channels)


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


class Stopped:
    """Progress that stops a run when so many chunks are done."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, _: int) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt("ctrl-c")


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def test_scores_that_are_stopped_leave_nothing(engine: Engine, bank: Bank, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="ctrl-c"):
        score_to_file(engine, bank, tmp_path / "scores.csv", chunk=7, progress=Stopped(1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
@pytest.mark.parametrize("stops", [[1], [3, 9, 30]])
def test_a_run_that_was_stopped_goes_on_to_the_same_files(
    engine: Engine, bank: Bank, tmp_path: Path, ending: str, stops: list[int]
) -> None:
    whole, out = files(tmp_path / "whole", ending), files(tmp_path / "out", ending)
    expected = recommend_to_files(engine, bank, whole, chunk=7)
    for after in stops:
        with pytest.raises(KeyboardInterrupt, match="ctrl-c"):
            recommend_to_files(engine, bank, out, chunk=7, resume=True, progress=Stopped(after))
        assert visible(tmp_path / "out") == []
    told: list[int] = []
    found = recommend_to_files(engine, bank, out, chunk=7, resume=True, progress=told.append)
    assert found == replace(expected, resumed=found.resumed)
    assert max(stops) * 7 <= found.resumed < CUSTOMERS
    assert sum(told) == CUSTOMERS
    assert [p.name for p in (tmp_path / "out").iterdir()] == [p.name for p in (tmp_path / "whole").iterdir()]
    for one, other in zip((whole.decisions, whole.refusals), (out.decisions, out.refusals), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_without_resume_a_run_begins_anew(engine: Engine, bank: Bank, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="ctrl-c"):
        recommend_to_files(engine, bank, files(tmp_path), chunk=7, progress=Stopped(4))
    assert recommend_to_files(engine, bank, files(tmp_path), chunk=7).resumed == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_another_run_is_not_continued(engine: Engine, bank: Bank, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="ctrl-c"):
        recommend_to_files(engine, bank, files(tmp_path), chunk=7, progress=Stopped(4))
    other = engine.with_policy(Policy(arbitration=Arbitration(top_n=1)))
    later = AS_OF.replace(month=12)
    with pytest.raises(NextOfferError, match="cannot be continued: policy was") as refused:
        recommend_to_files(other, bank, files(tmp_path), chunk=8, as_of=later, resume=True)
    said = " ".join(refused.value.problems)
    assert all(word in said for word in ("as_of was '2025-10-11' and is '2025-12-11'", "chunk was 7 and is 8"))
    assert recommend_to_files(engine, bank, files(tmp_path), chunk=7, resume=True).resumed >= 28


def test_a_bank_that_changed_is_not_continued(engine: Engine, world: Path, tmp_path: Path) -> None:
    bank = altered(world, tmp_path / "bank", {})
    with pytest.raises(KeyboardInterrupt, match="ctrl-c"):
        recommend_to_files(engine, bank, files(tmp_path / "out"), chunk=7, progress=Stopped(2))
    pq.write_table(stored(world, "holdings").slice(1), tmp_path / "bank" / "holdings.parquet")
    with pytest.raises(NextOfferError, match="cannot be continued: bank was"):
        recommend_to_files(engine, Bank.read(bank.path), files(tmp_path / "out"), chunk=7, resume=True)


def test_two_runs_do_not_write_one_file(engine: Engine, bank: Bank, tmp_path: Path) -> None:
    def second(_: int) -> None:
        with pytest.raises(NextOfferError, match=r"another run is writing .*wait for its end"):
            recommend_to_files(engine, bank, files(tmp_path), chunk=7)

    assert recommend_to_files(engine, bank, files(tmp_path), chunk=100, progress=second).customers == CUSTOMERS
    assert len(list(tmp_path.iterdir())) == 2


def test_a_run_that_dies_leaves_the_files_of_yesterday(engine: Engine, bank: Bank, tmp_path: Path) -> None:
    out = files(tmp_path)
    recommend_to_files(engine, bank, out)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    seen: list[int] = []

    def stop_later(count: int) -> None:
        seen.append(count)
        if len(seen) == 3:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        recommend_to_files(engine, bank, out, chunk=7, progress=stop_later)
    assert {name: (tmp_path / name).read_bytes() for name in visible(tmp_path)} == before


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
