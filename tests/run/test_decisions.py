"""Reading decisions back, and the bank's columns beside them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextoffer.errors import NextOfferError
from nextoffer.policy.decide import Decided
from nextoffer.run.decisions import beside, customer_columns, read_decisions
from nextoffer.tables.bank import Bank
from nextoffer.tables.write import write_table
from tests.run.worlds import altered, stored, with_column


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_what_is_written_is_read_back(bank: Bank, decided: Decided, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"offers.{ending}"
    write_table(decided.decisions, path)
    found = read_decisions(path, bank)
    assert found.schema.remove_metadata() == decided.decisions.schema.remove_metadata()
    exact = [n for n in found.column_names if not pa.types.is_floating(found.schema.field(n).type)]
    assert found.select(exact).to_pylist() == decided.decisions.select(exact).to_pylist()
    assert found.column("score").to_pylist() == pytest.approx(decided.decisions.column("score").to_pylist())


def test_further_columns_are_kept_and_dictionaries_spelt_out(bank: Bank, decided: Decided, tmp_path: Path) -> None:
    channel = decided.decisions.column("channel").combine_chunks().dictionary_encode()
    table = with_column(with_column(decided.decisions, "channel", channel), "arm", ["x"] * len(channel))
    pq.write_table(table, tmp_path / "o.parquet")
    found = read_decisions(tmp_path / "o.parquet", bank)
    assert found.schema.field("channel").type == pa.string()
    assert set(found.column("arm").to_pylist()) == {"x"}


def test_a_folder_of_parts_is_read_whole(bank: Bank, decided: Decided, tmp_path: Path) -> None:
    (tmp_path / "offers").mkdir()
    for i in range(2):
        write_table(decided.decisions.slice(5 * i, 5), tmp_path / "offers" / f"{i}.parquet")
    assert read_decisions(tmp_path / "offers", bank).equals(decided.decisions.slice(0, 10))


def test_an_empty_csv_has_the_right_types(bank: Bank, decided: Decided, tmp_path: Path) -> None:
    write_table(decided.decisions.slice(0, 0), tmp_path / "o.csv")
    assert read_decisions(tmp_path / "o.csv", bank).schema.names == decided.decisions.schema.names


def test_everything_that_is_wrong_with_ids_is_told(bank: Bank, tmp_path: Path) -> None:
    rows = [{"customer_id": c, "product_id": p} for c, p in ((1, 1), (None, 1), (99_999, 1), (2, 77))]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "o.parquet")
    with pytest.raises(NextOfferError) as raised:  # noqa: PT011  all three messages are looked at
        read_decisions(tmp_path / "o.parquet", bank)
    assert [p.partition(": ")[2] for p in raised.value.problems] == [
        "'customer_id' is null in 1 rows",
        "1 customers that the bank does not know: 99999; is it the bank decided for?",
        "1 products that the bank does not know: 77; is it the bank decided for?",
    ]


def test_columns_that_are_missing_or_of_another_kind_are_told(bank: Bank, tmp_path: Path) -> None:
    pq.write_table(pa.table({"custmer_id": [1], "product_id": [1]}), tmp_path / "o.parquet")
    with pytest.raises(NextOfferError, match=r"no column 'customer_id' \(did you mean 'custmer_id'\?\); there are"):
        read_decisions(tmp_path / "o.parquet", bank)
    pq.write_table(pa.table({"customer_id": ["x"], "product_id": [1]}), tmp_path / "o.parquet")
    with pytest.raises(NextOfferError, match="column 'customer_id' is string; it must be int64"):
        read_decisions(tmp_path / "o.parquet", bank)


def test_files_that_cannot_be_read(bank: Bank, tmp_path: Path) -> None:
    (tmp_path / "o.parquet").write_text("no", encoding="utf-8")
    with pytest.raises(NextOfferError, match=r"o\.parquet cannot be read"):
        read_decisions(tmp_path / "o.parquet", bank)
    with pytest.raises(NextOfferError, match="does not exist; `nextoffer recommend` writes decisions"):
        read_decisions(tmp_path / "p.parquet", bank)
    with pytest.raises(NextOfferError, match=r"ends in '\.xlsx'; decisions are read from \.parquet or \.csv"):
        read_decisions(tmp_path / "o.xlsx", bank)


def test_columns_of_customers_stand_beside_their_rows(world: Path, tmp_path: Path) -> None:
    customers = stored(world, "customers")
    bank = altered(world, tmp_path / "b", {"customers": with_column(customers, 'odd "name"', customers["customer_id"])})
    found = customer_columns(bank, ['odd "name"'])
    rows = pa.table({"customer_id": pa.array([9, 2, 9], pa.int64())})
    assert beside(rows, found, "customer_id").column(0).to_pylist() == [9, 2, 9]
