"""The Santander benchmark on a toy panel: nothing of the test month leaks, months do not overlap."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.scripts import loaded

PRODUCTS = ["loan", "card", "fund", "plan"]
JANUARY, MARCH, APRIL, MAY = "2016-01-28", "2016-03-28", "2016-04-28", "2016-05-28"


@pytest.fixture(scope="module")
def santander() -> ModuleType:
    return loaded("santander")


def buyers(month: str, *, seed: int, count: int = 400, products: Sequence[str] = PRODUCTS) -> pa.Table:
    """Return buyers of a month; who holds the first product takes up the second, who holds the third the fourth."""
    draw = np.random.default_rng(seed)
    held = draw.random((count, len(products))) < 0.35
    held[:, [1, 3]] &= ~held[:, [0, 2]]
    wish = draw.gumbel(size=held.shape)
    wish[held[:, 0], 1] += 4.0
    wish[held[:, 2], 3] += 4.0
    wish[held] = -np.inf
    added = np.eye(len(products), dtype=bool)[wish.argmax(axis=1)] & ~held
    columns = {"fecha_dato": [month] * count, "ncodpers": pa.array(draw.permutation(900)[:count] + 1, pa.int32())}
    columns |= {f"prev_{p}": pa.array(held[:, j].astype(np.int8)) for j, p in enumerate(products)}
    columns |= {f"add_{p}": pa.array(added[:, j].astype(np.int8)) for j, p in enumerate(products)}
    return pa.table(columns)


def written(folder: Path, name: str, *tables: pa.Table) -> Path:
    path = folder / f"{name}.parquet"
    pq.write_table(pa.concat_tables(tables), path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("panel")
    return {
        "january": written(folder, "january", buyers(JANUARY, seed=1)),
        "march": written(folder, "march", buyers(MARCH, seed=2)),
        "both": written(folder, "both", buyers(MARCH, seed=2), buyers(JANUARY, seed=1)),
        "april": written(folder, "april", buyers(APRIL, seed=3)),
    }


def scores_of(santander: ModuleType, train: Sequence[Path], test: Path) -> dict[str, np.ndarray]:
    panel = santander.read_panel(train)
    months, month = santander.split(panel, santander.read_panel([test]))
    return dict(santander.all_scores(months, month, panel.products, Path("nowhere"))[0])


@pytest.fixture(scope="module")
def scores(santander: ModuleType, files: dict[str, Path]) -> dict[str, np.ndarray]:
    return scores_of(santander, [files["january"], files["march"]], files["april"])


def test_what_was_taken_up_in_the_test_month_changes_no_score(
    santander: ModuleType, files: dict[str, Path], scores: dict[str, np.ndarray], tmp_path: Path
) -> None:
    april = pq.read_table(files["april"])
    for name in PRODUCTS:
        place = april.column_names.index(f"add_{name}")
        april = april.set_column(place, f"add_{name}", pa.array(np.ones(len(april), dtype=np.int8)))
    altered = scores_of(santander, [files["january"], files["march"]], written(tmp_path, "altered", april))
    assert set(altered) == set(scores) == {"popularity", "LightGBM", "glass box"}
    for name, values in scores.items():
        assert np.array_equal(altered[name], values), name


def test_what_is_held_in_the_test_month_does_change_scores(
    santander: ModuleType, files: dict[str, Path], scores: dict[str, np.ndarray], tmp_path: Path
) -> None:
    april = pq.read_table(files["april"])
    place = april.column_names.index("prev_loan")
    april = april.set_column(place, "prev_loan", pa.array(1 - april.column("prev_loan").to_numpy()))
    altered = scores_of(santander, [files["january"], files["march"]], written(tmp_path, "altered", april))
    assert not np.array_equal(altered["glass box"], scores["glass box"])


def test_files_may_come_in_any_order_and_hold_several_months(
    santander: ModuleType, files: dict[str, Path], scores: dict[str, np.ndarray]
) -> None:
    for train in ([files["march"], files["january"]], [files["both"]]):
        again = scores_of(santander, train, files["april"])
        for name, values in scores.items():
            assert np.array_equal(again[name], values), name


def test_training_months_must_be_earlier(santander: ModuleType, files: dict[str, Path]) -> None:
    april = santander.read_panel([files["april"]])
    with pytest.raises(SystemExit, match="must be earlier than the test month 2016-04-28; found 2016-04-28"):
        santander.split(santander.read_panel([files["both"], files["april"]]), april)
    with pytest.raises(SystemExit, match="must be earlier than the test month 2016-01-28; found 2016-03-28"):
        santander.split(santander.read_panel([files["march"]]), santander.read_panel([files["january"]]))


def test_the_test_file_holds_one_month(santander: ModuleType, files: dict[str, Path]) -> None:
    with pytest.raises(SystemExit, match="must hold one month; it holds 2016-01-28, 2016-03-28"):
        santander.split(santander.read_panel([files["january"]]), santander.read_panel([files["both"]]))


def test_products_are_found_by_their_columns_and_must_agree(
    santander: ModuleType, files: dict[str, Path], tmp_path: Path
) -> None:
    other = written(tmp_path, "may", buyers(MAY, seed=4, products=["loan", "card", "fund", "gold"]))
    assert santander.read_panel([other]).products == ("loan", "card", "fund", "gold")
    with pytest.raises(SystemExit, match="differ in products: gold, plan"):
        santander.split(santander.read_panel([files["both"]]), santander.read_panel([other]))
    with pytest.raises(SystemExit, match="no column add_plan, prev_plan"):
        santander.read_panel([files["both"], other])


def month(
    santander: ModuleType, name: str, customers: list[int], held: list[list[int]], added: list[list[int]]
) -> object:
    return santander.Month(name, np.array(customers), np.array(held, dtype=bool), np.array(added, dtype=bool))


def test_features_tell_what_became_of_each_product(santander: ModuleType) -> None:
    january = month(santander, JANUARY, [7, 8], [[1, 0], [0, 0]], [[0, 1], [1, 0]])
    march = month(santander, MARCH, [8], [[0, 0]], [[1, 0]])
    april = month(santander, APRIL, [9, 8, 7], [[1, 0], [1, 1], [0, 1]], [[0, 0]] * 3)
    table = santander.features(april, [march, january], ["x", "y"])

    def flags(measure: str) -> list[list[int]]:
        return [table.numbers(f"{measure}_{p}").astype(int).tolist() for p in ("x", "y")]

    assert flags("held") == [[1, 1, 0], [0, 1, 1]]
    assert flags("was") == [[0, 0, 1], [0, 0, 0]]  # customer 7 held x in December and gave it up
    assert flags("added") == [[0, 1, 0], [0, 0, 1]]
    assert flags("new") == [[0, 0, 0], [0, 1, 0]]  # customer 8 has y and nobody saw it come
    assert flags("twice") == [[0, 1, 0], [0, 0, 0]]
    assert flags("lost") == [[0, 0, 1], [0, 0, 0]]
    assert flags("never") == [[0, 0, 0], [0, 0, 0]]  # nothing can be said of customer 9
    assert table.numbers("months_since_seen").tolist() == pytest.approx([np.nan, 1.0, 3.0], nan_ok=True)
    assert table.numbers("seen_times").tolist() == [0.0, 2.0, 1.0]


def test_ap_at_7_leaves_owned_products_out(santander: ModuleType) -> None:
    april = month(santander, APRIL, [1, 2, 3], [[1, 0, 0], [0, 0, 0], [0, 0, 0]], [[0, 0, 1], [1, 0, 1], [0, 0, 0]])
    ap = santander.ap_at_7(np.array([[9.0, 1.0, 2.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]), april)
    assert ap.tolist() == pytest.approx([1.0, (1 + 2 / 3) / 2, np.nan], nan_ok=True)


def test_stored_predictions_are_taken_by_customer_and_month(santander: ModuleType, tmp_path: Path) -> None:
    table = pa.table({"fecha_dato": [APRIL, APRIL, MARCH], "ncodpers": [8, 7, 7], "p_x": [0.8, 0.7, 0.1]})
    path = written(tmp_path, "stored", table)
    april = month(santander, APRIL, [7, 8], [[0], [0]], [[1], [0]])
    assert santander.stored_scores(path, april, ["x"]).tolist() == [[0.7], [0.8]]
    assert santander.stored_scores(path, month(santander, MARCH, [7, 8], [[0]], [[0]]), ["x"]) is None
    assert santander.stored_scores(path, april, ["y"]) is None
    assert santander.stored_scores(tmp_path / "none", april, ["x"]) is None


def test_the_command_prints_a_table_and_stores_json(
    santander: ModuleType,
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stored = tmp_path / "result.json"
    arguments = ["santander.py", "--train", str(files["both"]), "--test", str(files["april"])]
    monkeypatch.setattr(sys, "argv", [*arguments, "--json", str(stored)])
    santander.main()
    result = json.loads(stored.read_text(encoding="utf-8"))
    models = result["models"]
    assert result["buyers"] == 400
    assert models["glass box"]["ap@7"] > models["popularity"]["ap@7"] + 0.05
    difference = result["glass box - LightGBM"]
    assert difference["ap@7"] == pytest.approx(models["glass box"]["ap@7"] - models["LightGBM"]["ap@7"])
    assert difference["low"] <= difference["ap@7"] <= difference["high"]
    text = santander.table(result)
    assert capsys.readouterr().out == text + "\n"
    assert [line.split()[0] for line in text.splitlines()[2:]] == ["popularity", "LightGBM", "glass", "glass"]
