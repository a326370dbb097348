"""What every ranker must do, whatever it learns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextoffer import compiled
from nextoffer.errors import ModelError
from nextoffer.models.baselines import BASELINES, Baseline
from nextoffer.models.boosting import BoostSettings
from nextoffer.models.challenger import LightGBMRanker
from nextoffer.models.choice import ChoiceRanker
from nextoffer.models.glassbox import GlassboxRanker
from nextoffer.models.ranker import Ranker
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable, Scores
from tests.models import worlds

RANKERS: Mapping[str, Callable[[], Ranker]] = {
    "glassbox": lambda: GlassboxRanker(boosting=BoostSettings(max_rounds=150)),
    "glassbox without boosting": lambda: GlassboxRanker(boosting=None),
    "choice": lambda: ChoiceRanker(iterations=50),
    "lightgbm": lambda: LightGBMRanker(rounds=20, min_leaf=20, threads=1),
    **{name: (lambda name=name: Baseline(name)) for name in BASELINES},  # type: ignore[misc]
}
CUSTOMERS = worlds.customers(20, seed=9, first=5000)


@dataclass(frozen=True)
class Fitted:
    """A ranker, what it learned from, and how near its parts must come to their sum."""

    ranker: Ranker
    training: Training
    parts_within: float

    def score(self, features: FeatureTable) -> Scores:
        return self.ranker.score(features, self.training.products)


@pytest.fixture(scope="module")
def training() -> Training:
    earlier = worlds.customers(500, seed=1, as_of=worlds.BEFORE)
    return worlds.offers(earlier, worlds.customers(500, seed=3), law=worlds.curved_and_crossed, weights=True)


@pytest.fixture(scope="module", params=RANKERS)
def fitted(request: pytest.FixtureRequest, training: Training) -> Fitted:
    trees = request.param == "lightgbm"
    ranker = RANKERS[request.param]().fit(training)
    return Fitted(ranker, training, parts_within=1e-3 if trees else 1e-5)


@pytest.fixture(params=RANKERS)
def unfitted(request: pytest.FixtureRequest) -> Ranker:
    return RANKERS[request.param]()


@contextmanager
def kernels() -> Iterator[None]:
    """Let rankers use compiled kernels."""
    assert compiled.warm_up()
    try:
        yield
    finally:
        compiled.cool_down()


def every_pair(scores: Scores) -> tuple[np.ndarray, np.ndarray]:
    rows, cols = np.indices(scores.log_odds.shape)
    return rows.ravel(), cols.ravel()


def test_fit_leaves_what_it_was_called_on_unfitted(unfitted: Ranker, training: Training) -> None:
    before = repr(unfitted)
    assert unfitted.fit(training) is not unfitted
    assert repr(unfitted) == before


def test_one_log_odds_for_each_pair(fitted: Fitted) -> None:
    log_odds = fitted.score(CUSTOMERS).log_odds
    assert log_odds.shape == (20, 6)
    assert log_odds.dtype == np.float32
    assert np.isfinite(log_odds).all()


def test_parts_add_up_to_the_score(fitted: Fitted) -> None:
    scores = fitted.score(CUSTOMERS)
    rows, cols = every_pair(scores)
    parts = scores.contributions(rows, cols)
    assert parts.shape == (len(rows), len(scores.features))
    assert parts.dtype == np.float32
    total = scores.intercept[cols] + parts.sum(axis=1)
    assert total == pytest.approx(scores.log_odds[rows, cols], abs=fitted.parts_within)


def test_parts_of_chosen_pairs_are_those_of_all(fitted: Fitted) -> None:
    scores = fitted.score(CUSTOMERS)
    rows, cols = every_pair(scores)
    chosen = np.array([17, 3, 3, 100])
    assert scores.contributions(rows[chosen], cols[chosen]) == pytest.approx(
        scores.contributions(rows, cols)[chosen], abs=1e-6
    )
    for values in scores.pair_values(rows[chosen], cols[chosen]).values():
        assert values.shape == (4,)


def test_averages_and_intercepts_are_per_product(fitted: Fitted) -> None:
    scores = fitted.score(CUSTOMERS)
    assert scores.intercept.shape == (6,)
    assert scores.average.shape == (6, len(scores.features))
    assert len(set(scores.features)) == len(scores.features)


@settings(max_examples=20)
@given(order=st.permutations(range(20)), cuts=st.lists(st.integers(0, 20), max_size=5))
def test_a_score_does_not_depend_on_who_is_scored_beside(fitted: Fitted, order: list[int], cuts: list[int]) -> None:
    whole = fitted.score(CUSTOMERS).log_odds[order]
    stops = sorted(cuts)
    parts = [
        np.asarray(order[a:b], dtype=np.intp) for a, b in zip([0, *stops], [*stops, 20], strict=True)
    ]  # some of them empty
    scored = np.concatenate([fitted.score(CUSTOMERS.take(part)).log_odds for part in parts])
    assert np.array_equal(scored, whole)


def test_one_by_one_is_the_same_as_all_at_once(fitted: Fitted) -> None:
    scores = fitted.score(CUSTOMERS)
    for i in range(len(CUSTOMERS)):
        alone = fitted.score(CUSTOMERS.take(np.array([i])))
        assert np.array_equal(alone.log_odds[0], scores.log_odds[i])
        first, own = np.zeros(6, dtype=np.intp), np.full(6, i)
        every = np.arange(6)
        assert np.array_equal(alone.contributions(first, every), scores.contributions(own, every))
        beside, together = alone.pair_values(first, every), scores.pair_values(own, every)
        assert list(beside) == list(together)
        assert all(np.array_equal(beside[name], together[name], equal_nan=True) for name in together)


def test_uncertainty_is_a_standard_deviation_per_pair_or_not_stated(fitted: Fitted) -> None:
    stated = fitted.score(CUSTOMERS).uncertainty
    assert (stated is not None) == (fitted.ranker.name in {"glassbox", "choice"})
    if stated is not None:
        assert stated.shape == (20, 6)
        assert stated.dtype == np.float32
        assert np.isfinite(stated).all()
        assert (stated > 0).all()


def test_uncertainty_does_not_depend_on_who_is_scored_beside(fitted: Fitted) -> None:
    many = worlds.customers(333, seed=10)
    whole = fitted.score(many).uncertainty
    with kernels():
        quick = fitted.score(many).uncertainty
    if whole is None:
        assert quick is None
        return
    assert np.array_equal(quick, whole)
    for chunk in (1, 8, 50):
        parts = (many.take(np.arange(i, min(i + chunk, 333))) for i in range(0, 333, chunk))
        assert np.array_equal(np.concatenate([fitted.score(part).uncertainty for part in parts]), whole)


@pytest.mark.parametrize("chunk", [1, 8, 9, 50, 333])
def test_any_chunking_gives_the_same_scores(fitted: Fitted, chunk: int) -> None:
    many = worlds.customers(333, seed=10)
    whole = fitted.score(many).log_odds
    parts = [many.take(np.arange(i, min(i + chunk, 333))) for i in range(0, 333, chunk)]
    assert np.array_equal(np.concatenate([fitted.score(part).log_odds for part in parts]), whole)


def test_kernels_change_nothing(fitted: Fitted) -> None:
    many = worlds.customers(2500, seed=11)
    plain = fitted.score(many)
    rows, cols = every_pair(plain)
    parts, values = plain.contributions(rows, cols), dict(plain.pair_values(rows, cols))
    with kernels():
        quick = fitted.score(many)
        assert np.array_equal(quick.log_odds, plain.log_odds)
        assert np.array_equal(quick.contributions(rows, cols), parts)
        again = quick.pair_values(rows, cols)
        assert all(np.array_equal(again[name], values[name], equal_nan=True) for name in values)
        assert np.array_equal(fitted.score(many.take(np.arange(3))).log_odds, plain.log_odds[:3])


def test_only_what_is_read_is_needed(fitted: Fitted) -> None:
    reads = fitted.ranker.reads
    assert reads <= set(CUSTOMERS.names)
    assert not any(CUSTOMERS.column(name).purpose == "rule" for name in reads)
    whole, part = fitted.score(CUSTOMERS), fitted.score(CUSTOMERS.select(reads))
    rows, cols = every_pair(whole)
    assert np.array_equal(part.log_odds, whole.log_odds)
    assert part.features == whole.features
    assert np.array_equal(part.contributions(rows, cols), whole.contributions(rows, cols))


def test_a_pair_feature_needs_only_the_columns_named(fitted: Fitted) -> None:
    whole = fitted.score(CUSTOMERS)
    rows, cols = every_pair(whole)
    for name, values in whole.pair_values(rows, cols).items():
        needed = fitted.ranker.reads | fitted.ranker.reads_of_pair(name)
        part = fitted.score(CUSTOMERS.select(needed))
        assert np.array_equal(part.pair_values(rows, cols)[name], values, equal_nan=True)


def test_nobody_and_nothing_can_be_asked_for(fitted: Fitted) -> None:
    nobody = fitted.score(CUSTOMERS.take(np.zeros(0, dtype=np.intp)))
    none = np.zeros(0, dtype=np.intp)
    assert nobody.log_odds.shape == (0, 6)
    assert nobody.intercept.shape == (6,)
    assert nobody.contributions(none, none).shape == (0, len(nobody.features))
    assert fitted.score(CUSTOMERS).contributions(none, none).shape == (0, len(nobody.features))


def test_scoring_changes_neither_ranker_nor_customers(fitted: Fitted, tmp_path: Path) -> None:
    before, features = saved(fitted.ranker, tmp_path / "before"), CUSTOMERS.data.to_pydict()
    first = fitted.score(CUSTOMERS).log_odds
    fitted.score(fitted.training.snapshots[0])
    assert np.array_equal(fitted.score(CUSTOMERS).log_odds, first)
    assert saved(fitted.ranker, tmp_path / "after") == before
    assert CUSTOMERS.data.to_pydict() == features


def test_what_is_kept_for_rules_is_not_learned_from(fitted: Fitted) -> None:
    place = CUSTOMERS.data.column_names.index("pd")
    other = CUSTOMERS.data.set_column(place, "pd", pa.array(np.linspace(0, 1, 20)))
    changed = fitted.score(FeatureTable(other, CUSTOMERS.columns, CUSTOMERS.as_of)).log_odds
    assert np.array_equal(changed, fitted.score(CUSTOMERS).log_odds)


def test_fitting_twice_gives_the_same_ranker(fitted: Fitted, request: pytest.FixtureRequest) -> None:
    again = RANKERS[request.node.callspec.params["fitted"]]().fit(fitted.training)
    scores = again.score(CUSTOMERS, fitted.training.products).log_odds
    assert np.array_equal(scores, fitted.score(CUSTOMERS).log_odds)


def test_saved_and_loaded_it_answers_the_same(fitted: Fitted, tmp_path: Path) -> None:
    fitted.ranker.save(tmp_path)
    loaded = type(fitted.ranker).load(tmp_path)
    before, after = fitted.score(CUSTOMERS), loaded.score(CUSTOMERS, fitted.training.products)
    rows, cols = every_pair(before)
    assert np.array_equal(after.log_odds, before.log_odds)
    assert np.array_equal(after.contributions(rows, cols), before.contributions(rows, cols))
    assert np.array_equal(after.average, before.average)
    assert np.array_equal(after.uncertainty, before.uncertainty)
    assert after.features == before.features
    assert loaded.name == fitted.ranker.name
    assert json.loads(json.dumps(loaded.summary())) == json.loads(json.dumps(fitted.ranker.summary()))


def test_what_is_saved_is_plain(fitted: Fitted, tmp_path: Path) -> None:
    fitted.ranker.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".npz", ".txt"}
    for path in tmp_path.glob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert {arrays[name].dtype.kind for name in arrays.files} <= set("fiu")


def test_an_unfitted_ranker_says_so(unfitted: Ranker, training: Training, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not fitted: call fit"):
        unfitted.score(CUSTOMERS, training.products)
    with pytest.raises(ModelError, match="not fitted: call fit"):
        _ = unfitted.reads
    with pytest.raises(ModelError, match="not fitted: there is nothing to save"):
        unfitted.save(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_labels_all_alike_teach_nothing(unfitted: Ranker, training: Training, answer: float) -> None:
    alike = worlds.answered(training, np.full(len(training), answer))
    accepted = int(answer * len(training))
    with pytest.raises(
        ModelError, match=f"{len(training)} labelled pairs of which {accepted} accepted; both yes and no"
    ):
        unfitted.fit(alike)


def test_without_pairs_there_is_nothing_to_learn(unfitted: Ranker, training: Training) -> None:
    empty = training.take(np.zeros(len(training), dtype=bool))
    with pytest.raises(ModelError, match="nothing to learn from: 0 labelled pairs"):
        unfitted.fit(empty)


def saved(ranker: Ranker, folder: Path) -> dict[str, Any]:
    """Return everything that a ranker writes, in comparable form."""
    folder.mkdir()
    ranker.save(folder)
    out: dict[str, Any] = {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".npz"}
    for path in folder.glob("*.npz"):
        with np.load(path) as arrays:
            out |= {f"{path.name}/{name}": arrays[name].tolist() for name in arrays.files}
    return out
