"""Closed forms over ties against brute force over every order, and the published figures of the reference world."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextoffer.evaluate import ranking
from nextoffer.evaluate.ranking import (
    RANKING_METRICS,
    best_order,
    chance_of_place,
    skip_empty,
    tie_groups,
    top_value,
    worst_order,
)

SEED_EVALUATION = Path(__file__).parents[3] / "shared/data/seed_world/seed_evaluation.parquet"


def precision(labels, k):
    return sum(labels[:k]) / k


def recall(labels, k):
    return sum(labels[:k]) / max(sum(labels), 1)


def hit_rate(labels, k):
    return float(any(labels[:k]))


def reciprocal_rank(labels, k):
    return next((1 / rank for rank, label in enumerate(labels[:k], 1) if label), 0.0)


def average_precision(labels, k):
    found = sum(sum(labels[:rank]) / rank for rank in range(1, min(k, len(labels)) + 1) if labels[rank - 1])
    return found / max(min(k, sum(labels)), 1)


def ndcg(labels, k):
    def gain(row):
        return sum(label / np.log2(rank + 1) for rank, label in enumerate(row[:k], 1))

    ideal = gain(sorted(labels, reverse=True))
    return gain(labels) / ideal if ideal else 0.0


OF_ONE_ORDER = {
    "ndcg": ndcg,
    "map": average_precision,
    "precision": precision,
    "recall": recall,
    "hit_rate": hit_rate,
    "mrr": reciprocal_rank,
}

pairs = st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.integers(0, 1)), min_size=1, max_size=5)
cutoffs = st.integers(1, 8)


def orders(customer_pairs):
    """Labels in every order that sorts the scores, each equally likely."""
    for order in itertools.permutations(customer_pairs):
        scores = [score for score, _ in order]
        if scores == sorted(scores, reverse=True):
            yield [label for _, label in order]


def groups_of(*customers):
    flat = [(who, score, label) for who, rows in enumerate(customers) for score, label in rows]
    who, score, label = zip(*flat, strict=True)
    return tie_groups(who, score, label=label, customers=len(customers))


@pytest.mark.parametrize("name", sorted(RANKING_METRICS))
@given(first=pairs, second=pairs, k=cutoffs)
def test_ties_are_averaged_exactly(name, first, second, k):
    found = RANKING_METRICS[name](groups_of(first, second), k)
    expected = [np.mean([OF_ONE_ORDER[name](labels, k) for labels in orders(rows)]) for rows in (first, second)]
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", sorted(RANKING_METRICS))
@given(rows=pairs, k=cutoffs)
def test_the_range_is_that_of_all_orders(name, rows, k):
    metric, groups = RANKING_METRICS[name], groups_of(rows)
    values = [OF_ONE_ORDER[name](labels, k) for labels in orders(rows)]
    assert metric(worst_order(groups), k)[0] == pytest.approx(min(values), abs=1e-12)
    assert metric(best_order(groups), k)[0] == pytest.approx(max(values), abs=1e-12)


@pytest.mark.parametrize("name", sorted(RANKING_METRICS))
@given(rows=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.1, 0.5, 0.9]), st.integers(0, 1)), max_size=20))
def test_the_order_of_rows_does_not_matter(name, rows):
    def values(table):
        who, score, label = (np.array(column) for column in zip(*table, strict=True))
        return RANKING_METRICS[name](tie_groups(who, score, label=label, customers=4), 3)

    if rows:
        assert values(rows) == pytest.approx(values(rows[::-1]), abs=1e-12)


def test_reciprocal_rank_without_a_cutoff_sees_the_whole_list():
    assert ranking.reciprocal_rank(groups_of([(0.9, 0), (0.5, 0), (0.1, 1)])).tolist() == pytest.approx([1 / 3])


def test_a_large_tie_has_the_textbook_chances():
    """Of 1,000 tied offers 20 are accepted: hypergeometric chances, where no list of orders can go."""
    groups = groups_of([(0.5, int(i < 20)) for i in range(1000)])
    miss = np.prod([(980 - i) / (1000 - i) for i in range(5)])
    assert ranking.hit_rate(groups, 5)[0] == pytest.approx(1 - miss, rel=1e-9)
    assert ranking.precision(groups, 5)[0] == pytest.approx(0.02)


@given(rows=pairs, k=cutoffs)
def test_chances_of_a_place_add_up_to_the_places(rows, k):
    chances = chance_of_place(groups_of(rows), k)
    assert chances.sum() == pytest.approx(min(k, len(rows)))
    assert ((chances >= 0) & (chances <= 1)).all()


def test_the_top_offer_is_averaged_over_ties():
    groups = groups_of([(0.9, 0), (0.9, 1), (0.1, 1)], [(0.3, 0)])
    assert top_value(groups, [0.2, 0.4, 0.9, 0.7]) == pytest.approx([0.3, 0.7])


def test_customers_without_pairs_have_no_top_offer_and_score_zero():
    groups = tie_groups([1], [0.5], label=[1], customers=3)
    assert np.isnan(top_value(groups, [0.2])).tolist() == [True, False, True]
    assert ranking.ndcg(groups, 5).tolist() == [0.0, 1.0, 0.0]


def test_empty_customers_can_be_skipped():
    groups = groups_of([(0.5, 1)], [(0.5, 0)])
    values = skip_empty(groups, ranking.ndcg(groups, 5))
    assert values[0] == 1.0
    assert np.isnan(values[1])


def test_no_pairs_give_no_values():
    groups = tie_groups([], [], label=[])
    assert [len(metric(groups, 5)) for metric in RANKING_METRICS.values()] == [0] * 6


def test_infinite_scores_rank_last():
    assert ranking.ndcg(groups_of([(-np.inf, 0), (-5.0, 1)]), 1).tolist() == [1.0]


def test_scores_must_be_known():
    with pytest.raises(ValueError, match="1 scores are NaN"):
        tie_groups([0, 0], [0.5, np.nan], label=[0, 1])


def test_labels_must_be_zero_or_one():
    with pytest.raises(ValueError, match="labels must be 0 or 1"):
        tie_groups([0], [0.5], label=[2])


def test_arrays_must_be_of_equal_length():
    with pytest.raises(ValueError, match="differ in length: 2, 1, 1"):
        tie_groups([0, 0], [0.5], label=[1])


@pytest.fixture(scope="module")
def reference():
    if not SEED_EVALUATION.exists():
        pytest.skip(f"the reference world's scores are not at {SEED_EVALUATION}")
    table = pq.read_table(SEED_EVALUATION)
    _, customer = np.unique(table["customer_id"].to_numpy(), return_inverse=True)
    return customer, {name: table[name].to_numpy() for name in table.column_names}


def published(groups):
    return tuple(round(float(metric(groups, 5).mean()), 4) for metric in (ranking.ndcg, ranking.average_precision))


@pytest.mark.parametrize(("model", "ndcg_and_map"), [("heuristic", (0.3280, 0.2519)), ("popularity", (0.3277, 0.2551))])
def test_published_figures_without_ties(reference, model, ndcg_and_map):
    customer, columns = reference
    assert published(tie_groups(customer, columns[model], label=columns["label"])) == ndcg_and_map


@pytest.mark.parametrize(
    ("model", "stable", "worst_to_best"),
    [("gbm", (0.3632, 0.2875), (0.3467, 0.3768)), ("mf", (0.3092, 0.2355), (0.3007, 0.3216))],
)
def test_published_figures_with_ties(reference, model, stable, worst_to_best):
    customer, columns = reference
    scores, labels = columns[model], columns["label"]
    groups = tie_groups(customer, scores, label=labels)
    assert (published(worst_order(groups))[0], published(best_order(groups))[0]) == worst_to_best
    place = np.empty(len(scores))
    place[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    assert published(tie_groups(customer, -place, label=labels)) == stable
    assert worst_to_best[0] < ranking.ndcg(groups, 5).mean() < worst_to_best[1]
