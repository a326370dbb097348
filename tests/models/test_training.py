from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from nextoffer.errors import ModelError
from nextoffer.models.training import Training
from nextoffer.tables.flow import FeatureTable
from tests.models import worlds


@pytest.fixture(scope="module")
def training() -> Training:
    earlier = worlds.customers(80, seed=1, as_of=worlds.BEFORE)
    return worlds.offers(earlier, worlds.customers(60, seed=2), law=worlds.nothing_matters)


def test_each_pair_is_met_as_its_customer_stood_on_its_date(training: Training) -> None:
    values = training.pair_values
    for i in np.random.default_rng(1).choice(len(training), 40, replace=False):
        snapshot = int(training.snapshot[i])
        customer = training.snapshots[snapshot].take(training.rows[[i]])
        alone = training.pair_features[snapshot].values(customer)
        assert set(alone) == set(values)
        for name, value in alone.items():
            assert values[name][i] == pytest.approx(value[0, training.cols[i]], nan_ok=True), name


def test_signals_of_a_date_are_learned_from_what_was_known_then(training: Training) -> None:
    earlier = training.snapshot == 0
    changed = replace(training, snapshots=(training.snapshots[0], worlds.customers(60, seed=77)))
    for name, values in training.pair_values.items():
        assert np.array_equal(changed.pair_values[name][earlier], values[earlier], equal_nan=True), name
    assert not np.array_equal(changed.pair_values["coholding"][~earlier], training.pair_values["coholding"][~earlier])


def test_stacked_rows_lead_to_the_customers(training: Training) -> None:
    stacked = np.concatenate([s.customer_ids.to_numpy() for s in training.snapshots])
    expected = [
        training.snapshots[s].customer_ids[int(r)].as_py()
        for s, r in zip(training.snapshot, training.rows, strict=True)
    ]
    assert stacked[training.stacked_rows].tolist() == expected


def test_all_pairs_of_a_customer_fall_into_one_fold_whatever_their_order(training: Training) -> None:
    folds = training.folds(4, seed=7)
    mixed = np.random.default_rng(1).permutation(len(training))
    for customer in np.unique(training.customers):
        assert len(set(folds[training.customers == customer])) == 1
    assert set(folds) == {0, 1, 2, 3}
    assert np.array_equal(replace(training, customers=training.customers[mixed]).folds(4, seed=7), folds[mixed])
    assert not np.array_equal(training.folds(4, seed=8), folds)


def test_a_part_of_the_pairs_keeps_their_customers_and_labels(training: Training) -> None:
    keep = training.cols == 2
    part = training.take(keep)
    assert len(part) == keep.sum()
    assert set(part.cols) == {2}
    assert np.array_equal(part.labels, training.labels[keep])
    assert np.array_equal(part.customers, training.customers[keep])
    assert part.snapshots is training.snapshots


def test_an_answer_of_no_weight_is_no_answer(training: Training) -> None:
    training.require_both_answers()
    refused = replace(training, weights=1 - training.labels)
    with pytest.raises(ModelError, match="both yes and no are needed"):
        refused.require_both_answers()


def test_a_snapshot_without_offers_is_let_be() -> None:
    nobody: FeatureTable = worlds.numbers(age=np.zeros(0))
    someone = worlds.feature_table([worlds.number("age")], [pa.array([30.0, 60.0])])
    training = worlds.offers(nobody, someone, law=lambda f: np.zeros((len(f), 6)))
    assert set(training.snapshot) == {1}
    assert training.pair_values == {}
